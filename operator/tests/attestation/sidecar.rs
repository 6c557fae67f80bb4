//! A sidecar that does what a test says, also what a real one never would.

use std::{io, net::IpAddr, time::Duration};

use alloy::{
    primitives::{Address, B256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use hawser_attestation::{
    Body, EvidenceRoot, GpuSample, Header, Knock, Line, Nvml, Pass, SignedVoucher, TerminationMessage, Tier, Version,
    session_proof_hash,
};
use hawser_market::{GpuSeconds, JobId};
use hawser_proto::attestation::{
    Directive, Enroll, OperatorMessage, RejectReason, Rejected, Report, Resume, SidecarMessage,
    attestation_client::AttestationClient, operator_message, sidecar_message,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Uri},
};
use tower::service_fn;

use crate::fixture::{self, Fixture, gpu_uuids, id, market};

const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Sidecar {
    key: PrivateKeySigner,
    job: JobId,
    pub(crate) began: Option<Timestamp>,
    pub(crate) created: Timestamp,
    root: EvidenceRoot,
    next: u64,
    pub(crate) sent: Vec<Report>,
    proof: Vec<u8>,
    pass: Option<Pass>,
    /// Where its connections come from.
    address: IpAddr,
    cards: Vec<String>,
    /// A card that does not answer, and since when.
    pub(crate) dead: Option<(String, Timestamp)>,
    /// Whether it brings its pass.
    pub(crate) knocks: bool,
    stream: Option<(mpsc::Sender<SidecarMessage>, Streaming<OperatorMessage>)>,
}

/// What the operator answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Acked(u64),
    Refused(Rejected),
}

impl Answer {
    pub(crate) fn acked(self) -> u64 {
        match self {
            Self::Acked(next) => next,
            Self::Refused(rejected) => panic!("refused: {rejected:?}"),
        }
    }

    pub(crate) fn refused(self, reason: RejectReason, text: &str) {
        match self {
            Self::Acked(next) => panic!("taken, next line {next}, but it should be refused: {text}"),
            Self::Refused(rejected) => {
                assert_eq!(rejected.reason(), reason, "{rejected:?}");
                assert!(rejected.message.contains(text), "{rejected:?}");
            }
        }
    }
}

impl Sidecar {
    pub(crate) fn new(_fixture: &Fixture) -> Self {
        Self {
            key: PrivateKeySigner::random(),
            job: id(),
            began: None,
            created: fixture::now() - fixture::seconds(3600),
            root: EvidenceRoot::EMPTY,
            next: 0,
            sent: Vec::new(),
            proof: Vec::new(),
            pass: None,
            address: IpAddr::from([127, 0, 0, 1]),
            knocks: true,
            dead: None,
            cards: gpu_uuids(),
            stream: None,
        }
    }

    /// The sidecar of another job than the usual one.
    pub(crate) fn of(job: JobId, fixture: &Fixture) -> Self {
        Self { job, ..Self::new(fixture) }
    }

    /// The same with other cards.
    pub(crate) fn with_cards(self, cards: [&str; 2]) -> Self {
        Self { cards: cards.map(str::to_owned).to_vec(), ..self }
    }

    /// The same at another address.
    pub(crate) fn at(self, address: IpAddr) -> Self {
        Self { address, ..self }
    }

    pub(crate) fn address(&self) -> Address {
        self.key.address()
    }

    pub(crate) async fn enroll(&mut self, fixture: &Fixture, token: &str) -> Answer {
        self.try_enroll(fixture, token).await.expect("a stream")
    }

    /// `None`: the service had no seat for it.
    pub(crate) async fn try_enroll(&mut self, fixture: &Fixture, token: &str) -> Option<Answer> {
        let nonce = self.try_open(fixture).await?;
        let message = sidecar_message::Message::Enroll(Enroll {
            job_id: self.job.0.to_vec(),
            attestor: self.address().to_vec(),
            token: token.to_owned(),
            gpu_uuids: self.cards.clone(),
            proof: self.prove(nonce),
        });
        self.say(message).await;
        Some(self.answer().await)
    }

    /// Opens a stream and says nothing on it.
    pub(crate) async fn wait_in_silence(&mut self, fixture: &Fixture) -> bool {
        self.try_open(fixture).await.is_some()
    }

    pub(crate) async fn resume(&mut self, fixture: &Fixture) -> Answer {
        self.try_resume(fixture).await.expect("a stream")
    }

