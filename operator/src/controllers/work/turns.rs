//! Whose turn it is to be looked at. Each object is looked at once at a time, and of the objects of one lane so many side by
//! side. What waits is a name in a queue and costs nothing else: after a start all jobs wait.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::Name;

/// Objects that wait for each other: each network has slots of its own, so that one that answers late holds up its own jobs
/// and no others. And new orders have theirs: after a start they don't wait behind thousands that run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Orders of one network, or what was written by hand; `new`: not accepted yet.
    Live { network: Option<String>, new: bool },
    /// Settled, or not to be read: for these nothing runs out.
    #[default]
    Rest,
}

#[derive(Debug, Default)]
struct Line {
    waits: VecDeque<Arc<Name>>,
    runs: usize,
}

#[derive(Debug)]
enum Place {
    /// It is due then.
    Later(Instant),
    Waits,
    /// It is looked at; and is to be looked at again afterwards.
    Runs {
        lane: Lane,
        again: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Turns {
    each: usize,
    lines: HashMap<Lane, Line>,
    places: HashMap<Arc<Name>, Place>,
    later: BTreeSet<(Instant, Arc<Name>)>,
}

impl Turns {
    /// So many of each lane run side by side.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, lines: HashMap::new(), places: HashMap::new(), later: BTreeSet::new() }
    }

    /// An object is due: it waits for its turn, where it does not already.
    pub(crate) fn due(&mut self, name: Name, lane: Lane) {
        let name = Arc::new(name);
        match self.places.get_mut(&name) {
            Some(Place::Waits) => return,
            Some(Place::Runs { again, .. }) => {
                *again = true;
                return;
            }
            Some(Place::Later(at)) => drop(self.later.remove(&(*at, Arc::clone(&name)))),
            None => {}
        }
        self.places.insert(Arc::clone(&name), Place::Waits);
        self.lines.entry(lane).or_default().waits.push_back(name);
    }

    /// An object whose turn it is; it runs until it is `done`.
    pub(crate) fn next(&mut self) -> Option<Name> {
        let each = self.each;
        let (lane, queue) = self.lines.iter_mut().find(|(_, queue)| queue.runs < each && !queue.waits.is_empty())?;
        let name = queue.waits.pop_front()?;
        queue.runs += 1;
        let (place, taken) = (Place::Runs { lane: lane.clone(), again: false }, (*name).clone());
        self.places.insert(name, place);
        Some(taken)
    }

    /// It was looked at, and is due again at this time; gives whether it is due already.
    pub(crate) fn done(&mut self, name: Name, again_at: Option<Instant>) -> bool {
        let name = Arc::new(name);
        let Some(Place::Runs { lane, again }) = self.places.remove(&name) else { return false };
        if let Some(line) = self.lines.get_mut(&lane) {
            line.runs = line.runs.saturating_sub(1);
            if line.runs == 0 && line.waits.is_empty() {
                // Their names come from objects: those that nobody uses now are not kept.
                self.lines.remove(&lane);
            }
        }
        if let Some(at) = again_at.filter(|_| !again) {
            self.later.insert((at, Arc::clone(&name)));
            self.places.insert(name, Place::Later(at));
        }
        again
    }

    /// One whose time has come. It has no place until it is told to be due.
    pub(crate) fn awake(&mut self, now: Instant) -> Option<Name> {
        let (_, name) = self.later.first().filter(|(at, _)| *at <= now)?.clone();
        self.later.pop_first();
        self.places.remove(&name);
        Some(Arc::unwrap_or_clone(name))
    }

    /// When the next one's time comes.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lane(network: &str, new: bool) -> Lane {
        Lane::Live { network: Some(network.to_owned()), new }
    }

    fn name(text: &str) -> Name {
        ("t".to_owned(), text.to_owned())
    }

    fn running(turns: &mut Turns) -> Vec<String> {
        let mut names: Vec<_> = std::iter::from_fn(|| turns.next()).map(|(_, name)| name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_network_whose_jobs_fill_its_slots_leaves_the_others_theirs_and_new_orders_have_their_own() {
        let mut turns = Turns::new(2);
        for (object, network, new) in [
            ("a", "slow", false),
            ("b", "slow", false),
            ("c", "slow", false),
            ("d", "quick", false),
            ("e", "slow", true),
        ] {
            turns.due(name(object), lane(network, new));
        }
        assert_eq!(running(&mut turns), ["a", "b", "d", "e"]);
        assert!(!turns.done(name("e"), None));
        assert_eq!(running(&mut turns), [""; 0], "its slots are full");
        assert!(!turns.done(name("a"), None));
        assert_eq!(running(&mut turns), ["c"]);
        for object in ["b", "c", "d"] {
            turns.done(name(object), None);
        }
        assert_eq!((turns.lines.len(), turns.places.len()), (0, 0), "nothing is kept of what is over");
    }

    #[test]
    fn what_is_due_while_it_is_looked_at_is_looked_at_once_more_and_not_at_the_same_time() {
        let mut turns = Turns::new(9);
        turns.due(name("a"), lane("n", false));
        turns.due(name("a"), lane("n", true));
        assert_eq!(running(&mut turns), ["a"]);
        turns.due(name("a"), lane("n", false));
        turns.due(name("a"), lane("n", false));
        assert_eq!(running(&mut turns), [""; 0]);
        let later = Instant::now() + Duration::from_mins(1);
        assert!(turns.done(name("a"), Some(later)), "it is due already");
        assert_eq!(turns.next_at(), None);
        turns.due(name("a"), lane("n", false));
        assert_eq!(running(&mut turns), ["a"]);
        assert!(!turns.done(name("a"), None));
        assert!(!turns.done(name("a"), Some(later)), "it does not run");
        assert_eq!((turns.next_at(), turns.places.len()), (None, 0));
    }

    #[test]
    fn what_is_due_later_wakes_then_or_is_due_before() {
        let (mut turns, start) = (Turns::new(9), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (object, seconds) in [("a", 10), ("b", 5)] {
            turns.due(name(object), Lane::default());
            assert_eq!(running(&mut turns), [object]);
            turns.done(name(object), Some(at(seconds)));
        }
        assert_eq!((turns.next_at(), turns.awake(at(4))), (Some(at(5)), None));
        assert_eq!((turns.awake(at(20)), turns.awake(at(9))), (Some(name("b")), None));
        turns.due(name("a"), Lane::default());
        assert_eq!((turns.next_at(), running(&mut turns)), (None, vec!["a".to_owned()]));
        assert_eq!(turns.places.len(), 1, "the one that woke has no place until it is due");
    }
}
