//! What to do next about a job's money, and what is still to be claimed. Pure: [`plan`] names the step, the job's controller
//! takes it.

pub mod plan;
mod unclaimed;

pub(crate) use unclaimed::Unclaimed;
