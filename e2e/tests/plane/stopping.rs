use std::time::Duration;

use anyhow::Result;
use hawser_e2e::doubles::relay::Relay;

use crate::replica::Replica;
use crate::testbed::{START, Testbed};

/// Less than the grace of its pod.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_replica_that_is_asked_to_stop_does_so_in_every_state() -> Result<()> {
    let testbed = Testbed::new().await?;
    for namespace in ["unborn", "standing", "leading", "hung"] {
        testbed.namespace(namespace).await?;
    }
    let [away, pair, hung] = [start(&testbed).await?, start(&testbed).await?, start(&testbed).await?];
    let server = testbed.plane.address();

    away.hang();
    let mut unborn = Replica::start(&testbed.plane, "unborn", "unborn", away.address())?;
    let mut leader = Replica::start(&testbed.plane, "leading", "leader", server)?;
    let mut first = Replica::start(&testbed.plane, "standing", "first", server)?;
    let mut hung_leader = Replica::start(&testbed.plane, "hung", "hung-leader", hung.address())?;
    leader.says("leading", START).await?;
    first.says("leading", START).await?;
    hung_leader.says("leading", START).await?;
    let mut standby = Replica::start(&testbed.plane, "standing", "standby", server)?;
    let mut cut_off = Replica::start(&testbed.plane, "standing", "cut-off", pair.address())?;
    standby.says("standing by", START).await?;
    cut_off.says("standing by", START).await?;
    unborn.not_ready("the API server has not answered yet", START).await?;

    println!("before the API server has answered: stopped after {:.1?}", unborn.stops(GRACE).await?);
    println!("standing by: stopped after {:.1?}", standby.stops(GRACE).await?);
    println!("leading: stopped after {:.1?}", leader.stops(GRACE).await?);
    pair.hang();
    // Its next look is on its way and is not answered.
    cut_off.not_ready("the API server has not answered", START).await?;
    println!("standing by before a hung server: stopped after {:.1?}", cut_off.stops(GRACE).await?);
    hung.hang();
    println!("leading before a hung server: stopped after {:.1?}", hung_leader.stops(GRACE).await?);
    first.stops(GRACE).await?;
    Ok(())
}

async fn start(testbed: &Testbed) -> Result<Relay> {
    Relay::start(testbed.plane.address()).await
}
