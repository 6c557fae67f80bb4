//! A busy cluster: what is asked of the operator reaches the chain, whatever else changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJob, GpuOffer};
use hawser_e2e::balances::is;
use hawser_e2e::cluster::jobs;
use hawser_e2e::customer::Customer;
use hawser_e2e::wait;
use hawser_market::{JobStatus, OfferId};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::testbed::{OFFER, Placed, Testbed, sleep};

/// Of each of three kinds: fifty a second in all.
const PACE: Duration = Duration::from_millis(60);
/// On a machine on which many tests run. An offer is looked at once a minute in any case: what comes sooner came because it was
/// asked for.
const ASKED: Duration = Duration::from_secs(40);

#[tokio::test]
async fn what_is_asked_for_reaches_the_chain_while_pods_nodes_and_jobs_change_fifty_times_a_second() -> Result<()> {
    Testbed::with_gpus("busy", 2, async |testbed| {
        let (first, second) = (running(testbed).await?, running(testbed).await?);
        let noise = Noise::start(testbed).await?;

        change(testbed, json!({"price": {"perGpuHour": "3.6"}})).await?;
        let dearer = testbed.fixture.chain.units("3.6").await?;
        reaches("a price", ASKED, async || Ok(U256::from(offered(testbed).await?.price) == dearer)).await?;

        Customer::first(&testbed.fixture).hawser(&["end", &first.order.id.to_string()]).await?;
        reaches("a customer's end", wait::SOON, async || has_ended(testbed, &first).await).await?;

        jobs(&testbed.client, &testbed.namespace).delete(&second.order.name(), &DeleteParams::default()).await?;
        reaches("a deletion", wait::SOON, async || has_ended(testbed, &second).await).await?;

        reaches("what is free again", wait::SOON, async || Ok(offered(testbed).await?.available == 2)).await?;
        change(testbed, json!({"suspend": true})).await?;
        reaches("a suspension", ASKED, async || Ok(offered(testbed).await?.available == 0)).await?;
        noise.stop()
    })
    .await
}

async fn running(testbed: &Testbed) -> Result<Placed> {
    let placed = testbed.order(&testbed.job_spec(1, 600, &sleep(580))).await?;
    placed.order.running(&testbed.client).await?;
    placed.order.attested(&testbed.client).await?;
    Ok(placed)
}

async fn change(testbed: &Testbed, spec: Value) -> Result<()> {
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    offers.patch(OFFER, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await?;
    Ok(())
}

async fn offered(testbed: &Testbed) -> Result<hawser_contracts::ComputeMarket::Offer> {
    let chain = &testbed.fixture.chain;
    let market = chain.market_as(&chain.actors.owner)?;
    Ok(market.offer(testbed.offer.parse::<OfferId>()?.0).call().await?)
}

/// Its pod is over and what it used was claimed: nothing of its deposit is held any more.
async fn has_ended(testbed: &Testbed, placed: &Placed) -> Result<bool> {
    Ok(is(&testbed.fixture.chain.job(placed.order.id).await?, JobStatus::Closed))
}

/// Waits until something is so on chain, and says how long it took.
async fn reaches(what: &str, within: Duration, so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    wait::until(&format!("{what} reaches the chain"), within, async || {
        Ok(if so().await? { Ok(()) } else { Err("it did not") })
    })
    .await?;
    println!("among fifty changes a second {what} reached the chain within {:.1?}", began.elapsed());
    Ok(())
}

/// Changes of objects that concern nothing that is looked at, until it is dropped.
struct Noise {
    tasks: JoinSet<Result<()>>,
    made: Arc<AtomicU32>,
    began: Instant,
}

impl Noise {
    async fn start(testbed: &Testbed) -> Result<Self> {
        let (pods, jobs) = (
            Api::<Pod>::namespaced(testbed.client.clone(), &testbed.namespace),
            jobs(&testbed.client, &testbed.namespace),
        );
        let nodes: Api<Node> = Api::all(testbed.client.clone());
        pods.create(&PostParams::default(), &waiting()?).await?;
        jobs.create(&PostParams::default(), &of_no_offer()?).await?;
        let node =
            nodes.list(&ListParams::default()).await?.items.first().map(ResourceExt::name_any).context("no node")?;
        let mut noise = Self { tasks: JoinSet::new(), made: Arc::default(), began: Instant::now() };
        noise.change(pods, CHATTY.to_owned());
        noise.change(jobs, CHATTY.to_owned());
        noise.change(nodes, node);
        Ok(noise)
    }

    fn change<K>(&mut self, api: Api<K>, name: String)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    {
        let made = Arc::clone(&self.made);
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(PACE);
            for count in 0_u64.. {
                ticks.tick().await;
                let change = json!({"metadata": {"annotations": {"hawser.dev/e2e-count": count.to_string()}}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await?;
                made.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }

    /// It was there to the end.
    fn stop(mut self) -> Result<()> {
        ensure!(self.tasks.try_join_next().is_none(), "changes ended early: what came after was not tested");
        let made = self.made.load(Ordering::Relaxed);
        println!("there were {:.0} changes a second", f64::from(made) / self.began.elapsed().as_secs_f64());
        ensure!(made > 200, "there were only {made} changes");
        Ok(())
    }
}

/// Name of what changes.
const CHATTY: &str = "chatty";

/// A pod that no node takes.
fn waiting() -> Result<Pod> {
    let restricted = json!({"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}});
    let container = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": CHATTY},
        "spec": {"nodeSelector": {"hawser.dev/e2e": "nowhere"}, "securityContext": restricted,
            "containers": [{"name": "none", "image": "none", "securityContext": container}]},
    }))?)
}

fn of_no_offer() -> Result<ComputeJob> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": CHATTY},
        "spec": {"offerRef": "none", "workload": {"image": "none", "gpus": 1}},
    }))?)
}
