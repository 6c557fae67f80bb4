//! Giving up on purpose: an annotation lets an object that is being deleted go, whatever is owed for it. What is given up
//! is written down. `docs/runbooks/give-up.md` tells people when.

use std::collections::BTreeSet;

use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tracing::warn;

use super::compute_job::POD_FINALIZER;
use super::{Error, Shared, Tried, status_writer};
use crate::reasons::Reason;

/// Set to `"true"` on a `GpuOffer`, `ComputeJob` or `DepinNetwork` that is being deleted.
const ANNOTATION: &str = "hawser.dev/abandon";

/// The way out, for messages of what waits for something that may never come.
pub(crate) const ADVICE: &str =
    "To give up what is owed and let it go: annotate it with hawser.dev/abandon=true (docs/runbooks/give-up.md)";

/// Whether the object is being deleted, and its owner gives up what is owed.
pub(crate) fn is_asked(metadata: &ObjectMeta) -> bool {
    is_set(metadata) && metadata.deletion_timestamp.is_some()
}

fn is_set(metadata: &ObjectMeta) -> bool {
    metadata.annotations.iter().flatten().any(|(key, value)| key == ANNOTATION && value == "true")
}

/// What an annotation does that stands on an object which nobody has deleted yet.
const ARMED: &str = "It has the annotation hawser.dev/abandon=true: once it is deleted, all that is owed for it is given up. \
                     Take that away (hawser.dev/abandon-) if it is not meant";

/// Says in a condition that the object is to be given up on the day on which it is deleted.
pub(crate) fn warn_of(metadata: &ObjectMeta, conditions: &mut [Condition], kind: &str) {
    if is_set(metadata)
        && metadata.deletion_timestamp.is_none()
        && let Some(condition) = conditions.iter_mut().find(|c| c.type_ == kind)
    {
        condition.message = format!("{}. {ARMED}", condition.message);
    }
}

/// Names the way out in a condition that waits for what may never come.
pub(crate) fn advise(conditions: &mut [Condition], kind: &str) {
    if let Some(waits) = conditions.iter_mut().find(|c| c.type_ == kind && c.status != "True") {
        waits.message = format!("{}. {ADVICE}", waits.message);
    }
}

/// What goes with an offer.
pub(crate) fn of_offer(offer: &GpuOffer, jobs: u32) -> String {
    let status = offer.status.clone().unwrap_or_default();
    let chain = status.on_chain.map_or_else(
        || "nothing of it was seen on the market".to_owned(),
        |on_chain| {
            format!(
                "offer {} stands on the market with {} GPUs available and takes orders until Unix second {}, which nobody reads",
                on_chain.offer_id, on_chain.available, on_chain.valid_until
            )
        },
    );
    let pending = status.pending.unwrap_or_else(|| "0".to_owned());
    format!("given up: {chain}; {jobs} jobs are not settled, {pending} tokens attested for them are not claimed")
}

/// What goes with a job.
pub(crate) fn of_job(job: &ComputeJob) -> String {
    let raw = serde_json::to_value(job).unwrap_or_default();
    of_raw_job(&raw)
}

/// What goes with a job that may not be readable.
pub(crate) fn of_raw_job(raw: &Value) -> String {
    let text = |path: &str| match raw.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "unknown".to_owned(),
    };
    let Some(id) = raw.pointer("/spec/source/jobId").and_then(Value::as_str) else {
        return "given up: a local job, nothing is owed for it".to_owned();
    };
    format!(
        "given up: order {id}; {} GPU-seconds are attested, {} token units are paid, {} token units are not claimed (they can \
         be until {})",
        text("/status/usage/gpuSeconds"),
        text("/status/settlement/paid"),
        text("/status/settlement/unclaimed"),
        text("/status/settlement/claimableUntil"),
    )
}

/// What goes with a network.
pub(crate) fn of_network(network: &DepinNetwork, needed_by: Option<&str>) -> String {
    let status = network.status.clone().unwrap_or_default();
    let earned: Vec<String> = status
        .earnings
        .iter()
        .map(|e| format!("{} of token {} pending and {} credited", e.pending, e.token, e.credit))
        .collect();
    let earned = if earned.is_empty() { "no earnings are known".to_owned() } else { earned.join(", ") };
    let needed = needed_by.map_or_else(|| "nothing needs it".to_owned(), ToOwned::to_owned);
    format!("given up: {needed}; {earned} (the cold key can still withdraw what is credited)")
}

