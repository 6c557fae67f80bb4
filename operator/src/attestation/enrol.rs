//! Who may attest a job: the pod that its token is bound to, or a key that is known already.

use hawser_attestation::{Attestor, Digest, VoucherSignature, session_proof_hash};
use hawser_market::JobId;
use hawser_proto::attestation::{Enroll, RejectReason, Resume};
use jiff::Timestamp;

use super::{
    expected::{ExpectedJob, ExpectedPod, JobRef, MemberRef},
    refusal::Refusal,
    registry::Attestations,
    review::{ReviewError, Reviewed, TokenReviewer},
};

/// A sidecar that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) member: MemberRef,
    pub(super) id: JobId,
    pub(super) attestor: Attestor,
    /// As enrolled; `None` on a resume: known from memory, or from the evidence's header.
    pub(super) gpu_uuids: Option<Vec<String>>,
}

/// Why not, and whose status has to say so (`None`: nobody is known to be meant).
pub(super) type Unproven = (Option<JobRef>, Refusal);

/// Longest list of GPUs that is kept; a node has at most 16 and a MIG-sliced one 112.
const MAX_GPUS: usize = 128;
/// Longest UUID that is kept, in bytes: `GPU-` or `MIG-` and 36 characters.
const MAX_UUID_BYTES: usize = 64;

pub(super) async fn enroll(
    attestations: &Attestations,
    reviewer: &impl TokenReviewer,
    nonce: Digest,
    enroll: Enroll,
) -> Result<Proven, Unproven> {
    let (expected, attestor) = claimed(attestations, &enroll.job_id, &enroll.attestor, &enroll.proof, nonce)?;
    let job = expected.job.clone();
    let blame = |refusal| (Some(job.clone()), refusal);
    if enroll.gpu_uuids.len() > MAX_GPUS || enroll.gpu_uuids.iter().any(|uuid| uuid.len() > MAX_UUID_BYTES) {
        let message = format!("the list of GPUs is too long: at most {MAX_GPUS} of {MAX_UUID_BYTES} bytes");
        return Err(blame(Refusal::new(RejectReason::Unauthenticated, message)));
    }
    // A pod may start before its job is looked at again.
    has_pod(&expected).map_err(|refusal| (None, refusal))?;
    let owner = reviewer.review(&enroll.token).await.map_err(|error| match error {
        // Anybody who reaches the port can send a wrong token: that is no news of this job.
        ReviewError::Refused(_) | ReviewError::NotBound(_) => {
            (None, Refusal::new(RejectReason::Unauthenticated, error.to_string()))
        }
        ReviewError::Unavailable(_) => blame(Refusal::new(RejectReason::Unavailable, error.to_string())),
    })?;
    let pod = owned_pod(&expected, &owner).map_err(blame)?;
    let member = MemberRef { job: job.clone(), pod: pod.name.clone() };
    attestations.enrol_key(&member, &pod.uid, attestor, Timestamp::now()).map_err(|until| {
        let message = format!(
            "pod {} has changed its attestor's key too often within an hour: another one is taken at {until}. Its meter's \
             own key is taken at any time. Was the pod's token stolen? End the job with spec.terminate if so",
            pod.name
        );
        blame(Refusal::new(RejectReason::Unauthenticated, message))
    })?;
    Ok(Proven { member, id: expected.id, attestor, gpu_uuids: Some(enroll.gpu_uuids) })
}

pub(super) fn resume(attestations: &Attestations, nonce: Digest, resume: &Resume) -> Result<Proven, Unproven> {
    let (expected, attestor) = claimed(attestations, &resume.job_id, &resume.attestor, &resume.proof, nonce)?;
    let known = attestations.attested(&expected.job).into_iter().find(|attested| attested.attestor == attestor);
    let on_chain = expected.started.is_some_and(|started| started.attestor.is(attestor));
    let leader = expected.leader().filter(|_| on_chain).map(|leader| leader.pod.clone());
    let Some(pod) = known.as_ref().map(|attested| attested.pod.clone()).or(leader) else {
        let message = format!("attestor {attestor} is not known for job {}: enrol again", expected.job);
        return Err((None, Refusal::new(RejectReason::Unauthenticated, message)));
    };
    let gpu_uuids = known.map(|attested| attested.gpu_uuids).filter(|uuids| !uuids.is_empty());
    Ok(Proven { member: MemberRef { job: expected.job, pod }, id: expected.id, attestor, gpu_uuids })
}

