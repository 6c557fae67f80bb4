//! What is to be looked at, and when: at once where it can be, again after a while where it can't, and never so often
//! that one object, one network or one failure takes the time of all others.

mod backoff;
mod due;
mod pace;
mod resting;
mod slots;

pub(crate) use backoff::Backoffs;
pub(crate) use due::Due;
pub(crate) use pace::paced;
pub(crate) use resting::Resting;
pub(crate) use slots::Slots;

/// Namespace and name of an object.
pub(crate) type Name = (String, String);
