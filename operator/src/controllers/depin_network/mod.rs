//! A network: its wallet, its connection, and the watcher that turns orders into `ComputeJob`s.

mod earnings;
mod endpoints;
mod evidence;
pub(crate) mod memory;
mod order;
mod sink;
pub(crate) mod status;
mod wallet;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::DepinNetwork;
use hawser_crds::condition::READY;
use hawser_market::{JobId, OfferId};
use jiff::{Timestamp, Unit};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};

use super::cache::readable;
use super::conditions::news;
use super::gpu_offer::terms;
use super::look::Action;
use super::packed::Packed;
use super::reasons::Reason;
use super::watch::name_of;
use super::{Error, NETWORK_FINALIZER, Shared, abandon, status_writer, unreadable};
use crate::network::{Known, NetworkSpec, Past};
use memory::NetworkContext;
use status::Start;
use wallet::Source;

pub(crate) use sink::ids_of;

pub(crate) const KIND: &str = "DepinNetwork";

/// The head moves on with each block; the status says where it was so often.
const EVERY: Duration = Duration::from_secs(15);
/// While it isn't ready.
const SOON: Duration = Duration::from_secs(2);

/// Looks at a network and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<DepinNetwork>>,
    context: Arc<NetworkContext>,
) -> Result<Action, Error> {
    let shared = &*context.shared;
    shared.metrics.reconciles(KIND).inc();
    shared.ready_for_orders().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let api: Api<DepinNetwork> = Api::all(shared.client.clone());
    let needed_by = needed_by(&guarded.name_any(), shared);
    let resource = match &guarded.0 {
        Ok(resource) => resource,
        Err(invalid) => return unreadable::network(invalid, needed_by, shared).await,
    };
    unreadable::was_read(&resource.metadata, shared);
    if resource.metadata.deletion_timestamp.is_none() {
        status_writer::set_finalizer(&api, resource, NETWORK_FINALIZER, true).await?;
    } else if needed_by.is_none() || abandon::is_asked(&resource.metadata) {
        if abandon::is_asked(&resource.metadata) {
            let what = abandon::of_network(resource, needed_by.as_deref());
            abandon::write_down(shared, "DepinNetwork", &resource.object_ref(&()), &what).await;
        }
        shared.networks.stop(&resource.name_any()).await;
        shared.metrics.forget_network(&resource.name_any());
        status_writer::set_finalizer(&api, resource, NETWORK_FINALIZER, false).await?;
        context.memory.forget_wallet(&resource.name_any());
        return Ok(Action::await_change());
    }

    let source = wallet::read(resource, &shared.client, &shared.config.namespace).await?;
    let name = resource.name_any();
    let runs = source.as_ref().is_ok_and(|source| shared.networks.is_made_from(&name, source.identity(resource)));
    let sold = if runs { Vec::new() } else { unreadable::sold(&name, shared).await? };
    let sold = sold.into_iter().map(|(id, _)| id).collect();
    let start = start(resource, source, sold, &context).await;
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let network = shared.networks.get(&resource.name_any());
    let seen = network.as_ref().map(|network| (network.observed().borrow().clone(), network.backlog()));
    match &seen {
        Some((observed, backlog)) => shared.metrics.network(&resource.name_any(), observed, backlog, now),
        // The numbers of a network that doesn't run would be those of another day.
        None => shared.metrics.network_away(&resource.name_any()),
    }
    let needed_by = needed_by.map(|why| format!("{why}. {}", abandon::ADVICE));
    let mut next = status::status(resource, &start, seen.as_ref(), now, needed_by.as_deref());
    next.conditions = evidence::told(resource, &next.conditions, &shared.attestations.evidence_health(), now);
    abandon::warn_of(&resource.metadata, &mut next.conditions, READY);
    if let Some(network) = network.filter(|_| status::withdraws(&next)) {
        let (earned, due) = earnings::read(resource, &network, shared, now).await;
        next.earnings = earned;
        for act in due {
            network.request(act);
        }
    }
    shared.metrics.network_says(&resource.name_any(), &next.conditions);
    status_writer::write(&api, resource, resource.status.as_ref(), &next).await?;
    let stored = resource.status.clone().unwrap_or_default();
    shared.events.conditions(&resource.object_ref(&()), &news(&stored.conditions, &next.conditions)).await;
    Ok(Action::requeue(if status::is_ready(&next) { EVERY } else { SOON }))
}

