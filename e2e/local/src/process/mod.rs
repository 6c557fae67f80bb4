//! The cluster's components as processes: what to start, whether it is ready,
//! how to stop exactly that process later.

mod identity;
mod spec;
mod supervisor;

pub use identity::Identity;
pub use spec::{Ready, Spec, StopSignal};
pub use supervisor::Supervisor;
