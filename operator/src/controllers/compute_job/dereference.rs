//! Reads what a decision about a job rests on: the offer, the pod, the chain, the attestations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{U256, keccak256};
use hawser_attestation::Market;
use hawser_crds::{ComputeJob, GpuOffer, OrderSource};
use hawser_market::JobId;
use jiff::{SignedDuration, Timestamp, Unit};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};

use super::lasting::{Fact, Lasting, Timers};
use super::memory::{JobContext, JobMemory};
use super::observed::{ChainView, Observed};
use super::pod_state::PodState;
use super::{job_ref, pull};
use crate::attestation::{Attestations, DeadCard, Heard};
use crate::config::Config;
use crate::controllers::allocation::{self, Allocation};
use crate::controllers::networks::Networks;
use crate::controllers::{Error, Shared, Tried};
use crate::inventory::JobPod;
use crate::network::{ActKey, ActState, Connection, JobStatus, Network, Token, WeiPerGas};
use crate::settlement::plan::{self, Policy};
use hawser_proto::attestation::RejectReason;

/// One endpoint may be behind the others; for longer it is a reorganisation. Of a job that was started, whose pod would
/// be stopped for it, more certainty is wanted: no endpoint that is used can lag for so long.
const GONE: Duration = Duration::from_secs(30);
const GONE_AFTER_START: Duration = Duration::from_secs(90);

/// Reads everything once.
pub(crate) async fn dereference(job: &Arc<ComputeJob>, context: &JobContext) -> Result<Observed, Error> {
    let shared = &context.shared;
    // Whole seconds, as the API server keeps times.
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let source = job.spec.source.as_ref();
    let network = source.and_then(|s| shared.networks.get(&s.network));
    let id = job_id(job)?;
    let (offer, offer_unreadable) = offer(job, shared);
    context.memory.note_job(id, job);
    let token = token(offer.as_deref(), network.as_ref()).await;
    let policy = policy(source, token.as_ref(), network.as_ref(), &shared.networks);
    let started = job.status.as_ref().is_some_and(|s| s.started_at.is_some());
    let (chain, unstarted) = chain(source, network.as_ref(), id, started, &context.memory).await;
    let pod = pod(job, may_be_started(&chain), shared).await?;
    let heard = shared.attestations.heard(&job_ref(job));
    let failing = failing(pod.as_ref(), &shared.attestations.dead_cards(&job_ref(job)));
    let allocation = offer.as_ref().map_or(Allocation::NotCached, |offer| allocation::of_job(job, offer, shared));
    let away = matches!(&allocation, Allocation::Short(shortage) if shortage.passing);
    let lasting = lasting(id, &chain, pod.as_ref(), heard.as_ref(), failing.as_deref(), away, &context.memory.timers);
    Ok(Observed {
        id,
        market: network
            .as_ref()
            .map_or_else(Market::default, |n| Market { chain_id: n.spec().chain_id, address: n.spec().market }),
        chain,
        unstarted,
        token,
        pod,
        attested: shared.attestations.attested(&job_ref(job)),
        allocation,
        offer,
        offer_unreadable,
        policy,
        obstacle: network.as_ref().and_then(|n| obstacle(n, id)),
        tx: network.as_ref().and_then(|n| newest_tx(n, id)),
        heard,
        unheard: None,
        pod_refused: context.memory.pod_refused(id),
        job: Arc::clone(job),
        chain_time: network.as_ref().and_then(|network| network.observed().borrow().time_now(Instant::now())),
        lasting,
        retention: retention(&shared.config),
        failing,
        now,
    })
}

/// What says that the job's cards fail.
fn failing(pod: Option<&PodState>, dead: &[DeadCard]) -> Option<String> {
    if let [first, ..] = dead {
        return Some(first.to_string());
    }
    let unhealthy = &pod?.unhealthy;
    (!unhealthy.is_empty()).then(|| format!("the device plugin calls {} unhealthy", unhealthy.join(", ")))
}

