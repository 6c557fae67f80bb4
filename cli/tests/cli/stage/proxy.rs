//! A node that misbehaves: a proxy before the real one.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Hawser, Stage};

/// What becomes of one request.
pub(crate) enum Trouble {
    /// The node answers it.
    None,
    /// The node answers another one.
    Instead(Value),
    /// The node answers it, and this field is not in its result.
    Without(&'static str),
    /// It doesn't reach the node.
    Status(u16),
    /// It doesn't reach the node: HTTP status 429 with `Retry-After`.
    RateLimit,
    /// It doesn't reach the node: a JSON-RPC error.
    Refuse(&'static str),
    /// It doesn't reach the node, the connection is closed.
    HangUp,
    /// The node takes it, and its answer is lost.
    Lost,
}

type Rule = Box<dyn FnMut(&Value) -> Trouble + Send>;

#[derive(Clone)]
pub(crate) struct Proxy {
    url: String,
    node: String,
    rule: Arc<Mutex<Rule>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Part of the URL, as the key of an account with a node's operator is.
pub(crate) const KEY: &str = "wouldbeakey";

impl Proxy {
    /// Serves until the test's process ends.
    pub(super) fn start(node: &str, rule: impl FnMut(&Value) -> Trouble + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy = Self {
            url: format!("http://{}/v2/{KEY}", listener.local_addr().unwrap()),
            node: node.to_owned(),
            rule: Arc::new(Mutex::new(Box::new(rule))),
            asked: Arc::default(),
        };
        let app = Router::new().fallback(answer).with_state(proxy.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        proxy
    }

    /// As `--rpc-url` takes it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `hawser` with the customer's key that knows this node only, and must not print its URL.
    pub(crate) fn hawser(&self, stage: &Stage) -> Hawser {
        stage.hawser().env("HAWSER_RPC_URL", &self.url).secret(KEY)
    }

    /// How often this method was asked for.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

async fn answer(State(proxy): State<Proxy>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    proxy.asked.lock().unwrap().push(request["method"].as_str().unwrap().to_owned());
    let trouble = (proxy.rule.lock().unwrap())(&request);
    match trouble {
        Trouble::None => forward(&proxy.node, &request).await.into_response(),
        Trouble::Instead(other) => forward(&proxy.node, &other).await.into_response(),
        Trouble::Without(field) => {
            let mut answer: Value = serde_json::from_str(&forward(&proxy.node, &request).await).unwrap();
            answer["result"].as_object_mut().unwrap().remove(field);
            answer.to_string().into_response()
        }
        Trouble::Status(status) => (StatusCode::from_u16(status).unwrap(), "a page of a proxy").into_response(),
        Trouble::RateLimit => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "slowly").into_response(),
        Trouble::Refuse(message) => {
            let error = json!({"code": -32000, "message": message});
            json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string().into_response()
        }
        Trouble::HangUp => panic!("the proxy hangs up: this closes the connection"),
        Trouble::Lost => {
            forward(&proxy.node, &request).await;
            (StatusCode::BAD_GATEWAY, "a page of a proxy").into_response()
        }
    }
}

async fn forward(node: &str, request: &Value) -> String {
    let client = reqwest::Client::new();
    let sent = client.post(node).header("content-type", "application/json").body(request.to_string());
    sent.send().await.unwrap().text().await.unwrap()
}
