//! Objects that this operator can't read: written by a newer one, or against the schema. They say so themselves, are
//! counted as holding what they may hold, and can be deleted.

mod facts;
mod raw;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};
use kube::api::{DynamicObject, ObjectMeta};
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::{Resource, ResourceExt};
use serde_json::Value;

use super::gpu_offer::leave::{self, LeaveStep, Leaving, MarketStanding, Stake};
use super::gpu_offer::memory::OfferContext;
use super::gpu_offer::observe;
use super::look::Action;
use super::packed::Packed;
use super::work::Name;
use super::{Error, JOB_FINALIZER, NETWORK_FINALIZER, OFFER_FINALIZER, Shared, abandon, status_writer};
use super::{compute_job, depin_network, gpu_offer};
use crate::inventory::{Candidate, Priority};
use crate::metrics::Counted;
use crate::network::{JobStatus, NetworkAction, OfferId, TokenId};
use crate::reasons::Reason;
use facts::Job;
pub(crate) use raw::conditions;
use raw::{api, fetch, names, reference, set_not_ready, set_unreadable};

/// How often it is looked at again: chain and jobs go on.
const EVERY: Duration = Duration::from_mins(1);
/// While it is being deleted.
const SOON: Duration = Duration::from_secs(5);

/// The JSON of objects that can't be read, by uid, as it was fetched when they were last looked at.
#[derive(Default)]
pub(crate) struct Unreadable(Mutex<HashMap<String, Value>>);

impl Unreadable {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn json(&self, metadata: &ObjectMeta) -> Option<Value> {
        self.map().get(metadata.uid.as_deref()?).cloned()
    }

    /// Whether that changes what a job may hold.
    fn learn(&self, metadata: &ObjectMeta, raw: Value) -> bool {
        let Some(uid) = &metadata.uid else { return false };
        let now = Job::new(metadata, Some(&raw));
        self.map().insert(uid.clone(), raw).is_none_or(|before| Job::new(metadata, Some(&before)) != now)
    }

    fn forget(&self, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.map().remove(uid);
        }
    }
}

fn invalid<K>(cached: &[Arc<DeserializeGuard<K>>]) -> impl Iterator<Item = &InvalidObject> {
    cached.iter().filter_map(|guarded| guarded.0.as_ref().err())
}

/// What of these objects is told as numbers.
pub(crate) fn counted(
    jobs: &[Arc<Packed>],
    offers: &[Arc<DeserializeGuard<GpuOffer>>],
    networks: &[Arc<DeserializeGuard<DepinNetwork>>],
) -> Counted {
    Counted {
        phases: compute_job::phases(jobs),
        unreadable: [
            (compute_job::KIND, jobs.iter().filter(|job| job.invalid().is_some()).count()),
            (gpu_offer::KIND, invalid(offers).count()),
            (depin_network::KIND, invalid(networks).count()),
        ],
    }
}

/// Jobs that can't be read.
fn jobs(shared: &Shared) -> Vec<Job> {
    let cached = shared.jobs.store.state();
    let invalid = cached.iter().filter_map(|job| job.invalid());
    invalid.map(|meta| Job::new(meta, shared.unreadable.json(meta).as_ref())).collect()
}

/// Jobs of the offer's that can't be read and are not settled.
pub(crate) fn jobs_of(offer: &GpuOffer, shared: &Shared) -> u32 {
    unsettled_of(&offer.namespace().unwrap_or_default(), &offer.name_any(), shared)
}

