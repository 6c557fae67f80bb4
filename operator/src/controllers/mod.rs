//! The controllers: one reconcile a kind, each a chain of named steps. Reading and writing stand at the ends; what is
//! decided between them is pure.
//!
//! The three rhyme: each kind's folder has the same files with the same meaning.
//!
//! | file | what it does |
//! |---|---|
//! | `mod.rs` | the story of a look, in one screen |
//! | `memory.rs` | what a look has at hand, and what is remembered while this process runs |
//! | `dereference.rs` | reads; writes nothing |
//! | `observe.rs` | takes down what was read, and adds since when it has been so (jobs, offers) |
//! | `decide.rs` | decides; pure, with a table test |
//! | `manifests/`, `publish.rs` | build what is written to the cluster, and to the chain; pure |
//! | `apply.rs` | does what was decided |
//! | `status.rs` | what is reported; `status_writer` writes it |
//!
//! [`Shared`] is what they have in common; a function takes the smallest thing that it needs.

pub(crate) mod abandon;
pub(crate) mod allocation;
pub(crate) mod cache;
pub(crate) mod cluster_network;
pub(crate) mod compute_job;
pub(crate) mod conditions;
pub(crate) mod depin_network;
mod error;
pub(crate) mod events;
pub(crate) mod gpu_offer;
pub(crate) mod lean;
pub(crate) mod listed;
mod look;
mod migration;
pub(crate) mod networks;
mod packed;
mod run;
#[cfg(test)]
mod scale;
mod settled;
mod shared;
mod status_writer;
pub(crate) mod unreadable;
mod watch;
mod watch_jobs;
pub(crate) mod work;

pub(crate) use crate::objects::OFFER_LABEL;
pub(crate) use error::{Error, Tried};
pub use run::{StartError, Warm, run, run_with};
pub(crate) use shared::Shared;

/// Finalizer of a `ComputeJob`: what is owed is claimed and the job closed on chain.
pub(crate) const JOB_FINALIZER: &str = "hawser.dev/settlement";
/// Finalizer of a `GpuOffer`: no job needs it any more and the market takes no orders for it.
pub(crate) const OFFER_FINALIZER: &str = "hawser.dev/offer";
/// Finalizer of a `DepinNetwork`: no offer and no job needs it any more.
pub(crate) const NETWORK_FINALIZER: &str = "hawser.dev/network";
/// Label of jobs: the network's name.
pub(crate) const NETWORK_LABEL: &str = "hawser.dev/network";
/// Field manager of everything that is applied.
pub(crate) const MANAGER: &str = "hawser";

/// A name as a label's value: names can have 253 characters, labels 63.
pub(crate) fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let hash = hawser_attestation::digest(name).to_string();
    format!("{}-{}", &name[..46].trim_end_matches(['-', '.']), &hash[2..18])
}
