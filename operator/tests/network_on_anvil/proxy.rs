//! A node behind an endpoint that counts, limits and lies.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use crate::{holes::Holes, lagging::Lagging, node::Node};

/// What the endpoint does to requests and answers.
#[derive(Default)]
pub struct Proxy {
    node: String,
    /// Requests by method, and those that were refused for their rate.
    pub counts: Mutex<BTreeMap<String, u64>>,
    pub refused: AtomicU64,
    /// Requests in a thousand seconds that are let through; 0: any.
    pub limit: AtomicU64,
    bucket: Mutex<Option<(f64, Instant)>>,
    /// What is safe and final lies this many blocks behind the head; 0: as the node has it.
    pub final_behind: AtomicU64,
    /// Seconds that are added to the time of each block.
    pub ahead: AtomicI64,
    /// Refuses to give logs of a block by its hash.
    pub hashless: AtomicBool,
    /// Knows no job.
    pub forgets: AtomicBool,
    /// Refuses tips below 3 gwei in these words.
    pub floor: Mutex<Option<String>>,
    /// Numbers that no block has.
    pub holes: Mutex<Option<Holes>>,
    /// Tells no price in receipts.
    pub priceless: AtomicBool,
    /// Has no block after this one, but shows the newest; 0: has all.
    pub lacks_after: AtomicU64,
    /// Says that this block is its newest, when it is asked for the number alone; 0: as the node has it.
    pub counts_to: AtomicU64,
    /// One of the nodes behind it lags.
    pub lagging: Mutex<Option<Lagging>>,
    /// Answers only who sends this as `Authorization`.
    pub key: Mutex<Option<&'static str>>,
    /// Somebody sent an `Authorization`.
    pub was_sent_a_key: AtomicBool,
    /// Answers nothing.
    pub dead: AtomicBool,
    /// Numbers of the newest blocks that it has shown, one for each time that it was asked.
    pub shown: Mutex<Vec<u64>>,
    /// Once it has shown this block, or a later one, it says nothing of the newest block; 0: it does.
    pub shows_up_to: AtomicU64,
}

impl Proxy {
    pub async fn before(node: &Node) -> (String, Arc<Self>) {
        let proxy = Arc::new(Self { node: node.url.clone(), ..Self::default() });
        let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&proxy));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, proxy)
    }

    pub fn count(&self) -> u64 {
        self.counts.lock().unwrap().values().sum()
    }

    /// Whether it has shown this block, or a later one, as the newest.
    pub fn has_shown(&self, block: u64) -> bool {
        self.shown.lock().unwrap().iter().any(|number| *number >= block)
    }

    fn is_silent(&self) -> bool {
        let last = self.shows_up_to.load(Ordering::SeqCst);
        last > 0 && self.has_shown(last)
    }

    pub fn forget_counts(&self) {
        self.counts.lock().unwrap().clear();
        self.refused.store(0, Ordering::SeqCst);
    }

    /// Takes a token out of a bucket that holds what comes in two seconds.
    fn lets_through(&self) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        if limit == 0 {
            return true;
        }
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let rate = limit as f64 / 1000.0;
        let now = Instant::now();
        let mut bucket = self.bucket.lock().unwrap();
        let (tokens, at) = bucket.get_or_insert((rate * 2.0, now));
        *tokens = (*tokens + rate * now.duration_since(*at).as_secs_f64()).min((rate * 2.0).max(1.0));
        *at = now;
        let passes = *tokens >= 1.0;
        if passes {
            *tokens -= 1.0;
        }
        passes
    }

    fn lack(&self, method: &str, request: &Value, answer: &mut Value) {
        if method == "eth_getTransactionReceipt" && self.priceless.load(Ordering::SeqCst) {
            answer["result"].as_object_mut().and_then(|receipt| receipt.remove("effectiveGasPrice"));
        }
        let [last, newest] = [&self.lacks_after, &self.counts_to].map(|number| number.load(Ordering::SeqCst));
        let asked = number(&request["params"][0]);
        if last > 0 && method == "eth_getBlockByNumber" && asked.is_some_and(|number| number > last) {
            answer["result"] = Value::Null;
        }
        if newest > 0 && method == "eth_blockNumber" {
            answer["result"] = json!(format!("{newest:#x}"));
        }
    }

    async fn forward(&self, request: &Value) -> Value {
        let client = reqwest::Client::new();
        let sent = client.post(&self.node).json(request).send().await.unwrap();
        sent.json().await.unwrap()
    }

    async fn look_back(&self, request: &mut Value) {
        let behind = self.final_behind.load(Ordering::SeqCst);
        let tag = request["params"][0].as_str().unwrap_or_default();
        if behind == 0 || request["method"] != "eth_getBlockByNumber" || !matches!(tag, "safe" | "finalized") {
            return;
        }
        let head = self.forward(&json!({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []})).await;
        let number = number(&head["result"]).unwrap().saturating_sub(behind);
        request["params"][0] = json!(format!("{number:#x}"));
    }
}

