//! Objects without a type: whatever they hold, they are fetched, and their conditions are written.

use hawser_crds::condition::{READABLE, READY};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams};
use serde_json::{Value, json};

use crate::controllers::conditions::{ConditionStatus, Conditions, transitions};
use crate::controllers::{Error, Shared, Tried};
use crate::reasons::Reason;

/// Has the object say that it can't be read.
pub(super) async fn set_unreadable<K: Resource<DynamicType = ()>>(
    raw: &DynamicObject,
    shared: &Shared,
    reason: &Reason,
    message: &str,
) -> Result<(), Error> {
    let stored = conditions(&raw.data);
    let mut next = Conditions::from_stored(&stored, raw.metadata.generation, Timestamp::now());
    next.keep(&stored, READABLE);
    next.set(READABLE, ConditionStatus::False, reason, message);
    if raw.metadata.deletion_timestamp.is_none() {
        next.set(READY, ConditionStatus::False, reason, message);
    }
    write::<K>(raw, shared, &stored, next.into_list()).await
}

/// Has it say why it is not ready.
pub(super) async fn set_not_ready<K: Resource<DynamicType = ()>>(
    raw: &DynamicObject,
    shared: &Shared,
    reason: &Reason,
    message: &str,
) -> Result<(), Error> {
    // As it stands after `set_unreadable`.
    let Some(raw) = fetch::<K>(&raw.metadata, shared).await? else { return Ok(()) };
    let stored = conditions(&raw.data);
    let mut next = Conditions::from_stored(&stored, raw.metadata.generation, Timestamp::now());
    next.keep(&stored, READABLE);
    next.set(READY, ConditionStatus::False, reason, message);
    write::<K>(&raw, shared, &stored, next.into_list()).await
}

/// A merge patch of the conditions alone: the rest of the status may be what can't be read.
async fn write<K: Resource<DynamicType = ()>>(
    raw: &DynamicObject,
    shared: &Shared,
    stored: &[Condition],
    next: Vec<Condition>,
) -> Result<(), Error> {
    if stored == next.as_slice() {
        return Ok(());
    }
    let (namespace, name) = names(&raw.metadata);
    let body = json!({"status": {"conditions": next, "observedGeneration": raw.metadata.generation}});
    let patched = api::<K>(&namespace, shared).patch_status(&name, &PatchParams::default(), &Patch::Merge(&body)).await;
    patched.tried(|| format!("status of {} {name}", K::kind(&())))?;
    shared.events.conditions(&reference::<K>(raw), &transitions(stored, &next)).await;
    Ok(())
}

/// Those of the stored conditions that can be read.
pub(crate) fn conditions(raw: &Value) -> Vec<Condition> {
    let list = raw.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|c| serde_json::from_value(c.clone()).ok()).collect()
}

/// Its namespace and its name.
pub(super) fn names(metadata: &ObjectMeta) -> (String, String) {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// The object as it is; none where it is gone. By a list of one, which the controllers' watches may do anyway.
pub(super) async fn fetch<K: Resource<DynamicType = ()>>(
    metadata: &ObjectMeta,
    shared: &Shared,
) -> Result<Option<DynamicObject>, Error> {
    let (namespace, name) = names(metadata);
    let one = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = api::<K>(&namespace, shared).list(&one).await;
    Ok(found.tried(|| format!("{} {namespace}/{name}", K::kind(&())))?.items.into_iter().next())
}

/// Without a type: whatever the object holds.
pub(super) fn api<K: Resource<DynamicType = ()>>(namespace: &str, shared: &Shared) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<K>(&());
    match namespace {
        "" => Api::all_with(shared.client.clone(), &kind),
        namespace => Api::namespaced_with(shared.client.clone(), namespace, &kind),
    }
}

/// What events are about.
pub(super) fn reference<K: Resource<DynamicType = ()>>(raw: &DynamicObject) -> ObjectReference {
    raw.object_ref(&ApiResource::erase::<K>(&()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_far_as_they_can_be() {
        let raw = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Future", "status": {"of": "another kind"}},
            "nonsense"
        ]}});
        let read: Vec<String> = conditions(&raw).into_iter().map(|c| c.type_).collect();
        assert_eq!(read, ["Ready"]);
        assert_eq!(conditions(&json!({"status": 3})), []);
    }
}
