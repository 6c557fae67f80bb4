use hawser_crds::condition::{COMPLETE, FAILED};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
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
    pub(crate) fn from_stored(stored: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { list: stored.to_vec(), generation, now }
    }

    pub(crate) fn set(&mut self, kind: &str, truth: Truth, reason: &str, message: impl Into<String>) {
        let mut next = Condition {
            type_: kind.to_owned(),
            status: truth.as_str().to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
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

/// Whether a job's status says that it is over, well or not. A job that is over stays over.
pub(crate) fn is_over(conditions: &[Condition]) -> bool {
    is_true(conditions, COMPLETE) || is_true(conditions, FAILED)
}

/// Conditions whose word or reason is new: what a person wants to be told.
pub(crate) fn news<'a>(stored: &[Condition], next: &'a [Condition]) -> Vec<&'a Condition> {
    next.iter()
        .filter(|c| find(stored, &c.type_).is_none_or(|old| old.status != c.status || old.reason != c.reason))
        .collect()
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
        conditions.set("Ready", Truth::No, "A", "a");
        let first = conditions.into_list();
        let mut conditions = Conditions::from_stored(&first, Some(2), at(20));
        conditions.set("Ready", Truth::No, "B", "b");
        let second = conditions.into_list();
        assert_eq!((second[0].last_transition_time.0, second[0].reason.as_str()), (at(10), "B"));
        let mut conditions = Conditions::from_stored(&second, Some(2), at(30));
        conditions.set("Ready", Truth::Yes, "B", "b");
        assert_eq!(conditions.into_list()[0].last_transition_time.0, at(30));
    }

    #[test]
    fn news_are_new_words_and_new_reasons() {
        let mut conditions = Conditions::from_stored(&[], None, at(10));
        conditions.set("A", Truth::No, "X", "1");
        conditions.set("B", Truth::No, "X", "1");
        let stored = conditions.into_list();
        let mut conditions = Conditions::from_stored(&stored, None, at(20));
        conditions.set("A", Truth::No, "X", "another message");
        conditions.set("B", Truth::No, "Y", "1");
        conditions.set("C", Truth::Unknown, "Z", "1");
        let next = conditions.into_list();
        let kinds: Vec<_> = news(&stored, &next).iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(kinds, ["B", "C"]);
    }
}
