//! Starts the controllers and stops them.
//!
//! What is due for a look, and why:
//!
//! | changes | due |
//! |---|---|
//! | a job that is not settled | the job; offers that sell the same GPUs, where it wants or holds others now; its own offer, where it is settled or something is to be claimed |
//! | a job's pod | the job |
//! | what a pod holds of a node, whether a job's pod has one | offers that sell from the node |
//! | a node's GPUs, its labels, whether it can be used | offers that see it |
//! | an offer | the offer; others that sell the same GPUs, where it sells others now |
//! | a namespace's labels, a `RuntimeClass`, what a network says of itself | all offers |
//! | what a job that can't be read may hold | all offers |
//! | an action that was asked for | its job or its offer |
//! | what was attested of a job | the job |
//!
//! Whatever else happens in the cluster concerns nobody here. An offer is looked at when it is due and then at most once a
//! [`GAP`], however often it is due.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, TryFutureExt, stream};
use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Controller;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span};

use super::cache::{Cache, Received, received};
use super::cluster_network::ClusterNetwork;
use super::compute_job::memory::{JobContext, JobMemory};
use super::depin_network::memory::{NetworkContext, NetworkMemory};
use super::events::Events;
use super::gpu_offer::around::Surroundings;
use super::gpu_offer::memory::{OfferContext, OfferMemory};
use super::gpu_offer::terms::ClusterId;
use super::listed::Lists;
use super::look::{Look, log_failure, look_at};
use super::networks::Networks;
use super::packed::Packed;
use super::unreadable::Unreadable;
use super::watch::{Watches, name_of};
use super::work::{Backoffs, Due, Lane, Name, paced};
use super::{Error, Shared, compute_job, depin_network, gpu_offer, unreadable};
use crate::attestation::Attestations;
use crate::config::Config;
use crate::fence::Fence;
use crate::health::Work;
use crate::inventory::Reservations;
use crate::inventory::SharedInventory;
use crate::kubernetes::{again, watching};
use crate::metrics::Metrics;
use crate::network::{ActionKey, On, OtherKinds};

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

/// Several jobs of many are looked at side by side, of each network so many.
const CONCURRENT_JOBS: usize = 64;
/// Of offers all that change at a time, in any cluster.
const CONCURRENT_OFFERS: usize = 256;
/// A burst of changes is one look at the offer and another one at its end.
const GAP: Duration = Duration::from_millis(500);

/// What a replica has at hand before it leads, so that it can lead at once.
pub struct Warm {
    client: Client,
    fence: Fence,
    work: Work,
    cancel: CancellationToken,
    watches: Watches,
    jobs: Cache<Packed>,
    offers: Cache<DeserializeGuard<GpuOffer>>,
    lists: Lists,
    around: Surroundings,
    kept: Kept,
}

/// What is kept of objects, and forgotten with them.
#[derive(Clone, Default)]
struct Kept {
    jobs: Arc<JobMemory>,
    offers: Arc<OfferMemory>,
    backoffs: Arc<Backoffs>,
    metrics: Metrics,
    /// None before it leads.
    attestations: Arc<OnceLock<Attestations>>,
}

impl Kept {
    fn forget_job(&self, job: &ComputeJob) {
        compute_job::forget(&self.jobs, &self.backoffs, self.attestations.get(), job);
    }

    fn forget_offer(&self, offer: &Name) {
        self.offers.forget_ids(offer);
        self.offers.forget(&offer.0, &offer.1);
        self.metrics.forget_offer(&offer.0, &offer.1);
        self.backoffs.forget(gpu_offer::KIND, offer.clone());
    }
}

impl std::fmt::Debug for Warm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warm").finish_non_exhaustive()
    }
}

impl Warm {
    /// Begins to watch, until `cancel`. Reads alone: nothing is written.
    pub fn start(client: Client, fence: Fence, work: Work, metrics: &Metrics, cancel: CancellationToken) -> Self {
        let watches = Watches {
            client: client.clone(),
            inventory: SharedInventory::default(),
            offers: Due::default(),
            jobs: Due::default(),
            metrics: metrics.clone(),
            cancel: cancel.clone(),
        };
        let kept = Kept { metrics: metrics.clone(), ..Kept::default() };
        let (of_jobs, of_offers) = (kept.clone(), kept.clone());
        let jobs = watches.jobs(move |job| of_jobs.forget_job(job));
        let offers = watches.offers(move |offer| of_offers.forget_offer(offer));
        let around = Surroundings::start(&client, metrics, &cancel);
        let market = [jobs.listed.clone(), offers.listed.clone()].into_iter().chain(around.lists()).collect();
        let lists = Lists { market, capacity: vec![watches.pods(), watches.nodes(), watches.slices()] };
        Self { client, fence, work, cancel, watches, jobs, offers, lists, around, kept }
    }

