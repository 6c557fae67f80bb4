//! Which job's meter has shown which card: two live jobs that show one card are told apart by who showed it first. Pure.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use hawser_attestation::{Body, Chain, Line, TOLERANCE};
use jiff::Timestamp;

use super::expected::JobRef;

/// A card that two live jobs have at the same time, as the meters of both say. The second of them is not attested any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedCard {
    /// `nvmlDeviceGetUUID`
    pub(super) card: String,
    /// Whose meter began first.
    pub(super) first: JobRef,
    /// When that one showed the card, after the second had begun.
    pub(super) at: Timestamp,
    /// Whose meter began later.
    pub(super) second: JobRef,
    /// When.
    pub(super) since: Timestamp,
}

impl fmt::Display for SharedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { card, first, at, second, since } = self;
        write!(
            f,
            "GPU {card} is that of two jobs: the meter of {second} has it since {since}, and the meter of {first}, which \
             had it before, shows it at {at}. No report of {second} is taken any more. End {second} with spec.terminate, \
             and see why its node gives one GPU to two pods"
        )
    }
}

/// What a meter shows with a line of its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// When its evidence began.
    pub(super) since: Timestamp,
    /// When the line was made.
    pub(super) at: Timestamp,
    /// Cards that answer.
    pub(super) cards: Vec<String>,
}

impl Shown {
    /// `chain`: the evidence with this line.
    pub(super) fn by(chain: &Chain, line: &Line) -> Option<Self> {
        let since = chain.header().time;
        let (at, cards) = match line.read_body().ok()? {
            Body::Header(header) => (header.time, header.gpu_uuids),
            Body::Report(report) => {
                let answers = report.gpus.into_iter().filter(|gpu| gpu.error.is_none() && gpu.stopped_at.is_none());
                (report.time, answers.map(|gpu| gpu.uuid).collect())
            }
        };
        Some(Self { since, at, cards })
    }
}

/// Which jobs' meters show which card.
///
/// Times are those of the meters. They can be compared, because meters that see the same card are on the same node. A card
/// goes from job to job: the last reports of the one before come late, but were made before the next one's meter began.
#[derive(Debug, Default)]
pub(super) struct Holders {
    cards: HashMap<Arc<str>, Vec<Arc<JobRef>>>,
    jobs: HashMap<Arc<JobRef>, Holding>,
}

#[derive(Debug)]
struct Holding {
    since: Timestamp,
    cards: Vec<Arc<str>>,
}

