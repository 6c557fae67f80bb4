//! Where the watcher's orders go: each becomes a `ComputeJob` beside its offer, once.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use hawser_crds::{ComputeJob, GpuOffer, Outcome};
use kube::api::PostParams;
use kube::core::{DeserializeGuard, Status};
use kube::{Api, Resource, ResourceExt};
use tracing::{info, warn};

use super::memory::NetworkContext;
use super::order;
use crate::controllers::cache::readable;
use crate::controllers::compute_job::memory::JobMemory;
use crate::controllers::gpu_offer::terms::ClusterId;
use crate::controllers::gpu_offer::{memory, terms};
use crate::controllers::watch::name_of;
use crate::controllers::work::Name;
use crate::controllers::{Error, MANAGER, Tried, migration, status_writer, unreadable};
use crate::network::{JobId, JobStatus, Network, NetworkAction, OfferId, On, Order, OrderHandler};
use crate::objects::{is_settled, order_of};
use crate::reasons::Reason;

/// So many orders are looked up, and so many jobs written, side by side.
const SIDE_BY_SIDE: usize = 32;
/// When a job is written again that the API server forbids in words that may pass: it has just started, and has not read its
/// roles yet.
const PASSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// Takes orders of one network.
pub(crate) fn intake(context: Arc<NetworkContext>, network: String, handle: Arc<dyn Network>) -> OrderHandler {
    Arc::new(move |orders| {
        let (context, network, handle) = (Arc::clone(&context), network.clone(), Arc::clone(&handle));
        Box::pin(async move {
            let taken = async { Batch::new(&context, &network, &*handle).await?.ingest(&orders).await };
            taken.await.map_err(|error: Error| error.to_string())
        })
    })
}

/// Orders that came together.
struct Batch<'a> {
    context: &'a NetworkContext,
    network: &'a str,
    handle: &'a dyn Network,
    /// Offers by their ids: an order names its offer by what it was when it was ordered.
    offers: HashMap<OfferId, Name>,
    /// Namespaces in which it went on forbidding: the next order there is not waited for.
    forbidden: Mutex<HashSet<String>>,
}

impl<'a> Batch<'a> {
    async fn new(context: &'a NetworkContext, network: &'a str, handle: &'a dyn Network) -> Result<Self, Error> {
        context.shared.ready_for_orders().await?;
        let mut offers = ids(&context.shared.offers.store.state(), network, handle, &context.shared.cluster);
        for (id, offer) in unreadable::sold(network, &context.shared).await? {
            offers.entry(id).or_insert(offer);
        }
        Ok(Self { context, network, handle, offers, forbidden: Mutex::default() })
    }

    /// The chain is asked for all of them side by side. Their jobs are written block by block: of two orders for the last
    /// GPU the earlier one runs, so the later one's job must not be there first.
    async fn ingest(&self, orders: &[Order]) -> Result<(), Error> {
        let asked = stream::iter(0..orders.len())
            .map(|at| async move { Ok::<_, Error>((at, self.is_wanted(&orders[at]).await?)) });
        let asked: Vec<(usize, bool)> = asked.buffered(SIDE_BY_SIDE).try_collect().await?;
        let wanted: Vec<usize> = asked.into_iter().filter_map(|(at, wanted)| wanted.then_some(at)).collect();
        for block in wanted.chunk_by(|one, next| orders[*one].height == orders[*next].height) {
            let block = stream::iter(block.to_vec()).map(Ok::<_, Error>);
            block.try_for_each_concurrent(SIDE_BY_SIDE, |at| self.write(&orders[at])).await?;
        }
        Ok(())
    }

    /// Whether an order is to become a job.
    async fn is_wanted(&self, order: &Order) -> Result<bool, Error> {
        let Some((namespace, _)) = self.offers.get(&order.offer) else {
            // Another cluster of the same provider, or an offer that is gone for good.
            info!(job = %order.job, offer = %order.offer, "an order for an offer that is not of this cluster");
            return Ok(false);
        };
        let known = self.context.shared.job(namespace, &order.resource_name);
        if known
            .and_then(|job| job.job().0.ok())
            .is_some_and(|job| goes_on(&job, &self.on_network(order), &self.context.jobs))
        {
            return Ok(false);
        }
        match self.handle.job(&order.job).await?.status {
            JobStatus::Open | JobStatus::Running | JobStatus::Ended => Ok(true),
            // An old cursor shows orders that are over for long: their jobs may be deleted, and are not made again.
            JobStatus::Closed => Ok(false),
            // The log says that it was ordered: the node that was asked now lags, or the order's block is gone, which
            // shows when the block is read again.
            JobStatus::None => Err(Error::Lagging(format!("the market does not know order {} yet", order.job))),
        }
    }

