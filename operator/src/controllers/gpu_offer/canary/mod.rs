//! The canary of an offer: whether the cluster enforces the offer's `NetworkPolicy` is found out by a pod that tries what
//! jobs may not reach, and says so in `NetworkIsolated`. One an offer, since a policy that somebody adds counts for a
//! namespace, or for the labels of one offer's pods.

mod decide;
mod pod;
mod volumes;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use hawser_crds::{GpuOffer, NetworkCheck};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::around::Around;
use super::memory::OfferContext;
use crate::controllers::compute_job::{CanaryInput, attestation_address, canary, canary_name, surround};
use crate::controllers::{Error, MANAGER, Shared, Tried, status_writer};
use crate::inventory::SharedInventory;
use decide::{CanaryStep, Under, failed, found, is_due, step};
pub(crate) use decide::{obstacle, verdict};
pub(crate) use volumes::verdict as storage_verdict;

/// What is known of the offer's network after this look.
#[derive(Clone, Debug, Default)]
pub(crate) struct CanaryFinding {
    pub check: Option<NetworkCheck>,
    /// A canary is under way: look again soon.
    pub under_way: bool,
}

/// Looks after the offer's canary. Where one can't be sent, that is a finding, and nothing else is held up by it.
pub(crate) async fn look(offer: &GpuOffer, around: &Around, now: Timestamp, context: &OfferContext) -> CanaryFinding {
    let shared = &context.shared;
    let check = offer.status.as_ref().and_then(|status| status.network.clone());
    let under = Under { egress: offer.spec.isolation.egress, runtime_class: around.class.clone() };
    let due = can_run(offer, around, &shared.inventory) && is_due(check.as_ref(), &under, now);
    let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
    let may_be_there = context.memory.peek(&namespace, &name, |offer| offer.canary);
    if !due && !may_be_there {
        return CanaryFinding { check, under_way: false };
    }
    let taken = look_after(offer, &under, due, now, shared).await;
    let (next, under_way) = match taken {
        Ok((CanaryStep::Rest, ..)) => (check, false),
        Ok((CanaryStep::Send | CanaryStep::Wait | CanaryStep::Replace, ..)) => (check, true),
        Ok((CanaryStep::Found(reach), made, node)) => {
            let next = found(&under, &reach, made);
            (Some(volumes::looked_for(next, check.as_ref(), &reach, node, &nodes(offer, &shared.inventory))), false)
        }
        Ok((CanaryStep::Failed(why), ..)) => (Some(failed(check, &under, why, now)), false),
        Err(error) if due => (Some(failed(check, &under, words(&error), now)), false),
        Err(error) => {
            // It may be one of an earlier process. It is looked for again at the next look, whenever that is.
            tracing::warn!(offer = name, namespace, %error, "the offer's canary can't be looked at");
            return CanaryFinding { check, under_way: false };
        }
    };
    context.memory.with(&namespace, &name, |offer| offer.canary = under_way);
    CanaryFinding { check: next, under_way }
}

/// Names of the nodes that the offer sells from.
fn nodes(offer: &GpuOffer, inventory: &SharedInventory) -> BTreeSet<String> {
    inventory.read(|inventory| inventory.nodes_of(&offer.spec.gpu).map(|(name, _)| name.clone()).collect())
}

/// The API server's own words, where it said no.
fn words(error: &Error) -> String {
    match error {
        Error::Kubernetes { what, error } => match error.as_ref() {
            kube::Error::Api(status) => format!("{what}: {}", status.message),
            _ => format!("{what}: the API server can't be asked now"),
        },
        other => other.to_string(),
    }
}

/// Where a job's pod could not run either, nothing is tried.
fn can_run(offer: &GpuOffer, around: &Around, inventory: &SharedInventory) -> bool {
    let has_class = around.class.is_some() || offer.spec.isolation.runtime_class_name.is_none();
    let has_nodes = || inventory.read(|inventory| inventory.nodes_of(&offer.spec.gpu).next().is_some());
    offer.metadata.deletion_timestamp.is_none()
        && around.restricted
        && !around.going
        && around.denied.is_none()
        && has_class
        && has_nodes()
}

