//! `hawser verify`: a job's evidence, alone and against the chain.

use std::{collections::BTreeSet, time::Duration};

use alloy::primitives::Address;
use hawser_attestation::{EvidenceRoot, Spread, Summary};
use hawser_market::{JobId, text::printable};
use serde::Serialize;

use crate::{
    args::{Connection, VerifyArgs},
    card::Card,
    chain::{MarketClient, Record, Sender},
    evidence::{self, ClaimView, EvidenceView, Judgement, KnownRoots, Place},
    failure::Failure,
    output::{self, Format, Printable, pairs, progress},
};

/// What the signatures show, and what they can't: said with every result, so that nobody takes more from it.
const SHOWN: &str = "each report is signed by an attestor that the market named for this job, between an attestor's first \
                     and last one none is missing, changed or out of order, and no claim is above what was signed";
const NOT_SHOWN: &str = "that the GPUs are real: in the tier metered the provider chooses the attestor, and NVML can be \
                         faked. Nor when a report was written that no claim rests on yet (--state finds what was rewritten), \
                         and what comes after the last one. Compare with what your program saw, and keep deposits small";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum VerifyResult {
    Ok,
    Warnings,
    Wrong,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    result: VerifyResult,
    /// Nothing is wrong; there may be warnings, unless they are wrong (`--strict`).
    ok: bool,
    /// The chain was not asked.
    offline: bool,
    /// The job that was asked for; without the chain, the one that the evidence names.
    job_id: JobId,
    /// What is wrong.
    problems: Vec<String>,
    /// What should be looked at.
    warnings: Vec<String>,
    /// GPU-seconds that were claimed on chain.
    claimed_gpu_seconds: Option<u64>,
    attestors: Vec<Address>,
    claims: Vec<ClaimView>,
    evidence: EvidenceView,
}

pub(crate) async fn run(connection: &Connection, format: Format, args: &VerifyArgs) -> Result<(), Failure> {
    let asked = evidence::asked(&args.evidence, args.job, args.offline).map_err(Failure::input)?;
    let mut known = args.state.as_deref().map(KnownRoots::load).transpose()?;
    let market = if args.offline { None } else { Some(MarketClient::connect(connection, Sender::Nobody).await?) };
    let (place, record) = match (&market, asked.job) {
        (Some(market), Some(job)) => {
            let record = market.record(job).await?;
            (placed(market, asked.place, job).await?, Some(record))
        }
        _ => (asked.place, None),
    };
    let job = asked.job;
    let key =
        |summary: &Summary| format!("{}/{:#x}/{}", summary.market.chain_id, summary.market.address, summary.job_id);
    let mut roots: BTreeSet<EvidenceRoot> = BTreeSet::new();
    if let Some(record) = &record {
        roots.extend(record.claims.iter().map(|claim| EvidenceRoot(claim.root)));
    }
    if let Some(known) = &known {
        roots.extend(known.all_roots());
    }
    let attestors: Vec<Address> =
        record.iter().flat_map(|record| &record.attestors).map(|named| named.attestor).collect();
    let reading = evidence::Reading {
        job,
        attestors: attestors.clone(),
        roots,
        every_signature: args.every_signature,
        limit: Duration::from_secs(args.timeout),
        claims: record.as_ref().map_or(0, |record| record.claims.len()),
    };
    let summary = evidence::read(&place, reading).await?;
    let mut judgement = evidence::judge(&summary, record.as_ref());
    if let Some(known) = &known {
        judgement.problems.extend(known.rewritten(&key(&summary), &summary));
    }
    let verified = Verified::new(&summary, judgement, record.as_ref(), attestors, args.strict);
    output::print(format, &verified)?;
    if let (Some(known), Some(file), true) = (&mut known, &args.state, verified.problems.is_empty()) {
        known.remember(&key(&summary), &summary);
        known.save(file)?;
    }
    verified.conclusion()
}

/// Where the evidence is; found by the offer's card where only the job is known.
async fn placed(market: &MarketClient, place: Place, job: JobId) -> Result<Place, Failure> {
    if place != Place::Card {
        return Ok(place);
    }
    let offer = job.offer_id();
    let card = market.card_of(offer).await?.ok_or_else(|| {
        Failure::refused(format!(
            "the card of offer {offer}, which says where evidence lies, is not in the events from block {} on: lower \
             --from-block (HAWSER_FROM_BLOCK), or give the evidence's URL",
            market.first_block()
        ))
    })?;
    let url = Card::read(&card).evidence_of(job).ok_or_else(|| {
        Failure::refused(format!(
            "the card of offer {offer} names no http(s) URL for evidence: ask its provider for it, and give it here"
        ))
    })?;
    progress(format!("reading {url}"));
    evidence::asked(&url, Some(job), false).map(|asked| asked.place).map_err(Failure::refused)
}

