//! A network: its wallet, its connection, and the watcher that turns orders into `ComputeJob`s.
//!
//! A look: `dereference` with `source` (what it is made from; `evm` for that kind) -> `decide` (does it go, run, start?) ->
//! `apply` -> `status` with `evidence`, `earnings`. What a network that runs brings in goes its own way: an order ->
//! `order_intake` -> `order` -> a `ComputeJob`.

mod apply;
mod decide;
mod dereference;
mod earnings;
mod evidence;
mod evm;
pub(crate) mod memory;
mod order;
mod order_intake;
mod source;
pub(crate) mod status;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::DepinNetwork;
use hawser_crds::condition::READY;
use jiff::{Timestamp, Unit};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};

use super::conditions::transitions;
use super::look::Action;
use super::{Error, NETWORK_FINALIZER, abandon, status_writer, unreadable};
use memory::NetworkContext;

pub(crate) use order_intake::ids_of;

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
    let (shared, name) = (&*context.shared, guarded.name_any());
    shared.metrics.reconciles(KIND).inc();
    shared.ready_for_orders().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let api: Api<DepinNetwork> = Api::all(shared.client.clone());
    let needed_by = dereference::needed_by(&name, shared);
    let resource = match &guarded.0 {
        Ok(resource) => resource,
        Err(invalid) => return unreadable::network(invalid, needed_by, shared).await,
    };
    unreadable::note_readable(&resource.metadata, shared);
    let is_deleted = resource.metadata.deletion_timestamp.is_some();
    if !is_deleted {
        status_writer::set_finalizer(&api, resource, NETWORK_FINALIZER, true).await?;
    }
    let fate = decide::fate(is_deleted, needed_by.is_some(), abandon::is_asked(&resource.metadata));
    if apply::leave(&api, resource, (fate, needed_by.as_deref()), &context).await? {
        return Ok(Action::await_change());
    }

    let written = dereference::dereference(resource, &context).await?;
    let start = apply::start(resource, written, &context).await;
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let network = shared.networks.get(&name);
    let seen = network.as_ref().map(|network| (network.status(), network.backlog()));
    match &seen {
        Some((observed, backlog)) => shared.metrics.network(&name, observed, backlog, now),
        // The numbers of a network that doesn't run would be those of another day.
        None => shared.metrics.network_away(&name),
    }
    let needed_by = needed_by.map(|why| format!("{why}. {}", abandon::ADVICE));
    let mut next = status::status(resource, &start, seen.as_ref(), now, needed_by.as_deref());
    next.conditions = evidence::conditions(resource, &next.conditions, &shared.attestations.evidence_health(), now);
    abandon::warn_of(&resource.metadata, &mut next.conditions, READY);
    if let Some(network) = network.filter(|_| status::withdraws(&next)) {
        let (earned, due) = earnings::read(resource, &*network, shared, now).await;
        next.earnings = earned;
        for action in due {
            network.request(action);
        }
    }
    shared.metrics.record_network(&name, &next.conditions);
    status_writer::write(&api, resource, resource.status.as_ref(), &next).await?;
    let stored = resource.status.clone().unwrap_or_default();
    shared.events.conditions(&resource.object_ref(&()), &transitions(&stored.conditions, &next.conditions)).await;
    Ok(Action::requeue(if status::is_ready(&next) { EVERY } else { SOON }))
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