    /// `None`: the service had no seat for it.
    pub(crate) async fn try_resume(&mut self, fixture: &Fixture) -> Option<Answer> {
        let nonce = self.try_open(fixture).await?;
        let proof = self.prove(nonce);
        Some(self.say_resume(proof).await)
    }

    /// The stream breaks off.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    pub(crate) async fn resume_with_last_proof(&mut self, fixture: &Fixture) -> Answer {
        self.try_open(fixture).await.expect("a stream");
        self.say_resume(self.proof.clone()).await
    }

    async fn say_resume(&mut self, proof: Vec<u8>) -> Answer {
        let (job_id, attestor) = (self.job.0.to_vec(), self.address().to_vec());
        self.say(sidecar_message::Message::Resume(Resume { job_id, attestor, proof })).await;
        self.answer().await
    }

    fn prove(&mut self, nonce: B256) -> Vec<u8> {
        let hash = session_proof_hash(market(), self.job, nonce);
        self.proof = self.key.sign_hash_sync(&hash).unwrap().as_bytes().to_vec();
        self.proof.clone()
    }

    async fn try_open(&mut self, fixture: &Fixture) -> Option<B256> {
        let (sender, receiver) = mpsc::channel(128);
        let pass = self.pass.filter(|_| self.knocks);
        let knock = pass.map(|pass| Knock { job: self.job, attestor: self.key.address(), pass });
        let mut client = AttestationClient::new(connect_from(self.address, knock, &fixture.url, &fixture.ca).await?);
        let stream = client.attest(ReceiverStream::new(receiver)).await.ok()?.into_inner();
        self.stream = Some((sender, stream));
        let (_, stream) = self.stream.as_mut()?;
        // An end before Hello: it lost its seat to another.
        let message = timeout(TIMEOUT, stream.message()).await.expect("the operator answers in time").ok()??;
        match message.message? {
            operator_message::Message::Hello(hello) => Some(B256::from_slice(&hello.nonce)),
            other => panic!("Hello comes first, not {other:?}"),
        }
    }

    pub(crate) async fn header(&mut self, base: u64) -> Answer {
        let report = self.made_header(base);
        self.send_report(report).await
    }

    pub(crate) async fn report(&mut self, count: u64) -> Answer {
        let report = self.made_and_kept(count);
        self.send_report(report).await
    }

    /// Makes the next report, and goes on from it.
    pub(crate) fn made_and_kept(&mut self, count: u64) -> Report {
        let report = self.made(count, false);
        self.accept(&report);
        report
    }

    pub(crate) async fn last_report(&mut self, count: u64) -> Answer {
        let report = self.made(count, true);
        self.send_report(report).await
    }

    /// Makes the header, and goes on from it.
    pub(crate) fn made_header(&mut self, base: u64) -> Report {
        let body = Body::Header(Header {
            version: Version::V1,
            tier: Tier::Metered,
            job_id: self.job,
            attestor: self.address(),
            chain_id: market().chain_id,
            market: market().address,
            gpus: 2,
            gpu_uuids: self.cards.clone(),
            base_gpu_seconds: GpuSeconds(base),
            nvml: Nvml::Visible,
            driver_version: None,
            sidecar: "0.1.0".to_owned(),
            time: self.created,
        });
        let report = sign(&self.key, self.job, self.root, 0, &body, base);
        self.accept(&report);
        report
    }

    /// Makes the next report.
    pub(crate) fn made(&self, count: u64, last: bool) -> Report {
        self.make(&self.key, count, self.began, last)
    }

    pub(crate) fn made_with_begin(&self, count: u64, began: Timestamp) -> Report {
        self.make(&self.key, count, Some(began), false)
    }

    /// What this key would report in another sidecar's name.
    pub(crate) fn made_report(&self, other: &Self, count: u64) -> Report {
        other.make(&self.key, count, other.began, false)
    }

    fn make(&self, key: &PrivateKeySigner, count: u64, began_at: Option<Timestamp>, last: bool) -> Report {
        let body = Body::Report(hawser_attestation::Report {
            sequence: self.next,
            previous: self.root,
            time: fixture::now(),
            began_at,
            gpu_seconds: GpuSeconds(count),
            last,
            gpus: self.cards.iter().cloned().map(|uuid| self.sample(uuid)).collect(),
        });
        sign(key, self.job, self.root, self.next, &body, count)
    }

    fn sample(&self, uuid: String) -> GpuSample {
        let dead = self.dead.as_ref().filter(|(dead, _)| *dead == uuid);
        let error = dead.map(|_| "device fell off the bus".to_owned());
        GpuSample { stopped_at: dead.map(|(_, since)| *since), error, uuid, ..GpuSample::default() }
    }

    fn accept(&mut self, report: &Report) {
        self.root = EvidenceRoot(B256::from_slice(&report.evidence_root));
        self.next = report.sequence + 1;
        self.sent.push(report.clone());
    }

    pub(crate) async fn send_report(&mut self, report: Report) -> Answer {
        self.send(report).await;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, report: Report) {
        self.say(sidecar_message::Message::Report(report)).await;
    }

    pub(crate) async fn acked_up_to(&mut self, next: u64) {
        while self.answer().await.acked() < next {}
    }

    pub(crate) fn made_line(&self, count: u64, last: bool) -> Line {
        let report = self.made(count, last);
        let signature = hawser_attestation::VoucherSignature::from_bytes(&report.signature).unwrap();
        Line { body: String::from_utf8(report.body).unwrap(), signature }
    }

    pub(crate) fn termination_message(&self, count: u64, line: &Line) -> String {
        let root = self.root.then(line.body.as_bytes());
        let voucher = SignedVoucher::sign(&self.key, market(), self.job, GpuSeconds(count), root).unwrap();
        let message = TerminationMessage {
            attestor: self.address(),
            voucher,
            sequence: self.next,
            last: true,
            lines: vec![line.clone()],
        };
        message.to_text().unwrap()
    }

    pub(crate) async fn directive(&mut self) -> Directive {
        match self.next_message().await {
            operator_message::Message::Directive(directive) => directive,
            other => panic!("a directive was expected, not {other:?}"),
        }
    }

    pub(crate) async fn directives(&mut self, n: usize) {
        for _ in 0..n {
            self.directive().await;
        }
    }

    async fn say(&mut self, message: sidecar_message::Message) {
        let (sender, _) = self.stream.as_ref().unwrap();
        sender.send(SidecarMessage { message: Some(message) }).await.unwrap();
    }

    async fn answer(&mut self) -> Answer {
        loop {
            match self.next_message().await {
                operator_message::Message::Ack(ack) => {
                    if let Ok(pass) = B256::try_from(ack.pass.as_slice()) {
                        self.pass = Some(Pass(pass));
                    }
                    return Answer::Acked(ack.next_sequence);
                }
                operator_message::Message::Rejected(rejected) => return Answer::Refused(rejected),
                operator_message::Message::Directive(_) => {}
                operator_message::Message::Hello(_) => panic!("a second Hello"),
            }
        }
    }

    async fn next_message(&mut self) -> operator_message::Message {
        let (_, stream) = self.stream.as_mut().unwrap();
        let message = timeout(TIMEOUT, stream.message()).await.expect("the operator answers in time");
        message.unwrap().expect("the stream is open").message.unwrap()
    }
}

