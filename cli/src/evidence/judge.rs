//! The verdict: a pure decision over what evidence and chain say.

use hawser_attestation::{Finding, FindingKind, Summary};

use super::{ClaimView, cards, compare, times};
use crate::chain::Record;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) claims: Vec<ClaimView>,
    /// What can't be true.
    pub(crate) problems: Vec<String>,
    /// What may be true, and should be looked at.
    pub(crate) warnings: Vec<String>,
}

/// Judges evidence whose lines are right by themselves; `None`: the chain is not asked.
pub(crate) fn judge(evidence: &Summary, chain: Option<&Record>) -> Judgement {
    let mut judgement = Judgement {
        problems: times::contradictions(evidence),
        warnings: [times::silences(evidence), cards::warnings(evidence)].concat(),
        ..Judgement::default()
    };
    let Some(chain) = chain else { return judgement };
    judgement.claims = compare::claims(evidence, chain);
    judgement.problems.extend(compare::problems(evidence, chain, &judgement.claims));
    judgement.problems.extend(times::problems(evidence, chain));
    judgement.warnings = [compare::missing(evidence, chain), judgement.warnings].concat();
    judgement.warnings.extend(times::ends(evidence, chain));
    judgement.warnings.extend(cards::other_class(evidence, chain.gpu_class));
    judgement
}

/// Findings of some kinds, in words.
pub(super) fn findings(evidence: &Summary, of: impl Fn(FindingKind) -> bool) -> Vec<String> {
    let say = |finding: &Finding| {
        let Finding { attestor, line, times, what, .. } = finding;
        let more = if *times > 1 { format!(" (and {} more)", times - 1) } else { String::new() };
        format!("attestor {attestor}, line {line}: {what}{more}")
    };
    evidence.findings.iter().filter(|finding| of(finding.kind)).map(say).collect()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
