//! A provider's cluster on the way from the release before to this one, with programs of strangers running.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hawser_crds::{GpuOffer, GpuOfferStatus, condition};
use hawser_e2e::before::Before;
use hawser_e2e::cluster::{JOBS, client, jobs};
use hawser_e2e::customer::Customer;
use hawser_e2e::installation::Installation;
use hawser_e2e::order::Order;
use hawser_e2e::{conditions, wait};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::lifecycle::{all_of_its_use_is_claimed, counts_on};
use crate::node::Node;
use crate::testbed::{OFFER, Placed, Testbed, installation, sleep};

/// The steps are those of `docs/upgrade.md`.
#[tokio::test]
#[ignore = "deep: it compiles an earlier commit, and installs that in the place of this one"]
async fn an_upgrade_from_the_release_before_and_a_rollback_lose_nothing_of_what_runs() -> Result<()> {
    let this = installation().await?;
    let before = Before::prepare(&this.environment).await?;
    let client = client().await?;
    let then = this.before(&before);
    let upgraded = async {
        Installation::erase(&client).await?;
        then.install_again(&client).await?;
        let market = before.market()?;
        let play = async |testbed: &Testbed| upgrade(testbed, &then, this).await;
        Testbed::on(async || Node::before(market).await, "upgraded", 3, |_| (), play).await
    };
    let upgraded = Box::pin(upgraded).await;
    // For the tests that follow.
    let again = this.install_again(&client).await;
    upgraded.and(again)
}

async fn upgrade(testbed: &Testbed, then: &Installation, this: &Installation) -> Result<()> {
    let balances = testbed.fixture.chain.balances().await?;

    let settled = testbed.order(&testbed.job_spec(1, 60, &sleep(3))).await?.order;
    all_of_its_use_is_claimed(testbed, &settled).await?;
    let (old, ran) = long(testbed, then).await?;
    // It ends while one operator goes and the other comes.
    let short = testbed.order(&testbed.job_spec(1, 120, &sleep(15))).await?.order;
    short.running(&testbed.client).await?;
    let offered = offer(testbed).await?;

    this.upgrade(&testbed.client).await?;
    runs_on(testbed, &old, &ran).await.context("after the upgrade")?;
    all_of_its_use_is_claimed(testbed, &short).await.context("it ended during the upgrade")?;
    stays(testbed, &offered).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    let bound = bindings.list(&ListParams::default()).await?.items;
    ensure!(bound.iter().any(|b| b.role_ref.name == JOBS), "the operator lost its rights in {}", testbed.namespace);
    let (new, runs) = long(testbed, this).await.context("it was ordered after the upgrade")?;

    // Back again, and forth.
    then.roll_back(&testbed.client).await?;
    for (placed, as_before) in [(&old, &ran), (&new, &runs)] {
        runs_on(testbed, placed, as_before).await.context("after the rollback")?;
    }
    this.upgrade(&testbed.client).await?;
    for (placed, as_before) in [(&old, &ran), (&new, &runs)] {
        runs_on(testbed, placed, as_before).await.context("after the second upgrade")?;
        Customer::first(&testbed.fixture).hawser(&["end", &placed.order.id.to_string()]).await?;
        all_of_its_use_is_claimed(testbed, &placed.order).await.context("it ran through all of it")?;
    }
    stays(testbed, &offered).await?;

    let orders = [&settled, &old.order, &short, &new.order];
    let total = testbed.fixture.chain.assert_all_settled(&balances, &orders.map(|order| order.id)).await?;
    println!("{total:?}");
    for order in orders {
        let starts = testbed.fixture.chain.starts(order.id).await?;
        ensure!(starts == 1, "{} was started {starts} times", order.name());
    }
    let all = jobs(&testbed.client, &testbed.namespace).list(&ListParams::default()).await?.items;
    ensure!(all.len() == orders.len(), "{} ComputeJobs of {} orders", all.len(), orders.len());
    Ok(())
}

/// An order that runs for longer than the test, with the meter of this installation.
async fn long(testbed: &Testbed, installation: &Installation) -> Result<(Placed, Running)> {
    let placed = testbed.order(&testbed.job_spec(1, 1800, &sleep(1800))).await?;
    placed.order.running(&testbed.client).await?;
    placed.order.attested(&testbed.client).await?;
    let runs = running(testbed, &placed.order).await?;
    let meter = installation.environment.sidecar_image.as_str();
    ensure!(runs.containers.values().any(|(image, _)| image == meter), "no container runs {meter}: {runs:?}");
    Ok((placed, runs))
}

/// What runs is the same, and is counted.
async fn runs_on(testbed: &Testbed, placed: &Placed, ran: &Running) -> Result<()> {
    counts_on(testbed, placed).await?;
    let runs = running(testbed, &placed.order).await?;
    ensure!(runs == *ran, "{} ran as {ran:?}, and runs as {runs:?}", placed.order.name());
    Ok(())
}

/// What would be another one after a restart.
#[derive(Debug, PartialEq)]
struct Running {
    pod: String,
    /// Image and restarts, by the container's name.
    containers: BTreeMap<String, (String, i32)>,
}

async fn running(testbed: &Testbed, order: &Order) -> Result<Running> {
    let pods = order.pods(&testbed.client).await?;
    let [pod] = pods.as_slice() else { anyhow::bail!("{} pods of {}", pods.len(), order.name()) };
    ensure!(pod.metadata.deletion_timestamp.is_none(), "the pod of {} is being deleted", order.name());
    let spec = pod.spec.as_ref().context("a pod without a spec")?;
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let images: BTreeMap<_, _> =
        all.map(|container| (container.name.clone(), container.image.clone().unwrap_or_default())).collect();
    let status = pod.status.as_ref().context("a pod without a status")?;
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let containers = statuses.map(|status| {
        let image = images.get(&status.name).cloned().unwrap_or_default();
        (status.name.clone(), (image, status.restart_count))
    });
    Ok(Running { pod: pod.uid().context("a pod without a uid")?, containers: containers.collect() })
}

async fn offer(testbed: &Testbed) -> Result<GpuOfferStatus> {
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    Ok(offers.get(OFFER).await?.status.unwrap_or_default())
}

/// The offer on the market is the same one, and sells again.
async fn stays(testbed: &Testbed, offered: &GpuOfferStatus) -> Result<()> {
    wait::until("the offer is Ready under its old id", wait::SOON, async || {
        let now = offer(testbed).await?;
        let ready = conditions::is_true(&now.conditions, condition::READY);
        let same = now.on_chain.as_ref().map(|on| &on.offer_id) == offered.on_chain.as_ref().map(|on| &on.offer_id);
        Ok(if ready && same {
            Ok(())
        } else {
            Err(format!("{:?} {}", now.on_chain, conditions::text(&now.conditions)))
        })
    })
    .await
}
