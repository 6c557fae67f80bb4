//! A pod whose `ComputeJob` is gone: what is known of it, its next step as a pure function, and that step taken.

use std::time::{Duration, Instant};

use alloy::primitives::U256;
use hawser_attestation::{SignedVoucher, TerminationMessage};
use hawser_crds::DepinNetwork;
use hawser_market::JobId;
use hawser_proto::pod::{METER_CONTAINER, env};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::pods::{delete, is_deleted};
use crate::controllers::compute_job::lasting::Fact;
use crate::controllers::compute_job::manifests::{
    CUSTOMER_ANNOTATION, NETWORK_ANNOTATION, ORDER_ANNOTATION, POD_FINALIZER,
};
use crate::controllers::compute_job::memory::JobContext;
use crate::controllers::compute_job::voucher;
use crate::controllers::packed::Packed;
use crate::controllers::{Error, Shared, Tried, status_writer};
use crate::inventory::JobPod;
use crate::network::{NetworkAction, ActionKey, ActionState, GpuSeconds, Job, JobStatus, Network, OrderRef, order_ref};
use crate::objects::pod_state::{self, PodState};
use crate::settlement::plan::{self, Policy, Step};

/// The end's reason on chain.
const REASON: &str = "JobObjectGone";

/// What is known of a pod that has no job.
#[derive(Clone, Debug)]
struct Orphan {
    deleted: bool,
    has_finalizer: bool,
    /// It is the leader's of its job: the market takes no other's voucher, and no other may close the job.
    leads: bool,
    /// Nothing runs in it any more.
    is_terminated: bool,
    /// The voucher that it holds.
    voucher: Option<SignedVoucher>,
    /// Whose its job is, as its annotations say.
    order: OrderRef,
    chain: Chain,
}

/// What the market holds of its job.
#[derive(Clone, Debug)]
enum Chain {
    /// It never was on one.
    None,
    /// There is no `DepinNetwork` of this name any more.
    Lost(String),
    /// It can't be seen now.
    Unseen,
    Known {
        job: Box<Job>,
        time: jiff::Timestamp,
        /// The market takes its voucher not: why.
        refused: Option<String>,
    },
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq)]
enum Next {
    /// It is ended, and what it used is claimed then: somebody took its job away.
    Delete,
    /// It has nothing to tell any more.
    Clear,
    /// Puts the finalizer back.
    Hold,
    Wait,
    Ask(NetworkAction),
    /// Lets it go; says so where something is lost.
    Release(Option<String>),
}

fn next(orphan: &Orphan, id: JobId) -> Next {
    if !orphan.has_finalizer {
        return let_go(orphan);
    }
    if !orphan.deleted {
        return Next::Delete;
    }
    if !orphan.is_terminated {
        return Next::Wait;
    }
    let counted = orphan.voucher.as_ref().map_or(0, |v| v.gpu_seconds.0);
    match &orphan.chain {
        _ if !orphan.leads => Next::Release((counted > 0).then(|| {
            format!("its voucher over {counted} GPU-seconds can't be claimed: the market takes vouchers of one attestor a job")
        })),
        Chain::None => Next::Release(None),
        Chain::Unseen => Next::Wait,
        Chain::Lost(why) => Next::Release((counted > 0).then(|| {
            format!(
                "its voucher over {counted} GPU-seconds can't be claimed, what of it was not claimed yet is lost: {why}"
            )
        })),
        Chain::Known { job, time, refused } => {
            let attested = if refused.is_some() { job.used } else { GpuSeconds(counted.max(job.used.0)) };
            match plan::next(job, attested, true, *time, POLICY) {
                Step::Wait => Next::Wait,
                Step::Claim(_) => {
                    orphan.voucher.as_ref().map_or(Next::Wait, |v| Next::Ask(NetworkAction::Claim(voucher::claim(v))))
                }
                Step::End { expect_used } => {
                    Next::Ask(NetworkAction::End { job: id, order: orphan.order, expect_used, reason: REASON.to_owned() })
                }
                Step::Decline => Next::Ask(NetworkAction::Decline { job: id, order: orphan.order, reason: REASON.to_owned() }),
                Step::Refund => Next::Ask(NetworkAction::Refund { job: id, order: orphan.order }),
                Step::Done => Next::Release((counted > job.used.0 && job.status == JobStatus::Closed).then(|| {
                    let why = refused.as_deref().unwrap_or("the job was closed before");
                    format!("of its voucher's {counted} GPU-seconds {} were paid: {why}", job.used.0)
                })),
            }
        }
    }
}