/// Says what was given up where it is found: in the log, in an event, which a namespace that is being deleted does not
/// take, and in a metric.
pub(crate) async fn write_down(shared: &Shared, kind: &'static str, about: &ObjectReference, what: &str) {
    warn!(kind, name = about.name, namespace = about.namespace, "abandoned by its annotation; {what}");
    shared.metrics.abandoned(kind).inc();
    shared.events.emit(about, true, &Reason::Abandoned, "Abandon", what).await;
}

/// Lets a job's pods go with it: nobody waits for their last vouchers. `named`: what its members' are called, as far as that
/// is known; others are found by their owner.
pub(crate) async fn drop_pods(
    shared: &Shared,
    job: &ObjectMeta,
    named: impl IntoIterator<Item = String>,
) -> Result<(), Error> {
    let Some(namespace) = &job.namespace else { return Ok(()) };
    let is_its = |owner: &String| Some(owner) == job.uid.as_ref();
    let mut pods: BTreeSet<String> = named.into_iter().collect();
    shared.inventory.read(|inventory| {
        let owned = inventory.job_pods().filter(|((of, _), pod)| of == namespace && pod.owners.iter().any(is_its));
        pods.extend(owned.map(|((_, name), _)| name.clone()));
    });
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), namespace);
    for name in &pods {
        let pod = api.get_opt(name).await.tried(|| format!("pod {namespace}/{name}"))?;
        if let Some(pod) = pod.filter(|pod| pod.owner_references().iter().any(|owner| is_its(&owner.uid))) {
            status_writer::set_finalizer_of(&api, pod.meta(), POD_FINALIZER, false).await?;
            status_writer::delete(&api, name).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_being_deleted_is_given_up_and_only_where_the_annotation_says_so() {
        for (annotation, deleted, asked) in
            [(Some("true"), true, true), (Some("true"), false, false), (Some("yes"), true, false), (None, true, false)]
        {
            let metadata: ObjectMeta = serde_json::from_value(json!({
                "annotations": annotation.map(|value| json!({ANNOTATION: value})),
                "deletionTimestamp": deleted.then_some("2026-01-01T00:00:00Z")
            }))
            .unwrap();
            assert_eq!(is_asked(&metadata), asked, "{annotation:?} {deleted}");
            let mut conditions: Vec<Condition> = ["Ready", "Other"]
                .map(|kind| {
                    json!({"type": kind, "status": "True", "reason": "R", "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
                })
                .map(|condition| serde_json::from_value(condition).unwrap())
                .into();
            warn_of(&metadata, &mut conditions, "Ready");
            let armed = annotation == Some("true") && !deleted;
            let says = |c: &Condition| c.message.starts_with("m. It has the annotation hawser.dev/abandon=true");
            assert_eq!([says(&conditions[0]), says(&conditions[1])], [armed, false], "{annotation:?} {deleted}");
        }
    }

    #[test]
    fn what_is_given_up_is_told_with_its_amounts() {
        let job = json!({
            "spec": {"source": {"jobId": "0x07"}, "workload": {"future": true}},
            "status": {"usage": {"gpuSeconds": 45}, "settlement": {"paid": "3", "unclaimed": "12", "claimableUntil": "noon"}}
        });
        assert_eq!(
            of_raw_job(&job),
            "given up: order 0x07; 45 GPU-seconds are attested, 3 token units are paid, 12 token units are not claimed (they \
             can be until noon)"
        );
        assert!(of_raw_job(&json!({"spec": {}})).contains("local"));
        let offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o"},
            "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}},
            "status": {"pending": "1.5", "onChain": {"offerId": "0x01", "price": "1", "available": 3, "validUntil": 99}}
        }))
        .unwrap();
        let said = of_offer(&offer, 2);
        for words in ["0x01", "3 GPUs", "second 99", "2 jobs", "1.5 tokens"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let mut network: DepinNetwork = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "n"},
            "spec": {"evm": {"rpcUrls": ["http://a"], "chainId": 1, "market": "0x", "provider": "0x", "wallet": {}}}
        }))
        .unwrap();
        assert!(
            of_network(&network, Some("ComputeJob a/b is not settled")).contains("a/b is not settled; no earnings")
        );
        network.status = serde_json::from_value(json!({"earnings": [
            {"token": "0x02", "symbol": "T", "pending": "4", "credit": "5", "withdrawn": "0"}
        ]}))
        .unwrap();
        assert!(of_network(&network, None).contains("4 of token 0x02 pending and 5 credited"));
    }
}
