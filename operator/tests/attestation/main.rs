//! The attestation service over TLS, spoken to as a sidecar would and as it must not.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

mod crowd;
mod fenced;
mod fixture;
mod log;
mod members;
mod renewal;
mod shared;
mod sidecar;
mod termination_message;
mod until;

use hawser_attestation::verify;
use hawser_market::GpuSeconds;
use hawser_operator::attestation::{DeadCard, ExpectedPod};
use hawser_proto::attestation::{Directive, RejectReason, directive};

use crate::{
    fixture::{Fixture, gpu_uuids},
    sidecar::Sidecar,
    until::until,
};

#[tokio::test]
async fn a_job_is_attested_from_enrolment_to_its_last_report() {
    let fixture = Fixture::new().await;
    let mut sidecar = Sidecar::new(&fixture);
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let mut changed = fixture.attestations.changed();
    assert_eq!(sidecar.enroll(&fixture, "token of job-1").await.acked(), 0);
    assert_eq!(changed.recv().await.unwrap(), fixture::job());
    assert_eq!(fixture.attested().attestor, sidecar.address());
    assert_eq!(fixture.attested().gpu_uuids, gpu_uuids());

    fixture.start(&sidecar);
    let Directive { directive: Some(directive::Directive::Started(started)) } = sidecar.directive().await else {
        panic!("Started comes first");
    };
    assert_eq!(started.base_gpu_seconds, 0);
    fixture.begin(30);
    sidecar.began = fixture.began();
    assert!(matches!(sidecar.directive().await.directive, Some(directive::Directive::Begin(_))));

    assert_eq!(sidecar.header(0).await.acked(), 1);
    assert_eq!(sidecar.report(20).await.acked(), 2);
    // Readable and true while the job runs.
    assert_eq!(verify(&fixture.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(20));

    fixture.expect(|job| job.ended = job.begin.map(|begin| begin + fixture::seconds(20)));
    assert!(matches!(sidecar.directive().await.directive, Some(directive::Directive::Stop(_))));
    assert_eq!(sidecar.last_report(40).await.acked(), 3);
    let attested = fixture.attested();
    assert_eq!((attested.accepted, fixture.rejection(), attested.finished), (3, None, true));
    assert_eq!(attested.voucher.unwrap().attestor(fixture::market()), Ok(sidecar.address()));
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(attested.voucher.unwrap().evidence_root), Some(GpuSeconds(40)));
    assert!(summary.segments[0].finished);
}

#[tokio::test]
async fn a_forged_a_replayed_and_an_excessive_report_are_refused_and_reported() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let before = fixture.evidence(sidecar.address()).await;

    let forged = Sidecar::new(&fixture).made_report(&sidecar, 40);
    sidecar.send_report(forged).await.refused(RejectReason::BadSignature, "is signed by");

    sidecar.resume(&fixture).await.acked();
    let replayed = sidecar.sent.last().unwrap().clone();
    sidecar.send_report(replayed).await.refused(RejectReason::Stale, "line 1 is stored already");

    sidecar.resume(&fixture).await.acked();
    let back = sidecar.made(19, false);
    sidecar.send_report(back).await.refused(RejectReason::Stale, "19 GPU-seconds after 20");

    sidecar.resume(&fixture).await.acked();
    let mut broken = sidecar.made(40, false);
    broken.body.push(b' ');
    sidecar.send_report(broken).await.refused(RejectReason::BrokenChain, "leads to root");

    sidecar.resume(&fixture).await.acked();
    let mut skipped = sidecar.made(40, false);
    skipped.sequence = 7;
    sidecar.send_report(skipped).await.refused(RejectReason::BrokenChain, "lines are missing");

    sidecar.resume(&fixture).await.acked();
    let much = sidecar.made_with_begin(400, fixture::now() - fixture::seconds(1000));
    sidecar.send_report(much).await.refused(RejectReason::OutOfBounds, "400 GPU-seconds are more than");

    let attested = fixture.attested();
    let rejection = fixture.rejection().unwrap();
    assert_eq!((attested.accepted, rejection.times), (2, 6));
    assert!(rejection.refusal.to_string().starts_with("OutOfBounds: 400 GPU-seconds"));
    assert_eq!(attested.voucher.unwrap().gpu_seconds, GpuSeconds(20));
    assert_eq!(fixture.evidence(sidecar.address()).await, before);
}

