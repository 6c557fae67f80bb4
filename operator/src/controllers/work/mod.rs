//! What is to be looked at, and when: at once where it can be, again after a while where it can't, and never so often
//! that one object, one network or one failure takes the time of all others.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

mod backoff;
mod due;
mod pace;
mod turns;

pub(crate) use backoff::Backoffs;
pub(crate) use due::Due;
pub(crate) use pace::paced;
pub(crate) use turns::{Lane, Turns};

pub(crate) use crate::objects::Name;

/// Eight bytes in a name's place, where all that is asked is whether it is among others. Drawn anew by each process: nobody
/// can choose names that are taken for each other, and of a million no two are, but once in ten million.
pub(crate) fn mark(name: impl Hash) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    STATE.hash_one(name)
}
