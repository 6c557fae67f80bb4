//! Whose images may run. kubelet pulls them from the node, with the node's own credentials: without a rule a stranger could
//! run what is private to the provider, or feel for what listens inside.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Whose images an offer takes, by the beginning of the whole reference (`docker.io/library/`, `ghcr.io/org/`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Images {
    /// Only these; empty: every registry with a public name.
    pub allow: Vec<String>,
    /// Never these.
    pub deny: Vec<String>,
}

/// The whole reference, as container runtimes complete a short one.
fn complete(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

/// An address inside: an IP address, `localhost`, a name without a dot.
fn is_inside(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let name = bracketed.unwrap_or_else(|| host.split_once(':').map_or(host, |(name, _)| name));
    let name = name.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || matches!(last.as_str(), "local" | "internal")
}

/// Whether an image may run; if not, why.
pub(super) fn check(image: &str, images: &Images) -> Result<(), String> {
    let whole = complete(image);
    let matches = |list: &[String]| list.iter().find(|prefix| whole.starts_with(prefix.as_str())).cloned();
    if let Some(prefix) = matches(&images.deny) {
        return Err(format!("the offer refuses images in {prefix:?}"));
    }
    if matches(&images.allow).is_some() {
        return Ok(());
    }
    if !images.allow.is_empty() {
        return Err(format!("the offer takes images in {} only", images.allow.join(", ")));
    }
    let host = whole.split_once('/').map_or("", |(host, _)| host);
    if is_inside(host) {
        return Err(format!("{host:?} is no public registry: use one with a public name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(allow: &[&str], deny: &[&str]) -> Images {
        let list = |prefixes: &[&str]| prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Images { allow: list(allow), deny: list(deny) }
    }

    #[test]
    fn without_a_list_only_public_registries_are_taken() {
        for (image, taken) in [
            ("debian", true),
            ("library/debian:12", true),
            ("ghcr.io/a/b@sha256:0", true),
            ("registry.example.org:5000/a", true),
            ("10.0.0.5:5000/x", false),
            ("10.0.0.5/x", false),
            ("[fd00::1]:5000/x", false),
            ("localhost/x", false),
            ("registry:5000/x", false),
            ("registry.svc.cluster.local/x", false),
            ("registry.local./x", false),
        ] {
            assert_eq!(check(image, &images(&[], &[])).is_ok(), taken, "{image}");
        }
    }

    #[test]
    fn lists_go_by_the_beginning_of_the_whole_reference_and_deny_wins() {
        let rules = images(&["docker.io/", "10.0.0.5:5000/"], &["docker.io/evil/"]);
        for (image, taken) in [
            ("debian", true),
            ("evil/debian", false),
            ("10.0.0.5:5000/x", true),
            ("10.0.0.50:5000/x", false),
            ("ghcr.io/a/b", false),
        ] {
            assert_eq!(check(image, &rules).is_ok(), taken, "{image}");
        }
        assert!(check("ghcr.io/a/b", &rules).unwrap_err().contains("docker.io/, 10.0.0.5:5000/ only"));
    }
}