pub fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

async fn answer(State(proxy): State<Arc<Proxy>>, headers: HeaderMap, body: String) -> Response {
    let mut request: Value = serde_json::from_str(&body).unwrap();
    if proxy.dead.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let key = headers.get(header::AUTHORIZATION);
    proxy.was_sent_a_key.fetch_or(key.is_some(), Ordering::SeqCst);
    if proxy.key.lock().unwrap().is_some_and(|wanted| key.is_none_or(|key| key != wanted)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let named = match request["params"][0].as_str() {
        Some(tag) if method == "eth_getBlockByNumber" && !tag.starts_with("0x") => format!("{method} {tag}"),
        _ => method.clone(),
    };
    let newest = named == "eth_getBlockByNumber latest";
    *proxy.counts.lock().unwrap().entry(named).or_default() += 1;
    if !proxy.lets_through() {
        proxy.refused.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "slow down").into_response();
    }
    let refuse = |code: i64, message: &str| {
        let error = json!({"code": code, "message": message});
        json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string().into_response()
    };
    if method == "eth_getLogs" && request["params"][0]["blockHash"].is_string() && proxy.hashless.load(Ordering::SeqCst)
    {
        return refuse(-32602, "invalid params: unknown field blockHash");
    }
    if method == "eth_sendRawTransaction"
        && let Some(words) = proxy.floor.lock().unwrap().clone()
        && tip(&request) < 3_000_000_000
    {
        return refuse(-32000, &words);
    }
    while newest && proxy.is_silent() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let holes = proxy.holes.lock().unwrap().clone();
    if let Some(nothing) = holes.as_ref().and_then(|holes| holes.ask(&mut request)) {
        return nothing.to_string().into_response();
    }
    proxy.look_back(&mut request).await;
    let mut answer = proxy.forward(&request).await;
    if let Some(holes) = holes {
        holes.answer(&method, &mut answer);
    }
    if let Some(lagging) = proxy.lagging.lock().unwrap().as_mut() {
        lagging.answer(&request, &mut answer);
    }
    if let Some(number) = answer.pointer("/result/number").and_then(number).filter(|_| newest) {
        proxy.shown.lock().unwrap().push(number);
    }
    proxy.lack(&method, &request, &mut answer);
    let ahead = proxy.ahead.load(Ordering::SeqCst);
    if let Some(time) = answer.pointer_mut("/result/timestamp").filter(|_| ahead != 0) {
        *time = json!(format!("{:#x}", number(time).unwrap().saturating_add_signed(ahead)));
    }
    if method == "eth_call" && proxy.forgets.load(Ordering::SeqCst) {
        // Every word of a job is zero.
        if let Some(result) = answer["result"].as_str() {
            answer["result"] = json!(format!("0x{}", "0".repeat(result.len() - 2)));
        }
    }
    answer.to_string().into_response()
}

/// The tip of a raw transaction.
fn tip(request: &Value) -> u128 {
    use alloy::{consensus::Transaction, consensus::TxEnvelope, eips::Decodable2718, primitives::Bytes};
    let raw: Bytes = request["params"][0].as_str().unwrap().parse().unwrap();
    TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap().max_priority_fee_per_gas().unwrap()
}
