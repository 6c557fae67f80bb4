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
//! | an act on chain | its job or its offer |
//! | what was attested of a job | the job |
//!
//! Whatever else happens in the cluster concerns nobody here. An offer is looked at when it is due and then at most once a
//! [`GAP`], however often it is due.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, stream};
use hawser_crds::DepinNetwork;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Controller;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::cache::{Heard, received};
use super::compute_job::vacancy::Granted;
use super::context::Memory;
use super::events::Events;
use super::gpu_offer::terms::ClusterId;
use super::look::{Look, look_at, tell};
use super::networks::Networks;
use super::stock::SharedStock;
use super::watch::{Watches, name_of};
use super::work::{Backoffs, Due, Name, Slots, paced};
use super::{Context, compute_job, depin_network, gpu_offer};
use crate::attestation::Attestations;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::network::ActKey;

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
/// A burst of changes is one look at the offer and another one at its end.
const GAP: Duration = Duration::from_millis(500);

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
    let networks: Controller<DeserializeGuard<DepinNetwork>> =
        Controller::new(Api::all(client.clone()), watcher::Config::default());
    let watches = Watches {
        client: client.clone(),
        stock: SharedStock::default(),
        offers: Due::default(),
        jobs: Due::default(),
        metrics: metrics.clone(),
        cancel: cancel.clone(),
    };
    let (memory, backoffs) = (Arc::<Memory>::default(), Arc::<Backoffs>::default());
    let keep = Duration::from_secs(config.job_retention_seconds);
    let forgotten_job = {
        let (memory, backoffs, attestations) = (Arc::clone(&memory), Arc::clone(&backoffs), attestations.clone());
        move |job: &_| compute_job::forget(&memory, &backoffs, &attestations, job)
    };
    let forgotten_offer = {
        let (memory, backoffs) = (Arc::clone(&memory), Arc::clone(&backoffs));
        move |offer: &Name| {
            memory.forget_offer(offer);
            backoffs.forget(gpu_offer::KIND, offer.clone());
        }
    };
    let context = Arc::new(Context {
        events: Events::new(client.clone(), &config.pod_name),
        networks: Networks::new(metrics.clone(), cancel.clone()),
        jobs: watches.jobs(keep, forgotten_job),
        offers: watches.offers(forgotten_offer),
        pods: watches.pods(),
        nodes: watches.nodes(),
        stock: watches.stock.clone(),
        memory,
        backoffs,
        slots: Slots::new(CONCURRENT_JOBS),
        granted: Granted::default(),
        client,
        config,
        cluster,
        attestation_ca,
        attestations,
        metrics,
    });
    info!("controllers start");
    tokio::join!(
        run_jobs(&watches, &context),
        run_offers(&watches, &context),
        run_networks(networks, &context, cancel.clone()),
    );
    context.networks.stopped().await;
    info!("controllers stopped");
    Ok(())
}

async fn run_jobs(watches: &Watches, context: &Arc<Context>) {
    let (known, all) = (Arc::clone(context), context.jobs.store.clone());
    let every = move || all.state().iter().map(|job| name_of(&**job)).collect();
    let attested =
        named(received(context.attestations.changed()), every.clone(), |job| Some((job.namespace, job.name)));
    let acts = named(received(context.networks.acts()), every, move |key| {
        let job = key.job().and_then(|id| known.memory.job(id))?;
        Some((job.namespace.unwrap_or_default(), job.name))
    });
    pass_on(attested, &watches.jobs, &watches.cancel);
    pass_on(acts, &watches.jobs, &watches.cancel);
    let due = watches.jobs.taken().take_until(watches.cancel.clone().cancelled_owned());
    let look = Look { kind: compute_job::KIND, reconcile: compute_job::reconcile_in_turn, failed: compute_job::failed };
    look_at(look, context.jobs.store.clone(), due, Arc::clone(context)).await;
}

async fn run_offers(watches: &Watches, context: &Arc<Context>) {
    let (known, all) = (Arc::clone(context), context.offers.store.clone());
    let every = move || all.state().iter().map(|offer| name_of(&**offer)).collect();
    let acts = named(received(context.networks.acts()), every, move |key| match key {
        ActKey::Offer(id) => known.memory.offer(id).map(|offer| (offer.namespace.unwrap_or_default(), offer.name)),
        _ => None,
    });
    pass_on(acts, &watches.offers, &watches.cancel);
    let due = paced(watches.offers.taken(), GAP).take_until(watches.cancel.clone().cancelled_owned());
    let look = Look { kind: gpu_offer::KIND, reconcile: gpu_offer::reconcile, failed: gpu_offer::failed };
    look_at(look, context.offers.store.clone(), due, Arc::clone(context)).await;
}

async fn run_networks(
    controller: Controller<DeserializeGuard<DepinNetwork>>,
    context: &Arc<Context>,
    cancel: CancellationToken,
) {
    let worked = Arc::clone(context);
    controller
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(
            move |network, context| {
                let (name, worked) = (name_of(&*network), Arc::clone(&worked));
                let look = depin_network::reconcile(network, context);
                look.inspect(move |looked| {
                    if looked.is_ok() {
                        worked.backoffs.forget(depin_network::KIND, name);
                    }
                })
            },
            depin_network::failed,
            Arc::clone(context),
        )
        .for_each(|looked| std::future::ready(tell(depin_network::KIND, looked.err())))
        .await;
}

/// Whom a piece of news concerns; everybody where some of it was missed.
fn named<T: Send + 'static>(
    news: impl Stream<Item = Heard<T>> + Send + 'static,
    every: impl Fn() -> Vec<Name> + Send + 'static,
    whom: impl Fn(T) -> Option<Name> + Send + 'static,
) -> impl Stream<Item = Name> + Send + 'static {
    news.flat_map(move |heard| {
        stream::iter(match heard {
            Heard::One(item) => whom(item).into_iter().collect(),
            Heard::Missed => every(),
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
        let news = stream::iter([Heard::One(Some("a")), Heard::One(None), Heard::Missed]);
        let every = move || vec![name("a"), name("b"), name("c")];
        let due: Vec<_> = named(news, every, move |who: Option<&str>| who.map(name)).collect().await;
        assert_eq!(due, ["a", "a", "b", "c"].map(name));
    }
}
