//! What is remembered of each offer while this process runs. Cheap to lose: a new process begins with a full measure of
//! updates and declines, and looks at earlier terms once more.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hawser_contracts::{JobId, OfferId};

use super::budget::Budget;
use super::pace::Pace;
use super::serves::Obstacle;

/// By namespace and name of the `GpuOffer`.
#[derive(Default)]
pub(crate) struct Offers(Mutex<HashMap<(String, String), Remembered>>);

/// Of one offer.
pub(crate) struct Remembered {
    pub pace: Pace,
    budget: Budget,
    /// The reason that is in the way, and since when.
    since: Option<(String, Instant)>,
    /// Earlier terms that were seen to take no orders: they never will again.
    closed: HashSet<OfferId>,
    /// A canary's pod may be there: an earlier process may have sent one.
    pub canary: bool,
    /// This process has written the attestation service's CA into the namespace.
    pub ca: bool,
}

/// What the market is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// In the way of all orders.
    pub obstacle: Option<Obstacle>,
    /// GPUs that one order can ask for.
    pub available: u16,
}

impl Remembered {
    fn new(now: Instant) -> Self {
        Self {
            pace: Pace::new(now),
            budget: Budget::new(now),
            since: None,
            closed: HashSet::new(),
            canary: true,
            ca: false,
        }
    }

    /// What the market is to be told, where it says `standing` (none: nothing of the offer) and `could` be served but for
    /// an obstacle.
    pub(crate) fn tell(&mut self, standing: Option<u16>, could: u16, obstacle: Option<Obstacle>, now: Instant) -> Told {
        let Some(obstacle) = obstacle else {
            self.since = None;
            return Told { obstacle: None, available: self.pace.say(standing, could, now) };
        };
        let began = match &self.since {
            Some((reason, began)) if *reason == obstacle.reason => *began,
            _ => now,
        };
        self.since = Some((obstacle.reason.clone(), began));
        let sells = standing.filter(|standing| *standing > 0);
        if let Some(sells) = sells.filter(|_| now.duration_since(began) < obstacle.patience) {
            // It may be gone in a moment. No more is offered meanwhile.
            return Told { obstacle: None, available: self.pace.say(standing, could.min(sells), now) };
        }
        self.pace.stop(standing, now);
        Told { obstacle: Some(obstacle), available: 0 }
    }

    /// Of earlier terms, those that may still take orders.
    pub(crate) fn open(&self, earlier: impl IntoIterator<Item = OfferId>) -> Vec<OfferId> {
        let mut open: Vec<_> = earlier.into_iter().filter(|id| !self.closed.contains(id)).collect();
        open.sort();
        open.dedup();
        open
    }

    pub(crate) fn close(&mut self, id: OfferId) {
        self.closed.insert(id);
    }
}

impl Offers {
    /// Looks at, or changes, what is remembered of an offer.
    pub(crate) fn with<T>(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        look(offers.entry(key).or_insert_with(|| Remembered::new(Instant::now())))
    }

    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        let mut offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offers.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Whether the budget lets an order of the offer be declined now.
    pub(crate) fn may_decline(&self, namespace: &str, name: &str, job: JobId) -> bool {
        self.with(namespace, name, |offer| offer.budget.may_decline(job, Instant::now()))
    }

    /// Whether orders that were turned down and left to their deadline may be closed now.
    pub(crate) fn may_sweep(&self, namespace: &str, name: &str) -> bool {
        self.with(namespace, name, |offer| offer.budget.may_sweep(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy::primitives::FixedBytes;

    use super::*;

    #[test]
    fn a_network_that_is_away_for_a_moment_takes_nothing_from_the_market_and_one_that_stays_away_does() {
        let begin = Instant::now();
        let mut offer = Remembered::new(begin);
        let away = || Some(Obstacle::passing("NetworkNotReady", "m"));
        let wrong = || Some(Obstacle::new("NotRestricted", "m"));
        // After so many seconds: what stands, what could be served, what is in the way; what is said, and whether it counts.
        for (second, standing, could, obstacle, available, counts) in [
            (0, None, 8, away(), 0, true),
            (1, Some(8), 8, None, 8, false),
            (2, Some(8), 8, away(), 8, false),
            (20, Some(8), 6, away(), 6, false),
            (21, Some(6), 8, away(), 6, false),
            (33, Some(6), 8, away(), 0, true),
            (60, Some(0), 8, away(), 0, true),
            (70, Some(0), 8, None, 8, false),
            (75, Some(8), 8, wrong(), 0, true),
        ] {
            let told = offer.tell(standing, could, obstacle, begin + Duration::from_secs(second));
            assert_eq!((told.available, told.obstacle.is_some()), (available, counts), "after {second} s");
        }
    }

    #[test]
    fn every_earlier_offer_is_looked_at_until_it_is_closed() {
        let mut offer = Remembered::new(Instant::now());
        let [a, b] = [1, 2].map(|n| OfferId(FixedBytes([n; 12])));
        assert_eq!(offer.open([b, a, b]), [a, b]);
        offer.close(a);
        assert_eq!(offer.open([a, b]), [b]);
    }
}
