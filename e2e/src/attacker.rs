//! A node's administrator who wants to be paid for more than was used: takes
//! the attestor's key out of meter's memory volume and talks to the operator.

use std::path::PathBuf;
use std::process::Stdio;

use alloy::primitives::B256;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, bail};
use futures::StreamExt as _;
use hawser_attestation::{Body, EvidenceChain, EvidenceRoot, Line, MarketId, SignedVoucher, session_proof_hash};
use hawser_local::Layout;
use hawser_market::{GpuSeconds, JobId};
use hawser_proto::attestation::attestation_client::AttestationClient;
use hawser_proto::attestation::operator_message::Message;
use hawser_proto::attestation::{RejectReason, Rejected, Report, Resume, SidecarMessage, sidecar_message};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::cluster::SYSTEM;

const SERVICE: &str = "hawser-attestation";

/// Holds the attestor's key and a way to the attestation service.
#[derive(Debug)]
pub struct Attacker {
    key: PrivateKeySigner,
    market: MarketId,
    job: JobId,
    ca: String,
    port: u16,
    /// `kubectl port-forward`, ended when this is dropped.
    _forward: Child,
}

impl Attacker {
    /// Reads the key of the meter of the pod with this uid, as only root on its node can.
    ///
    /// # Errors
    /// When the cluster is not the local one, or meter has no key yet.
    pub async fn of_pod(client: &Client, namespace: &str, uid: &str, market: MarketId, job: JobId) -> Result<Self> {
        let key = std::fs::read_to_string(key_file(uid)?).context("meter's key can't be read")?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let ca = maps.get("hawser-attestation-ca").await?.data.unwrap_or_default().remove("ca.crt");
        let (forward, port) = forward().await?;
        let ca = ca.context("ConfigMap hawser-attestation-ca has no ca.crt")?;
        Ok(Self { key: key.trim().parse()?, market, job, ca, port, _forward: forward })
    }

    /// A report that follows the evidence, signed by a key of the attacker's own.
    ///
    /// # Errors
    /// When the operator can't be reached.
    pub async fn forged(&self, evidence: &[Line]) -> Result<Option<Rejected>> {
        let mut report = self.next_report(evidence, |count| count, &PrivateKeySigner::random())?;
        report.gpu_seconds += 1;
        self.report(report).await
    }

    /// The evidence's last report once more.
    ///
    /// # Errors
    /// When the operator can't be reached.
    pub async fn replayed(&self, evidence: &[Line]) -> Result<Option<Rejected>> {
        let chain = chain(evidence)?;
        let last = evidence.last().context("no evidence")?;
        let report = Report {
            sequence: chain.next_sequence() - 1,
            body: last.body.clone().into_bytes(),
            gpu_seconds: chain.gpu_seconds().0,
            evidence_root: chain.root().0.to_vec(),
            signature: last.signature.to_bytes().to_vec(),
        };
        self.report(report).await
    }

    /// A report that is right in all but its count: an hour more than was used.
    ///
    /// # Errors
    /// When the operator can't be reached.
    pub async fn exaggerated(&self, evidence: &[Line]) -> Result<Option<Rejected>> {
        let report = self.next_report(evidence, |count| GpuSeconds(count.0 + 3600), &self.key)?;
        self.report(report).await
    }

    fn next_report(
        &self,
        evidence: &[Line],
        count: impl Fn(GpuSeconds) -> GpuSeconds,
        key: &PrivateKeySigner,
    ) -> Result<Report> {
        let chain = chain(evidence)?;
        let last = evidence.last().context("no evidence")?.read_body()?;
        let Body::Report(mut body) = last else { bail!("there is no report in the evidence yet") };
        body.sequence = chain.next_sequence();
        body.previous = chain.root();
        body.gpu_seconds = count(chain.gpu_seconds());
        body.time = jiff::Timestamp::now();
        let text = serde_json::to_vec(&Body::Report(body.clone()))?;
        let root: EvidenceRoot = chain.root().then(&text);
        let voucher = SignedVoucher::sign(key, self.market, self.job, body.gpu_seconds, root)?;
        Ok(Report {
            sequence: body.sequence,
            body: text,
            gpu_seconds: body.gpu_seconds.0,
            evidence_root: root.0.to_vec(),
            signature: voucher.signature.to_bytes().to_vec(),
        })
    }

    /// Opens a stream as the attestor, sends one report, returns how it was refused. The honest meter comes back at once
    /// and ends this stream with its own: where that happens before the answer, there is none.
    async fn report(&self, report: Report) -> Result<Option<Rejected>> {
        let domain = format!("{SERVICE}.{SYSTEM}.svc");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca)).domain_name(domain);
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", self.port))?.tls_config(tls)?;
        let mut client = AttestationClient::new(endpoint.connect().await?);
        let (sender, receiver) = mpsc::channel(4);
        let mut answers = client.attest(ReceiverStream::new(receiver)).await?.into_inner();
        let mut report = Some(report);
        while let Some(Ok(answer)) = answers.next().await {
            let next = match answer.message {
                Some(Message::Hello(hello)) => Some(self.resume(&hello.nonce)?),
                Some(Message::Ack(_)) => match report.take() {
                    Some(report) => Some(sidecar_message::Message::Report(report)),
                    None => bail!("the operator took the report for good"),
                },
                Some(Message::Rejected(rejected)) => return Ok(Some(rejected)),
                Some(Message::Directive(_)) | None => None,
            };
            if let Some(message) = next
                && sender.send(SidecarMessage { message: Some(message) }).await.is_err()
            {
                break;
            }
        }
        Ok(None)
    }

    fn resume(&self, nonce: &[u8]) -> Result<sidecar_message::Message> {
        let hash = session_proof_hash(self.market, self.job, B256::try_from(nonce)?);
        Ok(sidecar_message::Message::Resume(Resume {
            job_id: self.job.0.to_vec(),
            attestor: self.key.address().to_vec(),
            proof: self.key.sign_hash_sync(&hash)?.as_bytes().to_vec(),
        }))
    }
}

/// The reason of a refusal as the protocol names it.
pub fn reason(rejected: &Rejected) -> RejectReason {
    RejectReason::try_from(rejected.reason).unwrap_or(RejectReason::Unspecified)
}

fn chain(evidence: &[Line]) -> Result<EvidenceChain> {
    let (header, reports) = evidence.split_first().context("no evidence")?;
    let mut chain = EvidenceChain::open(header)?;
    for report in reports {
        chain.follow(report)?;
    }
    Ok(chain)
}

fn key_file(uid: &str) -> Result<PathBuf> {
    let pods = Layout::of_this_machine()?.state().join("kubelet/pods");
    Ok(pods.join(uid).join("volumes/kubernetes.io~empty-dir/key/attestor"))
}

async fn forward() -> Result<(Child, u16)> {
    let service = format!("service/{SERVICE}");
    let mut child = Command::new("kubectl")
        .args(["port-forward", "--namespace", SYSTEM, &service, ":9443"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("kubectl can't be started")?;
    let stdout = child.stdout.take().context("kubectl has no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next_line().await?.context("kubectl port-forward said nothing")?;
    // It goes on talking, and dies when nobody listens.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    // Forwarding from 127.0.0.1:41234 -> 9443
    let port =
        line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|port| port.parse().ok());
    Ok((child, port.with_context(|| format!("kubectl port-forward said {line:?}"))?))
}