/// A connection without a stream; `None`: it was closed at once.
pub(crate) async fn connect(url: &str, ca: &str) -> Option<Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    Channel::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap().connect().await.ok()
}

/// The same from this address, and with a pass; `None`: it was closed before TLS was done.
async fn connect_from(address: IpAddr, knock: Option<Knock>, url: &str, ca: &str) -> Option<Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let dial = service_fn(move |uri: Uri| async move {
        let mut tcp = dial(address, uri.port_u16().unwrap()).await?;
        if let Some(knock) = knock {
            tcp.write_all(&knock.to_bytes()).await?;
        }
        Ok::<_, io::Error>(TokioIo::new(tcp))
    });
    let endpoint = Channel::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap();
    endpoint.connect_with_connector(dial).await.ok()
}

/// A plain connection to the service, from this address.
pub(crate) async fn dial(from: IpAddr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(([127, 0, 0, 1], port).into()).await
}

fn sign(key: &PrivateKeySigner, job: JobId, before: EvidenceRoot, sequence: u64, body: &Body, count: u64) -> Report {
    let body = serde_json::to_vec(body).unwrap();
    let root = before.then(&body);
    let voucher = SignedVoucher::sign(key, market(), job, GpuSeconds(count), root).unwrap();
    Report {
        sequence,
        body,
        gpu_seconds: count,
        evidence_root: root.0.to_vec(),
        signature: voucher.signature.to_bytes().to_vec(),
    }
}
