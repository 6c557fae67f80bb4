//! What chains, endpoints and wallets do to an operator on a bad day. Afterwards every token unit is where it belongs, no
//! order is lost and none is run twice; and while it lasts the status says what is wrong.

mod endpoints;
mod reorgs;
mod wallet;

use anyhow::{Result, ensure};
use hawser_crds::{ComputeJob, GpuOfferSpec, Phase};
use hawser_e2e::balances::Balances;
use hawser_e2e::doubles::endpoint::Endpoint;
use hawser_e2e::network;
use hawser_e2e::order::Order;
use hawser_local::network::HOST;

use crate::testbed::Testbed;

/// A testbed whose operator reaches the chain only through an endpoint that can have troubles; the customers don't.
pub(crate) async fn behind_an_endpoint(
    name: &str,
    gpus: u32,
    test: impl AsyncFnOnce(&Testbed, &mut Endpoint) -> Result<()>,
) -> Result<()> {
    // A program may have to wait for an operator that died or cannot see the chain.
    let patient = |spec: &mut GpuOfferSpec| spec.pull.timeout_seconds = 180;
    Testbed::offering(name, gpus, patient, async |testbed| {
        let mut endpoint = Endpoint::start(HOST.into(), &testbed.fixture.chain.rpc_url).await?;
        network::reach_through(&testbed.client, testbed.fixture.network(), &endpoint.url()).await?;
        test(testbed, &mut endpoint).await?;
        // The endpoint ends here, and the testbed is settled after it.
        testbed.fixture.restore(&testbed.client).await
    })
    .await
}

/// Every order's program succeeded, ran once, and was paid to the last unit.
pub(crate) async fn all_succeed(testbed: &Testbed, before: &Balances, orders: &[&Order]) -> Result<()> {
    for order in orders {
        let status = order.over(&testbed.client).await?.status.unwrap_or_default();
        ensure!(status.phase == Phase::Succeeded, "{}: {status:?}", order.name());
        let pods = order.pods(&testbed.client).await?.len();
        ensure!(pods <= 1, "{pods} pods of {}", order.name());
        let claims = testbed.fixture.chain.claims(order.id).await?;
        ensure!(claims == 1, "the use of {} was claimed {claims} times", order.name());
    }
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let total = testbed.fixture.chain.assert_all_settled(before, &ids).await?;
    ensure!(total.gpu_seconds > 0, "nothing was paid for: {total:?}");
    Ok(())
}

/// The program has ended, and its use is not claimed yet.
fn has_ended(job: &ComputeJob) -> bool {
    job.status.as_ref().is_some_and(|status| status.container_finished_at.is_some())
}
