//! Conditions on their way from the stored status to the next one, and which of their changes are worth an event.

use hawser_crds::condition::{
    ACCEPTED, CHAIN_MATCHES, CONNECTED, FAILED, NAMESPACE_ISOLATED, NETWORK_ISOLATED, ORDERS_WATCHED, READABLE, READY,
    SIGNER_AVAILABLE, WALLET_FUNDED,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::reasons::Reason;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Conditions of an object on their way from the stored status to the next one. `lastTransitionTime` moves only when
/// the word True, False or Unknown changes.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    list: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    /// Without `Readable`: whoever goes on from a stored status has read it.
    pub(crate) fn from_stored(stored: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        let list = stored.iter().filter(|c| c.type_ != READABLE).cloned().collect();
        Self { list, generation, now }
    }

    /// Goes on with one stored condition as it was.
    pub(crate) fn keep(&mut self, stored: &[Condition], kind: &str) {
        if let Some(kept) = find(stored, kind) {
            self.list.push(kept.clone());
        }
    }

    pub(crate) fn set(&mut self, kind: &str, status: ConditionStatus, reason: &Reason, message: impl Into<String>) {
        self.put(kind, status, reason.as_str().to_owned(), message.into());
    }

    fn put(&mut self, kind: &str, status: ConditionStatus, reason: String, message: String) {
        let mut next = Condition {
            type_: kind.to_owned(),
            status: status.as_str().to_owned(),
            reason,
            message,
            observed_generation: self.generation,
            last_transition_time: Time(self.now),
        };
        match self.list.iter_mut().find(|c| c.type_ == kind) {
            Some(stored) => {
                if stored.status == next.status {
                    next.last_transition_time = stored.last_transition_time.clone();
                }
                *stored = next;
            }
            None => self.list.push(next),
        }
    }

    /// Says of one condition what stands in the way of it: another one.
    pub(crate) fn repeat(&mut self, kind: &str, status: ConditionStatus, other: &Condition) {
        self.put(kind, status, other.reason.clone(), other.message.clone());
    }

    pub(crate) fn into_list(self) -> Vec<Condition> {
        self.list
    }
}

/// The condition of a type, if a status holds it.
pub(crate) fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// Whether a status says True to a condition.
pub(crate) fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == "True")
}

/// Whether a status says False to a condition.
pub(crate) fn is_false(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == "False")
}

/// Whether a condition says that something is wrong, and not just that it has not come yet: for people, who get a warning.
pub(crate) fn is_trouble(condition: &Condition) -> bool {
    match (condition.type_.as_str(), condition.status.as_str()) {
        (FAILED, "True")
        | (
            ACCEPTED | CONNECTED | CHAIN_MATCHES | WALLET_FUNDED | SIGNER_AVAILABLE | ORDERS_WATCHED
            | NAMESPACE_ISOLATED | NETWORK_ISOLATED | READABLE,
            "False",
        ) => true,
        _ => Reason::read(&condition.reason).is_trouble(),
    }
}

/// What a person wants to be told: what has come true, what has stopped being true, and trouble. `Ready` only repeats
/// another condition's trouble.
pub(crate) fn transitions<'a>(stored: &[Condition], next: &'a [Condition]) -> Vec<&'a Condition> {
    let is_news = |c: &Condition| {
        let old = find(stored, &c.type_);
        let (word, reason) = (old.map(|old| old.status.as_str()), old.map(|old| old.reason.as_str()));
        match c.status.as_str() {
            "True" if word != Some("True") => true,
            "False" if word == Some("True") => c.type_ != READY,
            _ => c.type_ != READY && is_trouble(c) && (word != Some(&c.status) || reason != Some(&c.reason)),
        }
    };
    next.iter().filter(|c| is_news(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_with_the_word_and_not_with_the_reason() {
        let mut conditions = Conditions::from_stored(&[], Some(1), at(10));
        conditions.set("Ready", ConditionStatus::False, &Reason::Low, "a");
        let first = conditions.into_list();
        let mut conditions = Conditions::from_stored(&first, Some(2), at(20));
        conditions.set("Ready", ConditionStatus::False, &Reason::Empty, "b");
        let second = conditions.into_list();
        assert_eq!((second[0].last_transition_time.0, second[0].reason.as_str()), (at(10), "Empty"));
        let mut conditions = Conditions::from_stored(&second, Some(2), at(30));
        conditions.set("Ready", ConditionStatus::True, &Reason::Funded, "b");
        assert_eq!(conditions.into_list()[0].last_transition_time.0, at(30));
    }

    #[test]
    fn what_was_read_does_not_say_any_more_that_it_cannot_be() {
        let mut conditions = Conditions::from_stored(&[], None, at(10));
        conditions.set(READABLE, ConditionStatus::False, &Reason::Unreadable, "m");
        conditions.set(READY, ConditionStatus::False, &Reason::Unreadable, "m");
        let stored = conditions.into_list();
        let mut next = Conditions::from_stored(&stored, None, at(20));
        assert_eq!(next.clone().into_list(), [stored[1].clone()]);
        next.keep(&stored, READABLE);
        assert_eq!(find(&next.into_list(), READABLE), Some(&stored[0]));
    }

    #[test]
    fn news_are_what_has_come_true_what_is_true_no_more_and_trouble() {
        let told = |before: Option<(ConditionStatus, Reason)>, kind: &str, status: ConditionStatus, reason: Reason| {
            let mut conditions = Conditions::from_stored(&[], None, at(10));
            if let Some((status, reason)) = before {
                conditions.set(kind, status, &reason, "before");
            }
            let stored = conditions.into_list();
            let mut conditions = Conditions::from_stored(&stored, None, at(20));
            conditions.set(kind, status, &reason, "now");
            !transitions(&stored, &conditions.into_list()).is_empty()
        };
        assert!(told(None, "A", ConditionStatus::True, Reason::Free));
        assert!(told(Some((ConditionStatus::False, Reason::Waiting)), "A", ConditionStatus::True, Reason::Free));
        assert!(!told(Some((ConditionStatus::True, Reason::Free)), "A", ConditionStatus::True, Reason::Updating));
        assert!(told(Some((ConditionStatus::True, Reason::Free)), "A", ConditionStatus::False, Reason::Suspended));
        assert!(!told(None, "A", ConditionStatus::False, Reason::Waiting), "nothing has happened");
        assert!(!told(
            Some((ConditionStatus::False, Reason::Waiting)),
            "A",
            ConditionStatus::False,
            Reason::Scheduling
        ));
        assert!(told(Some((ConditionStatus::False, Reason::Waiting)), "A", ConditionStatus::False, Reason::Refused));
        assert!(told(Some((ConditionStatus::False, Reason::Refused)), "A", ConditionStatus::False, Reason::Obstructed));
        assert!(!told(Some((ConditionStatus::False, Reason::Refused)), "A", ConditionStatus::False, Reason::Refused));
        assert!(!told(
            Some((ConditionStatus::False, Reason::NoMarket)),
            CONNECTED,
            ConditionStatus::False,
            Reason::NoMarket
        ));
        assert!(told(None, CONNECTED, ConditionStatus::False, Reason::Unreachable));
        assert!(told(None, READABLE, ConditionStatus::False, Reason::Unreadable));
        assert!(
            !told(Some((ConditionStatus::True, Reason::Ready)), READY, ConditionStatus::False, Reason::Refused),
            "its cause has an event of its own"
        );
    }
}
