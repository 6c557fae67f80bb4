//! Reads what a decision about a network rests on: who needs it, what it would be made from, and the offers whose orders it
//! must not pass over. Changes nothing; what it has to fetch of offers that can't be read is kept with what is known of
//! those.

use std::sync::Arc;

use alloy::primitives::B256;
use hawser_crds::DepinNetwork;
use hawser_market::{JobId, OfferId};
use kube::ResourceExt;

use super::status::Startup;
use super::wallet::{self, Source};
use crate::controllers::cache::readable;
use crate::controllers::gpu_offer::terms;
use crate::controllers::packed::Packed;
use crate::controllers::{Error, Shared, unreadable};
use crate::network::{Known, NetworkSpec};

/// What a network would be made from.
pub(super) struct NetworkObservation<'a> {
    /// With what its Secrets hold, and a hash of all of it; or why it can't be read.
    pub source: Result<(Source<'a>, B256), Startup>,
    /// It runs, and was made from just that.
    pub runs: bool,
    /// What offers that can't be read sell on it.
    pub sold: Vec<OfferId>,
}

/// Reads it.
pub(super) async fn dereference<'a>(
    resource: &'a DepinNetwork,
    shared: &Shared,
) -> Result<NetworkObservation<'a>, Error> {
    let name = resource.name_any();
    let source = wallet::read(resource, &shared.client, &shared.config.namespace).await?;
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

/// The offers of this cluster, so that none of their orders is passed over: all that there are, and what they were before.
pub(super) fn know(known: &mut Known, network: &str, spec: &NetworkSpec, shared: &Shared) {
    let offers = shared.offers.store.state();
    for offer in readable(&offers).filter(|offer| offer.spec.network_ref == network) {
        if let Ok(terms) = terms::terms(offer, spec, &shared.cluster) {
            known.offers.insert(spec.offer_id(&terms));
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
