//! Evidence as it comes, in pieces of any size: what is held does not grow with it.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use hawser_market::JobId;

use crate::{
    Body, ChainError, EvidenceChain, EvidenceError, EvidenceRoot, Header, Line, MAX_EVIDENCE_BYTES, MAX_LINE_BYTES,
    ParseLineError, Report, Summary, gaps::Gaps,
};

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The job that the evidence has to be of; `None`: of whichever its first header names.
    pub job: Option<JobId>,
    /// Roots whose vouchers are kept in the summary, the claimed ones for instance; `None`: every voucher.
    pub roots: Option<BTreeSet<EvidenceRoot>>,
    /// Check the signature of every line. Without it, those of each header, of each wanted root and of each attestor's last
    /// line: they cover all lines before theirs, and checking one costs more than all else of a line.
    pub every_signature: bool,
}

/// Checks a job's evidence while it is read.
#[derive(Debug)]
pub struct Reader {
    wanted: Wanted,
    /// A line that has not come to its end yet.
    open: Vec<u8>,
    bytes: usize,
    lines: usize,
    /// Whose evidence this part has to be.
    of: Option<Address>,
    /// A part has begun, and its header has not come yet.
    fresh: bool,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    summary: Summary,
    chain: EvidenceChain,
    gaps: Gaps,
}

impl Reader {
    /// Has read nothing yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, open: Vec::new(), bytes: 0, lines: 0, of: None, fresh: true, reading: None }
    }

    /// What comes next is the evidence of one attestor from its header on, of this one where it is known.
    pub fn part(&mut self, of: Option<Address>) {
        self.of = of;
        self.fresh = true;
    }

    /// Whether anything was read.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Reads on.
    pub fn read(&mut self, piece: &[u8]) -> Result<(), EvidenceError> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLong(self.bytes));
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(part);
            if self.open.len() > MAX_LINE_BYTES + 1 {
                let error = ParseLineError::TooLong(self.open.len());
                return Err(EvidenceError::Line { line: self.lines + 1, error });
            }
            if part.ends_with(b"\n") {
                let mut text = std::mem::take(&mut self.open);
                text.pop();
                self.line(&text)?;
                text.clear();
                self.open = text;
            }
        }
        Ok(())
    }

    /// A file ends here: with a whole line.
    pub fn end_of_file(&self) -> Result<(), EvidenceError> {
        if self.open.is_empty() { Ok(()) } else { Err(EvidenceError::Cut { line: self.lines + 1 }) }
    }

    /// All of it was read.
    pub fn finish(self) -> Result<Summary, EvidenceError> {
        self.end_of_file()?;
        let mut reading = self.reading.ok_or(EvidenceError::Empty)?;
        reading.prove(self.lines, self.wanted.every_signature)?;
        reading.summary.usual_gap = reading.gaps.usual();
        Ok(reading.summary)
    }

    fn line(&mut self, text: &[u8]) -> Result<(), EvidenceError> {
        self.lines += 1;
        let number = self.lines;
        let text = str::from_utf8(text).map_err(|_| EvidenceError::Cut { line: number })?;
        let line = Line::parse(text).map_err(|error| EvidenceError::Line { line: number, error })?;
        let fresh = std::mem::take(&mut self.fresh);
        let chain_error = |error| EvidenceError::Chain { line: number, error };
        if !fresh && let Some(reading) = self.reading.as_mut() {
            match line.read_body().map_err(|error| chain_error(error.into()))? {
                Body::Report(report) => return reading.report(number, &line, &report, &self.wanted),
                Body::Header(_) => {}
            }
        }
        let chain = EvidenceChain::open(&line).map_err(chain_error)?;
        self.check_asked(number, chain.header())?;
        match self.reading.as_mut() {
            Some(reading) => {
                reading.check_next(number, chain.header())?;
                reading.prove(number - 1, self.wanted.every_signature)?;
                reading.chain = chain;
            }
            None => self.reading = Some(Reading::begin(number, chain)?),
        }
        if let Some(reading) = self.reading.as_mut() {
            reading.summary.begin_segment(reading.chain.header());
            reading.note(&self.wanted);
        }
        Ok(())
    }

    fn check_asked(&self, line: usize, header: &Header) -> Result<(), EvidenceError> {
        if let Some(asked) = self.wanted.job.filter(|asked| *asked != header.job_id) {
            return Err(EvidenceError::NotTheJob { line, asked, found: header.job_id });
        }
        match self.of {
            Some(asked) if asked != header.attestor => {
                Err(EvidenceError::NotTheAttestor { line, asked, found: header.attestor })
            }
            _ => Ok(()),
        }
    }
}

impl Reading {
    fn begin(line: usize, chain: EvidenceChain) -> Result<Self, EvidenceError> {
        let base = chain.header().base_gpu_seconds;
        if base.0 != 0 {
            return Err(EvidenceError::Missing { line, base, had: hawser_market::GpuSeconds::ZERO });
        }
        Ok(Self { summary: Summary::new(chain.header()), chain, gaps: Gaps::default() })
    }

    fn report(&mut self, number: usize, line: &Line, report: &Report, wanted: &Wanted) -> Result<(), EvidenceError> {
        let chain_error = |error| EvidenceError::Chain { line: number, error };
        let before = self.chain.time();
        if let Err(error) = self.chain.take(line, report, wanted.every_signature) {
            // It may follow what the attestor wrote before somebody changed the line before it.
            self.prove(number - 1, wanted.every_signature)?;
            return Err(chain_error(error));
        }
        if !report.last {
            self.gaps.add(before, report.time);
        }
        self.summary.add_report(number, before, self.chain.header(), report);
        self.note(wanted);
        if !wanted.every_signature && wanted.is_kept(self.chain.root()) {
            self.chain.prove().map_err(chain_error)?;
        }
        Ok(())
    }

    /// The signature of an attestor's last line, unless it was looked at as every other.
    fn prove(&self, line: usize, was: bool) -> Result<(), EvidenceError> {
        if was {
            return Ok(());
        }
        self.chain.prove().map_err(|error: ChainError| EvidenceError::Chain { line, error })
    }

    fn check_next(&self, line: usize, header: &Header) -> Result<(), EvidenceError> {
        let first = &self.summary;
        let of = (header.job_id, header.market(), header.gpus, header.tier, header.version);
        if of != (first.job_id, first.market, first.gpus, first.tier, first.version) {
            return Err(EvidenceError::OtherJob { line });
        }
        if first.segments.iter().any(|segment| segment.attestor == header.attestor) {
            return Err(EvidenceError::AttestorTwice { line, attestor: header.attestor });
        }
        let had = self.chain.gpu_seconds();
        if header.base_gpu_seconds > had {
            return Err(EvidenceError::Missing { line, base: header.base_gpu_seconds, had });
        }
        Ok(())
    }

    fn note(&mut self, wanted: &Wanted) {
        self.summary.note(&self.chain, wanted.is_kept(self.chain.root()));
    }
}

impl Wanted {
    fn is_kept(&self, root: EvidenceRoot) -> bool {
        self.roots.as_ref().is_none_or(|roots| roots.contains(&root))
    }
}
