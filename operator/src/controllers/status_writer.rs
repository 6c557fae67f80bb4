//! Writes statuses by server-side apply, and finalizers, and only where something changes. What a status says is built in
//! each kind's `status.rs`.

use std::borrow::Cow;
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
    Ok(write_and_see(api, object, stored, next).await?.and_then(|metadata| metadata.resource_version))
}

/// The same; gives the object's metadata as it is then.
pub(crate) async fn write_and_see<K, S>(
    api: &Api<K>,
    object: &K,
    stored: Option<&S>,
    next: &S,
) -> Result<Option<ObjectMeta>, Error>
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
    Ok(Some(written.tried(|| format!("status of {} {name}", K::kind(&())))?.meta().clone()))
}

/// How often a finalizer is written anew after somebody else was quicker.
const TRIES: u32 = 4;

/// Adds or removes a finalizer of this operator; nothing where it is so already.
pub(crate) async fn set_finalizer<K>(api: &Api<K>, object: &K, finalizer: &str, present: bool) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let what = format!("{} {}", K::kind(&()), object.name_any());
    set(api, object.meta(), present, &what, |meta| with_finalizer(meta, finalizer, present)).await
}

/// The same from metadata alone, for what has no type.
pub(crate) async fn set_finalizer_of<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizer: &str,
    present: bool,
) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let what = metadata.name.as_deref().unwrap_or_default();
    set(api, metadata, present, what, |meta| with_finalizer(meta, finalizer, present)).await
}

/// Removes a finalizer and writes an annotation, in one; nothing where it is so already.
pub(crate) async fn let_go<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizer: &str,
    (key, value): (&str, &str),
) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let change = |meta: &ObjectMeta| {
        let annotated = meta.annotations.as_ref().and_then(|all| all.get(key)).is_some_and(|known| known == value);
        let change = with_finalizer(meta, finalizer, false);
        if annotated {
            return change;
        }
        let mut change = change.unwrap_or_else(|| json!({}));
        change["annotations"] = json!({key: value});
        Some(change)
    };
    set(api, metadata, false, metadata.name.as_deref().unwrap_or_default(), change).await
}

/// Changes metadata until nothing is to be changed; `needed` says that it is no success where the object is gone.
async fn set<K>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    needed: bool,
    what: &str,
    change: impl Fn(&ObjectMeta) -> Option<Value>,
) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let (name, mut tries) = (metadata.name.as_deref().unwrap_or_default(), 0);
    let mut seen = Cow::Borrowed(metadata);
    while let Some(mut change) = change(&seen) {
        tries += 1;
        // The version makes it fail where somebody else has changed the object meanwhile.
        change["resourceVersion"] = json!(seen.resource_version);
        let body = json!({"metadata": change});
        match api.patch(name, &PatchParams::default(), &Patch::Merge(&body)).await {
            Err(kube::Error::Api(status)) if status.code == 404 && !needed => return Ok(()),
            // Something has changed since it was seen, perhaps by this operator's own write of the status.
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => {}
            other => return other.map(|_| ()).tried(|| format!("finalizer of {what}")),
        }
        match as_it_is(api, name, what).await?.filter(|fresh| fresh.uid == metadata.uid) {
            Some(fresh) => seen = Cow::Owned(fresh),
            // It is gone, and no other of its name is meant.
            None if needed => return Err(Error::Gone(what.to_owned())),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// What is to be changed of metadata so that a finalizer is there, or is not.
fn with_finalizer(meta: &ObjectMeta, finalizer: &str, present: bool) -> Option<Value> {
    let next = finalizers(meta.finalizers.as_deref().unwrap_or_default(), finalizer, present)?;
    Some(json!({"finalizers": next}))
}

/// An object's metadata as the API server has it; none where it is gone. An empty patch changes nothing, and needs no
/// other permission than that which will change it.
async fn as_it_is<K>(api: &Api<K>, name: &str, what: &str) -> Result<Option<ObjectMeta>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    match api.patch(name, &PatchParams::default(), &Patch::Merge(json!({}))).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(|object| Some(object.meta().clone())).tried(|| what.to_owned()),
    }
}

/// An object's finalizers as they should be; none where they are.
fn finalizers<'a>(stored: &'a [String], finalizer: &'a str, present: bool) -> Option<Vec<&'a str>> {
    if stored.iter().any(|f| f == finalizer) == present {
        return None;
    }
    let mut next: Vec<&str> = stored.iter().map(String::as_str).filter(|f| *f != finalizer).collect();
    if present {
        next.push(finalizer);
    }
    Some(next)
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::http::{Method, StatusCode};
    use hawser_crds::GpuOffer;
    use kube::{Client, Config};

    use super::*;

    /// One offer of an API server: its version and its finalizers.
    type Stored = Arc<Mutex<(u64, Vec<String>)>>;

    fn offer(version: u64, finalizers: &[String]) -> Value {
        json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer",
            "metadata": {"name": "o", "namespace": "t", "uid": "u", "resourceVersion": version.to_string(),
                "finalizers": finalizers},
            "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
        })
    }

    async fn answer(State(stored): State<Stored>, method: Method, body: Bytes) -> (StatusCode, String) {
        let (version, finalizers) = &mut *stored.lock().unwrap();
        if method == Method::PATCH {
            let patch: Value = serde_json::from_slice(&body).unwrap();
            if patch == json!({}) {
                return (StatusCode::OK, offer(*version, finalizers).to_string());
            }
            if patch["metadata"]["resourceVersion"].as_str() != Some(version.to_string().as_str()) {
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "changed", "reason": "Conflict", "code": 409});
                return (StatusCode::CONFLICT, status.to_string());
            }
            *finalizers = serde_json::from_value(patch["metadata"]["finalizers"].clone()).unwrap();
            *version += 1;
        }
        (StatusCode::OK, offer(*version, finalizers).to_string())
    }

    #[tokio::test]
    async fn a_finalizer_is_removed_though_the_status_was_written_since() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stored = Stored::new(Mutex::new((5, vec!["other".to_owned(), "mine".to_owned()])));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&stored));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let api: Api<GpuOffer> = Api::namespaced(client, "t");

        let finalizers = ["other".to_owned(), "mine".to_owned()];
        let seen: GpuOffer = serde_json::from_value(offer(4, &finalizers)).unwrap();
        set_finalizer(&api, &seen, "mine", false).await.unwrap();
        assert_eq!(stored.lock().unwrap().1, ["other"]);

        let mut another = seen.clone();
        another.metadata.uid = Some("v".to_owned());
        assert!(set_finalizer(&api, &another, "new", true).await.is_err(), "another of its name is not meant");
        assert_eq!(stored.lock().unwrap().1, ["other"]);
        server.abort();
    }

    #[test]
    fn a_list_of_finalizers_is_written_only_where_it_changes() {
        let stored = ["a".to_owned(), "b".to_owned()];
        for (finalizer, present, expected) in [
            ("a", true, None),
            ("c", true, Some(vec!["a", "b", "c"])),
            ("a", false, Some(vec!["b"])),
            ("c", false, None),
        ] {
            assert_eq!(finalizers(&stored, finalizer, present), expected, "{finalizer} {present}");
        }
    }
}
