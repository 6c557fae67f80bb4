//! Where evidence is read from, and what is said of it: alone, and against what the chain says.

mod cards;
mod compare;
mod files;
mod judge;
mod known_roots;
mod place;
mod times;
mod view;
mod web;

use std::{collections::BTreeSet, time::Duration};

use alloy::primitives::Address;
use hawser_attestation::{EvidenceError, EvidenceRoot, Reader, Summary, Wanted};
use hawser_market::{JobId, text::printable};

pub(crate) use compare::ClaimView;
pub(crate) use judge::{Judgement, judge};
pub(crate) use known_roots::KnownRoots;
pub(crate) use place::{Place, asked};
pub(crate) use view::EvidenceView;

use crate::failure::Failure;

/// What is read, and how carefully.
pub(crate) struct Reading {
    pub(crate) job: Option<JobId>,
    /// Whom the chain names, in order.
    pub(crate) attestors: Vec<Address>,
    /// Roots that have to be found in it.
    pub(crate) roots: BTreeSet<EvidenceRoot>,
    pub(crate) every_signature: bool,
    pub(crate) limit: Duration,
    /// Claims that were paid on it.
    pub(crate) claims: usize,
}

/// Reads all of it, and checks each line.
pub(crate) async fn read(place: &Place, how: Reading) -> Result<Summary, Failure> {
    let Reading { job, attestors, roots, every_signature, limit, claims } = how;
    let mut reader = Reader::new(Wanted { job, roots: Some(roots), every_signature });
    match place {
        Place::Local(path) => files::read(path, &mut reader)?,
        remote => web::Web::new(limit)?.read(remote, &attestors, &mut reader).await?,
    }
    if reader.is_empty() {
        return Err(nothing(place, attestors.len(), claims));
    }
    reader.finish().map_err(|error| wrong(&error))
}

fn nothing(place: &Place, attestors: usize, claims: usize) -> Failure {
    let bare = |url: &reqwest::Url| url.as_str().trim_end_matches('/').to_owned();
    let missing = match place {
        Place::OfJob(url) => format!(
            "there is no evidence of any of the {attestors} attestors that the chain names: expected {}/ATTESTOR/000000.jsonl",
            bare(url)
        ),
        Place::OfAttestor(url, _) => format!(
            "there is no evidence at {0}: expected {0}/000000.jsonl, or give the URL of the job's evidence, which ends in \
             the job's id",
            bare(url)
        ),
        Place::Remote(url) => format!("there is no evidence at {url}"),
        Place::Card | Place::Local(_) => "there is no evidence: all of it is empty".to_owned(),
    };
    Failure::refused(match claims {
        0 => missing,
        claims => format!("{missing}. Claims that the market has paid on it: {claims}"),
    })
}

fn wrong(error: &EvidenceError) -> Failure {
    Failure::refused(format!("the evidence is wrong: {}", printable(&error.to_string())))
}
