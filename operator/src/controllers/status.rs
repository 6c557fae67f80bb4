use std::fmt::Debug;

use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Error, MANAGER, Tried};

/// Writes a status by server-side apply, if it differs from the stored one. Gives the object's new version, where it was
/// written.
pub(crate) async fn write<K, S>(api: &Api<K>, object: &K, stored: Option<&S>, next: &S) -> Result<Option<String>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if stored == Some(next) {
        return Ok(None);
    }
    let mut status = serde_json::to_value(next)?;
    without_null(&mut status);
    let name = object.name_any();
    let body =
        json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "status": status});
    let params = PatchParams::apply(MANAGER).force();
    let written = api.patch_status(&name, &params, &Patch::Apply(&body)).await;
    Ok(written.tried(|| format!("status of {} {name}", K::kind(&())))?.resource_version())
}

/// Adds or removes a finalizer of this operator; nothing where it is so already.
pub(crate) async fn set_finalizer<K>(api: &Api<K>, object: &K, finalizer: &str, present: bool) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    set_finalizer_of(api, object.meta(), finalizer, present).await
}

/// The same from metadata alone, for what has no type.
pub(crate) async fn set_finalizer_of<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizer: &str,
    present: bool,
) -> Result<(), Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let stored = metadata.finalizers.as_deref().unwrap_or_default();
    if stored.iter().any(|f| f == finalizer) == present {
        return Ok(());
    }
    let mut next: Vec<&str> = stored.iter().map(String::as_str).filter(|f| *f != finalizer).collect();
    if present {
        next.push(finalizer);
    }
    // The version makes it fail where somebody else has changed the list meanwhile.
    let body = json!({"metadata": {"finalizers": next, "resourceVersion": metadata.resource_version}});
    let name = metadata.name.as_deref().unwrap_or_default();
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&body)).await {
        Err(kube::Error::Api(status)) if status.code == 404 && !present => Ok(()),
        other => other.map(|_| ()).tried(|| format!("finalizer of {name}")),
    }
}

/// Asks for an object's deletion; nothing where it is gone already.
pub(crate) async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).tried(|| format!("delete {} {name}", K::kind(&()))),
    }
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