/// For how long what is seen has been so.
fn lasting(
    id: JobId,
    chain: &ChainView,
    pod: Option<&PodState>,
    heard: Option<&Heard>,
    failing: Option<&str>,
    node_away: bool,
    timers: &Timers,
) -> Lasting {
    let customer = pod.map(|pod| &pod.customer);
    let runs = customer.is_some_and(|c| c.started.is_some() && c.ended.is_none());
    let missing =
        customer.and_then(|c| c.waiting.as_ref()).is_some_and(|(reason, message)| pull::missing(reason, message));
    let lingers = pod.is_some_and(|pod| pod.customer.ended.is_some() && !pod.over);
    let now = Instant::now();
    timers.note(id, Fact::Silent, runs.then(|| heard.and_then(|heard| heard.last_report)), now);
    for (fact, holds) in [
        (Fact::Unseen, matches!(chain, ChainView::Unknown(_))),
        (Fact::Running, runs),
        (Fact::Leaving, pod.is_some_and(|pod| pod.deleted.is_some())),
        (Fact::MeterDown, runs && pod.is_some_and(|pod| pod.meter_down.is_some())),
        (Fact::ImageMissing, missing),
        (Fact::Lingering, lingers),
        (Fact::Failing, failing.is_some()),
        (Fact::NodeAway, node_away),
    ] {
        timers.note(id, fact, holds.then_some(()), now);
    }
    let lasting = |fact| timers.lasting(id, fact, now);
    Lasting {
        unseen: lasting(Fact::Unseen),
        running: lasting(Fact::Running),
        leaving: lasting(Fact::Leaving),
        silent: lasting(Fact::Silent),
        meter_down: lasting(Fact::MeterDown),
        image_missing: lasting(Fact::ImageMissing),
        lingering: lasting(Fact::Lingering),
        failing: lasting(Fact::Failing),
        node_away: lasting(Fact::NodeAway),
    }
}

/// Takes the last voucher from where meter left it when it ended, unless its last report came already. Not before the
/// chain is seen: the pod keeps it meanwhile.
pub(crate) async fn hear_last_words(mut seen: Observed, attestations: &Attestations) -> Observed {
    if !seen.chain_is_seen() {
        return seen;
    }
    let finished = seen.attested.as_ref().is_some_and(|a| a.finished);
    let pod = seen.pod.as_ref().filter(|pod| pod.held && !finished);
    let job = job_ref(&seen.job);
    if let Some(words) = pod.filter(|pod| !pod.meter_over).and_then(|pod| pod.last_words.as_deref()) {
        // It was started again, or will be: kubelet forgets these words at its next end.
        if let Err(refusal) = attestations.read_earlier_message(&job, words).await {
            tracing::info!(%job, %refusal, "what the job's meter left at an earlier end brings no voucher");
        }
        seen.attested = attestations.attested(&job);
        return seen;
    }
    if let Some(words) = pod.and_then(|pod| pod.last_words.clone()) {
        match attestations.read_termination_message(&job, &words).await {
            Ok(_) => {}
            // Looked at again later; the pod keeps it meanwhile, and what is known already can be claimed.
            Err(refusal) if refusal.reason == RejectReason::Unavailable => seen.unheard = Some(refusal.to_string()),
            Err(refusal) => {
                tracing::warn!(%job, %refusal, "the termination message of the job's meter brings no voucher");
            }
        }
        seen.attested = attestations.attested(&job);
        seen.heard = attestations.heard(&job);
    }
    seen
}

