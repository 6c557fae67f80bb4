//! What is in the way: how it is told, and that nothing is lost meanwhile.

use hawser_crds::condition::{ATTESTED, SCHEDULED};

use hawser_proto::attestation::RejectReason;

use super::*;
use crate::attestation::{Refusal, Rejection};
use crate::controllers::compute_job::observation::PodRefused;
use crate::controllers::conditions::is_trouble;

#[test]
fn a_pod_that_the_api_server_refuses_for_good_ends_the_order_and_its_words_stay_here() {
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.pod_refused = Some(PodRefused { for_good: false, message: "exceeded quota: team".to_owned() });
    let waits = decide(&look);
    assert_eq!((waits.pod, waits.actions.len()), (PodStep::Create, 0), "a quota may let it in later");
    assert_eq!(find(&waits.status.conditions, SCHEDULED).unwrap().message, "exceeded quota: team");

    look.pod_refused = Some(PodRefused { for_good: true, message: "spec.containers[0]: nonsense".to_owned() });
    let decision = decide(&look);
    assert_eq!((reason(&decision).as_str(), decision.pod), ("PodRefused", PodStep::Keep));
    let [NetworkAction::Decline { reason, .. }] = decision.actions.as_slice() else { panic!("{:?}", decision.actions) };
    assert_eq!(reason, "PodRefused");
    assert!(find(&decision.status.conditions, FAILED).unwrap().message.contains("nonsense"));
}

#[test]
fn a_job_is_settled_once_its_close_lies_deep_enough() {
    let mut look = written(written_running());
    look.pods = one(PodState { has_finalizer: false, ..ended_pod(0) });
    look.attested = vec![attested(Some(voucher(70)), true)];
    let mut look = written(look);
    let closed = Job { used: GpuSeconds(70), paid: Units::from(70), ..chain(JobStatus::Closed) };
    look.chain = ChainView::Known { job: Box::new(closed.clone()), time: at(0), deep: false };
    assert!(!decide(&look).done);
    look.chain = known(closed);
    assert!(decide(&look).done);
}

#[test]
fn while_the_last_words_are_not_taken_what_is_known_is_claimed_only_when_it_would_be_lost() {
    let mut look = written(written_running());
    look.pods = one(ended_pod(0));
    look.unheard = Some("the evidence can't be stored now".to_owned());
    let mut look = written(look);
    let decision = decide(&look);
    assert_eq!((decision.actions.len(), decision.pod), (0, PodStep::Keep));
    assert!(find(&decision.status.conditions, SETTLED).unwrap().message.contains("can't be stored"));
    let late = Job {
        end: Some(at(-4000)),
        started: Some(at(-4100)),
        refundable_from: Some(at(100)),
        ..chain(JobStatus::Ended)
    };
    look.chain = known(late);
    assert!(
        matches!(decide(&look).actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(20))
    );
}

#[test]
fn reports_that_stopped_and_a_meter_that_may_not_attest_are_told() {
    let mut look = written(written_running());
    let attestation = |look: &JobObservation| {
        let conditions = decide(look).status.conditions;
        let attested = find(&conditions, ATTESTED).unwrap();
        (attested.status.clone(), attested.reason.clone())
    };
    look.now = at(-5 + 120);
    look.chain = known(Job { end: Some(at(3000)), ..chain(JobStatus::Running) });
    assert_eq!(attestation(&look), ("True".to_owned(), "VoucherAccepted".to_owned()));
    look.now = at(-5 + 121);
    assert_eq!(attestation(&look), ("False".to_owned(), "ReportsStopped".to_owned()));

    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.pods = one(pod());
    let refusal = Refusal::new(RejectReason::WrongPod, "the token is of another pod");
    let rejection = Some(Rejection { at: at(0), times: 1, refusal });
    look.heard = Some(StreamHealth { rejection, ..heard(-60, None, false) });
    let conditions = decide(&look).status.conditions;
    let started = find(&conditions, STARTED).unwrap();
    let expected = ("EnrolmentRefused", "WrongPod: the token is of another pod");
    assert_eq!((started.reason.as_str(), started.message.as_str()), expected);
}

