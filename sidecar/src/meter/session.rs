//! What meter does next, without clock, files or network: given the time and what came, it says what to do.

use std::time::Duration;

use alloy::{
    primitives::B256,
    signers::{SignerSync, local::PrivateKeySigner},
};
use hawser_attestation::{
    Header, Knock, MarketId, Nvml, Pass, Report, TerminationMessage, Tier, Version, session_proof_hash,
};
use hawser_market::{GpuSeconds, JobId};
use hawser_proto::attestation::{
    Ack, Directive, Enroll, OperatorMessage, RejectReason, Rejected, Resume, SidecarMessage, directive,
    operator_message, sidecar_message,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    evidence::{Evidence, EvidenceError},
    outage::Outages,
};
use crate::cards::Reading;

/// This much of the newest time is in no report but the last: kubelet looks once a second whether a container still runs,
/// later where many pods start at once, and until its word comes the customer would pay for seconds after the program's end.
const UNSEEN: SignedDuration = SignedDuration::from_secs(5);
/// After SIGTERM, how long to wait for the operator to say when the customer's container ended: it knows from kubelet,
/// and a count up to the signal would bill the second that kubelet took to notice.
const WAIT_FOR_END: SignedDuration = SignedDuration::from_secs(3);
/// After SIGTERM, how long to wait for an operator that is away and has not said when the customer's container began:
/// without that nothing counts. What is left of the pod's grace period (30 s) is for the last report.
const WAIT_FOR_BEGIN: SignedDuration = SignedDuration::from_secs(24);
/// After SIGTERM, how long to try to deliver the last report. It also stands in the termination message.
const WAIT_FOR_DELIVERY: SignedDuration = SignedDuration::from_secs(8);
/// The same for a last report that was made late.
const WAIT_FOR_LATE_DELIVERY: SignedDuration = SignedDuration::from_secs(3);
/// Reports on the way that the operator has not confirmed.
const WINDOW: usize = 64;
/// With this many reports unconfirmed the interval is doubled, with twice as many it is three times as long, and so on:
/// the operator may stay away for weeks, and memory is small.
const STRETCH: usize = 256;

/// The job, as the pod and NVML say it is.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) market: MarketId,
    pub(crate) gpus: u16,
    pub(crate) gpu_uuids: Vec<String>,
    pub(crate) nvml: Nvml,
    pub(crate) driver_version: Option<String>,
    pub(crate) interval: SignedDuration,
}

/// What a restarted container gets back: the journal holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restored {
    pub(crate) enrolled: bool,
    /// What lets this attestor in among strangers.
    pub(crate) pass: Option<Pass>,
    pub(crate) begin: Option<Timestamp>,
    /// What of the cards' time does not count.
    pub(crate) outages: Outages,
    pub(crate) evidence: Option<Evidence>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Let the customer's container start.
    MarkStarted,
    /// Send this.
    Send(SidecarMessage),
    /// Write journal and termination message down.
    Keep,
    /// Open a new stream, after a while.
    Reconnect(String),
}

#[derive(Debug)]
pub(crate) struct Session {
    job: Job,
    key: PrivateKeySigner,
    restored: Restored,
    /// The present stream; none before the operator took us.
    stream: Option<OpenStream>,
    stop: Option<Timestamp>,
    terminating: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct OpenStream {
    /// Sequence to send next.
    next: u64,
    /// When the operator took us.
    since: Timestamp,
}

impl Session {
    pub(crate) fn new(job: Job, key: PrivateKeySigner, restored: Restored) -> Self {
        Self { job, key, restored, stream: None, stop: None, terminating: None }
    }

    pub(crate) fn restored(&self) -> &Restored {
        &self.restored
    }

    /// What announces this attestor to the operator.
    pub(crate) fn knock(&self) -> Option<Knock> {
        self.restored.pass.map(|pass| Knock { job: self.job.id, attestor: self.key.address(), pass })
    }

    pub(crate) fn gpu_uuids(&self) -> &[String] {
        &self.job.gpu_uuids
    }

    pub(crate) fn nvml_visible(&self) -> bool {
        self.job.nvml == Nvml::Visible
    }

