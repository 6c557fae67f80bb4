//! `hawser verify`: a job's evidence by itself, and against the chain.

use alloy::primitives::Address;
use hawser_attestation::{EvidenceError, Market as VoucherMarket, Spread, Summary};
use hawser_contracts::JobId;
use serde::Serialize;

use crate::{
    args::Connection,
    chain::Market,
    evidence::{self, ClaimView, OnChain, Read},
    failure::Failure,
    output::{self, Format, Report, pairs},
    text::printable,
};

/// What the signatures show, and what they can't: said with every result, so that nobody takes more from it.
const SHOWN: &str = "each report is signed by an attestor that the market named, none is missing, changed or out of order, \
                     and no claim is above what was signed";
const NOT_SHOWN: &str = "that the GPUs are real. In the tier Metered the provider chooses the attestor, and NVML can be \
                         faked: compare with what your program saw, and keep deposits small";

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// Every line is right by itself, and the chain confirms it (unless `offline`).
    ok: bool,
    /// The chain was not asked.
    offline: bool,
    job_id: JobId,
    /// What is wrong.
    problems: Vec<String>,
    /// GPU-seconds that were claimed on chain.
    claimed_gpu_seconds: Option<u64>,
    attestors: Vec<Address>,
    claims: Vec<ClaimView>,
    /// What the evidence says; its list of vouchers is left out.
    evidence: Summary,
}

pub(crate) async fn run(connection: &Connection, format: Format, place: &str, offline: bool) -> Result<(), Failure> {
    let market = if offline { None } else { Some(Market::connect(connection, None).await?) };
    let evidence = match (evidence::read(place).await?, &market) {
        (Read::Whole(evidence), _) => evidence,
        (Read::OfJob(job), Some(market)) => evidence::read_attestors(place, &attestors(market, job).await?).await?,
        (Read::OfJob(_), None) => {
            return Err(Failure::input(
                "the URL of a job needs the chain, which names its attestors: leave --offline out",
            ));
        }
    };
    let mut summary = evidence::check(&evidence).map_err(|error| wrong(&error))?;
    let mut verdict = match &market {
        Some(market) => online(market, &summary).await?,
        None => Verdict::by_itself(&summary),
    };
    summary.vouchers.clear();
    verdict.evidence = summary;
    output::print(format, &verdict)?;
    match verdict.problems.len() {
        0 => Ok(()),
        problems => {
            Err(Failure::refused(format!("the evidence is not confirmed by the chain: {problems} differences")))
        }
    }
}

fn wrong(error: &EvidenceError) -> Failure {
    Failure::refused(format!("the evidence is wrong: {}", printable(&error.to_string())))
}

async fn attestors(market: &Market, job: JobId) -> Result<Vec<Address>, Failure> {
    market.job(job).await?;
    Ok(market.histories(&[job]).await?.remove(&job).unwrap_or_default().attestors)
}

async fn online(market: &Market, summary: &Summary) -> Result<Verdict, Failure> {
    let id = summary.job_id;
    let job = market.job(id).await?;
    let claims = market.claims(id.offer_id()).await?;
    let settled = claims.iter().flat_map(|claim| &claim.settlements).filter(|settled| settled.jobId == id.0);
    let chain = OnChain {
        market: VoucherMarket { chain_id: market.chain_id(), address: market.address() },
        gpus: job.gpus,
        used: job.used,
        attestors: attestors(market, id).await?,
        claims: settled.map(|settled| (settled.used.saturating_to(), settled.evidenceRoot)).collect(),
    };
    let (claims, problems) = evidence::compare(summary, &chain);
    Ok(Verdict {
        ok: problems.is_empty(),
        offline: false,
        problems,
        claimed_gpu_seconds: Some(chain.used),
        attestors: chain.attestors,
        claims,
        ..Verdict::by_itself(summary)
    })
}

impl Verdict {
    fn by_itself(summary: &Summary) -> Self {
        Self {
            ok: true,
            offline: true,
            job_id: summary.job_id,
            problems: Vec::new(),
            claimed_gpu_seconds: None,
            attestors: Vec::new(),
            claims: Vec::new(),
            evidence: summary.clone(),
        }
    }
}

impl Report for Verdict {
    fn table(&self) -> String {
        let evidence = &self.evidence;
        let result = match (self.ok, self.offline) {
            (true, false) => "ok",
            (true, true) => "ok by itself; not compared with the chain",
            (false, _) => "WRONG",
        };
        let mut rows = vec![
            ("Evidence", result.to_owned()),
            ("Job", self.job_id.to_string()),
            ("Reports", format!("{} from {} to {}", evidence.reports, evidence.first, evidence.last)),
            ("Longest gap", format!("{:.1} s", evidence.longest_gap.as_secs_f64())),
            ("Vouched", format!("{} GPU-seconds", evidence.gpu_seconds.0)),
        ];
        if let Some(claimed) = self.claimed_gpu_seconds {
            rows.push(("Claimed", format!("{claimed} GPU-seconds in {} claims", self.claims.len())));
        }
        rows.extend(evidence.segments.iter().map(|segment| {
            let complete = if segment.finished { "complete" } else { "its last report is not there" };
            ("Attestor", format!("{}: {} reports, {complete}", segment.attestor, segment.reports))
        }));
        rows.extend(evidence.gpu_samples.iter().map(|gpu| {
            let name = printable(gpu.name.as_deref().unwrap_or("GPU"));
            (
                "GPU",
                format!(
                    "{name} {}: {} samples{}",
                    printable(&gpu.uuid),
                    gpu.samples,
                    busy(gpu.utilization_gpu_percent)
                ),
            )
        }));
        if evidence.gpu_samples.is_empty() {
            rows.push(("GPU", "NVML was not visible to the attestor: time was metered, nothing else".to_owned()));
        }
        rows.extend(self.problems.iter().map(|problem| ("Wrong", printable(problem))));
        if self.problems.is_empty() && !self.offline {
            rows.push(("Shown", SHOWN.to_owned()));
        }
        rows.push(("Not shown", NOT_SHOWN.to_owned()));
        pairs(rows)
    }
}

fn busy(utilization: Option<Spread>) -> String {
    utilization
        .map(|percent| format!(", {} to {} % busy, mean {:.1} %", percent.min, percent.max, percent.mean))
        .unwrap_or_default()
}
