//! Operators that die, are away, or forget where they were, and a card that dies. One test after the other: each says when an
//! operator is there.

mod card;
mod hand_over;
mod jobs;
mod moments;
mod twice;
mod uninstalled;