fn unsettled_of(namespace: &str, offer: &str, shared: &Shared) -> u32 {
    let count = jobs(shared).iter().filter(|job| !job.settled && job.may_be_of(namespace, offer)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// GPUs of the offer's nodes that jobs which can't be read may hold.
pub(crate) fn candidates(offer: &GpuOffer, shared: &Shared) -> Vec<Candidate> {
    let same_gpus = |job: &Job| {
        let offers = shared.offers.store.state();
        let other = super::cache::readable(&offers)
            .find(|other| job.may_be_of(&other.namespace().unwrap_or_default(), &other.name_any()))
            .map(|other| other.spec.gpu.clone());
        // Of an offer that is not known it may be any GPU.
        other.is_none_or(|gpu| {
            gpu.product == offer.spec.gpu.product && gpu.resource_name == offer.spec.gpu.resource_name
        })
    };
    let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
    jobs(shared)
        .into_iter()
        .filter(|job| !job.over && !job.settled)
        .filter_map(|job| {
            let same_offer = job.may_be_of(&namespace, &name);
            if !same_offer && !same_gpus(&job) {
                return None;
            }
            let name = (job.namespace, job.name);
            let bound = shared.inventory.read(|inventory| inventory.bound_members(&name, 1) > 0);
            let priority = Priority { waiting: false, block: 0, name };
            Some(Candidate { priority, gpus: job.gpus, pods: 1, bound, same_offer })
        })
        .collect()
}

/// What offers that can't be read sell on a network, or sold: their orders are not passed over.
pub(crate) async fn sold(network: &str, shared: &Shared) -> Result<Vec<(OfferId, Name)>, Error> {
    let cached = shared.offers.store.state();
    let mut ids = Vec::new();
    for offer in invalid(&cached) {
        let raw = match shared.unreadable.json(&offer.metadata) {
            Some(raw) => raw,
            // Nobody has looked at it yet.
            None => match fetch::<GpuOffer>(&offer.metadata, shared).await? {
                Some(raw) => {
                    shared.unreadable.learn(&offer.metadata, raw.data.clone());
                    raw.data
                }
                None => continue,
            },
        };
        ids.extend(ids_on(network, &raw).into_iter().map(|id| (id, names(&offer.metadata))));
    }
    Ok(ids)
}

/// Under which an offer of this JSON may be sold on a network.
fn ids_on(network: &str, raw: &Value) -> Vec<OfferId> {
    let may_be = facts::network_of(Some(raw)).is_none_or(|named| named == network);
    if may_be { Stake::of_json(raw).seen } else { Vec::new() }
}

/// The token in which an offer that can't be read is paid.
pub(crate) fn token_of(offer: &InvalidObject, shared: &Shared) -> Option<TokenId> {
    Some(shared.unreadable.json(&offer.metadata)?.pointer("/spec/price/token")?.as_str()?.into())
}

/// What can't be read and may need a network of this name; none where nothing does.
pub(crate) fn needs_network(network: &str, shared: &Shared) -> Option<String> {
    if let Some(job) = jobs(shared).iter().find(|job| !job.settled && job.may_be_on(network)) {
        return Some(format!("ComputeJob {}/{} can't be read and may not be settled", job.namespace, job.name));
    }
    let cached = shared.offers.store.state();
    let may_sell = |offer: &&InvalidObject| {
        let raw = shared.unreadable.json(&offer.metadata);
        facts::network_of(raw.as_ref()).is_none_or(|named| named == network)
    };
    let offer = invalid(&cached).find(may_sell)?;
    let namespace = offer.metadata.namespace.clone().unwrap_or_default();
    Some(format!(
        "GpuOffer {namespace}/{} can't be read and may sell on it",
        offer.metadata.name.clone().unwrap_or_default()
    ))
}

/// An offer that can't be read sells nothing, and goes once nothing needs it.
pub(crate) async fn offer(object: &InvalidObject, context: &OfferContext) -> Result<Action, Error> {
    let shared = &context.shared;
    let Some(raw) = report_unreadable::<GpuOffer>(object, shared).await? else { return Ok(Action::await_change()) };
    let (namespace, name) = names(&object.metadata);
    let stake = Stake::of_json(&raw.data);
    let read = leave::read(&stake, shared).await;
    let stand = observe::standing(&stake, read, &context.memory);
    if let (MarketStanding::Open(actions), Some(network)) = (&stand, shared.networks.get(&stake.network)) {
        for action in actions {
            network.request(action.clone());
        }
    }
    if object.metadata.deletion_timestamp.is_none() {
        return Ok(Action::requeue(EVERY));
    }
    let jobs = shared.inventory.read(|inventory| inventory.known_unsettled(&(namespace.clone(), name.clone())));
    let leaving = Leaving {
        stand,
        jobs,
        unreadable: unsettled_of(&namespace, &name, shared),
        abandoned: abandon::is_asked(&object.metadata),
    };
    match leave::step(&leaving) {
        LeaveStep::Stay(why) => stays::<GpuOffer>(&raw, shared, &why).await,
        step => {
            if step == LeaveStep::GiveUp {
                let what = format!(
                    "given up: offers {} on DepinNetwork {}, {jobs} jobs are not settled",
                    ids(&stake),
                    stake.network
                );
                abandon::write_down(shared, "GpuOffer", &reference::<GpuOffer>(&raw), &what).await;
            }
            context.memory.forget_withdrawn(stake.on_network());
            let_go::<GpuOffer>(&raw, shared, OFFER_FINALIZER).await
        }
    }
}

fn ids(stake: &Stake) -> String {
    stake.seen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A job that can't be read keeps its pod and its GPUs; it goes once the market holds nothing of it any more.
pub(crate) async fn job(object: &InvalidObject, shared: &Shared) -> Result<Action, Error> {
    let Some(raw) = report_unreadable::<ComputeJob>(object, shared).await? else { return Ok(Action::await_change()) };
    if object.metadata.deletion_timestamp.is_none() {
        return Ok(Action::requeue(EVERY));
    }
    let job = Job::new(&object.metadata, Some(&raw.data));
    if abandon::is_asked(&object.metadata) {
        let what = abandon::of_raw_job(&raw.data);
        abandon::write_down(shared, "ComputeJob", &reference::<ComputeJob>(&raw), &what).await;
    } else if let Some(why) = owed(&job, shared).await {
        return stays::<ComputeJob>(&raw, shared, &format!("{why}. {}", abandon::ADVICE)).await;
    }
    abandon::drop_pods(shared, &object.metadata, object.metadata.name.clone()).await?;
    let_go::<ComputeJob>(&raw, shared, JOB_FINALIZER).await
}

/// Why a job's money is not settled; none where it is.
async fn owed(job: &Job, shared: &Shared) -> Option<String> {
    if job.settled || job.local {
        return None;
    }
    let unknown = |why: String| Some(format!("what is owed for it can't be seen: {why}"));
    let (Some(id), Some(name)) = (&job.id, &job.network) else {
        return unknown("spec.source can't be read".to_owned());
    };
    let Some(network) = shared.networks.get(name) else {
        return unknown(format!("DepinNetwork {name:?} does not run"));
    };
    match network.job(id).await {
        Err(error) => unknown(error.to_string()),
        Ok(on_chain) if on_chain.status == JobStatus::Closed => None,
        Ok(on_chain) => {
            let head = network.head().map(|head| head.time);
            let late = on_chain.refundable_from.is_some_and(|from| head.is_some_and(|now| now >= from));
            if late {
                network.request(NetworkAction::Refund { job: id.clone(), order: job.order.clone() });
            }
            Some("the market holds its deposit: an operator that reads it settles it; after its claim window it is closed".to_owned())
        }
    }
}

/// A network that can't be read runs on as it did, and goes once nothing needs it.
pub(crate) async fn network(
    object: &InvalidObject,
    needed_by: Option<String>,
    shared: &Shared,
) -> Result<Action, Error> {
    let Some(raw) = report_unreadable::<DepinNetwork>(object, shared).await? else { return Ok(Action::await_change()) };
    if object.metadata.deletion_timestamp.is_none() {
        return Ok(Action::requeue(EVERY));
    }
    match needed_by {
        Some(why) if !abandon::is_asked(&object.metadata) => {
            stays::<DepinNetwork>(&raw, shared, &format!("{why}. {}", abandon::ADVICE)).await
        }
        why => {
            if abandon::is_asked(&object.metadata) {
                let what = format!("given up: {}", why.unwrap_or_else(|| "nothing needs it".to_owned()));
                abandon::write_down(shared, "DepinNetwork", &reference::<DepinNetwork>(&raw), &what).await;
            }
            shared.networks.stop(&raw.name_any()).await;
            shared.metrics.forget_network(&raw.name_any());
            let_go::<DepinNetwork>(&raw, shared, NETWORK_FINALIZER).await
        }
    }
}

/// An object was read: it is none of these any more.
pub(crate) fn note_readable(metadata: &ObjectMeta, shared: &Shared) {
    shared.unreadable.forget(metadata);
}

/// Fetches the object as it is and has it say that it can't be read; none where it is gone.
async fn report_unreadable<K: Resource<DynamicType = ()>>(
    object: &InvalidObject,
    shared: &Shared,
) -> Result<Option<DynamicObject>, Error> {
    let Some(raw) = fetch::<K>(&object.metadata, shared).await? else {
        shared.unreadable.forget(&object.metadata);
        return Ok(None);
    };
    if shared.unreadable.learn(&object.metadata, raw.data.clone()) {
        // Which GPUs it may hold, and of which offer.
        shared.offers_due.add(shared.inventory.read(|inventory| inventory.offer_names().cloned().collect::<Vec<_>>()));
    }
    let message = format!(
        "this operator can't read the object: {}. It was written by a newer operator, or against the schema: correct the \
         field, or run the newer operator. Until then it is counted as holding what it may hold",
        object.error
    );
    set_unreadable::<K>(&raw, shared, &Reason::Unreadable, &message).await?;
    Ok(Some(raw))
}

/// Says why an object that is being deleted is still there.
async fn stays<K: Resource<DynamicType = ()>>(
    raw: &DynamicObject,
    shared: &Shared,
    why: &str,
) -> Result<Action, Error> {
    set_not_ready::<K>(raw, shared, &Reason::Leaving, &format!("it is being deleted, and can't be read: {why}"))
        .await?;
    Ok(Action::requeue(SOON))
}

async fn let_go<K: Resource<DynamicType = ()>>(
    raw: &DynamicObject,
    shared: &Shared,
    finalizer: &str,
) -> Result<Action, Error> {
    // Its status was written a moment ago: its version is the newer one's.
    let Some(now) = fetch::<K>(&raw.metadata, shared).await? else { return Ok(Action::await_change()) };
    let api = api::<K>(&raw.namespace().unwrap_or_default(), shared);
    status_writer::set_finalizer_of(&api, &now.metadata, finalizer, false).await?;
    shared.unreadable.forget(&raw.metadata);
    Ok(Action::await_change())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn orders_of_an_offer_that_can_not_be_read_are_known_by_all_ids_that_it_may_be_sold_under() {
        let [now, before] = ["0x0102030405060708", "0x0202030405060708"];
        let mut raw = json!({
            "spec": {"networkRef": "base", "limits": "of another kind"},
            "status": {"onChain": {"offerId": now, "price": 3}, "earlier": [before, "of-another-network", 7]}
        });
        let ids = [now, before, "of-another-network"].map(OfferId::from);
        assert_eq!(ids_on("base", &raw), ids);
        assert!(ids_on("other", &raw).is_empty());
        raw["spec"]["networkRef"] = json!({"of": "another kind"});
        assert_eq!(ids_on("other", &raw), ids, "it may be sold there");
        assert!(ids_on("base", &json!({"spec": {"networkRef": "base"}})).is_empty(), "it was never posted");
    }

    #[test]
    fn what_is_learnt_is_news_where_it_changes_what_a_job_may_hold() {
        let metadata: ObjectMeta = serde_json::from_value(json!({"name": "j", "namespace": "t", "uid": "u"})).unwrap();
        let unreadable = Unreadable::default();
        let failed = json!([{"type": "Failed", "status": "True"}]);
        for (gpus, conditions, news) in [
            (2, json!([]), true),
            (2, json!([]), false),
            (2, json!([{"type": "Readable", "status": "False"}]), false),
            (3, json!([]), true),
            (3, failed.clone(), true),
            (3, failed, false),
        ] {
            let raw = json!({"spec": {"workload": {"gpus": gpus}}, "status": {"conditions": conditions}});
            assert_eq!(unreadable.learn(&metadata, raw.clone()), news, "{raw}");
        }
    }
}
