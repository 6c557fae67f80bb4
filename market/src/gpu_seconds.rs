//! Use, as the market counts it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Whole seconds of one GPU: two GPUs for three seconds are 6. The market counts in the same unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuSeconds(pub u64);

impl GpuSeconds {
    /// No use.
    pub const ZERO: Self = Self(0);

    /// This many GPUs for this long, rounded down: nobody pays for a second that has not passed.
    pub fn elapsed(gpus: u16, time: Duration) -> Self {
        let millis = time.as_millis().saturating_mul(u128::from(gpus));
        Self(u64::try_from(millis / 1000).unwrap_or(u64::MAX))
    }

    /// Sum; stays at the greatest number instead of wrapping round.
    #[must_use]
    pub fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl fmt::Display for GpuSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_per_gpu_and_rounded_down() {
        for (gpus, millis, seconds) in [(1, 999, 0), (1, 1000, 1), (2, 1500, 3), (3, 1999, 5), (8, 124, 0), (8, 125, 1)]
        {
            assert_eq!(GpuSeconds::elapsed(gpus, Duration::from_millis(millis)), GpuSeconds(seconds));
        }
    }

    #[test]
    fn a_count_never_wraps_round() {
        assert_eq!(GpuSeconds::elapsed(u16::MAX, Duration::MAX), GpuSeconds(u64::MAX));
        assert_eq!(GpuSeconds(u64::MAX).saturating_add(GpuSeconds(1)), GpuSeconds(u64::MAX));
    }
}
