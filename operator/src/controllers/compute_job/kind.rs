//! A job as the queue, the log and the metrics tell it from others.

use std::sync::Arc;

use hawser_crds::Phase;
use tracing::{Span, field, info_span};

use crate::controllers::packed::Packed;
use crate::controllers::watch::name_of;
use crate::controllers::work::Lane;

pub(crate) const KIND: &str = "ComputeJob";

/// With whom a job waits for its look.
pub(crate) fn lane(job: &Packed) -> Lane {
    let Some(job) = job.facts.as_deref().filter(|job| !job.unread) else { return Lane::Rest };
    Lane::Live { network: job.network.clone(), new: job.claim.is_some_and(|claim| claim.waiting) }
}

/// What every line that is logged of a look says.
pub(crate) fn span(job: &Packed) -> Span {
    let (namespace, name) = name_of(job);
    let facts = job.facts.as_deref();
    let (offer, network) = (facts.map(|facts| facts.offer.as_str()), facts.and_then(|facts| facts.network.as_deref()));
    info_span!(
        "reconcile",
        kind = KIND,
        namespace,
        object = name,
        offer,
        network,
        job = job.order().map(|order| field::display(&order.id))
    )
}

/// How many jobs there are in each phase.
pub(crate) fn phases(jobs: &[Arc<Packed>]) -> Vec<(&'static str, usize)> {
    let kinds = Phase::ALL.map(Some).into_iter().chain([None]);
    let count = |phase| jobs.iter().filter(|job| job.phase() == phase).count();
    kinds.map(|phase| (phase.map_or("Unreadable", Phase::word), count(phase))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_settled_or_cant_be_read_takes_no_slot_of_a_job_that_runs() {
        let since = |field: &str| json!({field: "2026-01-01T00:00:00Z"});
        let source = json!({"network": "n", "jobId": format!("0x{}", "07".repeat(32)), "customer": "0x", "seconds": 1,
            "deposit": "1", "price": "1", "block": 1});
        let live = |network: Option<&str>, new| Lane::Live { network: network.map(str::to_owned), new };
        for (source, gpus, status, expected) in [
            (json!(null), json!(1), json!({}), live(None, true)),
            (json!(null), json!(1), since("acceptedAt"), live(None, false)),
            (source.clone(), json!(1), json!({}), live(Some("n"), true)),
            (source.clone(), json!(1), since("acceptedAt"), live(Some("n"), false)),
            (source.clone(), json!(1), since("settledAt"), Lane::Rest),
            (json!(null), json!(1), since("settledAt"), Lane::Rest),
            (source, json!("many"), since("acceptedAt"), Lane::Rest),
        ] {
            let job = json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": gpus}, "source": source},
                "status": status
            });
            assert_eq!(lane(&Packed::new(&serde_json::from_value(job.clone()).unwrap())), expected, "{job}");
        }
    }

    #[test]
    fn jobs_are_counted_by_phase_and_those_that_cant_be_read_apart() {
        let job = |more: serde_json::Value| -> Arc<Packed> {
            let mut job = json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
            });
            job.as_object_mut().unwrap().append(more.clone().as_object_mut().unwrap());
            Arc::new(Packed::new(&serde_json::from_value(job).unwrap()))
        };
        let in_phase = |phase: Phase| job(json!({"status": {"phase": phase}}));
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            let counts = phases(&[in_phase(phase), in_phase(phase), job(json!({"spec": {}}))]);
            assert_eq!(counts[index], (format!("{phase:?}").as_str(), 2));
            assert_eq!(counts.last(), Some(&("Unreadable", 1)));
            assert_eq!(counts.iter().map(|(_, jobs)| jobs).sum::<usize>(), 3, "{counts:?}");
        }
        assert_eq!(phases(&[job(json!({}))])[0], ("Pending", 1), "it has no status yet");
    }
}
