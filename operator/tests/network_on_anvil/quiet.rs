//! A chain that makes blocks only for transactions.

use std::time::{Duration, Instant};

use alloy::{
    primitives::{Address, U256},
    signers::local::PrivateKeySigner,
};
use hawser_operator::{
    network::Payment,
    network::evm::{Action, ActionState, Connection, Disconnected, EvmNetwork, GpuSeconds, StallLimit},
    settlement::plan::{self, Policy, Step},
};

use crate::{
    lifecycle::{claim, open},
    node::{GPUS, Node, assert_mined, start},
};

fn quiet_for(network: &EvmNetwork) -> Option<Duration> {
    Some(network.observed().borrow().head?.seen.elapsed())
}

#[tokio::test]
async fn use_is_claimed_where_no_block_comes_but_that_of_the_claim() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    let attestor = PrivateKeySigner::random();
    assert_mined(&node.done(&network, Action::Start { job, attestor: attestor.address() }).await);
    let (started, block) = (network.job(job).await.unwrap().started.unwrap(), node.block().await);

    // Four seconds are used; nobody sends anything.
    let attested = GpuSeconds(4 * u64::from(GPUS));
    let policy = Policy {
        payment: Payment::Cumulative,
        interval: Duration::from_mins(1),
        least: U256::ZERO,
        claim_cost: U256::ZERO,
    };
    let step = async || {
        let now = network.observed().borrow().chain_time(Instant::now())?;
        let step = plan::next(&network.job(job).await.ok()?.into(), attested, true, now, policy);
        (now.as_second() >= started.as_second() + 5 && step != Step::Wait).then_some(step)
    };
    assert_eq!(node.until("the claim is due", step).await, Step::Claim(plan::Due::Over));
    assert_eq!(node.block().await, block, "no block has come");
    let action = Action::Claim(claim(&network, &attestor, job, attested.0));
    network.request(action.clone());
    let state = node
        .until("the claim is over", async || {
            network
                .action(&action.key())
                .filter(|state| !matches!(state, ActionState::Queued { .. } | ActionState::Sent { .. }))
        })
        .await;
    assert_mined(&state);
    assert_eq!(network.job(job).await.unwrap().used, attested, "all of it was paid");
}

#[tokio::test]
async fn a_quiet_chain_is_no_trouble_until_a_transaction_of_ours_is_not_mined() {
    let node = Node::start().await;
    let mut spec = node.spec();
    spec.stall = StallLimit { blocks: 1, at_least: Duration::from_millis(500) };
    let (network, _stop) = start(spec);
    let job = open(&node, &network, 1).await;
    let connected = || network.observed().borrow().connection.is_connected();
    node.until("it has been quiet for long", async || (quiet_for(&network)? > Duration::from_secs(15)).then_some(()))
        .await;
    assert!(connected(), "nothing is awaited");

    node.stop_mining().await;
    network.request(Action::Start { job, attestor: Address::repeat_byte(5) });
    node.until("the head that does not move is reported", async || {
        let stalled = |c: &Connection| matches!(c, Connection::Disconnected { reason: Disconnected::HeadStalled, .. });
        stalled(&network.observed().borrow().connection).then_some(())
    })
    .await;
    node.mine(1).await;
    node.until("it is well again", async || connected().then_some(())).await;
}
