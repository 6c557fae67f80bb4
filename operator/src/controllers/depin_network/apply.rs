//! Does what was decided of a network: starts and stops it, and lets the object go.

use std::sync::Arc;

use hawser_crds::DepinNetwork;
use kube::{Api, Resource, ResourceExt};

use super::decide::{Fate, NetworkStep, decide, wallet_in_use};
use super::dereference::{NetworkObservation, know};
use super::memory::NetworkContext;
use super::order_intake;
use super::status::Startup;
use crate::controllers::{Error, NETWORK_FINALIZER, abandon, status_writer};

/// Starts the network where it doesn't run as it is written now, and stops it where that can't be read.
pub(super) async fn start(
    resource: &DepinNetwork,
    written: NetworkObservation<'_>,
    context: &Arc<NetworkContext>,
) -> Startup {
    match ensure_running(resource, written, context).await {
        Ok(()) => Startup::Runs,
        Err(refused) => refused,
    }
}

async fn ensure_running(
    resource: &DepinNetwork,
    written: NetworkObservation<'_>,
    context: &Arc<NetworkContext>,
) -> Result<(), Startup> {
    let (name, networks) = (resource.name_any(), &context.shared.networks);
    let NetworkObservation { source, runs, sold } = written;
    let made_from = source.as_ref().ok().map(|(_, made_from)| *made_from);
    let refused = || context.memory.refused_wallet(&name, made_from?);
    let (opening, made_from) =
        match decide(source, runs, |(source, made_from)| Ok((source.opening()?, made_from)), refused) {
            NetworkStep::Keep => return Ok(()),
            NetworkStep::Stop(why) => {
                networks.stop(&name).await;
                return Err(why);
            }
            NetworkStep::Refuse(why) => return Err(why),
            NetworkStep::Open(opening) => opening,
        };
    let prepared = match opening.await {
        Ok(prepared) => prepared,
        Err(why) => {
            if why.is_final() {
                context.memory.note_refused_wallet(&name, made_from, why.clone());
            }
            return Err(why);
        }
    };
    let other = networks.with_wallet(&name, &prepared.wallet);
    if let Some(why) = wallet_in_use(other.as_deref(), &prepared.wallet) {
        return Err(why);
    }
    let checkpoint = (resource.status.clone().unwrap_or_default(), know(&name, sold, &context.shared));
    let intake = |network| order_intake::intake(Arc::clone(context), name.clone(), network);
    networks.start(&name, made_from, resource.spec.settlement(), prepared, checkpoint, intake).await?;
    Ok(())
}

/// Lets the object go, unless it stays.
pub(super) async fn leave(
    api: &Api<DepinNetwork>,
    resource: &DepinNetwork,
    (fate, needed_by): (Fate, Option<&str>),
    context: &NetworkContext,
) -> Result<bool, Error> {
    let (name, shared) = (resource.name_any(), &*context.shared);
    match fate {
        Fate::Stays => return Ok(false),
        Fate::Goes => {}
        Fate::GivenUp => {
            let what = abandon::of_network(resource, needed_by);
            abandon::write_down(shared, "DepinNetwork", &resource.object_ref(&()), &what).await;
        }
    }
    shared.networks.stop(&name).await;
    shared.metrics.forget_network(&name);
    status_writer::set_finalizer(api, resource, NETWORK_FINALIZER, false).await?;
    context.memory.forget_wallet(&name);
    Ok(true)
}
