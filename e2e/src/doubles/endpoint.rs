//! A JSON-RPC endpoint in front of the real node, which does what endpoints do on a bad day.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::post};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is wrong with the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Nobody listens, and what was connected is cut.
    Away,
    /// `429 Too Many Requests` to everything.
    TooManyRequests,
    /// The first half of each answer; then the connection ends.
    HalfAnswers,
    /// It serves another chain.
    OtherChain,
    /// It knows no newer block than this one.
    OldHead(u64),
    /// It refuses `eth_getLogs` over more blocks than this.
    NarrowLogs(u64),
}

/// When the sender of a transaction is caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The node has not got the transaction.
    BeforeSent,
    /// The node has it, and the sender has not heard so.
    Sent,
    /// It is mined, and the sender has not heard so.
    Mined,
}

/// A sender who is to be caught.
#[derive(Debug)]
pub struct Caught {
    came: oneshot::Receiver<()>,
    go: Option<oneshot::Sender<()>>,
}

impl Caught {
    /// Resolves when the sender is caught; from then on it waits for an answer.
    ///
    /// # Errors
    /// When it was not caught in time.
    pub async fn came(&mut self, deadline: Duration) -> Result<()> {
        let came = tokio::time::timeout(deadline, &mut self.came).await;
        came.context("the transaction that was to be caught was not sent in time")?.context("the endpoint is gone")
    }

    /// Lets the request go its way. Without this nobody ever gets an answer to it.
    pub fn release(mut self) {
        if let Some(go) = self.go.take() {
            _ = go.send(());
        }
    }
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    node: String,
    client: reqwest::Client,
    trouble: Mutex<Trouble>,
    spoiled: AtomicU64,
    trap: Mutex<Option<Trap>>,
    /// Raw transactions that were handed to the node.
    sent: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Trap {
    /// Selector of the call, in hexadecimal: it stands in the raw transaction.
    call: String,
    moment: Moment,
    /// The transaction went by: its receipt is waited for.
    armed: bool,
    caught: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

impl Endpoint {
    /// Listens on `host` in front of the node at `node`.
    ///
    /// # Errors
    /// When this machine doesn't have the address.
    pub async fn start(host: IpAddr, node: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            node: node.to_owned(),
            client: reqwest::Client::new(),
            trouble: Mutex::default(),
            spoiled: AtomicU64::new(0),
            trap: Mutex::default(),
            sent: Mutex::default(),
        });
        let mut endpoint = Self { address: SocketAddr::new(host, 0), shared, listener: None };
        endpoint.listen().await?;
        Ok(endpoint)
    }

    async fn listen(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await.context("the local cluster's network is not there")?;
        self.address = listener.local_addr()?;
        let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&self.shared));
        let serve = async move { drop(axum::serve(listener, app).await) };
        self.listener = Some(tokio::spawn(serve));
        Ok(())
    }

    /// Where pods and this machine reach it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is wrong with it.
    ///
    /// # Errors
    /// When it can't listen again on its port.
    pub async fn set(&mut self, trouble: Trouble) -> Result<()> {
        *lock(&self.shared.trouble) = trouble;
        if trouble != Trouble::Away && self.listener.is_none() {
            return self.listen().await;
        }
        if trouble == Trouble::Away
            && let Some(listener) = self.listener.take()
        {
            listener.abort();
        }
        Ok(())
    }

    /// Answers that a trouble has spoiled so far.
    pub fn spoiled(&self) -> u64 {
        self.shared.spoiled.load(Ordering::Relaxed)
    }

    /// Catches the sender of the next transaction that calls the function with this selector.
    pub fn catch(&self, call: [u8; 4], moment: Moment) -> Caught {
        let (caught, came) = oneshot::channel();
        let (go, released) = oneshot::channel();
        let call = alloy::hex::encode(call);
        *lock(&self.shared.trap) = Some(Trap { call, moment, armed: false, caught, go: released });
        Caught { came, go: Some(go) }
    }

    /// Different transactions that called the function with this selector.
    pub fn sent(&self, call: [u8; 4]) -> usize {
        let call = alloy::hex::encode(call);
        lock(&self.shared.sent).iter().filter(|raw| raw.contains(&call)).count()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
    }
}

impl Shared {
    /// The trap for a request, if it is for this one.
    fn before(&self, request: &Value) -> Option<Trap> {
        lock(&self.trap).take_if(|trap| trap.moment == Moment::BeforeSent && carries(request, &trap.call))
    }

