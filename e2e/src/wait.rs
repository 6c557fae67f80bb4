//! Waiting for conditions with a deadline; the only way in which tests here wait.

use std::fmt;
use std::time::{Duration, Instant};

use alloy::transports::{RpcError, TransportError};
use anyhow::{Error, Result, bail};
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
/// met; the last such answer is part of the error when the deadline passes. So is an error that says only that a server didn't
/// answer: on a machine where everything runs at once an API server is late at times, and the next look asks again.
///
/// # Errors
/// When the deadline passes, or at once when `look` itself fails for another reason.
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
        let instead = match look().await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(instead)) => instead.to_string(),
            Err(error) if is_of_the_moment(&error) => format!("{error:#}"),
            Err(error) => return Err(error),
        };
        if began.elapsed() > deadline {
            bail!("waited {}s until {what}; instead: {instead}", deadline.as_secs())
        }
    }
}

/// Whether a server didn't answer, or said that it can't now: nothing is known of what was asked for.
fn is_of_the_moment(error: &Error) -> bool {
    error.chain().any(|cause| {
        let of_kube = match cause.downcast_ref() {
            Some(kube::Error::Api(status)) => status.code == 429 || status.code >= 500,
            Some(kube::Error::HyperError(_) | kube::Error::Service(_)) => true,
            _ => false,
        };
        let of_chain = match cause.downcast_ref() {
            Some(alloy::contract::Error::TransportError(error)) => error.is_transport_error(),
            _ => cause.downcast_ref::<TransportError>().is_some_and(RpcError::is_transport_error),
        };
        of_kube || of_chain
    })
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

#[cfg(test)]
mod tests {
    use alloy::rpc::json_rpc::ErrorPayload;
    use alloy::transports::TransportErrorKind;
    use anyhow::anyhow;
    use kube::core::Status;

    use super::*;

    fn of_kube(code: u16) -> Error {
        kube::Error::Api(Box::new(Status::failure("no", "").with_code(code))).into()
    }

    #[test]
    fn only_what_a_server_could_not_answer_is_asked_again() {
        let of_chain = || TransportError::from(TransportErrorKind::custom_str("connection refused"));
        let refused: ErrorPayload = serde_json::from_str(r#"{"code": 3, "message": "reverted"}"#).unwrap();
        for (error, again) in [
            (of_kube(429), true),
            (of_kube(504).context("the job is looked at"), true),
            (of_kube(404), false),
            (of_kube(409), false),
            (of_chain().into(), true),
            (alloy::contract::Error::TransportError(of_chain()).into(), true),
            (TransportError::ErrorResp(refused).into(), false),
            (anyhow!("30 is not 31"), false),
        ] {
            assert_eq!(is_of_the_moment(&error), again, "{error:#}");
        }
    }

    #[tokio::test]
    async fn what_a_server_said_last_is_told_when_the_deadline_passes() {
        let waited = until::<(), String>("it is there", Duration::ZERO, async || Err(of_kube(503))).await;
        let error = waited.unwrap_err().to_string();
        assert!(error.starts_with("waited 0s until it is there; instead: "), "{error}");
        assert!(until::<(), String>("it is there", Duration::MAX, async || Err(of_kube(403))).await.is_err());
    }
}