/// What would be left without a way to its money if the network went; none where nothing would.
fn needed_by(name: &str, shared: &Shared) -> Option<String> {
    let (jobs, offers) = (shared.jobs.store.state(), shared.offers.store.state());
    let uses = |job: &&Arc<Packed>| job.unsettled().is_some_and(|facts| facts.network.as_deref() == Some(name));
    if let Some(job) = jobs.iter().find(uses) {
        return Some(format!("ComputeJob {}/{} is not settled", job.namespace().unwrap_or_default(), job.name_any()));
    }
    if let Some(why) = unreadable::needs_network(name, shared) {
        return Some(why);
    }
    let offer = readable(&offers).find(|offer| offer.spec.network_ref == name)?;
    Some(format!("GpuOffer {}/{} sells on it: delete it", offer.namespace().unwrap_or_default(), offer.name_any()))
}

/// Starts the network where it doesn't run as it is written now.
async fn start(
    resource: &DepinNetwork,
    source: Result<Source<'_>, Start>,
    sold: Vec<OfferId>,
    context: &Arc<NetworkContext>,
) -> Start {
    match try_start(resource, source, sold, context).await {
        Ok(()) => Start::Runs,
        Err(refused) => refused,
    }
}

/// `sold`: what offers that can't be read sell on it.
async fn try_start(
    resource: &DepinNetwork,
    source: Result<Source<'_>, Start>,
    sold: Vec<OfferId>,
    context: &Arc<NetworkContext>,
) -> Result<(), Start> {
    let (name, networks) = (resource.name_any(), &context.shared.networks);
    let source = match source {
        Ok(source) => source,
        Err(refused) => {
            networks.stop(&name).await;
            return Err(refused);
        }
    };
    let made_from = source.identity(resource);
    if networks.is_made_from(&name, made_from) {
        return Ok(());
    }
    let (evm, rpc_headers) = source.evm()?;
    let spec = NetworkSpec { rpc_headers, ..NetworkSpec::try_from(&*evm)? };
    if let Some(why) = context.memory.refused_wallet(&name, made_from) {
        return Err(why);
    }
    let wallet = match source.open().await {
        Ok(wallet) => wallet,
        Err(why) => {
            if why.is_final() {
                context.memory.note_refused_wallet(&name, made_from, why.clone());
            }
            return Err(why);
        }
    };
    if let Some(other) = networks.with_wallet(&name, spec.chain_id, wallet.address()) {
        let message = format!(
            "DepinNetwork {other:?} sends from wallet {} on chain {} already: two senders take each other's nonces, give this one a key of its own",
            wallet.address(),
            spec.chain_id
        );
        return Err(Start::Refused { reason: Reason::WalletInUse, message });
    }
    let mut past = resource.status.as_ref().map(|status| Past::read(status, wallet.address())).unwrap_or_default();
    know(&mut past.known, &name, &spec, &context.shared);
    past.known.offers.extend(sold);
    let (context_, name_) = (Arc::clone(context), name.clone());
    let sink = |network| sink::sink(context_, name_, network);
    networks.start(&name, made_from, (spec, resource.spec.settlement()), wallet, past, sink).await?;
    Ok(())
}

/// The offers of this cluster, so that none of their orders is passed over: all that there are, and what they were before.
fn know(known: &mut Known, network: &str, spec: &NetworkSpec, shared: &Shared) {
    let offers = shared.offers.store.state();
    for offer in readable(&offers).filter(|offer| offer.spec.network_ref == network) {
        if let Ok(terms) = terms::terms(offer, spec, &shared.cluster) {
            known.offers.insert(terms.id());
            known.tokens.insert(terms.token);
        }
        let status = offer.status.as_ref();
        let stored = status.and_then(|status| status.on_chain.as_ref()).map(|on_chain| on_chain.offer_id.as_str());
        let earlier = status.into_iter().flat_map(|status| status.earlier.iter().map(String::as_str));
        known.offers.extend(stored.into_iter().chain(earlier).filter_map(|id| id.parse::<OfferId>().ok()));
    }
    let jobs = shared.jobs.store.state();
    let sources = jobs.iter().filter_map(|job| job.job().0.ok()?.spec.source);
    let ids =
        sources.filter(|source| source.network == network).filter_map(|source| source.job_id.parse::<JobId>().ok());
    known.offers.extend(ids.map(JobId::offer_id));
}

/// What to do after a failed reconcile: try again, later each time.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(
    guarded: Arc<DeserializeGuard<DepinNetwork>>,
    error: &Error,
    context: Arc<NetworkContext>,
) -> Action {
    context.shared.metrics.errors(KIND).inc();
    tracing::warn!(network = %guarded.name_any(), %error, "reconcile failed");
    Action::requeue(context.shared.backoffs.failed(KIND, name_of(&*guarded)))
}

/// One as people write it.
#[cfg(test)]
fn test_network() -> DepinNetwork {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "n"},
        "spec": {"evm": {
            "rpcUrls": ["http://a"], "chainId": 31337,
            "market": "0x0000000000000000000000000000000000000001",
            "provider": "0x0000000000000000000000000000000000000002",
            "wallet": {"secretRef": {"name": "w"}}
        }}
    }))
    .unwrap()
}