    /// Writes an order's job.
    async fn write(&self, order: &Order) -> Result<(), Error> {
        let Some((namespace, offer)) = self.offers.get(&order.offer) else { return Ok(()) };
        let api: Api<ComputeJob> = Api::namespaced(self.context.shared.client.clone(), namespace);
        let name = &order.resource_name;
        let what = || format!("create ComputeJob {namespace}/{name}");
        let job = order::compute_job(self.network, namespace, offer, order);
        let known = self.forbidden.lock().unwrap_or_else(PoisonError::into_inner).contains(namespace);
        let pauses = if known { &[][..] } else { &PASSES };
        let created = match insist(pauses, || create(&api, &job)).await {
            // The API server's own check of the workload: as good a reason as ours.
            Err(kube::Error::Api(status)) if status.code == 422 => {
                let job = order::malformed_job(self.network, namespace, offer, order, &status.message);
                insist(pauses, || create(&api, &job)).await
            }
            other => other,
        };
        if created.as_ref().is_err_and(may_pass) {
            self.forbidden.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.clone());
        }
        match created {
            // Seen twice.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let existing = api.get_opt(name).await.tried(|| format!("ComputeJob {namespace}/{name}"))?;
                let Some(existing) = existing.map(migration::of_any_release) else {
                    return Err(Error::Gone(format!("ComputeJob {namespace}/{name}")));
                };
                let order = self.on_network(order);
                warn_of_another(&existing, &order);
                if came_back(&existing, &order) { remove_superseded(&api, name).await } else { Ok(()) }
            }
            Err(kube::Error::Api(status)) if let Some(reason) = refused(&status) => {
                self.decline((namespace, offer), order, reason, &status.message).await;
                Ok(())
            }
            other => {
                other.tried(what)?;
                self.context.shared.metrics.orders(self.network).inc();
                Ok(())
            }
        }
    }

    fn on_network(&self, order: &Order) -> On<JobId> {
        On::new(self.network, order.job.clone())
    }

    /// Gives an order back, and says on its offer what the API server said.
    async fn decline(&self, (namespace, offer): (&str, &str), order: &Order, reason: &str, said: &str) {
        warn!(job = %order.job, namespace, error = said, "an order can't be taken and is declined");
        if memory::grant_decline(&self.context.shared, &self.context.offers, namespace, offer, &order.job) {
            let (job, by) = (order.job.clone(), order.by.clone());
            self.handle.request(NetworkAction::Decline { job, order: by, reason: reason.to_owned() });
        }
        let known = self.context.shared.offer(namespace, offer);
        if let Some(offer) = known.as_ref().and_then(|offer| offer.0.as_ref().ok()) {
            let note = format!("order {} is declined, as its ComputeJob can't be created: {said}", order.job);
            self.context
                .shared
                .events
                .emit(&offer.object_ref(&()), true, &Reason::OrderNotAdmitted, "Decline", &note)
                .await;
        }
    }
}

/// What a customer is told whose order's job the API server refuses for good: the other orders must go on. None where
/// it may take the job when it is asked again. In fixed words: the cluster's own are the provider's business.
fn refused(status: &Status) -> Option<&'static str> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let ends = causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating");
    match status.code {
        404 => Some("OfferGone: its namespace is gone"),
        403 if ends => Some("OfferGone: its namespace is being deleted"),
        // A quota, a policy engine's webhook, or a right that the operator lacks.
        // And a second 422: it is not the workload that is refused, whose words were left out then.
        400 | 403 | 413 | 422 => Some("NotAdmitted: the provider's cluster does not admit the order's job"),
        _ => None,
    }
}

