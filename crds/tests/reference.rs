//! `docs/reference/custom-resources.md` has every field, as the API server is told of it.
//!
//! `HAWSER_WRITE_DOCS=1 cargo test -p hawser-crds --test reference` rewrites the page's tables.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;

use hawser_crds::{definitions, to_yaml};
use serde_json::Value;

/// Fields whose items are Kubernetes' own, documented there.
const KUBERNETES: [(&str, &str); 2] = [
    (
        "conditions",
        "[Condition](https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#condition-v1-meta)",
    ),
    (
        "tolerations",
        "[Toleration](https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#toleration-v1-core)",
    ),
];

/// Bounds that come from a field's integer type and say nothing about its meaning.
const TYPE_BOUNDS: [&str; 4] = ["0", "65535", "4294967295", "9007199254740991"];

#[test]
fn the_reference_has_every_field_with_its_type_default_and_rules() {
    hawser_pages::assert_table("reference/custom-resources.md", "table", &tables());
}

fn tables() -> String {
    let mut text = String::new();
    for kind in ["DepinNetwork", "GpuOffer", "ComputeJob"] {
        let (_, definition) = definitions().into_iter().find(|(_, found)| found.spec.names.kind == kind).unwrap();
        let definition: Value = serde_yaml_ng::from_str(&to_yaml(&definition).unwrap()).unwrap();
        let (spec, version) = (&definition["spec"], &definition["spec"]["versions"][0]);
        let schema = &version["schema"]["openAPIV3Schema"];
        writeln!(text, "\n## {kind}\n\n{}\n", words(schema)).unwrap();
        let names: Vec<_> = spec["names"]["shortNames"].as_array().unwrap().iter().map(code).collect();
        let api = format!("{}/{}", spec["group"].as_str().unwrap(), version["name"].as_str().unwrap());
        let scope = if spec["scope"] == "Cluster" { "belongs to the cluster" } else { "belongs to a namespace" };
        writeln!(text, "`{api}`; {scope}; short name {}.", names.join(", ")).unwrap();
        for part in ["spec", "status"] {
            writeln!(text, "\n### {part} of a {kind}\n").unwrap();
            writeln!(text, "| field | type | default | rules | description |\n|---|---|---|---|---|").unwrap();
            rows(&schema["properties"][part], "", &mut text);
        }
    }
    text
}

/// A row for each field of `schema`, and for what is in it.
fn rows(schema: &Value, above: &str, text: &mut String) {
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    // What must be given comes first; both in alphabetical order.
    let fields: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    let (required, optional): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| is_required(name));
    for (name, field) in required.into_iter().chain(optional) {
        let path = format!("{above}{name}");
        let own = KUBERNETES.iter().find(|(known, _)| known == name).map(|(_, link)| *link);
        let kind = own.map_or_else(|| kind(field), |link| format!("list of {link}"));
        let default = if is_required(name) { "required".to_owned() } else { default(field) };
        writeln!(text, "| `{path}` | {kind} | {default} | {} | {} |", rules(field), words(field)).unwrap();
        if own.is_none() {
            rows(field, &format!("{path}."), text);
            rows(&field["items"], &format!("{path}[]."), text);
        }
    }
}

fn kind(field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == true {
        let is_quantity = field["pattern"].as_str().is_some_and(|pattern| pattern.contains("Ki|Mi|Gi"));
        return if is_quantity { "quantity" } else { "integer or string" }.to_owned();
    }
    match (field["type"].as_str(), field.get("additionalProperties")) {
        (Some("object"), Some(values)) => format!("map of {}", kind(values)),
        (Some("array"), _) => format!("list of {}", kind(&field["items"])),
        (Some("string"), _) if field["format"] == "date-time" => "time".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// Defaults of an object are those of its fields, each in its own row.
fn default(field: &Value) -> String {
    match field.get("default") {
        None => String::new(),
        Some(Value::Object(_)) if field.get("properties").is_some() => String::new(),
        Some(value) => code(value),
    }
}

fn rules(field: &Value) -> String {
    let mut rules = Vec::new();
    // The definition has some whole numbers as `1.0`.
    let bound = |key: &str| field[key].as_f64().map(|bound| format!("{bound:.0}"));
    let meant = |key: &str| bound(key).filter(|bound| !TYPE_BOUNDS.contains(&bound.as_str()));
    rules.extend(range(meant("minimum"), meant("maximum"), ""));
    rules.extend(range(bound("minLength"), bound("maxLength"), " characters"));
    rules.extend(range(bound("minItems"), bound("maxItems"), " items"));
    let values = field["enum"].as_array().or_else(|| field["items"]["enum"].as_array());
    rules.extend(values.map(|values| {
        let values: Vec<_> = values.iter().filter(|value| !value.is_null()).map(code).collect();
        format!("one of {}", values.join(", "))
    }));
    if kind(field) != "quantity" {
        rules.extend(field["pattern"].as_str().map(|pattern| cell(&format!("`{pattern}`"))));
    }
    let written = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules
        .extend(written.map(|rule| format!("*{}*", cell(rule["message"].as_str().or(rule["rule"].as_str()).unwrap()))));
    rules.join("; ")
}

fn range(least: Option<String>, most: Option<String>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn words(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

fn code(value: &Value) -> String {
    let text = value.as_str().filter(|text| !text.is_empty()).map_or_else(|| value.to_string(), str::to_owned);
    cell(&format!("`{text}`"))
}

/// Text in a table's cell: in one line, and without what ends the cell or begins HTML.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    // Within code `<` is itself already.
    let parts = line.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("`")
}

#[test]
fn a_field_says_what_it_takes() {
    let field = serde_json::json!({
        "type": "integer", "minimum": 1.0, "maximum": 4_294_967_295_u64, "default": 10,
        "description": "Seconds <a|b>\nof `x<y`.", "x-kubernetes-validations": [{"message": "no", "rule": "self"}]
    });
    assert_eq!(
        [kind(&field), default(&field), rules(&field), words(&field)],
        ["integer", "`10`", "at least 1; *no*", "Seconds &lt;a\\|b> of `x<y`."]
    );
    let list = serde_json::json!({"type": "array", "items": {"type": "string", "enum": ["A", "B"]}, "maxItems": 2});
    assert_eq!([kind(&list), rules(&list)], ["list of string", "at most 2 items; one of `A`, `B`"]);
}
