//! Jobs of two members: no kind of job has them yet, but nothing that decides counts on one.

use hawser_crds::condition::ATTESTED;

use super::*;

fn member(name: &str, pod: PodState) -> PodState {
    PodState { name: name.to_owned(), uid: name.to_owned(), ..pod }
}

fn two(pods: Vec<PodState>) -> Members {
    let names = ["job-1", "job-1-1"];
    Members::new(
        names.map(str::to_owned).to_vec(),
        pods.into_iter().zip(names).map(|(pod, name)| member(name, pod)).collect(),
    )
}

/// What the meters of two members attested: so many GPU-seconds, and whether it was their last report. None: not enrolled.
fn reports(of: [Option<(Option<u64>, bool)>; 2]) -> Vec<Attested> {
    let one = |(n, report): (usize, Option<(Option<u64>, bool)>)| {
        let (count, finished) = report?;
        Some(Attested {
            pod: ["job-1", "job-1-1"][n].to_owned(),
            attestor: attestor(n),
            gpu_uuids: vec![format!("GPU-{n}")],
            accepted: 3,
            ..attested(count.map(voucher), finished)
        })
    };
    of.into_iter().enumerate().filter_map(one).collect()
}

/// The market names the first one's.
fn attestor(n: usize) -> Attestor {
    [Attestor::repeat_byte(9), Attestor::repeat_byte(8)][n]
}

/// A job of two members that runs.
fn running_two() -> JobObservation {
    written(JobObservation { pods: two(vec![running_pod(), running_pod()]), ..written_running() })
}

#[test]
fn what_two_members_used_is_added_up() {
    for (counts, expected) in
        [([Some(20), Some(30)], 50), ([Some(20), None], 20), ([None, Some(30)], 30), ([None, None], 0)]
    {
        let running = seen(known(chain(JobStatus::Running)));
        let attested = reports(counts.map(|count| Some((count, false))));
        let look = JobObservation { pods: two(vec![running_pod(), running_pod()]), attested, ..running };
        let status = decide(&look).status;
        let usage = status.usage.unwrap();
        assert_eq!((usage.gpu_seconds, usage.vouchers_accepted), (expected, 6), "{counts:?}");
        assert_eq!(status.gpu_uuids, ["GPU-0", "GPU-1"]);
    }
}

#[test]
fn a_job_of_two_members_runs_once_both_do_and_ends_well_once_both_have() {
    for (name, pods, phase, ends) in [
        ("both run", vec![running_pod(), running_pod()], Phase::Running, None),
        ("one still waits", vec![running_pod(), pod()], Phase::Starting, None),
        ("one has ended", vec![ended_pod(0), running_pod()], Phase::Running, None),
        ("both have ended", vec![ended_pod(0), ended_pod(0)], Phase::Settling, Some("ProgramEnded")),
        ("one has failed", vec![running_pod(), ended_pod(3)], Phase::Settling, Some("Error")),
    ] {
        // As it was before it was seen to be complete and to run.
        let look = JobObservation { pods: two(pods), ..seen(known(chain(JobStatus::Running))) };
        let status = decide(&look).status;
        assert_eq!(status.phase, phase, "{name}");
        assert_eq!(status.reason.filter(|_| status.outcome.is_some()).as_deref(), ends, "{name}");
    }
}

#[test]
fn a_job_with_one_member_gone_has_lost_its_pod_and_the_other_is_stopped_and_let_go() {
    let mut look = running_two();
    look.pods = two(vec![running_pod()]);
    let decision = decide(&look);
    assert_eq!(reason(&decision), "PodDeleted");
    assert!(decision.status.message.clone().unwrap().contains("job-1-1 is gone"), "{:?}", decision.status.message);
    let mut look = written(look);
    assert_eq!(decide(&look).pod, PodStep::Delete, "the other one is not paid for");
    look.pods = two(vec![ended_pod(0)]);
    look.attested = vec![attested(Some(voucher(70)), true)];
    assert_eq!(decide(&written(look)).pod, PodStep::Release);
}

#[test]
fn pods_are_made_until_each_member_has_one_and_named_from_then_on() {
    let accepted = written(seen(known(chain(JobStatus::Open))));
    for (pods, step, named) in [
        (vec![], PodStep::Create, None),
        (vec![pod()], PodStep::Create, None),
        (vec![pod(), pod()], PodStep::Keep, Some("job-1")),
    ] {
        let decision = decide(&JobObservation { pods: two(pods), ..accepted.clone() });
        assert_eq!((decision.pod, decision.status.pod.as_deref()), (step, named));
    }
}

