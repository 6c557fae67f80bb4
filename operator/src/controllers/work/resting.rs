//! Objects of which nothing is to be done before a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::Name;

/// Names and times are all that is kept of them: a settled job rests for days, and there may be many thousands.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    until: HashMap<Arc<Name>, Timestamp>,
    order: BTreeSet<(Timestamp, Arc<Name>)>,
}

impl Resting {
    pub(crate) fn rest(&mut self, name: Name, until: Timestamp) {
        self.wake(&name);
        let name = Arc::new(name);
        self.until.insert(Arc::clone(&name), until);
        self.order.insert((until, name));
    }

    /// It rests no more; whether it did.
    pub(crate) fn wake(&mut self, name: &Name) -> bool {
        let Some((name, until)) = self.until.remove_entry(name) else { return false };
        self.order.remove(&(until, name));
        true
    }

    pub(crate) fn rests(&self, name: &Name) -> bool {
        self.until.contains_key(name)
    }

    /// One whose time has come, once. It rests until it is woken, so that an end meanwhile is not missed.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Name> {
        let first = self.order.first().filter(|(until, _)| *until <= now)?.clone();
        self.order.remove(&first);
        Some((*first.1).clone())
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(until, _)| *until)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.until.keys().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn name(text: &str) -> Name {
        ("t".to_owned(), text.to_owned())
    }

    #[test]
    fn each_is_due_once_when_its_time_has_come_and_rests_until_it_is_woken() {
        let mut resting = Resting::default();
        resting.rest(name("b"), at(20));
        resting.rest(name("a"), at(10));
        resting.rest(name("c"), at(5));
        resting.rest(name("c"), at(30));
        assert_eq!((resting.next(), resting.due(at(9))), (Some(at(10)), None));
        assert_eq!(resting.due(at(25)), Some(name("a")));
        assert_eq!(resting.due(at(25)), Some(name("b")));
        assert_eq!(resting.due(at(25)), None);
        assert!(resting.rests(&name("a")), "nobody has looked yet");
        assert!(resting.wake(&name("a")) && !resting.wake(&name("a")));
        assert!(resting.wake(&name("c")));
        assert_eq!((resting.next(), resting.names().count()), (None, 1));
    }
}
