//! What looks at offers cost the API server, and what they take over from an earlier process.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::{GpuOffer, Spending};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

const LOOKS: &str = "hawser_reconciles_total{kind=\"GpuOffer\"}";

#[tokio::test]
async fn a_look_at_an_offer_reads_nothing_of_the_api_server() -> Result<()> {
    let testbed = Testbed::new().await?;
    testbed.pod("one").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    let offers = ["a", "b", "c", "d"];
    for offer in offers {
        testbed.work_is_done(offer, 1, START).await.with_context(|| one.tail())?;
    }
    let (before, since) = (looks(&one).await?, Timestamp::now());
    for price in 2..=11 {
        for offer in offers {
            testbed.work_is_done(offer, price, START).await.with_context(|| one.tail())?;
        }
    }
    let looks = looks(&one).await? - before;
    ensure!(looks >= 40, "each change of a price is a look: {looks}");
    let mut asked = BTreeMap::<(String, String), u64>::new();
    for request in testbed.plane.requests()?.into_iter().filter(|request| request.user == "one") {
        if request.at.parse::<Timestamp>().is_ok_and(|at| at >= since) {
            *asked.entry((request.verb, request.resource)).or_default() += 1;
        }
    }
    let written: u64 = asked.iter().filter(|((verb, _), _)| verb == "patch").map(|(_, count)| count).sum();
    ensure!(written >= 40, "the log does not show what the looks have written: {asked:?}");
    for resource in ["namespaces", "runtimeclasses", "depinnetworks", "nodes", "pods", "gpuoffers"] {
        let read = asked.get(&("get".to_owned(), resource.to_owned())).copied().unwrap_or_default();
        // Now and then something else asks for one.
        ensure!(read < looks / 10, "{looks} looks read {resource} {read} times: {asked:?}");
    }
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

async fn looks(replica: &Replica) -> Result<u64> {
    Ok(replica.metric(LOOKS).await?.parse()?)
}

#[tokio::test]
async fn what_an_earlier_process_has_spent_for_an_offer_stays_in_its_status() -> Result<()> {
    let testbed = Testbed::new().await?;
    testbed.pod("one").await?;
    testbed.price("offer", 1).await?;
    // As the operator has written it, in its own name: half of the updates and of the declines are gone.
    let back = |hours| Timestamp::from_second((Timestamp::now() + SignedDuration::from_hours(hours)).as_second());
    let spent = Spending { updates_full_at: Some(Time(back(8)?)), declines_full_at: Some(Time(back(4)?)) };
    let body = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "offer"},
        "status": {"spending": spent},
    });
    let as_the_operator = PatchParams::apply("hawser").force();
    testbed.offers().patch_status("offer", &as_the_operator, &Patch::Apply(&body)).await?;
    for price in [2, 3] {
        let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
        one.says("leading", START).await?;
        testbed.work_is_done("offer", price, START).await.with_context(|| one.tail())?;
        let offer: GpuOffer = testbed.offers().get("offer").await?;
        let kept = offer.status.and_then(|status| status.spending);
        ensure!(kept.as_ref() == Some(&spent), "{kept:?} is not {spent:?}");
        one.stops(Duration::from_secs(10)).await?;
    }
    Ok(())
}
