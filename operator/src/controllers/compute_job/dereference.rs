//! Reads what a decision about a job rests on: the market, the offer, the pod, the attestations. Writes nothing, and
//! remembers nothing.

use std::sync::Arc;
use std::time::Duration;

use hawser_attestation::{MarketId, digest};
use hawser_crds::{ComputeJob, GpuOffer, OrderSource};
use jiff::{SignedDuration, Timestamp, Unit};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};

use super::lasting::Lasting;
use super::members::{self, Members, job_ref};
use super::observation::{ChainView, JobObservation};
use crate::attestation::DeadCard;
use crate::config::Config;
use crate::controllers::allocation::Allocation;
use crate::controllers::networks::Networks;
use crate::controllers::{Error, Shared, Tried};
use crate::inventory::JobPod;
use crate::network::{
    ActionKey, ActionState, Connection, Head, Job, JobId, JobStatus, Network, Payment, Subject, Token, TokenId, Units,
};
use crate::objects::pod_state::PodState;
use crate::settlement::plan::Policy;

/// The market's word on a job, as an endpoint gives it now.
#[derive(Debug)]
pub(crate) enum MarketRead {
    /// Written by hand: no market knows it.
    Local,
    /// It can't be read now: why.
    Unknown(String),
    Read {
        job: Box<Job>,
        /// The newest state of its network.
        head: Head,
        /// The chain's time now.
        time: Timestamp,
        /// So many blocks deep a reorganisation does not reach.
        depth: u64,
    },
}

/// Reads the job from its market.
pub(crate) async fn market(source: Option<&OrderSource>, network: Option<&dyn Network>, id: &JobId) -> MarketRead {
    let Some(source) = source else { return MarketRead::Local };
    let Some(network) = network else {
        return MarketRead::Unknown(format!("DepinNetwork {:?} is not ready: see its conditions", source.network));
    };
    let status = network.status();
    if let Connection::Disconnected { message, .. } = status.connection {
        return MarketRead::Unknown(message);
    }
    let Some((head, time)) = status.head.zip(status.time) else {
        return MarketRead::Unknown(format!("nothing of DepinNetwork {:?} was seen yet", source.network));
    };
    match network.job(id).await {
        Ok(job) => MarketRead::Read { job: Box::new(job), head, time, depth: network.profile().depth },
        Err(error) => MarketRead::Unknown(error.to_string()),
    }
}

/// The network that the job was ordered on, if it runs.
pub(crate) fn network(job: &ComputeJob, networks: &Networks) -> Option<Arc<dyn Network>> {
    networks.get(&job.spec.source.as_ref()?.network)
}

/// Reads the rest. What is remembered is not in it yet: `observe` adds that.
pub(crate) async fn dereference(
    job: &Arc<ComputeJob>,
    (id, network): (JobId, Option<&dyn Network>),
    (chain, unstarted): (ChainView, bool),
    shared: &Shared,
) -> Result<JobObservation, Error> {
    // Whole seconds, as the API server keeps times.
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let source = job.spec.source.as_ref();
    let (offer, offer_unreadable) = offer(job, shared);
    let token = token(offer.as_deref(), network).await;
    let costs = network.zip(token.as_ref()).map(|(network, token)| network.costs(token)).unwrap_or_default();
    let policy = policy((source, token.as_ref()), network, costs.claim, &shared.networks);
    let pods = pods(job, may_be_started(&chain), shared).await?;
    let me = job_ref(job);
    let failing = failing(&pods, &shared.attestations.dead_cards(&me));
    Ok(JobObservation {
        subject: subject(job, network),
        chain,
        unstarted,
        token,
        pods,
        heard: shared.attestations.stream_health(&me),
        attested: shared.attestations.attested(&me),
        allocation: Allocation::NotCached,
        offer,
        offer_unreadable,
        policy,
        order_cost: costs.order,
        obstacle: network.and_then(|n| obstacle(n, &id)),
        unsettleable: network.is_some_and(|n| is_unsettleable(n, &id)),
        tx: network.and_then(|n| newest_tx(n, &id)),
        id,
        unheard: None,
        pod_refused: None,
        job: Arc::clone(job),
        chain_time: network.and_then(Network::time_now),
        lasting: Lasting::default(),
        retention: retention(&shared.config),
        failing,
        now,
    })
}

