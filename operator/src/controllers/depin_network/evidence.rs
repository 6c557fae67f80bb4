//! The condition `EvidenceStored`: one store for all networks, told on each, as there is nothing else that people look at.

use std::time::Duration;

use hawser_crds::DepinNetwork;
use hawser_crds::condition::EVIDENCE_STORED;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::attestation::{StoreFailure, StoreHealth};
use crate::controllers::conditions::{ConditionStatus, Conditions, find};
use crate::reasons::Reason;

/// A failure that is over within this time is none: meters keep what they measured for much longer.
const BLIP: Duration = Duration::from_secs(30);
/// Longest words of a store that are repeated, in characters.
const LONGEST_WORDS: usize = 300;

/// The conditions of a network with what is known of the store now.
pub(super) fn conditions(
    resource: &DepinNetwork,
    said: &[Condition],
    health: &StoreHealth,
    now: Timestamp,
) -> Vec<Condition> {
    let mut list = Conditions::from_stored(said, resource.metadata.generation, now);
    let stored = find(said, EVIDENCE_STORED);
    match (&health.failing, health.stored_at) {
        (Some(failing), _) if is_trouble(failing, now) => {
            let message = stored.map(|stored| stored.message.as_str()).filter(|told| is_about(told, failing));
            let message = message.map_or_else(|| words(failing), str::to_owned);
            list.set(EVIDENCE_STORED, ConditionStatus::False, &Reason::StoreFails, message);
        }
        // What was said stands until something else is known.
        (Some(_), _) if stored.is_some() => {}
        (_, Some(_)) => {
            list.set(
                EVIDENCE_STORED,
                ConditionStatus::True,
                &Reason::Stored,
                "the evidence store takes what jobs attest",
            );
        }
        // A restarted operator takes nothing back before it has tried.
        (None, None) if stored.is_some_and(|stored| stored.status == "True") => {}
        (_, None) => {
            let message = "nothing was to be stored since the operator's start";
            list.set(EVIDENCE_STORED, ConditionStatus::Unknown, &Reason::NothingStored, message);
        }
    }
    list.into_list()
}

fn is_trouble(failing: &StoreFailure, now: Timestamp) -> bool {
    now.duration_since(failing.since) >= SignedDuration::try_from(BLIP).unwrap_or(SignedDuration::MAX)
}

/// Said once for each failure: the store's words can have a number in them that is another one each time.
fn is_about(message: &str, failing: &StoreFailure) -> bool {
    message.contains(&since(failing))
}

fn since(failing: &StoreFailure) -> String {
    format!("since {:.0}", failing.since)
}

fn words(failing: &StoreFailure) -> String {
    let error: String = failing.error.chars().take(LONGEST_WORDS).collect();
    format!(
        "the evidence store fails {}: {error}: what running jobs attest does not count until it takes it, and meters keep it meanwhile; check evidence.url of the chart, its Secret and the store",
        since(failing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::depin_network::test_network;

    fn network() -> DepinNetwork {
        let mut network = test_network();
        network.metadata.generation = Some(2);
        network
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failing(since: i64, error: &str) -> StoreFailure {
        StoreFailure { since: at(since), times: 3, error: error.to_owned() }
    }

    fn said(list: &[Condition]) -> (String, String, String) {
        let condition = find(list, EVIDENCE_STORED).unwrap();
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    }

    #[test]
    fn a_store_that_fails_is_told_after_a_while_and_until_it_takes_something_again() {
        let health = |stored_at: Option<i64>, failing| StoreHealth { stored_at: stored_at.map(at), failing };
        let look = |before: &[Condition], health: &StoreHealth| conditions(&network(), before, health, at(1000));
        for (health, expected) in [
            (health(None, None), ("Unknown", "NothingStored")),
            (health(Some(900), None), ("True", "Stored")),
            (health(Some(900), Some(failing(971, "no route"))), ("True", "Stored")),
            (health(Some(900), Some(failing(970, "no route"))), ("False", "StoreFails")),
            (health(None, Some(failing(100, "no route"))), ("False", "StoreFails")),
            (health(None, Some(failing(999, "no route"))), ("Unknown", "NothingStored")),
        ] {
            let (status, reason, message) = said(&look(&[], &health));
            assert_eq!((status.as_str(), reason.as_str()), expected, "{health:?}");
            assert_eq!(message.contains("no route"), status == "False", "{message}");
        }
        let down = look(&[], &health(None, Some(failing(100, "request 1 failed"))));
        let again = look(&down, &health(None, Some(failing(100, "request 2 failed"))));
        assert_eq!(said(&again), said(&down), "the same failure is told in the same words");
        let other = look(&down, &health(None, Some(failing(500, "request 3 failed"))));
        assert!(said(&other).2.contains("request 3"), "another one is told anew");
        assert_eq!(said(&look(&down, &health(Some(950), None))).0, "True");
        let up = look(&[], &health(Some(900), None));
        assert_eq!(said(&look(&up, &health(None, None))).0, "True", "a restart takes nothing back");
    }

    #[test]
    fn the_other_conditions_stay_as_they_are() {
        let mut before = Conditions::from_stored(&[], Some(2), at(1));
        before.set("Ready", ConditionStatus::True, &Reason::Ready, "m");
        let before = before.into_list();
        let after = conditions(&network(), &before, &StoreHealth::default(), at(1000));
        assert_eq!((&after[0], after.len()), (&before[0], 2));
    }
}