/// Its job's own look let it go once the last voucher stood in the job's status. As a rule the job was settled then, and is
/// deleted since. Where the market says that it was not, the pod holds the only copy again.
fn let_go(orphan: &Orphan) -> Next {
    if orphan.deleted {
        // No finalizer can be put on it any more.
        return Next::Wait;
    }
    match &orphan.chain {
        _ if !orphan.leads => Next::Clear,
        Chain::Unseen => Next::Wait,
        Chain::Known { job, .. } if !matches!(job.status, JobStatus::None | JobStatus::Closed) => Next::Hold,
        // Without its network nobody can tell, and a network stays for as long as a job on it is not settled.
        Chain::Known { .. } | Chain::None | Chain::Lost(_) => Next::Clear,
    }
}

const POLICY: Policy = Policy { interval: Duration::from_hours(1), least: U256::ZERO, gas_cost: U256::ZERO };

/// Takes the next step with a pod that has no job; gives whether nothing is left to be done.
pub(super) async fn attend(context: &JobContext, meta: &PartialObjectMeta<Pod>) -> Result<bool, Error> {
    let shared = &context.shared;
    let (namespace, name) = (meta.namespace().ok_or(Error::Unnamed("namespace"))?, meta.name_any());
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let pod = api.get_opt(&name).await.tried(|| format!("pod {name}"))?.filter(|pod| pod.uid() == meta.uid());
    let Some(pod) = pod else { return Ok(true) };
    let state = pod_state::read(&pod);
    let Some(id) = job_id(&pod) else { return Ok(true) };
    // The order came back, as another object: that one reads the voucher, and lets the pod go.
    let of = JobPod::of(&pod).and_then(|pod| pod.job);
    let of = of.as_deref().unwrap_or(name.as_str());
    let is_its = |known: &ObjectRef<Packed>| known.name == of && known.namespace.as_ref() == Some(&namespace);
    if context.memory.job(id).filter(is_its).is_some_and(|known| shared.jobs.store.get(&known).is_some()) {
        return Ok(!state.has_finalizer);
    }
    let leaving = (state.has_finalizer && is_deleted(&pod)).then_some(());
    let (timers, now) = (&context.memory.timers, Instant::now());
    timers.note(id, Fact::Leaving, leaving, now);
    let leaving = timers.lasting(id, Fact::Leaving, now);
    let network = pod.annotations().get(NETWORK_ANNOTATION);
    let orphan = Orphan {
        deleted: state.deleted.is_some(),
        has_finalizer: state.has_finalizer,
        leads: name == of,
        is_terminated: state.is_terminated(leaving),
        voucher: words(&state, id),
        order: order(&pod),
        chain: chain(shared, network, id).await?,
    };
    let about = pod.object_ref(&());
    match next(&orphan, id) {
        Next::Wait => Ok(!orphan.has_finalizer),
        Next::Delete => {
            let note =
                "its ComputeJob is gone, its finalizer was removed by hand: the pod is ended, and what it used claimed";
            shared.events.emit(&about, true, "OrphanedPod", "Sweep", note).await;
            delete(&shared.client, meta).await?;
            Ok(false)
        }
        Next::Clear => {
            delete(&shared.client, meta).await?;
            Ok(true)
        }
        Next::Hold => {
            status_writer::set_finalizer(&api, &pod, POD_FINALIZER, true).await?;
            Ok(false)
        }
        Next::Ask(action) => {
            if let Some(network) = network.and_then(|name| shared.networks.get(name)) {
                network.request(action);
            }
            Ok(false)
        }
        Next::Release(lost) => {
            if let Some(lost) = lost {
                shared.events.emit(&about, true, "VoucherLost", "Sweep", &lost).await;
            }
            timers.forget(id);
            status_writer::set_finalizer(&api, &pod, POD_FINALIZER, false).await?;
            Ok(true)
        }
    }
}

/// The id by which the pod's meter signs.
fn job_id(pod: &Pod) -> Option<JobId> {
    let meter = pod.spec.as_ref()?.init_containers.iter().flatten().find(|c| c.name == METER_CONTAINER)?;
    meter.env.iter().flatten().find(|v| v.name == env::JOB_ID)?.value.as_ref()?.parse().ok()
}

