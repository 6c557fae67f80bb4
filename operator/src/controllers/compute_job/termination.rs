//! The termination messages of a job's meters: what each leaves in its pod's status when it ends, with the newest voucher.

use hawser_proto::attestation::RejectReason;

use super::members::job_ref;
use super::observation::JobObservation;
use crate::attestation::{Attestations, MemberRef};

/// Takes the last voucher of each member from where its meter left it when it ended, unless all last reports came already.
/// Not before the chain is seen: the pods keep it meanwhile.
pub(crate) async fn read_message(seen: &mut JobObservation, attestations: &Attestations) {
    if !seen.chain_is_seen() || seen.has_finished() {
        return;
    }
    let job = job_ref(&seen.job);
    let left = seen
        .pods
        .iter()
        .filter(|pod| pod.has_finalizer && seen.attested_of(&pod.name).is_none_or(|attested| !attested.finished))
        .filter_map(|pod| Some((pod.name.clone(), pod.meter_over, pod.termination_message.clone()?)));
    for (pod, is_over, message) in left.collect::<Vec<_>>() {
        let member = MemberRef { job: job.clone(), pod };
        if is_over {
            read_last(seen, &member, &message, attestations).await;
        } else if let Err(refusal) = attestations.read_earlier_message(&member, &message).await {
            // It was started again, or will be: kubelet forgets this message at its next end.
            tracing::info!(%job, %refusal, "what the job's meter left at an earlier end brings no voucher");
        }
        seen.attested = attestations.attested(&job);
    }
}

async fn read_last(seen: &mut JobObservation, member: &MemberRef, message: &str, attestations: &Attestations) {
    let job = &member.job;
    match attestations.read_termination_message(member, message).await {
        Ok(_) => {}
        // Looked at again later; the pod keeps it meanwhile, and what is known already can be claimed.
        Err(refusal) if refusal.reason == RejectReason::Unavailable => seen.unheard = Some(refusal.to_string()),
        Err(refusal) => {
            tracing::warn!(%job, %refusal, "the termination message of the job's meter brings no voucher");
        }
    }
    seen.heard = attestations.stream_health(job);
}
