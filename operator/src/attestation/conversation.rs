//! One stream with one sidecar.
//!
//! `handshake` (a nonce, who is it?, from where does its evidence go on) -> `serve` (directives out, reports in, until either
//! side has enough) -> what is still held back is stored.

use std::sync::Arc;

use futures::FutureExt;
use hawser_attestation::Digest;
use hawser_market::JobId;
use hawser_proto::attestation::{
    Ack, Hello, OperatorMessage, RejectReason, Report, SidecarMessage, operator_message, sidecar_message,
};
use tokio::{sync::mpsc, time::Instant};
use tonic::{Status, Streaming};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, info_span};

use super::{
    directives::SentDirectives,
    enrol::{self, Proven, Unproven},
    entry::Stream,
    pre_auth::Guard,
    refusal::Refusal,
    registry::Attestations,
    review::TokenReviewer,
};

/// Reports that are stored with one write, after an absence.
const BATCH: usize = 64;

type Answers = mpsc::Sender<Result<OperatorMessage, Status>>;

/// One stream with one sidecar, from Hello to its end.
pub(super) struct Conversation<R> {
    attestations: Attestations,
    reviewer: Arc<R>,
    messages: Streaming<SidecarMessage>,
    answers: Answers,
    guard: Guard,
}

/// The stream is over, in one way or another.
struct Over;

impl<R: TokenReviewer> Conversation<R> {
    pub(super) fn new(
        attestations: Attestations,
        reviewer: Arc<R>,
        messages: Streaming<SidecarMessage>,
        answers: Answers,
        guard: Guard,
    ) -> Self {
        Self { attestations, reviewer, messages, answers, guard }
    }

    /// Runs for as long as both sides want. Who it is has to be said in the time that the connection has for that.
    pub(super) async fn run(mut self) {
        // Filled in once the stream has said whose it is, and proved it.
        let span = info_span!(
            "attestation",
            peer = %self.guard.peer(),
            network = Empty,
            offer = Empty,
            job = Empty,
            attestor = Empty
        );
        let whole = async {
            if let Ok((proven, gpu_uuids, directives)) = self.handshake().await {
                self.session(&proven, &gpu_uuids, directives).await;
            }
        };
        whole.instrument(span).await;
    }

    /// What a line that is logged of the stream says of the job that it is about, by its own word.
    fn name(&self, id: &[u8]) {
        let Some(job) = Digest::try_from(id).ok().and_then(|id| self.attestations.by_id(JobId(id))) else { return };
        let span = Span::current();
        span.record("job", display(&job.job)).record("offer", &job.offer);
        if let Some(network) = &job.network {
            span.record("network", network);
        }
    }

    async fn session(&mut self, proven: &Proven, gpu_uuids: &[String], directives: mpsc::Receiver<OperatorMessage>) {
        tracing::info!("attestor connected");
        let _ = self.serve(proven, gpu_uuids, directives).await;
        // A meter that is gone for good does not send again what was held back.
        if let Err(refusal) = self.attestations.store_held(proven).await
            && refusal.reason != RejectReason::UnknownJob
        {
            tracing::warn!(%refusal, "what an attestor reported last is not stored");
        }
        tracing::info!("attestor gone");
    }

