//! What a job needs in the cluster, as pure functions of the job, its offer and the operator's settings.

mod canary;
mod customer;
mod isolation;
mod pod;

pub(crate) use canary::{CanaryInput, UNDER_ANNOTATION, canary, canary_name};
pub(crate) use isolation::{Surroundings, ca_config_map, network_policy, service_account};
pub(crate) use pod::with_host_alias;
pub(crate) use pod::{PodInput, pod};

pub(crate) use crate::objects::{CA_CONFIG_MAP, POD_FINALIZER};

/// Service account of the jobs' pods: it has no role, and only meter gets a token of it, for one audience.
pub(crate) const SERVICE_ACCOUNT: &str = "hawser-job";
/// Label that ties a pod to its job.
pub(crate) const JOB_LABEL: &str = "hawser.dev/job";
/// Annotation of the jobs' pods: the `DepinNetwork`, so that a pod that has lost its job can still be settled.
pub(crate) const NETWORK_ANNOTATION: &str = "hawser.dev/network";
/// The job's id as its network has it: what its meter signs stands for that and need not tell it.
pub(crate) const JOB_ID_ANNOTATION: &str = "hawser.dev/job-id";
/// Whose the order is, and its hash: the end of a job on the network needs both, also of one that has lost its object.
pub(crate) const CUSTOMER_ANNOTATION: &str = "hawser.dev/customer";
pub(crate) const ORDER_ANNOTATION: &str = "hawser.dev/order-hash";
/// `PriorityClass` of the jobs' pods (-1000, never preempts): comes with the chart.
pub(crate) const PRIORITY_CLASS: &str = "hawser-job";
