use alloy::primitives::Address;

use crate::{Body, Chain, ChainError, GpuSeconds, Header, Line, ParseLineError, SegmentSummary, Summary, Vouched};

/// Most evidence that is read, in bytes: a job of one GPU, a report each 10 seconds, for about a year.
pub const MAX_EVIDENCE_BYTES: usize = 2 << 30;

/// Why evidence is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Nothing there.
    #[error("the evidence is empty")]
    Empty,
    /// More than [`MAX_EVIDENCE_BYTES`].
    #[error("the evidence has {0} bytes, at most {MAX_EVIDENCE_BYTES} are read")]
    TooLong(usize),
    /// Not text, or cut off.
    #[error("line {line}: it is not UTF-8 text that ends in a line feed: cut off while it was fetched?")]
    Cut {
        /// Its number, from 1.
        line: usize,
    },
    /// A line can't be read.
    #[error("line {line}: {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        error: ParseLineError,
    },
    /// A line does not follow the ones before it.
    #[error("line {line}: {error}")]
    Chain {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        error: ChainError,
    },
    /// A header is of another job, market or number of GPUs than the first.
    #[error("line {line}: the attestor's header is of another job, market or number of GPUs than the first one")]
    OtherJob {
        /// Its number, from 1.
        line: usize,
    },
    /// An attestor comes twice: its files were not put together in order.
    #[error("line {line}: attestor {attestor} was there before: put its files together in order, each once")]
    AttestorTwice {
        /// Its number, from 1.
        line: usize,
        /// The attestor.
        attestor: Address,
    },
    /// Use that no evidence is there for.
    #[error("line {line}: the count goes on from {base}, the evidence before it ends at {had}: a part is missing")]
    Missing {
        /// Its number, from 1.
        line: usize,
        /// Where the attestor goes on.
        base: GpuSeconds,
        /// Where the evidence before it ends.
        had: GpuSeconds,
    },
}

/// Checks a job's evidence: every line's hash, signature, sequence, count, time and GPUs, over all its attestors in
/// order. Says nothing of the chain: compare the summary's attestors and roots with what the market logged.
pub fn verify(evidence: &[u8]) -> Result<Summary, EvidenceError> {
    if evidence.is_empty() {
        return Err(EvidenceError::Empty);
    }
    if evidence.len() > MAX_EVIDENCE_BYTES {
        return Err(EvidenceError::TooLong(evidence.len()));
    }
    let mut reading: Option<Reading> = None;
    for (index, bytes) in evidence.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let text = bytes
            .strip_suffix(b"\n")
            .and_then(|text| str::from_utf8(text).ok())
            .ok_or(EvidenceError::Cut { line: number })?;
        let line = Line::parse(text).map_err(|error| EvidenceError::Line { line: number, error })?;
        match reading.as_mut() {
            Some(reading) => reading.add(number, &line)?,
            None => reading = Some(Reading::begin(number, &line)?),
        }
    }
    reading.map(|r| r.summary).ok_or(EvidenceError::Empty)
}

struct Reading {
    summary: Summary,
    chain: Chain,
}

impl Reading {
    fn begin(number: usize, line: &Line) -> Result<Self, EvidenceError> {
        let chain = Chain::open(line).map_err(|error| EvidenceError::Chain { line: number, error })?;
        let base = chain.header().base_gpu_seconds;
        if base != GpuSeconds::ZERO {
            return Err(EvidenceError::Missing { line: number, base, had: GpuSeconds::ZERO });
        }
        let mut reading = Self { summary: Summary::new(chain.header()), chain };
        reading.begin_segment();
        Ok(reading)
    }

    fn add(&mut self, number: usize, line: &Line) -> Result<(), EvidenceError> {
        let chain_error = |error| EvidenceError::Chain { line: number, error };
        if let Ok(Body::Header(header)) = line.read_body() {
            self.check_next(number, &header)?;
            self.chain = Chain::open(line).map_err(chain_error)?;
            self.begin_segment();
            return Ok(());
        }
        let report = self.chain.follow(line).map_err(chain_error)?;
        self.summary.add_samples(&report);
        self.summary.reports += 1;
        if let Some(segment) = self.summary.segments.last_mut() {
            segment.reports += 1;
        }
        self.note();
        Ok(())
    }

    fn check_next(&self, number: usize, header: &Header) -> Result<(), EvidenceError> {
        let first = &self.summary;
        if (header.job_id, header.market(), header.gpus) != (first.job_id, first.market, first.gpus) {
            return Err(EvidenceError::OtherJob { line: number });
        }
        if first.segments.iter().any(|segment| segment.attestor == header.attestor) {
            return Err(EvidenceError::AttestorTwice { line: number, attestor: header.attestor });
        }
        let had = self.chain.gpu_seconds();
        if header.base_gpu_seconds > had {
            return Err(EvidenceError::Missing { line: number, base: header.base_gpu_seconds, had });
        }
        Ok(())
    }

    fn begin_segment(&mut self) {
        self.summary.segments.push(SegmentSummary::new(self.chain.header()));
        self.note();
    }

    fn note(&mut self) {
        let voucher = self.chain.voucher();
        self.summary.add_time(self.chain.time());
        self.summary.gpu_seconds = voucher.gpu_seconds;
        self.summary.vouchers.push(Vouched {
            gpu_seconds: voucher.gpu_seconds,
            evidence_root: voucher.evidence_root,
            attestor: self.chain.header().attestor,
        });
        if let Some(segment) = self.summary.segments.last_mut() {
            segment.gpu_seconds = voucher.gpu_seconds;
            segment.finished = self.chain.finished();
        }
    }
}
