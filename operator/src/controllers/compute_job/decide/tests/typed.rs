//! What decides stands in typed fields of the status.

use hawser_crds::Outcome;

use super::*;

#[test]
fn an_order_that_comes_to_nothing_was_turned_down_unless_it_was_accepted() {
    let late = || Job { start_deadline: Some(at(-10)), ..chain(JobStatus::Open) };
    for job in [late(), chain(JobStatus::Closed)] {
        let unseen = seen(known(job.clone()));
        assert_eq!(decide(&unseen).status.outcome, Some(Outcome::Declined), "{job:?}");
        let mut accepted = written(seen(known(chain(JobStatus::Open))));
        accepted.chain = known(job.clone());
        assert_eq!(decide(&accepted).status.outcome, Some(Outcome::Failed), "{job:?}");
    }
}

#[test]
fn a_job_writes_down_when_it_was_accepted_started_and_settled_how_it_ended_and_what_the_market_is_told() {
    let accepted = decide(&seen(known(chain(JobStatus::Open)))).status;
    assert_eq!(accepted.accepted_at.map(|time| time.0), Some(at(0)));
    assert_eq!((accepted.started_at, accepted.outcome, accepted.settled_at), (None, None, None));

    let running = written_running();
    let started = running.stored().started_at.map(|time| time.0);
    assert_eq!(started, Some(at(-50)), "by the chain, and not when it was seen");
    let mut moved = running.clone();
    moved.chain = known(Job { started: Some(at(-46)), ..chain(JobStatus::Running) });
    assert_eq!(decide(&moved).status.started_at.map(|time| time.0), Some(at(-46)), "a reorganisation moved it");
    moved.chain = ChainView::Unknown("no endpoint".to_owned());
    assert_eq!(decide(&moved).status.started_at.map(|time| time.0), Some(at(-50)), "it stays while nothing is seen");

    let mut over = written(JobObservation { pods: one(ended_pod(3)), attested: vec![attested(None, true)], ..running });
    let status = over.stored();
    assert_eq!((status.outcome, status.reason.as_deref()), (Some(Outcome::Failed), Some("Error")));
    assert_eq!(status.message.as_deref(), Some("the program ended with exit code 3"));
    assert_eq!(status.decline_reason.as_deref(), Some("Error"), "kubelet's words stay in the cluster");
    over.pods = one(PodState { has_finalizer: false, ..ended_pod(3) });
    over = written(over);
    over.chain = known(chain(JobStatus::Closed));
    let settled = decide(&over).status;
    let times = [settled.settled_at, settled.kept_until].map(|time| time.map(|time| time.0));
    assert_eq!(times, [Some(at(0)), Some(at(3600))]);
}

#[test]
fn an_order_that_is_declined_and_one_that_the_chain_has_lost_are_told_from_a_job_that_failed() {
    let full = JobObservation { allocation: short("0 are free", false), ..seen(known(chain(JobStatus::Open))) };
    let declined = decide(&full).status;
    assert_eq!((declined.outcome, declined.accepted_at), (Some(Outcome::Declined), None));
    assert_eq!(declined.decline_reason.as_deref(), Some("NoCapacity: 0 are free"));
    let lost = JobObservation { chain: known(chain(JobStatus::None)), ..written_running() };
    assert_eq!(decide(&lost).status.outcome, Some(Outcome::Reorged));
}

/// Conditions are for people: somebody may change them, and a later release may word them otherwise.
#[test]
fn nothing_is_decided_by_what_conditions_say() {
    let settled = || {
        let mut look = written(JobObservation {
            pods: one(ended_pod(0)),
            attested: vec![attested(None, true)],
            ..written_running()
        });
        look.pods = one(PodState { has_finalizer: false, ..ended_pod(0) });
        let mut look = written(look);
        look.chain = known(chain(JobStatus::Closed));
        written(look)
    };
    let declined = || {
        let mut look = seen(known(chain(JobStatus::Open)));
        look.allocation = short("full", false);
        written(look)
    };
    let silent = || {
        let mut look = JobObservation { now: at(300), heard: Some(heard(-60, Some(-5), false)), ..written_running() };
        look.chain = known(Job { end: Some(at(3000)), ..chain(JobStatus::Running) });
        JobObservation { heard: None, ..written(look) }
    };
    let undone =
        || JobObservation { unstarted: true, chain: ChainView::Unknown("gone".to_owned()), ..written_running() };
    for (name, look) in [
        ("accepted", written(seen(known(chain(JobStatus::Open))))),
        ("running", written_running()),
        ("silent", silent()),
        ("undone", undone()),
        ("ended", written(JobObservation { pods: one(ended_pod(0)), ..written_running() })),
        ("failed", written(JobObservation { pods: one(ended_pod(3)), ..written_running() })),
        ("gone", written(JobObservation { pods: none(), ..written_running() })),
        ("declined", declined()),
        ("settled", settled()),
    ] {
        let expected = decide(&look);
        let mut job = (*look.job).clone();
        job.status.as_mut().unwrap().conditions.clear();
        let got = decide(&JobObservation { job: Arc::new(job), ..look });
        assert_eq!(
            (&got.actions, got.pod, got.again, got.done),
            (&expected.actions, expected.pod, expected.again, expected.done),
            "{name}"
        );
        let but_conditions = |status: &ComputeJobStatus| ComputeJobStatus { conditions: Vec::new(), ..status.clone() };
        assert_eq!(but_conditions(&got.status), but_conditions(&expected.status), "{name}");
    }
}
