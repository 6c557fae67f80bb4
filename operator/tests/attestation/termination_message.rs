//! What a job's meter left in its termination message.

use hawser_attestation::{SignedVoucher, TerminationMessage, verify};
use hawser_market::GpuSeconds;
use hawser_operator::attestation::Refusal;
use hawser_proto::attestation::RejectReason;

use crate::{
    fixture::{self, Fixture},
    until::until,
};

async fn read(fixture: &Fixture, text: &str) -> Result<SignedVoucher, Refusal> {
    fixture.attestations.read_termination_message(&fixture::only(&fixture::job()), text).await
}

#[tokio::test]
async fn a_termination_message_brings_the_voucher_and_its_evidence() {
    let mut fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let line = sidecar.made_line(40, true);
    let text = sidecar.termination_message(40, &line);
    fixture.restart().await;
    fixture.expect_all();
    let voucher = read(&fixture, &text).await.unwrap();
    assert_eq!(voucher.gpu_seconds, GpuSeconds(40));
    assert!(fixture.attested().finished);
    assert_eq!(fixture.attested().voucher, Some(voucher));
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(voucher.evidence_root), Some(GpuSeconds(40)));
    // Read twice, as after a restart: the same again.
    assert_eq!(read(&fixture, &text).await, Ok(voucher));

    let mut more = TerminationMessage::parse(&text).unwrap();
    more.voucher.gpu_seconds = GpuSeconds(41);
    let refusal = read(&fixture, &more.to_text().unwrap()).await.unwrap_err();
    assert_eq!(refusal.reason, RejectReason::BadSignature);
}

/// Kubelet's clock says when the container began and ended; the operator's own says how late it is.
#[tokio::test]
async fn the_termination_message_of_a_node_whose_clock_is_ahead_is_taken_when_its_time_has_come() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(26).await;
    sidecar.header(0).await.acked();
    fixture.expect(|job| job.ended = Some(fixture::now() + fixture::seconds(4)));
    let text = sidecar.termination_message(60, &sidecar.made_line(60, true));
    let refusal = read(&fixture, &text).await.unwrap_err();
    assert_eq!(refusal.reason, RejectReason::Unavailable, "{refusal}");
    assert!(refusal.message.contains(" s ahead of the operator's"), "{refusal}");
    let heard = until("the termination message is taken", async || read(&fixture, &text).await.ok()).await;
    assert_eq!(heard.gpu_seconds, GpuSeconds(60));
}

#[tokio::test]
async fn a_termination_message_that_counts_too_much_is_refused_for_good_a_minute_after_the_end() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(100).await;
    sidecar.header(0).await.acked();
    let text = sidecar.termination_message(400, &sidecar.made_line(400, true));
    for (ended_ago, reason) in [(55, RejectReason::Unavailable), (65, RejectReason::OutOfBounds)] {
        fixture.expect(|job| job.ended = Some(fixture::now() - fixture::seconds(ended_ago)));
        assert_eq!(read(&fixture, &text).await.unwrap_err().reason, reason, "{ended_ago} s after the end");
    }
    // While the end is not known: only what time alone would mend within a minute.
    fixture.expect(|job| job.ended = None);
    assert_eq!(read(&fixture, &text).await.unwrap_err().reason, RejectReason::OutOfBounds);
    let text = sidecar.termination_message(300, &sidecar.made_line(300, true));
    assert_eq!(read(&fixture, &text).await.unwrap_err().reason, RejectReason::Unavailable);
}

#[tokio::test]
async fn a_voucher_whose_evidence_cant_be_stored_now_can_be_claimed_already() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let text = sidecar.termination_message(40, &sidecar.made_line(40, true));
    let lost = fixture.lose_evidence_of(&sidecar);
    assert_eq!(fixture.attestations.evidence_health().failing, None);
    assert_eq!(read(&fixture, &text).await.unwrap_err().reason, RejectReason::Unavailable);
    let failing = fixture.attestations.evidence_health().failing.unwrap();
    assert!(failing.since <= jiff::Timestamp::now() && failing.times > 0 && !failing.error.is_empty(), "{failing:?}");
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(40));
    assert!(!fixture.attested().finished, "it is read again");
    // The evidence's head is not in memory any more, and can't be read either.
    lost.spoil();
    let more = sidecar.termination_message(44, &sidecar.made_line(44, true));
    assert_eq!(read(&fixture, &more).await.unwrap_err().reason, RejectReason::Unavailable);
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(44));
    // What is wrong in itself is not offered, store or no store.
    let much = sidecar.termination_message(4000, &sidecar.made_line(4000, true));
    assert_eq!(read(&fixture, &much).await.unwrap_err().reason, RejectReason::OutOfBounds);
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(44));
    lost.give_back();
    let voucher = read(&fixture, &more).await.unwrap();
    assert!(fixture.attested().finished);
    let health = fixture.attestations.evidence_health();
    assert!(health.failing.is_none() && health.stored_at.is_some(), "{health:?}");
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(voucher.evidence_root), Some(GpuSeconds(44)));
}

/// What stands there when the runtime could not start meter again.
#[tokio::test]
async fn a_message_of_somebody_else_takes_no_voucher_away_and_is_no_refused_report() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let refusal = read(&fixture, "can't get final child's PID from pipe: EOF").await.unwrap_err();
    assert!(refusal.message.contains("is not one that meter writes"), "{refusal}");
    let attested = fixture.attested();
    assert_eq!(fixture.rejection(), None);
    assert_eq!(attested.voucher.unwrap().gpu_seconds, GpuSeconds(20));
}

#[tokio::test]
async fn what_a_meter_left_that_was_started_again_counts_and_is_not_its_last_word() {
    let fixture = Fixture::new().await;
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let line = sidecar.made_line(40, false);
    let text = sidecar.termination_message(40, &line);
    for _ in 0..2 {
        fixture.attestations.read_earlier_message(&fixture::only(&fixture::job()), &text).await.unwrap();
        let attested = fixture.attested();
        assert_eq!((attested.voucher.unwrap().gpu_seconds, attested.finished), (GpuSeconds(40), false));
    }
    let summary = verify(&fixture.evidence(sidecar.address()).await).unwrap();
    assert_eq!(summary.vouched(fixture.attested().voucher.unwrap().evidence_root), Some(GpuSeconds(40)));
    // It goes on after the line that is stored already.
    assert_eq!(sidecar.resume(&fixture).await.acked(), 3);
    let foreign = fixture.attestations.read_earlier_message(&fixture::only(&fixture::job()), "OCI runtime error").await;
    assert_eq!(foreign.unwrap_err().reason, RejectReason::BrokenChain);
    assert_eq!(fixture.rejection(), None);
}
