//! Too long for every change: `cargo xtask test --deep`.

mod day;
mod upgrade;