pub(super) fn job_id(job: &ComputeJob) -> Result<JobId, Error> {
    match &job.spec.source {
        Some(source) => source.job_id.parse().map_err(|_| Error::Unnamed("spec.source.jobId that can be read")),
        None => Ok(JobId(keccak256(format!("{}/{}", job.namespace().unwrap_or_default(), job.name_any())))),
    }
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

/// The market's word on a job, and whether it has lost the job's start.
async fn chain(
    source: Option<&OrderSource>,
    network: Option<&Network>,
    id: JobId,
    started: bool,
    memory: &JobMemory,
) -> (ChainView, bool) {
    let unknown = |why: String| (ChainView::Unknown(why), false);
    let Some(source) = source else { return (ChainView::Local, false) };
    let Some(network) = network else {
        return unknown(format!("DepinNetwork {:?} is not ready: see its conditions", source.network));
    };
    let (connection, head, time) = {
        let observed = network.observed();
        let observed = observed.borrow();
        (observed.connection.clone(), observed.head, observed.chain_time(Instant::now()))
    };
    if let Connection::Disconnected { message, .. } = connection {
        return unknown(message);
    }
    let Some((head, time)) = head.zip(time) else {
        return unknown(format!("DepinNetwork {:?} has not seen a block yet", source.network));
    };
    let job = match network.job(id).await {
        Ok(job) => job,
        Err(error) => return unknown(error.to_string()),
    };
    let unstarted = started && job.status == JobStatus::Open && head.time <= job.start_deadline;
    let gone = gone(job.status, started);
    memory.note_gone(id, gone);
    let patience = if started { GONE_AFTER_START } else { GONE };
    if gone && memory.gone_for(id) < patience {
        let seconds = patience.as_secs();
        let why = format!(
            "the market shows the job as it was before ({}): a node that lags, or a reorganisation; believed after {seconds} s",
            job.status
        );
        return (ChainView::Unknown(why), unstarted);
    }
    memory.note_closed(id, job.status == JobStatus::Closed, head.block.number);
    let deep = memory.closed_for(id, head.block.number).is_some_and(|blocks| blocks >= network.spec().depth());
    (ChainView::Known { job: Box::new(job), time, deep }, unstarted)
}

/// The chain seems to have gone back behind what is known of the job.
fn gone(status: JobStatus, started: bool) -> bool {
    status == JobStatus::None || started && status == JobStatus::Open
}

/// The job's pod. Whether there is none is asked of the API server itself where the status says that there was one: a
/// cache may lag.
async fn pod(job: &ComputeJob, started: bool, shared: &Shared) -> Result<Option<PodState>, Error> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let cached = shared.inventory.read(|inventory| inventory.job_pod(&(namespace.clone(), name.clone())));
    if let Some(pod) = cached.filter(|pod| is_made_for(job, started, pod)) {
        return Ok(Some(pod.state.clone()));
    }
    if job.status.as_ref().and_then(|s| s.pod.as_ref()).is_none() {
        return Ok(None);
    }
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let pod = api.get_opt(&name).await.tried(|| format!("pod {name}"))?;
    let pod = pod.as_ref().and_then(JobPod::of);
    Ok(pod.filter(|pod| is_made_for(job, started, pod)).map(|pod| pod.state))
}

/// Whether the pod of this name is the job's. Where an order's `ComputeJob` was torn away after its start and the order came
/// back, the pod of the earlier object, which had the same name, holds the vouchers of what was used.
fn is_made_for(job: &ComputeJob, started: bool, pod: &JobPod) -> bool {
    let by_this = pod.owners.iter().any(|uid| Some(uid) == job.metadata.uid.as_ref());
    by_this || started && job.spec.source.is_some() && pod.of_its_name && pod.state.held
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

async fn token(offer: Option<&GpuOffer>, network: Option<&Network>) -> Option<Token> {
    network?.token(offer?.spec.price.token.parse().ok()?).await.ok()
}

/// When the job's use is claimed. Where the token can't be read, nothing is held back.
fn policy(
    source: Option<&OrderSource>,
    token: Option<&Token>,
    network: Option<&Network>,
    networks: &Networks,
) -> Policy {
    let settlement = source.and_then(|s| networks.settlement(&s.network)).unwrap_or_default();
    let interval = Duration::from_secs(settlement.interval_seconds);
    let (Some(network), Some(token)) = (network, token) else {
        return Policy { interval, least: U256::ZERO, gas_cost: U256::ZERO };
    };
    let units = |text: &str| token.parse_units(text).unwrap_or_default();
    let base_fee = network.observed().borrow().head.and_then(|head| head.base_fee).unwrap_or_default();
    Policy {
        interval,
        least: units(&settlement.min_payout),
        gas_cost: plan::gas_cost(
            network.spec().tokens_per_coin.as_deref().map(units).unwrap_or_default(),
            WeiPerGas(base_fee.into()),
        ),
    }
}

const KEYS: [fn(JobId) -> ActKey; 5] = [ActKey::End, ActKey::Claim, ActKey::Decline, ActKey::Refund, ActKey::Start];

fn obstacle(network: &Network, id: JobId) -> Option<(ActKey, String)> {
    KEYS.iter().map(|key| key(id)).find_map(|key| match network.act(&key)? {
        ActState::Refused { error } => Some((key, error)),
        ActState::Queued { waiting: Some(why) } => Some((key, why)),
        _ => None,
    })
}

fn newest_tx(network: &Network, id: JobId) -> Option<String> {
    KEYS.iter().find_map(|key| match network.act(&key(id))? {
        ActState::Mined { tx, .. } => Some(tx.to_string()),
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

    #[test]
    fn only_what_the_chain_cannot_undo_counts_as_gone() {
        use JobStatus::{Closed, Ended, None, Open, Running};
        for (status, started, expected) in [
            (None, false, true),
            (None, true, true),
            (Open, false, false),
            (Open, true, true),
            (Running, true, false),
            (Ended, true, false),
            (Closed, true, false),
        ] {
            assert_eq!(gone(status, started), expected, "{status:?} {started}");
        }
    }
}
