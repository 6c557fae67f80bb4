//! Many connections at once: strangers who may not keep meters out, and meters who must all get in.

use std::{net::IpAddr, sync::atomic::Ordering, time::Duration};

use hawser_operator::attestation::ExpectedPod;
use hawser_proto::attestation::RejectReason;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    fixture::{self, Fixture},
    sidecar::{Answer, Sidecar, connect, dial},
    until::until,
};

/// Connections that one address may have open before it has proved anything.
const UNPROVEN: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_asked_about_four_tokens_at_once_at_most() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let enrolments = (0..12).map(|_| async {
        let mut sidecar = Sidecar::new(&fixture);
        sidecar.enroll(&fixture, "slow nonsense").await.refused(RejectReason::Unauthenticated, "does not accept");
    });
    futures::future::join_all(enrolments).await;
    assert!(fixture.reviewer.most.load(Ordering::SeqCst) <= 4, "{:?}", fixture.reviewer);
}

/// As behind a network that hides a node's pods behind the node's address, after a restart of the operator.
#[tokio::test(flavor = "multi_thread")]
async fn many_meters_behind_one_address_all_get_in_and_stay() {
    let fixture = Fixture::new().await;
    let enrolments = (0..3 * UNPROVEN).map(|n| {
        let fixture = &fixture;
        async move {
            let (_, id) = fixture.expect_one_of_many(u8::try_from(n).unwrap());
            let mut sidecar = Sidecar::of(id, fixture);
            let token = format!("many-{n}");
            // As meter does, but sooner.
            let answer = until(&format!("{token} gets in"), async || sidecar.try_enroll(fixture, &token).await).await;
            answer.acked();
            sidecar
        }
    });
    let inside = futures::future::join_all(enrolments).await;
    assert_eq!(inside.len(), 3 * UNPROVEN);

    // They hold no stranger's seat, and no stranger takes theirs.
    let mut strangers = Vec::new();
    for _ in 0..UNPROVEN {
        let mut stranger = Sidecar::new(&fixture);
        stranger.wait_in_silence(&fixture).await;
        strangers.push(stranger);
    }
    for mut sidecar in inside {
        sidecar.header(0).await.refused(RejectReason::UnknownJob, "not started yet");
    }
    // Silent strangers have to go for others, so that a meter that comes now gets in too.
    let (_, id) = fixture.expect_one_of_many(200);
    let mut late = Sidecar::of(id, &fixture);
    let shown_out = until("silent strangers are shown out", async || late.try_enroll(&fixture, "many-200").await);
    shown_out.await.acked();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_gives_the_seat_back_after_a_while() {
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    let refused = async || {
        let mut sidecar = Sidecar::new(&fixture);
        matches!(sidecar.try_enroll(&fixture, "nonsense").await, Some(Answer::Refused(_)))
    };
    let all = futures::future::join_all((0..UNPROVEN + 8).map(|_| refused())).await;
    assert!(all.iter().filter(|refused| **refused).count() >= UNPROVEN);
    until("a seat is free again", async || refused().await.then_some(())).await;
}

/// Takes every seat that it can get at these addresses, again as soon as it loses one, for as long as it is kept.
fn flood(fixture: &Fixture, addresses: impl IntoIterator<Item = IpAddr>, sockets: usize) -> JoinSet<()> {
    let port = fixture.url.rsplit(':').next().unwrap().parse().unwrap();
    let mut flood = JoinSet::new();
    for address in addresses {
        for _ in 0..sockets {
            flood.spawn(async move {
                loop {
                    let Ok(mut tcp) = dial(address, port).await else { continue };
                    // As TLS begins, so that it has a seat; and then nothing until it is taken away.
                    let _ = tcp.write_all(&[22, 3]).await;
                    let _ = tcp.read(&mut [0; 64]).await;
                    sleep(Duration::from_millis(10)).await;
                }
            });
        }
    }
    flood
}

/// The seats are taken for sure: somebody else at one of these addresses finds none.
async fn taken(fixture: &Fixture, address: IpAddr) {
    until("the flood has every seat", async || {
        let mut other = Sidecar::new(fixture).at(address);
        (!other.wait_in_silence(fixture).await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_addresses_that_take_every_seat_keep_no_meter_out() {
    let fixture = Fixture::new().await;
    let attackers = (1..=16).map(|n| IpAddr::from([127, 0, 1, n]));
    let _flood = flood(&fixture, attackers, UNPROVEN);
    taken(&fixture, IpAddr::from([127, 0, 1, 1])).await;
    for n in 0..40 {
        let (_, id) = fixture.expect_one_of_many(n);
        let mut meter = Sidecar::of(id, &fixture).at(IpAddr::from([127, 0, 2, n + 1]));
        let answer = meter.try_enroll(&fixture, &format!("many-{n}")).await;
        answer.unwrap_or_else(|| panic!("meter {n} finds no seat")).acked();
    }
}

/// Tenant and meter share their pod's address.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_takes_every_seat_of_its_pod_does_not_keep_its_meter_out() {
    let mut fixture = Fixture::new().await;
    let address = IpAddr::from([127, 0, 3, 1]);
    fixture.expect(|job| job.pods = vec![ExpectedPod { addresses: vec![address], ..fixture::pod() }]);
    let mut meter = Sidecar::new(&fixture).at(address);
    meter.enroll(&fixture, "token of job-1").await.acked();
    fixture.start(&meter);
    // The operator is another one meanwhile, with the same certificate.
    fixture.restart().await;
    fixture.expect_all();
    let _flood = flood(&fixture, [address], 120);
    taken(&fixture, address).await;
    for _ in 0..10 {
        meter.hang_up();
        let answer = meter.try_enroll(&fixture, "token of job-1").await;
        answer.expect("a meter with a pass always finds a seat").acked();
    }
    meter.hang_up();
    meter.try_resume(&fixture).await.expect("also to go on").acked();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_the_operator_did_not_give_is_none() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    let address = IpAddr::from([127, 0, 4, 1]);
    for fixture in [&fixture, &other] {
        fixture.expect(|job| job.pods = vec![ExpectedPod { addresses: vec![address], ..fixture::pod() }]);
    }
    let mut meter = Sidecar::new(&other).at(address);
    // Given by another operator, with another certificate.
    meter.enroll(&other, "token of job-1").await.acked();
    meter.hang_up();

    let flood = flood(&fixture, [address], 120);
    taken(&fixture, address).await;
    let mut seated = 0;
    for _ in 0..5 {
        seated += usize::from(meter.try_enroll(&fixture, "token of job-1").await.is_some());
        meter.hang_up();
    }
    assert!(seated < 5, "it finds a seat whenever it comes, as who has a pass does");

    // It is served as anybody else is.
    drop(flood);
    until("it finds a seat", async || meter.try_enroll(&fixture, "token of job-1").await).await.acked();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_stream_is_closed() {
    let fixture = Fixture::new().await;
    let upstream = fixture.url.replace("https://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let between = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut service = TcpStream::connect(upstream).await.unwrap();
        let _ = io::copy_bidirectional(&mut client, &mut service).await;
    });
    let idle = connect(&url, &fixture.ca).await.unwrap();
    timeout(Duration::from_secs(20), between).await.expect("the connection is closed").unwrap();
    drop(idle);
}
