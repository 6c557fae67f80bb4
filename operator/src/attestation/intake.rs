//! Takes reports: checks them, stores their evidence, and only then lets them count.

use alloy::primitives::Address;
use hawser_attestation::{Chain, GpuSeconds, Line, SignedVoucher, TerminationMessage};
use hawser_proto::attestation::{RejectReason, Report};
use jiff::Timestamp;
use tokio::sync::MutexGuard;

use super::{
    check::{Checked, check_last_voucher, check_report, follow},
    enrol::Proven,
    evidence::Stored,
    expected::{ExpectedJob, JobRef},
    refusal::Refusal,
    registry::Attestations,
};

/// What became of a batch of reports.
#[derive(Debug)]
pub(super) struct Taken {
    /// Every line before this one is stored.
    pub(super) next_sequence: u64,
    /// The first report that was refused; those after it were not looked at.
    pub(super) refused: Option<(u64, Refusal)>,
}

impl Attestations {
    /// Evidence of an attestor that just proved itself, as the store has it: the sidecar goes on from there.
    pub(super) async fn stored_before(&self, proven: &Proven) -> Result<Option<Chain>, Refusal> {
        let Some((_, ledger)) = self.expected(&proven.job) else { return Err(over(&proven.job)) };
        let mut ledger = ledger.lock().await;
        let chain = self.open(&mut ledger, proven).await?.chain.clone();
        if let Some(chain) = &chain {
            self.advanced(&proven.job, proven.attestor, chain, 0, Timestamp::now());
        }
        Ok(chain)
    }

    /// Takes reports in order up to the first that does not count.
    pub(super) async fn take(&self, proven: &Proven, gpu_uuids: &[String], reports: &[Report]) -> Taken {
        let now = Timestamp::now();
        let refuse = |next_sequence, refusal| Taken {
            next_sequence,
            refused: Some((reports.first().map_or(0, |report| report.sequence), refusal)),
        };
        let Some((expected, ledger)) = self.expected(&proven.job) else { return refuse(0, over(&proven.job)) };
        let mut ledger = ledger.lock().await;
        let stored = match self.open(&mut ledger, proven).await {
            Ok(stored) => stored.clone(),
            Err(refusal) => return refuse(0, refusal),
        };
        let mut chain = stored.chain.clone();
        let (mut lines, mut refused) = (Vec::new(), None);
        for report in reports {
            match check_report(&expected, proven.attestor, gpu_uuids, chain.as_ref(), report, now) {
                Ok(Checked { chain: longer, line }) => {
                    chain = Some(longer);
                    lines.push(line);
                }
                Err(refusal) => {
                    refused = Some((report.sequence, refusal));
                    break;
                }
            }
        }
        if let Some(chain) = chain.filter(|_| !lines.is_empty()) {
            if let Err(refusal) = self.store(&mut ledger, proven, &stored, chain.clone(), &lines).await {
                return refuse(stored.next_sequence(), refusal);
            }
            let reports = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            self.advanced(&proven.job, proven.attestor, &chain, reports, now);
            return Taken { next_sequence: chain.next_sequence(), refused };
        }
        Taken { next_sequence: stored.next_sequence(), refused }
    }

    /// Takes the voucher from the termination message of a job's meter, by the same checks as a report, and stores
    /// the evidence lines that it brings.
    pub async fn read_termination_message(&self, job: &JobRef, text: &str) -> Result<SignedVoucher, Refusal> {
        let message = TerminationMessage::parse(text)
            .map_err(|error| Refusal::new(RejectReason::BrokenChain, error.to_string()))?;
        let attestor = message.attestor;
        let read = self.read_message(job, message).await;
        match &read {
            Ok(voucher) => self.terminated(job, attestor, *voucher),
            Err(refusal) => self.refused(job, refusal),
        }
        read
    }

    async fn read_message(&self, job: &JobRef, message: TerminationMessage) -> Result<SignedVoucher, Refusal> {
        let now = Timestamp::now();
        let Some((expected, ledger)) = self.expected(job) else { return Err(over(job)) };
        let proven = Proven { job: job.clone(), id: expected.id, attestor: message.attestor, gpu_uuids: None };
        let mut ledger = ledger.lock().await;
        let opened = self.open(&mut ledger, &proven).await.cloned();
        let base = base(&expected, opened.as_ref().ok().and_then(|stored| stored.chain.as_ref()));
        check_last_voucher(&expected, message.attestor, base, &message.voucher, now)?;
        // The voucher is good, so it can be claimed while the store is away; its evidence is stored when this is read
        // again.
        let offer = |unavailable| {
            self.offer(job, message.attestor, message.voucher);
            unavailable
        };
        let stored = opened.map_err(offer)?;
        let (chain, lines) = continued(stored.chain.clone(), &message.lines)?;
        if let Some(chain) = chain.clone().filter(|_| !lines.is_empty()) {
            self.store(&mut ledger, &proven, &stored, chain, &lines).await.map_err(offer)?;
        }
        if let Some(chain) = &chain {
            let new = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            self.advanced(job, message.attestor, chain, new, now);
            if chain.gpu_seconds() >= message.voucher.gpu_seconds {
                return Ok(chain.voucher());
            }
        }
        tracing::warn!(%job, attestor = %message.attestor, "the last voucher's evidence is not whole: lines are missing");
        Ok(message.voucher)
    }

    async fn open<'a>(
        &self,
        ledger: &'a mut MutexGuard<'_, Option<(Address, Stored)>>,
        proven: &Proven,
    ) -> Result<&'a Stored, Refusal> {
        if ledger.as_ref().is_none_or(|(attestor, _)| *attestor != proven.attestor) {
            let stored = self.evidence().load(proven.id, proven.attestor).await.map_err(|error| unavailable(&error))?;
            **ledger = Some((proven.attestor, stored));
        }
        ledger.as_ref().map(|(_, stored)| stored).ok_or_else(|| over(&proven.job))
    }

    async fn store(
        &self,
        ledger: &mut MutexGuard<'_, Option<(Address, Stored)>>,
        proven: &Proven,
        stored: &Stored,
        chain: Chain,
        lines: &[Line],
    ) -> Result<(), Refusal> {
        let (longer, files) = stored.with(chain, lines);
        // Whatever a failing write leaves behind is read again before anything else is written.
        **ledger = None;
        for file in &files {
            self.evidence().write(proven.id, proven.attestor, file).await.map_err(|error| unavailable(&error))?;
        }
        **ledger = Some((proven.attestor, longer));
        Ok(())
    }
}

/// The evidence with those of the lines that follow it; lines that it holds already are passed over.
fn continued(mut chain: Option<Chain>, lines: &[Line]) -> Result<(Option<Chain>, Vec<Line>), Refusal> {
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

fn base(expected: &ExpectedJob, chain: Option<&Chain>) -> GpuSeconds {
    chain.map_or(expected.base_gpu_seconds, |chain| chain.header().base_gpu_seconds)
}

fn over(job: &JobRef) -> Refusal {
    Refusal::new(RejectReason::UnknownJob, format!("job {job} is over"))
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    Refusal::new(RejectReason::Unavailable, error.to_string())
}
