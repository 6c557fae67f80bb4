//! The operator: turns offers into supply on a compute network, orders into pods, and attested use into payment.

pub mod attestation;
pub mod config;
pub mod controllers;
pub mod definitions;
pub mod fence;
pub mod health;
mod inventory;
pub mod kubernetes;
pub mod leader;
pub mod lease;
mod listen;
pub mod metrics;
pub mod network;
mod objects;
mod reasons;
pub mod secrecy;
pub mod settlement;
pub mod standby;
pub mod tls;
