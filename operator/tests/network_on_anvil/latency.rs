//! What is ours in a block is known with the first look at the head that may show it.

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy::primitives::Address;
use hawser_crds::Confirmations;
use hawser_market::OfferId;
use hawser_operator::network::evm::{Action, ActionState, Cursor, EvmNetwork};
use tokio_util::sync::CancellationToken;

use crate::{
    lifecycle::Seen,
    node::{Node, start},
    proxy::Proxy,
};

/// Requests that an order or a start may cost once it may be seen, that look and what else is asked meanwhile included.
const FEW: u64 = 12;

struct Line {
    node: Node,
    network: EvmNetwork,
    offer: OfferId,
    proxy: Arc<Proxy>,
    seen: Seen,
    stop: CancellationToken,
}

/// A network that begins with a cursor behind everything that has happened: no log of ours was read.
async fn line(confirmations: u64) -> Line {
    let node = Node::start().await;
    let (poster, stop) = node.network();
    let offer = node.offer(&poster).await;
    stop.cancel();
    poster.stopped().await;
    let behind = node.block().await;
    node.mines_each(2).await;
    node.until("blocks come", async || (node.block().await >= behind + 8).then_some(())).await;

    let (url, proxy) = Proxy::before(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    spec.confirmations = Confirmations::Blocks(confirmations);
    let (network, stop) = start(spec);
    // The offer's controller asks for it.
    network.offer(offer).await.unwrap();
    let seen = Seen::watch(&network, Some(Cursor { number: behind, hash: None }));
    node.until("the head is followed", async || {
        let observed = network.observed().borrow().clone();
        let read = observed.cursor?.number >= behind + 8;
        (read && observed.block_time == Some(Duration::from_secs(2))).then_some(())
    })
    .await;
    Line { node, network, offer, proxy, seen, stop }
}

impl Line {
    /// Waits, and lets the network look at a block, or a later one, once.
    async fn with_one_look(&self, what: &str, block: u64, over: impl AsyncFn() -> bool) {
        let before = Cell::new(self.proxy.count());
        self.proxy.shows_up_to.store(block, Ordering::SeqCst);
        self.node
            .until(what, async || {
                if !self.proxy.has_shown(block) {
                    before.set(self.proxy.count());
                }
                over().await.then_some(())
            })
            .await;
        self.proxy.shows_up_to.store(0, Ordering::SeqCst);
        let requests = self.proxy.count() - before.get();
        assert!(requests <= FEW, "{what} after {requests} requests");
        assert!(self.network.observed().borrow().connection.is_connected(), "{what} after the endpoint was given up");
    }

    async fn is_quick(&self, confirmations: u64, salt: u8) {
        let Self { node, network, offer, seen, .. } = self;
        let (job, block) = node.place(*offer, salt).await;
        let known = async || seen.jobs().contains(&job);
        self.with_one_look("the order is handed over", block + confirmations, known).await;
        let action = Action::Start { job, attestor: Address::repeat_byte(5) };
        network.request(action.clone());
        let mined = node
            .until("it is mined", async || {
                let runs = node.job(job).await.status == 2;
                runs.then_some(())?;
                Some(node.block().await)
            })
            .await;
        let known = async || matches!(network.action(&action.key()), Some(ActionState::Mined { .. }));
        self.with_one_look("the start is known", mined, known).await;
    }
}

#[tokio::test]
async fn an_order_and_a_start_are_known_with_the_first_look_that_may_show_them() {
    for confirmations in [1, 2] {
        let line = line(confirmations).await;
        for salt in 0..3 {
            line.is_quick(confirmations, salt).await;
        }
        // Before its node goes.
        line.stop.cancel();
        line.network.stopped().await;
    }
}
