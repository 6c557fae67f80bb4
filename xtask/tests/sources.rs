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

/// Words of an EVM chain that no text for people has but those of EVM networks.
const WORDS_OF_CHAINS: [&str; 14] = [
    "EVM",
    "ERC-20",
    "block",
    "blocks",
    "chain",
    "chains",
    "contract",
    "gas",
    "gwei",
    "mined",
    "nonces",
    "reverted",
    "startJobs",
    "wei",
];

/// Where those may stand: what is made from `spec.evm`, the kinds that there are, and the reference page's advice for them.
/// Evidence names a market by chain and address, whatever the network is: it has one format.
const SPEAKS_OF_CHAINS: [&str; 5] = [
    "operator/src/network/evm/",
    "operator/src/controllers/depin_network/evm/",
    "operator/src/network/kind.rs",
    "operator/src/reasons.rs",
    "operator/src/attestation/check.rs",
];

/// Whoever reads a condition, a log or a metric of another kind of network is not told of gas and blocks, or to correct a field of
/// `spec.evm`: what only one kind of network knows is said by that network, and handed on.
#[test]
fn no_text_for_people_speaks_of_an_evm_chain_but_those_of_evm_networks() {
    let mut found = Vec::new();
    sources(&root().join("operator/src"), &mut found);
    let speaks = |path: &str| SPEAKS_OF_CHAINS.iter().any(|allowed| path.starts_with(allowed));
    let (evm, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(path, _)| speaks(path));
    for allowed in SPEAKS_OF_CHAINS {
        let strays = evm.iter().filter(|(path, _)| path.starts_with(allowed)).flat_map(|(_, text)| strays(text));
        assert!(strays.count() > 0, "{allowed} speaks of no chain any more");
    }
    let strays: Vec<_> = others
        .iter()
        .filter(|(path, _)| !is_test(path))
        .flat_map(|(path, text)| strays(text).into_iter().map(move |said| format!("{path}: {said}")))
        .collect();
    assert!(strays.is_empty(), "let the network say it (operator/src/network/status.rs has `Advice`): {strays:#?}");
}

/// Texts of a file that speak of a chain. What has no space is a name: of a metric, a label, a field in JSON.
fn strays(source: &str) -> Vec<String> {
    let source = source.split("mod tests {").next().unwrap_or_default();
    let speaks = |text: &String| {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && !"-_{}".contains(c));
        text.contains("spec.evm") || text.contains(' ') && words.any(|word| WORDS_OF_CHAINS.contains(&word))
    };
    texts(source).into_iter().filter(speaks).collect()
}

/// What stands in quotes in Rust, without comments.
fn texts(source: &str) -> Vec<String> {
    let (mut texts, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['/', '\'', '"']) {
        let found = &rest[at..];
        rest = if let Some(comment) = found.strip_prefix("//") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(text) = found.strip_prefix('"') {
            // In a raw text a backslash is itself, and a quote with no `#` behind it is part of the text.
            let hashes = rest[..at].chars().rev().take_while(|c| *c == '#').count();
            let raw = rest[..at - hashes].ends_with('r');
            let end = format!("\"{}", "#".repeat(if raw { hashes } else { 0 }));
            let mut escaped = false;
            let ends = text.char_indices().find(|(at, c)| {
                let ends = !escaped && text[*at..].starts_with(&end);
                escaped = !raw && !escaped && *c == '\\';
                ends
            });
            let (text, after) = text.split_at(ends.map_or(text.len(), |(at, _)| at));
            texts.push(text.to_owned());
            after.strip_prefix(&*end).unwrap_or_default()
        } else {
            // A quote as a character, and not the end of a text.
            let quote = ["'\"'", "'\\\"'"].iter().find_map(|quote| found.strip_prefix(quote));
            quote.unwrap_or(&found[1..])
        };
    }
    texts
}

#[test]
fn texts_are_told_from_comments_characters_and_lifetimes() {
    let source = r##"
        //! a "comment"
        fn f<'a>(x: &'a str) -> char { g("one // \"gas\"", 4 / 2, '"', r#"two "2" \"#); '\"' } // "three"
        const C: &str = "four \\"; const D: [char; 2] = ['\'', 'x'];
    "##;
    assert_eq!(texts(source), [r#"one // \"gas\""#, r#"two "2" \"#, r"four \\"]);
    assert_eq!(
        strays(r#"f("no gas here"); g("gas"); h("its {chain}, its blockage"); i("spec.evm.gas")"#),
        ["no gas here", "spec.evm.gas"]
    );
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
