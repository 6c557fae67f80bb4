//! Where evidence is read from, and what of it the chain confirms.

mod compare;
mod files;
mod web;

use std::path::Path;

use alloy::primitives::Address;
use hawser_attestation::{EvidenceError, Summary, verify};
use hawser_contracts::JobId;

pub(crate) use compare::{ClaimView, OnChain, compare};

use crate::failure::Failure;

/// Evidence, read and put in order.
pub(crate) enum Read {
    /// All of it.
    Whole(Vec<u8>),
    /// The place is a job's: its attestors, each in a folder of its own, have to be known first.
    OfJob(JobId),
}

/// Reads a file, a directory or a URL.
pub(crate) async fn read(place: &str) -> Result<Read, Failure> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return web::read(place).await;
    }
    files::read(Path::new(place)).map(Read::Whole)
}

/// Reads the evidence of a job's attestors from below the job's URL, in the order in which the chain names them.
pub(crate) async fn read_attestors(url: &str, attestors: &[Address]) -> Result<Vec<u8>, Failure> {
    web::read_attestors(url, attestors).await
}

/// What the evidence says, if every line of it is right.
pub(crate) fn check(evidence: &[u8]) -> Result<Summary, EvidenceError> {
    verify(evidence)
}