/// Whose the pod's job is.
fn order(pod: &Pod) -> OrderRef {
    let said = |annotation: &str| pod.annotations().get(annotation).map(String::as_str);
    order_ref(said(CUSTOMER_ANNOTATION), said(ORDER_ANNOTATION))
}

fn words(state: &PodState, id: JobId) -> Option<SignedVoucher> {
    let message = TerminationMessage::parse(state.termination_message.as_deref()?).ok()?;
    Some(message.voucher).filter(|voucher| voucher.job == id)
}

async fn chain(shared: &Shared, network: Option<&String>, id: JobId) -> Result<Chain, Error> {
    let Some(name) = network else { return Ok(Chain::None) };
    let Some(network) = shared.networks.get(name) else {
        let api: Api<DepinNetwork> = Api::all(shared.client.clone());
        let all = api.list_metadata(&ListParams::default()).await.tried(|| "list depinnetworks".to_owned())?;
        let exists = all.items.iter().any(|network| network.name_any() == *name);
        return Ok(if exists {
            Chain::Unseen
        } else {
            Chain::Lost(format!("there is no DepinNetwork {name:?} any more"))
        });
    };
    let head = {
        let observed = network.observed();
        let observed = observed.borrow();
        observed.head.filter(|_| observed.connection.is_connected())
    };
    let Some(head) = head else { return Ok(Chain::Unseen) };
    let Ok(job) = network.job(id).await else { return Ok(Chain::Unseen) };
    Ok(Chain::Known { job: Box::new(job), time: head.time, refused: refused(&network, id) })
}

