//! What the attestation service is told about a job.

use hawser_market::AttestorTail;
use jiff::{SignedDuration, Timestamp};

use super::manifests::SERVICE_ACCOUNT;
use super::observation::JobObservation;
use super::voucher;
use crate::attestation::{ExpectedJob, ExpectedMember, ExpectedPod, JobRef, StartedJob};
use crate::network::JobStatus;
use crate::objects::pod_state::PodState;

/// What is known of the job now; none while nobody can tell what its vouchers are made for.
pub(crate) fn expected(seen: &JobObservation, job: JobRef) -> Option<ExpectedJob> {
    let (subject, started) = (seen.subject?, started(seen));
    Some(ExpectedJob {
        job,
        network: seen.job.spec.source.as_ref().map(|source| source.network.clone()),
        offer: seen.job.spec.offer_ref.clone(),
        id: subject.id,
        market: subject.market,
        // A member has one pod and that one meter: nobody has vouched for it before this one.
        members: seen.pods.names().iter().map(ExpectedMember::new).collect(),
        pods: seen.pods.iter().map(expected_pod).collect(),
        gpus: u16::try_from(seen.job.spec.workload.gpus).unwrap_or(u16::MAX),
        begin: started.and_then(|started| begin(seen, started.at)),
        ended: ended(seen),
        started,
        attestor: seen.attestor(),
        voucher: voucher::stored(seen),
        card_shared: seen.job.status.as_ref().and_then(|status| status.usage.as_ref()?.card_shared.clone()),
    })
}

fn expected_pod(pod: &PodState) -> ExpectedPod {
    ExpectedPod {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        service_account: SERVICE_ACCOUNT.to_owned(),
        addresses: pod.addresses.clone(),
    }
}

/// The start, by the market; a local job starts when its leader's attestor enrols.
pub(crate) fn started(seen: &JobObservation) -> Option<StartedJob> {
    if seen.is_local() {
        let attestor = seen.attestor()?;
        let stored = seen.job.status.as_ref().and_then(|status| status.started_at.as_ref());
        return Some(StartedJob { at: stored.map_or(seen.now, |at| at.0), attestor: AttestorTail::of(attestor) });
    }
    let job = seen.chain_job().filter(|job| matches!(job.status, JobStatus::Running | JobStatus::Ended))?;
    Some(StartedJob { at: job.started?, attestor: job.attestor? })
}

/// The count begins when kubelet started the customer's container, or when the free time for pulling is used up: a
/// registry that drips bytes must not hold GPUs unpaid.
pub(crate) fn begin(seen: &JobObservation, started: Timestamp) -> Option<Timestamp> {
    let free = seen.offer.as_ref().map_or(0, |o| o.spec.pull.free_seconds);
    let pull_over = started.checked_add(SignedDuration::from_secs(i64::from(free))).unwrap_or(started);
    match seen.container_started() {
        Some(at) => Some(at.min(pull_over)),
        // What could not be started was pulled until then.
        None => (seen.container_ended().or_else(|| seen.time())? >= pull_over).then_some(pull_over),
    }
}

/// Nothing counts after the container's or the job's end.
fn ended(seen: &JobObservation) -> Option<Timestamp> {
    let paid_until = seen.chain_job().and_then(|job| job.end).filter(|end| seen.time().is_some_and(|now| *end <= now));
    [seen.container_ended(), paid_until].into_iter().flatten().min()
}
