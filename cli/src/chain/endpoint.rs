//! The connection to nodes, and what an error of theirs says.

use alloy::{contract, primitives::Address};
use hawser_evm::{
    ClientProfile, EndpointOptions, Error, Expected, FailureKind, Names, Options, Pool, Reason, Trouble, Unavailable,
};
use hawser_market::text::printable;
use reqwest::{Url, header::HeaderMap};

use crate::failure::Failure;

/// The nodes that a person named; at least one.
pub(super) fn nodes(urls: &[String]) -> Result<Vec<Url>, Failure> {
    let urls: Vec<&str> = urls.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return Err(Failure::input("no node: say which with --rpc-url URL or HAWSER_RPC_URL"));
    }
    urls.into_iter().map(parsed).collect()
}

/// Asks nobody yet. The first node is preferred.
pub(super) fn pool(nodes: Vec<Url>, contract: Address, chain_id: Option<u64>) -> Result<Pool, Failure> {
    let endpoints = nodes.into_iter().map(|url| EndpointOptions { url, headers: HeaderMap::new() }).collect();
    let names = Names { chain_id: "--chain-id (HAWSER_CHAIN_ID)", genesis: None, contract: "--market" };
    let expected = Expected { chain_id, genesis: None, contract, names };
    Pool::new(Options::new(endpoints, expected, ClientProfile::COMMAND))
        .map_err(|error| Failure::Unreachable(format!("the HTTP client can't start: {error}")))
}

/// A URL is never repeated: it often holds the key of an account with a node's operator.
fn parsed(url: &str) -> Result<Url, Failure> {
    let url: Url = url.parse().map_err(|error| {
        Failure::input(format!(
            "the RPC endpoint is not a URL ({error}): expected something like http://127.0.0.1:8545; commas separate \
             endpoints, one inside a URL is written %2C"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::input(format!(
            "the RPC endpoint begins with {}://: expected http:// or https://",
            url.scheme()
        )));
    }
    Ok(url)
}

/// What went wrong, without the endpoint's URL and without the pages that proxies answer with.
pub(super) fn cause(error: &Error) -> String {
    match error {
        Error::Answer { message, .. } => format!("the node refused: {}", printable(message)),
        Error::Malformed { .. } => "the node answered what is not JSON-RPC".to_owned(),
        Error::Unavailable(Unavailable(troubles)) => match troubles.as_slice() {
            [] => "no answer from the node".to_owned(),
            [(_, trouble)] => in_words(trouble),
            several => {
                let words = several.iter().map(|(endpoint, trouble)| format!("{endpoint}: {}", in_words(trouble)));
                words.collect::<Vec<_>>().join("; ")
            }
        },
    }
}

fn in_words(trouble: &Trouble) -> String {
    match trouble.failure {
        Some(FailureKind::Status(status @ 300..400)) => format!(
            "the node redirects (HTTP status {status}), which is not followed: give the URL that it redirects to"
        ),
        Some(FailureKind::Status(status) | FailureKind::Limited(Some(status))) => {
            format!("the node answered with HTTP status {status}")
        }
        Some(FailureKind::Limited(None)) => "the node refused".to_owned(),
        Some(FailureKind::NoConnection | FailureKind::NoAnswer | FailureKind::TimedOut) => {
            "no answer from the node".to_owned()
        }
        Some(FailureKind::Garbage) => "the node answered what is not JSON-RPC".to_owned(),
        None => printable(&trouble.message),
    }
}

/// Whether nodes were asked too often.
pub(super) fn is_rate_limit(error: &Error) -> bool {
    let Error::Unavailable(Unavailable(troubles)) = error else { return false };
    troubles.iter().any(|(_, trouble)| matches!(trouble.failure, Some(FailureKind::Limited(_))))
}

/// What can't become right by itself: all nodes are of another chain than was asked for, or have no market there.
pub(super) fn mismatch(error: &Error) -> Option<Failure> {
    let Error::Unavailable(why) = error else { return None };
    let lasts = |trouble: &Trouble| matches!(trouble.reason, Reason::WrongChain | Reason::NoContract);
    if why.0.is_empty() || !why.0.iter().all(|(_, trouble)| lasts(trouble)) {
        return None;
    }
    let check = if why.reason() == Reason::WrongChain { "check --rpc-url" } else { "check --market and --rpc-url" };
    Some(Failure::input(format!("{}: {check}", cause(error))))
}

/// Those that were tried before the one that is used, and what is wrong with them: whoever waits for them each time will
/// want to know. None where the first is used.
pub(super) fn passed_over(pool: &Pool) -> Option<String> {
    let Unavailable(mut troubles) = pool.unavailable();
    troubles.retain(|(_, trouble)| trouble.reason != Reason::Connecting);
    if troubles.is_empty() {
        return None;
    }
    Some(format!("{}; using {}", cause(&Error::Unavailable(Unavailable(troubles))), pool.endpoint()))
}

/// The endpoint's answer to a call of a contract, where it answered with an error.
pub(super) fn answer(error: &contract::Error) -> Option<Error> {
    let contract::Error::TransportError(error) = error else { return None };
    Some(Error::from(error)).filter(|error| matches!(error, Error::Answer { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(troubles: &[(Option<FailureKind>, &str)]) -> Error {
        let trouble = |(failure, message): &(Option<FailureKind>, &str)| Trouble {
            reason: Reason::Unreachable,
            message: (*message).to_owned(),
            failure: *failure,
        };
        Error::Unavailable(Unavailable(troubles.iter().map(|it| ("https://a".to_owned(), trouble(it))).collect()))
    }

    #[test]
    fn an_error_is_told_without_url_and_page() {
        let page = "<html>secret</html>";
        for (failure, words) in [
            (FailureKind::Status(500), "HTTP status 500"),
            (FailureKind::Status(308), "redirects (HTTP status 308)"),
            (FailureKind::Limited(Some(429)), "HTTP status 429"),
            (FailureKind::Limited(None), "refused"),
            (FailureKind::NoConnection, "no answer"),
            (FailureKind::NoAnswer, "no answer"),
            (FailureKind::TimedOut, "no answer"),
            (FailureKind::Garbage, "not JSON-RPC"),
        ] {
            let told = cause(&unavailable(&[(Some(failure), page)]));
            assert!(told.contains(words) && !told.contains("secret"), "{told}");
            assert_eq!(
                is_rate_limit(&unavailable(&[(Some(failure), page)])),
                matches!(failure, FailureKind::Limited(_))
            );
        }
    }

    #[test]
    fn of_several_nodes_each_is_told() {
        let told = cause(&unavailable(&[(Some(FailureKind::NoAnswer), ""), (Some(FailureKind::Status(502)), "")]));
        assert_eq!(told, "https://a: no answer from the node; https://a: the node answered with HTTP status 502");
        assert_eq!(cause(&unavailable(&[])), "no answer from the node");
    }

    #[test]
    fn an_endpoint_that_can_not_be_read_is_bad_input_and_is_not_repeated() {
        for (urls, words) in [
            (&["", " "][..], "no node"),
            (&["http://a", "wouldbeakey"], "not a URL"),
            (&["ws://a/wouldbeakey"], "begins with ws://"),
        ] {
            let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
            let failure = nodes(&urls).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            let told = failure.to_string();
            assert!(told.contains(words) && !told.contains("wouldbeakey"), "{told}");
        }
    }
}
