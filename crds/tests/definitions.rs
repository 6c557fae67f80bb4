//! The committed definitions are the generated ones, and Kubernetes takes their schemas.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use hawser_crds::{definitions, to_yaml};

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/hawser-crds/templates");
    for (file, definition) in definitions() {
        let committed = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(
            committed == to_yaml(&definition).unwrap(),
            "charts/hawser-crds/templates/{file} is out of date: run `cargo run -p hawser-crds`"
        );
    }
}

#[test]
fn every_field_is_described_for_kubectl_explain() {
    for (file, definition) in definitions() {
        let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        for part in ["spec", "status"] {
            let schema = serde_json::to_value(&schema.properties.as_ref().unwrap()[part]).unwrap();
            let mut missing = Vec::new();
            undescribed(&schema, part, &mut missing);
            assert!(missing.is_empty(), "{file}: no description at {missing:?}");
        }
    }
}

fn undescribed(schema: &serde_json::Value, path: &str, missing: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(|p| p.as_object()) else {
        if let Some(items) = schema.get("items") {
            undescribed(items, path, missing);
        }
        return;
    };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        if property.get("description").is_none() {
            missing.push(path.clone());
        }
        undescribed(property, &path, missing);
    }
}

#[test]
fn no_integer_is_taken_that_the_type_does_not_hold_and_no_quantity_that_is_none() {
    for (file, definition) in definitions() {
        let written: serde_json::Value = serde_yaml_ng::from_str(&to_yaml(&definition).unwrap()).unwrap();
        let mut open = Vec::new();
        unbounded(&written, file, &mut open);
        assert!(open.is_empty(), "{file}: no maximum at {open:?}");
    }
    let offers = to_yaml(&definitions()[2].1).unwrap();
    let offers: serde_json::Value = serde_yaml_ng::from_str(&offers).unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    for field in ["cpuPerGpu", "memoryPerGpu", "storagePerGpu"] {
        let limit = offers.pointer(&format!("{spec}/limits/properties/{field}")).unwrap();
        assert!(limit.get("pattern").is_some() && limit.get("nullable").is_none(), "{field}: {limit}");
        assert!(limit.get("description").is_some() && limit.get("default").is_some(), "{field}: {limit}");
    }
}

fn unbounded(node: &serde_json::Value, path: &str, open: &mut Vec<String>) {
    if node.get("type").is_some_and(|kind| kind == "integer")
        && node.get("minimum").is_some()
        && node.get("maximum").is_none()
    {
        open.push(path.to_owned());
    }
    match node {
        serde_json::Value::Object(map) => {
            map.iter().for_each(|(key, value)| unbounded(value, &format!("{path}.{key}"), open));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| unbounded(item, path, open)),
        _ => {}
    }
}

/// The schema of a part of the definition with this kind.
fn schema_of(kind: &str, pointer: &str) -> serde_json::Value {
    let found = definitions().into_iter().find(|(_, definition)| definition.spec.names.kind == kind).unwrap().1;
    let written: serde_json::Value = serde_yaml_ng::from_str(&to_yaml(&found).unwrap()).unwrap();
    let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{pointer}");
    written.pointer(&pointer).unwrap_or_else(|| panic!("{kind} has no {pointer}")).clone()
}

#[test]
fn kubectl_explain_names_the_conditions_that_each_kind_has() {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/condition.rs")).unwrap();
    for kind in ["DepinNetwork", "GpuOffer", "ComputeJob"] {
        let (mut expected, mut about) = (BTreeSet::new(), String::new());
        for line in source.lines() {
            if let Some(words) = line.strip_prefix("/// ") {
                about.push_str(words);
            } else if let Some((_, value)) = line.split_once(": &str = ") {
                let of = about.strip_prefix('`').and_then(|rest| rest.split_once("`:"));
                if about.contains("(all kinds)") || of.is_some_and(|(of, _)| of == kind) {
                    expected.insert(format!("`{}`", value.trim_matches(['"', ';'])));
                }
                about.clear();
            }
        }
        let said = schema_of(kind, "status/properties/conditions")["description"].as_str().unwrap().to_owned();
        let said: BTreeSet<String> =
            said.split([' ', ',', '.', ';', '\n']).filter(|word| word.starts_with('`')).map(str::to_owned).collect();
        assert!(!expected.is_empty());
        assert_eq!(said, expected, "the comment on `conditions` of {kind}'s status");
    }
}

#[test]
fn windows_are_bounded_as_the_market_bounds_them_with_words_that_name_the_limit() {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/src");
    let read = |file: &str| std::fs::read_to_string(contracts.join(file)).unwrap();
    let market = read("base/Offers.sol") + &read("extension/OfferBook.sol");
    let constant = |name: &str| -> u64 {
        let value = market.split_once(&format!(" {name} = ")).unwrap().1.split_once(';').unwrap().0;
        let (count, unit) = value.split_once(' ').unwrap();
        let seconds = match unit {
            "minutes" => 60,
            "hours" => 3600,
            "days" => 24 * 3600,
            other => panic!("{other}"),
        };
        count.parse::<u64>().unwrap() * seconds
    };
    let limits = schema_of("GpuOffer", "spec/properties/limits");
    let minimum = limits["properties"]["claimWindowSeconds"]["minimum"].as_f64();
    assert_eq!(minimum, u32::try_from(constant("MIN_CLAIM_WINDOW")).ok().map(f64::from));
    let rules = limits["x-kubernetes-validations"].as_array().unwrap();
    for (field, name) in [("startWindowSeconds", "START_WINDOW_LIMIT"), ("claimWindowSeconds", "CLAIM_WINDOW_LIMIT")] {
        let most = constant(name);
        let rule = rules.iter().find(|rule| rule["rule"] == format!("self.{field} <= {most}"));
        let message = rule.unwrap_or_else(|| panic!("no rule keeps {field} up to {most}"))["message"].as_str().unwrap();
        assert!(message.contains(field) && message.contains(&most.to_string()), "{message}");
        assert_eq!(limits["properties"][field]["default"].as_u64().map(|default| default <= most), Some(true));
    }
}
