//! The chain of one attestor's lines: which line may come next.
//!
//! ```text
//! root_0 = 0 ──header──> root_1 ──report 1──> root_2 ──report 2──> ...
//! ```
//!
//! [`EvidenceChain::open`] takes the header, [`EvidenceChain::follow`] a report. Each line must be signed by the attestor over the
//! root that the line leads to, continue the sequence, and count no less than the line before and no more than the time that has
//! passed.

use std::time::Duration;

use alloy::primitives::Address;
use jiff::Timestamp;

use crate::{Body, EvidenceRoot, Header, InvalidSignature, Line, Nvml, ParseLineError, Report, SignedVoucher};
use hawser_market::GpuSeconds;

/// How far a count may be ahead of the clock: two clocks are compared, and kubelet tells whole seconds.
pub const TOLERANCE: Duration = Duration::from_secs(2);

/// Why a line does not follow the lines before it.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It can't be read.
    #[error("the line can't be read: {0}")]
    Malformed(#[from] ParseLineError),
    /// An attestor's evidence begins with a header.
    #[error("an attestor's first line is its header, this is a report")]
    NotHeader,
    /// A header can't stand there.
    #[error("the header is wrong: {0}")]
    Header(&'static str),
    /// A second header where a report should be.
    #[error("a second header of attestor {0}")]
    SecondHeader(Address),
    /// The key that signed it is not the attestor's, or it signed something else.
    #[error("it is signed by {found}, not by attestor {attestor} over this line")]
    WrongSigner {
        /// The attestor.
        attestor: Address,
        /// Whose signature it is, as far as it can be recovered.
        found: Address,
    },
    /// The signature has no signer at all.
    #[error("its signature is wrong: {0}")]
    Signature(#[from] InvalidSignature),
    /// A line was left out, repeated or moved.
    #[error("its sequence is {found}, the next one is {expected}")]
    Sequence {
        /// What comes next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// It follows another line.
    #[error("it follows root {found}, the line before has root {expected}")]
    Broken {
        /// Root after the line before.
        expected: EvidenceRoot,
        /// What it says that root is.
        found: EvidenceRoot,
    },
    /// Use is cumulative.
    #[error("its count {found} is less than the {had} before it")]
    CountBack {
        /// The count before.
        had: GpuSeconds,
        /// The count now.
        found: GpuSeconds,
    },
    /// Time goes on.
    #[error("its time {found} is before the {had} of the line before")]
    TimeBack {
        /// Time of the line before.
        had: Timestamp,
        /// Time of this one.
        found: Timestamp,
    },
    /// More than the clock allows.
    #[error("it counts {found} GPU-seconds, from its own begin to its own time there are at most {most}")]
    TooMuch {
        /// The most that could be.
        most: GpuSeconds,
        /// The count.
        found: GpuSeconds,
    },
    /// Samples of other GPUs than the job's.
    #[error("its samples are of {}, the job's GPUs are {}", listed(found), listed(expected))]
    Gpus {
        /// The header's GPUs.
        expected: Vec<String>,
        /// The samples' GPUs.
        found: Vec<String>,
    },
    /// Nothing follows the last report.
    #[error("it follows the attestor's last report")]
    AfterLast,
}

fn listed(uuids: &[String]) -> String {
    if uuids.is_empty() { "no GPU".to_owned() } else { uuids.join(", ") }
}

/// One attestor's evidence, checked line by line as it grows.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceChain {
    header: Header,
    sequence: u64,
    root: EvidenceRoot,
    time: Timestamp,
    finished: bool,
    voucher: SignedVoucher,
}

impl EvidenceChain {
    /// Begins with an attestor's header.
    pub fn open(line: &Line) -> Result<Self, ChainError> {
        let Body::Header(header) = line.read_body()? else {
            return Err(ChainError::NotHeader);
        };
        check_header(&header)?;
        let root = EvidenceRoot::EMPTY.then(line.body.as_bytes());
        let voucher = check_signature(&header, line, header.base_gpu_seconds, root)?;
        Ok(Self { sequence: 0, root, time: header.time, finished: false, voucher, header })
    }

    /// Goes on after a report that is known to stand in the evidence (it was checked when it was stored): the lines
    /// between the header and it need not be read again.
    pub fn resume(header: &Line, last: &Line) -> Result<Self, ChainError> {
        let mut chain = Self::open(header)?;
        let Body::Report(report) = last.read_body()? else {
            return Err(ChainError::SecondHeader(chain.header.attestor));
        };
        chain.sequence = report.sequence.saturating_sub(1);
        chain.root = report.previous;
        chain.check(last, &report, true)?;
        chain.advance(last, &report)?;
        Ok(chain)
    }

    /// Takes the next line.
    pub fn follow(&mut self, line: &Line) -> Result<Report, ChainError> {
        let Body::Report(report) = line.read_body()? else {
            return Err(ChainError::SecondHeader(self.header.attestor));
        };
        self.take(line, &report, true)?;
        Ok(report)
    }

    /// Whether the newest line's signature is the attestor's, and with it its word on all lines.
    pub(crate) fn prove(&self) -> Result<(), ChainError> {
        check_signer(&self.header, self.voucher)
    }

    /// The attestor's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Sequence that the next line must have.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(1)
    }

    /// Head of the hash chain.
    pub fn root(&self) -> EvidenceRoot {
        self.root
    }

    /// Use so far.
    pub fn gpu_seconds(&self) -> GpuSeconds {
        self.voucher.gpu_seconds
    }

    /// Time of the last line.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether the attestor's last report is there.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The newest voucher.
    pub fn voucher(&self) -> SignedVoucher {
        self.voucher
    }

    /// Takes the next line, whose body says this. A signature covers every line before its own, so that of a later line
    /// proves this one too where it is not looked at now: see [`prove`](Self::prove).
    pub(crate) fn take(&mut self, line: &Line, report: &Report, proved: bool) -> Result<(), ChainError> {
        self.check(line, report, proved)?;
        self.advance(line, report)
    }

    fn check(&self, line: &Line, report: &Report, proved: bool) -> Result<(), ChainError> {
        if self.finished {
            return Err(ChainError::AfterLast);
        }
        let expected = self.next_sequence();
        if report.sequence != expected {
            return Err(ChainError::Sequence { expected, found: report.sequence });
        }
        if report.previous != self.root {
            return Err(ChainError::Broken { expected: self.root, found: report.previous });
        }
        if proved {
            let root = self.root.then(line.body.as_bytes());
            check_signature(&self.header, line, report.gpu_seconds, root)?;
        }
        let had = self.gpu_seconds();
        if report.gpu_seconds < had {
            return Err(ChainError::CountBack { had, found: report.gpu_seconds });
        }
        if report.time < self.time {
            return Err(ChainError::TimeBack { had: self.time, found: report.time });
        }
        check_bound(&self.header, report)?;
        check_gpus(&self.header, report)
    }

    fn advance(&mut self, line: &Line, report: &Report) -> Result<(), ChainError> {
        self.root = self.root.then(line.body.as_bytes());
        self.voucher = SignedVoucher {
            job: self.header.job_id,
            gpu_seconds: report.gpu_seconds,
            evidence_root: self.root,
            signature: line.signature,
        };
        self.sequence = report.sequence;
        self.time = report.time;
        self.finished = report.last;
        if self.sequence == u64::MAX { Err(ChainError::AfterLast) } else { Ok(()) }
    }
}

fn check_header(header: &Header) -> Result<(), ChainError> {
    let uuids = &header.gpu_uuids;
    if header.gpus == 0 {
        return Err(ChainError::Header("a job has at least one GPU"));
    }
    if !uuids.is_empty() && uuids.len() != usize::from(header.gpus) {
        return Err(ChainError::Header("gpuUuids has not one UUID for each GPU"));
    }
    if (1..uuids.len()).any(|i| uuids[..i].contains(&uuids[i])) {
        return Err(ChainError::Header("gpuUuids names a GPU twice"));
    }
    if header.nvml == Nvml::Visible && uuids.is_empty() {
        return Err(ChainError::Header("NVML is visible, but gpuUuids is empty"));
    }
    Ok(())
}

fn check_signature(
    header: &Header,
    line: &Line,
    gpu_seconds: GpuSeconds,
    root: EvidenceRoot,
) -> Result<SignedVoucher, ChainError> {
    let voucher = SignedVoucher { job: header.job_id, gpu_seconds, evidence_root: root, signature: line.signature };
    check_signer(header, voucher).map(|()| voucher)
}

fn check_signer(header: &Header, voucher: SignedVoucher) -> Result<(), ChainError> {
    let found = voucher.attestor(header.market())?;
    if found == header.attestor { Ok(()) } else { Err(ChainError::WrongSigner { attestor: header.attestor, found }) }
}

fn check_bound(header: &Header, report: &Report) -> Result<(), ChainError> {
    let most = match report.began_at {
        None => header.base_gpu_seconds,
        Some(began) => {
            let ran = Duration::try_from(report.time.duration_since(began)).unwrap_or_default();
            header.base_gpu_seconds.saturating_add(GpuSeconds::elapsed(header.gpus, ran.saturating_add(TOLERANCE)))
        }
    };
    if report.gpu_seconds > most {
        return Err(ChainError::TooMuch { most, found: report.gpu_seconds });
    }
    Ok(())
}

fn check_gpus(header: &Header, report: &Report) -> Result<(), ChainError> {
    let expected: &[String] = match header.nvml {
        Nvml::Visible => &header.gpu_uuids,
        Nvml::NotVisible => &[],
    };
    if report.gpus.iter().map(|gpu| &gpu.uuid).eq(expected) {
        return Ok(());
    }
    Err(ChainError::Gpus {
        expected: expected.to_vec(),
        found: report.gpus.iter().map(|gpu| gpu.uuid.clone()).collect(),
    })
}
