//! JSON-RPC over HTTP: one request, one answer of bounded size, and what the endpoint says of our rate.

use std::{error::Error as _, fmt, time::Duration};

use alloy::rpc::json_rpc::{ErrorPayload, Response, ResponsePayload, SerializedRequest};
use reqwest::{StatusCode, Url, header};
use serde_json::value::RawValue;

use crate::{error::FailureKind, label, methods};

/// Longest answer that is read. A block full of orders for one provider has a tenth of it.
const LARGEST: usize = 16 << 20;
/// Longest beginning of a refusal that is looked at and shown.
const LONGEST_WORDS: usize = 300;
/// What is said of an answer that is too long: the same word that providers use, so that a range is halved.
const TOO_LARGE: &str = "the answer is longer than 16 MiB";

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The endpoint has enough of us for now.
    Limited { after: Option<Duration>, status: Option<u16>, words: String },
    /// The endpoint refuses this request.
    Refused(ErrorPayload),
    /// Nothing, where something was asked for.
    Null,
    /// The endpoint is not what it should be.
    Broken(FailureKind, String),
}

/// Sends requests to one URL.
pub(crate) struct Wire {
    http: reqwest::Client,
    url: Url,
    /// Sent along with each request: what pays for it can stand here.
    headers: header::HeaderMap,
}

/// The rest of the URL, and the headers, can hold a key.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("url", &label(&self.url)).finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) const fn new(url: Url, headers: header::HeaderMap, http: reqwest::Client) -> Self {
        Self { http, url, headers }
    }

    pub(crate) async fn request(&self, request: &SerializedRequest) -> Result<Box<RawValue>, Fault> {
        let asked = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .headers(self.headers.clone())
            .body(request.serialized().get().to_owned());
        let sent = asked.send().await.map_err(broken)?;
        let status = sent.status();
        let after = retry_after(sent.headers());
        let body = self::body(sent).await?;
        if !status.is_success() {
            let body = body.unwrap_or_default();
            return Err(refusal(status, after, &body, methods::asks_for_many(request)));
        }
        let Some(body) = body else {
            let message = TOO_LARGE.into();
            return Err(Fault::Refused(ErrorPayload { code: -32005, message, data: None }));
        };
        read(request.method(), &body)
    }
}

fn read(method: &str, body: &[u8]) -> Result<Box<RawValue>, Fault> {
    let unread = |error: serde_json::Error| {
        Fault::Broken(FailureKind::Garbage, format!("the answer is not what was asked for: {error}"))
    };
    let response: Response = serde_json::from_slice(body).map_err(unread)?;
    match response.payload {
        ResponsePayload::Success(result) => match methods::check(method, &result) {
            Ok(()) => Ok(result),
            Err(_) if result.get() == "null" => Err(Fault::Null),
            Err(error) => Err(unread(error)),
        },
        ResponsePayload::Failure(error) if says_limit(method, error.code, &error.message) => {
            Err(Fault::Limited { after: None, status: None, words: cut(&error.message) })
        }
        ResponsePayload::Failure(error) => Err(Fault::Refused(error)),
    }
}

/// The body; none where it is too long.
async fn body(mut response: reqwest::Response) -> Result<Option<Vec<u8>>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LARGEST {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An answer that is no success. The status alone doesn't tell a limit from a ban: some providers limit with 403, and a
/// node that is overloaded says when to come back with its 503. Some refuse a range of logs that is too wide with 400 or 413:
/// it is halved, and a single block is never too wide.
fn refusal(status: StatusCode, after: Option<Duration>, body: &[u8], many: bool) -> Fault {
    let text = cut(&String::from_utf8_lossy(body));
    let words = format!("HTTP error {status} with body: {text}");
    let may_be_wide = many && matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => after.is_some(),
        StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED => is_about_rate(&text),
        _ => may_be_wide && is_about_rate(&text),
    };
    if may_be_wide && !limited {
        return Fault::Refused(ErrorPayload { code: -32005, message: words.into(), data: None });
    }
    let status = status.as_u16();
    if limited {
        Fault::Limited { after, status: Some(status), words }
    } else {
        Fault::Broken(FailureKind::Status(status), words)
    }
}

/// Whether an error says that requests come too fast. Providers use the code of a rate limit for logs that are too many,
/// too: there only the words count, and otherwise the range is halved.
fn says_limit(method: &str, code: i64, message: &str) -> bool {
    let code_of_limits = matches!(code, 429 | -32005 | -32029 | -32055 | 1008);
    method != methods::LOGS && code_of_limits || is_about_rate(message)
}

fn is_about_rate(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "rate limit",
        "ratelimit",
        "rate-limit",
        "rate exceeded",
        "too many requests",
        "request limit",
        "requests per second",
        "compute units per second",
        "credits limited",
        "quota",
        "throughput",
        "concurrent requests",
    ];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// `Retry-After` in seconds. A date would be read with a clock that may be off: it counts as not said.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The innermost cause, without the URL: its path or query can be a key.
fn broken(error: reqwest::Error) -> Fault {
    let failure = if error.is_timeout() {
        FailureKind::TimedOut
    } else if error.is_connect() {
        FailureKind::NoConnection
    } else {
        FailureKind::NoAnswer
    };
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    Fault::Broken(failure, cut(&words))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_a_ban_a_dead_node_and_a_range_that_is_too_wide() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (status, after, body, limited) in [
            (429, seconds(7), "", true),
            (429, None, "slow down", true),
            (503, seconds(2), "", true),
            (503, None, "away", false),
            (403, None, "rate limit exceeded for this key", true),
            (403, None, "invalid key", false),
            (502, None, "rate limit", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let fault = refusal(status, after, body.as_bytes(), false);
            assert_eq!(matches!(fault, Fault::Limited { .. }), limited, "{status} {body}");
        }
        for (status, body, halved) in
            [(400, "range too wide", true), (413, "", true), (400, "rate limit reached", false), (404, "", false)]
        {
            let fault = refusal(StatusCode::from_u16(status).unwrap(), None, body.as_bytes(), true);
            assert_eq!(matches!(fault, Fault::Refused(_)), halved, "{status} {body}");
        }
        for (method, code, message, limited) in [
            ("eth_call", -32005, "limit exceeded", true),
            ("eth_getLogs", -32005, "query exceeds max block range 5", false),
            ("eth_getLogs", -32005, "daily request count exceeded, request rate limited", true),
            ("eth_getLogs", 429, "Your app has exceeded its compute units per second capacity", true),
            ("eth_call", 3, "execution reverted", false),
            ("eth_sendRawTransaction", -32000, "nonce too low", false),
        ] {
            assert_eq!(says_limit(method, code, message), limited, "{method} {code} {message}");
        }
    }

    #[test]
    fn nothing_is_an_answer_only_where_nothing_may_be_answered() {
        let body = br#"{"jsonrpc":"2.0","id":1,"result":null}"#;
        assert!(read(methods::BLOCK_BY_NUMBER, body).is_ok_and(|block| block.get() == "null"));
        assert!(matches!(read(methods::LOGS, body), Err(Fault::Null)));
        let refused = br#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x01"}}"#;
        assert!(matches!(read("m", refused), Err(Fault::Refused(error)) if error.as_revert_data().is_some()));
        assert!(matches!(read("m", b"<html>"), Err(Fault::Broken(FailureKind::Garbage, _))));
    }
}
