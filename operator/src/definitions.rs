//! Whether the custom resource definitions of the cluster know every field that this operator writes.
//!
//! Helm upgrades the charts in the order in which somebody types. An operator that is newer than the definitions would do
//! its work and could not write down what it did. So it compares the schemas themselves, which can't be forgotten as a
//! number can, and waits until nothing is lacking.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

/// So many lacking fields are named.
const NAMED: usize = 3;

/// What has to be upgraded before this operator can lead; none where all is well.
///
/// # Errors
/// Where the definitions can't be read.
pub async fn outdated(client: &Client) -> Result<Option<String>, kube::Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, mine) in hawser_crds::definitions() {
        let name = mine.name_any();
        let Some(installed) = api.get_opt(&name).await? else {
            return Ok(Some(format!(
                "CustomResourceDefinition {name} is not installed: install the chart hawser-crds, this operator waits"
            )));
        };
        let lacking = lacking(&mine, &installed);
        if !lacking.is_empty() {
            return Ok(Some(too_old(&name, &lacking)));
        }
    }
    Ok(None)
}

fn too_old(name: &str, lacking: &[String]) -> String {
    let more = match lacking.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = lacking[..lacking.len().min(NAMED)].join(", ");
    format!(
        "CustomResourceDefinition {name} is older than this operator, it lacks {named}{more}: upgrade the chart \
         hawser-crds, this operator waits"
    )
}

/// What `installed` lacks of `mine`, as paths of fields.
fn lacking(mine: &CustomResourceDefinition, installed: &CustomResourceDefinition) -> Vec<String> {
    let mut lacking = Vec::new();
    for version in &mine.spec.versions {
        let theirs = installed.spec.versions.iter().find(|theirs| theirs.name == version.name && theirs.served);
        let Some(theirs) = theirs else {
            lacking.push(format!("version {}", version.name));
            continue;
        };
        let schema = |version: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion| {
            serde_json::to_value(version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()))
                .unwrap_or_default()
        };
        compare(&schema(version), &schema(theirs), "", &mut lacking);
        let selectable = theirs.selectable_fields.as_deref().unwrap_or_default();
        let wanted = version.selectable_fields.iter().flatten().filter(|field| !selectable.contains(field));
        lacking.extend(wanted.map(|field| format!("selectableFields {}", field.json_path)));
    }
    lacking
}

fn compare(mine: &Value, theirs: &Value, path: &str, lacking: &mut Vec<String>) {
    if theirs["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if let Some(properties) = mine["properties"].as_object() {
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            match theirs["properties"].get(name) {
                Some(theirs) => compare(property, theirs, &path, lacking),
                None => lacking.push(path),
            }
        }
    }
    for below in ["items", "additionalProperties"] {
        if mine[below].is_object() {
            compare(&mine[below], &theirs[below], &format!("{path}[]"), lacking);
        }
    }
    if let Some(known) = theirs["enum"].as_array() {
        let values = mine["enum"].as_array().into_iter().flatten();
        lacking.extend(values.filter(|value| !known.contains(value)).map(|value| format!("{path}={value}")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_lacking_is_named_by_its_path() {
        let mine = json!({"properties": {
            "spec": {"properties": {"mode": {"enum": ["A", "B"]}, "ports": {"items": {"properties": {"n": {}}}}}},
            "status": {"properties": {"labels": {"additionalProperties": {"properties": {"v": {}}}}}},
        }});
        let check = |theirs: &Value| {
            let mut lacking = Vec::new();
            compare(&mine, theirs, "", &mut lacking);
            lacking
        };
        let nothing: [&str; 0] = [];
        assert_eq!(check(&mine), nothing);
        for (at, with, expected) in [
            ("/properties", json!({"spec": mine["properties"]["spec"]}), vec![".status"]),
            ("/properties/spec/properties/mode/enum", json!(["A"]), vec![".spec.mode=\"B\""]),
            ("/properties/spec/properties/mode", json!({}), vec![]),
            ("/properties/spec/properties/ports/items", json!({}), vec![".spec.ports[].n"]),
            ("/properties/status/properties/labels/additionalProperties", json!({}), vec![".status.labels[].v"]),
            ("/properties/status", json!({"x-kubernetes-preserve-unknown-fields": true}), vec![]),
        ] {
            let mut theirs = mine.clone();
            *theirs.pointer_mut(at).unwrap() = with;
            assert_eq!(check(&theirs), expected, "{at}");
        }
        let mut newer = mine.clone();
        newer["properties"]["spec"]["properties"]["later"] = json!({});
        assert_eq!(check(&newer), nothing, "definitions may be newer");
    }

    #[test]
    fn the_definitions_of_this_build_lack_nothing_and_a_version_that_is_not_served_is_lacking() {
        for (file, mine) in hawser_crds::definitions() {
            let yaml = hawser_crds::to_yaml(&mine).unwrap();
            let mut installed: CustomResourceDefinition = serde_yaml_ng::from_str(&yaml).unwrap();
            assert_eq!(lacking(&mine, &installed), Vec::<String>::new(), "{file}");
            let selectable = installed.spec.versions[0].selectable_fields.take();
            let wanted = selectable.into_iter().flatten().map(|field| format!("selectableFields {}", field.json_path));
            assert_eq!(lacking(&mine, &installed), wanted.collect::<Vec<_>>(), "{file}");
            installed.spec.versions[0].served = false;
            assert_eq!(lacking(&mine, &installed), ["version v1alpha1"], "{file}");
        }
    }

    #[test]
    fn the_message_names_some_of_what_is_lacking_and_the_way_out() {
        let lacking: Vec<String> = (1..=5).map(|n| format!(".status.f{n}")).collect();
        assert_eq!(
            too_old("gpuoffers.hawser.dev", &lacking),
            "CustomResourceDefinition gpuoffers.hawser.dev is older than this operator, it lacks .status.f1, \
             .status.f2, .status.f3 and 2 more: upgrade the chart hawser-crds, this operator waits"
        );
    }
}
