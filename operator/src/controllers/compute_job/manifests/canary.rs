//! The canary of an offer: a pod as its jobs' pods are, without GPUs and with our own image alone, that tries what they may
//! not reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hawser_crds::GpuOffer;
use hawser_proto::pod::{CANARY_CONTAINER, REACH_COMMAND, env};
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::pod::{NO_SIDECARS, NO_SIDECARS_BY_LABEL, USER, restricted, sidecars};
use super::{PRIORITY_CLASS, SERVICE_ACCOUNT};
use crate::controllers::{OFFER_LABEL, label_value};
use crate::inventory::node_selector;
use crate::inventory::tolerations;

/// Annotation of a canary: what it runs under.
pub(crate) const UNDER_ANNOTATION: &str = "hawser.dev/canary-under";
/// Kubelet ends it after so many seconds, whatever it does.
const MOST_SECONDS: u32 = 240;

/// What a canary's pod is made from, besides the offer.
#[derive(Clone, Debug)]
pub(crate) struct CanaryInput<'a> {
    /// What it runs under, for whoever reads what it found.
    pub under: &'a str,
    /// Image with `hawser-sidecar`.
    pub sidecar_image: &'a str,
    /// `RuntimeClass`, where there is one: it may have a network of its own.
    pub runtime_class: Option<&'a str>,
    /// Where meters report to, which it must reach.
    pub attestation: SocketAddr,
    /// What surely answers and what it must not reach.
    pub forbidden: &'a [SocketAddr],
    /// Nodes that it should run on, the most wanted first.
    pub nodes: &'a [String],
}

/// The name of an offer's canary.
pub(crate) fn canary_name(offer: &GpuOffer) -> String {
    format!("hawser-canary-{}", label_value(&offer.name_any()))
}

/// The pod. The offer's `NetworkPolicy` selects it by its label, as it selects the jobs' pods.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn canary(offer: &GpuOffer, input: &CanaryInput<'_>) -> Result<Pod, serde_json::Error> {
    let mut labels =
        serde_json::Map::from_iter(NO_SIDECARS_BY_LABEL.map(|(name, value)| (name.to_owned(), json!(value))));
    labels.insert(OFFER_LABEL.to_owned(), json!(label_value(&offer.name_any())));
    labels.insert("app.kubernetes.io/managed-by".to_owned(), json!("hawser"));
    let mut annotations = BTreeMap::from(NO_SIDECARS);
    annotations.insert(UNDER_ANNOTATION, input.under);
    let affinity = (!input.nodes.is_empty()).then(|| json!({"nodeAffinity": preferred(input.nodes)}));
    let forbidden: Vec<String> = input.forbidden.iter().map(ToString::to_string).collect();
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": canary_name(offer),
            "namespace": offer.namespace(),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": offer.controller_owner_ref(&()).map(|owner| vec![owner]),
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": MOST_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "priorityClassName": PRIORITY_CLASS,
            "runtimeClassName": input.runtime_class,
            "nodeSelector": node_selector(&offer.spec.gpu),
            "tolerations": tolerations(&offer.spec),
            "affinity": affinity,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"}
            },
            "containers": [{
                "name": CANARY_CONTAINER,
                "image": input.sidecar_image,
                "args": [
                    REACH_COMMAND, format!("--attestation={}", input.attestation),
                    format!("--forbidden={}", forbidden.join(","))
                ],
                "env": [
                    // NVIDIA's runtime gives it no card.
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},
                    {"name": env::NODE_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                ],
                "securityContext": restricted(true),
                "resources": sidecars(&json!({})),
            }],
        }
    }))
}

