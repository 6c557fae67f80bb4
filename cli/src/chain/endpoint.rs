//! The connection to a node: what is asked again by itself, and what an error of it says.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use alloy::{
    providers::{DynProvider, Provider, RootProvider},
    rpc::client::ClientBuilder,
    transports::{
        RpcError, TransportError, TransportErrorKind,
        http::reqwest::{self, Client, Url},
        layers::{RetryBackoffLayer, RetryPolicy},
    },
};
use hawser_market::text::printable;

use crate::failure::Failure;

/// A node that doesn't answer for so long is as good as gone.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn connect(url: &str) -> Result<DynProvider, Failure> {
    let url: Url = url.parse().map_err(|error| {
        Failure::input(format!(
            "the RPC endpoint is not a URL ({error}): expected something like http://127.0.0.1:8545"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::input(format!(
            "the RPC endpoint begins with {}://: expected http:// or https://",
            url.scheme()
        )));
    }
    let client = Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| Failure::Unreachable(format!("the HTTP client can't start: {error}")))?;
    // The policy counts by itself: where the layer does, its last error no longer says what was wrong.
    let again = RetryBackoffLayer::new_with_policy(u32::MAX, 0, u64::MAX, Again::default());
    let client = ClientBuilder::default().layer(again).http_with_client(client, url);
    Ok(RootProvider::new(client).erased())
}

/// What is asked again, a few times and ever later. A signed transaction may be handed over again too: the chain takes
/// it once.
#[derive(Debug, Default)]
struct Again(AtomicU32);

impl Again {
    const TIMES: u32 = 3;
    /// Doubled each time.
    const PAUSE: Duration = Duration::from_millis(200);
    /// However long the node asks for.
    const LONGEST_PAUSE: Duration = Duration::from_secs(10);
}

/// The layer clones its policy for each request: each has a count of its own.
impl Clone for Again {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl RetryPolicy for Again {
    fn should_retry(&self, error: &TransportError) -> bool {
        is_blip(error) && self.0.fetch_add(1, Ordering::Relaxed) < Self::TIMES
    }

    fn backoff_hint(&self, error: &TransportError) -> Option<Duration> {
        let asked_for = error.as_transport_err().and_then(TransportErrorKind::retry_after);
        let pause = Self::PAUSE * 2_u32.saturating_pow(self.0.load(Ordering::Relaxed));
        Some(asked_for.unwrap_or(pause).min(Self::LONGEST_PAUSE))
    }
}

/// Whether the same request may well be answered a moment later.
fn is_blip(error: &TransportError) -> bool {
    if is_rate_limit(error) {
        return true;
    }
    let RpcError::Transport(kind) = error else { return false };
    match kind.as_http_error() {
        Some(http) => matches!(http.status, 502..=504),
        // A request that was waited for in vain is not waited for again.
        None => kind
            .as_custom()
            .and_then(|error| error.downcast_ref::<reqwest::Error>())
            .is_some_and(|error| !error.is_timeout()),
    }
}

/// Whether the node was asked too often, in HTTP's words or in its own.
pub(super) fn is_rate_limit(error: &TransportError) -> bool {
    match error {
        RpcError::Transport(kind) => kind.as_http_error().is_some_and(|http| http.status == 429),
        RpcError::ErrorResp(response) => {
            let words = response.message.to_lowercase();
            response.code == 429 || ["rate limit", "too many requests"].iter().any(|part| words.contains(part))
        }
        _ => false,
    }
}

/// What went wrong, without the endpoint's URL (it often holds the key of an account with a node's operator) and
/// without the pages that proxies answer with.
pub(super) fn cause(error: &TransportError) -> String {
    match error {
        RpcError::ErrorResp(response) => format!("the node refused: {}", printable(&response.message)),
        RpcError::Transport(kind) => match kind.as_http_error() {
            Some(http) => format!("the node answered with HTTP status {}", http.status),
            None => "no answer from the node".to_owned(),
        },
        _ => "the node answered what is not JSON-RPC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: u16) -> TransportError {
        TransportErrorKind::http_error(status, "<html>secret</html>".to_owned())
    }

    fn refused(code: i64, message: &'static str) -> TransportError {
        RpcError::ErrorResp(serde_json::from_value(serde_json::json!({"code": code, "message": message})).unwrap())
    }

    #[test]
    fn a_blip_is_asked_again_and_a_refusal_is_not() {
        for blip in [http(429), http(502), http(503), http(504), refused(429, "slow"), refused(-32005, "Rate limited")]
        {
            assert!(is_blip(&blip), "{blip:?}");
        }
        let too_many = refused(-32005, "query returned more than 10000 results");
        for lasting in [http(400), http(401), http(500), too_many, refused(3, "execution reverted")] {
            assert!(!is_blip(&lasting), "{lasting:?}");
        }
    }

    #[test]
    fn each_request_is_asked_again_a_few_times_ever_later() {
        let policy = Again::default();
        let pauses: Vec<_> = std::iter::from_fn(|| {
            policy.should_retry(&http(502)).then(|| policy.backoff_hint(&http(502)).unwrap().as_millis())
        })
        .collect();
        assert_eq!(pauses, [400, 800, 1600]);
        assert!(policy.clone().should_retry(&http(502)), "another request begins anew");
    }

    #[test]
    fn a_node_is_not_waited_for_as_long_as_it_likes() {
        let hour = TransportErrorKind::http_error_with_retry_after(429, String::new(), Some(Duration::from_hours(1)));
        assert_eq!(Again::default().backoff_hint(&hour), Some(Again::LONGEST_PAUSE));
    }

    #[test]
    fn an_error_is_told_without_url_and_page() {
        let broken = serde_json::from_str::<u8>("<html>").unwrap_err();
        let page = RpcError::deser_err(broken, "<html>secret</html>");
        for error in [http(500), page, TransportErrorKind::custom_str("error for url (http://node/secret)")] {
            assert!(!cause(&error).contains("secret"), "{}", cause(&error));
        }
    }
}