    /// Finds out who it is, and says where its evidence goes on.
    async fn handshake(&mut self) -> Result<(Proven, Vec<String>, mpsc::Receiver<OperatorMessage>), Over> {
        let nonce = Digest::from(rand::random::<[u8; 32]>());
        self.answer(operator_message::Message::Hello(Hello { nonce: nonce.to_vec() })).await?;
        let first = self.messages.message().await;
        let Ok(Some(SidecarMessage { message: Some(first) })) = first else { return Err(Over) };
        self.guard.speaks();
        match &first {
            sidecar_message::Message::Enroll(enroll) => self.name(&enroll.job_id),
            sidecar_message::Message::Resume(resume) => self.name(&resume.job_id),
            _ => {}
        }
        let proven = match self.prove(nonce, first).await {
            Ok(proven) => proven,
            Err((blame, refusal)) => {
                if refusal.reason == RejectReason::UnknownJob {
                    // All of them come so to an operator that began while its network is away.
                    tracing::info!(%refusal, "sidecar has to wait");
                } else {
                    tracing::warn!(%refusal, "sidecar refused");
                }
                if let Some(job) = blame {
                    self.attestations.refused(&job, &refusal);
                }
                return self.refuse(0, &refusal).await;
            }
        };
        self.guard.proven();
        Span::current().record("attestor", display(proven.attestor));
        let stored = match self.attestations.stored_before(&proven).await {
            Ok(stored) => stored,
            Err(refusal) => return self.refuse(0, &refusal).await,
        };
        let known = proven.gpu_uuids.clone().or_else(|| stored.as_ref().map(|c| c.header().gpu_uuids.clone()));
        let Some(gpu_uuids) = known else {
            let message = "nothing of this attestor is stored, so its GPUs are not known: enrol again";
            return self.refuse(0, &Refusal::new(RejectReason::Unauthenticated, message)).await;
        };
        let next_sequence = stored.map_or(0, |chain| chain.next_sequence());
        let pass = self.attestations.pass(proven.id, proven.attestor).0.to_vec();
        self.answer(operator_message::Message::Ack(Ack { next_sequence, pass })).await?;
        let (sender, directives) = mpsc::channel(16);
        let stream = Stream { attestor: proven.attestor, sender, sent: SentDirectives::default() };
        self.attestations.enrolled(&proven.member, &gpu_uuids, stream);
        Ok((proven, gpu_uuids, directives))
    }

    async fn prove(&self, nonce: Digest, first: sidecar_message::Message) -> Result<Proven, Unproven> {
        match first {
            sidecar_message::Message::Enroll(enroll) => {
                enrol::enroll(&self.attestations, self.reviewer.as_ref(), nonce, enroll).await
            }
            sidecar_message::Message::Resume(resume) => enrol::resume(&self.attestations, nonce, &resume),
            _ => Err((None, Refusal::new(RejectReason::Unauthenticated, "a stream begins with Enroll or Resume"))),
        }
    }

    /// Passes directives on and takes reports, until either side has enough.
    async fn serve(
        &mut self,
        proven: &Proven,
        gpu_uuids: &[String],
        mut directives: mpsc::Receiver<OperatorMessage>,
    ) -> Result<(), Over> {
        let mut held_until: Option<Instant> = None;
        loop {
            let due = async {
                match held_until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    match self.attestations.store_held(proven).await {
                        Ok(next_sequence) => self.confirm(next_sequence).await?,
                        Err(refusal) => return self.refuse(0, &refusal).await,
                    }
                    held_until = None;
                }
                directive = directives.recv() => {
                    // None: another stream of this job took over, or the job is over.
                    let message = directive.and_then(|directive| directive.message).ok_or(Over)?;
                    self.answer(message).await?;
                }
                message = self.messages.message() => {
                    let message = message.ok().flatten().ok_or(Over)?;
                    let reports = self.drain(message);
                    let taken = self.attestations.ingest(proven, gpu_uuids, &reports).await;
                    if let Some((sequence, refusal)) = taken.refused {
                        tracing::warn!(sequence, %refusal, "report refused");
                        self.attestations.refused(&proven.member.job, &refusal);
                        return self.refuse(sequence, &refusal).await;
                    }
                    held_until = taken.held_until;
                    if held_until.is_none() {
                        self.confirm(taken.next_sequence).await?;
                    }
                }
            }
        }
    }

    /// This report and those that are here already.
    fn drain(&mut self, first: SidecarMessage) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next.take() {
            if let Some(sidecar_message::Message::Report(report)) = message.message {
                reports.push(report);
            }
            if reports.len() < BATCH
                && let Some(Ok(Some(message))) = self.messages.message().now_or_never()
            {
                next = Some(message);
            }
        }
        reports
    }

    /// Every line before this one is stored.
    async fn confirm(&self, next_sequence: u64) -> Result<(), Over> {
        self.answer(operator_message::Message::Ack(Ack { next_sequence, pass: Vec::new() })).await
    }

    async fn answer(&self, message: operator_message::Message) -> Result<(), Over> {
        self.answers.send(Ok(OperatorMessage { message: Some(message) })).await.map_err(|_| Over)
    }

    async fn refuse<T>(&self, sequence: u64, refusal: &Refusal) -> Result<T, Over> {
        self.answer(operator_message::Message::Rejected(refusal.answer(sequence))).await?;
        Err(Over)
    }
}
