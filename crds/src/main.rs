//! Prints the custom resource definitions as YAML: one document a kind.
fn main() {}
