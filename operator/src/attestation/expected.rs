//! What passes between this service and the controllers: what a job's use is to be ([`ExpectedJob`]), and what its reports
//! came to ([`Attested`], [`StreamHealth`]). Plain data.

use std::{fmt, net::IpAddr};

use hawser_attestation::{Attestor, MarketId, SignedVoucher};
use hawser_market::{AttestorTail, GpuSeconds, JobId};
use jiff::Timestamp;

use super::refusal::Refusal;

/// A `ComputeJob` in this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One member of a job in this cluster. Each has a pod, with a meter and an attestor of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberRef {
    pub job: JobRef,
    /// What the member's pod is called.
    pub pod: String,
}

impl fmt::Display for MemberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job.namespace, self.pod)
    }
}

/// What is known of a job when its use is to be attested: said again at each reconcile, the newest counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedJob {
    pub job: JobRef,
    /// Name of its `DepinNetwork`; none for a local job.
    pub network: Option<String>,
    /// Name of its `GpuOffer`.
    pub offer: String,
    /// The market's id; for a local job `keccak256("namespace/name")`.
    pub id: JobId,
    /// The market that vouchers are made for; `MarketId::default()` for a local job.
    pub market: MarketId,
    /// All its members, whether their pods are there or not. The first leads: the market knows its attestor alone.
    pub members: Vec<ExpectedMember>,
    /// The job's present pods, one a member; none before they were created and after they are gone.
    pub pods: Vec<ExpectedPod>,
    /// Number of GPUs, of each member.
    pub gpus: u16,
    /// The network has the start (a local job: the attestor is enrolled).
    pub started: Option<StartedJob>,
    /// Who enrolled for the leader, as this operator or the job's status knows it.
    pub attestor: Option<Attestor>,
    /// When the members' counts begin: kubelet started the customer's container, or the free pull allowance was used up.
    pub begin: Option<Timestamp>,
    /// When the customer's container ended (or the job, whichever was first): nothing counts after it.
    pub ended: Option<Timestamp>,
    /// The newest voucher that the job's status holds: the leader's, since it has no place for another's.
    pub voucher: Option<SignedVoucher>,
    /// Another job had one of its cards first, as the job's status holds it: no report is taken any more.
    pub card_shared: Option<String>,
}

/// What is known of one member of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedMember {
    /// What its pod is called.
    pub pod: String,
    /// Use vouched for by earlier attestors of this member: where a new attestor's count goes on.
    pub base_gpu_seconds: GpuSeconds,
}

impl ExpectedMember {
    /// A member for which nobody has vouched before.
    pub fn new(pod: impl Into<String>) -> Self {
        Self { pod: pod.into(), base_gpu_seconds: GpuSeconds::ZERO }
    }
}

/// The pod that may enrol an attestor for a member of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedPod {
    /// Its name: the member's.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Name of its service account (in the job's namespace).
    pub service_account: String,
    /// Its addresses: its meter's connections are told by them from strangers'. None where it has none yet.
    pub addresses: Vec<IpAddr>,
}

/// A job's start as the market holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedJob {
    /// Block time of the start.
    pub at: Timestamp,
    /// Whose vouchers the market takes.
    pub attestor: AttestorTail,
}

/// What one member's meter is told, and by what its reports are checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExpectedMeter {
    pub(super) member: MemberRef,
    pub(super) id: JobId,
    pub(super) market: MarketId,
    pub(super) gpus: u16,
    /// When the job was started.
    pub(super) started: Option<Timestamp>,
    /// Its vouchers are those that the market takes.
    pub(super) leads: bool,
    /// Whose reports are taken: of the leader whom the market names, of any other member who enrolled for it last.
    pub(super) attestor: Option<AttestorTail>,
    pub(super) base_gpu_seconds: GpuSeconds,
    pub(super) begin: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
}

impl ExpectedJob {
    /// The member whose attestor the market knows.
    pub(super) fn leader(&self) -> Option<&ExpectedMember> {
        self.members.first()
    }

    /// Whether the member with this pod is that one.
    pub(super) fn leads(&self, pod: &str) -> bool {
        self.leader().is_some_and(|leader| leader.pod == pod)
    }

