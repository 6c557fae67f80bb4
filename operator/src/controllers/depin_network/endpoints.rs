//! Endpoints that stand in a Secret, since an endpoint's URL is often the key that pays for it.

use crate::network::http_url;

/// As many as `rpcUrls` takes.
const MOST: usize = 8;

/// The URLs of a Secret's value: one a line. An error names the line and shows nothing of it.
pub(super) fn parse(value: &[u8], place: &str) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(value).map_err(|_| format!("{place} is not text"))?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let mut urls = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if http_url("spec.evm.rpcUrlsSecretRef", line).is_err() {
            return Err(format!("line {number} of {place} is not an http or https URL: write one a line"));
        }
        urls.push(line.to_owned());
    }
    match urls.len() {
        0 => Err(format!("{place} holds no URL: write one a line")),
        1..=MOST => Ok(urls),
        count => Err(format!("{place} holds {count} URLs: {MOST} are the most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_a_secret_stand_one_a_line() {
        for text in ["https://a/v2/key\nhttp://b", "\r\n  https://a/v2/key \r\n\r\nhttp://b\r\n"] {
            assert_eq!(parse(text.as_bytes(), "p").unwrap(), ["https://a/v2/key", "http://b"], "{text:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_urls_is_refused_by_its_line_and_not_shown() {
        let many = "https://a/key\n".repeat(9);
        for (text, says) in [
            ("", "Secret ns/rpc, key \"urls\" holds no URL: write one a line"),
            ("\n \n", "Secret ns/rpc, key \"urls\" holds no URL: write one a line"),
            (
                "https://a\nverysecret",
                "line 2 of Secret ns/rpc, key \"urls\" is not an http or https URL: write one a line",
            ),
            (
                "https://a, https://b/verysecret",
                "line 1 of Secret ns/rpc, key \"urls\" is not an http or https URL: write one a line",
            ),
            (
                "wss://a/verysecret",
                "line 1 of Secret ns/rpc, key \"urls\" is not an http or https URL: write one a line",
            ),
            (many.as_str(), "Secret ns/rpc, key \"urls\" holds 9 URLs: 8 are the most"),
        ] {
            assert_eq!(parse(text.as_bytes(), "Secret ns/rpc, key \"urls\"").unwrap_err(), says);
        }
        assert_eq!(parse(&[0xff, 0xfe], "p").unwrap_err(), "p is not text");
    }
}
