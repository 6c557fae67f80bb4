//! Everything that a decision about a job rests on, as plain data, and what follows from it at once.
//!
//! `dereference` fills it in, `observe` and `termination` add to it; `decide`, `outcome`, `expectation` and `status` read it.

use std::sync::Arc;

use hawser_attestation::Attestor;
use hawser_crds::{ComputeJob, ComputeJobStatus, GpuOffer};
use jiff::{SignedDuration, Timestamp};

use super::lasting::Lasting;
use super::members::Members;
use crate::attestation::{Attested, Rejection, StreamHealth};
use crate::controllers::allocation::Allocation;
use crate::network::{ActionKey, Job, JobId, Subject, Token, Units};
use crate::objects::pod_state;
use crate::reasons::Reason;
use crate::settlement::plan::Policy;

/// Everything that one decision about a job rests on.
#[derive(Clone, Debug)]
pub(crate) struct JobObservation {
    pub job: Arc<ComputeJob>,
    /// The network's id; for a local job one made from its name.
    pub id: JobId,
    /// What its evidence and vouchers say it is; none while its network is not there to tell.
    pub subject: Option<Subject>,
    pub offer: Option<Arc<GpuOffer>>,
    /// The offer is there and can't be read.
    pub offer_unreadable: bool,
    pub chain: ChainView,
    /// The market shows the started job as open. A node that lags or a reorganisation: too early to believe it, but
    /// starting the job again does no harm.
    pub unstarted: bool,
    /// The offer's token; none where it can't be read.
    pub token: Option<Token>,
    /// Its pods, one a member.
    pub pods: Members,
    /// What the meter of each member attested, once it had enrolled, in the members' order.
    pub attested: Vec<Attested>,
    /// Whether the GPUs are there, for a job that is not accepted yet: if not, why. None: not known yet.
    pub allocation: Allocation,
    pub policy: Policy,
    /// Token units that its transactions cost from start to end; zero where that is not known.
    pub order_cost: Units,
    /// What was heard of the pods' meters, also before they enrolled; none for a job that is not expected yet.
    pub heard: Option<StreamHealth>,
    /// Why the last words of a pod's meter could not be taken yet.
    pub unheard: Option<String>,
    /// Why the API server does not take the job's pod.
    pub pod_refused: Option<PodRefused>,
    /// What the market or the wallet said against an action for this job, in words.
    pub obstacle: Option<(ActionKey, String)>,
    /// The market won't take the last voucher and the end in one call.
    pub unsettleable: bool,
    /// The newest transaction for this job.
    pub tx: Option<String>,
    /// The chain's time now: that of the newest block, and what has passed since it came. Kept where the chain can't be seen
    /// any more; none where no block was seen yet.
    pub chain_time: Option<Timestamp>,
    /// For how long what is seen has been so.
    pub lasting: Lasting,
    /// What says that the job's cards fail.
    pub failing: Option<String>,
    /// For how long the job is kept once it is settled.
    pub retention: SignedDuration,
    /// By the operator's own clock: for what people read, and for nothing that ends a job.
    pub now: Timestamp,
}

/// The API server's word against a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodRefused {
    /// The pod can't be made as it is; otherwise a quota or an admission webhook may let it in later.
    pub for_good: bool,
    /// The API server's words.
    pub message: String,
}

/// What is known of the job on chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ChainView {
    /// Written by hand: there is nothing on chain.
    Local,
    /// The chain can't be seen now. That says nothing about the job.
    Unknown(String),
    /// As the market holds it.
    Known {
        job: Box<Job>,
        /// Time of the newest block.
        time: Timestamp,
        /// Closed for so many blocks that a reorganisation won't open it again.
        deep: bool,
    },
}

impl JobObservation {
    /// The status as it is stored.
    pub(crate) fn stored(&self) -> ComputeJobStatus {
        self.job.status.clone().unwrap_or_default()
    }

