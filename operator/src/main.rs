//! `hawser-operator`: wiring only.
//!
//! Configuration, keys and certificates -> watches, while another replica leads -> the lease -> the attestation service and
//! the controllers -> everything ends in the order in which it may lose nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::future::BoxFuture;
use hawser_operator::attestation::{Attestations, EvidenceStore, KubeTokenReviewer, TlsPem};
use hawser_operator::config::{Config, LogFormat};
use hawser_operator::controllers::Warm;
use hawser_operator::fence::Fence;
use hawser_operator::health::{self, Health, Phase};
use hawser_operator::kubernetes::{Contact, Use, connect};
use hawser_operator::lease::{Held, Lease};
use hawser_operator::metrics::Metrics;
use hawser_operator::standby::Replica;
use hawser_operator::tls::TlsError;
use hawser_operator::{attestation, controllers, leader, secrecy, tls};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// So long the work that is under way may take when this process is asked to stop. What comes to no end in it is done by
/// the next leader: every action is safe twice.
const WIND_UP: Duration = Duration::from_secs(1);

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
    // Not returned from here: that would wait for what still runs on threads of its own, as the look-up of a name does.
    match Box::pin(operate(config)).await {
        Ok(()) => std::process::exit(0),
        Err(failure) => {
            error!("{failure:#}");
            std::process::exit(1);
        }
    }
}

/// Stands by, leads, and hands the lease back.
async fn operate(config: Config) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    cancel_on_signal(shutdown.clone())?;
    let (fence, metrics) = (Fence::default(), Metrics::default());
    let contacts = [Contact::default(), Contact::default()];
    let health = Health::new(fence.clone(), contacts.clone());
    let served = serve_health(config.health_listen, &health, &metrics, &shutdown);

    let kubernetes = kube::Config::infer().await?;
    let [election, work] = contacts;
    let election = connect(kubernetes.clone(), Use::election(election, metrics.server_calls()))?;
    let client = connect(kubernetes, Use::work(fence.clone(), work, metrics.server_calls()))?;
    let replica = Replica::new(election.clone(), &config.namespace, &config.pod_name);
    if shutdown.run_until_cancelled(replica.prepare(&health, &metrics)).await.is_some() {
        let warm = Warm::start(client.clone(), fence.clone(), health.work(), &metrics, shutdown.clone());
        let lease = Lease::new(election, &config.namespace, &config.pod_name, fence.clone());
        let acquired = tokio::select! {
            acquired = lease.acquire(&shutdown) => acquired?,
            never = stand_by(&warm, &health) => match never {},
        };
        if let Some(held) = acquired {
            end_with_the_lease(fence.clone());
            metrics.transitions(held.transitions());
            let wound_up = CancellationToken::new();
            let kept = tokio::spawn(keep(lease.clone(), held, wound_up.clone()));
            let led = Box::pin(lead(client, warm, config, &fence, &health, &metrics, &shutdown)).await;
            health.enter(Phase::Stopping);
            metrics.leading(false);
            wound_up.cancel();
            kept.await?;
            lease.release().await;
            led?;
        }
    }
    // It ends before this process only where it failed.
    if served.is_finished() {
        served.await??;
    }
    info!("stopped");
    Ok(())
}

