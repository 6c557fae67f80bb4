//! The operator: turns offers into supply on a compute network, orders into pods, and attested use into payment.

pub mod attestation;
pub mod network;
pub mod settlement;
