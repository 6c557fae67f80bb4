//! Connections that die without a word, and a server that hangs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_e2e::doubles::relay::Relay;

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

#[tokio::test]
async fn work_goes_on_within_half_a_minute_of_all_connections_dying() -> Result<()> {
    let testbed = Testbed::new().await?;
    let relay = Relay::start(testbed.plane.address()).await?;
    let mut replica = Replica::start(&testbed.plane, SYSTEM, "one", relay.address())?;
    replica.says("leading", START).await?;
    testbed.work_is_done("offer", 1, START).await.with_context(|| replica.tail())?;

    relay.freeze();
    let took = testbed.work_is_done("offer", 2, Duration::from_secs(30)).await.with_context(|| replica.tail())?;
    println!("after all connections died, work went on within {took:.1?}");
    replica.says("leading", Duration::from_secs(5)).await?;
    replica.stops(Duration::from_secs(10)).await?;
    Ok(())
}

#[tokio::test]
async fn a_standby_is_ready_while_it_could_lead_and_leads_after_a_hung_server_is_back() -> Result<()> {
    let testbed = Testbed::new().await?;
    let (first, second) = (Relay::start(testbed.plane.address()).await?, Relay::start(testbed.plane.address()).await?);
    let mut leader = Replica::start(&testbed.plane, SYSTEM, "one", first.address())?;
    leader.says("leading", START).await?;
    let standby = Replica::start(&testbed.plane, SYSTEM, "two", second.address())?;
    standby.says("standing by", START).await?;
    ensure!(standby.metric("hawser_leading").await? == "0", "both lead");

    second.hang();
    let took = standby.not_ready("the API server has not answered", Duration::from_secs(30)).await?;
    println!("a standby before a hung server was not Ready after {took:.1?}");
    let silent: u64 = standby.metric("hawser_api_requests_total{verb=\"GET\",outcome=\"silent\"}").await?.parse()?;
    let pods: f64 = standby.metric("hawser_watch_silence_seconds{resource=\"pods\"}").await?.parse()?;
    ensure!(silent > 0 && pods > 4.0, "{silent} requests were not answered, and pods are {pods} s old");
    second.heal();
    let took = standby.says("standing by", Duration::from_secs(30)).await?;
    println!("and Ready again {took:.1?} after the server was back");

    first.hang();
    let (status, took) = leader.ended(Duration::from_secs(15)).await?;
    println!("a leader before a hung server ended after {took:.1?}");
    ensure!(status.code() == Some(1), "it ended with {status}");
    standby.says("leading", Duration::from_secs(20)).await?;
    testbed.work_is_done("offer", 1, Duration::from_secs(30)).await.with_context(|| standby.tail())?;
    Ok(())
}

#[tokio::test]
async fn a_slow_server_costs_nobody_the_lease() -> Result<()> {
    let testbed = Testbed::new().await?;
    let relay = Relay::start(testbed.plane.address()).await?;
    let mut replica = Replica::start(&testbed.plane, SYSTEM, "one", relay.address())?;
    replica.says("leading", START).await?;
    relay.slow(Duration::from_millis(300));
    for price in 1..=3 {
        testbed.work_is_done("offer", price, START).await.with_context(|| replica.tail())?;
    }
    relay.cut();
    relay.heal();
    testbed.work_is_done("offer", 4, Duration::from_secs(30)).await.with_context(|| replica.tail())?;
    replica.says("leading", Duration::from_secs(5)).await?;
    replica.stops(Duration::from_secs(10)).await?;
    Ok(())
}