#[test]
fn a_card_that_another_job_has_is_told_with_both_jobs_whatever_was_vouched_for() {
    let words = "GPU GPU-1 is that of two jobs".to_owned();
    let mut look = written_running();
    look.heard = Some(StreamHealth { card_shared: Some(words.clone()), ..heard(-60, Some(-5), true) });
    let status = decide(&look).status;
    let told = find(&status.conditions, ATTESTED).unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str(), &told.message), ("False", "CardShared", &words));
    assert!(is_trouble(told));
    assert_eq!(status.usage.unwrap().card_shared, Some(words), "an operator that starts anew has to know it");
}

#[test]
fn a_meter_that_is_silent_and_one_that_is_not_connected_are_different_findings() {
    let connected = "meter is connected but silent: see the log";
    let gone = "meter is not connected: see the log";
    // The program runs since -40; patience is 120 s.
    let cases = [
        (Some(heard(-60, Some(-5), true)), 115, None, "still patient"),
        (Some(heard(-60, Some(-5), true)), 116, Some((-5, connected)), "since the last report"),
        (Some(heard(-60, Some(-5), false)), 116, Some((-5, gone)), "since the last report"),
        (Some(heard(100, None, false)), 220, None, "this operator listens for two minutes"),
        (Some(heard(100, None, false)), 221, Some((100, gone)), "since this operator listens"),
        (Some(heard(100, None, true)), 221, Some((100, connected)), "since this operator listens"),
        (Some(heard(-900, None, false)), 80, None, "there was nothing to report before the program ran"),
        (Some(heard(-900, None, false)), 81, Some((-40, gone)), "since the program runs"),
        (None, 900, None, "nothing is known yet"),
    ];
    for (heard, now, silent, why) in cases {
        let chain = known(Job { end: Some(at(3000)), ..chain(JobStatus::Running) });
        let look = JobObservation { heard: heard.clone(), now: at(now), chain, ..written_running() };
        let silent = silent.map(|(since, finding)| format!("no report since {}, {finding}", at(since)));
        let conditions = decide(&look).status.conditions;
        let told = find(&conditions, ATTESTED).unwrap();
        let begins = silent.as_deref().unwrap_or("vouchers of");
        assert_eq!(told.reason, if silent.is_some() { "ReportsStopped" } else { "VoucherAccepted" }, "{why}");
        assert!(told.message.starts_with(begins), "{why}: {:?}", told.message);

        // The same of a job that has no voucher yet.
        let mut job = (*look.job).clone();
        job.status.as_mut().unwrap().usage = None;
        let look = JobObservation { attested: vec![attested(None, false)], job: Arc::new(job), ..look };
        let conditions = decide(&look).status.conditions;
        let told = find(&conditions, ATTESTED).unwrap();
        let begins = silent.map_or_else(String::new, |silent| format!(": {silent}"));
        assert_eq!(told.reason, "NoVoucher", "{why}");
        assert!(
            told.message.starts_with(&format!("no voucher has been received yet{begins}")),
            "{why}: {:?}",
            told.message
        );
        assert_eq!(told.message.contains("no report"), !begins.is_empty(), "{why}: {:?}", told.message);
    }
}

