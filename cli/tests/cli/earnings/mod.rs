//! What a provider's accountant reads, against what the chain itself says.

mod sheet;
mod story;
mod totals;