/// What says that the job's cards fail.
fn failing(pods: &Members, dead: &[DeadCard]) -> Option<String> {
    if let [first, ..] = dead {
        return Some(first.to_string());
    }
    let unhealthy: Vec<&str> = pods.iter().flat_map(|pod| &pod.unhealthy).map(String::as_str).collect();
    (!unhealthy.is_empty()).then(|| format!("the device plugin calls {} unhealthy", unhealthy.join(", ")))
}

/// The id by which a job is known: its network's; of a local job one with a space, which no network's can have in an object.
pub(super) fn job_id(job: &ComputeJob) -> JobId {
    match &job.spec.source {
        Some(source) => JobId::from(&source.job_id),
        None => JobId::from(format!("local {}", job_ref(job))),
    }
}

/// What evidence and vouchers say the job is; none where its network is not there, or does not know such an id.
fn subject(job: &ComputeJob, network: Option<&dyn Network>) -> Option<Subject> {
    if let Some(source) = &job.spec.source {
        return network?.subject(&JobId::from(&source.job_id)).ok();
    }
    Some(Subject { market: MarketId::default(), id: hawser_market::JobId(digest(job_ref(job).to_string())) })
}

/// The offer, and whether there is one that can't be read.
fn offer(job: &ComputeJob, shared: &Shared) -> (Option<Arc<GpuOffer>>, bool) {
    let guarded = shared.offer(&job.namespace().unwrap_or_default(), &job.spec.offer_ref);
    match guarded.as_ref().map(|offer| &offer.0) {
        Some(Ok(offer)) => (Some(Arc::new(offer.clone())), false),
        Some(Err(_)) => (None, true),
        None => (None, false),
    }
}

/// The job's pods.
async fn pods(job: &ComputeJob, started: bool, shared: &Shared) -> Result<Members, Error> {
    let names = members::names(job);
    let mut pods = Vec::with_capacity(names.len());
    for name in &names {
        pods.extend(pod(job, name, started, shared).await?);
    }
    Ok(Members::new(names, pods))
}

/// The pod of one member. Whether there is none is asked of the API server itself where the status says that there was one:
/// a cache may lag.
async fn pod(job: &ComputeJob, name: &str, started: bool, shared: &Shared) -> Result<Option<PodState>, Error> {
    let namespace = job.namespace().unwrap_or_default();
    let cached = shared.inventory.read(|inventory| inventory.job_pod(&(namespace.clone(), name.to_owned())));
    if let Some(pod) = cached.filter(|pod| is_made_for(job, started, pod)) {
        return Ok(Some(pod.state.clone()));
    }
    if job.status.as_ref().and_then(|s| s.pod.as_ref()).is_none() {
        return Ok(None);
    }
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let pod = api.get_opt(name).await.tried(|| format!("pod {name}"))?;
    let pod = pod.as_ref().and_then(JobPod::of);
    Ok(pod.filter(|pod| is_made_for(job, started, pod)).map(|pod| pod.state))
}

/// Whether the pod of this name is the job's. Where an order's `ComputeJob` was torn away after its start and the order came
/// back, the pod of the earlier object, which had the same name, holds the vouchers of what was used.
fn is_made_for(job: &ComputeJob, started: bool, pod: &JobPod) -> bool {
    let by_this = pod.owners.iter().any(|uid| Some(uid) == job.metadata.uid.as_ref());
    by_this || started && job.spec.source.is_some() && pod.job == Some(job.name_any().into()) && pod.state.has_finalizer
}

/// For how long settled jobs are kept.
pub(super) fn retention(config: &Config) -> SignedDuration {
    let keep = Duration::from_secs(config.job_retention_seconds);
    SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX)
}

fn may_be_started(chain: &ChainView) -> bool {
    match chain {
        ChainView::Local => false,
        ChainView::Unknown(_) => true,
        ChainView::Known { job, .. } => matches!(job.status, JobStatus::Running | JobStatus::Ended),
    }
}

