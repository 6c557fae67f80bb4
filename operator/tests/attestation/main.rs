//! The attestation service over TLS, spoken to as a sidecar would and as it must not.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

mod sidecar;
mod world;

use hawser_attestation::{GpuSeconds, TerminationMessage, verify};
use hawser_operator::attestation::Attestations;
use hawser_proto::attestation::{Directive, RejectReason, directive};

use crate::{
    sidecar::Sidecar,
    world::{World, gpu_uuids},
};

#[tokio::test]
async fn a_job_is_attested_from_enrolment_to_its_last_report() {
    let world = World::new().await;
    let mut sidecar = Sidecar::new(&world);
    world.expect(|job| job.pod = Some(world::pod()));
    let mut changed = world.attestations.changed();
    assert_eq!(sidecar.enroll(&world, "token of job-1").await.acked(), 0);
    assert_eq!(changed.recv().await.unwrap(), world::job());
    assert_eq!(world.attested().attestor, sidecar.address());
    assert_eq!(world.attested().gpu_uuids, gpu_uuids());

    world.start(&sidecar);
    let Directive { directive: Some(directive::Directive::Started(started)) } = sidecar.directive().await else {
        panic!("Started comes first");
    };
    assert_eq!(started.base_gpu_seconds, 0);
    world.begin(30);
    sidecar.began = world.began();
    assert!(matches!(sidecar.directive().await.directive, Some(directive::Directive::Begin(_))));

    assert_eq!(sidecar.header(0).await.acked(), 1);
    assert_eq!(sidecar.report(20).await.acked(), 2);
    // Readable and true while the job runs.
    assert_eq!(verify(&world.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(20));

    world.expect(|job| job.ended = job.begin.map(|begin| begin + world::seconds(20)));
    assert!(matches!(sidecar.directive().await.directive, Some(directive::Directive::Stop(_))));
    assert_eq!(sidecar.last_report(40).await.acked(), 3);
    let attested = world.attested();
    assert_eq!((attested.accepted, attested.rejected, attested.finished), (3, 0, true));
    assert_eq!(attested.voucher.unwrap().attestor(world::market()), Ok(sidecar.address()));
    let summary = verify(&world.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(attested.voucher.unwrap().evidence_root), Some(GpuSeconds(40)));
    assert!(summary.segments[0].finished);
}

#[tokio::test]
async fn a_forged_a_replayed_and_an_excessive_report_are_refused_and_reported() {
    let world = World::new().await;
    let mut sidecar = world.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let before = world.evidence(sidecar.address()).await;

    let forged = Sidecar::new(&world).made_report(&sidecar, 40);
    sidecar.send_report(forged).await.refused(RejectReason::BadSignature, "is signed by");

    sidecar.resume(&world).await.acked();
    let replayed = sidecar.sent.last().unwrap().clone();
    sidecar.send_report(replayed).await.refused(RejectReason::Stale, "line 1 is stored already");

    sidecar.resume(&world).await.acked();
    let back = sidecar.made(19, false);
    sidecar.send_report(back).await.refused(RejectReason::Stale, "19 GPU-seconds after 20");

    sidecar.resume(&world).await.acked();
    let mut broken = sidecar.made(40, false);
    broken.body.push(b' ');
    sidecar.send_report(broken).await.refused(RejectReason::BrokenChain, "leads to root");

    sidecar.resume(&world).await.acked();
    let mut skipped = sidecar.made(40, false);
    skipped.sequence = 7;
    sidecar.send_report(skipped).await.refused(RejectReason::BrokenChain, "lines are missing");

    sidecar.resume(&world).await.acked();
    let much = sidecar.made_with_begin(400, world::now() - world::seconds(1000));
    sidecar.send_report(much).await.refused(RejectReason::OutOfBounds, "400 GPU-seconds are more than");

    let attested = world.attested();
    assert_eq!((attested.accepted, attested.rejected), (2, 6));
    assert!(attested.last_rejection.unwrap().starts_with("OutOfBounds: 400 GPU-seconds"));
    assert_eq!(attested.voucher.unwrap().gpu_seconds, GpuSeconds(20));
    assert_eq!(world.evidence(sidecar.address()).await, before);
}

#[tokio::test]
async fn a_pod_that_is_not_the_jobs_cannot_enrol() {
    let world = World::new().await;
    world.expect(|job| job.pod = Some(world::pod()));
    for (token, reason, text) in [
        ("token of job-2", RejectReason::WrongPod, "the token is of pod tenants/job-2"),
        ("token of an older job-1", RejectReason::WrongPod, "uid old"),
        ("nonsense", RejectReason::Unauthenticated, "does not accept the token"),
    ] {
        Sidecar::new(&world).enroll(&world, token).await.refused(reason, text);
    }
    assert_eq!(world.attestations.attested(&world::job()), None);
    assert!(world.attestations.last_rejection(&world::job()).unwrap().starts_with("WrongPod: "));
}

#[tokio::test]
async fn a_key_that_never_enrolled_cannot_resume_and_a_proof_serves_one_stream() {
    let world = World::new().await;
    world.expect(|job| job.pod = Some(world::pod()));
    let mut stranger = Sidecar::new(&world);
    stranger.resume(&world).await.refused(RejectReason::Unauthenticated, "enrol again");
    let mut sidecar = Sidecar::new(&world);
    sidecar.enroll(&world, "token of job-1").await.acked();
    sidecar.resume_with_last_proof(&world).await.refused(RejectReason::Unauthenticated, "over this stream's nonce");
}

#[tokio::test]
async fn nothing_is_taken_before_the_market_names_the_attestor() {
    let world = World::new().await;
    world.expect(|job| job.pod = Some(world::pod()));
    let mut sidecar = Sidecar::new(&world);
    sidecar.enroll(&world, "token of job-1").await.acked();
    sidecar.header(0).await.refused(RejectReason::UnknownJob, "not started yet");
}

#[tokio::test]
async fn a_new_operator_goes_on_from_the_stored_evidence() {
    let mut world = World::new().await;
    let mut sidecar = world.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    world.restart().await;
    sidecar.resume(&world).await.refused(RejectReason::UnknownJob, "no job with id");
    world.expect_all();
    assert_eq!(sidecar.resume(&world).await.acked(), 2);
    assert_eq!(world.attested().voucher.unwrap().gpu_seconds, GpuSeconds(20));
    sidecar.directives(2).await;
    assert_eq!(sidecar.report(40).await.acked(), 3);
    assert_eq!(verify(&world.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(40));
}

#[tokio::test]
async fn reports_made_while_the_operator_was_away_all_count() {
    let world = World::new().await;
    let mut sidecar = world.running_sidecar(100).await;
    let header = sidecar.made_header(0);
    sidecar.send(header).await;
    for count in 1..=90 {
        let report = sidecar.made_and_kept(count);
        sidecar.send(report).await;
    }
    sidecar.acked_up_to(91).await;
    let summary = verify(&world.evidence(sidecar.address()).await).unwrap();
    assert_eq!((summary.reports, summary.gpu_seconds), (90, GpuSeconds(90)));
}

#[tokio::test]
async fn a_termination_message_brings_the_voucher_and_its_evidence() {
    let mut world = World::new().await;
    let mut sidecar = world.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let line = sidecar.made_line(40, true);
    let text = sidecar.termination_message(40, &line);
    world.restart().await;
    world.expect_all();
    let read = |attestations: Attestations, text: String| async move {
        attestations.read_termination_message(&world::job(), &text).await
    };
    let voucher = read(world.attestations.clone(), text.clone()).await.unwrap();
    assert_eq!(voucher.gpu_seconds, GpuSeconds(40));
    assert!(world.attested().finished);
    assert_eq!(world.attested().voucher, Some(voucher));
    let summary = verify(&world.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(voucher.evidence_root), Some(GpuSeconds(40)));
    // Read twice, as after a restart: the same again.
    assert_eq!(read(world.attestations.clone(), text.clone()).await, Ok(voucher));

    let mut more = TerminationMessage::parse(&text).unwrap();
    more.voucher.gpu_seconds = GpuSeconds(41);
    let refusal = read(world.attestations.clone(), more.to_text().unwrap()).await.unwrap_err();
    assert_eq!(refusal.reason, RejectReason::BadSignature);
}
