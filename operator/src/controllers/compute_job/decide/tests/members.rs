//! Jobs of two members: no kind of job has them yet, but nothing that decides counts on one.

use super::*;

fn member(name: &str, pod: PodState) -> PodState {
    PodState { name: name.to_owned(), uid: name.to_owned(), ..pod }
}

fn two(pods: Vec<PodState>) -> Members {
    let names = ["job-1-0", "job-1-1"];
    Members::new(
        names.map(str::to_owned).to_vec(),
        pods.into_iter().zip(names).map(|(pod, name)| member(name, pod)).collect(),
    )
}

/// A job of two members that runs.
fn running_two() -> JobObservation {
    written(JobObservation { pods: two(vec![running_pod(), running_pod()]), ..written_running() })
}

#[test]
fn what_two_members_used_is_added_up() {
    let reports = |counts: [Option<u64>; 2]| {
        let card = |n: usize| format!("GPU-{n}");
        let one = |(n, count): (usize, Option<u64>)| Attested {
            gpu_uuids: vec![card(n)],
            accepted: 3,
            ..attested(count.map(voucher), false)
        };
        counts.into_iter().enumerate().map(one).collect::<Vec<_>>()
    };
    for (counts, expected) in
        [([Some(20), Some(30)], 50), ([Some(20), None], 20), ([None, Some(30)], 30), ([None, None], 0)]
    {
        let running = seen(known(chain(JobStatus::Running)));
        let look =
            JobObservation { pods: two(vec![running_pod(), running_pod()]), attested: reports(counts), ..running };
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
        (vec![pod(), pod()], PodStep::Keep, Some("job-1-0")),
    ] {
        let decision = decide(&JobObservation { pods: two(pods), ..accepted.clone() });
        assert_eq!((decision.pod, decision.status.pod.as_deref()), (step, named));
    }
}
