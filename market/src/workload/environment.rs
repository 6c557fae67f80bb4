//! Which variables an order may set.

/// NVIDIA's runtime opens devices by `NVIDIA_*`, and its hooks are programs of the node that run with the container's
/// environment, from the container's folder, as root.
pub(super) fn steers_the_node(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LD_", "NVIDIA_", "CUDA_INJECTION"].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name.as_str(), "GCONV_PATH" | "GLIBC_TUNABLES")
}

/// Whether every API server takes this as the name of a container's environment variable: `[-._a-zA-Z][-._a-zA-Z0-9]*`
/// that is neither `.` nor begins with `..`. Kubernetes 1.34 takes more (all of printable ASCII but `=`), older ones
/// do not, and a pod that is refused once is refused for ever.
pub(super) fn is_name(name: &str) -> bool {
    let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let may_begin = !name.starts_with(|c: char| c.is_ascii_digit());
    !name.is_empty() && name.chars().all(may_stand) && may_begin && name != "." && !name.starts_with("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_api_server_takes() {
        for name in ["A", "_", "-", "a.b-c_D1", ".hidden", "NVIDIA_VISIBLE_DEVICES"] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", "1A", "A B", "A=B", "\u{c4}", "A\0", "A\n", "a/b", ".", "..", "..a", "\u{661}"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
