use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn minutes(count: i64) -> Timestamp {
    at(count * 60)
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// Found at second 0.
fn check(cluster: &[&str], node: &[&str]) -> NetworkCheck {
    NetworkCheck {
        time: Some(Time(at(0))),
        held: words(&["10.0.0.1:443"]),
        cluster: words(cluster),
        node: words(node),
        ..NetworkCheck::default()
    }
}

fn failed_at(minute: i64, check: NetworkCheck) -> NetworkCheck {
    NetworkCheck { failure: Some("no image".to_owned()), failed_at: Some(Time(minutes(minute))), ..check }
}

#[test]
fn a_canary_is_sent_where_nothing_is_known_every_hour_and_sooner_where_something_is_wrong() {
    let (good, reached) = (|| check(&[], &[]), || check(&["a"], &[]));
    let never = || NetworkCheck::default();
    let mounts = || NetworkCheck { volumes_mounted_on: words(&["n"]), ..good() };
    for (known, minute, due) in [
        (None, 0, true),
        (Some(good()), 59, false),
        (Some(good()), 60, true),
        (Some(reached()), 4, false),
        (Some(reached()), 5, true),
        (Some(check(&[], &["n"])), 5, true),
        (Some(mounts()), 14, false),
        (Some(mounts()), 15, true),
        (Some(failed_at(0, never())), 4, false),
        (Some(failed_at(0, never())), 5, true),
        // It failed after the hour: the next try comes after five minutes, not at each look.
        (Some(failed_at(60, good())), 64, false),
        (Some(failed_at(60, good())), 65, true),
    ] {
        assert_eq!(is_due(known.as_ref(), &Under::default(), minutes(minute)), due, "{known:?} after {minute} min");
    }
    let other = Under { egress: Egress::None, runtime_class: None };
    assert!(is_due(Some(&good()), &other, at(1)), "it was tried under another policy");
    let kata = Under { runtime_class: Some("kata".to_owned()), ..Under::default() };
    assert!(is_due(Some(&good()), &kata, at(1)), "it was tried in another class");
}

#[test]
fn what_a_canary_left_is_taken_once_and_one_that_does_not_end_is_given_up() {
    let canary = |end| Canary {
        made: at(0),
        node: None,
        under: None,
        leaving: false,
        end,
        waits: Some("ErrImagePull".to_owned()),
    };
    let reach = Reach { attestation: true, ..Reach::default() };
    let nowhere = Under { egress: Egress::None, runtime_class: None };
    for (pod, due, second, expected) in [
        (None, false, 0, "Rest"),
        (None, true, 0, "Send"),
        (Some(canary(None)), true, 299, "Wait"),
        (Some(Canary { under: Some(Under::default().words()), ..canary(None) }), true, 1, "Wait"),
        // It ran under another policy: what it found says nothing of this one.
        (Some(Canary { under: Some(nowhere.words()), ..canary(Some(Ok(reach.clone()))) }), true, 1, "Replace"),
        (Some(canary(None)), false, 299, "Wait"),
        (Some(canary(None)), true, 300, "Failed: it had not ended after 300 s: ErrImagePull"),
        (Some(Canary { leaving: true, ..canary(Some(Ok(reach.clone()))) }), true, 300, "Rest"),
        (Some(canary(Some(Ok(reach.clone())))), false, 1, "Found"),
        (Some(canary(Some(Ok(Reach::default())))), false, 1, "Failed: it could not reach the attestation service"),
        (Some(canary(Some(Err("Evicted".to_owned())))), false, 1, "Failed: Evicted"),
    ] {
        let said = match step(pod, &Under::default(), due, at(second)) {
            CanaryStep::Rest => "Rest".to_owned(),
            CanaryStep::Send => "Send".to_owned(),
            CanaryStep::Wait => "Wait".to_owned(),
            CanaryStep::Replace => "Replace".to_owned(),
            CanaryStep::Found(found) => {
                assert_eq!(found, reach);
                "Found".to_owned()
            }
            CanaryStep::Failed(why) => format!("Failed: {why}"),
        };
        assert!(said.starts_with(expected), "{said}, expected {expected}");
    }
}

#[test]
fn the_condition_says_what_was_tried_and_reached_and_when() {
    let hours = |count: i64| at(count * 3600);
    for (check, now, status, reason, says) in [
        (None, at(0), ConditionStatus::Unknown, Reason::NotTried, "no pod of this offer"),
        (Some(failed_at(0, NetworkCheck::default())), at(9), ConditionStatus::Unknown, Reason::NoResult, "no image"),
        (
            Some(check(&[], &[])),
            hours(24),
            ConditionStatus::True,
            Reason::Enforced,
            "1970-01-01T00:00:00Z a pod of this offer tried 10.0.0.1:443",
        ),
        (Some(failed_at(60, check(&[], &[]))), hours(2), ConditionStatus::True, Reason::Enforced, "no image"),
        (Some(failed_at(60, check(&[], &[]))), hours(25), ConditionStatus::Unknown, Reason::NoResult, "no image"),
        (
            Some(check(&["10.1.2.3:8080"], &["n"])),
            at(0),
            ConditionStatus::False,
            Reason::NotEnforced,
            "reached 10.1.2.3:8080",
        ),
        // What is known to be broken is not forgotten because it can't be tried any more.
        (
            Some(failed_at(60, check(&["10.1.2.3:8080"], &[]))),
            hours(99),
            ConditionStatus::False,
            Reason::NotEnforced,
            "no image",
        ),
        (
            Some(check(&[], &["10.0.0.9:10250"])),
            at(0),
            ConditionStatus::False,
            Reason::NodeReachable,
            "own node (10.0.0.9:10250)",
        ),
    ] {
        let (said, why, message) = verdict(check.as_ref(), now);
        assert_eq!((said, why), (status, reason), "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn an_offer_whose_jobs_reach_something_is_closed_unless_just_that_is_accepted() {
    use Reachable::{Cluster, Node};
    for (cluster, node, accepted, reason) in [
        (&[][..], &[][..], &[][..], None),
        (&["c"], &[], &[], Some("NotEnforced")),
        (&["c"], &["n"], &[], Some("NotEnforced")),
        (&["c"], &["n"], &[Cluster], Some("NodeReachable")),
        (&["c"], &["n"], &[Node], Some("NotEnforced")),
        (&["c"], &["n"], &[Cluster, Node], None),
        (&[], &["n"], &[], Some("NodeReachable")),
        (&[], &["n"], &[Node], None),
    ] {
        let got = obstacle(Some(&check(cluster, node)), accepted);
        assert_eq!(got.as_ref().map(|o| o.reason.as_str()), reason, "{cluster:?} {node:?} {accepted:?}");
        assert!(got.is_none_or(|o| o.message.contains("acceptReachable: [") && o.patience.is_zero()));
    }
    assert_eq!(obstacle(None, &[]), None);
    assert_eq!(obstacle(Some(&failed_at(0, NetworkCheck::default())), &[]), None, "nothing is known against it");
}

#[test]
fn a_failure_keeps_what_was_found_and_a_result_ends_the_failure() {
    let kata = Under { egress: Egress::None, runtime_class: Some("kata".to_owned()) };
    let after = failed(Some(check(&["c"], &[])), &kata, "no image".to_owned(), at(7));
    assert_eq!(
        (after.cluster.clone(), after.time.clone(), after.failed_at.clone()),
        (words(&["c"]), Some(Time(at(0))), Some(Time(at(7))))
    );
    assert!(!is_due(Some(&after), &kata, at(8)), "what failed under this is not tried again at once");
    let reach = Reach { attestation: true, held: vec!["[fd00::1]:443".parse().unwrap()], ..Reach::default() };
    let next = found(&kata, &reach, at(9));
    assert_eq!((next.failure, next.held, next.runtime_class), (None, words(&["[fd00::1]:443"]), kata.runtime_class));
}
