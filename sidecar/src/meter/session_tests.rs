use alloy::primitives::Address;
use hawser_attestation::GpuSample;
use hawser_proto::attestation::{Begin, Started, Stop};

use super::*;
use crate::cards::Life;

#[path = "session_card_tests.rs"]
mod cards;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn millis(second: i64) -> u64 {
    u64::try_from(at(second).as_millisecond()).unwrap()
}

fn job() -> Job {
    Job {
        id: JobId(B256::repeat_byte(7)),
        market: MarketId { chain_id: 31337, address: Address::repeat_byte(9) },
        gpus: 2,
        gpu_uuids: vec!["GPU-a".to_owned(), "GPU-b".to_owned()],
        nvml: Nvml::Visible,
        driver_version: None,
        interval: SignedDuration::from_secs(10),
    }
}

fn samples() -> Vec<Reading> {
    lives([Life::Answers, Life::Answers])
}

fn lives(lives: [Life; 2]) -> Vec<Reading> {
    let read = |(uuid, life)| Reading { sample: GpuSample { uuid, ..GpuSample::default() }, life };
    job().gpu_uuids.into_iter().zip(lives).map(read).collect()
}

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap()
}

fn fresh() -> Session {
    Session::new(job(), key(), Restored::default())
}

fn ack(next_sequence: u64) -> operator_message::Message {
    operator_message::Message::Ack(Ack { next_sequence, pass: Vec::new() })
}

fn directive(directive: directive::Directive) -> operator_message::Message {
    operator_message::Message::Directive(Directive { directive: Some(directive) })
}

fn started(base_gpu_seconds: u64) -> operator_message::Message {
    directive(directive::Directive::Started(Started { started_at: 0, base_gpu_seconds }))
}

fn begin(second: i64) -> operator_message::Message {
    directive(directive::Directive::Begin(Begin { began_at_millis: millis(second) }))
}

fn stop(second: i64) -> operator_message::Message {
    directive(directive::Directive::Stop(Stop { ended_at_millis: millis(second), reason: String::new() }))
}

fn told(session: &mut Session, message: operator_message::Message, second: i64) -> Vec<Effect> {
    session.receive(OperatorMessage { message: Some(message) }, at(second)).unwrap()
}

/// Started at 0.
fn waiting() -> Session {
    let mut session = fresh();
    session.open(B256::ZERO, "token").unwrap();
    told(&mut session, ack(0), 0);
    told(&mut session, started(0), 0);
    session
}

/// Started at 0, begun at 1, everything so far confirmed.
fn running() -> Session {
    let mut session = waiting();
    told(&mut session, begin(1), 1);
    told(&mut session, ack(1), 1);
    session
}

fn sent(effects: &[Effect]) -> Vec<(u64, u64)> {
    let report = |effect: &Effect| match effect {
        Effect::Send(SidecarMessage { message: Some(sidecar_message::Message::Report(report)) }) => {
            Some((report.sequence, report.gpu_seconds))
        }
        _ => None,
    };
    effects.iter().filter_map(report).collect()
}

fn reported(session: &mut Session, second: i64) -> Vec<(u64, u64)> {
    sent(&session.report(at(second), samples()).unwrap())
}

#[test]
fn the_customers_container_waits_for_the_start_on_chain() {
    let mut session = fresh();
    assert!(matches!(
        session.open(B256::ZERO, "token").unwrap().message,
        Some(sidecar_message::Message::Enroll(enroll)) if enroll.token == "token" && enroll.gpu_uuids.len() == 2
    ));
    assert!(!told(&mut session, ack(0), 0).contains(&Effect::MarkStarted));
    assert_eq!(session.report_due(at(0)), None);
    let effects = told(&mut session, started(0), 0);
    assert!(effects.contains(&Effect::MarkStarted));
    assert_eq!(sent(&effects), [(0, 0)]);
}

#[test]
fn use_is_counted_from_the_begin_per_gpu() {
    let mut session = running();
    assert_eq!(session.report_due(at(1)), Some(at(10)));
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    assert_eq!(session.report_due(at(10)), Some(at(20)));
    assert_eq!(reported(&mut session, 20), [(2, 28)]);
}

#[test]
fn nothing_counts_before_the_begin() {
    let mut session = fresh();
    session.open(B256::ZERO, "token").unwrap();
    told(&mut session, ack(0), 0);
    told(&mut session, started(7), 0);
    assert_eq!(reported(&mut session, 10), [(1, 7)]);
    told(&mut session, begin(12), 12);
    assert_eq!(reported(&mut session, 20), [(2, 13)]);
}

#[test]
fn a_begin_before_the_start_counts_from_the_start_and_a_second_one_changes_nothing() {
    let mut session = fresh();
    session.open(B256::ZERO, "token").unwrap();
    told(&mut session, ack(0), 0);
    told(&mut session, started(0), 5);
    told(&mut session, begin(-1000), 6);
    told(&mut session, begin(2), 6);
    assert_eq!(reported(&mut session, 13), [(1, 6)]);
}

