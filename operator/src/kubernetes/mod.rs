//! The client of the API server: no request waits for ever, and none that writes goes out without the lease.
//!
//! A connection can die without a word: its peer is gone, or hangs. So each answer has a time to come in, and each watch
//! a time in which something must be heard on it. Where that passes, all connections are left behind at once, as those that
//! lie idle beside the dead one are likely as dead, and what comes next is asked on new ones.

mod ahead;
mod contact;
mod protobuf;
mod transport;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{ACCEPT, HeaderValue};
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use kube::client::Body;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use kube::{Client, Config};
use tower::{BoxError, service_fn};
use tower_http::timeout::{TimeoutBody, TimeoutError};
use tracing::warn;

use crate::fence::{Fence, NotLeading};
use crate::metrics::{ServerCalls, ServerOutcome};

use ahead::Ahead;
pub use contact::Contact;

/// The server ends a watch after so long, and has said something shortly before: so one that is silent for longer is dead.
const WATCH_SECONDS: u32 = 18;
/// A watch that is silent for so long is dead.
const WATCH_SILENCE: Duration = Duration::from_secs(22);
/// Objects in a page of a list. A page is in memory as it came and as objects; and for each one the API server goes through all
/// objects of its cache that are left.
const PAGE: u32 = 500;
/// In which a page of a list has to begin, and to go on: an API server of a large cluster that has much to do takes seconds for one,
/// and a list that breaks off begins anew. After a connection's death it is asked for again within 19 s.
const PAGE_SILENCE: Duration = Duration::from_secs(15);
/// Longest pause before a watch is tried again.
const WATCH_PAUSE: Duration = Duration::from_secs(4);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a set of connections is used.
#[derive(Clone, Debug)]
pub struct Use {
    /// In which an answer has to begin, and to go on; a page of a list may take longer.
    pub answer: Duration,
    /// Without it nothing is written.
    pub fence: Option<Fence>,
    /// Told how the server answers.
    pub contact: Contact,
    /// Counts requests.
    pub calls: ServerCalls,
}

impl Use {
    /// The election and what a replica does that does not lead: nothing else may hold it up.
    pub fn election(contact: Contact, calls: ServerCalls) -> Self {
        Self { answer: Duration::from_secs(3), fence: None, contact, calls }
    }

    /// The work: writes go out while the fence is open.
    pub fn work(fence: Fence, contact: Contact, calls: ServerCalls) -> Self {
        Self { answer: Duration::from_secs(8), fence: Some(fence), contact, calls }
    }
}

/// The server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer {method} {path} within {} s", .within.as_secs())]
struct Unanswered {
    method: Method,
    path: String,
    within: Duration,
}

/// How everything is watched.
pub(crate) fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Pauses before a watch that failed is tried again: short enough that work goes on soon after the server is back.
pub(crate) fn again() -> impl Backoff + 'static {
    Again(WATCH_PAUSE / 8)
}

struct Again(Duration);

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(WATCH_PAUSE);
        // All watches fail at once.
        Some(pause.mul_f64(rand::random_range(0.5..1.0)))
    }
}

impl Backoff for Again {
    fn reset(&mut self) {
        self.0 = WATCH_PAUSE / 8;
    }
}

/// Connects to the API server of `config`, with connections of its own.
///
/// # Errors
/// Where the configuration's certificates or proxy can't be used.
pub fn connect(config: Config, how: Use) -> Result<Client, kube::Error> {
    let namespace = config.default_namespace.clone();
    let first = transport::open(&config, how.fence.as_ref())?;
    let server = Arc::new(Server { config, how, current: Mutex::new((0, first)) });
    let send = move |request| Arc::clone(&server).send(request);
    let read = move |request| protobuf::exchange(request, send.clone());
    let ahead = Arc::new(Ahead::default());
    let answer = move |request| {
        let (ahead, read) = (Arc::clone(&ahead), read.clone());
        async move { ahead.exchange(request, read).await }
    };
    Ok(Client::new(service_fn(answer), namespace))
}

struct Server {
    config: Config,
    how: Use,
    /// The client in use, and how many there were before it.
    current: Mutex<(u64, Client)>,
}

type ApiResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

impl Server {
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<ApiResponse, BoxError> {
        let asked = Asked::of(&request);
        if self.how.fence.as_ref().is_some_and(|fence| asked.writes() && !fence.holds()) {
            return Err(Box::new(NotLeading));
        }
        let (generation, client) = self.current();
        let (calls, verb, began) = (self.how.calls.clone(), asked.verb(), Instant::now());
        let within = if asked.lists { PAGE_SILENCE } else { self.how.answer };
        let Ok(answer) = tokio::time::timeout(within, client.send(request)).await else {
            calls.made(verb, ServerOutcome::Silent, began.elapsed());
            self.leave(generation, &asked);
            return Err(Box::new(Unanswered { method: asked.method, path: asked.path, within }));
        };
        let answer = answer.inspect_err(|_| {
            calls.made(verb, ServerOutcome::Unreachable, began.elapsed());
            self.how.contact.failed(asked.watched());
        })?;
        calls.made(verb, ServerOutcome::of(answer.status().as_u16()), began.elapsed());
        if answer.status().is_server_error() {
            self.how.contact.failed(asked.watched());
        } else {
            self.how.contact.answered(asked.watched().filter(|_| answer.status().is_success()));
        }
        let silence = if asked.watches { WATCH_SILENCE } else { within };
        let watched = asked.watched().filter(|_| answer.status().is_success()).map(str::to_owned);
        if let Some(path) = &watched {
            calls.heard(path);
        }
        Ok(answer.map(|body| {
            let body = body.map_frame(move |frame| {
                if let Some(path) = &watched {
                    calls.heard(path);
                }
                frame
            });
            let body = TimeoutBody::new(silence, body).map_err(move |error| {
                if error.is::<TimeoutError>() {
                    self.leave(generation, &asked);
                } else {
                    self.how.contact.failed(asked.watched());
                }
                error
            });
            UnsyncBoxBody::new(body)
        }))
    }