    pub(crate) fn chain_job(&self) -> Option<&Job> {
        match &self.chain {
            ChainView::Known { job, .. } => Some(job),
            ChainView::Local | ChainView::Unknown(_) => None,
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.chain == ChainView::Local
    }

    /// A person wants it to end.
    pub(crate) fn unwanted(&self) -> Option<Reason> {
        if self.job.metadata.deletion_timestamp.is_some() {
            Some(Reason::Deleted)
        } else if self.job.spec.terminate {
            Some(Reason::Terminated)
        } else {
            None
        }
    }

    /// The time by which the job's own times are judged: the chain's; for a local job there is only the operator's.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        if self.is_local() { Some(self.now) } else { self.chain_time }
    }

    /// When the customer's container was started, in every member: by kubelet now, or as the status holds it from before.
    pub(crate) fn container_started(&self) -> Option<Timestamp> {
        let now = self.pods.started();
        let stored = || self.job.status.as_ref()?.container_started_at.as_ref().map(|t| t.0);
        now.or_else(|| stored().filter(|at| pod_state::is_start(*at)))
    }

    /// Seconds from the order's block to the start of the customer's container, where the status doesn't hold that yet.
    pub(crate) fn runs_after(&self) -> Option<f64> {
        let started = self.container_started().filter(|_| self.stored().container_started_at.is_none())?;
        let window = self.offer.as_ref()?.spec.limits.start_window_seconds;
        let ordered = self.chain_job()?.start_deadline?.checked_sub(SignedDuration::from_secs(window.into())).ok()?;
        // Two clocks: the chain's and the node's.
        Some(started.duration_since(ordered).as_secs_f64().max(0.0))
    }

    /// When it ended, or could not be started.
    pub(crate) fn container_ended(&self) -> Option<Timestamp> {
        self.pods.ended().or_else(|| self.job.status.as_ref()?.container_finished_at.as_ref().map(|t| t.0))
    }

    /// What the meter of the member with this pod attested, once it had enrolled.
    pub(crate) fn attested_of(&self, pod: &str) -> Option<&Attested> {
        self.attested.iter().find(|attested| attested.pod == pod)
    }

    /// The same of the leader.
    pub(crate) fn leader(&self) -> Option<&Attested> {
        self.attested_of(self.pods.leader()?)
    }

    /// What was refused last, once a member has enrolled.
    pub(crate) fn rejection(&self) -> Option<&Rejection> {
        self.heard.as_ref()?.rejection.as_ref().filter(|_| !self.attested.is_empty())
    }

    /// Whom the market is told to be the job's attestor: the leader's, enrolled now, or as the status holds it from before.
    pub(crate) fn attestor(&self) -> Option<Attestor> {
        let enrolled = self.leader().map(|attested| attested.attestor);
        enrolled.or_else(|| self.job.status.as_ref()?.attestor.as_ref()?.parse().ok())
    }

    /// The chain's word on the job is at hand. Without it a voucher can't be judged: who may sign, and since when.
    pub(crate) fn chain_is_seen(&self) -> bool {
        !matches!(self.chain, ChainView::Unknown(_))
    }

    /// The last report of each member's meter came.
    pub(crate) fn has_finished(&self) -> bool {
        let has = |pod: &String| self.attested_of(pod).is_some_and(|attested| attested.finished);
        !self.attested.is_empty() && self.pods.names().iter().all(has)
    }

    /// No report will come any more, and every one that came could be judged.
    pub(crate) fn reports_are_over(&self) -> bool {
        if !self.chain_is_seen() || self.unheard.is_some() {
            return false;
        }
        self.has_finished() || self.pods.meters_are_over(self.lasting.leaving)
    }

    /// Until when the time is paid for, as it was last seen.
    pub(crate) fn paid_until(&self) -> Option<Timestamp> {
        let seen = self.chain_job().and_then(|job| job.end);
        seen.or_else(|| self.job.status.as_ref()?.settlement.as_ref()?.paid_until.as_ref().map(|t| t.0))
    }
}