#[test]
fn a_silence_that_was_told_goes_on_under_the_next_operator_until_a_report_is_heard() {
    let look = |job: &JobObservation, heard: Option<StreamHealth>, now: i64| {
        let chain = known(Job { end: Some(at(3000)), ..chain(JobStatus::Running) });
        JobObservation { heard, now: at(now), chain, ..job.clone() }
    };
    let told = |look: &JobObservation| {
        let conditions = decide(look).status.conditions;
        let told = find(&conditions, ATTESTED).unwrap();
        (told.reason.clone(), told.message.clone())
    };
    let vouched = written_running();
    let mut job = (*vouched.job).clone();
    job.status.as_mut().unwrap().usage = None;
    let no_voucher = JobObservation { attested: vec![attested(None, false)], job: Arc::new(job), ..written_running() };
    for (job, reason, otherwise) in
        [(vouched, "ReportsStopped", "VoucherAccepted"), (no_voucher, "NoVoucher", "NoVoucher")]
    {
        let silent = written(look(&job, Some(heard(-60, Some(-5), false)), 200));
        let since = format!("no report since {}, meter is", at(-5));
        for (heard, now, finding, why) in [
            (Some(heard(-60, Some(-5), false)), 200, "not connected", "the operator that found it"),
            (None, 210, "not connected", "nothing is known yet"),
            (Some(heard(205, None, false)), 210, "not connected", "it listens since five seconds"),
            (Some(heard(205, None, true)), 210, "connected but silent", "its meter is back, and has reported nothing"),
            (Some(heard(205, None, false)), 326, "not connected", "it has missed a report itself"),
        ] {
            let (said, words) = told(&look(&silent, heard, now));
            assert!(said == reason && words.contains(&format!("{since} {finding}")), "{why}: {said}: {words}");
        }
        let (reported, words) = told(&look(&silent, Some(heard(205, Some(208), true)), 210));
        assert!(reported == otherwise && !words.contains("no report"), "{reported}: {words}");
    }
}

#[test]
fn a_start_that_the_chain_has_lost_is_sent_again_before_anything_else() {
    let lost =
        |look: JobObservation| JobObservation { unstarted: true, chain: ChainView::Unknown("gone".to_owned()), ..look };
    let attestor = Attestor::repeat_byte(9);
    let running = lost(written_running());
    let decision = decide(&running);
    assert_eq!(decision.actions, [NetworkAction::Start { job: id(), attestor }]);
    assert_eq!(decision.pod, PodStep::Keep);
    let told = find(&decision.status.conditions, STARTED).unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("True", "StartUndone"), "vouchers still count");

    // It stands on chain again.
    let again = JobObservation { unstarted: false, chain: known(chain(JobStatus::Running)), ..written(running) };
    assert_eq!(find(&decide(&again).status.conditions, STARTED).unwrap().reason, "Started");

    // The program has ended meanwhile, and what it used is still to be paid.
    let ended = JobObservation { pods: one(ended_pod(0)), ..written_running() };
    assert!(matches!(decide(&lost(written(ended.clone()))).actions.as_slice(), [NetworkAction::Start { .. }]));
    let believed = JobObservation { unstarted: true, chain: known(chain(JobStatus::Open)), ..written(ended) };
    assert!(matches!(decide(&believed).actions.as_slice(), [NetworkAction::Start { .. }]));
    let unused = JobObservation { job: Arc::new(job()), attested: Vec::new(), ..believed };
    assert!(
        matches!(decide(&unused).actions.as_slice(), [NetworkAction::Decline { .. }]),
        "{:?}",
        decide(&unused).actions
    );
}

#[test]
fn an_image_that_does_not_come_ends_the_job_and_one_that_has_no_name_at_once() {
    let waiting = |reason: &str| PodState {
        customer: Container {
            waiting: Some((Reason::of_kubernetes(reason), "not found".to_owned())),
            ..Container::default()
        },
        ..pod()
    };
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.chain = known(chain(JobStatus::Running));
    look.pods = one(waiting("ImagePullBackOff"));
    assert_eq!(reason(&decide(&look)), "WaitingForAttestor");
    let look = later(look, 10);
    assert_eq!(reason(&decide(&look)), "ImagePullTimeout");
    let held = JobObservation { pods: one(waiting("PodInitializing")), ..look.clone() };
    assert_eq!(reason(&decide(&held)), "MeterNotReady", "no registry is to blame");
    let pulls = PodState { meter_ready: true, ..waiting("PodInitializing") };
    assert_eq!(reason(&decide(&JobObservation { pods: one(pulls), ..look.clone() })), "ImagePullTimeout");
    // The time that was bought is over before the pull may time out.
    let mut look = later(look, 50);
    let decision = decide(&JobObservation { offer: None, ..look.clone() });
    assert_eq!((reason(&decision).as_str(), is_true(&decision.status.conditions, FAILED)), ("ImagePullTimeout", true));
    look = later(look, 0);
    look.pods = one(waiting("InvalidImageName"));
    assert_eq!(reason(&decide(&look)), "InvalidImageName");
}
