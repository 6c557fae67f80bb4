//! The grammar of image references, as container runtimes read it (github.com/distribution/reference).

/// Longest name, without tag and digest.
const LONGEST_NAME: usize = 255;

/// Whether a container runtime can read this reference: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
pub(super) fn is_reference(text: &str) -> bool {
    let (named, digest) = text.split_once('@').map_or((text, None), |(named, digest)| (named, Some(digest)));
    let (name, tag) = match named.rsplit_once(':') {
        // A colon before the last slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, name),
    };
    name.len() <= LONGEST_NAME
        && host.is_none_or(is_host)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let label = |label: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        ends(label.bytes().next())
            && ends(label.bytes().last())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let named = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(label),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Letters and digits in lower case, between which stand one dot, one or two underscores, or any number of dashes.
fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    bytes.first().is_some_and(|first| word(*first))
        && bytes.last().is_some_and(|last| word(*last))
        && bytes
            .split(|byte| word(*byte))
            .all(|run| matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// An algorithm that runtimes know, and its digits.
fn is_digest(digest: &str) -> bool {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match digest.split_once(':') {
        Some(("sha256", rest)) => digits(rest, 64),
        Some(("sha384", rest)) => digits(rest, 96),
        Some(("sha512", rest)) => digits(rest, 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_what_a_runtime_can_read() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in [
            "a",
            "debian:12",
            "library/debian",
            "ghcr.io/a/b_c/d__e.f--g:v1.2-3_4",
            "localhost/x",
            "registry:5000/x",
            "10.0.0.5:5000/x",
            "[fd00::1]:5000/x:1",
            "[fd00::1]/x",
            &format!("example.com/povray@{digest}"),
            &format!("example.com:5000/povray:3.7@{digest}"),
        ] {
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "",
            " a",
            "a b",
            "A/b",
            "example.com/Povray",
            "registry.example.com/render@sha256:...",
            "example.com/povray@sha256:00",
            "example.com/povray@md5:00",
            &format!("example.com/povray@{}", digest.to_uppercase()),
            "https://example.com/x",
            "example.com/",
            "/a",
            "a//b",
            "a/-b",
            "a/b-",
            "a/b___c",
            "a/b..c",
            "a:",
            "a:.b",
            "a@",
            "example.com:99999/a",
            "-x.com/a",
            &format!("a:{}", "x".repeat(129)),
            &"a".repeat(256),
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
