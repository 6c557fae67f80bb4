//! How many members a job has, and what their pods are called. Pure.

use hawser_crds::ComputeJobSpec;

/// How many members a job has, each with a pod of its own. No kind of job has more than one yet.
pub(crate) const fn members(_job: &ComputeJobSpec) -> u32 {
    1
}

/// What the pods of a job's members are called. The first leads, and its pod is called as the job.
pub(crate) fn member_pods(job: &str, members: u32) -> impl Iterator<Item = String> {
    (0..members).map(move |n| if n == 0 { job.to_owned() } else { format!("{job}-{n}") })
}
