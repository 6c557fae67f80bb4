//! What holds for every source file of the workspace, whatever it does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{fs, path::Path};

/// Folders of the workspace with Rust in them that people write.
const CRATES: [&str; 11] = [
    "attestation",
    "cli",
    "contracts/bindings",
    "crds",
    "e2e",
    "evm",
    "market",
    "operator",
    "proto",
    "sidecar",
    "xtask",
];

/// Each Rust file below a folder, by its path from the workspace's root, with its text.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "node_modules" && name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in CRATES {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 300, "only {} files", found.len());
    found
}

/// Modules of tests are named by what they test.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs")
}

/// A second kind of network must find nothing of the first one in its way (docs/adr/0030-a-network-is-a-trait.md).
#[test]
fn no_module_of_the_operator_knows_an_evm_but_that_of_evm_networks() {
    let mut found = Vec::new();
    sources(&root().join("operator/src"), &mut found);
    let inside = |path: &str| path.starts_with("operator/src/network/evm/");
    let (evm, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(path, _)| inside(path));
    let names =
        |text: &str| text.contains("alloy::") || text.contains("hawser_evm::") || text.contains("hawser_contracts::");
    assert!(evm.iter().any(|(_, text)| names(text)), "the folder has another name");
    let strays: Vec<_> = others.into_iter().filter(|(_, text)| names(text)).map(|(path, _)| path).collect();
    assert!(strays.is_empty(), "these speak an EVM's words; say it in those of operator/src/network: {strays:#?}");
    // Also in braces: `use crate::network::{evm, ..}`.
    let market = |text: &str| {
        text.contains("network::evm")
            || text.split("network::{").skip(1).any(|rest| {
                let list = rest.split(';').next().unwrap_or_default();
                list.split(|c: char| !c.is_alphanumeric() && c != '_').any(|name| name == "evm")
            })
    };
    let mut all = Vec::new();
    sources(&root().join("operator/src"), &mut all);
    let allowed = |path: &str| inside(path) || path.starts_with("operator/src/controllers/depin_network/evm/");
    let strays: Vec<_> =
        all.into_iter().filter(|(path, text)| !allowed(path) && market(text)).map(|(path, _)| path).collect();
    assert!(strays.is_empty(), "only what opens an EVM network may name it: {strays:#?}");
}

/// Customers' tools, operator and tests share them: they must run anywhere, and give the same answer each time.
#[test]
fn the_markets_words_know_no_cluster_and_do_no_io() {
    let mut found = Vec::new();
    sources(&root().join("market/src"), &mut found);
    let outside = [
        "kube::",
        "k8s_openapi",
        "hawser_crds",
        "tokio",
        "reqwest",
        "std::fs",
        "TcpStream",
        "ToSocketAddrs",
        "std::process",
        "::now()",
    ];
    let strays: Vec<_> = found
        .iter()
        .flat_map(|(path, text)| outside.iter().filter(|word| text.contains(**word)).map(move |word| (path, word)))
        .collect();
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn each_module_says_at_its_head_what_it_is_for() {
    let silent = |(path, text): (String, String)| (!is_test(&path) && !text.starts_with("//!")).then_some(path);
    let silent: Vec<_> = all().into_iter().filter_map(silent).collect();
    assert!(silent.is_empty(), "begin these with //! and a sentence: {silent:#?}");
}
