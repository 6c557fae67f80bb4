//! A job of two members: no kind of job has them yet, but each would have a meter, an attestor and evidence of its own.

use hawser_attestation::verify;
use hawser_market::GpuSeconds;
use hawser_operator::attestation::{ExpectedMember, ExpectedPod, MemberRef};
use hawser_proto::attestation::RejectReason;

use crate::{
    fixture::{self, Fixture, pod},
    sidecar::Sidecar,
};

/// Both pods are there.
fn expect_two(fixture: &Fixture) -> [Sidecar; 2] {
    fixture.expect(|job| {
        job.members = vec![ExpectedMember::new("job-1"), ExpectedMember::new("job-1-1")];
        let second = ExpectedPod { name: "job-1-1".to_owned(), uid: "second".to_owned(), ..pod() };
        job.pods = vec![pod(), second];
    });
    [Sidecar::new(fixture), Sidecar::new(fixture).with_cards(["GPU-c", "GPU-d"])]
}

/// Both have enrolled, the job is started with the first one's attestor, and both began this many seconds ago.
async fn two_running(fixture: &Fixture, seconds_ago: i64) -> [Sidecar; 2] {
    let [mut first, mut second] = expect_two(fixture);
    second.enroll(fixture, "token of job-1-1").await.acked();
    first.enroll(fixture, "token of job-1").await.acked();
    fixture.start(&first);
    fixture.begin(seconds_ago);
    for sidecar in [&mut first, &mut second] {
        sidecar.directives(2).await;
        sidecar.began = fixture.began();
    }
    [first, second]
}

/// What is known of each, in the members' order: its pod, its use, and whether its last report came.
fn known(fixture: &Fixture) -> Vec<(String, Option<u64>, bool)> {
    let attested = fixture.attestations.attested(&fixture::job()).into_iter();
    attested.map(|one| (one.pod, one.voucher.map(|voucher| voucher.gpu_seconds.0), one.finished)).collect()
}

fn line(pod: &str, gpu_seconds: Option<u64>, finished: bool) -> (String, Option<u64>, bool) {
    (pod.to_owned(), gpu_seconds, finished)
}

#[tokio::test]
async fn a_second_members_enrolment_takes_nothing_from_the_first_and_both_are_counted() {
    let fixture = Fixture::new().await;
    let [mut first, mut second] = two_running(&fixture, 30).await;
    assert_eq!(known(&fixture), [line("job-1", None, false), line("job-1-1", None, false)], "the leader comes first");
    for sidecar in [&mut first, &mut second] {
        sidecar.header(0).await.acked();
        sidecar.report(30).await.acked();
    }
    first.report(40).await.acked();
    assert_eq!(known(&fixture), [line("job-1", Some(40), false), line("job-1-1", Some(30), false)]);
    assert!(fixture.attestations.stream_health(&fixture::job()).unwrap().connected);
    second.last_report(31).await.acked();
    assert_eq!(known(&fixture), [line("job-1", Some(40), false), line("job-1-1", Some(31), true)]);
    for (sidecar, count) in [(&first, 40), (&second, 31)] {
        assert_eq!(verify(&fixture.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(count));
    }
}

#[tokio::test]
async fn a_member_that_is_silent_makes_its_job_silent() {
    let fixture = Fixture::new().await;
    let [mut first, mut second] = two_running(&fixture, 30).await;
    let last_report = || fixture.attestations.stream_health(&fixture::job()).unwrap().last_report;
    first.header(0).await.acked();
    assert_eq!(last_report(), None, "the second has not reported");
    second.header(0).await.acked();
    let both = last_report().unwrap();
    first.report(20).await.acked();
    first.report(21).await.acked();
    assert!(last_report().unwrap() > both || last_report() == Some(both));
    let of_second = fixture.attestations.attested(&fixture::job()).pop().unwrap().last_report;
    assert_eq!(last_report(), of_second);
}

#[tokio::test]
async fn a_members_key_is_its_own_and_none_of_the_leaders() {
    let fixture = Fixture::new().await;
    let [mut first, mut second] = expect_two(&fixture);
    first.enroll(&fixture, "token of job-1").await.acked();
    fixture.start(&first);
    second.enroll(&fixture, "token of job-1-1").await.acked();
    // Four keys more may come from the token of the second pod: its own first one is that with which it enrolled.
    for _ in 0..4 {
        Sidecar::new(&fixture).enroll(&fixture, "token of job-1-1").await.acked();
    }
    let refused = Sidecar::new(&fixture).enroll(&fixture, "token of job-1-1").await;
    refused.refused(RejectReason::Unauthenticated, "pod job-1-1 has changed its attestor's key too often");
    let attestors = || fixture.attestations.attested(&fixture::job()).into_iter().map(|one| one.attestor);
    second.enroll(&fixture, "token of job-1-1").await.acked();
    assert_eq!(attestors().collect::<Vec<_>>(), [first.address(), second.address()]);
}

#[tokio::test]
async fn after_a_restart_the_leader_is_known_by_the_market_and_another_member_enrols_again() {
    let mut fixture = Fixture::new().await;
    let [mut first, mut second] = two_running(&fixture, 30).await;
    first.header(0).await.acked();
    second.header(0).await.acked();
    second.report(20).await.acked();
    let left = second.termination_message(30, &second.made_line(30, true));
    fixture.restart().await;
    fixture.expect_all();
    first.resume(&fixture).await.acked();
    second.resume(&fixture).await.refused(RejectReason::Unauthenticated, "enrol again");
    // What it left cannot be told from what somebody else would have left there.
    let member = MemberRef { job: fixture::job(), pod: "job-1-1".to_owned() };
    let refusal = fixture.attestations.read_termination_message(&member, &left).await.unwrap_err();
    assert!(refusal.message.contains("no attestor has enrolled for pod tenants/job-1-1"), "{refusal}");
    assert_eq!(second.enroll(&fixture, "token of job-1-1").await.acked(), 2);
    assert_eq!(known(&fixture), [line("job-1", Some(0), false), line("job-1-1", Some(20), false)]);
    assert_eq!(
        fixture.attestations.read_termination_message(&member, &left).await.unwrap().gpu_seconds,
        GpuSeconds(30)
    );
    assert_eq!(known(&fixture), [line("job-1", Some(0), false), line("job-1-1", Some(30), true)]);
}
