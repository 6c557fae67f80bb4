//! Verifies a job's whole evidence at once. [`Reader`](crate::Reader) does the same line by line.

use alloy::primitives::Address;
use hawser_market::{GpuSeconds, JobId};

use crate::{ChainError, ParseLineError, Reader, Summary, Wanted};

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
    /// It is not the evidence that was asked for.
    #[error("line {line}: it is the evidence of job {found}, asked for was that of job {asked}")]
    NotTheJob {
        /// Its number, from 1.
        line: usize,
        /// The job that was asked for.
        asked: JobId,
        /// The header's job.
        found: JobId,
    },
    /// It lies where another attestor's evidence belongs.
    #[error("line {line}: it is the evidence of attestor {found}, and lies where that of attestor {asked} belongs")]
    NotTheAttestor {
        /// Its number, from 1.
        line: usize,
        /// Whose evidence belongs there.
        asked: Address,
        /// The header's attestor.
        found: Address,
    },
    /// A header is of another job, market, number of GPUs, tier or version than the first.
    #[error(
        "line {line}: the attestor's header is of another job, market, number of GPUs, tier or version than the first one"
    )]
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
    let mut reader = Reader::new(Wanted { every_signature: true, ..Wanted::default() });
    reader.read(evidence)?;
    reader.finish()
}
