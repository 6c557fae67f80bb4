//! An endpoint that answers by a rule, and what else belongs to a pool.

use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use hawser_evm::{ClientProfile, EndpointOptions, Expected, Names, Options, Pool};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// The status of an answer that never comes.
pub const NEVER: u16 = 0;

/// What becomes of a request; none: it is answered as by a node that is well.
pub type Rule = Box<dyn FnMut(&str, &Value) -> Option<(u16, Value)> + Send>;

pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Serves until the test ends.
    pub async fn new(rule: impl FnMut(&str, &Value) -> Option<(u16, Value)> + Send + 'static) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let rule: Rule = Box::new(rule);
        let state = (Arc::new(Mutex::new(rule)), Arc::clone(&asked));
        let app = Router::new().route("/", post(answer)).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub async fn well() -> Self {
        Self::new(|_, _| None).await
    }

    pub fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

pub fn error(code: i64, message: &str, data: Option<&str>) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}})
}

pub fn result(result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": result})
}

type Shared = (Arc<Mutex<Rule>>, Arc<Mutex<Vec<String>>>);

async fn answer(State((rule, asked)): State<Shared>, body: String) -> impl IntoResponse {
    let request: Value = serde_json::from_str(&body).unwrap();
    let method = request["method"].as_str().unwrap();
    asked.lock().unwrap().push(method.to_owned());
    let answer = (rule.lock().unwrap())(method, &request["params"]);
    let (status, body) = answer.unwrap_or_else(|| {
        (
            200,
            result(match method {
                "eth_chainId" => json!("0x539"),
                "eth_getCode" => json!("0x60"),
                "eth_blockNumber" => json!("0x7"),
                "eth_getLogs" => json!([]),
                _ => Value::Null,
            }),
        )
    });
    if status == NEVER {
        std::future::pending::<()>().await;
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::from_u16(status).unwrap(), json, body.to_string())
}

pub fn pool(endpoints: &[&Fake], profile: ClientProfile) -> Pool {
    pool_of(endpoints, profile, Some(1337))
}

pub fn pool_of(endpoints: &[&Fake], profile: ClientProfile, chain_id: Option<u64>) -> Pool {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoints =
        endpoints.iter().map(|fake| EndpointOptions { url: fake.url.parse().unwrap(), headers: HeaderMap::new() });
    let names = Names { chain_id: "chainId", genesis: Some("genesisHash"), contract: "market" };
    let expected = Expected { chain_id, genesis: None, contract: Address::repeat_byte(7), names };
    Pool::new(Options::new(endpoints.collect(), expected, profile)).unwrap()
}
