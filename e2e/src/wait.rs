//! Waiting for conditions with a deadline; the only way in which tests here wait.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// Waits until there is no object of this name.
///
/// # Errors
/// When it is still there when the deadline passes, with its status; or at once when the API server refuses.
pub async fn gone<K>(api: &Api<K>, name: &str, deadline: Duration) -> Result<()>
where
    K: Resource + Clone + fmt::Debug + Serialize + DeserializeOwned,
{
    until(&format!("{}/{name} is gone", api.resource_url()), deadline, async || {
        let left = api.get_opt(name).await?.map(|left| serde_json::to_value(left)).transpose()?;
        Ok(left.map_or(Ok(()), |left| Err(format!("its status is {}", left["status"]))))
    })
    .await
}