    fn current(&self) -> (u64, Client) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing more is asked on connections of which one has died.
    fn leave(&self, generation: u64, asked: &Asked) {
        self.how.contact.failed(asked.watched());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != generation {
            return;
        }
        warn!(method = %asked.method, path = asked.path, "the API server is silent: reconnecting");
        match transport::open(&self.config, self.how.fence.as_ref()) {
            Ok(next) => *current = (generation + 1, next),
            Err(error) => warn!(%error, "no new connection to the API server"),
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    watches: bool,
    /// A page of a list.
    lists: bool,
    /// Of objects as they are, and not of their metadata alone.
    whole: bool,
}

impl Asked {
    fn of(request: &Request<Body>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |wanted: &dyn Fn(&str) -> bool| query.split('&').any(wanted);
        let watches = has(&|pair| matches!(pair, "watch=true" | "watch=1"));
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            watches,
            lists: !watches && has(&|pair| pair.starts_with("limit=")),
            whole: request.headers().get(ACCEPT).is_none_or(|accept| accept == JSON),
        }
    }

    /// What a metric calls it.
    fn verb(&self) -> &'static str {
        match self.method {
            _ if self.watches => "WATCH",
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "OTHER",
        }
    }

    fn writes(&self) -> bool {
        !self.method.is_safe()
    }

    /// The path that is watched, if it is.
    fn watched(&self) -> Option<&str> {
        self.watches.then_some(self.path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_is_about_is_read_from_its_method_and_query() {
        for (method, uri, watches, lists, writes, verb) in [
            (Method::GET, "/api/v1/pods?limit=500", false, true, false, "GET"),
            (Method::GET, "/api/v1/pods?&watch=true&timeoutSeconds=18", true, false, false, "WATCH"),
            (Method::GET, "/api/v1/pods?fieldSelector=watch%3Dtrue", false, false, false, "GET"),
            (Method::PATCH, "/apis/hawser.dev/v1alpha1/gpuoffers/a/status", false, false, true, "PATCH"),
            (Method::POST, "/api/v1/pods", false, false, true, "POST"),
            (Method::DELETE, "/api/v1/pods/a", false, false, true, "DELETE"),
            (Method::OPTIONS, "/", false, false, false, "OTHER"),
        ] {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
            let asked = Asked::of(&request);
            let read = (asked.watches, asked.lists, asked.writes(), asked.verb());
            assert_eq!(read, (watches, lists, writes, verb), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn requests_are_counted_by_what_became_of_them_and_what_a_watch_says_is_heard() {
        use axum::Router;
        use axum::http::{StatusCode, Uri};
        use axum::routing::any;

        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = |uri: Uri| async move {
            match uri.path().trim_start_matches('/') {
                "silent" => std::future::pending().await,
                path => path.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(axum::serve(listener, Router::new().fallback(any(answer))).into_future());
        let metrics = crate::metrics::Metrics::default();
        let how = Use { answer: Duration::from_secs(1), ..Use::election(Contact::default(), metrics.server_calls()) };
        let client = connect(Config::new(server.parse().unwrap()), how).unwrap();
        let ask = async |method: Method, path: &str| {
            drop(client.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await);
        };
        for path in ["/200", "/404", "/409", "/429", "/503", "/silent"] {
            ask(Method::GET, path).await;
        }
        ask(Method::PATCH, "/200").await;
        ask(Method::GET, "/api/v1/pods?watch=true").await;
        serving.abort();
        _ = serving.await;
        ask(Method::DELETE, "/200").await;
        let text = metrics.text();
        for (verb, outcome, times) in [
            ("GET", "ok", 1),
            ("GET", "refused", 2),
            ("GET", "limited", 1),
            ("GET", "failed", 1),
            ("GET", "silent", 1),
            ("PATCH", "ok", 1),
            ("WATCH", "ok", 1),
            ("DELETE", "unreachable", 1),
        ] {
            let line = format!("hawser_api_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}} {times}");
            assert!(text.contains(&line), "{line}: {text}");
        }
        assert!(text.contains("hawser_api_request_duration_seconds_count{verb=\"GET\"} 6"), "{text}");
        assert!(text.contains("hawser_watch_silence_seconds{resource=\"pods\"} "), "{text}");
    }

    #[test]
    fn a_watch_is_tried_again_within_seconds_however_often_it_failed() {
        let mut again = Again(WATCH_PAUSE / 8);
        assert!(again.next().unwrap() < Duration::from_secs(1));
        assert!(again.by_ref().take(50).all(|pause| pause <= WATCH_PAUSE));
        again.reset();
        assert!(again.next().unwrap() < Duration::from_secs(1));
    }
}