/// Where none of them has room it runs elsewhere.
fn preferred(nodes: &[String]) -> serde_json::Value {
    // 100 is the most that the scheduler takes.
    let weighed = nodes.iter().zip((1..=100).rev());
    let terms = weighed.map(|(node, weight)| {
        // By the field and not by the label of the host's name, which may be another one.
        let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
        json!({"weight": weight, "preference": {"matchFields": [field]}})
    });
    json!({"preferredDuringSchedulingIgnoredDuringExecution": terms.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;

    use super::*;

    fn built() -> (Pod, PodSpec) {
        built_for(&[])
    }

    fn built_for(nodes: &[&str]) -> (Pod, PodSpec) {
        let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        let offer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer",
            "metadata": {"name": "h100", "namespace": "tenants", "uid": "u"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "H100"}, "tolerations": [{"key": "sku", "operator": "Exists"}],
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
            }
        }))
        .unwrap();
        let input = CanaryInput {
            under: "Internet nvidia",
            sidecar_image: "sidecar",
            runtime_class: Some("nvidia"),
            attestation: "10.96.0.7:9443".parse().unwrap(),
            forbidden: &["10.1.2.3:8080".parse().unwrap(), "[fd00::1]:443".parse().unwrap()],
            nodes: &nodes,
        };
        let pod = canary(&offer, &input).unwrap();
        let spec = pod.spec.clone().unwrap();
        (pod, spec)
    }

    #[test]
    fn a_canary_is_selected_and_placed_as_a_job_and_goes_with_its_offer() {
        let (pod, spec) = built();
        let labels = pod.metadata.labels.unwrap();
        assert_eq!(labels[OFFER_LABEL], "h100");
        assert!(!labels.contains_key(super::super::JOB_LABEL), "it is no job's");
        assert_eq!(pod.metadata.owner_references.unwrap()[0].kind, "GpuOffer");
        assert_eq!(pod.metadata.finalizers, None);
        assert_eq!(pod.metadata.annotations.unwrap()[UNDER_ANNOTATION], "Internet nvidia");
        assert_eq!(spec.node_selector.unwrap()["nvidia.com/gpu.product"], "H100");
        assert!(spec.tolerations.unwrap().iter().any(|toleration| toleration.key.as_deref() == Some("sku")));
        assert_eq!(spec.runtime_class_name.as_deref(), Some("nvidia"));
    }

    #[test]
    fn a_canary_holds_no_gpu_is_bounded_and_is_within_pod_security_restricted() {
        let (_, spec) = built();
        assert_eq!((spec.active_deadline_seconds, spec.automount_service_account_token), (Some(240), Some(false)));
        let pod = spec.security_context.unwrap();
        assert_eq!((pod.run_as_non_root, pod.seccomp_profile.unwrap().type_.as_str()), (Some(true), "RuntimeDefault"));
        let [canary] = spec.containers.try_into().unwrap();
        let context = canary.security_context.unwrap();
        assert_eq!((context.allow_privilege_escalation, context.read_only_root_filesystem), (Some(false), Some(true)));
        let resources = canary.resources.unwrap();
        for list in [resources.requests.unwrap(), resources.limits.unwrap()] {
            assert!(["cpu", "memory", "ephemeral-storage"].iter().all(|what| list.contains_key(*what)));
            assert!(list.keys().all(|name| !name.contains('/')), "{list:?}");
        }
    }

    #[test]
    fn a_canary_prefers_nodes_in_their_order_and_needs_none_of_them() {
        assert_eq!(built().1.affinity, None);
        let affinity = built_for(&["b", "a"]).1.affinity.unwrap().node_affinity.unwrap();
        assert_eq!(affinity.required_during_scheduling_ignored_during_execution, None);
        let terms = affinity.preferred_during_scheduling_ignored_during_execution.unwrap();
        let read = terms.into_iter().map(|term| {
            let field = term.preference.match_fields.unwrap().remove(0);
            (term.weight, field.key, field.values.unwrap().remove(0))
        });
        let expected = [(100, "b"), (99, "a")].map(|(w, node)| (w, "metadata.name".to_owned(), node.to_owned()));
        assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_canary_is_told_what_it_must_reach_and_what_it_must_not() {
        let (_, spec) = built();
        let expected = ["reach", "--attestation=10.96.0.7:9443", "--forbidden=10.1.2.3:8080,[fd00::1]:443"];
        assert_eq!(spec.containers[0].args.as_deref().unwrap(), expected);
    }
}
