//! JSON schemas for kubeconform, from the `OpenAPI` document inside Kubernetes' own Go module: its usual source is a
//! download site, and this one has exactly the version that the local cluster runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use hawser_local::Layout;
use serde_json::{Map, Value, json};

/// Where kubeconform finds the schema of a kind below the folder that [`write`] filled.
pub(crate) const TEMPLATE: &str = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json";
const DEFINITIONS: &str = "definitions.json";

/// Fills `folder` with one schema a kind.
pub(crate) fn write(layout: &Layout, folder: &Path) -> Result<()> {
    let document = fs::read_to_string(kubernetes_module(layout)?.join("api/openapi-spec/swagger.json"))
        .context("Kubernetes' OpenAPI document can't be read")?;
    let mut document: Value = serde_json::from_str(&document)?;
    let Some(Value::Object(mut definitions)) = document.get_mut("definitions").map(Value::take) else {
        bail!("Kubernetes' OpenAPI document has no definitions");
    };
    for (name, file) in kinds(&definitions) {
        let schema = json!({ "$ref": format!("file://{}#/definitions/{name}", folder.join(DEFINITIONS).display()) });
        fs::write(folder.join(file), schema.to_string())?;
    }
    definitions.values_mut().for_each(tighten);
    fs::write(folder.join(DEFINITIONS), json!({ "definitions": definitions }).to_string())?;
    Ok(())
}

/// The module's folder, downloaded if need be.
fn kubernetes_module(layout: &Layout) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.current_dir(layout.source().join("go/kubernetes")).env("GOFLAGS", "-mod=readonly").env("GOTOOLCHAIN", "local");
    let answer = go.args(["mod", "download", "-json", "k8s.io/kubernetes"]).output().context("go can't be run")?;
    // A download that failed is told in the same JSON.
    let module: Value = serde_json::from_slice(&answer.stdout)
        .with_context(|| format!("`go mod download` says {}", String::from_utf8_lossy(&answer.stderr).trim()))?;
    match module["Dir"].as_str() {
        Some(folder) if !folder.is_empty() => Ok(folder.into()),
        _ => bail!(
            "Go has no k8s.io/kubernetes: {}; make the module proxy reachable (GOPROXY), or fill the module cache (GOMODCACHE)",
            module["Error"].as_str().unwrap_or("`go mod download` named no folder")
        ),
    }
}

/// Each definition that is a kind of its own, with the file that [`TEMPLATE`] gives it.
fn kinds(definitions: &Map<String, Value>) -> Vec<(String, String)> {
    let gvk = "x-kubernetes-group-version-kind";
    let named = |(name, definition): (&String, &Value)| {
        let [kind] = definition.get(gvk)?.as_array()?.as_slice() else { return None };
        let part = |key: &str| kind.get(key)?.as_str().map(ToOwned::to_owned);
        let version = part("version")?;
        // kubeconform takes the version for the group where there is no group.
        let group = part("group").filter(|group| !group.is_empty()).unwrap_or_else(|| version.clone());
        let file = format!("{group}_{version}_{}.json", part("kind")?.to_lowercase());
        Some((name.clone(), file))
    };
    definitions.iter().filter_map(named).collect()
}

/// Unknown fields are refused, and what `OpenAPI` v2 can't say is said.
fn tighten(schema: &mut Value) {
    match schema {
        Value::Object(object) if object.get("format").is_some_and(|format| format == "int-or-string") => {
            object.remove("format");
            object.insert("type".to_owned(), json!(["integer", "string"]));
        }
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(tighten);
        }
        Value::Array(items) => items.iter_mut().for_each(tighten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_refused_at_any_depth() {
        let mut schema =
            json!({"properties": {"spec": {"properties": {"port": {"type": "string", "format": "int-or-string"}}}}});
        tighten(&mut schema);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["spec"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["spec"]["properties"]["port"]["type"], json!(["integer", "string"]));
    }

    #[test]
    fn a_kinds_file_is_named_as_kubeconform_looks_for_it() {
        let kind =
            |group, kind| json!({"x-kubernetes-group-version-kind": [{"group": group, "kind": kind, "version": "v1"}]});
        let definitions = json!({"a": kind("apps", "Deployment"), "b": {}, "c": kind("", "Service")});
        let Value::Object(definitions) = definitions else { unreachable!() };
        let files: Vec<_> = kinds(&definitions).into_iter().map(|(_, file)| file).collect();
        assert_eq!(files, ["apps_v1_deployment.json", "v1_v1_service.json"]);
    }
}