/// Reads the pod, decides, and does it.
async fn look_after(
    offer: &GpuOffer,
    under: &Under,
    due: bool,
    now: Timestamp,
    shared: &Shared,
) -> Result<(CanaryStep, Timestamp, Option<String>), Error> {
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &namespace);
    let name = canary_name(offer);
    let seen = api.get_opt(&name).await.tried(|| format!("Pod {namespace}/{name}"))?;
    let seen = seen.as_ref().map(|pod| pod::read(pod, now));
    let made = seen.as_ref().map_or(now, |pod| pod.made);
    let node = seen.as_ref().and_then(|pod| pod.node.clone());
    let next = step(seen, under, due, now);
    match &next {
        CanaryStep::Rest | CanaryStep::Wait => {}
        CanaryStep::Send => {
            let check = offer.status.as_ref().and_then(|status| status.network.as_ref());
            let nodes = check.map(|check| volumes::next(check, &nodes(offer, &shared.inventory))).unwrap_or_default();
            send(offer, under, &nodes, &api, shared).await?;
        }
        CanaryStep::Replace | CanaryStep::Found(_) | CanaryStep::Failed(_) => {
            status_writer::delete(&api, &name).await?;
        }
    }
    Ok((next, made, node))
}

async fn send(offer: &GpuOffer, under: &Under, nodes: &[String], api: &Api<Pod>, shared: &Shared) -> Result<(), Error> {
    let config = &shared.config;
    let address = attestation_address(config).await;
    // Its policy is what it tries.
    surround(shared, offer, address).await?;
    let host = config.attestation_host();
    let address = address.ok_or_else(|| Error::Unknown(format!("the address of {host} can't be looked up")))?;
    let attestation = SocketAddr::new(address, config.attestation_listen.port());
    let forbidden = forbidden(own_address(attestation), config.health_listen.port(), api_server());
    let words = under.words();
    let input = CanaryInput {
        under: &words,
        sidecar_image: &config.sidecar_image,
        runtime_class: under.runtime_class.as_deref(),
        attestation,
        forbidden: &forbidden,
        nodes,
    };
    let pod = canary(offer, &input)?;
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, &pod).await {
        // An earlier look made it.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).tried(|| format!("Pod {}", pod.name_any())),
    }
}

/// What surely answers, and what no job may reach: this operator's own pod on another port than the policy allows, and the
/// API server by its Service.
fn forbidden(own: Option<IpAddr>, health: u16, api_server: Option<SocketAddr>) -> Vec<SocketAddr> {
    own.map(|own| SocketAddr::new(own, health)).into_iter().chain(api_server).collect()
}

/// The address by which this pod is seen from there. Nothing is sent.
fn own_address(there: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// As kubelet tells every pod.
fn api_server() -> Option<SocketAddr> {
    let of = |name| std::env::var(name).ok();
    let host: IpAddr = of("KUBERNETES_SERVICE_HOST")?.parse().ok()?;
    Some(SocketAddr::new(host, of("KUBERNETES_SERVICE_PORT")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_tries_the_operators_own_pod_beside_the_port_it_may_reach_and_the_api_server() {
        let (own, api) = ("10.1.2.3".parse().ok(), "10.96.0.1:443".parse().ok());
        let tried = |own, api| forbidden(own, 8080, api).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(tried(own, api), ["10.1.2.3:8080", "10.96.0.1:443"]);
        assert_eq!(tried(None, api), ["10.96.0.1:443"]);
    }

    #[test]
    fn what_the_api_server_says_against_a_canary_is_told_in_its_own_words() {
        let status = kube::core::Status { message: "exceeded quota: team".to_owned(), code: 403, ..Default::default() };
        let refused = Err::<(), _>(kube::Error::Api(status.boxed())).tried(|| "Pod t/hawser-canary-o".to_owned());
        assert_eq!(words(&refused.unwrap_err()), "Pod t/hawser-canary-o: exceeded quota: team");
        assert_eq!(words(&Error::Unknown("it is not known".to_owned())), "it is not known");
    }

    #[test]
    fn a_pods_own_address_is_that_from_which_it_would_ask() {
        assert_eq!(own_address("127.0.0.1:9".parse().unwrap()), Some([127, 0, 0, 1].into()));
    }
}
