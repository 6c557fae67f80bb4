//! The real service on a socket of its own, with the real evidence store in a directory; what stands in for the API
//! server's `TokenReview` is named so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::primitives::{Address, B256};
use futures::StreamExt;
use hawser_attestation::{MarketId, evidence_path, evidence_prefix};
use hawser_market::{AttestorTail, JobId};
use hawser_operator::attestation::{
    Attestations, Attested, EvidenceStore, ExpectedJob, ExpectedMember, ExpectedPod, JobRef, MemberRef, Rejection,
    ReviewError, Reviewed, StartedJob, TlsPem, TokenReviewer, serve_on,
};
use hawser_operator::fence::Fence;
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::sidecar::Sidecar;

pub(crate) fn job() -> JobRef {
    JobRef { namespace: "tenants".to_owned(), name: "job-1".to_owned() }
}

/// The only member of a job.
pub(crate) fn only(job: &JobRef) -> MemberRef {
    MemberRef { job: job.clone(), pod: job.name.clone() }
}

pub(crate) fn id() -> JobId {
    JobId(B256::repeat_byte(0x17))
}

pub(crate) fn market() -> MarketId {
    MarketId { chain_id: 31337, address: Address::repeat_byte(9) }
}

pub(crate) fn gpu_uuids() -> Vec<String> {
    vec!["GPU-a".to_owned(), "GPU-b".to_owned()]
}

pub(crate) fn pod() -> ExpectedPod {
    ExpectedPod {
        name: "job-1".to_owned(),
        uid: "new".to_owned(),
        service_account: "hawser-job".to_owned(),
        addresses: Vec::new(),
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap()
}

pub(crate) fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

/// Stands in for the API server: knows three tokens, and one of each of many jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeTokenReviewer {
    asked: Arc<AtomicUsize>,
    /// Most questions that were open at once.
    pub(crate) most: Arc<AtomicUsize>,
}

impl TokenReviewer for FakeTokenReviewer {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        let at_once = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_once, Ordering::SeqCst);
        let slow = if token.starts_with("slow") { 500 } else { 0 };
        tokio::time::sleep(Duration::from_millis(slow)).await;
        self.asked.fetch_sub(1, Ordering::SeqCst);
        let (pod, uid) = match token {
            token if token.starts_with("many-") => (token, "new"),
            "token of job-1" => ("job-1", "new"),
            "token of an older job-1" => ("job-1", "old"),
            "token of job-1-1" => ("job-1-1", "second"),
            "token of job-2" => ("job-2", "other"),
            _ => return Err(ReviewError::Refused("unknown token".to_owned())),
        };
        Ok(Reviewed {
            namespace: "tenants".to_owned(),
            service_account: "hawser-job".to_owned(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
        })
    }
}

