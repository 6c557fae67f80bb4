//! A job of two members: no kind of job has them yet, but each would have a meter, an attestor and evidence of its own.

use hawser_attestation::verify;
use hawser_market::GpuSeconds;
use hawser_operator::attestation::{ExpectedMember, ExpectedPod, MemberRef};
use hawser_proto::attestation::RejectReason;

use crate::{
    sidecar::Sidecar,
    world::{self, World, pod},
};

/// Both pods are there.
fn expect_two(world: &World) -> [Sidecar; 2] {
    world.expect(|job| {
        job.members = vec![ExpectedMember::new("job-1"), ExpectedMember::new("job-1-1")];
        let second = ExpectedPod { name: "job-1-1".to_owned(), uid: "second".to_owned(), ..pod() };
        job.pods = vec![pod(), second];
    });
    [Sidecar::new(world), Sidecar::new(world).with_cards(["GPU-c", "GPU-d"])]
}

/// Both have enrolled, the job is started with the first one's attestor, and both began so many seconds ago.
async fn two_running(world: &World, seconds_ago: i64) -> [Sidecar; 2] {
    let [mut first, mut second] = expect_two(world);
    second.enroll(world, "token of job-1-1").await.acked();
    first.enroll(world, "token of job-1").await.acked();
    world.start(&first);
    world.begin(seconds_ago);
    for sidecar in [&mut first, &mut second] {
        sidecar.directives(2).await;
        sidecar.began = world.began();
    }
    [first, second]
}

/// What is known of each, in the members' order: its pod, its use, and whether its last report came.
fn known(world: &World) -> Vec<(String, Option<u64>, bool)> {
    let attested = world.attestations.attested(&world::job()).into_iter();
    attested.map(|one| (one.pod, one.voucher.map(|voucher| voucher.gpu_seconds.0), one.finished)).collect()
}

fn line(pod: &str, gpu_seconds: Option<u64>, finished: bool) -> (String, Option<u64>, bool) {
    (pod.to_owned(), gpu_seconds, finished)
}

#[tokio::test]
async fn a_second_members_enrolment_takes_nothing_from_the_first_and_both_are_counted() {
    let world = World::new().await;
    let [mut first, mut second] = two_running(&world, 30).await;
    assert_eq!(known(&world), [line("job-1", None, false), line("job-1-1", None, false)], "the leader comes first");
    for sidecar in [&mut first, &mut second] {
        sidecar.header(0).await.acked();
        sidecar.report(30).await.acked();
    }
    first.report(40).await.acked();
    assert_eq!(known(&world), [line("job-1", Some(40), false), line("job-1-1", Some(30), false)]);
    assert!(world.attestations.stream_health(&world::job()).unwrap().connected);
    second.last_report(31).await.acked();
    assert_eq!(known(&world), [line("job-1", Some(40), false), line("job-1-1", Some(31), true)]);
    for (sidecar, count) in [(&first, 40), (&second, 31)] {
        assert_eq!(verify(&world.evidence(sidecar.address()).await).unwrap().gpu_seconds, GpuSeconds(count));
    }
}

#[tokio::test]
async fn a_member_that_is_silent_makes_its_job_silent() {
    let world = World::new().await;
    let [mut first, mut second] = two_running(&world, 30).await;
    let last_report = || world.attestations.stream_health(&world::job()).unwrap().last_report;
    first.header(0).await.acked();
    assert_eq!(last_report(), None, "the second has not reported");
    second.header(0).await.acked();
    let both = last_report().unwrap();
    first.report(20).await.acked();
    first.report(21).await.acked();
    assert!(last_report().unwrap() > both || last_report() == Some(both));
    let of_second = world.attestations.attested(&world::job()).pop().unwrap().last_report;
    assert_eq!(last_report(), of_second);
}

#[tokio::test]
async fn a_members_key_is_its_own_and_none_of_the_leaders() {
    let world = World::new().await;
    let [mut first, mut second] = expect_two(&world);
    first.enroll(&world, "token of job-1").await.acked();
    world.start(&first);
    second.enroll(&world, "token of job-1-1").await.acked();
    // Four keys more may come from the token of the second pod: its own first one is that with which it enrolled.
    for _ in 0..4 {
        Sidecar::new(&world).enroll(&world, "token of job-1-1").await.acked();
    }
    let refused = Sidecar::new(&world).enroll(&world, "token of job-1-1").await;
    refused.refused(RejectReason::Unauthenticated, "pod job-1-1 has changed its attestor's key too often");
    let attestors = || world.attestations.attested(&world::job()).into_iter().map(|one| one.attestor);
    second.enroll(&world, "token of job-1-1").await.acked();
    assert_eq!(attestors().collect::<Vec<_>>(), [first.address(), second.address()]);
}

#[tokio::test]
async fn after_a_restart_the_leader_is_known_by_the_market_and_another_member_enrols_again() {
    let mut world = World::new().await;
    let [mut first, mut second] = two_running(&world, 30).await;
    first.header(0).await.acked();
    second.header(0).await.acked();
    second.report(20).await.acked();
    let left = second.termination_message(30, &second.made_line(30, true));
    world.restart().await;
    world.expect_all();
    first.resume(&world).await.acked();
    second.resume(&world).await.refused(RejectReason::Unauthenticated, "enrol again");
    // What it left cannot be told from what somebody else would have left there.
    let member = MemberRef { job: world::job(), pod: "job-1-1".to_owned() };
    let refusal = world.attestations.read_termination_message(&member, &left).await.unwrap_err();
    assert!(refusal.message.contains("no attestor has enrolled for pod tenants/job-1-1"), "{refusal}");
    assert_eq!(second.enroll(&world, "token of job-1-1").await.acked(), 2);
    assert_eq!(known(&world), [line("job-1", Some(0), false), line("job-1-1", Some(20), false)]);
    assert_eq!(world.attestations.read_termination_message(&member, &left).await.unwrap().gpu_seconds, GpuSeconds(30));
    assert_eq!(known(&world), [line("job-1", Some(0), false), line("job-1-1", Some(30), true)]);
}
