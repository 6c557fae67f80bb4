//! Where the watcher's orders go: each becomes a `ComputeJob` beside its offer, once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hawser_contracts::OfferId;
use hawser_crds::{ComputeJob, GpuOffer};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use tracing::{info, warn};

use super::order;
use crate::controllers::cache::readable;
use crate::controllers::compute_job::REORGED;
use crate::controllers::conditions::is_settled;
use crate::controllers::gpu_offer::terms;
use crate::controllers::{Context, Error, MANAGER, Tried, status};
use crate::network::{Act, JobStatus, Network, Order};

type Taken = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Takes orders of one network.
pub(crate) fn sink(
    context: Arc<Context>,
    network: String,
    handle: Network,
) -> impl Fn(Vec<Order>) -> Taken + Send + Sync + 'static {
    move |orders| {
        let (context, network, handle) = (Arc::clone(&context), network.clone(), handle.clone());
        Box::pin(async move {
            for order in &orders {
                take(&context, &network, &handle, order).await?;
            }
            Ok(())
        })
    }
}

async fn take(context: &Context, network: &str, handle: &Network, order: &Order) -> Result<(), Error> {
    context.ready().await?;
    let Some(offer) = offer_of(context, network, handle, order.offer) else {
        // Another cluster of the same provider, or an offer that is gone for good.
        info!(job = %order.job, offer = %order.offer, "an order for an offer that is not of this cluster");
        return Ok(());
    };
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(context.client.clone(), &namespace);
    let name = order::job_name(order);
    if let Some(existing) = api.get_opt(&name).await.tried(|| format!("ComputeJob {namespace}/{name}"))? {
        warn_of_another(&existing, order);
        return if came_back(&existing, order) { make_room(&api, &name).await } else { Ok(()) };
    }
    match handle.job(order.job).await?.status {
        JobStatus::Open | JobStatus::Running | JobStatus::Ended => {}
        // An old cursor shows orders that are over for long: their jobs may be deleted, and are not made again.
        JobStatus::Closed => return Ok(()),
        // The log says that it was ordered: the node that was asked now lags, or the order's block is gone, which shows
        // when the block is read again.
        JobStatus::None => return Err(Error::Lagging(format!("the market does not know order {} yet", order.job))),
    }
    context.metrics.orders(network).inc();
    let job = order::compute_job(network, &namespace, &offer.name_any(), order);
    match create(&api, &job).await {
        // The API server's own check of the workload: as good a reason as ours.
        Err(kube::Error::Api(status)) if status.code == 422 => {
            let job = order::malformed_job(network, &namespace, &offer.name_any(), order, &status.message);
            create(&api, &job).await.tried(|| format!("create ComputeJob {namespace}/{name}"))
        }
        // The namespace is being deleted: nothing can run there any more, and the other orders must go on.
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            warn!(job = %order.job, namespace, error = %status.message, "an order can't be taken and is declined");
            if context.memory_of_offers.may_decline(&namespace, &offer.name_any(), order.job) {
                let reason = "OfferGone: its namespace is being deleted".to_owned();
                handle.request(Act::Decline { job: order.job, reason });
            }
            Ok(())
        }
        other => other.tried(|| format!("create ComputeJob {namespace}/{name}")),
    }
}

async fn create(api: &Api<ComputeJob>, job: &ComputeJob) -> Result<(), kube::Error> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, job).await {
        // Seen twice.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(|job| info!(job = %job.name_any(), namespace = job.namespace(), "order taken")),
    }
}

fn warn_of_another(existing: &ComputeJob, order: &Order) {
    let id = existing.spec.source.as_ref().map(|s| s.job_id.as_str()).unwrap_or_default();
    if id != order.job.to_string() {
        // 64 bits of a hash: needs work on purpose. The second one is left to its start deadline.
        warn!(job = %order.job, existing = id, "two orders have one name; the later one is not run");
    }
}

/// The order was given up because a reorganisation had taken it away, and the chain holds it again.
fn came_back(existing: &ComputeJob, order: &Order) -> bool {
    let same = existing.spec.source.as_ref().is_some_and(|source| source.job_id == order.job.to_string());
    let reason = existing.status.as_ref().and_then(|status| status.reason.as_deref());
    same && is_settled(existing) && reason == Some(REORGED)
}

/// Deletes what is over; the order comes again until that is gone, and is then taken.
async fn make_room(api: &Api<ComputeJob>, name: &str) -> Result<(), Error> {
    status::delete(api, name).await?;
    Err(Error::Lagging(format!("ComputeJob {name} was given up in a reorganisation and is made anew")))
}

/// The offer with this id. Computed from the offers themselves, so that an order counts even where the status of a
/// fresh offer is not written yet; an earlier offer of changed terms is found by its status.
fn offer_of(context: &Context, network: &str, handle: &Network, id: OfferId) -> Option<Arc<GpuOffer>> {
    let text = id.to_string();
    readable(&context.offers.store.state()).find_map(|offer| {
        if offer.spec.network_ref != network {
            return None;
        }
        let computed = terms::terms(offer, handle.spec(), &context.cluster).is_ok_and(|terms| terms.id() == id);
        let stored = || {
            let status = offer.status.as_ref();
            status.and_then(|s| s.on_chain.as_ref()).is_some_and(|c| c.offer_id == text)
                || status.is_some_and(|s| s.earlier.contains(&text))
        };
        (computed || stored()).then(|| Arc::new(offer.clone()))
    })
}