/// Whether a 403 may be that of an API server that does not know its roles yet. Quotas and what else admits objects are asked
/// after the roles, and name what they refuse.
fn may_pass(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let by_role = status.message.contains("cannot create resource");
    let says_nothing = status.details.is_none() && !status.message.contains("denied");
    status.code == 403 && (by_role || says_nothing)
}

/// Asks again what may pass, after each of these pauses.
async fn insist<F, O>(pauses: &[Duration], mut ask: F) -> Result<(), kube::Error>
where
    F: FnMut() -> O + Send,
    O: Future<Output = Result<(), kube::Error>> + Send,
{
    let mut answer = ask().await;
    for pause in pauses {
        if !answer.as_ref().is_err_and(may_pass) {
            break;
        }
        tokio::time::sleep(*pause).await;
        answer = ask().await;
    }
    answer
}

async fn create(api: &Api<ComputeJob>, job: &ComputeJob) -> Result<(), kube::Error> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let job = api.create(&params, job).await?;
    info!(job = %job.name_any(), namespace = job.namespace(), "order taken");
    Ok(())
}

fn is_of(job: &ComputeJob, order: &On<JobId>) -> bool {
    job.spec.source.as_ref().is_some_and(|source| order_of(source) == *order)
}

/// The order's job is there and not settled, and the cache does not merely show it as it was.
fn goes_on(job: &ComputeJob, order: &On<JobId>, memory: &JobMemory) -> bool {
    is_of(job, order) && !is_settled(job) && memory.behind(job).is_none()
}

fn warn_of_another(existing: &ComputeJob, order: &On<JobId>) {
    if !is_of(existing, order) {
        // 64 bits of a hash: needs work on purpose. The second one is left to its start deadline.
        let of = existing.spec.source.as_ref();
        let (network, existing) = of.map(|of| (of.network.as_str(), of.job_id.as_str())).unwrap_or_default();
        warn!(job = %order.id, existing, network, "two orders have one name; the later one is not run");
    }
}

/// The order was given up because a reorganisation had taken it away, and the chain holds it again.
fn came_back(existing: &ComputeJob, order: &On<JobId>) -> bool {
    let outcome = existing.status.as_ref().and_then(|status| status.outcome);
    is_of(existing, order) && is_settled(existing) && outcome == Some(Outcome::Reorged)
}

/// Deletes what is over; the order comes again until that is gone, and is then taken.
async fn remove_superseded(api: &Api<ComputeJob>, name: &str) -> Result<(), Error> {
    status_writer::delete(api, name).await?;
    Err(Error::Lagging(format!("ComputeJob {name} was given up in a reorganisation and is re-created")))
}

/// A network's offers by their ids. Computed from the offers themselves, so that an order counts even where the status of
/// a fresh offer is not written yet; an earlier offer of changed terms is found by its status.
fn ids(
    offers: &[Arc<DeserializeGuard<GpuOffer>>],
    network: &str,
    handle: &dyn Network,
    cluster: &ClusterId,
) -> HashMap<OfferId, Name> {
    let mut ids = HashMap::new();
    for offer in readable(offers).filter(|offer| offer.spec.network_ref == network) {
        for id in ids_of(offer, handle, cluster) {
            ids.insert(id, name_of(offer));
        }
    }
    ids
}

