//! Clears away what outlived its job, and settled jobs that were kept for long enough.

mod orphan;
mod pods;
mod settled;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, TryStreamExt};
use kube::api::ListParams;
use kube::core::{ObjectList, PartialObjectMeta};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::controllers::compute_job::memory::JobContext;
use crate::controllers::lean::{Lean, list_metadata};
use crate::controllers::{Error, Tried};

/// Objects a page: what the API server reads for one is bounded by it only where nothing is selected. Of a list of the few
/// that match a selector it may read all there are, for one answer.
const PAGE: u32 = 500;
/// Between two pages passes so many times what a page took: all of it is at most a tenth of one core of the API server.
const REST: u32 = 9;
/// And no more, as the API server remembers for some minutes where a list was.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Sweeps now and then until `cancel`.
pub(crate) async fn run(context: &Arc<JobContext>, cancel: CancellationToken) {
    tokio::join!(pods::run(context, cancel.clone()), settled::run(&context.shared, cancel));
}

/// The metadata of all objects of a kind, slowly: nobody waits for it.
fn list<K>(client: &Client) -> impl Stream<Item = Result<PartialObjectMeta<K>, Error>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let first = Some((ListParams::default().limit(PAGE), Duration::ZERO));
    let client = client.clone();
    let pages = futures::stream::try_unfold(first, move |next| {
        let client = client.clone();
        async move {
            let Some((params, rest)) = next else { return Ok(None) };
            tokio::time::sleep(rest).await;
            let asked = Instant::now();
            let page = page::<K>(&client, &params).await.tried(|| format!("list {}", K::plural(&())))?;
            let rest = (asked.elapsed() * REST).min(LONGEST_REST);
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            Ok::<_, Error>(Some((page.items, next.map(|token| (params.continue_token(&token), rest)))))
        }
    });
    pages.map_ok(|items| futures::stream::iter(items.into_iter().map(|Lean(item)| Ok::<_, Error>(item)))).try_flatten()
}

/// One page. Where the API server has forgotten the list that it belongs to, it says how to go on from the same place.
async fn page<K>(client: &Client, params: &ListParams) -> Result<ObjectList<Lean<PartialObjectMeta<K>>>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone,
{
    match list_metadata::<K>(client, params).await {
        Err(kube::Error::Api(status)) if status.code == 410 && params.continue_token.is_some() => {
            let on = status.metadata.as_ref().and_then(|metadata| metadata.continue_.clone());
            let Some(on) = on.filter(|token| !token.is_empty()) else { return Err(kube::Error::Api(status)) };
            list_metadata::<K>(client, &params.clone().continue_token(&on)).await
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{StatusCode, Uri};
    use k8s_openapi::api::core::v1::Pod;
    use kube::{Config, ResourceExt};
    use serde_json::json;

    use super::*;

    /// An API server with three pages of pods, which forgets its list before the third.
    async fn page(asked: Uri) -> (StatusCode, String) {
        let query = asked.query().unwrap_or_default();
        assert!(query.contains("limit=500"), "no list is read at once: {query}");
        assert!(!query.contains("Selector="), "a page of what is selected may cost the whole list: {query}");
        let (name, next) = match query.split('&').find_map(|part| part.strip_prefix("continue=")) {
            None => ("first", Some("more")),
            Some("more") => ("second", Some("old")),
            Some("anew") => ("third", None),
            Some(_) => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old", "metadata": {"continue": "anew"}});
                return (StatusCode::GONE, status.to_string());
            }
        };
        let metadata = json!({"name": name, "uid": name, "finalizers": ["f"], "managedFields": [{"manager": "m"}]});
        let pod = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
        (StatusCode::OK, json!({"metadata": {"continue": next}, "items": [pod]}).to_string())
    }

    #[tokio::test]
    async fn lists_are_read_page_by_page_from_where_they_were_without_what_others_wrote_for_themselves() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(page)).await });
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let pods: Vec<_> = list::<Pod>(&client).try_collect().await.unwrap();
        let read: Vec<_> =
            pods.iter().map(|pod| (pod.name_any(), pod.finalizers().len(), pod.managed_fields().len())).collect();
        assert_eq!(read, ["first", "second", "third"].map(|name| (name.to_owned(), 1, 0)));
        server.abort();
    }
}
