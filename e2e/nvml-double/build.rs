//! Gives the library the name that NVIDIA's has inside: `ldconfig` in a container makes the link
//! `libnvidia-ml.so.1`, by which programs look for it, from that name.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
}
