//! What ends a program that did not end itself, and with which words.

use hawser_proto::attestation::RejectReason;

use super::*;
use crate::attestation::{Refusal, Rejection};
use crate::controllers::compute_job::expectation;
use crate::controllers::compute_job::observation::PodRefused;
use crate::objects::pod_state::NeverRan;

fn lasting(change: impl FnOnce(&mut Lasting)) -> Lasting {
    let mut lasting = Lasting::default();
    change(&mut lasting);
    lasting
}

#[test]
fn a_meter_that_does_not_come_back_ends_the_job_and_one_that_is_only_cut_off_does_not() {
    let down = || Some("CrashLoopBackOff".to_owned());
    let with = |meter_down: Option<String>, silent: u64, since: u64| {
        let lasting = lasting(|l| {
            (l.silent, l.meter_down) = (Duration::from_secs(silent), Duration::from_secs(since));
        });
        JobObservation { pods: one(PodState { meter_down, ..running_pod() }), lasting, ..written_running() }
    };
    for (look, expected, why) in [
        (with(None, 9000, 0), "Running", "it runs and counts on"),
        (with(down(), 59, 59), "Running", "kubelet starts it again"),
        (with(down(), 60, 14), "Running", "it came back, and went again"),
        (with(down(), 60, 15), "MeterLost", "nothing counts"),
        (
            JobObservation { pods: one(PodState { meter_down: down(), ..ended_pod(0) }), ..with(down(), 60, 60) },
            "ProgramEnded",
            "over",
        ),
    ] {
        assert_eq!(reason(&decide(&look)), expected, "{why}");
    }
    let lost = written(with(down(), 60, 60));
    let decision = decide(&lost);
    assert_eq!((decision.pod, decision.status.phase), (PodStep::Delete, Phase::Settling));
    // On chain too, once its last voucher is in.
    let over = PodState {
        is_finished: true,
        running: false,
        meter_over: true,
        has_finalizer: false,
        meter_down: down(),
        ..running_pod()
    };
    let claimed = Job { used: GpuSeconds(20), paid: Units::from(20), ..chain(JobStatus::Running) };
    let actions = decide(&JobObservation { pods: one(over), chain: known(claimed), ..lost }).actions;
    assert!(matches!(actions.as_slice(), [NetworkAction::End { reason, .. }] if reason == "MeterLost"), "{actions:?}");
    // Three intervals of a meter that reports seldom.
    let mut seldom = with(down(), 89, 60);
    let mut offer = offer();
    offer.spec.attestation.interval_seconds = 30;
    seldom.offer = Some(Arc::new(offer));
    assert_eq!(reason(&decide(&seldom)), "Running");
    seldom.lasting.silent = Duration::from_secs(90);
    assert_eq!(reason(&decide(&seldom)), "MeterLost");
}

#[test]
fn cards_that_fail_for_long_end_the_job() {
    let with = |failing: Option<&str>, seconds: u64| {
        let lasting = lasting(|l| l.failing = Duration::from_secs(seconds));
        let look = JobObservation { failing: failing.map(str::to_owned), lasting, ..written_running() };
        reason(&decide(&look))
    };
    assert_eq!(with(None, 0), "Running");
    assert_eq!(with(Some("GPU-1 is unhealthy"), 29), "Running");
    assert_eq!(with(Some("GPU-1 is unhealthy"), 30), "GpuLost");
}

#[test]
fn who_took_the_pod_away_is_named_and_not_the_signals_exit_code() {
    let pair = |reason: &str| Some((Reason::of_kubernetes(reason), "words".to_owned()));
    let with = |given_up: Option<(Reason, String)>, disruption: Option<(Reason, String)>, code: i32, deleted: bool| {
        let deleted = deleted.then(|| at(10));
        let pod = PodState { deleted, disruption, given_up, ..ended_pod(code) };
        reason(&decide(&JobObservation { pods: one(pod), ..written_running() }))
    };
    let (evicted, admission) = (pair("Evicted"), pair("UnexpectedAdmissionError"));
    let (by_kubelet, drained) = (pair("TerminationByKubelet"), pair("EvictionByEvictionAPI"));
    for (given_up, disruption, code, deleted, expected) in [
        (None, None, 143, false, "Error"),
        (admission.clone(), None, 143, false, "UnexpectedAdmissionError"),
        (evicted.clone(), by_kubelet.clone(), 137, false, "Evicted"),
        (evicted, None, 137, true, "Evicted"),
        (None, by_kubelet, 137, false, "TerminationByKubelet"),
        (None, drained.clone(), 143, true, "EvictionByEvictionAPI"),
        (None, pair("PreemptionByScheduler"), 143, false, "PreemptionByScheduler"),
        (pair("NodeShutdown"), drained, 143, true, "EvictionByEvictionAPI"),
        (None, None, 143, true, "PodDeleted"),
        (admission, None, 0, false, "ProgramEnded"),
    ] {
        let got = with(given_up.clone(), disruption.clone(), code, deleted);
        assert_eq!(got, expected, "{given_up:?} {disruption:?} {code} {deleted}");
    }
}

