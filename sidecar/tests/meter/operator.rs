//! The real attestation service, told by the test what the controllers would tell it.

use std::{fs, net::SocketAddr, path::Path, sync::Mutex, time::Duration};

use alloy::primitives::{Address, B256};
use hawser_attestation::{MarketId, evidence_path, evidence_prefix};
use hawser_market::{AttestorTail, GpuSeconds, JobId};
use hawser_operator::attestation::{
    Attestations, Attested, EvidenceStore, ExpectedJob, ExpectedMember, ExpectedPod, JobRef, MemberRef, ReviewError,
    Reviewed, StartedJob, TlsPem, TokenReviewer, serve_on,
};
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "the job's token";

pub(crate) fn job() -> JobRef {
    JobRef { namespace: "tenants".to_owned(), name: "job-1".to_owned() }
}

/// The job's only member.
pub(crate) fn member() -> MemberRef {
    MemberRef { job: job(), pod: "job-1".to_owned() }
}

pub(crate) fn id() -> JobId {
    JobId(B256::repeat_byte(0x17))
}

pub(crate) fn market() -> MarketId {
    MarketId { chain_id: 31337, address: Address::repeat_byte(9) }
}

/// Stands in for the API server: knows one token.
struct FakeTokenReviewer;

impl TokenReviewer for FakeTokenReviewer {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        if token != TOKEN {
            return Err(ReviewError::Refused("unknown token".to_owned()));
        }
        Ok(Reviewed {
            namespace: "tenants".to_owned(),
            service_account: "hawser-job".to_owned(),
            pod: "job-1".to_owned(),
            uid: "uid-1".to_owned(),
        })
    }
}

pub(crate) struct Operator {
    pub(crate) attestations: Attestations,
    pub(crate) ca: String,
    pub(crate) address: SocketAddr,
    tls: TlsPem,
    evidence: tempfile::TempDir,
    expected: Mutex<ExpectedJob>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Operator {
    pub(crate) fn start() -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls = TlsPem { certificate: cert.pem(), key: signing_key.serialize_pem() };
        let evidence = tempfile::tempdir().unwrap();
        let mut operator = Self {
            attestations: attestations(evidence.path()),
            ca: cert.pem(),
            address: "127.0.0.1:0".parse().unwrap(),
            tls,
            evidence,
            expected: Mutex::new(expected()),
            running: None,
        };
        operator.start_again();
        operator
    }

    /// Starts with nothing in memory, on the same evidence and address.
    pub(crate) fn start_again(&mut self) {
        self.attestations = attestations(self.evidence.path());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        self.address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let serving =
            serve_on(self.attestations.clone(), listener, self.tls.clone(), FakeTokenReviewer, cancel.clone());
        self.running = Some((cancel, tokio::spawn(async move { serving.await.unwrap() })));
        self.expect(|_| {});
    }

    pub(crate) async fn stop(&mut self) {
        let (cancel, serving) = self.running.take().unwrap();
        cancel.cancel();
        tokio::time::timeout(Duration::from_secs(10), serving).await.expect("the service ends in time").unwrap();
    }

    fn expect(&self, change: impl FnOnce(&mut ExpectedJob)) {
        let mut expected = self.expected.lock().unwrap();
        change(&mut expected);
        self.attestations.expect(expected.clone());
    }

    pub(crate) fn name_attestor(&self, attestor: Address) {
        self.expect(|job| {
            job.started = Some(StartedJob { at: Timestamp::now(), attestor: AttestorTail::of(attestor) });
        });
    }

    /// The customer's container started; kubelet says so in whole seconds.
    pub(crate) fn begin(&self) {
        self.expect(|job| job.begin = Some(whole_second()));
    }

    pub(crate) fn end(&self) {
        self.expect(|job| job.ended = Some(whole_second()));
    }

    /// GPU-seconds between begin and end, on two GPUs: as the sidecar must count them, from its header on.
    pub(crate) fn used(&self) -> GpuSeconds {
        let summary = hawser_attestation::verify(&self.evidence(self.attested().unwrap().attestor)).unwrap();
        let job = self.expected.lock().unwrap();
        let begin = job.begin.unwrap().max(summary.first);
        let ran = job.ended.unwrap().duration_since(begin);
        let counted = GpuSeconds::elapsed(2, Duration::try_from(ran).unwrap_or_default());
        // What a report before the end had counted already stays.
        let earlier = summary.vouchers[summary.vouchers.len() - 2].gpu_seconds;
        counted.max(earlier)
    }

    pub(crate) fn attested(&self) -> Option<Attested> {
        self.attestations.attested(&job()).pop()
    }

    /// How many of its messages were refused.
    pub(crate) fn rejected(&self) -> u64 {
        self.attestations.stream_health(&job()).unwrap().rejection.map_or(0, |rejection| rejection.times)
    }

    pub(crate) fn vouched(&self) -> GpuSeconds {
        self.attested().and_then(|attested| attested.voucher).map_or(GpuSeconds::ZERO, |voucher| voucher.gpu_seconds)
    }

    pub(crate) fn has_evidence(&self, attestor: Address) -> bool {
        !self.evidence(attestor).is_empty()
    }

    /// Lines in the evidence store.
    pub(crate) fn stored(&self, attestor: Address) -> usize {
        String::from_utf8(self.evidence(attestor)).unwrap().lines().count()
    }

    /// As a customer fetches it: file after file until there is none.
    pub(crate) fn evidence(&self, attestor: Address) -> Vec<u8> {
        assert!(evidence_path(id(), attestor, 0).starts_with(&evidence_prefix(id(), attestor)));
        let file = |index| fs::read(self.evidence.path().join(evidence_path(id(), attestor, index))).ok();
        (0..).map_while(file).flatten().collect()
    }
}

fn attestations(evidence: &Path) -> Attestations {
    let url = format!("file://{}", evidence.display());
    Attestations::new(EvidenceStore::open(&url, "http://evidence.example").unwrap())
}

fn whole_second() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn expected() -> ExpectedJob {
    ExpectedJob {
        job: job(),
        network: Some("network-1".to_owned()),
        offer: "offer-1".to_owned(),
        id: id(),
        market: market(),
        members: vec![ExpectedMember::new("job-1")],
        pods: vec![ExpectedPod {
            name: "job-1".to_owned(),
            uid: "uid-1".to_owned(),
            service_account: "hawser-job".to_owned(),
            addresses: Vec::new(),
        }],
        gpus: 2,
        started: None,
        attestor: None,
        begin: None,
        ended: None,
        voucher: None,
        card_shared: None,
    }
}
