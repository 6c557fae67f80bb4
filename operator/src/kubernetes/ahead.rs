//! Pages of a list are read ahead: the API server writes the next one while one is read here. In a large cluster a start is
//! lists, and of those each side did its part while the other one waited.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::{Method, Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;
use tower::BoxError;

use super::{ApiResponse, Asked};

/// Pages that were asked for before anybody wanted them: of each list one at most.
#[derive(Default)]
pub(super) struct Ahead(Mutex<HashMap<String, Next>>);

/// The page after the one that was given out last.
struct Next {
    token: String,
    page: AbortOnDropHandle<Result<Page, BoxError>>,
}

/// A page, all of it.
struct Page {
    answer: Response<Bytes>,
    /// Where the list goes on.
    next: Option<String>,
}

impl Ahead {
    /// Sends a request with `send`; a page of a list may be there already. Whoever asks for a second page wants them all.
    pub(super) async fn exchange<S, F>(&self, request: Request<Body>, send: S) -> Result<ApiResponse, BoxError>
    where
        S: Fn(Request<Body>) -> F,
        F: Future<Output = Result<ApiResponse, BoxError>> + Send + 'static,
    {
        let Some(place) = Place::of(&request) else { return send(request).await };
        let known = self.take(&place);
        if place.token.is_none() {
            return send(request).await;
        }
        let (parts, body) = request.into_parts();
        let mut following = parts.clone();
        let page = match known {
            Some(page) => page.await??,
            None => read(send(Request::from_parts(parts, body))).await?,
        };
        if let Some(token) = page.next
            && let Some(uri) = place.uri(&token)
        {
            following.uri = uri;
            let page = tokio::spawn(read(send(Request::from_parts(following, Body::empty()))));
            self.lock().insert(place.list, Next { token, page: AbortOnDropHandle::new(page) });
        }
        Ok(page.answer.map(|body| Full::from(body).map_err(Into::into).boxed_unsync()))
    }

    /// The page, where it was asked for. One that nobody came for is let go with its list.
    fn take(&self, place: &Place) -> Option<AbortOnDropHandle<Result<Page, BoxError>>> {
        let next = self.lock().remove(&place.list)?;
        (Some(&next.token) == place.token.as_ref()).then_some(next.page)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Next>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(answer: impl Future<Output = Result<ApiResponse, BoxError>>) -> Result<Page, BoxError> {
    let (parts, body) = answer.await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let next = if parts.status.is_success() { next(&body) } else { None };
    Ok(Page { answer: Response::from_parts(parts, body), next })
}

/// Where a list goes on after this page.
fn next(page: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct List {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(rename = "continue")]
        next: Option<String>,
    }
    // What is no list has no next page; whoever reads it says so.
    serde_json::from_slice::<List>(page).ok()?.metadata.next.filter(|token| !token.is_empty())
}

/// Where in a list a page is.
struct Place {
    /// The path and what is asked of it, whatever the page.
    list: String,
    /// Of the page, where it is not the first.
    token: Option<String>,
}

impl Place {
    /// None of what is no list, and of a list of metadata: those are read slowly on purpose.
    fn of(request: &Request<Body>) -> Option<Self> {
        let Asked { method, path, lists, whole, .. } = Asked::of(request);
        if method != Method::GET || !lists || !whole {
            return None;
        }
        let (mut of_list, mut token) = (Vec::new(), None);
        for pair in request.uri().query()?.split('&').filter(|pair| !pair.is_empty()) {
            match pair.strip_prefix(CONTINUE) {
                Some(value) => token = Some(value.to_owned()),
                None => of_list.push(pair),
            }
        }
        Some(Self { list: format!("{path}?{}", of_list.join("&")), token })
    }

