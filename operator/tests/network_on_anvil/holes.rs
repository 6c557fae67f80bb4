//! A chain whose numbers have holes, as Filecoin's have: the node's own blocks, the later ones under higher numbers.

use std::sync::{PoisonError, atomic::Ordering};

use alloy::primitives::B256;
use hawser_operator::network::evm::{Checkpoint, Connection, Cursor};
use serde_json::{Value, json};

use crate::{
    lifecycle::Seen,
    node::{Node, start, start_again},
    proxy::{Proxy, number},
};

/// What no block has, and in which words that is said.
#[derive(Clone, Debug)]
pub struct Holes {
    /// The node's block after which the hole comes.
    pub after: u64,
    /// Numbers in it; 0: the block after `after` has its number, and is given by its hash only.
    pub width: u64,
    /// The words of a refusal; none: null.
    pub words: Option<&'static str>,
}

impl Holes {
    fn shown(&self, real: u64) -> u64 {
        if real > self.after { real + self.width } else { real }
    }

    fn is_hole(&self, shown: u64) -> bool {
        // Nodes that keep no old blocks say the same of the first one.
        shown == 0 || (self.after + 1..=self.after + self.width.max(1)).contains(&shown)
    }

    fn real(&self, shown: u64) -> u64 {
        if shown > self.after { shown.saturating_sub(self.width).max(self.after) } else { shown }
    }

    /// Asks the node for its own numbers; the answer, where there is no block.
    pub fn ask(&self, request: &mut Value) -> Option<Value> {
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let id = request["id"].clone();
        let params = request.pointer_mut("/params/0")?;
        let replace = |value: &mut Value, up: u64| {
            if let Some(shown) = number(value) {
                let up = if self.width > 0 && self.is_hole(shown) { up } else { 0 };
                *value = json!(format!("{:#x}", self.real(shown) + up));
            }
        };
        match method.as_str() {
            "eth_getBlockByNumber" if number(params).is_some_and(|shown| self.is_hole(shown)) => {
                return Some(match self.words {
                    Some(words) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": 12, "message": words}}),
                    None => json!({"jsonrpc": "2.0", "id": id, "result": null}),
                });
            }
            "eth_getBlockByNumber" => replace(params, 0),
            "eth_getLogs" => {
                replace(&mut params["fromBlock"], 1);
                replace(&mut params["toBlock"], 0);
                if let Some(range) = params.as_object_mut() {
                    range.retain(|_, value| !value.is_null());
                }
            }
            _ => {}
        }
        None
    }

    /// Puts the shown numbers into an answer.
    pub fn answer(&self, method: &str, answer: &mut Value) {
        if method == "eth_blockNumber" {
            self.renumber(&mut answer["result"]);
        } else if method.starts_with("eth_get") {
            self.walk(&mut answer["result"]);
        }
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.walk(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name == "number" || name == "blockNumber" { self.renumber(value) } else { self.walk(value) }
                }
            }
            _ => {}
        }
    }

    fn renumber(&self, value: &mut Value) {
        if let Some(real) = number(value) {
            *value = json!(format!("{:#x}", self.shown(real)));
        }
    }
}

fn set(proxy: &Proxy, holes: Holes) {
    *proxy.holes.lock().unwrap_or_else(PoisonError::into_inner) = Some(holes);
}

#[tokio::test]
async fn numbers_that_no_block_has_hold_up_no_order() {
    for words in [Some("requested epoch was a null round (7)"), None] {
        let node = Node::start().await;
        let (poster, _stop) = node.network();
        let offer = node.offer(&poster).await;
        let (url, proxy) = Proxy::before(&node).await;
        set(&proxy, Holes { after: 0, width: 0, words });
        let mut spec = node.spec();
        spec.rpc_urls = vec![url.parse().unwrap()];
        let (network, _stop) = start(spec);
        let seen = Seen::watch(&network, None);
        // The block under the watcher's position gets another number: it was another one's, on the chain that was.
        let first = node.order(offer, 1).await;
        node.mine(2).await;
        node.until("the first order is read", async || (seen.jobs() == [first]).then_some(())).await;
        let cursor = network.observed().borrow().cursor.unwrap().number;
        set(&proxy, Holes { after: cursor - 1, width: 2, words });
        let second = node.order(offer, 2).await;
        node.mine(2).await;
        node.until("a position on a number that no block has any more is left", async || {
            seen.jobs().contains(&second).then_some(())
        })
        .await;
        // A hole that comes while the chain is watched, with an order just behind it.
        set(&proxy, Holes { after: node.block().await + 1, width: 2, words });
        node.mine(1).await;
        let third = node.order(offer, 3).await;
        node.mine(2).await;
        node.until("the order behind the hole is read", async || seen.jobs().contains(&third).then_some(())).await;
        // No further block comes: all that is confirmed is read, and nothing is said against the endpoint.
        let observed = network.observed().borrow().clone();
        assert_eq!(observed.orders_trouble, None);
        assert_eq!(observed.connection, Connection::Connected { endpoint: url });
    }
}

#[tokio::test]
async fn a_block_that_an_endpoint_gives_by_its_hash_only_is_read() {
    let node = Node::start().await;
    let (poster, _stop) = node.network();
    let offer = node.offer(&poster).await;
    let (url, proxy) = Proxy::before(&node).await;
    let words = Some("requested epoch was a null round (7)");
    set(&proxy, Holes { after: node.block().await + 1, width: 0, words });
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    node.mine(1).await;
    let job = node.order(offer, 1).await;
    node.mine(2).await;
    node.until("its order is read", async || (seen.jobs() == [job]).then_some(())).await;
}

#[tokio::test]
async fn an_endpoint_that_lags_is_asked_little_for_blocks_that_it_does_not_have() {
    // It says of itself that it has come to block 50, or speaks for other nodes that have come further.
    for counts_to in [50, 0] {
        let node = Node::start().await;
        node.mine(200).await;
        let (url, proxy) = Proxy::before(&node).await;
        proxy.lacks_after.store(50, Ordering::SeqCst);
        proxy.counts_to.store(counts_to, Ordering::SeqCst);
        let mut spec = node.spec();
        spec.rpc_urls = vec![url.parse().unwrap()];
        let cursor = Cursor { number: 60, hash: Some(B256::repeat_byte(1)) };
        let (network, _stop) = start_again(spec, &Checkpoint { cursor: Some(cursor), ..Checkpoint::default() });
        Seen::watch(&network, Some(cursor));
        // That is so after five looks.
        node.until("the trouble is reported", async || network.observed().borrow().orders_trouble.clone()).await;
        let by_number = proxy.counts.lock().unwrap().get("eth_getBlockByNumber").copied().unwrap_or_default();
        // Five before the head, then one at each look, and six once where later blocks may be there.
        let most = if counts_to > 0 { 5 + 6 } else { 5 + 6 + 6 };
        assert!((6..=most).contains(&by_number), "{by_number} blocks were asked for, {counts_to}");
    }
}