#[test]
fn only_the_leaders_meter_is_named_to_the_market_whoever_enrols_first() {
    let open = written(seen(known(chain(JobStatus::Open))));
    for (enrolled, started) in [([false, true], false), ([true, false], true), ([true, true], true)] {
        let attested = reports(enrolled.map(|is| is.then_some((None, false))));
        let decision = decide(&JobObservation { pods: two(vec![pod(), pod()]), attested, ..open.clone() });
        let expected = [NetworkAction::Start { job: id(), attestor: attestor(0) }];
        assert_eq!(decision.actions, expected[..usize::from(started)], "{enrolled:?}");
        let leader = started.then(|| attestor(0).to_checksum(None));
        assert_eq!(decision.status.attestor, leader, "{enrolled:?}");
        assert_eq!(reason(&decision) == "WaitingForAttestor", !started, "{enrolled:?}");
    }
}

#[test]
fn the_use_of_two_members_is_counted_and_the_leaders_alone_is_claimed_and_the_job_is_settled_with_it() {
    let mut look = running_two();
    look.pods = two(vec![ended_pod(0), ended_pod(0)]);
    look.attested = reports([Some((Some(70), true)), Some((Some(30), true))]);
    let mut look = written(look);
    let status = look.stored();
    let usage = status.usage.unwrap();
    assert_eq!((usage.gpu_seconds, usage.voucher.unwrap().gpu_seconds), (100, 70), "the status has one place");
    assert_eq!(status.settlement.unwrap().unclaimed.as_deref(), Some("70"), "no money that nobody can claim");
    for kind in [ATTESTED, SETTLED] {
        let told = &find(&status.conditions, kind).unwrap().message;
        assert!(told.ends_with("The use of job-1-1 is counted and can't be claimed yet: the market takes vouchers of one attestor a job"), "{told}");
    }
    let decision = decide(&look);
    assert_eq!(decision.pod, PodStep::Release, "both are let go, though one voucher is stored nowhere");
    assert!(
        matches!(decision.actions.as_slice(), [NetworkAction::Settle { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(70))
    );
    look.unsettleable = true;
    assert!(
        matches!(decide(&look).actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(70))
    );
    look.chain = known(Job { used: GpuSeconds(70), ..chain(JobStatus::Running) });
    let end = decide(&look).actions;
    assert!(
        matches!(end.as_slice(), [NetworkAction::End { expect_used: GpuSeconds(70), .. }]),
        "claimed once: {end:?}"
    );
    look.chain = known(Job { used: GpuSeconds(70), ..chain(JobStatus::Closed) });
    look.pods =
        two(vec![PodState { has_finalizer: false, ..ended_pod(0) }, PodState { has_finalizer: false, ..ended_pod(0) }]);
    assert!(decide(&look).done);
}

#[test]
fn reports_are_over_once_each_member_has_made_its_last_and_not_once_those_have_that_enrolled() {
    for (finished, over) in [
        ([Some(true), Some(true)], true),
        ([Some(true), Some(false)], false),
        ([Some(true), None], false),
        ([None, Some(true)], false),
        ([None, None], false),
    ] {
        let attested = reports(finished.map(|is| is.map(|is| (Some(20), is))));
        let look = JobObservation { attested, ..running_two() };
        assert_eq!((look.has_finished(), look.reports_are_over()), (over, over), "{finished:?}");
    }
}

#[test]
fn after_a_restart_the_stored_voucher_is_the_leaders_and_no_other_members() {
    // Somebody wants it to end: counts are written at once.
    let mut look = running_two();
    let mut job = (*look.job).clone();
    job.spec.terminate = true;
    look.job = Arc::new(job);
    look.attested = reports([Some((Some(70), false)), None]);
    let look = written(look);
    for (attested, expected, stored) in [
        (reports([None, Some((Some(30), false))]), 100, 70),
        (reports([Some((Some(60), false)), Some((Some(90), false))]), 160, 70),
        (reports([Some((Some(80), false)), Some((Some(90), false))]), 170, 80),
    ] {
        let usage = decide(&JobObservation { attested, ..look.clone() }).status.usage.unwrap();
        assert_eq!((usage.gpu_seconds, usage.voucher.unwrap().gpu_seconds), (expected, stored));
    }
}

#[test]
fn a_refused_report_of_a_job_of_two_members_counts_once() {
    let refusal = crate::attestation::Refusal::new(hawser_proto::attestation::RejectReason::OutOfBounds, "too much");
    let rejection = Some(crate::attestation::Rejection { at: at(0), times: 2, refusal });
    let attested = reports([Some((None, false)), Some((None, false))]);
    let heard = Some(StreamHealth { rejection, ..heard(-60, None, true) });
    let usage = decide(&JobObservation { attested, heard, ..running_two() }).status.usage.unwrap();
    assert_eq!((usage.vouchers_rejected, usage.last_rejection.as_deref()), (2, Some("OutOfBounds: too much")));
}