async fn token(offer: Option<&GpuOffer>, network: Option<&dyn Network>) -> Option<Token> {
    network?.token(&TokenId::from(&offer?.spec.price.token)).await.ok()
}

/// When the job's use is claimed. Where the token can't be read, nothing is held back.
fn policy(
    (source, token): (Option<&OrderSource>, Option<&Token>),
    network: Option<&dyn Network>,
    claim_cost: Units,
    networks: &Networks,
) -> Policy {
    let settlement = source.and_then(|s| networks.settlement(&s.network)).unwrap_or_default();
    let interval = Duration::from_secs(settlement.interval_seconds);
    let payment = network.map_or(Payment::Cumulative, |network| network.profile().payment);
    let least = token.filter(|_| network.is_some()).and_then(|token| token.parse_units(&settlement.min_payout).ok());
    Policy { payment, interval, least: least.unwrap_or_default(), claim_cost }
}

const KEYS: [fn(JobId) -> ActionKey; 6] =
    [ActionKey::End, ActionKey::Settle, ActionKey::Claim, ActionKey::Decline, ActionKey::Refund, ActionKey::Start];

fn obstacle(network: &dyn Network, id: &JobId) -> Option<(ActionKey, String)> {
    KEYS.iter().map(|key| key(id.clone())).find_map(|key| match network.action(&key)? {
        // Claim and end follow in its place.
        ActionState::Refused { .. } if matches!(key, ActionKey::Settle(_)) && claims_alone(network) => None,
        ActionState::Refused { error } => Some((key, error)),
        ActionState::Queued { waiting: Some(why) } => Some((key, why)),
        _ => None,
    })
}

/// Whether a claim can be made without the job's end.
fn claims_alone(network: &dyn Network) -> bool {
    network.profile().payment == Payment::Cumulative
}

/// Whether the market won't take the last voucher and the end in one call, and takes them one by one.
fn is_unsettleable(network: &dyn Network, id: &JobId) -> bool {
    claims_alone(network) && matches!(network.action(&ActionKey::Settle(id.clone())), Some(ActionState::Refused { .. }))
}

fn newest_tx(network: &dyn Network, id: &JobId) -> Option<String> {
    KEYS.iter().find_map(|key| match network.action(&key(id.clone()))? {
        ActionState::Mined { tx, .. } => Some(tx.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::compute_job::manifests::POD_FINALIZER;

    #[test]
    fn a_pod_is_that_of_its_own_object_or_of_an_earlier_one_of_the_same_order() {
        let job = |ordered: bool| -> ComputeJob {
            let source = serde_json::json!({"network": "n", "jobId": "0x", "customer": "0x", "seconds": 100,
                "deposit": "200", "price": "3600", "block": 1});
            let mut job = serde_json::json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "job-1", "uid": "new"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
            });
            if ordered {
                job["spec"]["source"] = source;
            }
            serde_json::from_value(job).unwrap()
        };
        let pod = |uid: &str, name: &str, held: bool| {
            let owner = serde_json::json!({"apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "name": name,
                "uid": uid, "controller": true});
            let finalizers = if held { vec![POD_FINALIZER] } else { vec![] };
            let pod = serde_json::json!({"metadata": {"name": "job-1", "ownerReferences": [owner], "finalizers": finalizers}});
            JobPod::of(&serde_json::from_value(pod).unwrap()).unwrap()
        };
        let own = pod("new", "job-1", true);
        let earlier = pod("old", "job-1", true);
        for (ordered, started, pod, expected) in [
            (true, false, &own, true),
            (true, true, &earlier, true),
            // Nothing was started: nothing was used.
            (true, false, &earlier, false),
            (true, true, &pod("old", "job-1", false), false),
            (true, true, &pod("old", "job-2", true), false),
            (false, false, &own, true),
            // Written by hand, and again under the same name: that is another run.
            (false, true, &earlier, false),
        ] {
            assert_eq!(is_made_for(&job(ordered), started, pod), expected, "{ordered} {started} {pod:?}");
        }
    }
}
