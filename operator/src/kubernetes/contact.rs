//! When the API server was heard last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fence::Moment;

/// A failure that something else makes good within this time is none.
const BLIP: Duration = Duration::from_secs(4);
/// The same of one watch: what it shows is so old at most when somebody hears of it.
const WATCH_BLIP: Duration = Duration::from_secs(8);

/// How the API server answers. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Contact(Arc<Mutex<LastContact>>);

#[derive(Debug, Default)]
struct LastContact {
    /// Anything at all.
    ever: bool,
    /// When the first request failed since the last one that was answered.
    failing: Option<Moment>,
    /// Watches that are not open, by path, and since when.
    unwatched: BTreeMap<String, Moment>,
}

impl Contact {
    /// It answered; a watch was opened by that.
    pub(super) fn answered(&self, watched: Option<&str>) {
        let mut heard = self.heard();
        heard.ever = true;
        heard.failing = None;
        if let Some(path) = watched {
            heard.unwatched.remove(path);
        }
    }

    /// It did not answer, or said that it can't; a watch was to be opened, or has ended by that.
    pub(super) fn failed(&self, watched: Option<&str>) {
        let (mut heard, now) = (self.heard(), Moment::now());
        heard.failing.get_or_insert(now);
        if let Some(path) = watched
            && !heard.unwatched.contains_key(path)
        {
            heard.unwatched.insert(path.to_owned(), now);
        }
    }

    /// Why a replica that lives by these connections does nothing of use, if that is so.
    pub fn trouble(&self) -> Option<String> {
        trouble(&self.heard(), Moment::now())
    }

    fn heard(&self) -> MutexGuard<'_, LastContact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trouble(heard: &LastContact, now: Moment) -> Option<String> {
    if !heard.ever {
        return Some("the API server has not answered yet".to_owned());
    }
    if let Some(silent) = heard.failing.map(|since| now.since(since)).filter(|silent| *silent > BLIP) {
        return Some(format!("the API server has not answered for {} s", silent.as_secs()));
    }
    let (path, since) = heard.unwatched.iter().find(|(_, since)| now.since(**since) > WATCH_BLIP)?;
    Some(format!("{path} can't be watched since {} s", now.since(*since).as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_of_use_while_it_is_answered_and_its_watches_are_open() {
        let now = Moment::now();
        let pods = || BTreeMap::from([("/api/v1/pods".to_owned(), now)]);
        assert_eq!(trouble(&LastContact::default(), now).as_deref(), Some("the API server has not answered yet"));
        for (failing, unwatched, after, expected) in [
            (None, BTreeMap::new(), 100, None),
            (Some(now), BTreeMap::new(), 3, None),
            (Some(now), BTreeMap::new(), 6, Some("the API server has not answered for 6 s")),
            (None, pods(), 6, None),
            (None, pods(), 20, Some("/api/v1/pods can't be watched since 20 s")),
        ] {
            let heard = LastContact { ever: true, failing, unwatched };
            let then = now.plus(Duration::from_secs(after));
            assert_eq!(trouble(&heard, then).as_deref(), expected, "{heard:?} after {after} s");
        }
    }

    #[test]
    fn any_answer_ends_the_silence_and_a_watchs_own_ends_its_absence() {
        let contact = Contact::default();
        contact.failed(Some("/api/v1/pods"));
        contact.answered(None);
        let heard = contact.heard();
        assert!(heard.failing.is_none() && heard.unwatched.len() == 1);
        drop(heard);
        contact.answered(Some("/api/v1/nodes"));
        assert_eq!(contact.heard().unwatched.len(), 1);
        contact.answered(Some("/api/v1/pods"));
        assert!(contact.heard().unwatched.is_empty());
    }
}