impl Verified {
    fn new(
        summary: &Summary,
        judgement: Judgement,
        record: Option<&Record>,
        attestors: Vec<Address>,
        strict: bool,
    ) -> Self {
        let Judgement { claims, problems, warnings } = judgement;
        let result = match (problems.is_empty(), warnings.is_empty()) {
            (false, _) => VerifyResult::Wrong,
            (true, true) => VerifyResult::Ok,
            (true, false) if strict => VerifyResult::Wrong,
            (true, false) => VerifyResult::Warnings,
        };
        Self {
            result,
            ok: result != VerifyResult::Wrong,
            offline: record.is_none(),
            job_id: summary.job_id,
            problems,
            warnings,
            claimed_gpu_seconds: record.map(|record| record.used),
            attestors,
            claims,
            evidence: summary.into(),
        }
    }

    fn conclusion(&self) -> Result<(), Failure> {
        let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        let warnings = count(self.warnings.len(), "warning");
        match self.result {
            VerifyResult::Ok => Ok(()),
            VerifyResult::Warnings => {
                Err(Failure::Warned(format!("nothing in the evidence is wrong, with {warnings}")))
            }
            VerifyResult::Wrong if self.problems.is_empty() => {
                Err(Failure::refused(format!("the evidence has {warnings}, which --strict doesn't accept")))
            }
            VerifyResult::Wrong if self.offline => Err(Failure::refused(format!(
                "the evidence contradicts itself: {}",
                count(self.problems.len(), "problem")
            ))),
            VerifyResult::Wrong => Err(Failure::refused(format!(
                "the evidence is not confirmed by the chain: {}",
                count(self.problems.len(), "problem")
            ))),
        }
    }

    fn result(&self) -> &'static str {
        match (self.result, self.offline) {
            (VerifyResult::Ok, false) => "ok",
            (VerifyResult::Ok, true) => "ok on its own; not compared with the chain",
            (VerifyResult::Warnings, false) => "ok, with warnings",
            (VerifyResult::Warnings, true) => "ok on its own, with warnings; not compared with the chain",
            (VerifyResult::Wrong, _) => "WRONG",
        }
    }
}

impl Printable for Verified {
    fn table(&self) -> String {
        let evidence = &self.evidence;
        let mut rows = vec![
            ("Evidence", self.result().to_owned()),
            ("Job", self.job_id.to_string()),
            ("Tier", evidence.tier.to_string()),
            ("Reports", format!("{} from {} to {}", evidence.reports, when(evidence.first), when(evidence.last))),
            ("Longest gap", format!("{:.1} s", evidence.longest_gap_seconds)),
            ("Vouched", format!("{} GPU-seconds", evidence.gpu_seconds)),
        ];
        if let Some(claimed) = self.claimed_gpu_seconds {
            rows.push(("Claimed", format!("{claimed} GPU-seconds in {} claims", self.claims.len())));
        }
        rows.extend(evidence.segments.iter().map(|segment| {
            let complete = if segment.finished { "complete" } else { "its last report is not there" };
            ("Attestor", format!("{}: {} reports, {complete}", segment.attestor, segment.reports))
        }));
        rows.extend(evidence.gpu_samples.iter().map(|gpu| {
            let name = gpu.name.as_deref().unwrap_or("GPU");
            let busy = busy(gpu.utilization_gpu_percent);
            ("GPU", printable(&format!("{name} {}: {} samples{busy}", gpu.uuid, gpu.samples)))
        }));
        rows.extend(self.problems.iter().map(|problem| ("Wrong", printable(problem))));
        rows.extend(self.warnings.iter().map(|warning| ("Warning", printable(warning))));
        if self.problems.is_empty() && !self.offline {
            rows.push(("Shown", SHOWN.to_owned()));
        }
        rows.push(("Not shown", NOT_SHOWN.to_owned()));
        pairs(rows)
    }
}

fn when(second: i64) -> String {
    jiff::Timestamp::from_second(second).map_or_else(|_| "never".to_owned(), |time| time.to_string())
}

fn busy(utilization: Option<Spread>) -> String {
    utilization
        .map(|percent| format!(", {} to {} % busy, mean {:.1} %", percent.min, percent.max, percent.mean))
        .unwrap_or_default()
}
