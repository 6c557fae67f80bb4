//! One card in two jobs at the same time.

use hawser_market::GpuSeconds;
use hawser_proto::attestation::RejectReason;

use crate::{
    fixture::{Fixture, gpu_uuids, only},
    until::until,
};

#[tokio::test]
async fn a_card_that_is_sold_twice_is_paid_for_once_and_both_jobs_are_named() {
    let mut fixture = Fixture::new().await;
    let (first, mut before) = fixture.running_one_of_many(1, 100).await;
    let (second, mut after) = fixture.running_one_of_many(2, 50).await;
    before.header(0).await.acked();
    before.report(10).await.acked();
    after.header(0).await.acked();
    after.report(10).await.acked();
    let shared = |job| fixture.attestations.stream_health(job).unwrap().card_shared;
    assert_eq!((shared(&first), shared(&second)), (None, None), "the first one may be over");

    let mut changed = fixture.attestations.changed();
    before.report(20).await.acked();
    assert_eq!(changed.try_recv().ok().as_ref(), Some(&second), "somebody has to look at it");
    let found = shared(&second).unwrap();
    let words = format!("GPU {} is that of two jobs: the meter of {second} has it since ", gpu_uuids()[0]);
    assert!(found.starts_with(&words), "{found}");
    for part in [format!("the meter of {first}, which had it before"), format!("End {second} with spec.terminate")] {
        assert!(found.contains(&part), "{part}: {found}");
    }
    assert_eq!(shared(&first), None);
    after
        .report(20)
        .await
        .refused(RejectReason::CardShared, "GPU GPU-a is that of two jobs: the meter of tenants/many-2");
    before.report(30).await.acked();
    let counted = |fixture: &Fixture, job| fixture.attested_of(job).voucher.unwrap().gpu_seconds;
    assert_eq!((counted(&fixture, &first), counted(&fixture, &second)), (GpuSeconds(30), GpuSeconds(10)));

    // Its termination message counts as little, also when the other one is over: its count holds the time of both.
    fixture.attestations.forget(&first);
    after.resume(&fixture).await.acked();
    after.report(40).await.refused(RejectReason::CardShared, "tenants/many-1");
    let words = after.termination_message(50, &after.made_line(50, true));
    let refusal = fixture.attestations.read_termination_message(&only(&second), &words).await.unwrap_err();
    assert_eq!(refusal.word(), "CardShared");
    assert_eq!(counted(&fixture, &second), GpuSeconds(10));

    // A new operator knows it by the job's status, where the first one's reports come later or not at all.
    fixture.restart().await;
    fixture.expect_card_shared(2, after.address(), &found);
    after.resume(&fixture).await.acked();
    after.report(40).await.refused(RejectReason::CardShared, "tenants/many-1");

    // And it finds out what it does not know.
    let (_, mut before) = fixture.running_one_of_many(3, 100).await;
    let (second, mut after) = fixture.running_one_of_many(4, 50).await;
    after.header(0).await.acked();
    before.header(0).await.acked();
    before.report(10).await.acked();
    until("the second one is found", async || fixture.attestations.stream_health(&second).unwrap().card_shared).await;
}

#[tokio::test]
async fn a_card_goes_from_job_to_job_though_last_reports_come_late() {
    let fixture = Fixture::new().await;
    let (first, mut before) = fixture.running_one_of_many(1, 100).await;
    before.header(0).await.acked();
    before.report(10).await.acked();
    // Made before its pod was gone; the network held it back.
    let late = before.made_and_kept(20);
    let (second, mut after) = fixture.running_one_of_many(2, 0).await;
    after.header(0).await.acked();
    before.send_report(late).await.acked();
    after.report(0).await.acked();
    for job in [&first, &second] {
        assert_eq!(fixture.attestations.stream_health(job).unwrap().card_shared, None);
    }
}
