//! Waiting for conditions with a deadline; the only way in which tests here wait.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// For what comes soon on a quiet machine. Many tests run at a time, and a deadline is there to end one that hangs: none of
/// them is hurried by the others' work.
pub const SOON: Duration = Duration::from_mins(3);

/// Looks again until `look` answers `Ok(Ok(value))`.
///
/// `look` says `Ok(Err(what is the case instead))` while the condition is not
/// met; the last such answer is part of the error when the deadline passes.
///
/// # Errors
/// When the deadline passes, or at once when `look` itself fails.
pub async fn until<T, W: fmt::Display>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Result<T, W>>,
) -> Result<T> {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await? {
            Ok(value) => return Ok(value),
            Err(instead) if began.elapsed() > deadline => {
                bail!("waited {}s until {what}; instead: {instead}", deadline.as_secs())
            }
            Err(_) => {}
        }
    }
}
