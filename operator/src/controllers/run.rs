//! Starts the controllers and stops them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::select_all;
use futures::{FutureExt, Stream, StreamExt};
use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Config as Pace, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::cache::{CHANGES, Cache, prune_node, prune_pod, received};
use super::cluster_network::ClusterNetwork;
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
use crate::fence::Fence;
use crate::health::Work;
use crate::kubernetes::{again, watching};
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

/// Least time between two looks at all offers.
const LOOKS: Duration = Duration::from_millis(500);

/// Several jobs of many are looked at side by side.
const CONCURRENT_JOBS: u16 = 64;

/// What a replica has at hand before it leads, so that it can lead at once.
pub struct Warm {
    client: Client,
    fence: Fence,
    work: Work,
    cancel: CancellationToken,
    jobs: Cache<DeserializeGuard<ComputeJob>>,
    offers: Cache<DeserializeGuard<GpuOffer>>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
}

impl std::fmt::Debug for Warm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warm").finish_non_exhaustive()
    }
}

impl Warm {
    /// Begins to watch, until `cancel`. Reads alone: nothing is written.
    pub fn start(client: Client, fence: Fence, work: Work, cancel: CancellationToken) -> Self {
        Self {
            jobs: Cache::start(client.clone(), |_| (), cancel.clone()),
            offers: Cache::start(client.clone(), |_| (), cancel.clone()),
            pods: Cache::start(client.clone(), prune_pod, cancel.clone()),
            nodes: Cache::start(client.clone(), prune_node, cancel.clone()),
            client,
            fence,
            work,
            cancel,
        }
    }

    /// Waits until everything was listed once; false where `cancel` came first.
    pub async fn listed(&self) -> bool {
        self.jobs.listed().await && self.offers.listed().await && self.pods.listed().await && self.nodes.listed().await
    }
}

/// Runs the three controllers until the token given to [`Warm::start`] is cancelled, then stops the networks: returns when
/// the last transaction is sent.
///
/// # Errors
/// Where the cluster can't be read at the start.
pub async fn run(
    warm: Warm,
    config: Config,
    attestation_ca: String,
    attestations: Attestations,
    metrics: Metrics,
) -> Result<(), StartError> {
    let Warm { client, fence, work, cancel, jobs: all_jobs, offers: all_offers, pods, nodes } = warm;
    let cluster = cluster_id(&client).await?;
    let jobs: Controller<DeserializeGuard<ComputeJob>> = Controller::new(Api::all(client.clone()), watching());
    let offers: Controller<DeserializeGuard<GpuOffer>> = Controller::new(Api::all(client.clone()), watching());
    let networks: Controller<DeserializeGuard<DepinNetwork>> = Controller::new(Api::all(client.clone()), watching());
    let context = Arc::new(Context {
        events: Events::new(client.clone(), &config.pod_name),
        networks: Networks::new(metrics.clone(), fence, cancel.clone()),
        jobs: all_jobs,
        offers: all_offers,
        cluster_network: ClusterNetwork::new(client.clone()),
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
        run_jobs(jobs.trigger_backoff(again()), &context, &work, stop(&cancel)),
        run_offers(offers.trigger_backoff(again()), &context, &work, stop(&cancel)),
        run_networks(networks.trigger_backoff(again()), &context, &work, stop(&cancel)),
        compute_job::sweep::run(&context, cancel.clone()),
    );
    context.networks.stopped().await;
    info!("controllers stopped");
    Ok(())
}

async fn run_jobs(
    controller: Controller<DeserializeGuard<ComputeJob>>,
    context: &Arc<Context>,
    work: &Work,
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
        .run(noted(work, "ComputeJob", compute_job::reconcile), compute_job::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn run_offers(
    controller: Controller<DeserializeGuard<GpuOffer>>,
    context: &Arc<Context>,
    work: &Work,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let known = Arc::clone(context);
    let acts = received(context.networks.acts()).filter_map(move |key| {
        let offer = match key {
            crate::network::ActKey::Offer(id) => known.memory.offer(id),
            _ => None,
        };
        std::future::ready(offer)
    });
    // What GPUs there are and who holds them; a job belongs to its offer: what it holds, and whether it still needs it.
    let counted = select_all([context.pods.news().boxed(), context.nodes.news().boxed(), context.jobs.news().boxed()]);
    controller
        .reconcile_all_on(paced(counted, LOOKS))
        .reconcile_all_on(paced(context.around.changes(), LOOKS))
        .reconcile_on(acts)
        .graceful_shutdown_on(stop)
        .run(noted(work, "GpuOffer", gpu_offer::reconcile), gpu_offer::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// At once where there was no news for a while, and once in each `gap` for as long as there is some: a burst is two looks,
/// and no stream of news, however dense, puts a look off.
fn paced(news: impl Stream<Item = ()> + Send + 'static, gap: Duration) -> impl Stream<Item = ()> + Send + 'static {
    tokio_stream::StreamExt::throttle(news.ready_chunks(CHANGES), gap).map(drop)
}

async fn run_networks(
    controller: Controller<DeserializeGuard<DepinNetwork>>,
    context: &Arc<Context>,
    work: &Work,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    controller
        .graceful_shutdown_on(stop)
        .run(noted(work, "DepinNetwork", depin_network::reconcile), depin_network::failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A reconcile that is written down while it runs.
fn noted<K, F>(
    work: &Work,
    kind: &'static str,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
) -> impl FnMut(Arc<K>, Arc<Context>) -> BoxFuture<'static, F::Output>
where
    F: Future + Send + 'static,
{
    let work = work.clone();
    move |object, context| {
        let busy = work.begin(kind);
        reconcile(object, context).inspect(move |_| drop(busy)).boxed()
    }
}

fn stop(cancel: &CancellationToken) -> impl Future<Output = ()> + Send + Sync + 'static {
    cancel.clone().cancelled_owned()
}

async fn cluster_id(client: &Client) -> Result<ClusterId, StartError> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    system.uid().map(ClusterId).ok_or(StartError::NoUid)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn news_without_an_end_or_a_pause_puts_no_look_off() {
        let looks: Vec<()> = paced(stream::repeat(()), Duration::from_millis(1)).take(5).collect().await;
        assert_eq!(looks.len(), 5);
    }

    #[tokio::test]
    async fn a_burst_is_one_look_at_once_and_the_last_of_it_is_not_lost() {
        let gap = Duration::from_millis(1);
        assert_eq!(paced(stream::iter(vec![(); 100]), gap).collect::<Vec<_>>().await.len(), 1);
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        let mut looks = Box::pin(paced(tokio_stream::wrappers::UnboundedReceiverStream::new(told), gap));
        tell.send(()).unwrap();
        assert_eq!(looks.next().await, Some(()));
        tell.send(()).unwrap();
        tell.send(()).unwrap();
        assert_eq!(looks.next().await, Some(()), "what came within the gap");
        drop(tell);
        assert_eq!(looks.next().await, None);
    }
}
