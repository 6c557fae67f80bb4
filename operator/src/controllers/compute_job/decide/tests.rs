use std::sync::Arc;

use hawser_attestation::{Attestor, AttestorKey, Digest, EvidenceRoot, MarketId, SignedVoucher};
use hawser_crds::{ComputeJob, GpuOffer, VoucherRecord};
use hawser_market::AttestorTail;
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::attestation::{Attested, StreamHealth};
use crate::controllers::allocation::Allocation;
use crate::controllers::compute_job::lasting::Lasting;
use crate::controllers::compute_job::members::Members;
use crate::controllers::compute_job::voucher::record;
use crate::controllers::conditions::{find, is_false, is_true};
use crate::inventory::Shortage;
use crate::network::{ActionKey, GpuSeconds, Job, JobId, Subject, Token, Units};
use crate::objects::pod_state::{Container, Ended, PodState};
use crate::reasons::Reason;
use crate::settlement::plan::Policy;
use hawser_crds::condition::{ACCEPTED, COMPLETE, FAILED, SETTLED, STARTED};

mod clocks;
mod ends;
mod members;
mod money;
mod settles;
mod trouble;
mod typed;

const NOW: i64 = 1_000_000;

fn at(offset: i64) -> Timestamp {
    Timestamp::from_second(NOW + offset).unwrap()
}

fn id() -> JobId {
    "lease-7".into()
}

fn subject() -> Subject {
    Subject { market: MarketId::default(), id: hawser_market::JobId(Digest::repeat_byte(7)) }
}

fn order() -> OrderRef {
    OrderRef::new(Some("customer-5"), Some("hash-6"))
}

fn job() -> ComputeJob {
    serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
        "metadata": {"name": "job-1", "namespace": "t", "uid": "u", "generation": 1},
        "spec": {
            "offerRef": "o", "workload": {"image": "i", "gpus": 2},
            "source": {"network": "n", "jobId": id().to_string(), "customer": "customer-5",
                "orderHash": "hash-6", "seconds": 100, "deposit": "200", "price": "3600", "block": 1}
        }
    }))
    .unwrap()
}

fn offer() -> GpuOffer {
    serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o", "namespace": "t"},
        "spec": {
            "networkRef": "n", "gpu": {"product": "p"}, "pull": {"freeSeconds": 10, "timeoutSeconds": 60},
            "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
        }
    }))
    .unwrap()
}

fn chain(status: JobStatus) -> Job {
    let live = matches!(status, JobStatus::Running | JobStatus::Ended);
    Job {
        id: id(),
        status,
        attestor: live.then(|| AttestorTail::of(Attestor::repeat_byte(9))),
        gpus: 2,
        price: 3600,
        duration_seconds: 100,
        start_deadline: Some(at(300)),
        started: live.then(|| at(-50)),
        end: live.then(|| at(50)),
        ending: false,
        refundable_from: live.then(|| at(5000)),
        used: GpuSeconds(0),
        deposit: Units::from(200),
        paid: Units::ZERO,
    }
}

fn seen(chain: ChainView) -> JobObservation {
    JobObservation {
        job: Arc::new(job()),
        id: id(),
        subject: Some(subject()),
        offer: Some(Arc::new(offer())),
        chain,
        unstarted: false,
        token: Some(Token { id: "tusd".into(), symbol: "tUSD".to_owned(), decimals: 2 }),
        pods: none(),
        attested: Vec::new(),
        offer_unreadable: false,
        allocation: Allocation::Allocated,
        order_cost: Units::ZERO,
        policy: Policy {
            payment: Payment::Cumulative,
            interval: Duration::from_hours(1),
            least: Units::ZERO,
            claim_cost: Units::ZERO,
        },
        heard: None,
        unheard: None,
        pod_refused: None,
        obstacle: None,
        unsettleable: false,
        tx: None,
        chain_time: Some(at(0)),
        lasting: Lasting::default(),
        failing: None,
        retention: SignedDuration::from_hours(1),
        now: at(0),
    }
}

fn one(pod: PodState) -> Members {
    Members::new(vec!["job-1".to_owned()], vec![pod])
}

fn none() -> Members {
    Members::new(vec!["job-1".to_owned()], Vec::new())
}

fn short(why: &str, passing: bool) -> Allocation {
    Allocation::Short(Shortage { why: why.to_owned(), passing })
}

/// The same look so many seconds later, by the chain's time; the operator's own clock is a week off.
fn later(mut look: JobObservation, seconds: i64) -> JobObservation {
    if let ChainView::Known { time, .. } = &mut look.chain {
        *time = at(seconds);
    }
    look.chain_time = Some(at(seconds));
    look.now = at(seconds) + SignedDuration::from_hours(7 * 24);
    look
}

