//! Which keys a pod's token has enrolled. A pod's meter has one key for as long as the pod lives; each change is a
//! transaction, and a token that was stolen could make any number of them.

use std::collections::VecDeque;

use hawser_attestation::Attestor;
use hawser_market::AttestorTail;
use jiff::{SignedDuration, Timestamp};

/// So many other keys are taken in an hour.
const CHANGES: usize = 4;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The keys of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    uid: String,
    /// The first is the meter's own: it enrols before anything of a tenant runs.
    first: AttestorTail,
    present: AttestorTail,
    changes: VecDeque<Timestamp>,
}

impl Keys {
    pub(super) fn new(uid: &str, first: AttestorTail) -> Self {
        Self { uid: uid.to_owned(), first, present: first, changes: VecDeque::new() }
    }

    /// A pod that takes another's place has keys of its own.
    pub(super) fn are_of(&self, uid: &str) -> bool {
        self.uid == uid
    }

    /// Takes a key that the pod's token enrols; otherwise says when another is taken.
    pub(super) fn enrol(&mut self, attestor: Attestor, now: Timestamp) -> Result<(), Timestamp> {
        let key = AttestorTail::of(attestor);
        if key == self.first {
            self.present = key;
        }
        if key == self.present {
            return Ok(());
        }
        let until = |at: &Timestamp| at.saturating_add(HOUR).unwrap_or(Timestamp::MAX);
        self.changes.retain(|at| until(at) > now);
        if let Some(oldest) = self.changes.front().filter(|_| self.changes.len() >= CHANGES) {
            return Err(until(oldest));
        }
        self.changes.push_back(now);
        self.present = key;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn key(n: u8) -> Attestor {
        Attestor::repeat_byte(n)
    }

    #[test]
    fn a_stolen_token_changes_the_key_four_times_an_hour_and_the_meters_own_always_comes_back() {
        let mut keys = Keys::new("uid", AttestorTail::of(key(0)));
        for n in 1..=4 {
            assert_eq!(keys.enrol(key(n), at(i64::from(n))), Ok(()), "thief's key {n}");
            assert_eq!(keys.enrol(key(n), at(i64::from(n))), Ok(()), "the same again is no change");
            assert_eq!(keys.enrol(key(0), at(i64::from(n))), Ok(()));
        }
        assert_eq!(keys.enrol(key(5), at(5)), Err(at(3601)));
        assert_eq!(keys.enrol(key(4), at(5)), Err(at(3601)), "one that was there before is another again");
        assert_eq!(keys.enrol(key(0), at(6)), Ok(()));
        assert_eq!(keys.enrol(key(5), at(3600)), Err(at(3601)));
        assert_eq!(keys.enrol(key(5), at(3601)), Ok(()));
        assert_eq!(keys.enrol(key(6), at(3601)), Err(at(3602)));
    }
}
