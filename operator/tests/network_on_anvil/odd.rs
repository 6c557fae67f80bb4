//! Endpoints and tokens that are not as they should be.

use std::{sync::atomic::Ordering, time::Duration};

use alloy::primitives::{Address, U256};
use hawser_crds::{Confirmations, Finality};
use hawser_operator::network::evm::{Action, Connection, EvmError, JobStatus};
use serde_json::json;

use crate::{
    lifecycle::{Seen, earn, open},
    node::{Node, PAYOUT, assert_mined, start},
    proxy::{Proxy, number},
};

#[tokio::test]
async fn where_final_blocks_lie_twenty_minutes_behind_all_of_them_are_read_and_what_was_earned_is_withdrawn() {
    let node = Node::start().await;
    let (poster, stop) = node.network();
    let earned = earn(&node, &poster, 1).await;
    stop.cancel();
    poster.stopped().await;
    node.rpc("anvil_mine", json!(["0x2bc", "0x2"])).await;
    let (url, proxy) = Proxy::before(&node).await;
    proxy.final_behind.store(600, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    spec.confirmations = Confirmations::Tag(Finality::Finalized);
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    node.until("the order is read", async || (seen.jobs().len() == 1).then_some(())).await;
    let observed = node
        .until("all that is final is read", async || {
            let observed = network.observed().borrow().clone();
            (observed.unread? <= 16 && observed.confirmation_lag.is_some()).then_some(observed)
        })
        .await;
    let lag = observed.confirmation_lag.unwrap();
    assert!((Duration::from_mins(20)..Duration::from_mins(21)).contains(&lag), "{lag:?}");
    let behind = observed.head.unwrap().block.number - observed.cursor.unwrap().number;
    assert!(behind >= 600, "the cursor stands at what is final");

    let withdraw = Action::Withdraw { provider: network.spec().provider, token: node.token };
    assert_mined(&node.done(&network, withdraw).await);
    assert_eq!(node.balance(PAYOUT).await, earned, "nobody waits for the withdrawal to be final");
}

#[tokio::test]
async fn an_endpoint_that_knows_no_logs_by_hash_is_asked_by_number() {
    let node = Node::start().await;
    let (poster, _stop) = node.network();
    let (url, proxy) = Proxy::before(&node).await;
    proxy.hashless.store(true, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    let job = open(&node, &poster, 1).await;
    node.mine(2).await;
    node.until("the order is seen", async || (seen.jobs() == [job]).then_some(())).await;
    assert_eq!(network.observed().borrow().orders_trouble, None);
}

#[tokio::test]
async fn a_job_that_one_endpoint_has_forgotten_is_asked_of_another() {
    let node = Node::start().await;
    let (poster, _stop) = node.network();
    let job = open(&node, &poster, 1).await;
    let (url, proxy) = Proxy::before(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap(), node.url.parse().unwrap()];
    let (network, _stop) = start(spec.clone());
    node.until("connected", async || network.observed().borrow().connection.is_connected().then_some(())).await;
    proxy.forgets.store(true, Ordering::SeqCst);
    assert_eq!(network.job(job).await.unwrap().status, JobStatus::Open);

    spec.rpc_urls.pop();
    let (alone, _stop) = start(spec);
    assert_eq!(alone.job(job).await.unwrap().status, JobStatus::None, "nobody else is there to ask");
}

#[tokio::test]
async fn an_endpoint_that_was_ahead_of_time_and_is_gone_keeps_no_other_out() {
    let node = Node::start().await;
    let (url, proxy) = Proxy::before(&node).await;
    proxy.ahead.store(45, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap(), node.url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let uses = |url: &str| matches!(&network.observed().borrow().connection, Connection::Connected { endpoint } if endpoint == url);
    node.until("the first one is used", async || uses(&url).then_some(())).await;
    // So far ahead that nobody takes it for the chain's time.
    proxy.ahead.store(3600, Ordering::SeqCst);
    node.until("it is left for the honest one", async || {
        node.mine(1).await;
        uses(&node.url).then_some(())
    })
    .await;
    proxy.dead.store(true, Ordering::SeqCst);
    let head = network.observed().borrow().head.unwrap().block.number;
    node.until("the head goes on", async || {
        node.mine(1).await;
        (uses(&node.url) && network.observed().borrow().head?.block.number > head + 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whatever_the_words_for_fees_that_are_too_low_they_are_raised_until_it_is_sent() {
    let node = Node::start().await;
    for words in [
        "INTERNAL_ERROR: could not replace existing tx",
        "ReplacementNotAllowed",
        "Gas price below configured minimum gas price",
        "the goblins want more",
    ] {
        let (url, proxy) = Proxy::before(&node).await;
        *proxy.floor.lock().unwrap() = Some(words.to_owned());
        let mut spec = node.spec();
        spec.rpc_urls = vec![url.parse().unwrap()];
        let (network, stop) = start(spec);
        let action = Action::SetOffer(node.post_with(|terms| terms.salt = alloy::primitives::keccak256(words)));
        network.request(action.clone());
        assert_mined(&node.until_mining(&network, &action.key()).await);
        stop.cancel();
        network.stopped().await;
    }
}

#[tokio::test]
async fn an_address_that_is_no_token_is_told_from_an_endpoint_that_is_away() {
    let node = Node::start().await;
    let (url, proxy) = Proxy::before(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    for address in [Address::repeat_byte(9), node.market] {
        assert_eq!(network.token(address).await, Err(EvmError::NotAToken(address)));
    }
    proxy.dead.store(true, Ordering::SeqCst);
    assert!(matches!(network.token(node.token).await, Err(EvmError::Unavailable(_))));
    proxy.dead.store(false, Ordering::SeqCst);
    let token = node.until("the token is read", async || network.token(node.token).await.ok()).await;
    assert_eq!(token.symbol, "tUSD", "an endpoint that was away did not take its name");
}

#[tokio::test]
async fn gas_is_counted_by_the_transactions_own_price_where_receipts_tell_none() {
    let node = Node::start().await;
    let (url, proxy) = Proxy::before(&node).await;
    proxy.priceless.store(true, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let tx = assert_mined(&node.done(&network, Action::SetOffer(node.post())).await);
    let receipt = node.rpc("eth_getTransactionReceipt", json!([tx])).await;
    let field = |name: &str| U256::from(number(&receipt[name]).unwrap());
    let paid = field("gasUsed") * field("effectiveGasPrice");
    assert!(paid > U256::ZERO);
    assert_eq!(network.observed().borrow().gas_spent, paid);
}
