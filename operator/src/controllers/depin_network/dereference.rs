//! Reads what a decision about a network rests on: who needs it, what it would be made from, and the offers whose orders it
//! must not pass over. Changes nothing; what it has to fetch of offers that can't be read is kept with what is known of
//! those.

use std::sync::Arc;

use hawser_attestation::Digest;
use hawser_crds::DepinNetwork;
use kube::ResourceExt;

use super::memory::NetworkContext;
use super::source::{self, Source};
use super::status::Startup;
use crate::controllers::cache::readable;
use crate::controllers::gpu_offer::terms;
use crate::controllers::packed::Packed;
use crate::controllers::{Error, Shared, unreadable};
use crate::network::{JobId, Known, OfferId};

/// What a network would be made from.
pub(super) struct NetworkObservation<'a> {
    /// With what its Secrets hold, and a hash of all of it; or why it can't be read.
    pub source: Result<(Source<'a>, Digest), Startup>,
    /// It runs, and was made from just that.
    pub runs: bool,
    /// What offers that can't be read sell on it.
    pub sold: Vec<OfferId>,
}

/// Reads it.
pub(super) async fn dereference<'a>(
    resource: &'a DepinNetwork,
    context: &NetworkContext,
) -> Result<NetworkObservation<'a>, Error> {
    let (name, shared) = (resource.name_any(), &*context.shared);
    let secrets = (&shared.client, shared.config.namespace.as_str());
    let source = source::read(resource, &context.other_kinds, secrets).await?;
    let source = source.map(|source| {
        let made_from = source.identity(resource);
        (source, made_from)
    });
    let runs = source.as_ref().is_ok_and(|(_, made_from)| shared.networks.is_made_from(&name, *made_from));
    let sold = if runs { Vec::new() } else { unreadable::sold(&name, shared).await? };
    Ok(NetworkObservation { source, runs, sold: sold.into_iter().map(|(id, _)| id).collect() })
}

/// What would be left without a way to its money if the network went; none where nothing would.
pub(super) fn needed_by(name: &str, shared: &Shared) -> Option<String> {
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

/// What is this cluster's, so that none of its orders is passed over: all offers that there are, what they were before, and
/// what jobs were ordered of. `sold`: what offers that can't be read sell.
pub(super) fn know(network: &str, sold: Vec<OfferId>, shared: &Shared) -> Known {
    let mut known = Known { offers: sold, ..Known::default() };
    let offers = shared.offers.store.state();
    for offer in readable(&offers).filter(|offer| offer.spec.network_ref == network) {
        known.terms.push(terms::terms(offer, &shared.cluster));
        let status = offer.status.as_ref();
        let stored = status.and_then(|status| status.on_chain.as_ref()).map(|on_chain| &on_chain.offer_id);
        let earlier = status.into_iter().flat_map(|status| &status.earlier);
        known.offers.extend(stored.into_iter().chain(earlier).map(OfferId::from));
    }
    let jobs = shared.jobs.store.state();
    let sources = jobs.iter().filter_map(|job| job.job().0.ok()?.spec.source);
    known.jobs.extend(sources.filter(|source| source.network == network).map(|source| JobId::from(source.job_id)));
    known
}