#[tokio::test]
async fn a_pod_that_is_not_the_jobs_cannot_enrol() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    for (token, reason, text) in [
        ("token of job-2", RejectReason::WrongPod, "the token is of pod tenants/job-2"),
        ("token of an older job-1", RejectReason::WrongPod, "uid old"),
        ("nonsense", RejectReason::Unauthenticated, "does not accept the token"),
    ] {
        Sidecar::new(&fixture).enroll(&fixture, token).await.refused(reason, text);
    }
    assert_eq!(fixture.attestations.attested(&fixture::job()), []);
    let heard = fixture.attestations.stream_health(&fixture::job()).unwrap();
    let rejection = heard.rejection.unwrap();
    assert_eq!((rejection.times, rejection.refusal.word()), (2, "WrongPod"));
    assert!(rejection.refusal.to_string().starts_with("WrongPod: "));
    assert!(rejection.at >= heard.since && heard.last_report.is_none() && !heard.connected);
}

#[tokio::test]
async fn another_job_with_the_id_takes_no_meter_from_the_job_that_has_the_pod() {
    let fixture = Fixture::new().await;
    let another = ExpectedPod { name: "job-2".to_owned(), uid: "other".to_owned(), ..fixture::pod() };
    fixture.expect_another(None);
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let mut sidecar = Sidecar::new(&fixture);
    // Both are looked at again and again, in any order; later somebody makes a pod for the other one, too.
    for pod in [None, Some(another.clone()), Some(another)] {
        fixture.expect_another(pod);
        assert_eq!(sidecar.enroll(&fixture, "token of job-1").await.acked(), 0);
        fixture.expect_all();
        assert_eq!(sidecar.resume(&fixture).await.acked(), 0);
    }
    assert_eq!(fixture.attested().attestor, sidecar.address());
    let wrong = RejectReason::WrongPod;
    Sidecar::new(&fixture).enroll(&fixture, "token of job-2").await.refused(wrong, "the job's pod is tenants/job-1");
}

#[tokio::test]
async fn silence_can_be_told_from_use() {
    let fixture = Fixture::new().await;
    let heard = || fixture.attestations.stream_health(&fixture::job());
    assert_eq!(heard(), None);
    let mut sidecar = fixture.running_sidecar(30).await;
    assert_eq!(heard().map(|heard| (heard.connected, heard.last_report)), Some((true, None)));
    sidecar.header(0).await.acked();
    let last = heard().unwrap().last_report.unwrap();
    assert!(last >= heard().unwrap().since && last <= jiff::Timestamp::now());
    drop(sidecar);
    let silent = until("the stream is seen to be closed", async || heard().filter(|heard| !heard.connected)).await;
    assert_eq!(silent.last_report, Some(last));
}

#[tokio::test]
async fn a_key_that_never_enrolled_cannot_resume_and_a_proof_serves_one_stream() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let mut stranger = Sidecar::new(&fixture);
    stranger.resume(&fixture).await.refused(RejectReason::Unauthenticated, "enrol again");
    let mut sidecar = Sidecar::new(&fixture);
    sidecar.enroll(&fixture, "token of job-1").await.acked();
    sidecar.resume_with_last_proof(&fixture).await.refused(RejectReason::Unauthenticated, "over this stream's nonce");
}

#[tokio::test]
async fn a_pod_that_is_quicker_than_the_look_at_its_job_waits_and_is_to_blame_for_nothing() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = Vec::new());
    Sidecar::new(&fixture).enroll(&fixture, "token of job-1").await.refused(RejectReason::UnknownJob, "has no pod now");
    assert!(fixture.attestations.stream_health(&fixture::job()).unwrap().rejection.is_none());
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    Sidecar::new(&fixture).enroll(&fixture, "token of job-1").await.acked();
    assert_eq!((fixture.attested().accepted, fixture.rejection()), (0, None));
}

#[tokio::test]
async fn nothing_is_taken_before_the_market_names_the_attestor() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let mut sidecar = Sidecar::new(&fixture);
    sidecar.enroll(&fixture, "token of job-1").await.acked();
    sidecar.header(0).await.refused(RejectReason::UnknownJob, "not started yet");
}

#[tokio::test]
async fn a_new_operator_goes_on_from_the_stored_evidence() {
    let mut fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    fixture.restart().await;
    sidecar
        .resume(&fixture)
        .await
        .refused(RejectReason::UnknownJob, "its network was not seen since this operator began");
    fixture.expect_all();
    assert_eq!(sidecar.resume(&fixture).await.acked(), 2);
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(20));
    sidecar.directives(2).await;
    assert_eq!(sidecar.report(40).await.acked(), 3);
    assert_eq!(verify(&fixture.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(40));
}

