//! When attested use is turned into payment.

mod pending;
pub mod plan;

pub(crate) use pending::Pending;
