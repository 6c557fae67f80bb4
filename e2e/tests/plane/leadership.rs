//! Two replicas, of which one leads.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hawser_e2e::wait;
use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

/// What is promised, of a leader that is asked to stop and of one that dies. The quickest of this many tries counts: the machine
/// may be busy with other tests.
const HAND_OVER: Duration = Duration::from_secs(2);
const TAKE_OVER: Duration = Duration::from_secs(20);
const TRIES: u32 = 4;
/// On a loaded machine.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_leader_that_stops_hands_over_and_one_that_dies_is_replaced() -> Result<()> {
    let testbed = Testbed::new().await?;
    testbed.pod("first").await?;
    let mut leader = Replica::start(&testbed.plane, SYSTEM, "first", testbed.plane.address())?;
    leader.says("leading", START).await?;
    is_marked(&testbed, "first").await?;
    testbed.work_is_done("offer", 1, START).await.with_context(|| leader.tail())?;
    let mut price = 1;
    for (signal, promised) in [(Signal::SIGTERM, HAND_OVER), (Signal::SIGKILL, TAKE_OVER)] {
        let mut took = Vec::new();
        while took.iter().all(|took| *took > promised) {
            ensure!(
                took.len() < TRIES as usize,
                "{signal}: promised within {promised:?}, took {took:?}\n{}",
                leader.tail()
            );
            price += 1;
            took.push(replaced(&testbed, &mut leader, signal, price).await?);
        }
        println!("after {signal} another one led within {took:.1?}");
    }
    Ok(())
}

/// Puts another replica in the leader's place; gives how long nobody led.
async fn replaced(testbed: &Testbed, leader: &mut Replica, signal: Signal, price: u32) -> Result<Duration> {
    let name = format!("replica-{price}");
    testbed.pod(&name).await?;
    let next = Replica::start(&testbed.plane, SYSTEM, &name, testbed.plane.address())?;
    next.says("standing by", START).await?;
    let began = Instant::now();
    leader.signal(signal)?;
    next.says("leading", START).await?;
    is_marked(testbed, &name).await?;
    let took = began.elapsed();
    let (status, _) = leader.ended(SOON).await?;
    ensure!(status.success() || signal == Signal::SIGKILL, "it ended with {status}\n{}", leader.tail());
    testbed.work_is_done("offer", price, START).await.with_context(|| next.tail())?;
    *leader = next;
    Ok(took)
}

/// The Service leads to this pod, and to no other.
async fn is_marked(testbed: &Testbed, pod: &str) -> Result<()> {
    wait::until("the leader's pod is marked", SOON, async || {
        let marked = testbed.marked().await?;
        Ok(if marked == [pod] { Ok(()) } else { Err(format!("{marked:?}")) })
    })
    .await
}

#[tokio::test]
async fn a_leader_that_slept_through_its_lease_writes_nothing_when_it_wakes_up() -> Result<()> {
    let testbed = Testbed::new().await?;
    let server = testbed.plane.address();
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", server)?;
    one.says("leading", START).await?;
    let two = Replica::start(&testbed.plane, SYSTEM, "two", server)?;
    two.says("standing by", START).await?;
    // It falls asleep over work, and wakes up over more.
    let mut price = 0;
    let mut busy = async || -> Result<()> {
        for offer in ["a", "b", "c", "d"] {
            price += 1;
            testbed.price(offer, price).await?;
        }
        Ok(())
    };
    for _ in 0..20 {
        busy().await?;
    }
    one.signal(Signal::SIGSTOP)?;
    busy().await?;
    let took = two.says("leading", Duration::from_secs(30)).await?;
    println!("taken over within {took:.1?} of the leader's falling asleep");
    for _ in 0..5 {
        busy().await?;
    }
    testbed.work_is_done("e", 1, SOON).await.with_context(|| two.tail())?;

    let woken = Timestamp::now();
    one.signal(Signal::SIGCONT)?;
    for _ in 0..5 {
        busy().await?;
    }
    let (status, took) = one.ended(SOON).await?;
    println!("the old leader ended {took:.1?} after it woke up");
    ensure!(status.code() == Some(1), "it ended with {status}\n{}", one.tail());
    // The new leader's work is in the log by now, so what the old one asked for is too.
    testbed.work_is_done("e", 2, SOON).await.with_context(|| two.tail())?;
    let requests = testbed.plane.requests()?;
    let of = |name: &str, since: Timestamp| {
        let requests = requests.iter().filter(move |request| request.user == name);
        requests
            .filter(|request| matches!(request.verb.as_str(), "create" | "update" | "patch" | "delete"))
            .filter(move |request| request.at.parse::<Timestamp>().is_ok_and(|at| at >= since))
            .collect::<Vec<_>>()
    };
    ensure!(!of("one", Timestamp::UNIX_EPOCH).is_empty(), "the log does not show what the old leader wrote before");
    ensure!(!of("two", woken).is_empty(), "the log does not show what the new leader writes");
    let late = of("one", woken);
    ensure!(late.is_empty(), "the old leader wrote after it woke up: {late:?}\n{}", one.tail());
    Ok(())
}