    /// Of another page. Tokens are made of letters and digits; one that has to be written in another way is not guessed at.
    fn uri(&self, token: &str) -> Option<Uri> {
        let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        plain.then(|| format!("{}&{CONTINUE}{token}", self.list).parse().ok()).flatten()
    }
}

const CONTINUE: &str = "continue=";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::http::header::ACCEPT;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, ListParams};
    use kube::core::ObjectList;
    use kube::{Client, Config, ResourceExt};
    use serde_json::json;

    use super::*;
    use crate::kubernetes::{Contact, Use, connect};

    /// What was asked of an API server with lists of four pages, which forgets the last one.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<Vec<String>>>);

    impl Server {
        async fn start(&self) -> Client {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let server = self.clone();
            let answer = move |uri: Uri| {
                let server = server.clone();
                async move { server.answer(uri.query().unwrap_or_default()) }
            };
            tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
            let calls = crate::metrics::Metrics::default().server_calls();
            connect(Config::new(url.parse().unwrap()), Use::election(Contact::default(), calls)).unwrap()
        }

        fn answer(&self, query: &str) -> (StatusCode, String) {
            let token = query.split('&').find_map(|pair| pair.strip_prefix("continue=")).unwrap_or("1");
            let mut asked = self.0.lock().unwrap();
            asked.push(token.to_owned());
            let page: usize = token.parse().unwrap();
            if page == 4 {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old"});
                return (StatusCode::GONE, status.to_string());
            }
            let name = format!("page-{page}-of-request-{}", asked.len());
            let metadata = json!({"continue": (page + 1).to_string()});
            (StatusCode::OK, json!({"metadata": metadata, "items": [{"metadata": {"name": name}}]}).to_string())
        }

        /// Waits until so much was asked for.
        async fn was_asked(&self, pages: &[&str]) {
            let asked = async {
                while *self.0.lock().unwrap() != pages {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(20), asked).await;
            assert!(in_time.is_ok(), "{:?} was asked for, not {pages:?}", self.0.lock().unwrap());
        }
    }

    async fn page(client: &Client, token: Option<&str>) -> kube::Result<ObjectList<ConfigMap>> {
        let params = ListParams { limit: Some(500), continue_token: token.map(str::to_owned), ..ListParams::default() };
        Api::all(client.clone()).list(&params).await
    }

    fn name(page: kube::Result<ObjectList<ConfigMap>>) -> String {
        page.unwrap().items[0].name_any()
    }

    #[tokio::test]
    async fn the_next_page_is_on_its_way_while_one_is_read_and_is_asked_for_once() {
        let server = Server::default();
        let client = server.start().await;
        assert_eq!(name(page(&client, None).await), "page-1-of-request-1");
        assert_eq!(name(page(&client, Some("2")).await), "page-2-of-request-2");
        server.was_asked(&["1", "2", "3"]).await;
        assert_eq!(name(page(&client, Some("3")).await), "page-3-of-request-3");
        server.was_asked(&["1", "2", "3", "4"]).await;
        let Err(kube::Error::Api(told)) = page(&client, Some("4")).await else { panic!("it was forgotten") };
        assert_eq!(told.code, 410, "what is refused ahead is told to who asks");
        server.was_asked(&["1", "2", "3", "4"]).await;
    }

    #[tokio::test]
    async fn a_list_that_begins_anew_is_given_no_page_of_the_one_before() {
        let server = Server::default();
        let client = server.start().await;
        page(&client, None).await.unwrap();
        page(&client, Some("2")).await.unwrap();
        server.was_asked(&["1", "2", "3"]).await;
        assert_eq!(name(page(&client, None).await), "page-1-of-request-4");
        assert_eq!(name(page(&client, Some("2")).await), "page-2-of-request-5");
        assert_eq!(name(page(&client, Some("3")).await), "page-3-of-request-6");
    }

    #[tokio::test]
    async fn what_is_read_ahead_is_the_page_after_the_second_and_any_later_one_of_whole_objects() {
        let json = "application/json";
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        for (uri, accept, next, ahead) in [
            ("/api/v1/pods?limit=500", json, "b", None),
            ("/api/v1/pods?&limit=500&continue=a", json, "b", Some("/api/v1/pods?limit=500&continue=b")),
            ("/api/v1/pods?limit=500&continue=a", json, "", None),
            ("/api/v1/pods?limit=500&continue=a", json, "b%2F", None),
            ("/api/v1/pods?limit=500&continue=a", metadata, "b", None),
            ("/api/v1/pods?continue=a", json, "b", None),
            ("/api/v1/pods?limit=500&continue=a&watch=true", json, "b", None),
        ] {
            let (asked, was_asked) = tokio::sync::watch::channel(Vec::new());
            let send = move |request: Request<Body>| {
                asked.send_modify(|asked| asked.push(request.uri().to_string()));
                let page = Full::from(json!({"metadata": {"continue": next}}).to_string());
                async move { Ok(ApiResponse::new(page.map_err(Into::into).boxed_unsync())) }
            };
            let request = Request::builder().uri(uri).header(ACCEPT, accept).body(Body::empty()).unwrap();
            Ahead::default().exchange(request, send).await.unwrap();
            let expected: Vec<_> = [uri].into_iter().chain(ahead).collect();
            assert_eq!(*was_asked.borrow(), expected);
        }
    }
}