    /// First message on a new stream: prove that we hold the key, the first time also whose pod we are.
    pub(crate) fn open(&mut self, nonce: B256, token: &str) -> Result<SidecarMessage, alloy::signers::Error> {
        self.stream = None;
        let hash = session_proof_hash(self.job.market, self.job.id, nonce);
        let proof = self.key.sign_hash_sync(&hash)?.as_bytes().to_vec();
        let (job_id, attestor) = (self.job.id.0.to_vec(), self.key.address().to_vec());
        let message = if self.restored.enrolled {
            sidecar_message::Message::Resume(Resume { job_id, attestor, proof })
        } else {
            let gpu_uuids = self.job.gpu_uuids.clone();
            let token = token.to_owned();
            sidecar_message::Message::Enroll(Enroll { job_id, attestor, token, gpu_uuids, proof })
        };
        Ok(SidecarMessage { message: Some(message) })
    }

    /// The stream is gone.
    pub(crate) fn lost(&mut self) {
        self.stream = None;
    }

    pub(crate) fn receive(&mut self, message: OperatorMessage, now: Timestamp) -> Result<Vec<Effect>, EvidenceError> {
        match message.message {
            Some(operator_message::Message::Ack(ack)) => Ok(self.acknowledged(&ack, now)),
            Some(operator_message::Message::Rejected(rejected)) => Ok(vec![self.rejected(&rejected)]),
            Some(operator_message::Message::Directive(Directive { directive: Some(directive) })) => {
                self.directed(directive, now)
            }
            // Hello opens a stream; what this version does not know is for a later one.
            _ => Ok(Vec::new()),
        }
    }

    fn acknowledged(&mut self, ack: &Ack, now: Timestamp) -> Vec<Effect> {
        let next = ack.next_sequence;
        self.restored.enrolled = true;
        if let Ok(pass) = B256::try_from(ack.pass.as_slice()) {
            self.restored.pass = Some(Pass(pass));
        }
        self.stream.get_or_insert(OpenStream { next, since: now });
        if let Some(evidence) = &mut self.restored.evidence {
            evidence.confirmed(next);
        }
        let mut effects = vec![Effect::Keep];
        self.send_pending(&mut effects);
        effects
    }

    fn rejected(&mut self, rejected: &Rejected) -> Effect {
        self.stream = None;
        if rejected.reason() == RejectReason::Unauthenticated {
            self.restored.enrolled = false;
        }
        let reason = rejected.reason().as_str_name();
        Effect::Reconnect(format!("{reason} (line {}): {}", rejected.sequence, rejected.message))
    }

    fn directed(&mut self, directive: directive::Directive, now: Timestamp) -> Result<Vec<Effect>, EvidenceError> {
        let mut effects = Vec::new();
        match directive {
            directive::Directive::Started(started) => {
                if self.restored.evidence.is_none() {
                    let header = self.header(GpuSeconds(started.base_gpu_seconds), now);
                    self.restored.evidence = Some(Evidence::open(&self.key, header)?);
                }
                effects.extend([Effect::Keep, Effect::MarkStarted]);
                self.send_pending(&mut effects);
            }
            directive::Directive::Begin(begin) => {
                let at = from_millis(begin.began_at_millis, now);
                // Nothing of the customer ran before the header was made, whatever another clock says.
                let earliest = self.restored.evidence.as_ref().map_or(now, |e| e.chain().header().time);
                self.restored.begin.get_or_insert(at.max(earliest).min(now));
                effects.push(Effect::Keep);
            }
            directive::Directive::Stop(stop) => {
                let at = from_millis(stop.ended_at_millis, now);
                self.stop = Some(self.stop.map_or(at, |had| had.min(at)));
            }
            directive::Directive::Challenge(_) => tracing::warn!("challenged, but this sidecar meters only"),
        }
        Ok(effects)
    }

    fn header(&self, base_gpu_seconds: GpuSeconds, time: Timestamp) -> Header {
        Header {
            version: Version::V1,
            tier: Tier::Metered,
            job_id: self.job.id,
            attestor: self.key.address(),
            chain_id: self.job.market.chain_id,
            market: self.job.market.address,
            gpus: self.job.gpus,
            gpu_uuids: self.job.gpu_uuids.clone(),
            base_gpu_seconds,
            nvml: self.job.nvml,
            driver_version: self.job.driver_version.clone(),
            sidecar: env!("CARGO_PKG_VERSION").to_owned(),
            time,
        }
    }

    /// The pod ends.
    pub(crate) fn terminate(&mut self, now: Timestamp) {
        self.terminating.get_or_insert(now);
    }

    /// When the next report is due; none before the start on chain and after the last report.
    pub(crate) fn report_due(&self, now: Timestamp) -> Option<Timestamp> {
        let evidence = self.restored.evidence.as_ref().filter(|e| !e.chain().finished())?;
        if self.last_is_due(now) {
            return Some(now);
        }
        let times = 1 + evidence.pending().len() / STRETCH;
        let interval = self.job.interval.saturating_mul(i32::try_from(times).unwrap_or(i32::MAX));
        let regular = evidence.chain().time().saturating_add(interval).unwrap_or(Timestamp::MAX);
        Some(self.wait_deadline().map_or(regular, |until| regular.min(until)))
    }

