//! An order as it comes from a customer who asks for one GPU and nothing else, shown to the API server and not made. What the
//! cluster says against that, it says against most orders: a quota, a `LimitRange`, a policy's webhook, a class that is missing.

use hawser_crds::{ComputeJob, ComputeJobSpec, GpuOffer, Workload};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::apply::refusal;
use super::manifests::{self, PodInput};
use super::policy;
use super::surround::{attestation_address, surround};
use crate::controllers::{Error, JOB_FINALIZER, MANAGER, OFFER_LABEL, Shared, Tried, label_value};
use crate::reasons::Reason;

/// Name of what is shown: it stands in the API server's words.
const NAME: &str = "order-for-one-gpu";

/// The API server's word against orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotTaken {
    pub reason: Reason,
    /// The API server's words.
    pub message: String,
}

/// What the API server says against the job and the pod of an order; none where it would take both.
///
/// # Errors
/// Where it says nothing about them: it can't be reached, or has enough to do.
pub(crate) async fn rehearse(
    shared: &Shared,
    offer: &GpuOffer,
    runtime_class: Option<&str>,
) -> Result<Option<NotTaken>, Error> {
    match show(shared, offer, runtime_class).await {
        Ok(()) => Ok(None),
        Err(error) => word(&error).map(Some).ok_or(error),
    }
}

async fn show(shared: &Shared, offer: &GpuOffer, runtime_class: Option<&str>) -> Result<(), Error> {
    let job = sample(offer, &shared.config.sidecar_image);
    // What the offer itself asks for wrongly is said elsewhere.
    let Ok(resources) = policy::resources(&job.spec.workload, offer) else { return Ok(()) };
    let (url, address) = (shared.config.attestation_url(), attestation_address(&shared.config).await);
    let input = PodInput {
        name: NAME,
        network_job: &NAME.into(),
        job_id: format!("0x{}", "0".repeat(64)),
        chain_id: 0,
        market: format!("0x{}", "0".repeat(40)),
        sidecar_image: &shared.config.sidecar_image,
        attestation_url: &url,
        runtime_class,
        resources: &resources,
    };
    let pod = manifests::pod(&job, offer, &input)?;
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    dry_run::<ComputeJob>(&shared.client, &namespace, &job).await?;
    // Without its account no pod is taken.
    surround(shared, offer, address).await?;
    dry_run::<Pod>(&shared.client, &namespace, &pod).await
}

async fn dry_run<K>(client: &Client, namespace: &str, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
    match api.create(&params, object).await {
        // Somebody has made one of that name: it was taken.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).tried(|| format!("{} {namespace}/{}", K::kind(&()), object.name_any())),
    }
}

/// The job. Our own image: a policy may refuse a customer's, and then says nothing of other orders.
fn sample(offer: &GpuOffer, image: &str) -> ComputeJob {
    let name = offer.name_any();
    ComputeJob {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: offer.namespace(),
            // The pod names its owner as every pod of a job does.
            uid: offer.uid(),
            finalizers: Some(vec![JOB_FINALIZER.to_owned()]),
            labels: Some([(OFFER_LABEL.to_owned(), label_value(&name))].into()),
            ..ObjectMeta::default()
        },
        spec: ComputeJobSpec {
            offer_ref: name,
            source: None,
            workload: Workload { image: image.to_owned(), gpus: 1, ..Workload::default() },
            terminate: false,
        },
        status: None,
    }
}

/// What an answer says of orders. None where it says nothing of them: there are too many requests, the API server is ill or
/// another object is in the way.
fn word(error: &Error) -> Option<NotTaken> {
    let Error::Kubernetes { what, error: answer } = error else { return None };
    let kube::Error::Api(status) = answer.as_ref() else { return None };
    let webhook = status.message.contains("webhook");
    let only_the_rehearsal = status.message.contains("does not support dry run");
    if only_the_rehearsal || !webhook && !matches!(status.code, 400 | 403 | 413 | 422) {
        return None;
    }
    let reason = if what.starts_with("ComputeJob ") { Reason::NotAdmitted } else { Reason::PodRefused };
    Some(NotTaken { reason, message: refusal(error)?.message })
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_says_against_an_order_is_told_and_what_says_nothing_of_orders_is_not() {
        let no = |reason: Reason, words: &str| Some((reason, words.to_owned()));
        for (code, what, message, expected) in [
            (403, "Pod t/o", "exceeded quota: team", no(Reason::PodRefused, "exceeded quota: team")),
            (403, "Pod t/o", "no PriorityClass with name p", no(Reason::PodRefused, "no PriorityClass with name p")),
            (422, "Pod t/o", "is invalid", no(Reason::PodRefused, "is invalid")),
            (
                400,
                "Pod t/o",
                "admission webhook \"v\" denied",
                no(Reason::PodRefused, "admission webhook \"v\" denied"),
            ),
            (500, "Pod t/o", "failed calling webhook \"v\"", no(Reason::PodRefused, "failed calling webhook \"v\"")),
            (403, "NetworkPolicy t/o", "exceeded quota", no(Reason::PodRefused, "NetworkPolicy t/o: exceeded quota")),
            (403, "ComputeJob t/o", "exceeded quota", no(Reason::NotAdmitted, "ComputeJob t/o: exceeded quota")),
            (400, "Pod t/o", "admission webhook \"v\" does not support dry run", None),
            (429, "Pod t/o", "too many requests", None),
            (500, "Pod t/o", "etcdserver: request timed out", None),
            (503, "Pod t/o", "the server is shutting down", None),
            (404, "Pod t/o", "namespaces \"t\" not found", None),
        ] {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let error = Err::<(), _>(kube::Error::Api(status.boxed())).tried(|| what.to_owned()).unwrap_err();
            let said = word(&error).map(|said| (said.reason, said.message));
            assert_eq!(said, expected, "{code} {what} {message}");
        }
        assert_eq!(word(&Error::Stopping), None);
    }

    #[test]
    fn what_is_shown_is_an_order_for_one_gpu_with_what_the_offer_gives_for_it() {
        let offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer",
            "metadata": {"name": "o", "namespace": "t", "uid": "u"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"},
                "images": {"allow": ["ghcr.io/"]}, "limits": {"cpuPerGpu": "3", "memoryPerGpu": "5Gi"}
            }
        }))
        .unwrap();
        let job = sample(&offer, "registry/sidecar:1");
        let resources = policy::resources(&job.spec.workload, &offer).unwrap();
        assert_eq!((resources.cpu.as_str(), resources.memory.as_str()), ("3", "5Gi"));
        let input = PodInput {
            name: NAME,
            network_job: &NAME.into(),
            job_id: String::new(),
            chain_id: 0,
            market: String::new(),
            sidecar_image: "registry/sidecar:1",
            attestation_url: "",
            runtime_class: None,
            resources: &resources,
        };
        let pod = manifests::pod(&job, &offer, &input).unwrap();
        assert_eq!(pod.metadata.owner_references.unwrap()[0].uid, "u");
        let customer = pod.spec.unwrap().containers.remove(0);
        assert_eq!(customer.resources.unwrap().limits.unwrap()["nvidia.com/gpu"].0, "1");
    }
}
