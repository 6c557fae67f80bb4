//! The termination message of a job's meter: what meter leaves in its pod's status when it ends, with the newest voucher.

use hawser_proto::attestation::RejectReason;

use super::job_ref;
use super::observed::Observed;
use crate::attestation::Attestations;

/// Takes the last voucher from where meter left it when it ended, unless its last report came already. Not before the
/// chain is seen: the pod keeps it meanwhile.
pub(crate) async fn read_message(seen: &mut Observed, attestations: &Attestations) {
    if !seen.chain_is_seen() {
        return;
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
        return;
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
}