    /// Waits until everything was listed once; false where `cancel` came first.
    pub async fn listed(&self) -> bool {
        self.lists.all().await
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
    run_with(warm, config, attestation_ca, attestations, metrics, Arc::new(|_| None)).await
}

/// The same with kinds of network that this operator does not know by itself.
///
/// # Errors
/// See [`run`].
pub async fn run_with(
    warm: Warm,
    config: Config,
    attestation_ca: String,
    attestations: Attestations,
    metrics: Metrics,
    other_kinds: OtherKinds,
) -> Result<(), StartError> {
    let Warm { client, fence, work, cancel, watches, jobs: all_jobs, offers: all_offers, lists, around, kept } = warm;
    let cluster = cluster_id(&client).await?;
    let networks: Controller<DeserializeGuard<DepinNetwork>> = Controller::new(Api::all(client.clone()), watching());
    let (jobs, offers, other) = (all_jobs.store.clone(), all_offers.store.clone(), around.networks.store.clone());
    metrics.count_by(move || unreadable::counted(&jobs.state(), &offers.state(), &other.state()));
    // Nothing was attested before.
    _ = kept.attestations.set(attestations.clone());
    let shared = Arc::new(Shared {
        events: Events::new(client.clone(), &config.pod_name),
        networks: Networks::new(metrics.clone(), fence, cancel.clone()),
        jobs: all_jobs,
        offers: all_offers,
        lists,
        inventory: watches.inventory.clone(),
        offers_due: watches.offers.clone(),
        cluster_network: ClusterNetwork::new(client.clone()),
        backoffs: kept.backoffs,
        work,
        reservations: Reservations::default(),
        around,
        unreadable: Unreadable::default(),
        client,
        config,
        cluster,
        attestation_ca,
        attestations,
        metrics,
    });
    let of_jobs =
        JobContext { shared: Arc::clone(&shared), memory: Arc::clone(&kept.jobs), offers: Arc::clone(&kept.offers) };
    let of_offers = OfferContext { shared: Arc::clone(&shared), memory: Arc::clone(&kept.offers) };
    let of_networks = NetworkContext {
        shared: Arc::clone(&shared),
        memory: NetworkMemory::default(),
        jobs: kept.jobs,
        offers: kept.offers,
        other_kinds,
    };
    let (of_jobs, of_offers, of_networks) = (Arc::new(of_jobs), Arc::new(of_offers), Arc::new(of_networks));
    info!("controllers start");
    tokio::join!(
        run_jobs(&watches, &of_jobs),
        run_offers(&watches, &of_offers),
        run_networks(networks.trigger_backoff(again()), &of_networks, cancel.clone()),
        compute_job::sweep::run(&of_jobs, cancel.clone()),
    );
    shared.networks.stopped().await;
    info!("controllers stopped");
    Ok(())
}

async fn run_jobs(watches: &Watches, context: &Arc<JobContext>) {
    let shared = &context.shared;
    let (known, all) = (Arc::clone(&context.memory), shared.jobs.store.clone());
    let every = move || all.state().iter().map(|job| name_of(&**job)).collect();
    let attested = named(received(shared.attestations.changed()), every.clone(), |job| Some((job.namespace, job.name)));
    let actions = named(received(shared.networks.actions()), every, move |key| {
        let order = On { network: key.network, id: key.id.job()?.clone() };
        known.of_order(&order)
    });
    pass_on(attested, &watches.jobs, &watches.cancel);
    pass_on(actions, &watches.jobs, &watches.cancel);
    let due = watches.jobs.taken().take_until(watches.cancel.clone().cancelled_owned());
    let look = Look {
        kind: compute_job::KIND,
        span: compute_job::span,
        reconcile: compute_job::reconcile,
        failed: |job: Arc<Packed>, error: &Error, context: Arc<JobContext>| {
            context.shared.failed(compute_job::KIND, &*job, error)
        },
        lane: compute_job::lane,
        each: CONCURRENT_JOBS,
    };
    look_at(look, shared.jobs.clone(), due, Arc::clone(context)).await;
}

async fn run_offers(watches: &Watches, context: &Arc<OfferContext>) {
    let shared = &context.shared;
    let (known, all) = (Arc::clone(&context.memory), shared.offers.store.clone());
    let every = move || all.state().iter().map(|offer| name_of(&**offer)).collect();
    let actions = named(received(shared.networks.actions()), every, move |key| match key.id {
        ActionKey::Offer(id) => known.offer(&On { network: key.network, id }),
        _ => None,
    });
    let all = shared.offers.store.clone();
    let around = shared.around.changes().flat_map(move |()| {
        let every: Vec<Name> = all.state().iter().map(|offer| name_of(&**offer)).collect();
        stream::iter(every)
    });
    pass_on(actions, &watches.offers, &watches.cancel);
    pass_on(around, &watches.offers, &watches.cancel);
    let due = paced(watches.offers.taken(), GAP).take_until(watches.cancel.clone().cancelled_owned());
    let look = Look {
        kind: gpu_offer::KIND,
        span: gpu_offer::span,
        reconcile: gpu_offer::reconcile,
        failed: |offer: Arc<DeserializeGuard<GpuOffer>>, error: &Error, context: Arc<OfferContext>| {
            context.shared.failed(gpu_offer::KIND, &*offer, error)
        },
        lane: |_| Lane::default(),
        each: CONCURRENT_OFFERS,
    };
    look_at(look, shared.offers.clone(), due, Arc::clone(context)).await;
}

async fn run_networks(
    controller: Controller<DeserializeGuard<DepinNetwork>>,
    context: &Arc<NetworkContext>,
    cancel: CancellationToken,
) {
    let worked = Arc::clone(context);
    controller
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(
            move |network, context| {
                let (name, worked) = (name_of(&*network), Arc::clone(&worked));
                let span = info_span!("reconcile", kind = depin_network::KIND, network = name.1);
                let look = depin_network::reconcile(network, context).instrument(span);
                look.map_ok(Into::into).inspect(move |looked| {
                    if looked.is_ok() {
                        worked.shared.backoffs.forget(depin_network::KIND, name);
                    }
                })
            },
            |network, error, context| context.shared.failed(depin_network::KIND, &*network, error).into(),
            Arc::clone(context),
        )
        .for_each(|looked| async move { log_failure(depin_network::KIND, looked.err()) })
        .await;
}

/// Whom a piece of news concerns; everybody where some of it was missed.
fn named<T: Send + 'static>(
    news: impl Stream<Item = Received<T>> + Send + 'static,
    every: impl Fn() -> Vec<Name> + Send + 'static,
    whom: impl Fn(T) -> Option<Name> + Send + 'static,
) -> impl Stream<Item = Name> + Send + 'static {
    news.flat_map(move |heard| {
        stream::iter(match heard {
            Received::One(item) => whom(item).into_iter().collect(),
            Received::Missed => every(),
        })
    })
}

fn pass_on(news: impl Stream<Item = Name> + Send + 'static, due: &Due<Name>, cancel: &CancellationToken) {
    let (due, cancel) = (due.clone(), cancel.clone());
    tokio::spawn(async move {
        let mut news = std::pin::pin!(news.take_until(cancel.cancelled_owned()));
        while let Some(name) = news.next().await {
            due.add([name]);
        }
    });
}

async fn cluster_id(client: &Client) -> Result<ClusterId, StartError> {
    let system = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    system.uid().map(ClusterId).ok_or(StartError::NoUid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_missed_some_news_looks_at_everything() {
        let name = |text: &str| ("t".to_owned(), text.to_owned());
        let news = stream::iter([Received::One(Some("a")), Received::One(None), Received::Missed]);
        let every = move || vec![name("a"), name("b"), name("c")];
        let due: Vec<_> = named(news, every, move |who: Option<&str>| who.map(name)).collect().await;
        assert_eq!(due, ["a", "a", "b", "c"].map(name));
    }
}
