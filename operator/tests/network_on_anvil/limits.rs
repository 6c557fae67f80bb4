//! What the network asks of an endpoint, and what becomes of it under a limit.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use hawser_market::JobId;
use hawser_operator::network::evm::{Action, EvmNetwork, JobStatus};

use crate::{
    lifecycle::Seen,
    node::{Node, start},
    proxy::Proxy,
};

/// How often a controller looks at a running job, at an offer, and at what was earned.
const JOB_EVERY: Duration = Duration::from_secs(10);
const OFFER_EVERY: Duration = Duration::from_mins(1);
const EARNINGS_EVERY: Duration = Duration::from_secs(15);
/// How long requests are counted.
const COUNTED: Duration = Duration::from_secs(40);

/// Asks what the controllers ask, each job at a time of its own.
fn ask_like_controllers(node: &Node, network: &EvmNetwork, jobs: &[JobId]) {
    for (index, job) in (0..).zip(jobs) {
        let (network, job) = (network.clone(), *job);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(index * 197)).await;
            let mut looks = tokio::time::interval(JOB_EVERY);
            loop {
                looks.tick().await;
                // Under a limit there may be no answer; that is not what is looked at.
                drop(network.job(job).await);
            }
        });
    }
    let (network, token, offer) = (network.clone(), node.token, node.post().offer);
    tokio::spawn(async move {
        let (mut earnings, mut offers) = (tokio::time::interval(EARNINGS_EVERY), tokio::time::interval(OFFER_EVERY));
        loop {
            tokio::select! {
                _ = earnings.tick() => drop((network.token(token).await, network.credit(token).await)),
                _ = offers.tick() => drop(network.offer(offer).await),
            }
        }
    });
}

struct Running {
    node: Node,
    network: EvmNetwork,
    proxy: Arc<Proxy>,
    seen: Seen,
}

/// A network behind an endpoint that counts, with this many running jobs.
async fn running(jobs: u8) -> Running {
    let node = Node::start().await;
    let (poster, stop) = node.network();
    let offer = node.offer(&poster).await;
    let mut ids = Vec::new();
    for salt in 0..jobs {
        ids.push(node.order(offer, salt).await);
    }
    for id in &ids {
        poster.request(Action::Start { job: *id, attestor: Address::repeat_byte(5) });
    }
    if let Some(last) = ids.last() {
        node.until("all run", async || (poster.job(*last).await.ok()?.status == JobStatus::Running).then_some(()))
            .await;
    }
    stop.cancel();
    poster.stopped().await;
    node.mines_each(2).await;
    // Blocks come regularly for long enough to be known to.
    let begun = node.block().await;
    node.until("blocks come", async || (node.block().await >= begun + 8).then_some(())).await;

    let (url, proxy) = Proxy::before(&node).await;
    let mut spec = node.spec();
    spec.rpc_urls = vec![url.parse().unwrap()];
    let (network, _stop) = start(spec);
    let seen = Seen::watch(&network, None);
    node.until("all orders are read", async || (seen.jobs().len() == usize::from(jobs)).then_some(())).await;
    ask_like_controllers(&node, &network, &ids);
    node.until("the head is followed", async || {
        let observed = network.observed().borrow().clone();
        (observed.block_time == Some(Duration::from_secs(2)) && observed.head?.block.number > begun + 12).then_some(())
    })
    .await;
    Running { node, network, proxy, seen }
}

#[expect(clippy::cast_precision_loss, reason = "small")]
async fn rate(proxy: &Proxy) -> f64 {
    proxy.forget_counts();
    tokio::time::sleep(COUNTED).await;
    let rate = proxy.count() as f64 / COUNTED.as_secs_f64();
    println!("{rate:.2} requests a second: {:?}", proxy.counts.lock().unwrap());
    rate
}

#[tokio::test]
async fn an_idle_network_asks_at_most_once_a_second_and_fifty_running_jobs_add_little() {
    let (idle, busy) = tokio::join!(running(0), running(50));
    let (idle, busy) = tokio::join!(rate(&idle.proxy), rate(&busy.proxy));
    assert!(idle <= 1.0, "idle: {idle:.2} requests a second");
    assert!(busy <= 1.0 + 0.01 * 50.0, "with 50 running jobs: {busy:.2} requests a second");
}

/// Stays connected under a limit, and reads orders.
async fn under_a_limit(permille_of_need: u64) {
    let Running { node, network, proxy, seen } = running(50).await;
    // The need: a request a second, and a hundredth for each running job.
    proxy.limit.store(1500 * permille_of_need / 1000, Ordering::SeqCst);
    proxy.forget_counts();
    let begun = Instant::now();
    let offer = node.post().offer;
    for salt in 100..104 {
        let placed = Instant::now();
        let job = node.order(offer, salt).await;
        node.until("the order is read", async || {
            assert!(network.observed().borrow().connection.is_connected(), "it says that it is away");
            seen.jobs().contains(&job).then_some(())
        })
        .await;
        println!("order read after {:.1} s", placed.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let (asked, refused) = (proxy.count(), proxy.refused.load(Ordering::SeqCst));
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let rate = asked as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.2} requests a second, {refused} of {asked} refused: {:?}", proxy.counts.lock().unwrap());
    assert!(refused * 5 <= asked, "{refused} of {asked} requests are refused");
}

#[tokio::test]
async fn a_limit_that_lets_the_need_through_costs_nothing() {
    tokio::join!(under_a_limit(1500), under_a_limit(1000));
}

#[tokio::test]
async fn a_burst_above_the_limit_passes() {
    let Running { node, network, proxy, seen } = running(10).await;
    proxy.limit.store(1500, Ordering::SeqCst);
    // Forty who ask for an offer each, at once and again and again, for a while.
    let greedy: Vec<_> = (0..40)
        .map(|_| {
            let (network, offer) = (network.clone(), node.post().offer);
            tokio::spawn(async move {
                loop {
                    drop(network.offer(offer).await);
                }
            })
        })
        .collect();
    let job = node.order(node.post().offer, 200).await;
    node.until("the order is read beside the burst", async || {
        assert!(network.observed().borrow().connection.is_connected(), "it says that it is away");
        seen.jobs().contains(&job).then_some(())
    })
    .await;
    greedy.iter().for_each(tokio::task::JoinHandle::abort);
    let (asked, refused) = (proxy.count(), proxy.refused.load(Ordering::SeqCst));
    println!("{refused} of {asked} refused: {:?}", proxy.counts.lock().unwrap());
}
