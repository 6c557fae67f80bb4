//! A leading edge: what changes is looked at at once, and then once a gap for as long as it goes on changing. A trailing
//! edge (look when it is quiet) never comes for what is never quiet.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};

/// Keys that were given out less than a gap ago. All others are forgotten: no key costs anything while it is quiet.
#[derive(Debug)]
struct Pace<T> {
    gap: Duration,
    /// Whether a key has changed again since it was given out.
    again: HashMap<T, bool>,
    /// When the gaps end.
    ends: BTreeMap<Instant, Vec<T>>,
}

impl<T: Clone + Eq + Hash> Pace<T> {
    fn new(gap: Duration) -> Self {
        Self { gap, again: HashMap::new(), ends: BTreeMap::new() }
    }

    /// Gives the key out, unless that was done less than a gap ago: then at the end of the gap.
    fn changed(&mut self, key: T, now: Instant) -> Option<T> {
        if let Some(again) = self.again.get_mut(&key) {
            *again = true;
            return None;
        }
        Some(self.give(key, now))
    }

    /// A key whose gap is over and that has changed in it.
    fn due(&mut self, now: Instant) -> Option<T> {
        loop {
            let mut first = self.ends.first_entry().filter(|end| *end.key() <= now)?;
            let Some(key) = first.get_mut().pop() else {
                first.remove();
                continue;
            };
            if self.again.remove(&key) == Some(true) {
                return Some(self.give(key, now));
            }
        }
    }

    fn give(&mut self, key: T, now: Instant) -> T {
        self.again.insert(key.clone(), false);
        self.ends.entry(now + self.gap).or_default().push(key.clone());
        key
    }

    fn next(&self) -> Option<Instant> {
        self.ends.keys().next().copied()
    }
}

/// Each key at once when it changes, and at most once a gap. Ends with `changes`.
pub(crate) fn paced<T>(changes: impl Stream<Item = T> + Send + 'static, gap: Duration) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send + 'static,
{
    stream::unfold((changes.boxed(), Pace::new(gap)), async |(mut changes, mut pace)| {
        loop {
            if let Some(key) = pace.due(Instant::now()) {
                return Some((key, (changes, pace)));
            }
            let change = match pace.next() {
                Some(end) => timeout_at(end, changes.next()).await.ok(),
                None => Some(changes.next().await),
            };
            match change {
                Some(Some(key)) => {
                    if let Some(key) = pace.changed(key, Instant::now()) {
                        return Some((key, (changes, pace)));
                    }
                }
                Some(None) => return None,
                // A gap is over.
                None => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(500);

    /// When a key that changes at these milliseconds is given out, looking at the clock each millisecond.
    fn given(changes: &[u64], until: u64) -> Vec<u64> {
        let (mut pace, start, mut given) = (Pace::new(GAP), Instant::now(), Vec::new());
        for ms in 0..=until {
            let now = start + Duration::from_millis(ms);
            if pace.due(now).is_some() {
                given.push(ms);
            }
            for _ in changes.iter().filter(|at| **at == ms) {
                if pace.changed("offer", now).is_some() {
                    given.push(ms);
                }
            }
        }
        given
    }

    #[test]
    fn a_change_is_given_out_at_once_and_what_follows_once_a_gap() {
        for (changes, expected) in [
            (&[10][..], &[10][..]),
            (&[10, 10, 11], &[10, 510]),
            (&[10, 509], &[10, 510]),
            (&[10, 511], &[10, 511]),
            (&[10, 20, 600, 700], &[10, 510, 1010]),
            (&[10, 2000], &[10, 2000]),
        ] {
            assert_eq!(given(changes, 3000), expected, "{changes:?}");
        }
    }

    #[test]
    fn fifty_changes_a_second_for_a_minute_still_give_a_look_in_every_gap() {
        let changes: Vec<u64> = (0..60_000).step_by(20).collect();
        let given = given(&changes, 60_000);
        assert_eq!(given.first(), Some(&0));
        assert!(given.windows(2).all(|pair| pair[1] - pair[0] == 500), "{given:?}");
        assert_eq!(given.len(), 121);
    }

    #[test]
    fn nothing_is_kept_of_a_key_that_is_quiet() {
        let (mut pace, start) = (Pace::new(GAP), Instant::now());
        for key in 0..1000 {
            assert_eq!(pace.changed(key, start), Some(key));
        }
        assert_eq!((pace.due(start + GAP), pace.next()), (None, None));
        assert!(pace.again.is_empty());
    }

    #[tokio::test]
    async fn the_stream_gives_each_key_out_and_ends_with_its_source() {
        let changes = stream::iter(["a", "b", "a"]);
        let given: Vec<_> = paced(changes, GAP).collect().await;
        assert_eq!(given, ["a", "b"]);
    }
}
