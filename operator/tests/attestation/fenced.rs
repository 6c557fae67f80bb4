//! A leader whose lease is over: it goes on to listen, and takes nothing.

use std::time::Duration;

use hawser_attestation::verify;
use hawser_market::GpuSeconds;
use hawser_operator::fence::{Fence, Moment};
use hawser_proto::attestation::RejectReason;

use crate::fixture::Fixture;

#[tokio::test]
async fn what_reaches_a_leader_whose_lease_is_over_is_neither_stored_nor_acked_and_the_next_one_takes_it() {
    let fence = Fence::default();
    assert!(fence.extend(Moment::now().plus(Duration::from_hours(1))));
    let mut fixture = Fixture::behind(fence.clone()).await;
    let mut sidecar = fixture.running_sidecar(100).await;
    sidecar.header(0).await.acked();
    sidecar.report(20).await.acked();
    let before = fixture.evidence(sidecar.address()).await;

    fence.close();
    let report = sidecar.made(40, false);
    sidecar.send_report(report).await.refused(RejectReason::Unavailable, "does not hold the lease");
    // Nor where the meter comes back to it.
    assert_eq!(sidecar.resume(&fixture).await.acked(), 2, "what was stored before");
    let report = sidecar.made(50, true);
    sidecar.send_report(report).await.refused(RejectReason::Unavailable, "does not hold the lease");
    assert_eq!(fixture.evidence(sidecar.address()).await, before);
    assert_eq!(fixture.attested().voucher.unwrap().gpu_seconds, GpuSeconds(20), "no voucher without its evidence");
    assert!(!fixture.attested().finished);

    fixture.restart().await;
    fixture.expect_all();
    assert_eq!(sidecar.resume(&fixture).await.acked(), 2);
    sidecar.directives(2).await;
    assert_eq!(sidecar.report(40).await.acked(), 3);
    assert_eq!(verify(&fixture.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(40));
}