fn known(job: Job) -> ChainView {
    ChainView::Known { job: Box::new(job), time: at(0), deep: true }
}

fn pod() -> PodState {
    PodState {
        name: "job-1".to_owned(),
        uid: "p".to_owned(),
        node: Some("a".to_owned()),
        has_finalizer: true,
        running: true,
        ..PodState::default()
    }
}

fn running_pod() -> PodState {
    PodState { customer: Container { started: Some(at(-40)), ..Container::default() }, ..pod() }
}

fn ended_pod(code: i32) -> PodState {
    let ended = Some(Ended { at: at(-5), code, reason: Reason::Error });
    let customer = Container { started: Some(at(-40)), ended, ..Container::default() };
    PodState { customer, is_finished: true, running: false, meter_over: true, ..pod() }
}

fn voucher(gpu_seconds: u64) -> SignedVoucher {
    let (key, Subject { market, id }) = (AttestorKey::from_slice(&[3; 32]).unwrap(), subject());
    SignedVoucher::sign(&key, market, id, GpuSeconds(gpu_seconds), EvidenceRoot(Digest::ZERO)).unwrap()
}

fn attested(voucher: Option<SignedVoucher>, finished: bool) -> Attested {
    Attested {
        pod: "job-1".to_owned(),
        attestor: Attestor::repeat_byte(9),
        gpu_uuids: vec!["GPU-1".to_owned()],
        voucher,
        voucher_attestor: None,
        accepted: 1,
        last_report: Some(at(-5)),
        finished,
        evidence_url: String::new(),
    }
}

fn heard(since: i64, last_report: Option<i64>, connected: bool) -> StreamHealth {
    StreamHealth { since: at(since), connected, last_report: last_report.map(at), rejection: None, card_shared: None }
}

/// Takes the status of a decision for the stored one, as the next look has it.
fn written(mut seen: JobObservation) -> JobObservation {
    let status = decide(&seen).status;
    let mut job = (*seen.job).clone();
    job.status = Some(status);
    seen.job = Arc::new(job);
    seen
}

fn reason(decision: &Decision) -> String {
    decision.status.reason.clone().unwrap()
}

#[test]
fn an_open_order_within_policy_gets_a_pod() {
    let decision = decide(&seen(known(chain(JobStatus::Open))));
    assert_eq!((decision.pod, decision.status.phase), (PodStep::Create, Phase::Starting));
    assert!(is_true(&decision.status.conditions, ACCEPTED));
    assert_eq!(decision.actions, []);
}

#[test]
fn an_order_that_cannot_be_taken_is_declined_with_the_reason_and_gets_no_pod() {
    let change_job = |change: &dyn Fn(&mut ComputeJob)| {
        let mut seen = seen(known(chain(JobStatus::Open)));
        let mut job = (*seen.job).clone();
        change(&mut job);
        seen.job = Arc::new(job);
        seen
    };
    let full = JobObservation { allocation: short("0 are free", false), ..seen(known(chain(JobStatus::Open))) };
    let no_offer = JobObservation { offer: None, ..seen(known(chain(JobStatus::Open))) };
    for (seen, word) in [
        (change_job(&|j| j.spec.source.as_mut().unwrap().malformed = Some("not JSON".to_owned())), "Malformed"),
        (change_job(&|j| j.spec.workload.gpus = 0), "NoGpu"),
        (change_job(&|j| j.spec.terminate = true), "Terminated"),
        (full, "NoCapacity"),
        (no_offer, "NoOffer"),
    ] {
        let decision = decide(&seen);
        assert_eq!((reason(&decision).as_str(), decision.pod), (word, PodStep::Keep));
        let [NetworkAction::Decline { job, order: of, reason }] = decision.actions.as_slice() else {
            panic!("{word}: {:?}", decision.actions)
        };
        assert_eq!((job, of), (&id(), &order()));
        assert!(reason.starts_with(word), "{reason}");
        assert!(is_false(&decision.status.conditions, ACCEPTED) && is_true(&decision.status.conditions, FAILED));
    }
}

#[test]
fn a_declined_order_is_settled_once_the_chain_has_closed_it() {
    let mut look = seen(known(chain(JobStatus::Open)));
    look.allocation = short("full", false);
    let mut look = written(look);
    look.chain = known(chain(JobStatus::Closed));
    let decision = decide(&look);
    assert_eq!(
        (decision.status.phase, decision.done, reason(&decision).as_str()),
        (Phase::Declined, true, "NoCapacity")
    );
    assert_eq!(decision.status.settlement.unwrap().refunded.as_deref(), Some("200"));
}

