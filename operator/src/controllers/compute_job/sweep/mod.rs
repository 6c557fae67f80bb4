//! Clears away what outlived its job, and settled jobs that were kept for long enough.

mod orphan;
mod pods;
mod settled;

use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::controllers::lean::{Lean, list_metadata};
use crate::controllers::{Context, Error, Tried};

/// Objects a page.
const PAGE: u32 = 500;

/// Sweeps now and then until `cancel`.
pub(crate) async fn run(context: &Arc<Context>, cancel: CancellationToken) {
    tokio::join!(pods::run(context, cancel.clone()), settled::run(context, cancel));
}

/// All objects of a kind, as they come.
fn list<K>(
    client: &Client,
    params: ListParams,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, Error>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let client = client.clone();
    let pages = futures::stream::try_unfold(Some(params.limit(PAGE)), move |next| {
        let client = client.clone();
        async move {
            let Some(params) = next else { return Ok(None) };
            let what = || format!("list {}", K::plural(&()));
            let page = list_metadata::<K>(&client, &params).await.tried(what)?;
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            Ok::<_, Error>(Some((page.items, next.map(|token| params.continue_token(&token)))))
        }
    });
    pages.map_ok(|items| futures::stream::iter(items.into_iter().map(|Lean(item)| Ok::<_, Error>(item)))).try_flatten()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::Uri;
    use k8s_openapi::api::core::v1::Pod;
    use kube::{Config, ResourceExt};
    use serde_json::json;

    use super::*;

    /// An API server with two pages of pods.
    async fn page(asked: Uri) -> String {
        let query = asked.query().unwrap_or_default();
        assert!(query.contains("limit=500"), "no list is read at once: {query}");
        let (name, next) = if query.contains("continue=more") { ("second", None) } else { ("first", Some("more")) };
        let metadata = json!({"name": name, "uid": name, "finalizers": ["f"], "managedFields": [{"manager": "m"}]});
        let pod = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
        json!({"metadata": {"continue": next}, "items": [pod]}).to_string()
    }

    #[tokio::test]
    async fn lists_are_read_page_by_page_without_what_others_wrote_for_themselves() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(page)).await });
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let pods: Vec<_> = list::<Pod>(&client, ListParams::default()).try_collect().await.unwrap();
        let read: Vec<_> =
            pods.iter().map(|pod| (pod.name_any(), pod.finalizers().len(), pod.managed_fields().len())).collect();
        assert_eq!(read, [("first".to_owned(), 1, 0), ("second".to_owned(), 1, 0)]);
        server.abort();
    }
}
