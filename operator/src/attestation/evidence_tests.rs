use std::{fmt::Write, time::Duration};

use hawser_attestation::{
    AttestorKey, Body, Digest, EvidenceRoot, Header, Nvml, Report, SignedVoucher, Tier, Version, verify,
};
use hawser_market::GpuSeconds;
use jiff::Timestamp;
use object_store::memory::InMemory;

use super::*;
use crate::fence::Moment;

const JOB: JobId = JobId(Digest::repeat_byte(7));

struct Meter {
    chain: Option<EvidenceChain>,
    lines: Vec<Line>,
}

fn key() -> AttestorKey {
    AttestorKey::from_bytes(&Digest::repeat_byte(1)).unwrap()
}

/// The line that a meter adds to what it has said, and the chain with it.
pub(in crate::attestation) fn next_line(said: Option<&EvidenceChain>, last: bool) -> (EvidenceChain, Line) {
    let market = hawser_attestation::MarketId::default();
    let body = match said {
        None => Body::Header(Header {
            version: Version::V1,
            tier: Tier::Metered,
            job_id: JOB,
            attestor: key().address(),
            chain_id: market.chain_id,
            market: market.address,
            gpus: 1,
            gpu_uuids: Vec::new(),
            base_gpu_seconds: GpuSeconds::ZERO,
            nvml: Nvml::NotVisible,
            driver_version: None,
            sidecar: "0.1.0".to_owned(),
            time: Timestamp::UNIX_EPOCH,
        }),
        Some(chain) => Body::Report(Report {
            sequence: chain.next_sequence(),
            previous: chain.root(),
            time: Timestamp::UNIX_EPOCH,
            began_at: None,
            gpu_seconds: GpuSeconds::ZERO,
            last,
            gpus: Vec::new(),
        }),
    };
    let body = serde_json::to_string(&body).unwrap();
    let root = said.map_or(EvidenceRoot::EMPTY, EvidenceChain::root).then(body.as_bytes());
    let signature = SignedVoucher::sign(&key(), market, JOB, GpuSeconds::ZERO, root).unwrap().signature;
    let line = Line { body, signature };
    let Some(mut chain) = said.cloned() else { return (EvidenceChain::open(&line).unwrap(), line) };
    chain.follow(&line).unwrap();
    (chain, line)
}

fn meter(reports: u64) -> Meter {
    let mut meter = Meter { chain: None, lines: Vec::new() };
    for _ in 0..=reports {
        let (chain, line) = next_line(meter.chain.as_ref(), false);
        meter.chain = Some(chain);
        meter.lines.push(line);
    }
    meter
}

fn store() -> EvidenceStore {
    EvidenceStore::new(Arc::new(InMemory::new()), Path::from("prefix"), "http://evidence.example/")
}

#[tokio::test]
async fn evidence_is_the_same_in_whatever_portions_it_came() {
    let made = meter(700);
    let (address, chain) = (key().address(), made.chain.clone().unwrap());
    let whole = made.lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    });
    for portion in [1, 7, 64, 1000] {
        let store = store();
        let mut stored = Stored::default();
        for lines in made.lines.chunks(portion) {
            let (longer, files) = stored.with(chain.clone(), lines);
            for file in &files {
                store.write(JOB, address, file).await.unwrap();
            }
            stored = longer;
        }
        assert!(stored.file > 0, "it takes several files");
        let mut read = String::new();
        for index in 0..=stored.file {
            read.push_str(&store.read(JOB, address, index).await.unwrap());
        }
        assert_eq!(read, whole, "in portions of {portion}");
        assert_eq!(verify(read.as_bytes()).unwrap().reports, 700);
        let loaded = store.load(JOB, address).await.unwrap();
        assert_eq!((loaded.chain, loaded.file, loaded.bytes), (Some(chain.clone()), stored.file, stored.bytes));
    }
}

#[tokio::test]
async fn nothing_stored_is_no_error_and_something_else_stored_is_one() {
    let (store, address) = (store(), Attestor::repeat_byte(1));
    assert_eq!(store.load(JOB, address).await.unwrap().next_sequence(), 0);
    let file = File { index: 0, bytes: b"something else\n".to_vec() };
    store.write(JOB, address, &file).await.unwrap();
    let error = store.load(JOB, address).await.unwrap_err().to_string();
    assert!(error.contains("was changed in the store"), "{error}");
}

#[tokio::test]
async fn a_leader_whose_lease_is_over_leaves_the_store_as_the_next_one_has_it() {
    let fence = Fence::default();
    assert!(fence.extend(Moment::now().plus(Duration::from_hours(1))));
    let (store, address) = (store().fenced(fence.clone()), Attestor::repeat_byte(1));
    let file = |text: &[u8]| File { index: 0, bytes: text.to_vec() };
    store.write(JOB, address, &file(b"while it leads")).await.unwrap();
    fence.close();
    let refused = store.write(JOB, address, &file(b"after it")).await;
    assert!(matches!(refused, Err(EvidenceStoreError::NotLeading(_))), "{refused:?}");
    assert_eq!(store.read(JOB, address, 0).await.unwrap(), "while it leads");
}

#[test]
fn a_store_fails_from_the_first_failing_call_to_the_next_that_succeeds() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut health = StoreHealth::default();
    health.succeeded(true, at(1));
    health.failed(at(2), "a".to_owned());
    health.failed(at(3), "b".to_owned());
    let failing = StoreFailure { since: at(2), times: 2, error: "b".to_owned() };
    assert_eq!(health, StoreHealth { stored_at: Some(at(1)), failing: Some(failing) });
    health.succeeded(false, at(4));
    assert_eq!(health, StoreHealth { stored_at: Some(at(1)), failing: None });
}

#[test]
fn a_customer_reads_at_the_public_url() {
    assert_eq!(store().public_url(JOB), format!("http://evidence.example/0x{}", "07".repeat(32)));
}

#[test]
fn an_url_that_is_no_store_is_refused_with_what_it_should_be() {
    for url in ["evidence", "ftp://host/evidence"] {
        let error = EvidenceStore::open(url, "").unwrap_err().to_string();
        assert!(error.contains("is not s3://bucket/prefix or file:///path"), "{error}");
    }
}
