//! An address with two nodes behind it: one knows the newest blocks, the other one stands some blocks behind. They answer in
//! turn.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use alloy::primitives::U256;
use hawser_market::{JobId, OfferId};
use hawser_operator::network::evm::{Action, ActionState, Checkpoint, Cursor, EvmNetwork, EvmStatus, Known};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use crate::{
    lifecycle::{Seen, earn},
    node::{Node, start, start_again},
    proxy::{Proxy, number},
};

/// Which requests the late node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Two, then the other node two, and so on.
    Pairs,
    /// Requests for logs have the late node and the other one in turn, those for a block always the other one.
    Logs,
    /// Requests for logs always have the late node, those for a block always the other one.
    AllLogs,
}

#[derive(Debug)]
pub struct Lagging {
    /// The first block that the late node does not have, and its hash.
    pub number: u64,
    pub hash: Option<Value>,
    pub turns: Turns,
    /// Requests that concerned the block, and those of them that the late node answered with nothing.
    pub asked: u64,
    pub nothing: u64,
    /// Requests for the logs of one block by its number.
    pub by_number: u64,
}

impl Lagging {
    const fn from(number: u64, turns: Turns) -> Self {
        Self { number, hash: None, turns, asked: 0, nothing: 0, by_number: 0 }
    }

    /// What the node whose turn it is says, in place of the right answer.
    pub fn answer(&mut self, request: &Value, answer: &mut Value) {
        let method = request["method"].as_str().unwrap_or_default();
        let first = &request["params"][0];
        if answer.pointer("/result/number").and_then(number) == Some(self.number) {
            self.hash = answer.pointer("/result/hash").cloned();
        }
        let is_ours = |hash: &Value| self.hash.as_ref() == Some(hash);
        let (logs, by_hash) = (method == "eth_getLogs", is_ours(&first["blockHash"]));
        let by_number = logs && first["fromBlock"].is_string() && first["fromBlock"] == first["toBlock"];
        self.by_number += u64::from(by_number);
        let by_number = by_number && number(&first["fromBlock"]) == Some(self.number);
        if !(logs && by_hash || by_number || method == "eth_getBlockByHash" && is_ours(first)) {
            return;
        }
        let is_late = match self.turns {
            Turns::Pairs => self.asked.is_multiple_of(4) || self.asked % 4 == 1,
            Turns::Logs if logs => self.asked.is_multiple_of(2),
            Turns::AllLogs if logs => true,
            Turns::Logs | Turns::AllLogs => return,
        };
        self.asked += 1;
        if !is_late {
            return;
        }
        self.nothing += 1;
        let id = &request["id"];
        *answer = match (logs, by_hash) {
            (true, true) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "unknown block"}}),
            (true, false) => json!({"jsonrpc": "2.0", "id": id, "result": []}),
            (false, _) => json!({"jsonrpc": "2.0", "id": id, "result": null}),
        };
    }
}

/// A node with an order in its newest block, watched through an endpoint whose late node does not have that block.
struct Testbed {
    node: Node,
    proxy: Arc<Proxy>,
    network: EvmNetwork,
    seen: Seen,
    job: JobId,
    offer: OfferId,
    stops: Vec<DropGuard>,
}

impl Testbed {
    async fn start(hashless: bool, turns: Turns) -> Self {
        let node = Node::start().await;
        let (poster, posts) = node.network();
        let offer = node.offer(&poster).await;
        let (url, proxy) = Proxy::before(&node).await;
        proxy.hashless.store(hashless, Ordering::SeqCst);
        let mut spec = node.spec();
        spec.rpc_urls = vec![url.parse().unwrap()];
        let (network, stop) = start(spec);
        let seen = Seen::watch(&network, None);
        // The watcher knows by then how this endpoint is asked.
        let first = node.order(offer, 1).await;
        node.mine(2).await;
        node.until("an order before is read", async || (seen.jobs() == [first]).then_some(())).await;
        let block = node.block().await + 1;
        *proxy.lagging.lock().unwrap_or_else(PoisonError::into_inner) = Some(Lagging::from(block, turns));
        let job = node.order(offer, 2).await;
        node.mine(2).await;
        Self { node, proxy, network, seen, job, offer, stops: vec![posts.drop_guard(), stop.drop_guard()] }
    }

    fn count(&self, of: impl FnOnce(&Lagging) -> u64) -> u64 {
        self.proxy.lagging.lock().unwrap().as_ref().map_or(0, of)
    }

    fn nothing(&self) -> u64 {
        self.count(|lagging| lagging.nothing)
    }

    /// The late node was asked for the order's block alone, and the cursor went on past it.
    async fn is_passed_over(&self) -> (u64, EvmStatus) {
        let block = self.count(|lagging| lagging.number);
        let passed = async || {
            let observed = self.network.observed().borrow().clone();
            (observed.cursor?.number >= block).then_some(observed)
        };
        let observed = self.node.until("the cursor is past the order's block", passed).await;
        assert!(!self.seen.jobs().contains(&self.job) && observed.doubtful.contains(&block), "{observed:?}");
        (block, observed)
    }

