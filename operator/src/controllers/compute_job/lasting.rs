//! For how long something has been seen without a break, by a clock that nobody can set. What ends a job rests on the
//! chain's time or on this, never on the operator's wall clock.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::controllers::work::Name;

/// What is seen of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// Its chain can't be seen.
    Unseen,
    /// Its program runs.
    Running,
    /// Its pod is being deleted.
    Leaving,
    /// The same report is the newest.
    Silent,
    /// Its meter does not run, though its program does.
    MeterDown,
    /// Its image does not exist.
    ImageMissing,
    /// Its program has ended and its pod has not.
    Lingering,
    /// Its cards fail.
    Failing,
    /// What would have room for it is away for the moment.
    NodeAway,
}

/// For how long each fact has held; zero where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lasting {
    pub unseen: Duration,
    pub running: Duration,
    pub leaving: Duration,
    pub silent: Duration,
    pub meter_down: Duration,
    pub image_missing: Duration,
    pub lingering: Duration,
    pub failing: Duration,
    pub node_away: Duration,
}

/// Since when the facts of all jobs hold. Lost with the process: after a restart patience begins anew.
#[derive(Debug, Default)]
pub(crate) struct Timers(Mutex<HashMap<Name, Facts>>);

/// A fact's value, as a hash, and since when it is that.
type Facts = HashMap<Fact, (u64, Instant)>;

impl Timers {
    /// A fact has this value now, or none.
    pub(crate) fn note<T: Hash>(&self, job: &Name, fact: Fact, value: Option<T>, now: Instant) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = value else {
            if let Some(facts) = jobs.get_mut(job) {
                facts.remove(&fact);
            }
            return;
        };
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let value = hasher.finish();
        let since = jobs.entry(job.clone()).or_default().entry(fact).or_insert((value, now));
        if since.0 != value {
            *since = (value, now);
        }
    }

    /// For how long a fact has had its value without a break; zero where it has none.
    pub(crate) fn lasting(&self, job: &Name, fact: Fact, now: Instant) -> Duration {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = jobs.get(job).and_then(|facts| facts.get(&fact));
        since.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }

    pub(crate) fn forget(&self, job: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_while_a_fact_holds_and_begins_anew_when_it_changes() {
        let (timers, start) = (Timers::default(), Instant::now());
        let [one, other] = &["one", "other"].map(|job| ("t".to_owned(), job.to_owned()));
        let look = |seconds, job, fact, value: Option<u8>| {
            let now = start + Duration::from_secs(seconds);
            timers.note(job, fact, value, now);
            timers.lasting(job, fact, now).as_secs()
        };
        assert_eq!(look(0, one, Fact::Silent, Some(1)), 0);
        assert_eq!(look(7, one, Fact::Silent, Some(1)), 7);
        assert_eq!(look(8, one, Fact::Failing, Some(1)), 0, "another fact");
        assert_eq!(look(8, other, Fact::Silent, Some(1)), 0, "another job");
        assert_eq!(look(9, one, Fact::Silent, Some(2)), 0, "another value");
        assert_eq!(look(12, one, Fact::Silent, Some(2)), 3);
        assert_eq!(look(13, one, Fact::Silent, None), 0, "not any more");
        assert_eq!(look(14, one, Fact::Silent, Some(2)), 0);
        timers.forget(one);
        assert_eq!(look(20, one, Fact::Silent, Some(2)), 0);
        assert_eq!(look(20, other, Fact::Silent, Some(1)), 12);
    }
}
