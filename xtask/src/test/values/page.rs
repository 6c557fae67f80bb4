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

/// Paths and defaults of each row of the page's table: several may share a row.
fn rows(page: &'static str) -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let section = page.split_once(HEADING).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let words = |cell: &'static str| cell.split(", ").map(|word| word.trim_matches('`')).collect();
    let cells = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ").filter(|row| row.starts_with('`'))?.split(" | ");
        Some((cells.next()?, cells.next()?))
    });
    cells.map(|(paths, defaults)| (words(paths), words(defaults))).collect()
}

/// The default of a value that is one word; none of a list, a map, or one that is empty.
fn default(path: &str) -> Option<String> {
    let values: Value = serde_yaml_ng::from_str(VALUES).unwrap();
    let value = path.split('.').try_fold(&values, |value, key| value.get(key))?;
    match value {
        Value::Bool(_) | Value::Number(_) => Some(serde_yaml_ng::to_string(value).unwrap().trim().to_owned()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Whether `path` is `value` or what it is in.
fn is_in(value: &str, path: &str) -> bool {
    value.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[test]
fn every_value_stands_on_the_page_and_no_other() {
    let mut values = Vec::new();
    leaves(&serde_yaml_ng::from_str(VALUES).unwrap(), "", &mut values);
    let paths: Vec<_> = rows(PAGE).into_iter().flat_map(|(paths, _)| paths).collect();
    let unnamed: Vec<_> = values.iter().filter(|value| !paths.iter().any(|path| is_in(value, path))).collect();
    assert!(unnamed.is_empty(), "docs/reference/chart.md, {HEADING:?}, does not have {unnamed:?}");
    let unknown: Vec<_> = paths.iter().filter(|path| !values.iter().any(|value| is_in(value, path))).collect();
    assert!(unknown.is_empty(), "docs/reference/chart.md has what is no value: {unknown:?}");
    assert!(values.len() > 60 && paths.len() > 40, "{} values, {} rows", values.len(), paths.len());
}

#[test]
fn the_page_says_the_defaults_that_the_values_have() {
    let told: Vec<_> = rows(PAGE).into_iter().filter(|(paths, defaults)| paths.len() == defaults.len()).collect();
    let told = told.iter().flat_map(|(paths, defaults)| paths.iter().zip(defaults));
    let compared: Vec<_> = told.filter_map(|(path, said)| Some((*path, *said, default(path)?))).collect();
    let wrong: Vec<_> = compared.iter().filter(|(_, said, is)| said != is).collect();
    assert!(wrong.is_empty(), "docs/reference/chart.md says another default than values.yaml has: {wrong:?}");
    assert!(compared.len() > 15, "{compared:?}");
}
