//! What the signers behind HTTP have in common.

use std::{error::Error, time::Duration};

use reqwest::{Client, Response};

/// A signer that doesn't answer within this time holds up everything else that is to be sent.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read, in bytes: a raw transaction is at most 128 KiB, and has two digits a byte.
const LONGEST_ANSWER: usize = 1 << 20;
/// Longest words of a signer that are repeated, in characters.
const LONGEST_WORDS: usize = 300;

/// A client that goes nowhere but to the URL that a person wrote down.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// The answer's body, or what happened to it.
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(format!("its answer has more than {LONGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause, without the URL that `reqwest` puts into its message.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    words(&last.to_string())
}

/// A stranger's words, on one line and not too many.
pub(super) fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_words_stay_on_one_line_and_end() {
        assert_eq!(words("a\nb\u{1b}[31m"), "a b [31m");
        assert_eq!(words(&"x".repeat(1000)).len(), LONGEST_WORDS);
    }
}
