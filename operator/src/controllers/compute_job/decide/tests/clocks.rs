//! Clocks that are off, and a chain that can't be seen: what is irrevocable rests on the chain's time alone.

use super::*;

const WEEK: i64 = 7 * 24 * 3600;

#[test]
fn no_clock_of_the_operators_ends_or_declines_anything() {
    let open = JobObservation { pods: one(pod()), ..written(seen(known(chain(JobStatus::Open)))) };
    let mut pulls = written(seen(known(chain(JobStatus::Open))));
    pulls.chain = known(Job { started: Some(at(0)), end: Some(at(100)), ..chain(JobStatus::Running) });
    pulls.pods = one(pod());
    let deleted = PodState { deleted: Some(at(-30)), ..running_pod() };
    let leaves = written(JobObservation { pods: one(deleted), ..written_running() });
    for off in [-WEEK, -3600, 3600, WEEK] {
        let wrong = |look: &JobObservation| decide(&JobObservation { now: at(off), ..look.clone() });
        assert_eq!(reason(&wrong(&written_running())), "Running", "{off}");
        assert_eq!(reason(&wrong(&open)), "WaitingForAttestor", "{off}: its deadline is at 300");
        assert_eq!(wrong(&open).actions, [], "{off}");
        assert_eq!(reason(&wrong(&pulls)), "WaitingForAttestor", "{off}: its pull may take until 60");
        assert_eq!(wrong(&leaves).actions, [], "{off}: its last voucher is still to come");
        assert_eq!(wrong(&leaves).pod, PodStep::Keep, "{off}");
    }
    // The same looks, when the chain says so.
    assert_eq!(reason(&decide(&later(written_running(), 50))), "TimeUp");
    assert_eq!(reason(&decide(&later(open, 290))), "NotStartedInTime");
    assert_eq!(reason(&decide(&later(pulls.clone(), 59))), "WaitingForAttestor");
    assert_eq!(reason(&decide(&later(pulls, 60))), "ImagePullTimeout");
    let gone = Lasting { leaving: Duration::from_secs(61), ..Lasting::default() };
    assert!(!decide(&JobObservation { lasting: gone, ..leaves }).actions.is_empty(), "its node does not answer");
}

#[test]
fn a_jobs_end_is_the_markets_word_or_the_time_of_a_block_or_long_past_on_a_chain_that_is_quiet() {
    let at_the = |status: JobStatus, block: i64, now: i64| {
        let chain = ChainView::Known { job: Box::new(chain(status)), time: at(block), deep: true };
        reason(&decide(&JobObservation { chain, chain_time: Some(at(now)), ..written_running() }))
    };
    assert_eq!(at_the(JobStatus::Running, 38, 62), "Running", "a top-up may stand in a block that is to come");
    assert_eq!(at_the(JobStatus::Running, 50, 50), "TimeUp");
    assert_eq!(at_the(JobStatus::Ended, 38, 40), "TimeUp");
    assert_eq!(at_the(JobStatus::Running, 38, 65), "TimeUp", "no block comes");
}

#[test]
fn a_job_whose_chain_can_not_be_seen_ends_when_its_time_was_last_known_to_end() {
    // Its end is stored: at 50.
    let paid_until = written_running().stored().settlement.unwrap().paid_until.unwrap();
    assert_eq!(paid_until.0, at(50));
    let blind = |unseen: u64, now: Option<i64>, running: u64| {
        let lasting = Lasting {
            unseen: Duration::from_secs(unseen),
            running: Duration::from_secs(running),
            ..Lasting::default()
        };
        let chain = ChainView::Unknown("no endpoint".to_owned());
        reason(&decide(&JobObservation { chain, chain_time: now.map(at), lasting, now: at(WEEK), ..written_running() }))
    };
    assert_eq!(blind(59, Some(50), 90), "NetworkUnavailable", "a hiccup of an endpoint");
    assert_eq!(blind(60, Some(49), 90), "NetworkUnavailable");
    assert_eq!(blind(60, Some(50), 90), "TimeUp");
    // An operator that began meanwhile has seen no block: it trusts only what passes. 100 s were bought.
    assert_eq!(blind(99, None, 99), "NetworkUnavailable");
    assert_eq!(blind(100, None, 100), "TimeUp");
}

#[test]
fn a_local_job_runs_and_nothing_is_asked_of_a_chain() {
    let mut look = seen(ChainView::Local);
    let mut job = (*look.job).clone();
    job.spec.source = None;
    look.job = Arc::new(job);
    let decision = decide(&look);
    assert_eq!((decision.pod, decision.actions.len()), (PodStep::Create, 0));
    let mut look = written(look);
    look.pods = one(ended_pod(0));
    look.attested = vec![attested(Some(voucher(9)), true)];
    let mut look = written(written(look));
    look.pods = one(PodState { has_finalizer: false, ..ended_pod(0) });
    let decision = decide(&look);
    assert_eq!((decision.actions.len(), decision.done, decision.status.phase), (0, true, Phase::Succeeded));
}

#[test]
fn a_local_job_ends_by_the_offers_longest_time() {
    let mut look = seen(ChainView::Local);
    let mut job = (*look.job).clone();
    job.spec.source = None;
    look.job = Arc::new(job);
    let mut look = written(look);
    look.pods = one(running_pod());
    look.now = at(604_800 - 41);
    assert_eq!(reason(&decide(&look)), "Running");
    look.now = at(604_800 - 40);
    assert_eq!(reason(&decide(&look)), "TimeUp");
}

#[test]
fn the_longer_a_chain_can_not_be_seen_the_less_often_its_jobs_are_looked_at() {
    let again = |look: JobObservation, unseen| {
        let lasting = Lasting { unseen: Duration::from_secs(unseen), ..Lasting::default() };
        decide(&JobObservation { chain: ChainView::Unknown("no endpoint".to_owned()), lasting, ..look }).again.as_secs()
    };
    let open = || written(seen(known(chain(JobStatus::Open))));
    assert_eq!(decide(&written_running()).again.as_secs(), 10);
    assert_eq!([0, 12, 90].map(|unseen| again(written_running(), unseen)), [2, 12, 30]);
    assert_eq!([0, 12, 90].map(|unseen| again(open(), unseen)), [2, 12, 30]);
}

#[test]
fn how_long_an_order_took_to_run_is_told_once_and_by_the_chains_time_of_the_order() {
    let running = |pod: PodState| JobObservation { pods: one(pod), ..seen(known(chain(JobStatus::Running))) };
    // The start deadline is at 300, the offer's start window 600 s long: the order is of -300.
    let now = running(running_pod());
    assert_eq!(now.runs_after(), Some(260.0));
    assert_eq!(running(pod()).runs_after(), None, "it does not run yet");
    assert_eq!(seen(ChainView::Unknown("away".to_owned())).runs_after(), None);
    let early = Container { started: Some(at(-400)), ..Container::default() };
    assert_eq!(running(PodState { customer: early, ..pod() }).runs_after(), Some(0.0), "two clocks that differ");
    let mut known_before = job();
    known_before.status = Some(serde_json::from_value(json!({"containerStartedAt": at(-40)})).unwrap());
    assert_eq!(JobObservation { job: Arc::new(known_before), ..now }.runs_after(), None, "it was told before");
}
