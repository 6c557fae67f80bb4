//! The committed definitions are the generated ones, and Kubernetes takes their schemas.

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
