//! Endpoints that stand in a Secret, since an endpoint's URL or a header is often the key that pays for it.

use std::collections::HashSet;

use reqwest::header::{HeaderName, HeaderValue};

use crate::network::evm::{RpcHeaders, http_url};

/// As many as `rpcUrls` takes.
const MOST: usize = 8;

/// The URLs of a Secret's value, one a line, each with the headers in the lines beneath it. An error names the line and shows
/// nothing of it.
pub(super) fn parse(value: &[u8], place: &str) -> Result<(Vec<String>, RpcHeaders), String> {
    let text = std::str::from_utf8(value).map_err(|_| format!("{place} is not text"))?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let (mut urls, mut headers) = (Vec::new(), RpcHeaders::new());
    let (mut current, mut seen) = (None, HashSet::new());
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if let Ok(url) = http_url("spec.evm.rpcUrlsSecretRef", line) {
            if !seen.insert(url.clone()) {
                return Err(format!(
                    "line {number} of {place} holds a URL that stands there already: its headers would be those of both"
                ));
            }
            urls.push(line.to_owned());
            current = Some(url);
        } else if let (Some(url), Some((name, value))) = (&current, header(line)) {
            headers.entry(url.clone()).or_default().append(name, value);
        } else {
            return Err(format!(
                "line {number} of {place} is neither an http or https URL nor a header of the URL before it: write one URL \
                 a line, and beneath it its headers as \"Name: value\""
            ));
        }
    }
    match urls.len() {
        0 => Err(format!("{place} holds no URL: write one a line")),
        1..=MOST => Ok((urls, headers)),
        count => Err(format!("{place} holds {count} URLs: {MOST} are the most")),
    }
}

/// A header as HTTP writes it. The space tells it from a URL with a typo, whose scheme would be its name.
fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(": ")?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_a_secret_stand_one_a_line() {
        for text in ["https://a/v2/key\nhttp://b", "\r\n  https://a/v2/key \r\n\r\nhttp://b\r\n"] {
            let (urls, headers) = parse(text.as_bytes(), "p").unwrap();
            assert_eq!((urls.as_slice(), headers.len()), (&["https://a/v2/key".into(), "http://b".into()][..], 0));
        }
    }

    #[test]
    fn headers_stand_beneath_the_url_that_they_are_for_and_are_not_shown() {
        let text =
            "https://a\n  Authorization: Bearer verysecret \r\nX-Team: gpu: all\nhttps://b/key\nhttps://c\nx-key: c\n";
        let (urls, headers) = parse(text.as_bytes(), "p").unwrap();
        assert_eq!(urls, ["https://a", "https://b/key", "https://c"]);
        let of = |url: &str, name: &str| {
            let value = headers.get(&url.parse().unwrap())?.get(name)?;
            assert!(value.is_sensitive(), "{name}");
            Some(value.to_str().unwrap())
        };
        assert_eq!(of("https://a", "authorization"), Some("Bearer verysecret"));
        assert_eq!(of("https://a", "x-team"), Some("gpu: all"));
        assert_eq!((of("https://b/key", "authorization"), of("https://c", "x-key")), (None, Some("c")));
        assert!(!format!("{headers:?}").contains("verysecret"));
    }

    #[test]
    fn what_is_no_list_of_urls_is_refused_by_its_line_and_not_shown() {
        let many = (0..9).map(|n| format!("https://a/key{n}")).collect::<Vec<_>>().join("\n");
        let place = "Secret ns/rpc, key \"urls\"";
        let again = |number: u8| {
            format!(
                "line {number} of {place} holds a URL that stands there already: its headers would be those of both"
            )
        };
        let no_url = format!("{place} holds no URL: write one a line");
        let line = |number: u8| {
            format!(
                "line {number} of {place} is neither an http or https URL nor a header of the URL before it: write one URL a \
                 line, and beneath it its headers as \"Name: value\""
            )
        };
        for (text, says) in [
            ("", no_url.clone()),
            ("\n \n", no_url),
            ("https://a\nverysecret", line(2)),
            ("https://a, https://b/verysecret", line(1)),
            ("wss://a/verysecret", line(1)),
            ("https://a\nwss://a/verysecret", line(2)),
            ("Authorization: Bearer verysecret\nhttps://a", line(1)),
            ("https://a\nX Key: verysecret", line(2)),
            ("https://a\nX-Key: very\u{1}secret", line(2)),
            ("https://a/key\nX-Key: 1\nhttps://a/key\nX-Key: 2", again(3)),
            (many.as_str(), format!("{place} holds 9 URLs: 8 are the most")),
        ] {
            assert_eq!(parse(text.as_bytes(), place).unwrap_err(), says);
        }
        assert_eq!(parse(&[0xff, 0xfe], "p").unwrap_err(), "p is not text");
    }
}