#[test]
fn an_unseen_chain_changes_nothing() {
    for pod in [None, Some(running_pod())] {
        let mut look = seen(known(chain(JobStatus::Running)));
        look.pods = pod.clone().map_or_else(none, one);
        let mut look = written(look);
        look.chain = ChainView::Unknown("no endpoint".to_owned());
        let decision = decide(&look);
        assert_eq!(decision.actions, []);
        assert!(matches!(decision.pod, PodStep::Keep | PodStep::Create));
        assert!(find(&decision.status.conditions, FAILED).is_none());
    }
}

#[test]
fn the_job_is_started_with_the_attestor_that_enrolled() {
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.pods = one(pod());
    look.attested = vec![attested(None, false)];
    let decision = decide(&look);
    assert_eq!(decision.actions, [NetworkAction::Start { job: id(), attestor: Attestor::repeat_byte(9) }]);
    look.chain = known(chain(JobStatus::Running));
    let decision = decide(&look);
    assert_eq!(decision.actions, []);
    assert!(is_true(&decision.status.conditions, STARTED));
}

fn written_running() -> JobObservation {
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.chain = known(chain(JobStatus::Running));
    look.pods = one(running_pod());
    look.attested = vec![attested(Some(voucher(20)), false)];
    look.heard = Some(heard(-60, Some(-5), true));
    written(look)
}

#[test]
fn what_ends_a_running_job_is_named() {
    let with = |change: &dyn Fn(&mut JobObservation)| {
        let mut look = written_running();
        change(&mut look);
        reason(&decide(&look))
    };
    let chain_is = |look: &mut JobObservation, change: &dyn Fn(&mut Job)| {
        let mut job = chain(JobStatus::Running);
        change(&mut job);
        look.chain = known(job);
    };
    assert_eq!(with(&|_| ()), "Running");
    assert_eq!(with(&|l| l.pods = one(ended_pod(3))), "Error");
    assert_eq!(with(&|l| l.pods = none()), "PodDeleted");
    assert_eq!(with(&|l| l.pods = one(PodState { deleted: Some(at(10)), ..running_pod() })), "PodDeleted");
    let evicted = Some((Reason::of_kubernetes("EvictionByEvictionAPI"), String::new()));
    assert_eq!(
        with(&|l| l.pods = one(PodState { disruption: evicted.clone(), ..running_pod() })),
        "EvictionByEvictionAPI"
    );
    assert_eq!(with(&|l| *l = later(l.clone(), 49)), "Running");
    assert_eq!(with(&|l| *l = later(l.clone(), 50)), "TimeUp");
    assert_eq!(with(&|l| chain_is(l, &|j| (j.ending, j.end) = (true, Some(at(0))))), "EndedByCustomer");
    assert_eq!(with(&|l| chain_is(l, &|j| j.status = JobStatus::Closed)), "ClosedOnChain");
    assert_eq!(with(&|l| chain_is(l, &|j| j.status = JobStatus::None)), "Reorged");
}

#[test]
fn a_pod_is_deleted_only_after_the_reason_is_written() {
    let look = later(written_running(), 50);
    assert_eq!(decide(&look).pod, PodStep::Keep);
    assert_eq!(decide(&written(look)).pod, PodStep::Delete);
}

#[test]
fn an_order_that_cannot_be_started_in_time_is_declined_before_its_deadline_and_refunded_after() {
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.pods = one(PodState { node: None, unschedulable: Some("0/1 nodes".to_owned()), running: false, ..pod() });
    assert_eq!(reason(&decide(&later(look.clone(), 289))), "Unschedulable");
    let declined = decide(&later(look.clone(), 290));
    assert_eq!(reason(&declined), "NotStartedInTime");
    assert!(find(&declined.status.conditions, FAILED).unwrap().message.ends_with("deadline: 0/1 nodes"));
    let late = later(JobObservation { job: Arc::clone(&look.job), ..seen(known(chain(JobStatus::Open))) }, 301);
    assert_eq!(decide(&late).actions, [NetworkAction::Refund { job: id(), order: order() }]);
}

#[test]
fn an_obstacle_stands_in_the_status() {
    let mut look = written(seen(known(chain(JobStatus::Open))));
    look.pods = one(pod());
    look.attested = vec![attested(None, false)];
    look.obstacle = Some((ActionKey::Start(id()), "the wallet is empty".to_owned()));
    let decision = decide(&look);
    let started = find(&decision.status.conditions, STARTED).unwrap();
    assert_eq!((started.reason.as_str(), started.message.as_str()), ("Refused", "the wallet is empty"));
}