#[test]
fn the_last_report_does_not_go_beyond_the_end_that_the_operator_tells() {
    let mut session = running();
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    session.terminate(at(17));
    // Wait for the operator's word: it knows the end from kubelet.
    assert_eq!(session.report_due(at(17)), Some(at(20)));
    assert!(!session.done(at(17)));
    told(&mut session, stop(15), 18);
    assert_eq!(session.report_due(at(18)), Some(at(18)));
    assert_eq!(reported(&mut session, 18), [(2, 28)]);
    assert!(session.termination_message().unwrap().last);
    assert!(!session.done(at(18)));
    told(&mut session, ack(3), 19);
    assert!(session.done(at(19)));
}

#[test]
fn what_is_reported_before_the_word_of_the_end_comes_counts_nothing_after_it() {
    let mut session = running();
    // It ended at 15.
    assert_eq!(reported(&mut session, 16), [(1, 20)]);
    session.terminate(at(16));
    assert_eq!(reported(&mut session, 17), [(2, 20)]);
    told(&mut session, stop(15), 18);
    assert_eq!(reported(&mut session, 18), [(3, 28)]);
}

#[test]
fn without_a_word_from_the_operator_the_signal_is_the_end() {
    let mut session = running();
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    session.terminate(at(16));
    assert_eq!(session.report_due(at(16)), Some(at(19)));
    assert_eq!(reported(&mut session, 19), [(2, 30)]);
    assert!(session.termination_message().unwrap().last);
}

#[test]
fn with_the_operator_gone_the_last_report_is_made_at_once_and_left_in_the_termination_message() {
    let mut session = running();
    session.lost();
    session.terminate(at(17));
    assert_eq!(session.report_due(at(17)), Some(at(17)));
    assert_eq!(reported(&mut session, 17), []);
    assert!(!session.done(at(18)));
    assert!(session.done(at(25)));
    let message = session.termination_message().unwrap();
    assert_eq!((message.voucher.gpu_seconds, message.last, message.lines.len()), (GpuSeconds(32), true, 1));
}

/// Started at 0; the operator was lost before it said when the customer's container began.
fn unbegun() -> Session {
    let mut session = waiting();
    told(&mut session, ack(1), 1);
    session.lost();
    session
}

#[test]
fn a_program_that_ended_before_its_begin_was_told_is_paid_when_the_operator_comes_back() {
    let mut session = unbegun();
    session.terminate(at(5));
    assert_eq!(session.report_due(at(5)), Some(at(10)));
    assert_eq!(reported(&mut session, 10), []);
    assert_eq!(session.report_due(at(10)), Some(at(20)));
    session.open(B256::ZERO, "token").unwrap();
    assert_eq!(sent(&told(&mut session, ack(1), 18)), [(1, 0)]);
    assert_eq!(session.report_due(at(18)), Some(at(20)), "the operator reads the chain first");
    told(&mut session, begin(2), 27);
    told(&mut session, stop(4), 27);
    assert_eq!(reported(&mut session, 27), [(2, 4)]);
    assert!(session.termination_message().unwrap().last);
    assert!(!session.done(at(28)), "it was sent just now");
    told(&mut session, ack(3), 28);
    assert!(session.done(at(28)));
}

#[test]
fn a_begin_that_nobody_tells_is_waited_for_no_longer_than_the_grace_period_allows() {
    let mut session = unbegun();
    session.terminate(at(5));
    session.report(at(10), samples()).unwrap();
    session.report(at(20), samples()).unwrap();
    assert_eq!(session.report_due(at(20)), Some(at(29)));
    session.report(at(29), samples()).unwrap();
    let message = session.termination_message().unwrap();
    assert_eq!((message.voucher.gpu_seconds, message.last), (GpuSeconds(0), true));
    assert!(session.done(at(32)) && !session.done(at(31)));
}

#[test]
fn an_operator_that_is_there_and_tells_no_begin_knows_of_none() {
    let mut session = unbegun();
    session.open(B256::ZERO, "token").unwrap();
    told(&mut session, ack(1), 2);
    session.terminate(at(5));
    assert_eq!(session.report_due(at(5)), Some(at(8)));
    session.report(at(8), samples()).unwrap();
    assert!(session.termination_message().unwrap().last);
}

#[test]
fn a_container_that_ended_does_not_end_meter_or_kubelet_would_start_it_again() {
    let mut session = running();
    told(&mut session, stop(15), 16);
    reported(&mut session, 16);
    told(&mut session, ack(2), 16);
    assert!(!session.done(at(1000)));
    assert_eq!(session.report_due(at(1000)), None);
}

#[test]
fn an_end_before_what_was_counted_takes_nothing_back() {
    let mut session = running();
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    told(&mut session, stop(5), 11);
    assert_eq!(reported(&mut session, 11), [(2, 8)]);
}

