//! What is attested and not claimed yet, as a job's status says it, and its sum. Pure.

use hawser_crds::ComputeJob;
use jiff::Timestamp;

use crate::network::Units;

/// Use that is attested and not claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unclaimed {
    /// Token units.
    pub units: Units,
    /// When the first of it is lost.
    pub lost_at: Option<Timestamp>,
}

impl Unclaimed {
    /// Adds what a job's status says to be unclaimed.
    pub(crate) fn add(&mut self, job: &ComputeJob) {
        let Some(settlement) = job.status.as_ref().and_then(|s| s.settlement.as_ref()) else { return };
        let units: Units = settlement.unclaimed.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        if units.is_zero() {
            return;
        }
        self.join(Self { units, lost_at: settlement.claimable_until.as_ref().map(|time| time.0) });
    }

    /// Both together.
    pub(crate) fn join(&mut self, other: Self) {
        self.units = self.units.saturating_add(other.units);
        self.lost_at = [self.lost_at, other.lost_at].into_iter().flatten().min();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(unclaimed: &str, until: i64) -> ComputeJob {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}},
            "status": {"settlement": {"unclaimed": unclaimed, "claimableUntil": at(until).to_string()}}
        }))
        .unwrap()
    }

    #[test]
    fn pending_is_summed_over_jobs_and_names_the_first_loss() {
        let mut pending = Unclaimed::default();
        for (unclaimed, until) in [("10", 500), ("0", 1), ("32", 400), ("nonsense", 2)] {
            pending.add(&job(unclaimed, until));
        }
        assert_eq!(pending, Unclaimed { units: Units::from(42), lost_at: Some(at(400)) });
    }
}
