//! Which member's meter has shown which card: of two that show one card the later is told by who showed it first. Pure.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use hawser_attestation::{Body, EvidenceChain, Line, TOLERANCE};
use jiff::Timestamp;

use super::expected::MemberRef;

/// A card that two live members have at the same time, as the meters of both say: as a rule of two jobs. The second of the
/// jobs is not attested any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedCard {
    /// `nvmlDeviceGetUUID`
    pub(super) card: String,
    /// Whose meter began first.
    pub(super) first: MemberRef,
    /// When that one showed the card, after the second had begun.
    pub(super) at: Timestamp,
    /// Whose meter began later.
    pub(super) second: MemberRef,
    /// When.
    pub(super) since: Timestamp,
}

impl fmt::Display for SharedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { card, first, at, second, since } = self;
        let job = &second.job;
        let of = if first.job == *job { "members of a job" } else { "jobs" };
        write!(
            f,
            "GPU {card} is that of two {of}: the meter of {second} has it since {since}, and the meter of {first}, which \
             had it before, shows it at {at}. No report of {job} is taken any more. End {job} with spec.terminate, \
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
    pub(super) fn by(chain: &EvidenceChain, line: &Line) -> Option<Self> {
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

/// Which meters show which card.
///
/// Times are those of the meters. They can be compared, because meters that see the same card are on the same node. A card
/// goes from job to job: the last reports of the one before come late, but were made before the next one's meter began.
#[derive(Debug, Default)]
pub(super) struct Holders {
    cards: HashMap<Arc<str>, Vec<Arc<MemberRef>>>,
    members: HashMap<Arc<MemberRef>, Holding>,
}

#[derive(Debug)]
struct Holding {
    since: Timestamp,
    cards: Vec<Arc<str>>,
}

impl Holders {
    /// Notes what a member's meter shows, and gives those that have one of its cards but began later.
    pub(super) fn show(&mut self, member: &MemberRef, shown: &Shown) -> Vec<SharedCard> {
        self.note(member, shown);
        let mut shared: Vec<SharedCard> = Vec::new();
        for card in &shown.cards {
            for other in self.cards.get(card.as_str()).into_iter().flatten().filter(|other| ***other != *member) {
                let Some(since) = self.members.get(other).map(|holding| holding.since) else { continue };
                let is_first = (shown.since, member) < (since, other);
                let overlaps = shown.at > since.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX);
                if is_first && overlaps && shared.iter().all(|found| found.second != **other) {
                    let (card, first, second) = (card.clone(), member.clone(), MemberRef::clone(other));
                    shared.push(SharedCard { card, first, at: shown.at, second, since });
                }
            }
        }
        shared
    }

    /// The member's job is over.
    pub(super) fn forget(&mut self, member: &MemberRef) {
        let Some(holding) = self.members.remove(member) else { return };
        for card in holding.cards {
            if let Entry::Occupied(mut holders) = self.cards.entry(card) {
                holders.get_mut().retain(|holder| **holder != *member);
                if holders.get().is_empty() {
                    holders.remove();
                }
            }
        }
    }

    fn note(&mut self, member: &MemberRef, shown: &Shown) {
        let same = |holding: &Holding| {
            holding.since == shown.since
                && holding.cards.iter().map(AsRef::as_ref).eq(shown.cards.iter().map(String::as_str))
        };
        if self.members.get(member).is_some_and(same) {
            return;
        }
        self.forget(member);
        let member = Arc::new(member.clone());
        let cards: Vec<Arc<str>> = shown.cards.iter().map(|card| Arc::from(card.as_str())).collect();
        for card in &cards {
            self.cards.entry(Arc::clone(card)).or_default().push(Arc::clone(&member));
        }
        self.members.insert(member, Holding { since: shown.since, cards });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::expected::JobRef, *};

    fn job(name: &str) -> MemberRef {
        let job = JobRef { namespace: "tenants".to_owned(), name: name.to_owned() };
        MemberRef { job, pod: name.to_owned() }
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
        shared.into_iter().map(|shared| format!("{} {} {}", shared.second.pod, shared.card, shared.first.pod)).collect()
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
        assert!(holders.cards.is_empty() && holders.members.is_empty());
    }

    #[test]
    fn what_one_member_shows_takes_nothing_from_another_of_its_job_and_one_card_in_both_counts_once() {
        let member = |pod: &str| MemberRef { pod: pod.to_owned(), ..job("j") };
        let (first, second, stranger) = (member("j"), member("j-1"), job("k"));
        let mut holders = Holders::default();
        holders.show(&first, &shown(0, 5, &["G"]));
        holders.show(&second, &shown(1, 5, &["H"]));
        holders.show(&stranger, &shown(10, 10, &["G"]));
        let found = holders.show(&first, &shown(0, 20, &["G"]));
        assert_eq!(found.iter().map(|found| &found.second).collect::<Vec<_>>(), [&stranger]);
        holders.show(&second, &shown(30, 30, &["G"]));
        let words: Vec<String> = holders.show(&first, &shown(0, 40, &["G"])).iter().map(ToString::to_string).collect();
        assert!(
            words.iter().any(|words| words.contains("two members of a job: the meter of tenants/j-1")),
            "{words:?}"
        );
    }
}
