//! Endpoints that are dead, lie, stand still, or refuse wide ranges.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy::primitives::{Address, B256};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    routing::post,
};
use hawser_crds::{Confirmations, Finality};
use hawser_operator::network::evm::{Connection, Disconnected, EvmNetwork, JobStatus, StallLimit};
use serde_json::{Value, json};

use crate::{
    lifecycle::{Seen, open},
    node::{Node, start},
    proxy::Proxy,
};

/// A node behind limits and troubles.
#[derive(Default)]
struct Troubles {
    node: String,
    /// Answers 503 to everything.
    dead: AtomicBool,
    /// Takes requests and never answers.
    hangs: AtomicBool,
    /// Refuses every request for logs.
    logless: AtomicBool,
    /// Widest range for logs; 0: any.
    widest: AtomicU64,
    /// Requests for logs that were refused.
    refused: AtomicU64,
}

async fn answer(State(troubles): State<Arc<Troubles>>, body: String) -> (StatusCode, String) {
    if troubles.dead.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "away".to_owned());
    }
    if troubles.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    let refuse = |message: String| {
        let error = json!({"code": -32005, "message": message});
        (StatusCode::OK, json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string())
    };
    if request["method"] == "eth_getLogs" && troubles.logless.load(Ordering::SeqCst) {
        return refuse("logs are not served on this plan".to_owned());
    }
    let number = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
    let filter = &request["params"][0];
    let widest = troubles.widest.load(Ordering::SeqCst);
    if let (Some(from), Some(to)) = (number(&filter["fromBlock"]), number(&filter["toBlock"]))
        && widest != 0
        && to - from >= widest
    {
        troubles.refused.fetch_add(1, Ordering::SeqCst);
        return refuse(format!("query exceeds max block range {widest}"));
    }
    let client = reqwest::Client::new();
    let sent = client.post(&troubles.node).header("content-type", "application/json").body(body).send().await.unwrap();
    (StatusCode::OK, sent.text().await.unwrap())
}

async fn behind_troubles(node: &Node) -> (String, Arc<Troubles>) {
    let troubles = Arc::new(Troubles { node: node.url.clone(), ..Troubles::default() });
    let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&troubles));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, troubles)
}

async fn disconnected(node: &Node, network: &EvmNetwork, expected: Disconnected) -> String {
    node.until(&format!("{expected:?}"), async || match &network.observed().borrow().connection {
        Connection::Disconnected { reason, message } if *reason == expected => Some(message.clone()),
        _ => None,
    })
    .await
}

