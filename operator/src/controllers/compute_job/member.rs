//! How the pod of one member ended, or is ending. Pure.

use hawser_crds::Outcome as OutcomeKind;

use super::ended::Outcome;
use super::outcome::conclude;
use crate::objects::pod_state::PodState;
use crate::reasons::Reason;

/// By its program.
pub(super) fn ended(pod: &PodState) -> Option<Outcome> {
    let ended_from_outside = pod.deleted.is_some() || pod.disruption.is_some();
    match &pod.customer.ended {
        Some(ended) if ended.code == 0 => {
            conclude(OutcomeKind::Completed, Reason::ProgramEnded, "the program ended with exit code 0")
        }
        // The exit code is that of the signal, the reason is who sent it.
        _ if pod.given_up.is_some() => given_up(pod),
        _ if ended_from_outside => None,
        Some(ended) => conclude(
            OutcomeKind::Failed,
            ended.reason.clone(),
            format!("the program ended with exit code {}", ended.code),
        ),
        None => {
            let (reason, message) = pod.failure.clone()?;
            conclude(OutcomeKind::Failed, reason, message)
        }
    }
}

/// kubelet gave up the pod. Who made it do so is said better where somebody else did.
fn given_up(pod: &PodState) -> Option<Outcome> {
    let (reason, message) = match &pod.disruption {
        Some((reason, message)) if *reason != Reason::TerminationByKubelet => (reason, message),
        _ => pod.given_up.as_ref().map(|(reason, message)| (reason, message))?,
    };
    conclude(OutcomeKind::Failed, reason.clone(), message)
}

/// Of a pod that is taken away, or deleted.
pub(super) fn leaves(pod: &PodState) -> Option<Outcome> {
    if let Some((reason, message)) = &pod.disruption {
        let told = if message.is_empty() {
            "the pod was taken away: what was used is claimed, the rest goes back"
        } else {
            message
        };
        return conclude(OutcomeKind::Failed, reason.clone(), told);
    }
    pod.deleted?;
    conclude(
        OutcomeKind::Failed,
        Reason::PodDeleted,
        format!("pod {} was deleted: what was used is claimed, the rest goes back", pod.name),
    )
}
