//! Does what was decided: pod, acts on chain, events.

use std::net::IpAddr;

use hawser_crds::Egress;
use hawser_crds::condition::ACCEPTED;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::build::{self, POD_FINALIZER, PodInput};
use super::decide::{Decision, PodStep};
use super::observed::{Observed, PodRefused};
use super::policy;
use crate::controllers::conditions::{is_false, news};
use crate::controllers::{Context, Error, MANAGER, Tried, status};
use crate::network::Act;

/// Name of the `RuntimeClass` by which meter sees the cards.
pub(crate) const NVIDIA: &str = "nvidia";

/// Takes the steps.
pub(crate) async fn apply(context: &Context, seen: &Observed, decision: &Decision) -> Result<(), Error> {
    match decision.pod {
        PodStep::Keep => {}
        PodStep::Create => create(context, seen).await?,
        PodStep::Delete => delete(context, seen).await?,
        PodStep::Release => release(context, seen).await?,
    }
    if let Some(network) = seen.job.spec.source.as_ref().and_then(|s| context.networks.get(&s.network)) {
        for act in decision.acts.iter().filter(|act| is_affordable(context, seen, act)) {
            network.request(act.clone());
        }
    }
    Ok(())
}

/// Strangers can cause any number of orders that are turned down: what that costs has a budget.
fn is_affordable(context: &Context, seen: &Observed, act: &Act) -> bool {
    let (namespace, offer) = (seen.job.namespace().unwrap_or_default(), &seen.job.spec.offer_ref);
    match act {
        Act::Decline { job, .. } => context.memory_of_offers.may_decline(&namespace, offer, *job),
        // Turned down and left to its deadline: the customer can close it too.
        Act::Refund { .. } if is_false(&seen.stored().conditions, ACCEPTED) => {
            context.memory_of_offers.may_sweep(&namespace, offer)
        }
        _ => true,
    }
}

/// Says what is new: one event a condition, and one for a voucher that was refused.
pub(crate) async fn tell(context: &Context, seen: &Observed, decision: &Decision) {
    let about = seen.job.object_ref(&());
    let stored = seen.stored();
    context.events.conditions(&about, &news(&stored.conditions, &decision.status.conditions)).await;
    let (before, after) = (stored.usage.unwrap_or_default(), decision.status.usage.clone().unwrap_or_default());
    context.metrics.vouchers(
        after.vouchers_accepted.saturating_sub(before.vouchers_accepted),
        after.vouchers_rejected.saturating_sub(before.vouchers_rejected),
    );
    if let Some(why) = after.last_rejection.filter(|why| before.last_rejection.as_ref() != Some(why)) {
        context.events.say(&about, true, "VoucherRefused", "Attest", &why).await;
    }
}

async fn create(context: &Context, seen: &Observed) -> Result<(), Error> {
    let Some(offer) = &seen.offer else { return Ok(()) };
    let Ok(resources) = policy::check(&seen.job, offer) else { return Ok(()) };
    let namespace = seen.job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let runtime_class = runtime_class(context, offer.spec.isolation.runtime_class_name.as_deref()).await?;
    let url = context.config.attestation_url();
    let input = PodInput {
        job_id: seen.id.to_string(),
        chain_id: seen.market.chain_id,
        market: seen.market.address.to_checksum(None),
        sidecar_image: &context.config.sidecar_image,
        attestation_url: &url,
        runtime_class: runtime_class.as_deref(),
        resources: &resources,
    };
    let mut pod = build::pod(&seen.job, offer, &input)?;
    let config = &context.config;
    let mut service = build::Attestation::from(config.attestation_listen.port());
    if offer.spec.isolation.egress == Egress::None {
        // The pod is told the address, so that it needs no DNS: a way out for who can ask it anything.
        let host = config.attestation_host();
        service.address = address(&host, service.port).await;
        pod = match service.address {
            Some(address) => build::knowing(pod, &host, address),
            None => pod,
        };
    }
    let policy = build::network_policy(&seen.job, offer, &config.namespace, service, &config.cluster_cidrs)?;
    put::<ServiceAccount>(context, &namespace, &build::service_account(&namespace)?).await?;
    put::<ConfigMap>(context, &namespace, &build::ca_config_map(&namespace, &context.attestation_ca)?).await?;
    // Before the pod: it never runs without.
    put::<NetworkPolicy>(context, &namespace, &policy).await?;
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    match api.create(&PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }, &pod).await {
        // An earlier look made it.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        // Said in the job's status; a quota or a webhook is asked again at the next look.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            let for_good = status.code != 403;
            context.memory.refuse_pod(seen.id, Some(PodRefused { for_good, message: status.message.clone() }));
            Ok(())
        }
        other => {
            context.memory.refuse_pod(seen.id, None);
            other.map(|_| ()).tried(|| format!("create pod {}", pod.name_any()))
        }
    }
}

/// Address of the attestation service; none where its name can't be looked up now.
async fn address(host: &str, port: u16) -> Option<IpAddr> {
    tokio::net::lookup_host((host, port)).await.ok()?.next().map(|address| address.ip())
}

/// The class that the offer names, or NVIDIA's where the cluster has it.
async fn runtime_class(context: &Context, named: Option<&str>) -> Result<Option<String>, Error> {
    if let Some(name) = named {
        return Ok(Some(name.to_owned()));
    }
    let api: Api<RuntimeClass> = Api::all(context.client.clone());
    let found = api.get_opt(NVIDIA).await.tried(|| format!("RuntimeClass {NVIDIA}"))?;
    Ok(found.map(|class| class.name_any()))
}

async fn put<K>(context: &Context, namespace: &str, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let name = object.name_any();
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .map(|_| ())
        .tried(|| format!("{} {namespace}/{name}", K::kind(&())))
}

async fn delete(context: &Context, seen: &Observed) -> Result<(), Error> {
    let Some(pod) = &seen.pod else { return Ok(()) };
    let api = pods(context, seen)?;
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&pod.name, &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(|_| ()).tried(|| format!("delete pod {}", pod.name)),
    }
}

async fn release(context: &Context, seen: &Observed) -> Result<(), Error> {
    let Some(state) = &seen.pod else { return Ok(()) };
    let api = pods(context, seen)?;
    let Some(pod) = api.get_opt(&state.name).await.tried(|| format!("pod {}", state.name))? else { return Ok(()) };
    status::set_finalizer(&api, &pod, POD_FINALIZER, false).await
}

fn pods(context: &Context, seen: &Observed) -> Result<Api<Pod>, Error> {
    let namespace = seen.job.namespace().ok_or(Error::Unnamed("namespace"))?;
    Ok(Api::namespaced(context.client.clone(), &namespace))
}