impl Holders {
    /// Notes what a job's meter shows, and gives the jobs that have one of its cards but began later.
    pub(super) fn show(&mut self, job: &JobRef, shown: &Shown) -> Vec<SharedCard> {
        self.note(job, shown);
        let mut shared: Vec<SharedCard> = Vec::new();
        for card in &shown.cards {
            for other in self.cards.get(card.as_str()).into_iter().flatten().filter(|other| ***other != *job) {
                let Some(since) = self.jobs.get(other).map(|holding| holding.since) else { continue };
                let is_first = (shown.since, job) < (since, other);
                let overlaps = shown.at > since.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX);
                if is_first && overlaps && shared.iter().all(|found| found.second != **other) {
                    let (card, first, second) = (card.clone(), job.clone(), JobRef::clone(other));
                    shared.push(SharedCard { card, first, at: shown.at, second, since });
                }
            }
        }
        shared
    }

    /// The job is over.
    pub(super) fn forget(&mut self, job: &JobRef) {
        let Some(holding) = self.jobs.remove(job) else { return };
        for card in holding.cards {
            if let Entry::Occupied(mut holders) = self.cards.entry(card) {
                holders.get_mut().retain(|holder| **holder != *job);
                if holders.get().is_empty() {
                    holders.remove();
                }
            }
        }
    }

    fn note(&mut self, job: &JobRef, shown: &Shown) {
        let same = |holding: &Holding| {
            holding.since == shown.since
                && holding.cards.iter().map(AsRef::as_ref).eq(shown.cards.iter().map(String::as_str))
        };
        if self.jobs.get(job).is_some_and(same) {
            return;
        }
        self.forget(job);
        let job = Arc::new(job.clone());
        let cards: Vec<Arc<str>> = shown.cards.iter().map(|card| Arc::from(card.as_str())).collect();
        for card in &cards {
            self.cards.entry(Arc::clone(card)).or_default().push(Arc::clone(&job));
        }
        self.jobs.insert(job, Holding { since: shown.since, cards });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> JobRef {
        JobRef { namespace: "tenants".to_owned(), name: name.to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn shown(since: i64, second: i64, cards: &[&str]) -> Shown {
        Shown { since: at(since), at: at(second), cards: cards.iter().map(|card| (*card).to_owned()).collect() }
    }

    /// Job, begin of its evidence, time of the report, cards.
    type Reports<'a> = &'a [(&'a str, i64, i64, &'a [&'a str])];

    /// Reports in the order in which they come; who is the second on a card by the last of them.
    fn second(reports: Reports<'_>) -> Vec<String> {
        let mut holders = Holders::default();
        let mut shared = Vec::new();
        for (name, since, second, cards) in reports {
            shared = holders.show(&job(name), &shown(*since, *second, cards));
        }
        shared
            .into_iter()
            .map(|shared| format!("{} {} {}", shared.second.name, shared.card, shared.first.name))
            .collect()
    }

    #[test]
    fn of_two_jobs_that_show_a_card_at_the_same_time_the_later_one_is_named() {
        let cases: [(&str, Reports<'_>, &[&str]); 10] = [
            ("one alone", &[("a", 0, 0, &["G"]), ("a", 0, 60, &["G"])], &[]),
            ("each its own", &[("b", 10, 10, &["H"]), ("a", 0, 60, &["G"])], &[]),
            ("both at once", &[("a", 0, 5, &["G"]), ("b", 10, 10, &["G"]), ("a", 0, 20, &["G"])], &["b G a"]),
            ("the later one's word alone shows nothing", &[("a", 0, 5, &["G"]), ("b", 10, 60, &["G"])], &[]),
            ("a last report comes late", &[("a", 0, 5, &["G"]), ("b", 10, 60, &["G"]), ("a", 0, 9, &["G"])], &[]),
            ("within the tolerance", &[("b", 10, 60, &["G"]), ("a", 0, 12, &["G"])], &[]),
            ("one of several", &[("b", 10, 10, &["H", "G"]), ("a", 0, 20, &["F", "G"])], &["b G a"]),
            ("all of several", &[("b", 10, 10, &["H", "G"]), ("a", 0, 20, &["G", "H"])], &["b G a"]),
            ("a slice of the card", &[("b", 10, 10, &["MIG-1"]), ("a", 0, 20, &["MIG-2"])], &[]),
            ("begun in the same moment", &[("b", 0, 10, &["G"]), ("a", 0, 10, &["G"])], &["b G a"]),
        ];
        for (why, reports, expected) in cases {
            assert_eq!(second(reports), expected, "{why}");
        }
    }

    #[test]
    fn a_card_that_does_not_answer_or_whose_job_is_over_is_nobodys() {
        let mut holders = Holders::default();
        let (a, b) = (job("a"), job("b"));
        holders.show(&b, &shown(10, 10, &["G"]));
        holders.show(&b, &shown(10, 20, &[]));
        assert_eq!(holders.show(&a, &shown(0, 30, &["G"])), []);
        holders.show(&b, &shown(10, 40, &["G"]));
        holders.forget(&b);
        assert_eq!(holders.show(&a, &shown(0, 50, &["G"])), []);
        holders.forget(&a);
        assert!(holders.cards.is_empty() && holders.jobs.is_empty());
    }
}
