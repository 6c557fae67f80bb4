//! A pod whose `ComputeJob` is gone: what is known of it, its next step as a pure function, and that step taken.

use std::time::{Duration, Instant};

use hawser_attestation::{SignedVoucher, TerminationMessage};
use hawser_crds::DepinNetwork;
use hawser_proto::pod::{METER_CONTAINER, env};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use tracing::warn;

use super::pods::{delete, is_deleted};
use crate::controllers::compute_job::lasting::Fact;
use crate::controllers::compute_job::manifests::{
    CUSTOMER_ANNOTATION, JOB_ID_ANNOTATION, NETWORK_ANNOTATION, ORDER_ANNOTATION, POD_FINALIZER,
};
use crate::controllers::compute_job::memory::JobContext;
use crate::controllers::packed::Packed;
use crate::controllers::{Error, Shared, Tried, status_writer};
use crate::inventory::JobPod;
use crate::network::{
    ActionKey, ActionState, GpuSeconds, Job, JobId, JobStatus, Network, NetworkAction, NetworkError, On, OrderRef,
    Payment, Subject, Units,
};
use crate::objects::pod_state::{self, PodState};
use crate::reasons::Reason;
use crate::settlement::plan::{self, Policy, Step};

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
    chain: OrphanChainView,
}

/// What the market holds of its job.
#[derive(Clone, Debug)]
enum OrphanChainView {
    /// It never was on one.
    None,
    /// There is no `DepinNetwork` of this name any more.
    Lost(String),
    /// It can't be seen now.
    Unseen,
    Known {
        job: Box<Job>,
        time: jiff::Timestamp,
        /// When its network pays.
        payment: Payment,
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

fn next(orphan: &Orphan, id: &JobId) -> Next {
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
        OrphanChainView::None => Next::Release(None),
        OrphanChainView::Unseen => Next::Wait,
        OrphanChainView::Lost(why) => Next::Release((counted > 0).then(|| {
            format!(
                "its voucher over {counted} GPU-seconds can't be claimed, what of it was not claimed yet is lost: {why}"
            )
        })),
        OrphanChainView::Known { job, time, payment, refused } => {
            let attested = if refused.is_some() { job.used } else { GpuSeconds(counted.max(job.used.0)) };
            match plan::next(job, attested, true, *time, policy(*payment)) {
                Step::Wait => Next::Wait,
                Step::Claim(_) => orphan.voucher.map_or(Next::Wait, |voucher| {
                    let job = id.clone();
                    Next::Ask(match payment {
                        Payment::Cumulative => NetworkAction::Claim { job, voucher },
                        Payment::OnceAtTheEnd => NetworkAction::Settle { job, voucher, order: orphan.order.clone() },
                    })
                }),
                Step::End { expect_used } => Next::Ask(NetworkAction::End {
                    job: id.clone(),
                    order: orphan.order.clone(),
                    expect_used,
                    reason: Reason::JobObjectGone.to_string(),
                }),
                Step::Decline => Next::Ask(NetworkAction::Decline {
                    job: id.clone(),
                    order: orphan.order.clone(),
                    reason: Reason::JobObjectGone.to_string(),
                }),
                Step::Refund => Next::Ask(NetworkAction::Refund { job: id.clone(), order: orphan.order.clone() }),
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
        OrphanChainView::Unseen => Next::Wait,
        OrphanChainView::Known { job, .. } if !matches!(job.status, JobStatus::None | JobStatus::Closed) => Next::Hold,
        // Without its network nobody can tell, and a network stays for as long as a job on it is not settled.
        OrphanChainView::Known { .. } | OrphanChainView::None | OrphanChainView::Lost(_) => Next::Clear,
    }
}

/// The job is over: nothing is held back.
fn policy(payment: Payment) -> Policy {
    Policy { payment, interval: Duration::from_hours(1), least: Units::ZERO, claim_cost: Units::ZERO }
}

/// Takes the next step with a pod that has no job; gives whether nothing is left to be done.
pub(super) async fn reconcile(context: &JobContext, meta: &PartialObjectMeta<Pod>) -> Result<bool, Error> {
    let shared = &context.shared;
    let (namespace, name) = (meta.namespace().ok_or(Error::Unnamed("namespace"))?, meta.name_any());
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let pod = api.get_opt(&name).await.tried(|| format!("pod {name}"))?.filter(|pod| pod.uid() == meta.uid());
    let Some(pod) = pod else { return Ok(true) };
    let state = pod_state::read(&pod);
    let Some(signed) = signed_id(&pod) else { return Ok(true) };
    let id = &job_id(&pod, signed);
    // The order came back, as another object: that one reads the voucher, and lets the pod go.
    let of = JobPod::of(&pod).and_then(|pod| pod.job);
    let of = of.as_deref().unwrap_or(name.as_str());
    let network = pod.annotations().get(NETWORK_ANNOTATION);
    let ordered = network.map(|network| On::new(network, id.clone()));
    let is_its = |job: &Packed| job.unsettled().is_some() && job.order() == ordered.as_ref();
    if shared.job(&namespace, of).is_some_and(|job| is_its(&job)) {
        return Ok(!state.has_finalizer);
    }
    let leaving = (state.has_finalizer && is_deleted(&pod)).then_some(());
    let job = (namespace.clone(), of.to_owned());
    let (timers, now) = (&context.memory.timers, Instant::now());
    timers.note(&job, Fact::Leaving, leaving, now);
    let leaving = timers.lasting(&job, Fact::Leaving, now);
    let orphan = Orphan {
        deleted: state.deleted.is_some(),
        has_finalizer: state.has_finalizer,
        leads: name == of,
        is_terminated: state.is_terminated(leaving),
        voucher: words(&state, signed),
        order: order(&pod),
        chain: chain(shared, network, (id, signed)).await?,
    };
    let about = pod.object_ref(&());
    match next(&orphan, id) {
        Next::Wait => Ok(!orphan.has_finalizer),
        Next::Delete => {
            let note =
                "its ComputeJob is gone, its finalizer was removed by hand: the pod is ended, and what it used claimed";
            shared.events.emit(&about, true, &Reason::OrphanedPod, "Sweep", note).await;
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
                shared.events.emit(&about, true, &Reason::VoucherLost, "Sweep", &lost).await;
            }
            timers.forget(&job);
            status_writer::set_finalizer(&api, &pod, POD_FINALIZER, false).await?;
            Ok(true)
        }
    }
}

/// The id by which the pod's meter signs.
fn signed_id(pod: &Pod) -> Option<&str> {
    let meter = pod.spec.as_ref()?.init_containers.iter().flatten().find(|c| c.name == METER_CONTAINER)?;
    meter.env.iter().flatten().find(|v| v.name == env::JOB_ID)?.value.as_deref()
}

/// The id by which the job is known. Pods of an earlier release name only that by which meter signs: there it is the same.
fn job_id(pod: &Pod, signed: &str) -> JobId {
    JobId::from(pod.annotations().get(JOB_ID_ANNOTATION).map_or(signed, String::as_str))
}

/// Whose the pod's job is.
fn order(pod: &Pod) -> OrderRef {
    let said = |annotation: &str| pod.annotations().get(annotation).map(String::as_str);
    OrderRef::new(said(CUSTOMER_ANNOTATION), said(ORDER_ANNOTATION))
}

fn words(state: &PodState, signed: &str) -> Option<SignedVoucher> {
    let message = TerminationMessage::parse(state.termination_message.as_deref()?).ok()?;
    Some(message.voucher).filter(|voucher| voucher.job.to_string() == signed)
}

async fn chain(
    shared: &Shared,
    network: Option<&String>,
    (id, signed): (&JobId, &str),
) -> Result<OrphanChainView, Error> {
    let Some(name) = network else { return Ok(OrphanChainView::None) };
    let Some(network) = shared.networks.get(name) else {
        let api: Api<DepinNetwork> = Api::all(shared.client.clone());
        let all = api.list_metadata(&ListParams::default()).await.tried(|| "list depinnetworks".to_owned())?;
        let exists = all.items.iter().any(|network| network.name_any() == *name);
        return Ok(if exists {
            OrphanChainView::Unseen
        } else {
            OrphanChainView::Lost(format!("there is no DepinNetwork {name:?} any more"))
        });
    };
    // An annotation can be changed, what meter signs can't: nothing is asked for another job.
    if !is_signed_for(&network.subject(id), signed) {
        warn!(job = %id, signed, network = name, "the job that a pod's annotation names is not the one that its meter signs for");
        return Ok(OrphanChainView::Unseen);
    }
    let status = network.status();
    let Some(head) = status.head.filter(|_| status.connection.is_connected()) else {
        return Ok(OrphanChainView::Unseen);
    };
    let Ok(job) = network.job(id).await else { return Ok(OrphanChainView::Unseen) };
    let payment = network.profile().payment;
    Ok(OrphanChainView::Known {
        job: Box::new(job),
        time: head.time,
        payment,
        refused: refused(&*network, payment, id),
    })
}

/// Whether a job is the one that a meter signs for.
fn is_signed_for(subject: &Result<Subject, NetworkError>, signed: &str) -> bool {
    subject.as_ref().is_ok_and(|subject| subject.id.to_string() == signed)
}

fn refused(network: &dyn Network, payment: Payment, id: &JobId) -> Option<String> {
    let claim = match payment {
        Payment::Cumulative => ActionKey::Claim(id.clone()),
        Payment::OnceAtTheEnd => ActionKey::Settle(id.clone()),
    };
    match network.action(&claim)? {
        ActionState::Refused { error } => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
