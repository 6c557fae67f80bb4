//! Evidence against the chain: a pure decision over what both say.

use alloy::primitives::{Address, B256};
use hawser_attestation::{EvidenceRoot, Market, Summary};
use serde::Serialize;

/// What the chain says of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnChain {
    pub(crate) market: Market,
    pub(crate) gpus: u16,
    /// GPU-seconds claimed in all.
    pub(crate) used: u64,
    /// Whose vouchers counted, in order.
    pub(crate) attestors: Vec<Address>,
    /// Each claim that was paid: GPU-seconds claimed so far, and the root in its log.
    pub(crate) claims: Vec<(u64, B256)>,
}

/// One claim, and what the evidence has for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimView {
    pub(crate) used: u64,
    pub(crate) evidence_root: B256,
    /// GPU-seconds that the evidence with this root vouches for; `null` where the root is not in it.
    pub(crate) vouched: Option<u64>,
}

/// The claims, and everything in which evidence and chain differ.
pub(crate) fn compare(evidence: &Summary, chain: &OnChain) -> (Vec<ClaimView>, Vec<String>) {
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
        if !named.any(|attestor| *attestor == segment.attestor) {
            problems.push(format!(
                "attestor {} of the evidence is none that the chain names at this place: {:?}",
                segment.attestor, chain.attestors
            ));
        }
    }
    let claims: Vec<ClaimView> = chain
        .claims
        .iter()
        .map(|(used, root)| ClaimView {
            used: *used,
            evidence_root: *root,
            vouched: evidence.vouched(EvidenceRoot(*root)).map(|vouched| vouched.0),
        })
        .collect();
    for claim in &claims {
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
    (claims, problems)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hawser_attestation::{GpuSeconds, Nvml, SegmentSummary, Vouched};
    use hawser_contracts::JobId;

    use super::*;

    fn segment(attestor: u8) -> SegmentSummary {
        SegmentSummary {
            attestor: Address::repeat_byte(attestor),
            gpu_uuids: Vec::new(),
            base_gpu_seconds: GpuSeconds(0),
            gpu_seconds: GpuSeconds(120),
            reports: 1,
            nvml: Nvml::Visible,
            driver_version: None,
            finished: true,
        }
    }

    fn evidence() -> Summary {
        Summary {
            job_id: JobId(B256::ZERO),
            market: Market::default(),
            gpus: 2,
            segments: vec![segment(1), segment(3)],
            reports: 2,
            gpu_seconds: GpuSeconds(120),
            first: jiff::Timestamp::UNIX_EPOCH,
            last: jiff::Timestamp::UNIX_EPOCH,
            longest_gap: Duration::ZERO,
            gpu_samples: Vec::new(),
            vouchers: [(60, 6), (120, 12)]
                .map(|(used, root)| Vouched {
                    gpu_seconds: GpuSeconds(used),
                    evidence_root: EvidenceRoot(B256::repeat_byte(root)),
                    attestor: Address::repeat_byte(1),
                })
                .to_vec(),
        }
    }

    /// Attestor 2 was named and never reported: that is no fault.
    fn chain() -> OnChain {
        OnChain {
            market: Market::default(),
            gpus: 2,
            used: 118,
            attestors: [1, 2, 3].map(Address::repeat_byte).to_vec(),
            claims: vec![(60, B256::repeat_byte(6)), (118, B256::repeat_byte(12))],
        }
    }

    #[test]
    fn evidence_that_the_chain_confirms_has_no_problems() {
        let (claims, problems) = compare(&evidence(), &chain());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(claims.iter().map(|claim| claim.vouched).collect::<Vec<_>>(), [Some(60), Some(120)]);
    }

    #[test]
    fn every_difference_is_found() {
        let other = Market { chain_id: 1, ..Market::default() };
        for (chain, part) in [
            (OnChain { market: other, ..chain() }, "is for the market"),
            (OnChain { gpus: 1, ..chain() }, "of 2 GPUs, 1 were ordered"),
            (OnChain { attestors: [3, 1].map(Address::repeat_byte).to_vec(), ..chain() }, "none that the chain names"),
            (OnChain { attestors: vec![Address::repeat_byte(1)], ..chain() }, "none that the chain names"),
            (OnChain { claims: vec![(118, B256::repeat_byte(9))], ..chain() }, "not in this evidence"),
            (OnChain { claims: vec![(118, B256::repeat_byte(6))], ..chain() }, "vouches for 60"),
            (OnChain { used: 119, ..chain() }, "119 GPU-seconds claimed, its last claim says 118"),
        ] {
            let (_, problems) = compare(&evidence(), &chain);
            assert!(matches!(&problems[..], [problem] if problem.contains(part)), "{part}: {problems:?}");
        }
    }
}
