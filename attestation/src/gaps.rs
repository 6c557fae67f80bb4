//! How long an attestor usually is silent: its interval stands nowhere in the evidence.

use std::time::Duration;

use jiff::Timestamp;

/// Longer gaps count as this one: meters report at least each five minutes.
const MOST_SECONDS: usize = 3600;

/// How often there was a gap of this many seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    counts: Vec<u64>,
}

impl Gaps {
    pub(crate) fn add(&mut self, from: Timestamp, to: Timestamp) {
        let seconds = (to.as_millisecond().saturating_sub(from.as_millisecond()) + 500) / 1000;
        let seconds = usize::try_from(seconds).unwrap_or_default().min(MOST_SECONDS);
        if self.counts.len() <= seconds {
            self.counts.resize(seconds + 1, 0);
        }
        self.counts[seconds] += 1;
    }

    /// The median, in whole seconds; none where there was no gap.
    pub(crate) fn usual(&self) -> Option<Duration> {
        let half = self.counts.iter().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let seconds = self.counts.iter().position(|count| {
            seen += count;
            half > 0 && seen >= half
        })?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_gap_is_the_median() {
        let usual = |gaps: &[i64]| {
            let mut all = Gaps::default();
            for gap in gaps {
                all.add(Timestamp::UNIX_EPOCH, Timestamp::from_millisecond(*gap).unwrap());
            }
            all.usual().map(|gap| gap.as_secs())
        };
        assert_eq!(usual(&[]), None);
        assert_eq!(usual(&[10_003]), Some(10));
        assert_eq!(usual(&[10_003, 9_998, 36_000_000]), Some(10));
        assert_eq!(usual(&[0, 0, 10_000]), Some(0));
        assert_eq!(usual(&[i64::from(u32::MAX) * 1000]), Some(3600));
    }
}