    /// The trap for an answer.
    fn after(&self, request: &Value, answer: &[u8]) -> Option<Trap> {
        lock(&self.trap).take_if(|trap| {
            if carries(request, &trap.call) {
                trap.armed = true;
                return trap.moment == Moment::Sent;
            }
            let mined = || serde_json::from_slice::<Value>(answer).is_ok_and(|answer| !answer["result"].is_null());
            trap.armed && request["method"] == "eth_getTransactionReceipt" && mined()
        })
    }

    async fn forward(&self, request: &Value) -> Result<Bytes, reqwest::Error> {
        if let Some(raw) = raw_transaction(request) {
            lock(&self.sent).insert(raw.to_owned());
        }
        self.client.post(&self.node).json(request).send().await?.bytes().await
    }
}

fn raw_transaction(request: &Value) -> Option<&str> {
    request["params"][0].as_str().filter(|_| request["method"] == "eth_sendRawTransaction")
}

fn carries(request: &Value, call: &str) -> bool {
    raw_transaction(request).is_some_and(|raw| raw.contains(call))
}

async fn answer(State(shared): State<Arc<Shared>>, body: String) -> Response {
    let Ok(mut request) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    if let Some(trap) = shared.before(&request) {
        hold(trap).await;
    }
    let trouble = *lock(&shared.trouble);
    if let Some(refusal) = refusal(trouble, &request) {
        shared.spoiled.fetch_add(1, Ordering::Relaxed);
        return refusal;
    }
    if let Trouble::OldHead(number) = trouble {
        shared.spoiled.fetch_add(u64::from(look_back(&mut request, number)), Ordering::Relaxed);
    }
    let Ok(bytes) = shared.forward(&request).await else { return StatusCode::BAD_GATEWAY.into_response() };
    if let Some(trap) = shared.after(&request, &bytes) {
        hold(trap).await;
    }
    if trouble == Trouble::HalfAnswers {
        shared.spoiled.fetch_add(1, Ordering::Relaxed);
        return cut(bytes.slice(..bytes.len() / 2));
    }
    bytes.into_response()
}

/// Says that the sender is caught, and waits until it is released; for ever where nobody will.
async fn hold(trap: Trap) {
    // The test may have given up.
    _ = trap.caught.send(());
    if trap.go.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What is answered without the node.
fn refusal(trouble: Trouble, request: &Value) -> Option<Response> {
    let result = |value: Value| json!({ "jsonrpc": "2.0", "id": request["id"], "result": value }).to_string();
    match trouble {
        Trouble::Away => Some(cut(Bytes::new())),
        Trouble::TooManyRequests => Some((StatusCode::TOO_MANY_REQUESTS, "too many requests").into_response()),
        Trouble::OtherChain if request["method"] == "eth_chainId" => Some(result(json!("0x1")).into_response()),
        Trouble::OldHead(number) if request["method"] == "eth_blockNumber" => {
            Some(result(json!(format!("{number:#x}"))).into_response())
        }
        Trouble::NarrowLogs(widest) if blocks(request) > widest => {
            let error = json!({ "code": -32005, "message": format!("query exceeds max block range {widest}") });
            Some(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }).to_string().into_response())
        }
        _ => None,
    }
}

/// Blocks that a request for logs covers; 0 for any other.
fn blocks(request: &Value) -> u64 {
    let number = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
    let filter = &request["params"][0];
    match (request["method"] == "eth_getLogs", number(&filter["fromBlock"]), number(&filter["toBlock"])) {
        (true, Some(from), Some(to)) => to.saturating_sub(from) + 1,
        _ => 0,
    }
}

/// Asks for block `number` where the newest one was asked for; true where it was.
fn look_back(request: &mut Value, number: u64) -> bool {
    let mut changed = false;
    for parameter in request["params"].as_array_mut().into_iter().flatten() {
        if matches!(parameter.as_str(), Some("latest" | "pending" | "safe" | "finalized")) {
            *parameter = json!(format!("{number:#x}"));
            changed = true;
        }
    }
    changed
}

/// A beginning, after which the connection ends.
fn cut(beginning: Bytes) -> Response {
    let end = std::io::Error::other("the endpoint is away");
    Body::from_stream(stream::iter([Ok(beginning), Err(end)])).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
