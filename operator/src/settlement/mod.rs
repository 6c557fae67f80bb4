//! When attested use is turned into payment.

pub mod plan;
