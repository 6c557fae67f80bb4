//! What can happen to a transaction, and to the block that an order was in.

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::Encodable2718,
    primitives::{Address, Bytes, TxKind, U256},
    signers::SignerSync,
};
use hawser_market::AttestorTail;
use hawser_operator::network::evm::{Action, ActionState, JobStatus};
use serde_json::json;

use crate::{
    lifecycle::{Seen, open},
    node::{CHAIN_ID, Node, OPERATOR, assert_mined, signer},
};

/// A transfer of nothing to nobody from the operator's key, with fees that beat any other of its nonce.
fn foreign(nonce: u64) -> Bytes {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 900_000_000_000,
        max_priority_fee_per_gas: 90_000_000_000,
        to: TxKind::Call(Address::repeat_byte(1)),
        ..TxEip1559::default()
    };
    let signature = signer(OPERATOR).sign_hash_sync(&tx.signature_hash()).unwrap();
    let signed: alloy::consensus::TxEnvelope = tx.into_signed(signature).into();
    signed.encoded_2718().into()
}

#[tokio::test]
async fn a_nonce_taken_by_another_sender_of_the_key_is_made_up_for() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    node.stop_mining().await;
    let wallet = network.observed().borrow().wallet;
    let nonce = node.nonce(wallet).await;
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    network.request(start.clone());
    node.until("it is sent", async || matches!(network.action(&start.key())?, ActionState::Sent { .. }).then_some(()))
        .await;

    node.rpc("eth_sendRawTransaction", json!([foreign(nonce)])).await;
    node.mine(1).await;
    assert_eq!(network.job(job).await.unwrap().status, JobStatus::Open, "the other transaction took its place");
    assert_mined(&node.until_mining(&network, &start.key()).await);
    assert_eq!(network.job(job).await.unwrap().status, JobStatus::Running);
}

#[tokio::test]
async fn an_operator_that_died_after_sending_is_followed_by_one_that_does_not_act_twice() {
    let node = Node::start().await;
    let (before, kill) = node.network();
    let job = open(&node, &before, 1).await;
    node.stop_mining().await;
    let wallet = before.observed().borrow().wallet;
    let nonce = node.nonce(wallet).await;
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    before.request(start.clone());
    node.until("it is sent", async || matches!(before.action(&start.key())?, ActionState::Sent { .. }).then_some(()))
        .await;
    kill.cancel();

    let (after, _stop) = node.network();
    after.request(start.clone());
    node.until("the transaction in the pool is waited for", async || match after.action(&start.key())? {
        ActionState::Queued { waiting: Some(why) } => why.contains("is in the pool").then_some(()),
        _ => None,
    })
    .await;
    let state = node.until_mining(&after, &start.key()).await;
    assert!(matches!(state, ActionState::AlreadyDone { .. }), "{state:?}");
    assert_eq!(node.job(job).await.attestor, AttestorTail::of(Address::repeat_byte(5)).0);
    assert_eq!(node.nonce(wallet).await, nonce + 1, "one transaction for one start");
}

#[tokio::test]
async fn a_transaction_that_the_fees_have_left_behind_is_replaced() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    node.stop_mining().await;
    let wallet = network.observed().borrow().wallet;
    let nonce = node.nonce(wallet).await;
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    network.request(start.clone());
    let first = node
        .until("it is sent", async || match network.action(&start.key())? {
            ActionState::Sent { tx } => Some(tx),
            _ => None,
        })
        .await;

    let replaced = node
        .until("it is replaced", async || {
            node.rpc("anvil_setNextBlockBaseFeePerGas", json!([500_000_000_000_u64])).await;
            node.mine(1).await;
            match network.action(&start.key())? {
                ActionState::Sent { tx } if tx != first => Some(tx),
                _ => None,
            }
        })
        .await;
    let tx = assert_mined(&node.until_mining(&network, &start.key()).await);
    assert_ne!(tx, first);
    assert_eq!(tx, replaced);
    assert_eq!(node.nonce(wallet).await, nonce + 1, "one nonce for all its versions");
}

#[tokio::test]
async fn after_a_reorg_orders_of_the_new_chain_are_seen_and_those_of_the_old_are_gone() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let offer = node.offer(&network).await;
    let seen = Seen::watch(&network, None);
    node.mine(5).await;
    let before = node.rpc("evm_snapshot", json!([])).await;
    let lost = node.order(offer, 1).await;
    node.mine(3).await;
    node.until("the first order is seen", async || (seen.jobs() == [lost]).then_some(())).await;

    node.rpc("evm_revert", json!([before])).await;
    let kept = node.order(offer, 2).await;
    node.until("the order of the new chain is seen", async || {
        node.mine(1).await;
        (seen.jobs() == [lost, kept]).then_some(())
    })
    .await;
    assert_eq!(network.job(lost).await.unwrap().status, JobStatus::None);
    assert_eq!(network.job(kept).await.unwrap().status, JobStatus::Open);
}

#[tokio::test]
async fn what_a_reorg_takes_back_is_done_again_without_being_asked() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    let before = node.rpc("evm_snapshot", json!([])).await;
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    network.request(start.clone());
    assert_mined(&node.over(&network, &start.key()).await);
    let spent = network.observed().borrow().gas_spent;

    node.rpc("evm_revert", json!([before])).await;
    assert_eq!(network.job(job).await.unwrap().status, JobStatus::Open, "the reorg took the start away");
    node.until("it is started again", async || {
        node.mine(1).await;
        (network.job(job).await.unwrap().status == JobStatus::Running).then_some(())
    })
    .await;
    assert_mined(&node.over(&network, &start.key()).await);
    let now = network.observed().borrow().gas_spent;
    assert!(now < spent * U256::from(2), "gas of the lost transaction was never paid: {spent} and then {now}");
}

#[tokio::test]
async fn a_wallet_without_coins_waits_and_says_so() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let wallet = network.observed().borrow().wallet;
    node.rpc("anvil_setBalance", json!([wallet, "0x0"])).await;
    let post = node.post();
    let action = Action::SetOffer(post);
    network.request(action.clone());
    node.until("it says what is missing", async || match network.action(&action.key())? {
        ActionState::Queued { waiting: Some(why) } => why.contains("not enough for gas: top it up").then_some(()),
        _ => None,
    })
    .await;
    node.rpc("anvil_setBalance", json!([wallet, "0xde0b6b3a7640000"])).await;
    assert_mined(&node.until_mining(&network, &action.key()).await);
}

#[tokio::test]
async fn what_is_in_flight_is_waited_for_when_the_operator_stops() {
    let node = Node::start().await;
    let (network, stop) = node.network();
    let job = open(&node, &network, 1).await;
    node.stop_mining().await;
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    network.request(start.clone());
    node.until("it is sent", async || matches!(network.action(&start.key())?, ActionState::Sent { .. }).then_some(()))
        .await;
    stop.cancel();
    node.mine(1).await;
    network.stopped().await;
    assert_mined(&network.action(&start.key()).unwrap());
}
