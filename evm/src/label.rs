//! What of an endpoint's URL may be shown.

use reqwest::Url;

/// Scheme, host and port of a URL: what may be shown of it. The rest can hold a key or a password.
pub fn label(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_path_and_credentials() {
        let url = "https://user:word@rpc.example.org:8443/v2/key?token=1".parse().unwrap();
        assert_eq!(label(&url), "https://rpc.example.org:8443");
    }
}
