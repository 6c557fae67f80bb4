//! Starts the controllers and stops them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Config as Pace, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::cache::{Cache, prune_node, prune_pod, received};
use super::compute_job::vacancy::Granted;
use super::context::Memory;
use super::events::Events;
use super::gpu_offer::around::Surroundings;
use super::gpu_offer::memory::Offers;
use super::gpu_offer::terms::ClusterId;
use super::networks::Networks;
use super::unreadable::Unreadable;
use super::{Context, compute_job, depin_network, gpu_offer};
use crate::attestation::Attestations;
use crate::config::Config;
use crate::metrics::Metrics;

/// Why the controllers can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cluster's identity can't be read.
    #[error("namespace kube-system can't be read (its uid is part of every offer's id): {0}")]
    Cluster(#[from] kube::Error),
    /// The cluster has no identity.
    #[error("namespace kube-system has no uid")]
    NoUid,
}

/// Several jobs of many are looked at side by side.
const CONCURRENT_JOBS: u16 = 64;

/// Runs the three controllers until `cancel`, then stops the networks: returns when the last transaction is sent.
///
/// # Errors
/// Where the cluster can't be read at the start.
pub async fn run(
    client: Client,
    config: Config,
    attestation_ca: String,
    attestations: Attestations,
    metrics: Metrics,
    cancel: CancellationToken,
) -> Result<(), StartError> {
    let cluster = cluster_id(&client).await?;
    let jobs: Controller<DeserializeGuard<ComputeJob>> =
        Controller::new(Api::all(client.clone()), watcher::Config::default());
    let offers: Controller<DeserializeGuard<GpuOffer>> =
        Controller::new(Api::all(client.clone()), watcher::Config::default());
    let networks: Controller<DeserializeGuard<DepinNetwork>> =
        Controller::new(Api::all(client.clone()), watcher::Config::default());
    let pods = Cache::start(client.clone(), prune_pod, cancel.clone());
    let nodes = Cache::start(client.clone(), prune_node, cancel.clone());
    let context = Arc::new(Context {
        events: Events::new(client.clone(), &config.pod_name),
        networks: Networks::new(metrics.clone(), cancel.clone()),
        jobs: Cache::start(client.clone(), |_| (), cancel.clone()),
        offers: Cache::start(client.clone(), |_| (), cancel.clone()),
        memory: Memory::default(),
        granted: Granted::default(),
        around: Surroundings::start(&client, &cancel),
        memory_of_offers: Offers::default(),
        unreadable: Unreadable::default(),
        client,
        config,
        cluster,
        attestation_ca,
        attestations,
        metrics,
        pods,
        nodes,
    });
    info!("controllers start");
    tokio::join!(
        run_jobs(jobs, &context, stop(&cancel)),
        run_offers(offers, &context, stop(&cancel)),
        run_networks(networks, &context, stop(&cancel)),
    );
    context.networks.stopped().await;
    info!("controllers stopped");
    Ok(())
}

async fn run_jobs(
    controller: Controller<DeserializeGuard<ComputeJob>>,
    context: &Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // A job's pod has the job's name.
    let pods = context.pods.changes().map(|pod| ObjectRef::new(&pod.name).within(&pod.namespace.unwrap_or_default()));
    let attested = received(context.attestations.changed()).map(|job| ObjectRef::new(&job.name).within(&job.namespace));
    let known = Arc::clone(context);
    let acts = received(context.networks.acts()).filter_map(move |key| {
        let job = key.job().and_then(|id| known.memory.job(id));
        std::future::ready(job)
    });
    controller
        .with_config(Pace::default().concurrency(CONCURRENT_JOBS))
        .reconcile_on(pods)
        .reconcile_on(attested)
        .reconcile_on(acts)
        .graceful_shutdown_on(stop)
        .run(compute_job::reconcile, compute_job::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn run_offers(
    controller: Controller<DeserializeGuard<GpuOffer>>,
    context: &Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let pods = context.pods.changes().map(|_| ());
    let nodes = context.nodes.changes().map(|_| ());
    let known = Arc::clone(context);
    let acts = received(context.networks.acts()).filter_map(move |key| {
        let offer = match key {
            crate::network::ActKey::Offer(id) => known.memory.offer(id),
            _ => None,
        };
        std::future::ready(offer)
    });
    // A job belongs to its offer: what it holds, and whether it still needs the offer.
    let jobs = context.jobs.changes().map(|_| ());
    let around = context.around.changes();
    controller
        // A burst of pods is one look at the offer.
        .with_config(Pace::default().debounce(Duration::from_millis(300)))
        .reconcile_all_on(pods)
        .reconcile_all_on(nodes)
        .reconcile_all_on(jobs)
        .reconcile_all_on(around)
        .reconcile_on(acts)
        .graceful_shutdown_on(stop)
        .run(gpu_offer::reconcile, gpu_offer::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn run_networks(
    controller: Controller<DeserializeGuard<DepinNetwork>>,
    context: &Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    controller
        .graceful_shutdown_on(stop)
        .run(depin_network::reconcile, depin_network::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

fn stop(cancel: &CancellationToken) -> impl Future<Output = ()> + Send + Sync + 'static {
    cancel.clone().cancelled_owned()
}

async fn cluster_id(client: &Client) -> Result<ClusterId, StartError> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    system.uid().map(ClusterId).ok_or(StartError::NoUid)
}
