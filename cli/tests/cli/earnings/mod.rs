//! What a provider's accountant reads, against what the chain itself says.

mod books;
mod sheet;
mod story;
