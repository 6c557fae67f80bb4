//! When a failed look is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Name;

const FIRST: Duration = Duration::from_secs(1);
/// What has failed for hours is tried so often: after an API server's return nothing waits for long.
const LONGEST: Duration = Duration::from_secs(16);

/// How often in a row the looks at an object have failed, by kind and name. Those that never failed are not in it.
#[derive(Debug, Default)]
pub(crate) struct Backoffs(Mutex<HashMap<(&'static str, Name), u32>>);

impl Backoffs {
    /// After one more failure: how long to wait.
    pub(crate) fn failed(&self, kind: &'static str, name: Name) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = all.entry((kind, name)).or_default();
        *failures = failures.saturating_add(1);
        delay(*failures, rand::random())
    }

    /// After a look that went well, and where there is no object any more.
    pub(crate) fn forget(&self, kind: &'static str, name: Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, name));
    }
}

/// Twice as long with each failure; `chance` spreads what failed together by a quarter to both sides.
fn delay(failures: u32, chance: u8) -> Duration {
    let grown = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    grown * 3 / 4 + grown * u32::from(chance) / 510
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest_and_chance_spreads_it() {
        for (failures, least, most) in [(1, 750, 1250), (2, 1500, 2500), (4, 6000, 10_000), (5, 12_000, 20_000)] {
            assert_eq!(delay(failures, 0), Duration::from_millis(least), "{failures}");
            assert_eq!(delay(failures, u8::MAX), Duration::from_millis(most), "{failures}");
        }
        assert_eq!(delay(u32::MAX, u8::MAX), Duration::from_secs(20));
    }

    #[test]
    fn failures_are_counted_by_object_and_forgotten_after_a_look_that_went_well() {
        let backoffs = Backoffs::default();
        let job = |name: &str| ("t".to_owned(), name.to_owned());
        for _ in 0..10 {
            backoffs.failed("ComputeJob", job("a"));
        }
        assert!(backoffs.failed("ComputeJob", job("a")) >= Duration::from_secs(12));
        assert!(backoffs.failed("ComputeJob", job("b")) <= Duration::from_millis(1250));
        assert!(backoffs.failed("GpuOffer", job("a")) <= Duration::from_millis(1250));
        backoffs.forget("ComputeJob", job("a"));
        assert!(backoffs.failed("ComputeJob", job("a")) <= Duration::from_millis(1250));
    }
}