#[test]
fn what_the_operator_has_not_stored_is_sent_again_on_the_next_stream() {
    let mut session = running();
    reported(&mut session, 10);
    session.lost();
    assert_eq!(reported(&mut session, 20), []);
    assert!(matches!(session.open(B256::ZERO, "token").unwrap().message, Some(sidecar_message::Message::Resume(_))));
    assert_eq!(sent(&told(&mut session, ack(1), 21)), [(1, 8), (2, 28)]);
    assert_eq!(sent(&told(&mut session, ack(3), 21)), []);
    assert!(session.restored().evidence.as_ref().unwrap().pending().is_empty());
}

#[test]
fn an_unknown_key_enrols_again_and_every_refusal_asks_for_another_stream() {
    for (reason, enrols) in [(RejectReason::Unauthenticated, true), (RejectReason::OutOfBounds, false)] {
        let mut session = running();
        let rejected = Rejected { sequence: 1, reason: reason.into(), message: "why".to_owned() };
        let effects = told(&mut session, operator_message::Message::Rejected(rejected), 5);
        assert!(matches!(effects.as_slice(), [Effect::Reconnect(why)] if why.contains("why")), "{effects:?}");
        let message = session.open(B256::ZERO, "token").unwrap().message;
        assert_eq!(matches!(message, Some(sidecar_message::Message::Enroll(_))), enrols);
    }
}

#[test]
fn an_absent_operator_makes_reports_rarer_and_not_memory_full() {
    let mut session = running();
    session.lost();
    let mut now = at(1);
    for _ in 0..STRETCH {
        now = session.report_due(now).unwrap();
        session.report(now, samples()).unwrap();
    }
    let wait = session.report_due(now).unwrap().duration_since(now);
    assert_eq!(wait.as_secs(), 20);
}

/// What docs/attestation.md says. The volume holds the journal twice: as it was and as it is being written.
#[test]
fn the_journals_volume_is_large_enough_for_two_weeks_of_eight_gpus() {
    const VOLUME_BYTES: usize = 64 << 20;
    let gpu_uuids: Vec<_> = (0..8).map(|n| format!("GPU-00000000-0000-0000-0000-{n:012}")).collect();
    let sample = |uuid: &String| GpuSample {
        uuid: uuid.clone(),
        name: Some("NVIDIA H100 80GB HBM3 with a longer name".to_owned()),
        utilization_gpu_percent: Some(100),
        utilization_memory_percent: Some(100),
        memory_used_bytes: Some(150_754_820_096),
        memory_total_bytes: Some(150_754_820_096),
        temperature_celsius: Some(100),
        power_milliwatts: Some(1_000_000),
        sm_clock_mhz: Some(1980),
        error: None,
        stopped_at: None,
    };
    let read = |uuid| Reading { sample: sample(uuid), life: Life::Answers };
    let samples: Vec<_> = gpu_uuids.iter().map(read).collect();
    let mut session = Session::new(Job { gpus: 8, gpu_uuids, ..job() }, key(), Restored::default());
    session.open(B256::ZERO, "token").unwrap();
    told(&mut session, ack(0), 0);
    told(&mut session, started(0), 0);
    told(&mut session, begin(1), 1);
    let bytes =
        |session: &Session| serde_json::to_vec(&session.restored().evidence.as_ref().unwrap().keeping()).unwrap().len();
    let before = bytes(&session);
    for n in 1..=20 {
        session.report(at(n * 10), samples.clone()).unwrap();
    }
    let line = (bytes(&session) - before) / 20;
    let lines = VOLUME_BYTES / 2 / line;
    // As `report_due` stretches it.
    let days = |interval: usize| (0..lines).map(|n| interval * (1 + n / STRETCH)).sum::<usize>() / 86_400;
    assert!((2_000..4_500).contains(&line), "a line has {line} bytes");
    assert!(days(10) >= 14 && days(1) >= 1, "{} days at 10 s, {} at 1 s, {lines} lines of {line}", days(10), days(1));
    println!("{} days at 10 s, {} at 1 s, {} at 60 s, {lines} lines of {line}", days(10), days(1), days(60));
}

#[test]
fn many_reports_are_sent_a_window_at_a_time() {
    let mut session = running();
    session.lost();
    for n in 1..=100 {
        session.report(at(n * 10), samples()).unwrap();
    }
    session.open(B256::ZERO, "token").unwrap();
    assert_eq!(sent(&told(&mut session, ack(1), 1001)).len(), WINDOW);
    assert_eq!(sent(&told(&mut session, ack(11), 1001)).first().map(|r| r.0), Some(65));
}

#[test]
fn a_restarted_container_goes_on_with_the_same_chain() {
    let mut before = running();
    reported(&mut before, 10);
    let kept = serde_json::to_string(&before.restored().evidence.as_ref().unwrap().keeping()).unwrap();
    let kept: crate::meter::evidence::StoredEvidence = serde_json::from_str(&kept).unwrap();
    let evidence = Some(Evidence::try_from(kept).unwrap());
    let restored = Restored { evidence, ..before.restored().clone() };
    let mut session = Session::new(job(), key(), restored);
    session.open(B256::ZERO, "token").unwrap();
    assert_eq!(sent(&told(&mut session, ack(1), 12)), [(1, 8)]);
    assert_eq!(reported(&mut session, 20), [(2, 28)]);
}
