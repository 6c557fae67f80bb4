//! meter: samples, signs and reports what a job uses. `session` decides, everything else here is clock, files and wire.
//!
//! `key`, `journal` (what an earlier container left) -> `link` (a stream with the operator, over `dial`) -> its directives ->
//! `session`. Each interval: `sampler` -> `evidence` (the next line and its voucher) -> `journal`, `termination_log`, `link`.

mod clock;
mod config;
mod dial;
mod evidence;
mod journal;
mod key;
mod link;
mod outage;
mod sampler;
mod session;
mod termination_log;
mod worker;

use std::{fs, future, time::Duration};

use alloy::primitives::B256;
use anyhow::{Context, anyhow};
use hawser_attestation::{Knock, Nvml};
use hawser_proto::attestation::{Hello, OperatorMessage, SidecarMessage, operator_message};
use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

pub(crate) use config::Config;

use self::{
    clock::Clock,
    journal::Journal,
    link::Event,
    sampler::Sampler,
    session::{Effect, Job, Session},
    termination_log::TerminationLog,
};
use crate::cards::{self, Card};

/// Runs until the pod ends.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let mut ended = signal(SignalKind::terminate())?;
    let (knock, knocks) = watch::channel(None);
    let mut meter = Meter::start(config, knock)?;
    let (events, mut happens) = mpsc::channel(256);
    let (ends, ending) = watch::channel(false);
    let link = tokio::spawn(link::run(config.operator()?, events, ending, knocks));
    loop {
        let now = meter.clock.now();
        if meter.session.done(now) {
            break;
        }
        let report = async {
            match meter.session.report_due(now) {
                Some(due) => tokio::time::sleep(until(now, due)).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = ended.recv() => {
                tracing::info!("the pod ends");
                meter.session.terminate(meter.clock.now());
                ends.send_replace(true);
            }
            Some(event) = happens.recv() => meter.happened(event).await?,
            () = report => meter.report().await?,
            // While the pod ends, time alone can finish it.
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    link.abort();
    tracing::info!("done");
    Ok(())
}

struct Meter<'a> {
    config: &'a Config,
    clock: Clock,
    journal: Journal,
    sampler: Sampler,
    session: Session,
    stream: Option<mpsc::Sender<SidecarMessage>>,
    termination_log: TerminationLog,
    knock: watch::Sender<Option<Knock>>,
}

impl<'a> Meter<'a> {
    /// Makes all that is needed until the pod's end: no thread can be had later where a tenant has taken every pid.
    fn start(config: &'a Config, knock: watch::Sender<Option<Knock>>) -> anyhow::Result<Self> {
        let key = key::load_or_make(&config.key_dir)?;
        let journal = Journal::new(&config.key_dir);
        let restored = journal.load()?;
        let gpu_uuids = read_cards(config)?;
        let nvml =
            nvml_wrapper::Nvml::init().inspect_err(|error| tracing::warn!(%error, "nvml: not visible")).ok().filter(
                |nvml| !gpu_uuids.is_empty() && gpu_uuids.iter().any(|uuid| nvml.device_by_uuid(uuid.as_str()).is_ok()),
            );
        // The evidence's header stands: what it says of NVML holds for the rest of this attestor's evidence.
        let visible = restored.evidence.as_ref().map_or(nvml.is_some(), |e| e.chain().header().nvml == Nvml::Visible);
        let job = Job {
            id: config.job_id,
            market: config.market(),
            gpus: config.gpus,
            gpu_uuids,
            nvml: if visible { Nvml::Visible } else { Nvml::NotVisible },
            driver_version: nvml.as_ref().and_then(|nvml| nvml.sys_driver_version().ok()),
            interval: config.interval(),
        };
        tracing::info!(attestor = %key.address(), job = %job.id, gpus = ?job.gpu_uuids, nvml = ?job.nvml, "metering");
        let clock = Clock::start(restored.evidence.as_ref().map(|e| e.chain().time()));
        let session = Session::new(job, key, restored);
        knock.send_replace(session.knock());
        let (sampler, termination_log) = (Sampler::start(nvml)?, TerminationLog::new(&config.termination_log));
        Ok(Self { config, clock, journal, sampler, session, stream: None, termination_log, knock })
    }

    async fn happened(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Opened(stream) => self.stream = Some(stream),
            Event::Closed => {
                self.stream = None;
                self.session.lost();
            }
            Event::Message(OperatorMessage { message: Some(operator_message::Message::Hello(hello)) }) => {
                self.introduce(&hello).await?;
            }
            Event::Message(message) => {
                let effects = self.session.receive(message, self.clock.now())?;
                self.knock.send_replace(self.session.knock());
                self.carry_out(effects).await?;
            }
        }
        Ok(())
    }

    async fn introduce(&mut self, hello: &Hello) -> anyhow::Result<()> {
        let nonce = B256::try_from(hello.nonce.as_slice())
            .map_err(|_| anyhow!("the operator's nonce has {} bytes, not 32", hello.nonce.len()))?;
        let path = self.config.token();
        let token = fs::read_to_string(&path).with_context(|| format!("service-account token {}", path.display()))?;
        let message = self.session.open(nonce, token.trim())?;
        self.carry_out(vec![Effect::Send(message)]).await
    }

    async fn report(&mut self) -> anyhow::Result<()> {
        let cards =
            if self.session.nvml_visible() { self.sampler.sample(self.session.gpu_uuids()).await } else { Vec::new() };
        let effects = self.session.report(self.clock.now(), cards)?;
        self.carry_out(effects).await
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        // Written down before it is sent: a restart in between sends it again instead of signing another line.
        if effects.contains(&Effect::Keep) {
            if let Err(error) = self.journal.keep(self.session.restored()) {
                // Only a restart of this container would miss it; to end here would be that restart.
                tracing::error!(%error, "can't write the journal: metering goes on without it");
            }
            self.write_termination_message();
        }
        for effect in effects {
            match effect {
                Effect::Keep => {}
                Effect::MarkStarted => self.journal.mark_started()?,
                Effect::Send(message) => self.send(message).await,
                Effect::Reconnect(reason) => {
                    tracing::warn!(reason, "refused by the operator");
                    self.stream = None;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: SidecarMessage) {
        let Some(stream) = &self.stream else { return };
        if stream.send(message).await.is_err() {
            self.stream = None;
            self.session.lost();
        }
    }

    fn write_termination_message(&mut self) {
        let Some(message) = self.session.termination_message() else { return };
        let written =
            message.to_text().map_err(anyhow::Error::from).and_then(|text| Ok(self.termination_log.write(text)?));
        if let Err(error) = written {
            // Reports still reach the operator: no reason to stop metering.
            let path = self.termination_log.path().display();
            tracing::error!(%path, %error, "can't write the termination message");
        }
    }
}

fn until(now: Timestamp, due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default()
}

fn read_cards(config: &Config) -> anyhow::Result<Vec<String>> {
    let path = config.gpu_dir.join(cards::FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("{}: did probe run?", path.display()))?;
    let found: Vec<Card> =
        serde_json::from_str(&text).with_context(|| format!("{} is not probe's list", path.display()))?;
    Ok(found.into_iter().map(|card| card.uuid).collect())
}