#[tokio::test]
async fn reports_made_while_the_operator_was_away_all_count() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(100).await;
    let header = sidecar.made_header(0);
    sidecar.send(header).await;
    for count in 1..=90 {
        let report = sidecar.made_and_kept(count);
        sidecar.send(report).await;
    }
    sidecar.acked_up_to(91).await;
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!((summary.reports, summary.gpu_seconds), (90, GpuSeconds(90)));
}

#[tokio::test]
async fn a_stolen_token_changes_the_attestor_a_few_times_and_the_meter_comes_back_each_time() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let mut meter = Sidecar::new(&fixture);
    meter.enroll(&fixture, "token of job-1").await.acked();
    for _ in 0..4 {
        let mut thief = Sidecar::new(&fixture);
        thief.enroll(&fixture, "token of job-1").await.acked();
        assert_eq!(fixture.attested().attestor, thief.address());
        meter.resume(&fixture).await.refused(RejectReason::Unauthenticated, "enrol again");
        meter.enroll(&fixture, "token of job-1").await.acked();
        assert_eq!(fixture.attested().attestor, meter.address());
    }
    let refused = Sidecar::new(&fixture).enroll(&fixture, "token of job-1").await;
    refused.refused(RejectReason::Unauthenticated, "changed its attestor's key too often");
    assert!(fixture.rejection().unwrap().refusal.message.contains("Was the pod's token stolen?"));
    assert_eq!(fixture.attested().attestor, meter.address());
    // The pod that takes its place has a key of its own.
    fixture.expect(|job| job.pods = vec![ExpectedPod { uid: "old".to_owned(), ..job.pods.remove(0) }]);
    Sidecar::new(&fixture).enroll(&fixture, "token of an older job-1").await.acked();
}

#[tokio::test]
async fn a_dead_card_is_known_from_the_report_that_says_so_until_it_answers_again() {
    let mut fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let dead = |fixture: &Fixture| fixture.attestations.dead_cards(&fixture::job());
    assert_eq!(dead(&fixture), []);
    let since = fixture::now() - fixture::seconds(10);
    sidecar.dead = Some((gpu_uuids()[1].clone(), since));
    let mut changed = fixture.attestations.changed();
    sidecar.report(30).await.acked();
    assert_eq!(changed.try_recv().unwrap(), fixture::job(), "somebody has to look at it");
    let card = DeadCard { uuid: gpu_uuids()[1].clone(), since, error: "device fell off the bus".to_owned() };
    assert_eq!(dead(&fixture).as_slice(), std::slice::from_ref(&card));
    // A new operator knows it from the evidence.
    fixture.restart().await;
    fixture.expect_all();
    assert_eq!(sidecar.resume(&fixture).await.acked(), 3);
    assert_eq!(dead(&fixture), [card]);
    sidecar.directives(2).await;
    sidecar.dead = None;
    sidecar.report(31).await.acked();
    assert_eq!(dead(&fixture), []);
}

#[tokio::test]
async fn reports_that_are_held_back_are_stored_when_their_meter_is_gone() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(300).await;
    sidecar.header(0).await.acked();
    // This many are stored one by one.
    for count in 1..60 {
        sidecar.report(count).await.acked();
    }
    let last_report = || fixture.attestations.stream_health(&fixture::job())?.last_report;
    let before = last_report();
    let report = sidecar.made_and_kept(200);
    sidecar.send(report).await;
    let stored = async || verify(&fixture.evidence(sidecar.address()).await).unwrap().gpu_seconds;
    until("the report is taken", async || (last_report() > before).then_some(())).await;
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(59), "it counts when it is stored");
    assert_eq!(stored().await, GpuSeconds(59));
    sidecar.hang_up();
    let voucher = async || fixture.attested().voucher.filter(|voucher| voucher.gpu_seconds == GpuSeconds(200));
    let voucher = until("it is stored after all", voucher).await;
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(voucher.evidence_root), Some(GpuSeconds(200)));
}

#[tokio::test]
async fn the_last_report_brings_those_that_were_held_back_before_it() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(300).await;
    sidecar.header(0).await.acked();
    for count in 1..60 {
        sidecar.report(count).await.acked();
    }
    for count in 60..70 {
        let report = sidecar.made_and_kept(count);
        sidecar.send(report).await;
    }
    assert_eq!(sidecar.last_report(100).await.acked(), 71);
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!((summary.reports, summary.gpu_seconds), (70, GpuSeconds(100)));
    assert!(fixture.attested().finished);
}