fn refused(network: &Network, id: JobId) -> Option<String> {
    match network.action(&ActionKey::Claim(id))? {
        ActionState::Refused { error } => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256, FixedBytes};
    use alloy::signers::local::PrivateKeySigner;
    use hawser_attestation::{EvidenceRoot, Market};
    use hawser_market::{AttestorTail, OfferId};
    use jiff::Timestamp;

    use super::*;

    fn id() -> JobId {
        JobId::from_parts(OfferId(FixedBytes::repeat_byte(7)), 3600, 2, FixedBytes::repeat_byte(1)).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn known(status: JobStatus, used: u64, refused: Option<&str>) -> Chain {
        let job = Job {
            id: id(),
            status,
            attestor: Some(AttestorTail::of(Address::repeat_byte(9))),
            duration_seconds: 100,
            start_deadline: Some(at(300)),
            started: Some(at(-50)),
            end: Some(at(50)),
            ending: false,
            refundable_from: Some(at(5000)),
            used: GpuSeconds(used),
            deposit: U256::from(200),
            paid: U256::from(used),
        };
        Chain::Known { job: Box::new(job), time: at(0), refused: refused.map(str::to_owned) }
    }

    fn order_of_job() -> OrderRef {
        OrderRef { customer: Address::repeat_byte(5), hash: B256::repeat_byte(6) }
    }

    fn orphan(chain: Chain) -> Orphan {
        let key = PrivateKeySigner::from_slice(&[3; 32]).unwrap();
        let count = hawser_market::GpuSeconds(60);
        let voucher = SignedVoucher::sign(&key, Market::default(), id(), count, EvidenceRoot(B256::ZERO)).unwrap();
        let (voucher, order) = (Some(voucher), order_of_job());
        Orphan { deleted: true, has_finalizer: true, leads: true, is_terminated: true, voucher, order, chain }
    }

    #[test]
    fn a_pod_without_a_job_ends_is_paid_for_closed_and_let_go() {
        let running = |used| orphan(known(JobStatus::Running, used, None));
        assert_eq!(next(&Orphan { deleted: false, ..running(0) }, id()), Next::Delete);
        assert_eq!(next(&Orphan { is_terminated: false, ..running(0) }, id()), Next::Wait);
        assert!(matches!(next(&running(0), id()), Next::Ask(NetworkAction::Claim(claim)) if claim.gpu_seconds == GpuSeconds(60)));
        let end = Next::Ask(NetworkAction::End {
            job: id(),
            order: order_of_job(),
            expect_used: GpuSeconds(60),
            reason: REASON.to_owned(),
        });
        assert_eq!(next(&running(60), id()), end);
        assert_eq!(next(&orphan(known(JobStatus::Closed, 60, None)), id()), Next::Release(None));
        assert_eq!(next(&orphan(Chain::Unseen), id()), Next::Wait, "the pod keeps it");
        assert_eq!(next(&orphan(Chain::None), id()), Next::Release(None), "a local job");
    }

    #[test]
    fn a_pod_that_its_settled_job_has_let_go_is_no_orphan_and_one_of_an_unsettled_job_is_held_again() {
        let let_go = |chain, deleted| Orphan { has_finalizer: false, deleted, ..orphan(chain) };
        let lost = || Chain::Lost("no DepinNetwork".to_owned());
        for (chain, expected) in [
            (known(JobStatus::Closed, 60, None), Next::Clear),
            // Paid less than was counted: its job has said so.
            (known(JobStatus::Closed, 20, Some("another attestor")), Next::Clear),
            (known(JobStatus::None, 0, None), Next::Clear),
            (Chain::None, Next::Clear),
            (lost(), Next::Clear),
            (Chain::Unseen, Next::Wait),
            (known(JobStatus::Open, 0, None), Next::Hold),
            (known(JobStatus::Running, 20, None), Next::Hold),
            (known(JobStatus::Ended, 60, None), Next::Hold),
        ] {
            assert_eq!(next(&let_go(chain.clone(), false), id()), expected, "{chain:?}");
            assert_eq!(next(&let_go(chain.clone(), true), id()), Next::Wait, "{chain:?}: it goes by itself");
            let held = Orphan { deleted: false, ..orphan(chain.clone()) };
            assert_eq!(next(&held, id()), Next::Delete, "{chain:?}: its job has not let it go");
        }
    }

    #[test]
    fn a_pod_of_another_member_than_the_leader_neither_claims_nor_closes_the_job_and_goes_with_a_word() {
        for chain in [known(JobStatus::Running, 0, None), known(JobStatus::Running, 60, None), Chain::Unseen] {
            let other = Orphan { leads: false, ..orphan(chain) };
            let next_of = |orphan: &Orphan| next(orphan, id());
            assert_eq!(next_of(&Orphan { deleted: false, ..other.clone() }), Next::Delete);
            assert_eq!(next_of(&Orphan { is_terminated: false, ..other.clone() }), Next::Wait);
            let Next::Release(Some(lost)) = next_of(&other) else { panic!("{:?}", next_of(&other)) };
            assert!(lost.contains("60 GPU-seconds can't be claimed"), "{lost}");
            assert_eq!(next_of(&Orphan { voucher: None, ..other.clone() }), Next::Release(None));
            assert_eq!(next_of(&Orphan { deleted: false, has_finalizer: false, ..other }), Next::Clear);
        }
    }

    #[test]
    fn a_loss_is_said_before_the_pod_goes() {
        let said = |orphan: &Orphan| match next(orphan, id()) {
            Next::Release(Some(lost)) => lost,
            other => format!("{other:?}"),
        };
        assert!(said(&orphan(Chain::Lost("no DepinNetwork".to_owned()))).contains("60 GPU-seconds can't be claimed"));
        assert!(said(&orphan(known(JobStatus::Closed, 20, None))).contains("60 GPU-seconds 20 were paid"));
        let refused = || Some("another attestor");
        let end = next(&orphan(known(JobStatus::Running, 20, refused())), id());
        assert!(matches!(end, Next::Ask(NetworkAction::End { expect_used: GpuSeconds(20), .. })), "{end:?}");
        assert!(said(&orphan(known(JobStatus::Closed, 20, refused()))).ends_with("another attestor"));
        let empty = Orphan { voucher: None, ..orphan(Chain::Lost("no DepinNetwork".to_owned())) };
        assert_eq!(next(&empty, id()), Next::Release(None), "nothing to lose");
    }

    #[test]
    fn whose_an_orphans_job_is_is_read_from_its_annotations() {
        let OrderRef { customer, hash } = order_of_job();
        let pod = |annotations: serde_json::Value| -> Pod {
            serde_json::from_value(serde_json::json!({"metadata": {"annotations": annotations}})).unwrap()
        };
        let said =
            pod(serde_json::json!({CUSTOMER_ANNOTATION: customer.to_string(), ORDER_ANNOTATION: hash.to_string()}));
        assert_eq!(order(&said), order_of_job());
        assert_eq!(order(&pod(serde_json::json!({}))), OrderRef::default());
    }
}
