//! Operators that die, are away, or forget where they were, a card that dies, and a store that all need. One test after the other: each says when an
//! operator is there.

mod card;
mod hand_over;
mod jobs;
mod moments;
mod store;
mod torn;
mod twice;
mod uninstalled;