/// The job and the key that a sidecar says it is, with the proof that it holds the key.
fn claimed(
    attestations: &Attestations,
    job_id: &[u8],
    attestor: &[u8],
    proof: &[u8],
    nonce: Digest,
) -> Result<(ExpectedJob, Attestor), Unproven> {
    let refuse = |reason, message: String| (None, Refusal::new(reason, message));
    let id = Digest::try_from(job_id)
        .map(JobId)
        .map_err(|_| refuse(RejectReason::UnknownJob, format!("a job id has 32 bytes, not {}", job_id.len())))?;
    let attestor = Attestor::try_from(attestor).map_err(|_| {
        refuse(RejectReason::Unauthenticated, format!("an attestor's address has 20 bytes, not {}", attestor.len()))
    })?;
    let Some(expected) = attestations.by_id(id) else {
        return Err(refuse(
            RejectReason::UnknownJob,
            format!("no job {id} is expected: it is over, or its network was not seen since this operator began"),
        ));
    };
    let hash = session_proof_hash(expected.market, id, nonce);
    let signer = VoucherSignature::from_bytes(proof)
        .and_then(|proof| proof.signer(hash))
        .map_err(|error| refuse(RejectReason::Unauthenticated, format!("the proof is wrong: {error}")))?;
    if signer != attestor {
        let message = format!("the proof over this stream's nonce is signed by {signer}, not by attestor {attestor}");
        return Err(refuse(RejectReason::Unauthenticated, message));
    }
    Ok((expected, attestor))
}

fn has_pod(expected: &ExpectedJob) -> Result<(), Refusal> {
    if expected.pods.is_empty() {
        return Err(Refusal::new(RejectReason::UnknownJob, format!("job {} has no pod now", expected.job)));
    }
    Ok(())
}

/// The member's pod to which the token is bound.
fn owned_pod<'a>(expected: &'a ExpectedJob, reviewed: &Reviewed) -> Result<&'a ExpectedPod, Refusal> {
    let found = (&reviewed.namespace, &reviewed.service_account, &reviewed.pod, &reviewed.uid);
    let is_its = |pod: &&ExpectedPod| (&expected.job.namespace, &pod.service_account, &pod.name, &pod.uid) == found;
    expected.pods.iter().find(is_its).ok_or_else(|| {
        let wanted = expected.pods.iter().map(|pod| {
            format!(
                "{}/{} (uid {}, service account {})",
                expected.job.namespace, pod.name, pod.uid, pod.service_account
            )
        });
        let message = format!(
            "the token is of pod {}/{} (uid {}, service account {}), the job's pod is {}",
            found.0,
            found.2,
            found.3,
            found.1,
            wanted.collect::<Vec<_>>().join(" or ")
        );
        Refusal::new(RejectReason::WrongPod, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::ExpectedMember;
    use crate::attestation::expected::tests::unstarted;

    fn expected(uids: &[&str]) -> ExpectedJob {
        let pod = |uid: &&str| ExpectedPod {
            name: format!("job-{uid}"),
            uid: (*uid).to_owned(),
            service_account: "hawser-job".to_owned(),
            addresses: Vec::new(),
        };
        ExpectedJob {
            members: ["a", "b"].map(|uid| ExpectedMember::new(format!("job-{uid}"))).to_vec(),
            pods: uids.iter().map(pod).collect(),
            ..unstarted("t", "job", 0)
        }
    }

    #[test]
    fn the_pod_of_each_member_may_enrol_and_no_other() {
        let owner = |name: &str, uid: &str| Reviewed {
            namespace: "t".to_owned(),
            service_account: "hawser-job".to_owned(),
            pod: name.to_owned(),
            uid: uid.to_owned(),
        };
        let two = expected(&["a", "b"]);
        for uid in ["a", "b"] {
            let pod = owned_pod(&two, &owner(&format!("job-{uid}"), uid)).map(|pod| pod.uid.as_str());
            assert_eq!(pod, Ok(uid));
        }
        let refused = owned_pod(&two, &owner("job-a", "b")).unwrap_err();
        assert_eq!(refused.reason, RejectReason::WrongPod);
        assert!(
            refused.message.contains("t/job-a (uid a, service account hawser-job) or t/job-b"),
            "{}",
            refused.message
        );
        assert!(has_pod(&two).is_ok() && has_pod(&expected(&[])).is_err());
    }
}
