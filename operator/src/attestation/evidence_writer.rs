//! An attestor's evidence on its way to the store: what lies there, and what is held back until it is written.

use std::{sync::Arc, time::Duration};

use hawser_attestation::{Attestor, EvidenceChain, Line};
use tokio::time::Instant;

use super::evidence::Stored;

/// Whoever holds the lock is the one who writes it.
pub(super) type EvidenceWriter = Arc<tokio::sync::Mutex<Option<Box<Open>>>>;

/// Reports that are held back at most. A meter sends no more than 64 that are not confirmed.
const HELD: usize = 60;
/// Writes at once, at first: a short job's evidence can be read while it runs.
const PROMPT: u32 = 60;
/// After these, one write in so long: the open file is written anew each time.
const ONE_IN: Duration = Duration::from_mins(1);

/// One attestor's evidence.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) attestor: Attestor,
    pub(super) stored: Stored,
    /// Lines that follow what is stored. Nothing of them counts or is confirmed yet.
    held: Vec<Line>,
    /// With the held lines.
    head: Option<EvidenceChain>,
    spare: u32,
    counted: Instant,
}

impl Open {
    pub(super) fn new(attestor: Attestor, stored: Stored, now: Instant) -> Self {
        let head = stored.chain.clone();
        Self { attestor, stored, held: Vec::new(), head, spare: PROMPT, counted: now }
    }

    /// The evidence that the next line has to follow.
    pub(super) fn head(&self) -> Option<&EvidenceChain> {
        self.head.as_ref()
    }

    pub(super) fn held(&self) -> &[Line] {
        &self.held
    }

    pub(super) fn hold(&mut self, chain: EvidenceChain, line: Line) {
        self.head = Some(chain);
        self.held.push(line);
    }

    /// What is held is written now: the last report, as many as may be held, or because it was long ago.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let finished = self.head.as_ref().is_some_and(EvidenceChain::finished);
        self.spend(now) || finished || self.held.len() >= HELD
    }

    /// When what is held is written at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.held.is_empty()).then(|| self.counted + ONE_IN)
    }

    /// The same after what was held was written.
    pub(super) fn written(self, stored: Stored) -> Self {
        Self { head: stored.chain.clone(), stored, held: Vec::new(), ..self }
    }

    fn spend(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted).as_secs() / ONE_IN.as_secs();
        if passed > 0 {
            self.spare = self.spare.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX)).min(PROMPT);
            self.counted = now;
        }
        let may = self.spare > 0;
        self.spare = self.spare.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::evidence::tests::next_line;

    /// Adds a line to the evidence, as a meter would.
    fn add(open: &mut Open, last: bool) {
        let (chain, line) = next_line(open.head(), last);
        open.hold(chain, line);
    }

    fn write(open: Open) -> Open {
        let (longer, _) = open.stored.with(open.head().unwrap().clone(), open.held());
        open.written(longer)
    }

    /// Seconds at which the store is written, of so many reports with so many seconds between them.
    fn writes(reports: u64, every: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut open = Open::new(Attestor::ZERO, Stored::default(), start);
        let mut at = Vec::new();
        for n in 1..=reports {
            let now = start + Duration::from_secs(n * every);
            add(&mut open, false);
            if open.is_due(now) {
                at.push(n * every);
                open = write(open);
                assert!(open.due().is_none() && open.held().is_empty());
            } else {
                assert!(open.due().is_some_and(|due| due > now && due <= now + ONE_IN));
            }
        }
        at
    }

    #[test]
    fn the_first_minutes_are_written_at_once_and_then_one_write_a_minute() {
        let each_second = writes(600, 1);
        assert_eq!(each_second[..60], (1..=60).collect::<Vec<_>>());
        assert!(each_second[60..].windows(2).all(|pair| (59..=60).contains(&(pair[1] - pair[0]))), "{each_second:?}");
        let ten = writes(6 * 60 * 2, 10);
        assert!(ten.len() < 60 + 125 && ten[..60].windows(2).all(|pair| pair[1] - pair[0] == 10), "{ten:?}");
        assert!(ten.windows(2).all(|pair| pair[1] - pair[0] <= 60), "{ten:?}");
        // Reports that are rare are all written.
        assert_eq!(writes(500, 60).len(), 500);
    }

    #[tokio::test]
    async fn the_last_report_is_written_at_once() {
        let start = Instant::now();
        let mut open = Open::new(Attestor::ZERO, Stored::default(), start);
        open.spare = 0;
        add(&mut open, false);
        add(&mut open, false);
        assert!(!open.is_due(start));
        add(&mut open, true);
        assert!(open.is_due(start));
        let open = write(open);
        assert!(open.stored.chain.as_ref().is_some_and(EvidenceChain::finished));
    }
}