/// Its `ComputeJob` was torn away, and the order came back as another one, which knows of nothing.
#[test]
fn a_job_that_finds_its_pod_was_accepted_and_claims_what_the_pods_voucher_says() {
    let held = short("1 GPUs asked for, the offer sells 1 and 1 are held by other jobs", false);
    let look = JobObservation { allocation: held, ..seen(known(chain(JobStatus::Running))) };
    assert_eq!(reason(&decide(&look)), "NoCapacity");
    let leaving = PodState { deleted: Some(at(10)), ..ended_pod(143) };
    let look = JobObservation { pods: one(leaving), attested: vec![attested(Some(voucher(70)), true)], ..look };
    let decision = decide(&look);
    assert_eq!(reason(&decision), "PodDeleted");
    assert!(is_true(&decision.status.conditions, ACCEPTED));
    assert!(
        matches!(decision.actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(70))
    );
    assert_eq!(decide(&written(look)).pod, PodStep::Release);

    // One that runs goes on.
    let look = JobObservation { pods: one(running_pod()), ..seen(known(chain(JobStatus::Running))) };
    assert_eq!(reason(&decide(&look)), "Running");
}

/// A job that is started on chain at 0, whose image may be pulled for 10 s for nothing, and whose program can't be started.
fn cannot_start(found: i64, now: i64) -> JobObservation {
    let never = NeverRan { at: Some(at(found)), reason: Reason::StartError, message: "no such file".to_owned() };
    let words = (Reason::StartError, "the program could not be started: no such file".to_owned());
    let customer = Container { never_ran: Some(never), ..Container::default() };
    let pod = PodState { customer, is_finished: true, running: false, meter_over: true, failure: Some(words), ..pod() };
    let started = Job { started: Some(at(0)), end: Some(at(100)), ..chain(JobStatus::Running) };
    let look = written(seen(known(chain(JobStatus::Open))));
    later(JobObservation { pods: one(pod), chain: known(started), ..look }, now)
}

#[test]
fn a_program_that_could_not_be_started_ends_the_job_with_kubelets_words() {
    let decision = decide(&cannot_start(5, 6));
    assert_eq!(reason(&decision), "StartError");
    let failed = find(&decision.status.conditions, FAILED).unwrap();
    assert_eq!(failed.message, "the program could not be started: no such file");
    assert_eq!(decision.status.container_started_at, None);
}

#[test]
fn the_time_of_a_pull_is_paid_for_after_the_free_seconds_and_not_a_second_after_a_start_that_failed() {
    let times = |look: &JobObservation| {
        let job = crate::attestation::JobRef { namespace: "t".to_owned(), name: "job-1".to_owned() };
        let expected = expectation::expected(look, job).unwrap();
        (expected.begin, expected.ended)
    };
    assert_eq!(times(&cannot_start(5, 6)), (None, Some(at(5))), "within the free seconds");
    assert_eq!(times(&cannot_start(5, 60)), (None, Some(at(5))), "and that does not change with time");
    assert_eq!(times(&cannot_start(32, 33)), (Some(at(10)), Some(at(32))));
    // Still pulling.
    let pulls = |now| later(JobObservation { pods: one(pod()), ..cannot_start(0, 0) }, now);
    assert_eq!(times(&pulls(9)), (None, None));
    assert_eq!(times(&pulls(10)), (Some(at(10)), None));
}

#[test]
fn an_image_that_the_registry_does_not_have_is_not_waited_for() {
    let with = |message: &str, missing: u64| {
        let waiting = Some((Reason::ErrImagePull, message.to_owned()));
        let pod = PodState { customer: Container { waiting, ..Container::default() }, ..pod() };
        let lasting = lasting(|l| l.image_missing = Duration::from_secs(missing));
        let started = Job { started: Some(at(0)), ..chain(JobStatus::Running) };
        let look = written(seen(known(chain(JobStatus::Open))));
        reason(&decide(&JobObservation { pods: one(pod), chain: known(started), lasting, ..look }))
    };
    assert_eq!(with("r.io/x:1: not found", 29), "WaitingForAttestor");
    assert_eq!(with("r.io/x:1: not found", 30), "ImageNotFound");
    assert_eq!(with("r.io/x:1: 503 Service Unavailable", 0), "WaitingForAttestor");
}

