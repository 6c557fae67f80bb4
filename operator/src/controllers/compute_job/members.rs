//! The pods of a job, one for each of its members. Every kind of job that there is has one member; nothing that decides
//! counts on it.

use std::time::Duration;

use hawser_crds::ComputeJob;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::attestation::JobRef;
use crate::inventory;
use crate::objects::pod_state::PodState;

/// What the attestation service calls a job.
pub(crate) fn job_ref(job: &ComputeJob) -> JobRef {
    JobRef { namespace: job.namespace().unwrap_or_default(), name: job.name_any() }
}

/// What the pods of a job's members are called, the leader's first.
pub(crate) fn names(job: &ComputeJob) -> Vec<String> {
    inventory::member_pods(&job.name_any(), inventory::members(&job.spec)).collect()
}

/// The pods of a job that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    /// What the pods of all members are called.
    names: Vec<String>,
    pods: Vec<PodState>,
}

impl Members {
    /// `names`: of the pods of all members; `pods`: those that are there.
    pub(crate) fn new(names: Vec<String>, pods: Vec<PodState>) -> Self {
        Self { names, pods }
    }

    /// What the pods of all members are called, whether they are there or not.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// What the leader's pod is called: the market knows its attestor alone.
    pub(crate) fn leader(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PodState> {
        self.pods.iter()
    }

    /// None of the pods is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// What the pods are called that are not there.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &str> {
        let is_there = |name: &str| self.pods.iter().any(|pod| pod.name == name);
        self.names.iter().map(String::as_str).filter(move |name| !is_there(name))
    }

    /// Whether each member has its pod.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The pod that a status names.
    pub(crate) fn first(&self) -> Option<&PodState> {
        self.pods.first()
    }

    /// The pod that holds the job up, or else the first: what people are told is of one pod.
    pub(crate) fn notable(&self) -> Option<&PodState> {
        self.pods.iter().find(|pod| pod.customer.started.is_none()).or(self.first())
    }

    /// Whether the program of a member runs at this moment, by what kubelet last said.
    pub(crate) fn any_runs(&self) -> bool {
        self.pods.iter().any(|pod| pod.customer.started.is_some() && pod.customer.ended.is_none())
    }

    /// When the program was started, once it is in each member: then the last one's.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        let starts: Option<Vec<Timestamp>> = self.pods.iter().map(|pod| pod.customer.started).collect();
        starts.filter(|_| self.is_complete())?.into_iter().max()
    }

    /// When the program had ended, or could not be started, in each member.
    pub(crate) fn ended(&self) -> Option<Timestamp> {
        let ended = |pod: &PodState| {
            let ended = pod.customer.ended.as_ref().map(|ended| ended.at);
            ended.or_else(|| pod.customer.never_ran.as_ref()?.at)
        };
        let ends: Option<Vec<Timestamp>> = self.pods.iter().map(ended).collect();
        ends?.into_iter().max()
    }

    /// No container of any runs or will run any more. `leaving`: for how long one was seen being deleted.
    pub(crate) fn are_terminated(&self, leaving: Duration) -> bool {
        self.pods.iter().all(|pod| pod.is_terminated(leaving))
    }

    /// No meter of theirs will report any more.
    pub(crate) fn meters_are_over(&self, leaving: Duration) -> bool {
        self.pods.iter().all(|pod| pod.meter_over || pod.is_terminated(leaving))
    }

    /// One holds its last voucher still.
    pub(crate) fn any_has_finalizer(&self) -> bool {
        self.pods.iter().any(|pod| pod.has_finalizer)
    }
}