/// The ids under which an offer is, or was, on the market.
pub(crate) fn ids_of(offer: &GpuOffer, network: &dyn Network, cluster: &ClusterId) -> Vec<OfferId> {
    let status = offer.status.as_ref();
    let now = status.and_then(|s| s.on_chain.as_ref()).map(|c| &c.offer_id);
    let stored = now.into_iter().chain(status.into_iter().flat_map(|s| &s.earlier));
    let computed = network.offer_id(&terms::terms(offer, cluster)).ok();
    stored.map(OfferId::from).chain(computed).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: Value) -> kube::Error {
        kube::Error::Api(serde_json::from_value::<Status>(status).unwrap().boxed())
    }

    #[test]
    fn an_order_that_comes_back_is_not_left_to_a_job_that_the_cache_shows_as_it_was_before_it_ended() {
        let (order, memory) = (On::new("n", "order-7"), JobMemory::default());
        let job = |order: &On<JobId>, version: u64| -> ComputeJob {
            let source = json!({"network": &*order.network, "jobId": order.id.as_str(), "customer": "0x", "seconds": 1,
                "deposit": "1", "price": "1", "block": 1});
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
                "metadata": {"name": "j", "uid": "u", "resourceVersion": version.to_string()},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}, "source": source}
            }))
            .unwrap()
        };
        assert!(goes_on(&job(&order, 7), &order, &memory));
        for other in [On::new("n", "another"), On::new("another network", "order-7")] {
            assert!(!goes_on(&job(&other, 7), &order, &memory), "{other:?}");
        }
        memory.note_written(&job(&order, 7), Some("9".to_owned()));
        assert!(!goes_on(&job(&order, 7), &order, &memory) && goes_on(&job(&order, 9), &order, &memory));
    }

    #[test]
    fn what_an_api_server_without_its_roles_says_may_pass_and_what_admits_objects_says_does_not() {
        let details = json!({"name": "job-1", "group": "hawser.dev", "kind": "computejobs"});
        for (status, expected) in [
            (json!({"code": 403}), true),
            (json!({"code": 403, "message": "forbidden: User \"u\" cannot get path \"/\""}), true),
            (
                json!({"code": 403, "details": details, "message": "computejobs.hawser.dev is forbidden: User \"u\" cannot \
                    create resource \"computejobs\" in API group \"hawser.dev\" in the namespace \"t\""}),
                true,
            ),
            (json!({"code": 403, "details": details, "message": "is forbidden: exceeded quota: jobs"}), false),
            (json!({"code": 403, "message": "admission webhook \"w\" denied the request: no"}), false),
            (json!({"code": 403, "details": {"causes": [{"reason": "NamespaceTerminating"}]}}), false),
            (json!({"code": 422}), false),
            (json!({"code": 404}), false),
        ] {
            assert_eq!(may_pass(&answer(status.clone())), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn what_may_pass_is_asked_for_again_a_few_times_and_nothing_else_is() {
        let (passing, quota) = (json!({"code": 403}), json!({"code": 403, "message": "exceeded quota", "details": {}}));
        for (answers, asked, good) in [
            (vec![None], 1, true),
            (vec![Some(passing.clone()), None], 2, true),
            (vec![Some(passing.clone()); 9], 3, false),
            (vec![Some(passing), Some(quota.clone()), None], 2, false),
            (vec![Some(quota); 9], 1, false),
        ] {
            let mut at = 0;
            let said = insist(&[Duration::ZERO; 2], || {
                at += 1;
                std::future::ready(answers[at - 1].clone().map_or(Ok(()), |status| Err(answer(status))))
            });
            assert_eq!((said.await.is_ok(), at), (good, asked), "{answers:?}");
        }
    }

    #[test]
    fn an_order_is_given_back_for_what_the_api_server_says_and_waits_for_what_may_pass() {
        let forbidden = |causes: Value| json!({"code": 403, "reason": "Forbidden", "details": {"causes": causes}});
        for (status, expected) in [
            (json!({"code": 404}), Some("OfferGone: its namespace is gone")),
            (
                forbidden(json!([{"reason": "NamespaceTerminating", "message": "m", "field": "metadata.namespace"}])),
                Some("OfferGone: its namespace is being deleted"),
            ),
            (forbidden(json!([])), Some("NotAdmitted: the provider's cluster does not admit the order's job")),
            (json!({"code": 403}), Some("NotAdmitted: the provider's cluster does not admit the order's job")),
            (json!({"code": 400}), Some("NotAdmitted: the provider's cluster does not admit the order's job")),
            (json!({"code": 422}), Some("NotAdmitted: the provider's cluster does not admit the order's job")),
            (json!({"code": 413}), Some("NotAdmitted: the provider's cluster does not admit the order's job")),
            (json!({"code": 409}), None),
            (json!({"code": 429}), None),
            (json!({"code": 500}), None),
            (json!({"code": 503}), None),
        ] {
            let read: Status = serde_json::from_value(status.clone()).unwrap();
            assert_eq!(refused(&read), expected, "{status}");
        }
    }
}
