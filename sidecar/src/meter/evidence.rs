//! The attestor's evidence: signs each line, and keeps those that the operator has not confirmed.

use std::collections::VecDeque;

use alloy::signers::local::PrivateKeySigner;
use hawser_attestation::{
    Body, ChainError, EvidenceChain, EvidenceRoot, Header, Line, Report, SignError, SignedVoucher, TerminationMessage,
};
use hawser_market::GpuSeconds;
use hawser_proto::attestation as proto;
use serde::{Deserialize, Serialize};

/// A line that the operator has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingLine {
    pub(crate) sequence: u64,
    gpu_seconds: GpuSeconds,
    root: EvidenceRoot,
    line: Line,
}

impl PendingLine {
    pub(crate) fn message(&self) -> proto::Report {
        proto::Report {
            sequence: self.sequence,
            body: self.line.body.clone().into_bytes(),
            gpu_seconds: self.gpu_seconds.0,
            evidence_root: self.root.0.to_vec(),
            signature: self.line.signature.to_bytes().to_vec(),
        }
    }
}

/// The attestor's evidence: what has to be kept of it to go on, and to send again.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    header: Line,
    last: Line,
    chain: EvidenceChain,
    pending: VecDeque<PendingLine>,
}

/// The same to be written down.
#[derive(Debug, Serialize)]
pub(crate) struct EvidenceToStore<'a> {
    header: &'a Line,
    last: &'a Line,
    pending: &'a VecDeque<PendingLine>,
}

/// The same as it was written down.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoredEvidence {
    header: Line,
    last: Line,
    pending: VecDeque<PendingLine>,
}

/// Why a line could not be added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("own evidence does not hold: {0}")]
    Chain(#[from] ChainError),
    #[error("the line can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Evidence {
    pub(crate) fn open(key: &PrivateKeySigner, header: Header) -> Result<Self, EvidenceError> {
        let (market, job, base) = (header.market(), header.job_id, header.base_gpu_seconds);
        let body = serde_json::to_string(&Body::Header(header))?;
        let root = EvidenceRoot::EMPTY.then(body.as_bytes());
        let signature = SignedVoucher::sign(key, market, job, base, root)?.signature;
        let line = Line { body, signature };
        let chain = EvidenceChain::open(&line)?;
        let pending = PendingLine { sequence: 0, gpu_seconds: base, root, line: line.clone() };
        Ok(Self { header: line.clone(), last: line, chain, pending: [pending].into() })
    }

    pub(crate) fn add(&mut self, key: &PrivateKeySigner, mut report: Report) -> Result<(), EvidenceError> {
        report.sequence = self.chain.next_sequence();
        report.previous = self.chain.root();
        let header = self.chain.header();
        let (sequence, gpu_seconds) = (report.sequence, report.gpu_seconds);
        let body = serde_json::to_string(&Body::Report(report))?;
        let root = self.chain.root().then(body.as_bytes());
        let signature = SignedVoucher::sign(key, header.market(), header.job_id, gpu_seconds, root)?.signature;
        let line = Line { body, signature };
        // Checked as the operator and the customer will: what they would refuse is not made.
        self.chain.follow(&line)?;
        self.last = line.clone();
        self.pending.push_back(PendingLine { sequence, gpu_seconds, root, line });
        Ok(())
    }

    /// The operator holds every line before this one.
    pub(crate) fn confirmed(&mut self, next: u64) {
        self.pending.retain(|line| line.sequence >= next);
    }

    pub(crate) fn pending(&self) -> &VecDeque<PendingLine> {
        &self.pending
    }

    pub(crate) fn chain(&self) -> &EvidenceChain {
        &self.chain
    }

    pub(crate) fn termination_message(&self) -> TerminationMessage {
        TerminationMessage {
            attestor: self.chain.header().attestor,
            voucher: self.chain.voucher(),
            sequence: self.chain.next_sequence() - 1,
            last: self.chain.finished(),
            // More would never fit, and copying them all at each report would cost more the longer nobody answers.
            lines: self.pending.iter().skip(self.pending.len().saturating_sub(16)).map(|p| p.line.clone()).collect(),
        }
    }

    pub(crate) fn keeping(&self) -> EvidenceToStore<'_> {
        EvidenceToStore { header: &self.header, last: &self.last, pending: &self.pending }
    }
}

impl TryFrom<StoredEvidence> for Evidence {
    type Error = ChainError;

    fn try_from(kept: StoredEvidence) -> Result<Self, ChainError> {
        let StoredEvidence { header, last, pending } = kept;
        let chain = if header == last { EvidenceChain::open(&header)? } else { EvidenceChain::resume(&header, &last)? };
        Ok(Self { header, last, chain, pending })
    }
}