async fn connected(node: &Node, network: &EvmNetwork) -> String {
    node.until("connected", async || match &network.observed().borrow().connection {
        Connection::Connected { endpoint } => Some(endpoint.clone()),
        Connection::Disconnected { .. } => None,
    })
    .await
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_refused_and_named() {
    let node = Node::start().await;
    let mut spec = node.spec();
    spec.chain_id = 1;
    let (network, _stop) = start(spec);
    let message = disconnected(&node, &network, Disconnected::WrongChain).await;
    assert_eq!(message, format!("{}: serves chain 31337, and spec.evm.chainId is 1", node.url));
    assert_eq!(network.observed().borrow().chain_id, Some(31337));
}

#[tokio::test]
async fn an_address_without_a_contract_is_no_market() {
    let node = Node::start().await;
    let mut spec = node.spec();
    spec.market = Address::repeat_byte(3);
    let (network, _stop) = start(spec);
    let message = disconnected(&node, &network, Disconnected::NoMarket).await;
    assert!(message.contains("there is no contract at 0x0303"), "{message}");
}

#[tokio::test]
async fn a_dead_endpoint_is_left_for_the_next_and_all_dead_is_unreachable() {
    let node = Node::start().await;
    let (first, troubles) = behind_troubles(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![first.parse().unwrap(), node.url.parse().unwrap()];
    let (network, _stop) = start(spec.clone());
    assert_eq!(connected(&node, &network).await, first);

    troubles.dead.store(true, Ordering::SeqCst);
    node.until("the second endpoint is used", async || {
        node.mine(1).await;
        matches!(&network.observed().borrow().connection, Connection::Connected { endpoint } if *endpoint == node.url)
            .then_some(())
    })
    .await;

    spec.rpc_urls.pop();
    let (alone, _stop) = start(spec);
    let message = disconnected(&node, &alone, Disconnected::Unreachable).await;
    assert!(message.contains("503"), "{message}");
    troubles.dead.store(false, Ordering::SeqCst);
    assert_eq!(connected(&node, &alone).await, first);
}

#[tokio::test]
async fn where_blocks_come_by_time_a_head_that_stands_still_is_an_error_until_it_moves() {
    let node = Node::start_by_time().await;
    let begun = node.block().await;
    node.until("blocks come by time", async || (node.block().await >= begun + 7).then_some(())).await;
    let mut spec = node.spec();
    spec.stall = StallLimit { blocks: 3, at_least: Duration::from_millis(500) };
    let (network, _stop) = start(spec);
    connected(&node, &network).await;
    let head = || network.observed().borrow().head.unwrap().block.number;
    let seen = head();
    node.until("the head moves", async || (head() > seen).then_some(())).await;
    node.rpc("evm_setIntervalMining", json!([0])).await;
    let message = disconnected(&node, &network, Disconnected::HeadStalled).await;
    assert!(message.contains(&format!("its newest block is still {}", head())), "{message}");
    node.mine(1).await;
    connected(&node, &network).await;
}

#[tokio::test]
async fn a_provider_that_refuses_wide_ranges_is_asked_for_narrower_ones() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let first = open(&node, &network, 1).await;
    node.mine(40).await;
    let second = node.order(first.offer_id(), 2).await;
    node.mine(2).await;

    let (url, troubles) = behind_troubles(&node).await;
    troubles.widest.store(5, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (limited, _stop) = start(spec);
    let seen = Seen::watch(&limited, None);
    node.until("all orders are seen", async || (seen.jobs() == [first, second]).then_some(())).await;
    assert!(troubles.refused.load(Ordering::SeqCst) > 0, "the limit was met");
}

#[tokio::test]
async fn a_chain_of_the_same_id_with_another_beginning_is_refused() {
    let node = Node::start().await;
    let mut spec = node.spec();
    spec.genesis = Some(B256::repeat_byte(7));
    let (network, _stop) = start(spec);
    let message = disconnected(&node, &network, Disconnected::WrongChain).await;
    assert!(message.contains("its block 0 is 0x") && message.contains("0x0707"), "{message}");

    // Nothing is written down: the first endpoint's counts for the others.
    let other = Node::start_another_chain().await;
    let mut spec = node.spec();
    spec.rpc_urls.push(other.url.parse().unwrap());
    let (network, _stop) = start(spec);
    assert_eq!(connected(&node, &network).await, node.url);
    drop(node);
    let message = disconnected(&other, &network, Disconnected::WrongChain).await;
    assert!(message.contains(&format!("{}: its block 0 is", other.url)), "{message}");
}

#[tokio::test]
async fn what_a_slow_endpoint_does_not_answer_is_asked_of_the_next() {
    let node = Node::start().await;
    let (first, troubles) = behind_troubles(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![first.parse().unwrap(), node.url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let job = open(&node, &network, 1).await;
    assert_eq!(connected(&node, &network).await, first);
    troubles.hangs.store(true, Ordering::SeqCst);
    // A request is given up after 10 s: this answer comes from beside it.
    let answer = tokio::time::timeout(Duration::from_secs(6), network.job(job)).await;
    assert_eq!(answer.expect("an answer before the first one's time is up").unwrap().status, JobStatus::Open);
}

#[tokio::test]
async fn orders_that_cannot_be_read_are_told_and_read_later() {
    let node = Node::start().await;
    let (url, troubles) = behind_troubles(&node).await;
    troubles.logless.store(true, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    let job = open(&node, &network, 1).await;
    node.mine(2).await;
    let trouble = async || network.observed().borrow().orders_trouble.clone();
    let why = node.until("the trouble is reported", trouble).await;
    assert!(why.contains("logs are not served on this plan"), "{why}");
    troubles.logless.store(false, Ordering::SeqCst);
    node.until("the order is seen", async || (seen.jobs() == [job]).then_some(())).await;
    node.until("the trouble is over", async || network.observed().borrow().orders_trouble.is_none().then_some(()))
        .await;
}

#[tokio::test]
async fn where_finality_is_asked_for_an_order_waits_for_it() {
    let node = Node::start().await;
    let (poster, _stop) = node.network();
    let job = open(&node, &poster, 1).await;
    let placed = node.block().await - 1;
    let mut spec = node.spec();
    spec.confirmations = Confirmations::Tag(Finality::Finalized);
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    // Anvil calls a block final that has 64 others on top.
    node.mine(u32::try_from(placed + 63 - node.block().await).unwrap()).await;
    node.until("what is final is read", async || {
        network.observed().borrow().cursor.filter(|cursor| cursor.number + 1 == placed)
    })
    .await;
    assert_eq!(seen.jobs(), []);
    node.mine(1).await;
    node.until("the order is seen", async || (seen.jobs() == [job]).then_some(())).await;
}

#[tokio::test]
async fn an_endpoint_is_sent_its_own_headers_and_no_other_endpoint_is() {
    let node = Node::start().await;
    let (url, proxy) = Proxy::before(&node).await;
    let (other_url, other) = Proxy::before(&node).await;
    *proxy.key.lock().unwrap() = Some("Bearer verysecret");
    let mut spec = node.spec();
    spec.rpc_urls = [&other_url, &url].map(|url| url.parse().unwrap()).to_vec();
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer verysecret"))]);
    spec.rpc_headers.insert(url.parse().unwrap(), headers);
    let (network, _stop) = start(spec);
    let uses = |url: &str| matches!(&network.observed().borrow().connection, Connection::Connected { endpoint } if endpoint == url);
    node.until("the first one is used", async || uses(&other_url).then_some(())).await;
    other.dead.store(true, Ordering::SeqCst);
    node.until("the one with the header is used", async || {
        node.mine(1).await;
        uses(&url).then_some(())
    })
    .await;
    assert!(!other.was_sent_a_key.load(Ordering::SeqCst));
}
