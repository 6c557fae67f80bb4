//! Operators that die, are away, or forget where they were. One test after the other: each says when an operator is there.

mod hand_over;
mod jobs;
mod moments;
mod twice;
mod uninstalled;