/// Serves health and metrics until `shutdown`; without them nobody knows how it goes, so their end is the end.
fn serve_health(
    listen: SocketAddr,
    health: &Health,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> JoinHandle<Result<(), std::io::Error>> {
    let (health, metrics, shutdown) = (health.clone(), metrics.clone(), shutdown.clone());
    tokio::spawn(async move {
        let stopping = health.clone();
        let serve = health::serve(listen, health, metrics, CancellationToken::new());
        let stop = async {
            shutdown.cancelled().await;
            stopping.enter(Phase::Stopping);
            // Answers go on until the process ends.
            std::future::pending::<()>().await;
        };
        let served = tokio::select! {
            served = serve => served,
            () = stop => Ok(()),
        };
        shutdown.cancel();
        served
    })
}

/// Says when this replica could lead.
async fn stand_by(warm: &Warm, health: &Health) -> Infallible {
    health.enter(Phase::Listing);
    if warm.listed().await {
        health.enter(Phase::StandingBy);
        info!("standing by");
    }
    std::future::pending().await
}

/// Renews the lease until the work is wound up; ends this process where it is lost.
async fn keep(lease: Lease, held: Held, wound_up: CancellationToken) {
    if let Err(lost) = lease.keep(held, &wound_up).await {
        end(&lost.to_string());
    }
}

/// Ends this process at the moment at which the lease may be another's, whatever its other threads do.
fn end_with_the_lease(fence: Fence) {
    std::thread::spawn(move || {
        while !fence.has_run_out() {
            std::thread::sleep(Duration::from_millis(50));
        }
        end("the lease was not renewed in time");
    });
}

/// Whatever else runs ends with it: what it would do now another leader does too.
fn end(why: &str) -> ! {
    error!("{why}: this replica ends at once");
    std::process::exit(1);
}

/// Everything that only one replica does, until `shutdown` and a little longer.
async fn lead(
    client: Client,
    warm: Warm,
    config: Config,
    fence: &Fence,
    health: &Health,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    health.enter(Phase::Leading);
    metrics.leading(true);
    let host = config.attestation_host();
    let ensured = tls::ensure(client.clone(), &config.namespace, &host);
    let Some(certificates) = shutdown.run_until_cancelled(ensured).await.transpose()? else { return Ok(()) };
    metrics.certificate(certificates.ends);
    let evidence = EvidenceStore::open(&config.evidence_url, &config.evidence_public_url)?.fenced(fence.clone());
    let attestations = Attestations::measured(evidence, metrics.attestation.clone());
    let renew = renewal(client.clone(), &config, certificates.ca.clone(), metrics, shutdown.clone());
    let tls = TlsPem { certificate: certificates.certificate, key: certificates.key };
    let reviewer = KubeTokenReviewer::new(client.clone());
    // Ends after the controllers: a job's last report may still be on its way.
    let service = CancellationToken::new();
    let (listen, every) = (config.attestation_listen, tls::LOOK_EVERY);
    let serve = attestation::serve_renewed(attestations.clone(), listen, tls, reviewer, every, renew, service.clone());
    let (namespace, me) = (config.namespace.clone(), config.pod_name.clone());
    let marked = leader::keep_marked(client, &namespace, &me);
    let run = controllers::run(warm, config, certificates.ca, attestations, metrics.clone());
    let wound_up = async {
        shutdown.cancelled().await;
        tokio::time::sleep(WIND_UP).await;
    };
    let mut serve = pin!(serve);
    tokio::select! {
        ran = run => ran?,
        // Without it nothing can start: better to stop and be started again.
        served = &mut serve => served?,
        () = marked => {}
        () = wound_up => warn!("something was under way: the next leader goes on with it"),
    }
    service.cancel();
    // What was said last gets out; a stream that is not read must not hold this up.
    _ = tokio::time::timeout(WIND_UP / 4, serve).await;
    Ok(())
}

/// Looks for a certificate in place of the one that is served.
fn renewal(
    client: Client,
    config: &Config,
    ca: String,
    metrics: &Metrics,
    shutdown: CancellationToken,
) -> impl Fn(TlsPem) -> BoxFuture<'static, Option<TlsPem>> + use<> {
    let (namespace, host, metrics) = (config.namespace.clone(), config.attestation_host(), metrics.clone());
    move |served| {
        let (client, namespace, host) = (client.clone(), namespace.clone(), host.clone());
        let (ca, metrics, shutdown) = (ca.clone(), metrics.clone(), shutdown.clone());
        Box::pin(async move {
            match tls::renewed(client, &namespace, &host, &ca, &served.certificate).await {
                Ok(next) => next.map(|next| {
                    metrics.certificate(next.ends);
                    TlsPem { certificate: next.certificate, key: next.key }
                }),
                Err(failure @ TlsError::OtherCa) => {
                    error!("{failure}: starting again with it");
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