    /// What of this is for a member's meter; none where the job has no such member. `enrolled`: for the member, last.
    pub(super) fn meter(&self, pod: &str, enrolled: Option<Attestor>) -> Option<ExpectedMeter> {
        let member = self.members.iter().find(|member| member.pod == pod)?;
        let leads = self.leads(pod);
        let attestor =
            if leads { self.started.map(|started| started.attestor) } else { enrolled.map(AttestorTail::of) };
        Some(ExpectedMeter {
            member: MemberRef { job: self.job.clone(), pod: pod.to_owned() },
            id: self.id,
            market: self.market,
            gpus: self.gpus,
            started: self.started.map(|started| started.at),
            leads,
            attestor,
            base_gpu_seconds: member.base_gpu_seconds,
            begin: self.begin,
            ended: self.ended,
        })
    }
}

/// What the reports of one member's sidecar came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attested {
    /// The member's pod.
    pub pod: String,
    /// Whose key enrolled last: the leader's is the one to name in `startJobs`.
    pub attestor: Attestor,
    /// The member's GPUs as NVML gave them to probe; empty where NVML is not visible.
    pub gpu_uuids: Vec<String>,
    /// The newest voucher that was checked; its signer is `voucher_attestor`. Its evidence is stored, but for one out
    /// of a termination message while the store is away.
    pub voucher: Option<SignedVoucher>,
    /// Who signed `voucher`.
    pub voucher_attestor: Option<Attestor>,
    /// Reports taken since this operator started.
    pub accepted: u64,
    /// When the newest report was taken.
    pub last_report: Option<Timestamp>,
    /// The sidecar sent its last report, or its termination message was read: no more will come from this attestor.
    pub finished: bool,
    /// Where the customer reads the evidence of all members: `<this>/<attestor>/<000000>.jsonl`.
    pub evidence_url: String,
}

impl Attested {
    /// This attestor enrolled, and reported nothing yet.
    pub(super) fn nothing_yet(pod: &str, attestor: Attestor) -> Self {
        Self {
            pod: pod.to_owned(),
            attestor,
            gpu_uuids: Vec::new(),
            voucher: None,
            voucher_attestor: None,
            accepted: 0,
            last_report: None,
            finished: false,
            // Said when it is asked for.
            evidence_url: String::new(),
        }
    }

    /// Takes a voucher that was checked, if it is the newest.
    pub(super) fn propose(&mut self, attestor: Attestor, voucher: SignedVoucher) {
        if self.voucher.is_none_or(|had| had.gpu_seconds <= voucher.gpu_seconds) {
            self.voucher = Some(voucher);
            self.voucher_attestor = Some(attestor);
        }
    }
}

/// What was heard of a job at all, from before an attestor enrolled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHealth {
    /// Since when this operator listens: silence before it says nothing.
    pub since: Timestamp,
    /// The sidecar of each member has a stream open.
    pub connected: bool,
    /// When the newest report of each member was taken, that which is longest ago; none: not of each since `since`.
    pub last_report: Option<Timestamp>,
    /// What was refused last, of whichever member: of some it is not known whose it was.
    pub rejection: Option<Rejection>,
    /// Another job has one of its cards, and had it first: no report is taken any more.
    pub card_shared: Option<String>,
}

/// A refusal that concerns a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When.
    pub at: Timestamp,
    /// How many there were since [`StreamHealth::since`].
    pub times: u64,
    /// Why.
    pub refusal: Refusal,
}

#[cfg(test)]
pub(super) mod tests {
    use hawser_attestation::Digest;

    use super::*;

    /// A job for one GPU without members and pods.
    pub(in crate::attestation) fn unstarted(namespace: &str, name: &str, id: u8) -> ExpectedJob {
        ExpectedJob {
            job: JobRef { namespace: namespace.to_owned(), name: name.to_owned() },
            network: None,
            offer: "offer".to_owned(),
            id: JobId(Digest::repeat_byte(id)),
            market: MarketId::default(),
            members: Vec::new(),
            pods: Vec::new(),
            gpus: 1,
            started: None,
            attestor: None,
            begin: None,
            ended: None,
            voucher: None,
            card_shared: None,
        }
    }
}
