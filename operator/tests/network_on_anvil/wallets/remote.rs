//! A key behind `eth_signTransaction`: Anvil's own accounts, and somebody between who lies.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256};
use axum::{Router, extract::State, http::StatusCode, routing::post};
use hawser_operator::network::evm::{Action, ActionState, RemoteSigner, Wallet};
use serde_json::{Value, json};

use super::{posts_starts_and_claims, trouble, waits};
use crate::{
    lifecycle::open,
    node::{Node, OPERATOR, assert_mined, signer, start_with},
};

/// What the signer between does.
#[derive(Clone, Debug)]
enum Mood {
    Honest,
    /// Answers in Geth's shape.
    Wraps,
    /// Has another value signed in a field.
    Lies(&'static str, Value),
    /// Answers with 503.
    Away,
    /// Doesn't answer.
    Silent,
    /// Has no such account.
    Locked,
}

struct Between {
    node: String,
    mood: Mutex<Mood>,
    asked: AtomicU64,
}

impl Between {
    async fn start(node: &Node, mood: Mood) -> (Arc<Self>, Wallet) {
        let between = Arc::new(Self { node: node.url.clone(), mood: Mutex::new(mood), asked: AtomicU64::new(0) });
        let app = Router::new().route("/", post(answer)).with_state(Arc::clone(&between));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wallet = wallet(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (between, wallet)
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn answer(State(between): State<Arc<Between>>, body: String) -> (StatusCode, String) {
    let mood = between.mood.lock().unwrap().clone();
    between.asked.fetch_add(1, Ordering::Relaxed);
    let mut request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(request["method"], "eth_signTransaction", "a signer is asked for nothing else");
    match &mood {
        Mood::Lies(field, value) => request["params"][0][field] = value.clone(),
        Mood::Away => return (StatusCode::SERVICE_UNAVAILABLE, "away".to_owned()),
        Mood::Silent => tokio::time::sleep(Duration::from_mins(5)).await,
        Mood::Locked => request["params"][0]["from"] = json!("0x0000000000000000000000000000000000000001"),
        Mood::Honest | Mood::Wraps => {}
    }
    let sent = reqwest::Client::new().post(&between.node).json(&request).send().await.unwrap();
    let mut reply: Value = sent.json().await.unwrap();
    if matches!(mood, Mood::Wraps) {
        reply["result"] = json!({"raw": reply["result"], "tx": {"nonce": "0x0"}});
    }
    (StatusCode::OK, reply.to_string())
}

fn wallet(url: &str) -> Wallet {
    Wallet::Remote(RemoteSigner::new(url.parse().unwrap(), signer(OPERATOR).address()).unwrap())
}

#[tokio::test]
async fn a_key_behind_eth_sign_transaction_posts_starts_and_claims() {
    let node = Node::start().await;
    posts_starts_and_claims(&node, wallet(&node.url)).await;
}

#[tokio::test]
async fn an_answer_in_the_shape_of_geth_is_read_too() {
    let node = Node::start().await;
    let (_between, wallet) = Between::start(&node, Mood::Wraps).await;
    posts_starts_and_claims(&node, wallet).await;
}

#[tokio::test]
async fn a_signer_that_has_anything_else_signed_is_refused_and_nothing_is_sent() {
    let node = Node::start().await;
    let (between, wallet) = Between::start(&node, Mood::Honest).await;
    let address = wallet.address();
    let (network, _stop) = start_with(node.spec(), wallet);
    let action = Action::SetOffer(node.post());
    let stranger = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    for (field, value, words) in [
        ("to", json!("0x0101010101010101010101010101010101010101"), "its to is 0x0101"),
        ("nonce", json!("0x7"), "its nonce is 7, and 0 was asked for"),
        ("value", json!("0x1"), "its value is 1, and 0 was asked for"),
        ("gas", json!("0x5208"), "its gas is 21000"),
        ("maxFeePerGas", json!("0xffffffffffff"), "its maxFeePerGas is 281474976710655"),
        ("maxPriorityFeePerGas", json!("0x1"), "its maxPriorityFeePerGas is 1"),
        ("data", json!("0xabcdef12"), "its data is not what was asked for"),
        ("accessList", json!([{"address": stranger, "storageKeys": []}]), "its access list is not"),
        ("from", json!(stranger), "it is signed by 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, and not by"),
    ] {
        between.be(Mood::Lies(field, value));
        network.request(action.clone());
        waits(&node, &network, &action, words).await;
        trouble(&node, &network, Some("SignerMismatch")).await;
    }
    assert_eq!(node.nonce(address).await, 0, "nothing was sent");
    between.be(Mood::Honest);
    assert_mined(&node.until_mining(&network, &action.key()).await);
    trouble(&node, &network, None).await;
}

#[tokio::test]
async fn a_signer_that_is_away_silent_or_locked_keeps_all_actions_waiting_until_it_signs() {
    let node = Node::start().await;
    let (between, wallet) = Between::start(&node, Mood::Honest).await;
    let address = wallet.address();
    let (network, _stop) = start_with(node.spec(), wallet);
    let first = Action::SetOffer(node.post());
    let second = Action::SetOffer(node.post_with(|terms| terms.salt = B256::repeat_byte(1)));
    for (mood, words, reason) in [
        (Mood::Away, "is unavailable: it answers 503", "SignerUnavailable"),
        (Mood::Locked, "doesn't sign: error", "SignerRefused"),
        (Mood::Silent, "is unavailable: operation timed out", "SignerUnavailable"),
    ] {
        between.be(mood);
        network.request(first.clone());
        network.request(second.clone());
        waits(&node, &network, &first, words).await;
        waits(&node, &network, &second, words).await;
        trouble(&node, &network, Some(reason)).await;
    }
    assert_eq!(node.nonce(address).await, 0);
    between.be(Mood::Honest);
    for action in [first, second] {
        assert_mined(&node.until_mining(&network, &action.key()).await);
    }
    trouble(&node, &network, None).await;
    assert_eq!(node.nonce(address).await, 2, "each was sent once");
}

#[tokio::test]
async fn a_signer_that_is_away_is_not_asked_at_every_request() {
    let node = Node::start().await;
    let (between, wallet) = Between::start(&node, Mood::Away).await;
    let (network, _stop) = start_with(node.spec(), wallet);
    let asked = || between.asked.load(Ordering::Relaxed);
    network.request(Action::SetOffer(node.post()));
    node.until("the signer is asked", async || (asked() > 0).then_some(())).await;
    let (begun, before) = (Instant::now(), asked());
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    // No block comes meanwhile: the node makes one for each transaction.
    for salt in 0..40 {
        ticks.tick().await;
        network.request(Action::SetOffer(node.post_with(|terms| terms.salt = B256::repeat_byte(salt))));
    }
    let (seconds, more) = (begun.elapsed().as_secs(), asked() - before);
    assert!(more <= seconds + 1, "asked {more} times more in {seconds} s");
}

#[tokio::test]
async fn a_signer_at_whose_address_nobody_listens_is_named_without_the_secrets_of_its_url() {
    let node = Node::start().await;
    let (network, _stop) = start_with(node.spec(), wallet("http://user:word@127.0.0.1:1/path?token=1"));
    let action = Action::SetOffer(node.post());
    network.request(action.clone());
    waits(&node, &network, &action, "the signer at http://127.0.0.1:1 is unavailable: ").await;
    let said = format!("{:?} {:?}", network.action(&action.key()), network.observed().borrow());
    assert!(!said.contains("word") && !said.contains("token"), "{said}");
}

#[tokio::test]
async fn the_signers_trouble_is_over_when_nothing_waits_for_it_any_more() {
    let node = Node::start().await;
    let (other, _stop_other) = node.network();
    let job = open(&node, &other, 1).await;
    let (_between, wallet) = Between::start(&node, Mood::Away).await;
    let (network, _stop) = start_with(node.spec(), wallet);
    let action = Action::Start { job, attestor: Address::repeat_byte(5) };
    network.request(action.clone());
    waits(&node, &network, &action, "503").await;
    trouble(&node, &network, Some("SignerUnavailable")).await;
    assert_mined(&node.done(&other, action.clone()).await);
    let state = node.until_mining(&network, &action.key()).await;
    assert!(matches!(state, ActionState::AlreadyDone { .. }), "{state:?}");
    trouble(&node, &network, None).await;
}
