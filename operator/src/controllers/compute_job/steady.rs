//! Keeps a status from being written again and again for nothing: numbers in words that count on say nothing new.

use hawser_crds::ComputeJobStatus;

/// The next status, or the stored one where nothing but numbers in its words has changed.
pub(super) fn steady(stored: &ComputeJobStatus, next: ComputeJobStatus) -> ComputeJobStatus {
    if shape(stored.clone()) == shape(next.clone()) { stored.clone() } else { next }
}

fn shape(mut status: ComputeJobStatus) -> ComputeJobStatus {
    for condition in &mut status.conditions {
        condition.message = without_numbers(&condition.message);
    }
    if let Some(usage) = &mut status.usage {
        usage.last_rejection = usage.last_rejection.as_deref().map(without_numbers);
        // Of refusals of one kind the first is told, not each.
        usage.vouchers_rejected = usage.vouchers_rejected.min(1);
    }
    status
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use hawser_crds::Usage;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;

    fn status(message: &str, rejected: u64, gpu_seconds: u64) -> ComputeJobStatus {
        let condition = Condition {
            type_: "Attested".to_owned(),
            status: "False".to_owned(),
            reason: "Refused".to_owned(),
            message: message.to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        let usage = Usage {
            gpu_seconds,
            vouchers_rejected: rejected,
            last_rejection: Some(message.to_owned()),
            ..Usage::default()
        };
        ComputeJobStatus { conditions: vec![condition], usage: Some(usage), ..ComputeJobStatus::default() }
    }

    #[test]
    fn only_a_status_that_says_something_new_is_another_one() {
        let stored = status("the clock is 12 s ahead", 3, 40);
        for (next, new, why) in [
            (status("the clock is 12 s ahead", 3, 40), false, "the same"),
            (status("the clock is 9 s ahead", 3, 40), false, "a number in words"),
            (status("the clock is 131 s ahead", 9, 40), false, "refused again for the same"),
            (status("the clock is 12 s behind", 3, 40), true, "other words"),
            (status("the clock is 12 s ahead", 3, 41), true, "a count"),
        ] {
            let kept = steady(&stored, next.clone());
            assert_eq!(kept, if new { next } else { stored.clone() }, "{why}");
        }
        let first = status("the clock is 12 s ahead", 0, 40);
        assert_eq!(steady(&first, stored.clone()), stored, "refused for the first time");
    }
}
