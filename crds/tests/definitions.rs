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
