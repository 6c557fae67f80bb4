//! Evidence against what the chain logged: which job, which attestors, which claims.

use alloy::primitives::B256;
use hawser_attestation::{EvidenceRoot, Summary};
use serde::Serialize;

use crate::chain::{Claimed, Named, Record};

/// One claim, and what the evidence has for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimView {
    pub(crate) used: u64,
    pub(crate) evidence_root: B256,
    /// GPU-seconds that the evidence with this root vouches for; `null` where the root is not in it.
    pub(crate) vouched: Option<u64>,
    /// Second of the claim's block.
    pub(crate) time: u64,
}

pub(super) fn claims(evidence: &Summary, chain: &Record) -> Vec<ClaimView> {
    let view = |claim: &Claimed| ClaimView {
        used: claim.used,
        evidence_root: claim.root,
        vouched: evidence.vouched(EvidenceRoot(claim.root)).map(|vouched| vouched.0),
        time: claim.at,
    };
    chain.claims.iter().map(view).collect()
}

/// Everything in which evidence and chain differ.
pub(super) fn problems(evidence: &Summary, chain: &Record, claims: &[ClaimView]) -> Vec<String> {
    let mut problems = Vec::new();
    if evidence.market != chain.market {
        problems.push(format!(
            "the evidence is for the market {} of chain {}, this is {} of chain {}",
            evidence.market.address, evidence.market.chain_id, chain.market.address, chain.market.chain_id
        ));
    }
    if evidence.gpus != chain.gpus {
        problems.push(format!("the evidence is of {} GPUs, {} were ordered", evidence.gpus, chain.gpus));
    }
    let mut named = chain.attestors.iter();
    for segment in &evidence.segments {
        if !named.any(|named| named.attestor == segment.attestor) {
            let all: Vec<_> = chain.attestors.iter().map(|named| named.attestor.to_string()).collect();
            problems.push(format!(
                "attestor {} of the evidence is none that the chain names at this place, it names {}",
                segment.attestor,
                all.join(", ")
            ));
        }
    }
    for claim in claims {
        match claim.vouched {
            None => problems.push(format!(
                "the claim of {} GPU-seconds names evidence root {}, which is not in this evidence",
                claim.used, claim.evidence_root
            )),
            // Less than the evidence has is right: the market pays no more than the time that passed.
            Some(vouched) if claim.used > vouched => problems.push(format!(
                "the claim of {} GPU-seconds rests on evidence root {}, which vouches for {vouched}",
                claim.used, claim.evidence_root
            )),
            Some(_) => {}
        }
    }
    let last = claims.last().map_or(0, |claim| claim.used);
    if last != chain.used {
        problems.push(format!("the market counts {} GPU-seconds claimed, its last claim says {last}", chain.used));
    }
    problems
}

/// Attestors that the chain names and that have nothing here: what they attested can't be seen.
pub(super) fn missing(evidence: &Summary, chain: &Record) -> Vec<String> {
    let present = |attestor| evidence.segments.iter().any(|segment| segment.attestor == attestor);
    let last = chain.attestors.len().saturating_sub(1);
    let missing = chain.attestors.iter().enumerate().filter(|(_, named)| !present(named.attestor));
    missing
        .map(|(index, named): (usize, &Named)| {
            let when = if index == last { "" } else { " before the provider replaced it" };
            format!(
                "evidence of attestor {} is missing: if it attested anything{when}, that can't be seen",
                named.attestor
            )
        })
        .collect()
}
