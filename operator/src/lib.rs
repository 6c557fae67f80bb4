//! The operator: turns offers into supply on a compute network, orders into pods, and attested use into payment.
//!
//! | module | what it is |
//! |---|---|
//! | `controllers` | the story of each kind of object: read, decide, build, apply, report |
//! | `network` | what a compute network is to them, and EVM chains as the one kind there is |
//! | `inventory` | what the cluster has, who holds it and who wants it; pure |
//! | `settlement` | the next step with a job's money; pure |
//! | `attestation` | the service to which the jobs' meters report |
//! | `lease`, `fence`, `leader`, `standby` | one replica leads, and nothing leaves one that doesn't |
//! | `kubernetes`, `health`, `metrics` | the API server's other end, and what is told of the process |
//!
//! `main.rs` wires them. docs/architecture.md has the picture.

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
