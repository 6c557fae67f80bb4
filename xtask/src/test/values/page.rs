//! The page with all values: each of the chart's stands there, and no other.

use serde_yaml_ng::{Mapping, Value};

const VALUES: &str = include_str!("../../../../charts/hawser/values.yaml");
const PAGE: &str = include_str!("../../../../docs/reference/chart.md");
const HEADING: &str = "## All values";

/// Paths of all values that are no maps of others.
fn leaves(of: &Mapping, above: &str, found: &mut Vec<String>) {
    for (key, value) in of {
        let path = format!("{above}{}", key.as_str().unwrap());
        match value {
            Value::Mapping(inner) if !inner.is_empty() => leaves(inner, &format!("{path}."), found),
            _ => found.push(path),
        }
    }
}

/// The paths that the page's table names: several may share a row.
fn named(page: &str) -> Vec<&str> {
    let section = page.split_once(HEADING).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    rows.flat_map(|(cell, _)| cell.split(", ").map(|path| path.trim_matches('`'))).collect()
}

/// Whether `path` is `value` or what it is in.
fn is_in(value: &str, path: &str) -> bool {
    value.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[test]
fn every_value_stands_on_the_page_and_no_other() {
    let mut values = Vec::new();
    leaves(&serde_yaml_ng::from_str(VALUES).unwrap(), "", &mut values);
    let paths = named(PAGE);
    let unnamed: Vec<_> = values.iter().filter(|value| !paths.iter().any(|path| is_in(value, path))).collect();
    assert!(unnamed.is_empty(), "docs/reference/chart.md, {HEADING:?}, does not have {unnamed:?}");
    let unknown: Vec<_> = paths.iter().filter(|path| !values.iter().any(|value| is_in(value, path))).collect();
    assert!(unknown.is_empty(), "docs/reference/chart.md has what is no value: {unknown:?}");
    assert!(values.len() > 60 && paths.len() > 40, "{} values, {} rows", values.len(), paths.len());
}
