//! A leader whose lease is over: what it had in hand stays there.

use std::{sync::Arc, time::Duration};

use alloy::primitives::Address;
use hawser_operator::fence::{Fence, Moment};
use hawser_operator::network::Uncounted;
use hawser_operator::network::evm::{Action, ActionState, Checkpoint, EvmNetwork, JobStatus};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::open;
use crate::node::{Node, assert_mined, wallet};
use crate::proxy::Proxy;

#[tokio::test]
async fn a_leader_whose_lease_is_over_sends_nothing_though_it_goes_on_to_look() {
    let node = Node::start().await;
    let (fence, cancel) = (Fence::default(), CancellationToken::new());
    assert!(fence.extend(Moment::now().plus(Duration::from_hours(1))));
    let (url, proxy) = Proxy::before(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let old = EvmNetwork::start_fenced(
        spec,
        wallet(),
        &Checkpoint::default(),
        cancel.clone(),
        fence.clone(),
        Arc::new(Uncounted),
    );
    let old = old.unwrap();
    let job = open(&node, &old, 1).await;
    let sender = old.observed().borrow().wallet;
    let nonce = node.nonce(sender).await;

    let sent = || proxy.counts.lock().unwrap().get("eth_sendRawTransaction").copied().unwrap_or_default();
    assert!(sent() > 0, "while it leads it sends by this endpoint");
    proxy.forget_counts();
    fence.close();
    let start = Action::Start { job, attestor: Address::repeat_byte(5) };
    old.request(start.clone());
    for _ in 0..3 {
        node.mine(1).await;
        let head = node.block().await;
        node.until("the old leader has seen the block", async || {
            old.observed().borrow().head.filter(|seen| seen.block.number >= head).map(drop)
        })
        .await;
        assert!(matches!(old.action(&start.key()), Some(ActionState::Queued { .. })), "{:?}", old.action(&start.key()));
    }
    assert_eq!(sent(), 0, "nothing was even given to the endpoint");
    assert_eq!(node.nonce(sender).await, nonce, "nothing of its wallet's was mined");
    assert_eq!(old.job(job).await.unwrap().status, JobStatus::Open);

    let (new, _stop) = node.network();
    assert_mined(&node.done(&new, start).await);
    assert_eq!(node.nonce(sender).await, nonce + 1, "the new leader alone has sent");
    cancel.cancel();
}
