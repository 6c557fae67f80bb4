//! Takes reports: checks them, stores their evidence, and only then lets them count.

use hawser_attestation::{EvidenceChain, Line, SignedVoucher, TerminationMessage};
use hawser_market::GpuSeconds;
use hawser_proto::attestation::{RejectReason, Report};
use jiff::Timestamp;
use tokio::{sync::MutexGuard, time::Instant};

use super::{
    cards,
    check::{Checked, check_last_voucher, check_report, follow},
    enrol::Proven,
    evidence_writer::Open,
    expected::{ExpectedMeter, JobRef, MemberRef},
    holders::Shown,
    refusal::Refusal,
    registry::Attestations,
};

/// What became of a batch of reports.
#[derive(Debug)]
pub(super) struct Intake {
    /// Every line before this one is stored.
    pub(super) next_sequence: u64,
    /// The first report that was refused; those after it were not looked at.
    pub(super) refused: Option<(u64, Refusal)>,
    /// Until when the others are held back, if they are.
    pub(super) held_until: Option<Instant>,
}

type Locked<'a> = MutexGuard<'a, Option<Box<Open>>>;

impl Attestations {
    /// Evidence of an attestor that just proved itself, as the store has it: the sidecar goes on from there.
    pub(super) async fn stored_before(&self, proven: &Proven) -> Result<Option<EvidenceChain>, Refusal> {
        let Some((_, writer)) = self.expected(&proven.member) else { return Err(unknown_job(&proven.member.job)) };
        let mut writer = writer.lock().await;
        self.write_held(&mut writer, proven).await?;
        let chain = self.open(&mut writer, proven).await?.stored.chain.clone();
        if let Some(chain) = &chain {
            self.advanced(&proven.member, proven.attestor, chain, 0, Timestamp::now());
        }
        Ok(chain)
    }

    /// Takes reports in order up to the first that does not count.
    pub(super) async fn ingest(&self, proven: &Proven, gpu_uuids: &[String], reports: &[Report]) -> Intake {
        let now = Timestamp::now();
        let refuse = |next_sequence, refusal| Intake {
            next_sequence,
            refused: Some((reports.first().map_or(0, |report| report.sequence), refusal)),
            held_until: None,
        };
        let Some((expected, writer)) = self.expected(&proven.member) else {
            return refuse(0, unknown_job(&proven.member.job));
        };
        if let Err(refusal) = self.shared(&proven.member.job) {
            return refuse(0, refusal);
        }
        let mut writer = writer.lock().await;
        let open = match self.open(&mut writer, proven).await {
            Ok(open) => open,
            Err(refusal) => return refuse(0, refusal),
        };
        let (mut newest, mut refused) = (None, None);
        for report in reports {
            match check_report(&expected, proven.attestor, gpu_uuids, open.head(), report, now) {
                Ok(Checked { chain, line }) => {
                    newest = Some(line.clone());
                    open.hold(chain, line);
                }
                Err(refusal) => {
                    refused = Some((report.sequence, refusal));
                    break;
                }
            }
        }
        if let Some(newest) = newest {
            self.reported(&proven.member, proven.attestor, cards::dead(&newest), now);
            if let Some(shown) = open.head().and_then(|chain| Shown::by(chain, &newest)) {
                self.showed(&proven.member, shown);
            }
        }
        let next = open.stored.next_sequence();
        let (due, held_until) = (open.is_due(Instant::now()), open.due());
        // A refusal ends the stream: what was right before it is kept.
        if due || refused.is_some() {
            return match self.write_held(&mut writer, proven).await {
                Ok(next_sequence) => Intake { next_sequence, refused, held_until: None },
                Err(refusal) => refuse(next, refusal),
            };
        }
        Intake { next_sequence: next, refused, held_until }
    }

    /// Stores what is held back of this attestor's reports. Every line before the number that it gives is stored.
    pub(super) async fn store_held(&self, proven: &Proven) -> Result<u64, Refusal> {
        let Some((_, writer)) = self.expected(&proven.member) else { return Err(unknown_job(&proven.member.job)) };
        let mut writer = writer.lock().await;
        self.write_held(&mut writer, proven).await
    }

    /// Takes the voucher from the termination message of a member's meter, by the same checks as a report, and stores
    /// the evidence lines that it brings. Nothing more comes from this meter.
    pub async fn read_termination_message(&self, member: &MemberRef, text: &str) -> Result<SignedVoucher, Refusal> {
        let message = TerminationMessage::parse(text).map_err(|error| foreign(&error))?;
        let attestor = message.attestor;
        let read = self.read_message(member, message).await;
        match &read {
            Ok(voucher) => self.terminated(member, attestor, *voucher),
            Err(refusal) => self.refused(&member.job, refusal),
        }
        read
    }

    /// The same of a meter that was started again, or is about to be: it goes on, or so it is hoped. Kubelet keeps the
    /// message of a container's newest end only, so it is read while it is there.
    pub async fn read_earlier_message(&self, member: &MemberRef, text: &str) -> Result<(), Refusal> {
        if self.was_read(member, text) {
            return Ok(());
        }
        let read = match TerminationMessage::parse(text) {
            Ok(message) => self.read_message(member, message).await.map(|_| ()),
            Err(error) => Err(foreign(&error)),
        };
        if !matches!(&read, Err(refusal) if refusal.reason == RejectReason::Unavailable) {
            self.note_read(member, text);
        }
        read
    }