#[test]
fn what_refused_the_pod_is_said_again_when_the_deadline_has_come() {
    let refused = PodRefused { for_good: false, message: "exceeded quota: team".to_owned() };
    let look = written(seen(known(chain(JobStatus::Open))));
    let waits = decide(&JobObservation { pod_refused: Some(refused.clone()), ..look.clone() });
    assert_eq!(reason(&waits), "PodRefused");
    let decision = decide(&later(JobObservation { pod_refused: Some(refused), ..look }, 290));
    let failed = find(&decision.status.conditions, FAILED).unwrap();
    assert_eq!(failed.reason, "NotStartedInTime");
    assert!(failed.message.ends_with("the API server does not take the job's pod: exceeded quota: team"), "{failed:?}");
    assert_eq!(
        decision.actions,
        [NetworkAction::Decline { job: id(), order: order(), reason: "NotStartedInTime".to_owned() }]
    );
}

#[test]
fn a_container_of_somebody_elses_does_not_keep_the_pod_of_a_program_that_has_ended() {
    let kept = PodState { is_finished: false, running: true, meter_over: false, ..ended_pod(0) };
    let mut look = written(JobObservation { pods: one(kept), ..written_running() });
    assert_eq!(decide(&look).pod, PodStep::Keep, "kubelet stops meter by itself");
    look.lasting = lasting(|l| l.lingering = Duration::from_mins(1));
    assert_eq!(decide(&look).pod, PodStep::Delete);
}

#[test]
fn a_status_in_which_nothing_has_changed_is_the_stored_one() {
    let mut look = written(JobObservation { pods: one(ended_pod(0)), ..written_running() });
    // Reports come with all the digits of a clock, and a stored time has whole seconds.
    let mut reports = attested(Some(voucher(20)), true);
    reports.last_report = Some(at(-5) + SignedDuration::from_millis(123));
    look.attested = vec![reports];
    let look = written(look);
    assert_eq!(decide(&look).status, look.stored());
    let refused = |seconds: u32, rejected: u64| {
        let mut look = look.clone();
        let message = format!("the node's clock is {seconds} s ahead");
        let refusal = Refusal::new(RejectReason::OutOfBounds, message);
        let rejection = Some(Rejection { at: at(0), times: rejected, refusal });
        look.heard = Some(StreamHealth { rejection, ..heard(-60, Some(-5), true) });
        look
    };
    let told = written(refused(12, 1));
    assert_ne!(told.stored(), look.stored());
    let again = JobObservation { job: Arc::clone(&told.job), ..refused(9, 2) };
    assert_eq!(decide(&again).status, told.stored());
}

#[test]
fn an_order_waits_for_a_node_that_may_be_back_in_a_moment_and_not_past_its_start_window() {
    let look = |passing: bool, away: u64, now: i64| {
        let lasting = Lasting { node_away: Duration::from_secs(away), ..Lasting::default() };
        let full = short("0 are free", passing);
        let look = JobObservation { allocation: full, lasting, ..seen(known(chain(JobStatus::Open))) };
        let decision = decide(&later(look, now));
        (decision.status.phase, reason(&decision), decision.actions.len())
    };
    let (waits, declined) =
        ((Phase::Pending, "NoCapacity".to_owned(), 0), (Phase::Settling, "NoCapacity".to_owned(), 1));
    // Its start deadline is at 300.
    for (passing, away, now, expected) in [
        (true, 0, 0, &waits),
        (true, 59, 100, &waits),
        (true, 60, 100, &declined),
        (true, 59, 269, &waits),
        (true, 59, 270, &declined),
        (false, 0, 0, &declined),
    ] {
        assert_eq!(look(passing, away, now), *expected, "{passing} {away} {now}");
    }
}

#[test]
fn an_order_of_an_offer_that_cannot_be_read_waits_for_it_and_not_past_its_start_window() {
    let look = |now: i64| {
        let unread = JobObservation {
            offer: None,
            offer_unreadable: true,
            allocation: Allocation::NotCached,
            ..seen(known(chain(JobStatus::Open)))
        };
        let decision = decide(&later(unread, now));
        let accepted = find(&decision.status.conditions, ACCEPTED).unwrap();
        (decision.status.phase, accepted.status.clone(), accepted.reason.clone(), decision.actions.len())
    };
    // Its start deadline is at 300.
    for (now, phase, word, actions) in
        [(0, Phase::Pending, "Unknown", 0), (269, Phase::Pending, "Unknown", 0), (270, Phase::Settling, "False", 1)]
    {
        assert_eq!(look(now), (phase, word.to_owned(), "OfferUnreadable".to_owned(), actions), "{now}");
    }
}