    async fn is_read(&self, what: &str) {
        self.node.until(what, async || self.seen.jobs().contains(&self.job).then_some(())).await;
    }
}

#[tokio::test]
async fn a_node_that_lags_and_says_nothing_of_a_range_has_no_order_passed_over() {
    let testbed = Testbed::start(true, Turns::Pairs).await;
    testbed.is_read("the order is read though the late node was asked first").await;
    assert_eq!(testbed.nothing(), 2, "the late node told nothing of the logs, and then of the block");
    assert_eq!(testbed.network.observed().borrow().orders_trouble, None);
}

#[tokio::test]
async fn a_node_that_lags_is_not_taken_for_an_endpoint_that_knows_ranges_only() {
    let testbed = Testbed::start(false, Turns::Pairs).await;
    testbed.is_read("the order is read though the late node was asked first").await;
    let next = testbed.node.order(testbed.offer, 3).await;
    testbed.node.mine(2).await;
    testbed.node.until("the order after it is read", async || testbed.seen.jobs().contains(&next).then_some(())).await;
    assert_eq!(testbed.nothing(), 2, "the late node refused the logs, and then had no such block");
    assert_eq!(testbed.count(|lagging| lagging.by_number), 0, "logs are still asked for by their block's hash");
}

#[tokio::test]
async fn an_order_that_only_the_late_node_was_asked_for_is_read_once_its_block_is_deep() {
    let testbed = Testbed::start(true, Turns::Logs).await;
    testbed.node.until("the late node told nothing", async || (testbed.nothing() > 0).then_some(())).await;
    testbed.node.mine(40).await;
    testbed.is_read("the order is read with the blocks around it").await;
    assert_eq!(testbed.seen.jobs().len(), 2, "each once");
}

#[tokio::test]
async fn an_order_that_only_the_late_node_was_asked_for_is_read_by_the_process_that_comes_after() {
    let mut testbed = Testbed::start(true, Turns::Logs).await;
    let (block, observed) = testbed.is_passed_over().await;
    testbed.stops.clear();
    testbed.network.stopped().await;
    let past = Checkpoint {
        cursor: observed.cursor.map(Cursor::from),
        doubtful: observed.doubtful,
        known: Known { offers: [testbed.offer].into(), ..Known::default() },
        ..Checkpoint::default()
    };
    let (after, _stop) = start_again(testbed.network.spec().clone(), &past);
    testbed.seen = Seen::watch(&after, past.cursor);
    let has_seen = after.observed();
    testbed.node.until("it has looked", async || has_seen.borrow().unread.map(drop)).await;
    assert!(has_seen.borrow().doubtful.contains(&block), "what is stored meanwhile still names the block");
    testbed.node.mine(40).await;
    testbed.is_read("the order is read with the blocks around it").await;
    let settled = async || (!has_seen.borrow().doubtful.contains(&block)).then_some(());
    testbed.node.until("the block is not doubted any more", settled).await;
    assert_eq!(testbed.seen.jobs(), [testbed.job], "once");
}

#[tokio::test]
async fn a_withdrawal_that_a_reorganisation_moves_to_a_block_of_which_the_late_node_says_nothing_counts_once() {
    let node = Node::start().await;
    let (poster, stop) = node.network();
    let earned = earn(&node, &poster, 1).await;
    let (url, proxy) = Proxy::before(&node).await;
    proxy.hashless.store(true, Ordering::SeqCst);
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    Seen::watch(&network, None);
    let sum = || network.observed().borrow().withdrawn.get(&node.token).copied().unwrap_or_default();

    let before = node.rpc("evm_snapshot", json!([])).await;
    let withdraw = Action::Withdraw { provider: network.spec().provider, token: node.token };
    poster.request(withdraw.clone());
    // The node mines it by itself: the block is to be near the head when it is read again.
    let mined = async || match poster.action(&withdraw.key())? {
        ActionState::Mined { tx, block } => Some((tx, block)),
        _ => None,
    };
    let (tx, block) = node.until("it is mined", mined).await;
    node.mine(2).await;
    node.until("it is counted", async || (sum() == earned).then_some(())).await;
    stop.cancel();
    poster.stopped().await;
    let raw = node.rpc("eth_getRawTransactionByHash", json!([tx])).await;

    *proxy.lagging.lock().unwrap() = Some(Lagging::from(block, Turns::AllLogs));
    node.rpc("evm_revert", json!([before])).await;
    node.rpc("evm_increaseTime", json!([5])).await;
    node.mine(u32::try_from(block - 1 - node.block().await).unwrap()).await;
    node.rpc("eth_sendRawTransaction", json!([raw])).await;
    node.until("it is mined again", async || (node.block().await == block).then_some(())).await;
    node.mine(8).await;
    let doubted = async || network.observed().borrow().doubtful.contains(&block).then_some(());
    node.until("the block is read again, and the late node says nothing of it", doubted).await;
    assert_eq!(sum(), U256::ZERO, "what the chain had before is not the chain's any more");
    node.mine(40).await;
    let settled = async || (!network.observed().borrow().doubtful.contains(&block)).then_some(());
    node.until("the block is read again with those around it", settled).await;
    assert_eq!(sum(), earned);
}
