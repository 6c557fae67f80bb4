//! What an API server makes of our objects by their definitions alone: what it refuses and in which words, what it fills in, and
//! what `kubectl get` prints of them. One table for each kind; a rule that no table breaks fails the test.

mod jobs;
mod networks;
mod offers;

use std::collections::BTreeSet;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use hawser_crds::definitions;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::testbed::{OFFERS, Testbed};

/// A merge patch of the kind's plain spec, and words of the refusal; none: it is taken.
type Case = (&'static str, Option<&'static str>);
/// The same of an object that is made with the first one.
type Change = (&'static str, Case);

/// What is expected of one kind.
struct Table {
    kind: ApiResource,
    namespaced: bool,
    /// As little as is taken.
    plain: Value,
    /// New objects.
    made: &'static [Case],
    /// Changes of objects.
    changed: &'static [Change],
    /// What is stored of the plain one.
    stored: Value,
    /// Defaults of what the plain one leaves out: a change that has it, where a default then stands, and the default.
    defaults: &'static [(&'static str, &'static str, &'static str)],
    /// A status, for the columns.
    status: Value,
    /// What `kubectl get` and `kubectl get -o wide` print: the head, and the object's line. Without the age.
    columns: [[&'static [&'static str]; 2]; 2],
}

fn tables() -> [Table; 3] {
    [networks::table(), offers::table(), jobs::table()]
}

#[tokio::test]
async fn each_rule_of_the_definitions_refuses_what_it_forbids_in_its_own_words_and_nothing_else() -> Result<()> {
    let testbed = Testbed::new().await?;
    let mut said = BTreeSet::new();
    for table in tables() {
        let api = table.api(&testbed);
        let (dry, applied) = (PostParams { dry_run: true, ..PostParams::default() }, PostParams::default());
        for (change, refusal) in table.made {
            let made = api.create(&dry, &table.object("new", change)?).await;
            check(&table, change, *refusal, made)?;
        }
        for (number, (before, (change, refusal))) in table.changed.iter().enumerate() {
            let name = format!("changed-{number}");
            api.create(&applied, &table.object(&name, before)?).await?;
            let spec: Value = serde_json::from_str(change).context(*change)?;
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            let changed = api.patch(&name, &params, &Patch::Merge(json!({"spec": spec}))).await;
            check(&table, change, *refusal, changed)?;
        }
        let cases = table.made.iter().chain(table.changed.iter().map(|(_, case)| case));
        said.extend(cases.filter_map(|(_, refusal)| *refusal));
    }
    let rules: BTreeSet<String> =
        definitions().iter().map(rules).collect::<Result<Vec<_>>>()?.concat().into_iter().collect();
    let unbroken: Vec<_> = rules.iter().filter(|rule| !said.contains(rule.as_str())).collect();
    ensure!(unbroken.is_empty(), "no table breaks {unbroken:?}");
    Ok(())
}

/// As programs write it that have a field for everything.
#[tokio::test]
async fn null_is_taken_as_what_is_absent() -> Result<()> {
    let testbed = Testbed::new().await?;
    let table = networks::table();
    let (api, dry) = (table.api(&testbed), PostParams { dry_run: true, ..PostParams::default() });
    for (path, refusal) in networks::NULLS {
        let mut object =
            table.object("new", r#"{"settlement": {}, "evm": {"settlement": {"intervalSeconds": 3600}}}"#)?;
        let place = object.data.pointer_mut(&format!("/spec{path}")).with_context(|| (*path).to_owned())?;
        *place = Value::Null;
        let made = api.create(&dry, &object).await;
        check(&table, path, *refusal, made)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_nobody_has_written_is_stored_as_the_defaults_say_and_kubectl_prints_the_columns() -> Result<()> {
    let testbed = Testbed::new().await?;
    for table in tables() {
        let (api, kind) = (table.api(&testbed), &table.kind.kind);
        let stored = api.create(&PostParams::default(), &table.object("plain", "{}")?).await?;
        ensure!(stored.data["spec"] == table.stored, "{kind}: stored is {:#}", stored.data["spec"]);
        for (change, place, default) in table.defaults {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let stored = api.create(&dry, &table.object("full", change)?).await.context(*change)?;
            let found = stored.data["spec"].pointer(place);
            ensure!(found == Some(&serde_json::from_str(default)?), "{kind} {change}: {place} is {found:?}");
        }
        let status = Patch::Merge(json!({"status": table.status}));
        api.patch_status("plain", &PatchParams::default(), &status).await?;
        for (expected, args) in table.columns.iter().zip([&[][..], &["-o", "wide"]]) {
            let printed = testbed.plane.kubectl(&[&["get", "-n", OFFERS, &table.kind.plural], args].concat())?;
            let lines: Vec<Vec<&str>> = printed.lines().map(cells).collect();
            ensure!(lines == expected, "{kind} {args:?}: {printed}");
        }
    }
    Ok(())
}

/// A printed line's cells but for the last, which is the age.
fn cells(line: &str) -> Vec<&str> {
    let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let mut cells: Vec<_> = cells.collect();
    cells.pop();
    cells
}

impl Table {
    fn api(&self, testbed: &Testbed) -> Api<DynamicObject> {
        let client = testbed.client.clone();
        if self.namespaced {
            Api::namespaced_with(client, OFFERS, &self.kind)
        } else {
            Api::all_with(client, &self.kind)
        }
    }

    /// The plain one with a change.
    fn object(&self, name: &str, change: &str) -> Result<DynamicObject> {
        let mut spec = self.plain.clone();
        merge(&mut spec, serde_json::from_str(change).with_context(|| change.to_owned())?);
        let (version, kind) = (&self.kind.api_version, &self.kind.kind);
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        Ok(serde_json::from_value(object)?)
    }
}

fn check<T: Debug>(table: &Table, change: &str, refusal: Option<&str>, said: kube::Result<T>) -> Result<()> {
    let kind = &table.kind.kind;
    match (refusal, said) {
        (None, Ok(_)) => Ok(()),
        (Some(words), Err(kube::Error::Api(status))) if status.code == 422 && status.message.contains(words) => Ok(()),
        (expected, said) => {
            let said = said.map(drop).map_err(|error| error.to_string());
            anyhow::bail!("{kind} {change}: expected {expected:?}, and the API server says {said:?}")
        }
    }
}

/// RFC 7396.
fn merge(into: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (field, value) in change {
        if value.is_null() {
            into.as_object_mut().map(|object| object.remove(&field));
        } else {
            merge(&mut into[&field], value);
        }
    }
}

/// The messages of all rules of a definition.
fn rules((file, definition): &(&str, CustomResourceDefinition)) -> Result<Vec<String>> {
    fn gather(node: &Value, found: &mut Vec<String>) {
        match node {
            Value::Object(map) => {
                let rules = map.get("x-kubernetes-validations").and_then(Value::as_array);
                let messages = rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
                found.extend(messages.map(ToOwned::to_owned));
                map.values().for_each(|value| gather(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::to_value(definition)?, &mut found);
    ensure!(!found.is_empty(), "{file} has no rules");
    Ok(found)
}
