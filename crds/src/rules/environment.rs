//! Which variables an order may not set.

/// NVIDIA's runtime opens devices by `NVIDIA_*`, and its hooks are programs of the node that run with the container's
/// environment, from the container's folder, as root.
pub fn steers_the_node(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LD_", "NVIDIA_", "CUDA_INJECTION"].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name.as_str(), "GCONV_PATH" | "GLIBC_TUNABLES")
}