pub(crate) struct Fixture {
    pub(crate) attestations: Attestations,
    pub(crate) url: String,
    pub(crate) ca: String,
    pub(crate) reviewer: FakeTokenReviewer,
    tls: TlsPem,
    directory: tempfile::TempDir,
    expected: Mutex<ExpectedJob>,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::behind(Fence::always()).await
    }

    /// The service of a leader that stores evidence for as long as the fence is open.
    pub(crate) async fn behind(fence: Fence) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls = TlsPem { certificate: cert.pem(), key: signing_key.serialize_pem() };
        let directory = tempfile::tempdir().unwrap();
        let reviewer = FakeTokenReviewer::default();
        let (attestations, url, cancel, serving) = start(&directory, fence, tls.clone(), reviewer.clone()).await;
        let expected = Mutex::new(ExpectedJob {
            job: job(),
            network: Some("network-1".to_owned()),
            offer: "offer-1".to_owned(),
            id: id(),
            market: market(),
            members: vec![ExpectedMember::new("job-1")],
            pods: Vec::new(),
            gpus: 2,
            started: None,
            attestor: None,
            begin: None,
            ended: None,
            voucher: None,
            card_shared: None,
        });
        Self { attestations, url, ca: tls.certificate.clone(), reviewer, tls, directory, expected, cancel, serving }
    }

    /// Ends the service and all that it has in memory, and starts another one on the same evidence.
    pub(crate) async fn restart(&mut self) {
        self.cancel.cancel();
        (&mut self.serving).await.unwrap();
        let (attestations, url, cancel, serving) =
            start(&self.directory, Fence::always(), self.tls.clone(), self.reviewer.clone()).await;
        (self.attestations, self.url, self.cancel, self.serving) = (attestations, url, cancel, serving);
    }

    pub(crate) fn expect(&self, change: impl FnOnce(&mut ExpectedJob)) {
        let mut expected = self.expected.lock().unwrap();
        change(&mut expected);
        self.attestations.expect(expected.clone());
    }

    /// What is expected of the fixture's own job, as another job's that has one member.
    fn usual(&self, job: &JobRef) -> ExpectedJob {
        let members = vec![ExpectedMember::new(&job.name)];
        ExpectedJob { members, ..self.expected.lock().unwrap().clone() }
    }

    /// Expects one of many jobs; its pod's token is its name.
    pub(crate) fn expect_one_of_many(&self, n: u8) -> (JobRef, JobId) {
        let job = JobRef { namespace: "tenants".to_owned(), name: format!("many-{n}") };
        let id = JobId(B256::with_last_byte(n));
        let pods = vec![ExpectedPod { name: job.name.clone(), ..pod() }];
        let usual = self.usual(&job);
        self.attestations.expect(ExpectedJob { job: job.clone(), id, pods, ..usual });
        (job, id)
    }

    /// One of many jobs, as its status says that another one had its card first.
    pub(crate) fn expect_card_shared(&self, n: u8, attestor: Address, why: &str) {
        let (job, id) = self.expect_one_of_many(n);
        let begin = now() - seconds(50);
        let started = Some(StartedJob { at: begin, attestor: AttestorTail::of(attestor) });
        let usual = self.usual(&job);
        let pods = vec![ExpectedPod { name: job.name.clone(), ..pod() }];
        self.attestations.expect(ExpectedJob {
            job,
            id,
            pods,
            started,
            begin: Some(begin),
            card_shared: Some(why.to_owned()),
            ..usual
        });
    }

    /// Another job with the same id, that somebody has written by hand.
    pub(crate) fn expect_another(&self, pod: Option<ExpectedPod>) {
        let job = JobRef { name: "job-2".to_owned(), ..job() };
        let usual = self.usual(&job);
        self.attestations.expect(ExpectedJob { job, pods: pod.into_iter().collect(), ..usual });
    }

    /// One of many jobs whose meter is enrolled and may report: its evidence and its count begin this many seconds ago.
    pub(crate) async fn running_one_of_many(&self, n: u8, seconds_ago: i64) -> (JobRef, Sidecar) {
        let (job, id) = self.expect_one_of_many(n);
        let mut sidecar = Sidecar::of(id, self);
        sidecar.enroll(self, &job.name).await.acked();
        let begin = now() - seconds(seconds_ago);
        let pods = vec![ExpectedPod { name: job.name.clone(), ..pod() }];
        let started = Some(StartedJob { at: begin, attestor: AttestorTail::of(sidecar.address()) });
        let usual = self.usual(&job);
        let expected = ExpectedJob { job: job.clone(), id, pods, started, begin: Some(begin), ..usual };
        self.attestations.expect(expected);
        sidecar.directives(2).await;
        (sidecar.began, sidecar.created) = (Some(begin), begin);
        (job, sidecar)
    }

    /// Makes every write of the sidecar's evidence fail until the evidence is given back.
    pub(crate) fn lose_evidence_of(&self, sidecar: &Sidecar) -> LostEvidence {
        let at = self.directory.path().join(evidence_prefix(id(), sidecar.address()));
        let kept = self.directory.path().join("kept");
        std::fs::rename(&at, &kept).unwrap();
        std::fs::write(&at, "no directory").unwrap();
        LostEvidence { at, kept }
    }

    pub(crate) fn expect_all(&self) {
        self.expect(|_| {});
    }

    pub(crate) fn start(&self, sidecar: &Sidecar) {
        self.expect(|job| job.started = Some(StartedJob { at: now(), attestor: AttestorTail::of(sidecar.address()) }));
    }

    pub(crate) fn begin(&self, seconds_ago: i64) {
        self.expect(|job| job.begin = Some(now() - seconds(seconds_ago)));
    }

    pub(crate) fn began(&self) -> Option<Timestamp> {
        self.expected.lock().unwrap().begin
    }

    pub(crate) async fn running_sidecar(&self, seconds_ago: i64) -> Sidecar {
        self.expect(|job| job.pods = vec![pod()]);
        let mut sidecar = Sidecar::new(self);
        sidecar.enroll(self, "token of job-1").await.acked();
        self.start(&sidecar);
        self.begin(seconds_ago);
        sidecar.directives(2).await;
        sidecar.began = self.began();
        sidecar
    }

    pub(crate) fn attested(&self) -> Attested {
        self.attested_of(&job())
    }

    /// Of a job with one member.
    pub(crate) fn attested_of(&self, job: &JobRef) -> Attested {
        let [attested] = <[_; 1]>::try_from(self.attestations.attested(job)).unwrap();
        attested
    }

    /// What was refused last.
    pub(crate) fn rejection(&self) -> Option<Rejection> {
        self.attestations.stream_health(&job()).unwrap().rejection
    }

    pub(crate) async fn evidence(&self, attestor: Address) -> Vec<u8> {
        let store = LocalFileSystem::new_with_prefix(self.directory.path()).unwrap();
        let of_attestor = Path::from(evidence_prefix(id(), attestor));
        let files = store.list(Some(&of_attestor)).count().await;
        let mut bytes = Vec::new();
        for index in 0..u32::try_from(files).unwrap() {
            let path = Path::from(evidence_path(id(), attestor, index));
            bytes.extend(store.get(&path).await.unwrap().bytes().await.unwrap());
        }
        bytes
    }
}

pub(crate) struct LostEvidence {
    at: std::path::PathBuf,
    kept: std::path::PathBuf,
}

impl LostEvidence {
    /// Makes reading fail too.
    pub(crate) fn spoil(&self) {
        std::fs::remove_file(&self.at).unwrap();
        std::fs::create_dir(&self.at).unwrap();
        std::fs::write(self.at.join("000000.jsonl"), "no evidence").unwrap();
    }

    pub(crate) fn give_back(self) {
        std::fs::remove_dir_all(&self.at).unwrap();
        std::fs::rename(self.kept, self.at).unwrap();
    }
}

async fn start(
    directory: &tempfile::TempDir,
    fence: Fence,
    tls: TlsPem,
    reviewer: FakeTokenReviewer,
) -> (Attestations, String, CancellationToken, JoinHandle<()>) {
    let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
    let evidence = EvidenceStore::new(Arc::new(store), Path::default(), "http://evidence.example");
    let attestations = Attestations::new(evidence.fenced(fence));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let cancel = CancellationToken::new();
    let serving = serve_on(attestations.clone(), listener, tls, reviewer, cancel.clone());
    let serving = tokio::spawn(async move { serving.await.unwrap() });
    (attestations, url, cancel, serving)
}
