//! `docs/reference/conditions.md` has every condition, and the reasons that stand in the operator's source.
//!
//! `HAWSER_WRITE_DOCS=1 cargo test -p hawser-operator --test conditions` writes the page's table again.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A condition as `crds/src/condition.rs` has it: the constant's name, the type, and what is said of it.
struct Kind {
    constant: String,
    name: String,
    about: String,
}

fn kinds() -> Vec<Kind> {
    let source = fs::read_to_string(root().join("crds/src/condition.rs")).unwrap();
    let (mut kinds, mut about) = (Vec::new(), String::new());
    for line in source.lines() {
        if let Some(words) = line.strip_prefix("/// ") {
            write!(about, "{}{words}", if about.is_empty() { "" } else { " " }).unwrap();
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let (constant, value) = rest.split_once(": &str = \"").unwrap();
            let name = value.trim_end_matches("\";").to_owned();
            kinds.push(Kind { constant: constant.to_owned(), name, about: std::mem::take(&mut about) });
        } else {
            about.clear();
        }
    }
    kinds
}

/// What the controllers say of each condition, by its constant: words of status and reason.
fn said() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut said: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    let mut folders = vec![root().join("operator/src/controllers")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for call in code.split(".set(").skip(1) {
                if let Some((constant, status, reason)) = set(call) {
                    said.entry(constant).or_default().insert((status, reason));
                }
            }
        }
    }
    said
}

/// Reads `CONDITION, ConditionStatus::Word, &Reason::Word`.
fn set(call: &str) -> Option<(String, String, String)> {
    let (constant, rest) = call.split_once(',')?;
    let (status, rest) = rest.trim_start().strip_prefix("ConditionStatus::")?.split_once(',')?;
    let reason = rest.trim_start().strip_prefix("&Reason::")?;
    let reason = &reason[..reason.find(|c: char| !c.is_ascii_alphanumeric())?];
    // One that is computed is no word of the source.
    if !reason.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    Some((constant.trim().to_owned(), status.to_owned(), reason.to_owned()))
}

fn table() -> String {
    let mut said = said();
    let mut table = "| type | kind, and what `True` says | reasons |\n|---|---|---|\n".to_owned();
    for Kind { constant, name, about } in kinds() {
        let mut by_status: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (status, reason) in said.remove(&constant).unwrap_or_default() {
            by_status.entry(status).or_default().push(format!("`{reason}`"));
        }
        let order = ["True", "False", "Unknown"];
        let reasons =
            order.iter().filter_map(|status| Some(format!("{status}: {}", by_status.get(*status)?.join(", "))));
        writeln!(table, "| `{name}` | {about} | {} |", reasons.collect::<Vec<_>>().join("<br>")).unwrap();
    }
    assert!(said.is_empty(), "conditions that crds/src/condition.rs doesn't have: {said:?}");
    table
}

#[test]
fn the_reference_has_the_conditions_and_reasons_that_there_are() {
    hawser_pages::assert_table("reference/conditions.md", "table", &table());
}

#[test]
fn a_call_is_read_over_several_lines_and_one_with_other_words_is_not() {
    let read = |call: &str| set(call).map(|(a, b, c)| [a, b, c]);
    let expected = Some(["READY", "False", "Leaving"].map(str::to_owned));
    assert_eq!(read("READY, ConditionStatus::False, &Reason::Leaving, message)"), expected);
    assert_eq!(read("\n    READY,\n    ConditionStatus::False,\n    &Reason::Leaving,\n"), expected);
    assert_eq!(read("READY, ConditionStatus::False, reason, message)"), None);
    assert_eq!(read("1)"), None);
}

/// The words in backticks of a text.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn reasons_that_the_page_lists_by_hand_are_those_of_the_operator() {
    let page = fs::read_to_string(root().join("docs/reference/conditions.md")).unwrap();
    let (by_hand, rest) = page.split_once("<!-- table: begin -->").unwrap();
    let reasons = rest.split_once("<!-- reasons: begin -->").unwrap().1;
    let known: BTreeSet<&str> =
        reasons.lines().filter_map(|row| words(row.split(" | ").next()?).first().copied()).collect();
    let types: BTreeSet<String> = kinds().into_iter().map(|kind| kind.name).collect();
    let rows = by_hand.lines().filter(|line| line.starts_with("| `")).map(words);
    let (mut listed, mut unknown) = (0, Vec::new());
    for row in rows {
        assert!(types.contains(row[0]), "{} is no condition", row[0]);
        listed += row.len() - 1;
        unknown.extend(row[1..].iter().filter(|reason| !known.contains(**reason)).map(|reason| (*reason).to_owned()));
    }
    assert!(unknown.is_empty(), "docs/reference/conditions.md lists what is no reason: {unknown:?}");
    assert!(listed > 30, "{listed}");
}