    /// Makes a report; the last one where the end is known, or nobody is there who would tell it.
    pub(crate) fn report(&mut self, now: Timestamp, cards: Vec<Reading>) -> Result<Vec<Effect>, EvidenceError> {
        if self.restored.evidence.as_ref().is_none_or(|evidence| evidence.chain().finished()) {
            return Ok(Vec::new());
        }
        let last = self.last_is_due(now);
        let gpus = self.restored.outages.read(cards, self.restored.begin, now);
        let gpu_seconds = self.count(now, last);
        let began_at = self.restored.begin;
        let Some(evidence) = &mut self.restored.evidence else { return Ok(Vec::new()) };
        let time = now.max(evidence.chain().time());
        let report = Report { sequence: 0, previous: evidence.chain().root(), time, began_at, gpu_seconds, last, gpus };
        evidence.add(&self.key, report)?;
        let mut effects = vec![Effect::Keep];
        self.send_pending(&mut effects);
        Ok(effects)
    }

    /// Whether nothing is left to be done. Only a pod that ends lets meter exit: kubelet would start it again.
    pub(crate) fn done(&self, now: Timestamp) -> bool {
        let Some(at) = self.terminating else { return false };
        match &self.restored.evidence {
            None => true,
            Some(evidence) => {
                let delivered_by =
                    plus(at, WAIT_FOR_DELIVERY).max(plus(evidence.chain().time(), WAIT_FOR_LATE_DELIVERY));
                evidence.chain().finished() && (evidence.pending().is_empty() || now >= delivered_by)
            }
        }
    }

    pub(crate) fn termination_message(&self) -> Option<TerminationMessage> {
        self.restored.evidence.as_ref().map(Evidence::termination_message)
    }

    fn last_is_due(&self, now: Timestamp) -> bool {
        self.stop.is_some() || self.wait_deadline().is_some_and(|until| now >= until)
    }

    /// Until when an ending pod waits for the operator's word on the program's begin and end.
    fn wait_deadline(&self) -> Option<Timestamp> {
        let at = self.terminating?;
        Some(match (self.restored.begin, self.stream) {
            (Some(_), None) => at,
            (Some(_), Some(_)) => plus(at, WAIT_FOR_END),
            // It was there when the pod ended: it would have told a begin.
            (None, Some(stream)) if stream.since <= at => plus(at, WAIT_FOR_END),
            (None, _) => plus(at, WAIT_FOR_BEGIN),
        })
    }

    fn count(&self, now: Timestamp, last: bool) -> GpuSeconds {
        let Some(chain) = self.restored.evidence.as_ref().map(Evidence::chain) else { return GpuSeconds::ZERO };
        let known = [self.stop, self.terminating].into_iter().flatten().fold(now, Timestamp::min);
        let end = if last { known } else { plus(known, -UNSEEN) };
        let used = self.restored.begin.map_or(GpuSeconds::ZERO, |begin| self.used(begin, end));
        chain.header().base_gpu_seconds.saturating_add(used).max(chain.gpu_seconds())
    }

    /// Time of all cards less that of the dead ones.
    fn used(&self, begin: Timestamp, end: Timestamp) -> GpuSeconds {
        let ran = Duration::try_from(end.duration_since(begin)).unwrap_or_default();
        let lost = Duration::from_millis(self.restored.outages.lost_millis(begin, end));
        GpuSeconds::elapsed(1, ran.saturating_mul(u32::from(self.job.gpus)).saturating_sub(lost))
    }

    fn send_pending(&mut self, effects: &mut Vec<Effect>) {
        let (Some(stream), Some(evidence)) = (&mut self.stream, &self.restored.evidence) else { return };
        let first = stream.next;
        for line in evidence.pending().iter().take(WINDOW).filter(|line| line.sequence >= first) {
            stream.next = line.sequence + 1;
            let message = Some(sidecar_message::Message::Report(line.message()));
            effects.push(Effect::Send(SidecarMessage { message }));
        }
    }
}

fn plus(at: Timestamp, more: SignedDuration) -> Timestamp {
    at.saturating_add(more).unwrap_or(Timestamp::MAX)
}

fn from_millis(millis: u64, now: Timestamp) -> Timestamp {
    i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(now)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
