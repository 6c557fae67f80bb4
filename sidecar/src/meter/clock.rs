//! A clock that nobody can set while a job runs.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// The node's wall clock at one moment, moved on by the monotonic clock: a clock that is set while a job runs changes
/// nothing in what the job pays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    at: Instant,
}

impl Clock {
    /// Begins now, but never before `earliest`: what was written before a restart of the container stays in the past.
    pub(crate) fn start(earliest: Option<Timestamp>) -> Self {
        let wall = Timestamp::now();
        Self { wall: earliest.map_or(wall, |earliest| wall.max(earliest)), at: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::MAX);
        let now = self.wall.checked_add(elapsed).unwrap_or(Timestamp::MAX);
        // Evidence has milliseconds: more digits would only cost room.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
