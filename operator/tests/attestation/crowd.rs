//! Many at the door: strangers who may not keep meters out, and meters who must all get in.

use std::{sync::atomic::Ordering, time::Duration};

use hawser_proto::attestation::RejectReason;
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    sidecar::{Answer, Sidecar, connect},
    until::until,
    world::{self, World},
};

/// Connections that one address may have open before it has proved anything.
const UNPROVEN: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_asked_about_four_tokens_at_once_at_most() {
    let world = World::new().await;
    world.expect(|job| job.pod = Some(world::pod()));
    let enrolments = (0..12).map(|_| async {
        let mut sidecar = Sidecar::new(&world);
        sidecar.enroll(&world, "slow nonsense").await.refused(RejectReason::Unauthenticated, "does not accept");
    });
    futures::future::join_all(enrolments).await;
    assert!(world.reviewer.most.load(Ordering::SeqCst) <= 4, "{:?}", world.reviewer);
}

/// As behind a network that hides a node's pods behind the node's address, after a restart of the operator.
#[tokio::test(flavor = "multi_thread")]
async fn many_meters_behind_one_address_all_get_in_and_stay() {
    let world = World::new().await;
    let enrolments = (0..3 * UNPROVEN).map(|n| {
        let world = &world;
        async move {
            let (_, id) = world.expect_one_of_many(u8::try_from(n).unwrap());
            let mut sidecar = Sidecar::of(id, world);
            let token = format!("many-{n}");
            // As meter does, but sooner.
            let answer = until(&format!("{token} gets in"), async || sidecar.try_enroll(world, &token).await).await;
            answer.acked();
            sidecar
        }
    });
    let inside = futures::future::join_all(enrolments).await;
    assert_eq!(inside.len(), 3 * UNPROVEN);

    // They hold no stranger's seat, and no stranger takes theirs.
    let mut strangers = Vec::new();
    for _ in 0..UNPROVEN {
        let mut stranger = Sidecar::new(&world);
        assert!(stranger.wait_in_silence(&world).await);
        strangers.push(stranger);
    }
    assert!(!Sidecar::new(&world).wait_in_silence(&world).await, "an address has its number of strangers");
    for mut sidecar in inside {
        sidecar.header(0).await.refused(RejectReason::UnknownJob, "not started yet");
    }
    // Silent strangers are shown out, so that a meter that comes now gets in too.
    let (_, id) = world.expect_one_of_many(200);
    let mut late = Sidecar::of(id, &world);
    let shown_out = until("silent strangers are shown out", async || late.try_enroll(&world, "many-200").await);
    shown_out.await.acked();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_gives_the_seat_back_after_a_while() {
    let world = World::new().await;
    world.expect(|job| job.pod = Some(world::pod()));
    let refused = async || {
        let mut sidecar = Sidecar::new(&world);
        matches!(sidecar.try_enroll(&world, "nonsense").await, Some(Answer::Refused(_)))
    };
    let all = futures::future::join_all((0..UNPROVEN + 8).map(|_| refused())).await;
    assert_eq!(all.iter().filter(|refused| **refused).count(), UNPROVEN);
    sleep(Duration::from_secs(4)).await;
    assert!(refused().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_stream_is_closed() {
    let world = World::new().await;
    let upstream = world.url.replace("https://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let between = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut service = TcpStream::connect(upstream).await.unwrap();
        let _ = io::copy_bidirectional(&mut client, &mut service).await;
    });
    let idle = connect(&url, &world.ca).await.unwrap();
    timeout(Duration::from_secs(20), between).await.expect("the connection is closed").unwrap();
    drop(idle);
}