    async fn read_message(&self, member: &MemberRef, message: TerminationMessage) -> Result<SignedVoucher, Refusal> {
        let now = Timestamp::now();
        let Some((expected, writer)) = self.expected(member) else { return Err(unknown_job(&member.job)) };
        self.shared(&member.job)?;
        let proven = Proven { member: member.clone(), id: expected.id, attestor: message.attestor, gpu_uuids: None };
        let mut writer = writer.lock().await;
        let opened = match self.write_held(&mut writer, &proven).await {
            Ok(_) => self.open(&mut writer, &proven).await.map(|open| open.stored.chain.clone()),
            Err(refusal) => Err(refusal),
        };
        let base = base(&expected, opened.as_ref().ok().and_then(Option::as_ref));
        check_last_voucher(&expected, message.attestor, base, &message.voucher, now)?;
        // The voucher is good, so it can be claimed while the store is away; its evidence is stored when this is read
        // again.
        let offer = |unavailable| {
            self.propose(member, message.attestor, message.voucher);
            unavailable
        };
        let (chain, lines) = continued(opened.map_err(offer)?, &message.lines)?;
        if let Some(chain) = chain.clone().filter(|_| !lines.is_empty()) {
            let open = self.open(&mut writer, &proven).await.map_err(offer)?;
            for line in lines {
                open.hold(chain.clone(), line);
            }
            self.write_held(&mut writer, &proven).await.map_err(offer)?;
        } else if let Some(chain) = &chain {
            self.advanced(member, message.attestor, chain, 0, now);
        }
        if let Some(chain) = chain.filter(|chain| chain.gpu_seconds() >= message.voucher.gpu_seconds) {
            return Ok(chain.voucher());
        }
        tracing::warn!(%member, attestor = %message.attestor, "the last voucher's evidence is not whole: lines are missing");
        // The newest all the same: what is signed is owed.
        self.propose(member, message.attestor, message.voucher);
        Ok(message.voucher)
    }

    async fn open<'a>(&self, writer: &'a mut Locked<'_>, proven: &Proven) -> Result<&'a mut Open, Refusal> {
        if writer.as_ref().is_none_or(|open| open.attestor != proven.attestor) {
            let loaded = self.evidence().load(proven.id, proven.attestor).await;
            let stored = loaded.map_err(|error| unavailable(&error))?;
            self.found(&proven.member, stored.newest().as_ref().and_then(cards::dead));
            **writer = Some(Box::new(Open::new(proven.attestor, stored, Instant::now())));
        }
        writer.as_deref_mut().ok_or_else(|| unknown_job(&proven.member.job))
    }

    /// Stores what is held back, also of another attestor that was there before: it counts from then on.
    async fn write_held(&self, writer: &mut Locked<'_>, proven: &Proven) -> Result<u64, Refusal> {
        // Whatever a failing write leaves behind is read again before anything else is written.
        let Some(open) = writer.take() else { return Ok(0) };
        let Some(chain) = open.head().filter(|_| !open.held().is_empty()).cloned() else {
            return Ok(writer.insert(open).stored.next_sequence());
        };
        let (longer, files) = open.stored.with(chain.clone(), open.held());
        for file in &files {
            self.evidence().write(proven.id, open.attestor, file).await.map_err(|error| unavailable(&error))?;
        }
        let reports = u64::try_from(open.held().len()).unwrap_or(u64::MAX);
        let attestor = open.attestor;
        **writer = Some(Box::new(open.written(longer)));
        self.advanced(&proven.member, attestor, &chain, reports, Timestamp::now());
        Ok(chain.next_sequence())
    }
}

/// The evidence with those of the lines that follow it; lines that it holds already are passed over.
fn continued(mut chain: Option<EvidenceChain>, lines: &[Line]) -> Result<(Option<EvidenceChain>, Vec<Line>), Refusal> {
    let mut new = Vec::new();
    for line in lines {
        match (follow(chain.as_ref(), line), new.is_empty()) {
            (Ok(longer), _) => {
                chain = Some(longer);
                new.push(line.clone());
            }
            (Err(_), true) => {}
            (Err(refusal), false) => return Err(refusal),
        }
    }
    Ok((chain, new))
}

fn base(expected: &ExpectedMeter, chain: Option<&EvidenceChain>) -> GpuSeconds {
    chain.map_or(expected.base_gpu_seconds, |chain| chain.header().base_gpu_seconds)
}

/// A message of somebody else in the place of meter's: kubelet's or the runtime's own error. It says nothing of a
/// voucher, so it takes none away.
fn foreign(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RejectReason::BrokenChain, error.to_string())
}

fn unknown_job(job: &JobRef) -> Refusal {
    Refusal::new(RejectReason::UnknownJob, format!("job {job} is over"))
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RejectReason::Unavailable, error.to_string())
}
