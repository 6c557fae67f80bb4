//! A cluster in which something changes all the time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

/// Fifty a second.
const PACE: Duration = Duration::from_millis(20);
/// A look comes within a second; this is for a loaded machine.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_offer_is_looked_at_while_pods_of_nobodys_change_fifty_times_a_second() -> Result<()> {
    let testbed = Testbed::new().await?;
    let mut replica = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    replica.says("leading", START).await?;
    testbed.work_is_done("offer", 1, START).await.with_context(|| replica.tail())?;

    testbed.pod("chatty").await?;
    let pods = testbed.pods();
    let chatter = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(PACE);
        for count in 0_u64.. {
            ticks.tick().await;
            let change = json!({"metadata": {"annotations": {"count": count.to_string()}}});
            if pods.patch("chatty", &PatchParams::default(), &Patch::Merge(&change)).await.is_err() {
                return;
            }
        }
    });
    for price in 2..=4 {
        let took = testbed.work_is_done("offer", price, SOON).await.with_context(|| replica.tail())?;
        println!("among fifty changes a second a change of the price was seen within {took:.1?}");
    }
    ensure!(!chatter.is_finished(), "the changes ended early: nothing was tested");
    chatter.abort();
    replica.stops(Duration::from_secs(10)).await?;
    Ok(())
}
