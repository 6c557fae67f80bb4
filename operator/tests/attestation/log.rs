//! What the operator logs of a stream.

use std::io;
use std::sync::{Arc, Mutex};

use hawser_proto::attestation::RejectReason;
use serde_json::{Value, json};

use crate::fixture::{self, Fixture};
use crate::sidecar::Sidecar;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_line_of_a_stream_names_the_job_its_offer_and_its_network() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
    let logged = tracing::subscriber::set_default(subscriber);
    let fixture = Fixture::new().await;
    fixture.expect(|job| job.pods = vec![fixture::pod()]);
    Sidecar::new(&fixture).enroll(&fixture, "another token").await.refused(RejectReason::Unauthenticated, "");
    let mut sidecar = fixture.running_sidecar(30).await;
    sidecar.header(0).await.acked();
    drop(logged);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_streams: Vec<_> = lines.iter().filter(|line| line["span"]["name"] == "attestation").collect();
    for message in ["sidecar refused", "attestor connected"] {
        assert!(of_streams.iter().any(|line| line["fields"]["message"] == message), "{message}: {text}");
    }
    for line in of_streams {
        let span = &line["span"];
        let named = (&span["job"], &span["offer"], &span["network"]);
        assert_eq!(named, (&json!("tenants/job-1"), &json!("offer-1"), &json!("network-1")), "{line}");
    }
}
