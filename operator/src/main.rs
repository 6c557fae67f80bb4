//! `hawser-operator`: wiring only.

use std::process::ExitCode;

use clap::Parser;
use futures::future::BoxFuture;
use hawser_operator::attestation::{Attestations, EvidenceStore, KubeTokenReviewer, TlsPem};
use hawser_operator::config::{Config, LogFormat};
use hawser_operator::health::{self, Leading};
use hawser_operator::lease::Lease;
use hawser_operator::metrics::Metrics;
use hawser_operator::tls::TlsError;
use hawser_operator::{attestation, controllers, secrecy, tls};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    log_to_stderr(config.log_format);
    if let Err(error) = secrecy::keep_memory_private() {
        error!(%error, "a core dump of this process would hold its keys");
        return ExitCode::FAILURE;
    }
    // One TLS provider for all connections; a second call could only come from a second provider in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match operate(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for the lease, leads, and hands it back.
async fn operate(config: Config) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone())?;
    let (leading, metrics) = (Leading::default(), Metrics::default());
    let serving = CancellationToken::new();
    let health = tokio::spawn(health::serve(config.health_listen, leading.clone(), metrics.clone(), serving.clone()));

    let client = Client::try_default().await?;
    let lease = Lease::new(client.clone(), &config.namespace, &config.pod_name);
    info!(me = config.pod_name, "standing by");
    if lease.acquire(&shutdown).await? {
        let held = CancellationToken::new();
        let kept = tokio::spawn({
            let (lease, held, shutdown) = (lease.clone(), held.clone(), shutdown.clone());
            async move {
                let kept = lease.keep(&held).await;
                shutdown.cancel();
                kept
            }
        });
        let led = lead(client, config, leading, metrics, shutdown).await;
        held.cancel();
        let kept = kept.await?;
        if kept {
            lease.release().await;
        }
        led?;
        anyhow::ensure!(kept, "the lease was lost: another replica leads");
    }
    serving.cancel();
    health.await??;
    info!("stopped");
    Ok(())
}

/// Everything that only one replica does.
async fn lead(
    client: Client,
    config: Config,
    leading: Leading,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let certificates = tls::ensure(client.clone(), &config.namespace, &config.attestation_host()).await?;
    let evidence = EvidenceStore::open(&config.evidence_url, &config.evidence_public_url)?;
    let attestations = Attestations::measured(evidence, metrics.attestation.clone());
    let renew = renewal(client.clone(), &config, certificates.ca.clone(), shutdown.clone());
    let tls = TlsPem { certificate: certificates.certificate, key: certificates.key };
    let reviewer = KubeTokenReviewer::new(client.clone());
    // Ends after the controllers: a job's last report may still be on its way.
    let service = CancellationToken::new();
    let stop = shutdown.clone();
    let listen = config.attestation_listen;
    let attest = tokio::spawn({
        let (attestations, service) = (attestations.clone(), service.clone());
        async move {
            let every = tls::LOOK_EVERY;
            let served = attestation::serve_renewed(attestations, listen, tls, reviewer, every, renew, service).await;
            // Without it nothing can start: better to stop and be started again.
            stop.cancel();
            served
        }
    });
    leading.set(true);
    metrics.leading(true);
    let ran = controllers::run(client, config, certificates.ca, attestations, metrics.clone(), shutdown.clone()).await;
    shutdown.cancel();
    leading.set(false);
    metrics.leading(false);
    service.cancel();
    attest.await??;
    Ok(ran?)
}

/// Looks for a certificate in place of the one that is served.
fn renewal(
    client: Client,
    config: &Config,
    ca: String,
    shutdown: CancellationToken,
) -> impl Fn(TlsPem) -> BoxFuture<'static, Option<TlsPem>> + use<> {
    let (namespace, host) = (config.namespace.clone(), config.attestation_host());
    move |served| {
        let (client, namespace, host) = (client.clone(), namespace.clone(), host.clone());
        let (ca, shutdown) = (ca.clone(), shutdown.clone());
        Box::pin(async move {
            match tls::renewed(client, &namespace, &host, &ca, &served.certificate).await {
                Ok(next) => next.map(|next| TlsPem { certificate: next.certificate, key: next.key }),
                Err(failure @ TlsError::OtherCa) => {
                    error!("{failure}: starting anew with it");
                    shutdown.cancel();
                    None
                }
                Err(failure) => {
                    warn!("{failure}: the certificate is looked at again later");
                    None
                }
            }
        })
    }
}

fn cancel_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("asked to stop");
        shutdown.cancel();
    });
    Ok(())
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
}
