//! Whether a node's GPUs can be sold, and if not, why. What is counted, what the jobs' pods tolerate and what people are
//! told come from here, so that they agree.

use std::collections::BTreeMap;
use std::fmt;

use hawser_crds::GpuOfferSpec;
use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::{NodeFacts, PRODUCT_LABEL, Sells};

/// Labels of GPU Feature Discovery and NVIDIA's device plugin that tell of cards which several pods share.
const REPLICAS_LABEL: &str = "nvidia.com/gpu.replicas";
/// Kubernetes' own, of a node whose kubelet does not say that it is ready.
const NOT_READY: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const STRATEGY_LABEL: &str = "nvidia.com/gpu.sharing-strategy";
const SHARED_SUFFIX: &str = "-SHARED";

/// Nodes that are named in a message; the rest is a number.
const NAMED: usize = 3;

/// Why nothing of a node can be sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Several pods use one card: neither time nor memory would be the customer's own.
    Shared(String),
    /// Claims hand out its cards too, and what they hold is not counted.
    Claimable,
    /// The jobs' pods do not tolerate a taint.
    Tainted(String),
    /// `kubectl cordon`.
    Cordoned,
    /// kubelet is away, or says so itself.
    NotReady,
    /// Its kubelet got no devices for a job's pod: NVIDIA's plugin gives none at all while one of its cards is lost.
    Refuses(String),
    /// The device plugin calls none of its GPUs healthy.
    Unhealthy,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(how) => write!(f, "its cards are shared ({how}), and an order is for whole cards"),
            Self::Claimable => f.write_str(
                "its cards are handed out by ResourceClaims too (ResourceSlices of driver gpu.nvidia.com), and what these hold is \
                 in no count: let the node have either NVIDIA's DRA driver for GPUs or its device plugin",
            ),
            Self::Tainted(taint) => write!(f, "no toleration of its taint {taint}: add it to spec.tolerations"),
            Self::Cordoned => f.write_str("it is cordoned"),
            Self::NotReady => f.write_str("it is not ready"),
            Self::Refuses(words) => write!(
                f,
                "its kubelet refused a job's pod ({words}): look at the node's cards and its device plugin. It is sold again \
                 once that pod is gone, ten minutes after its job is settled or when you delete it"
            ),
            Self::Unhealthy => f.write_str("the device plugin calls none of its GPUs healthy"),
        }
    }
}

/// What keeps the offer's jobs from a node; none where they can run there.
pub(crate) fn unusable(sells: &Sells, node: &NodeFacts) -> Option<Unusable> {
    if let Some(how) = shared(node) {
        return Some(Unusable::Shared(how));
    }
    if node.claimable {
        return Some(Unusable::Claimable);
    }
    let repels = |taint: &&Taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !sells.tolerations.iter().any(|t| tolerates(t, taint))
    };
    if node.cordoned {
        return Some(Unusable::Cordoned);
    }
    // Kubernetes takes these taints away some seconds after kubelet has said that the node is ready again.
    if !node.ready || node.taints.iter().any(|taint| NOT_READY.contains(&taint.key.as_str()) && repels(&taint)) {
        return Some(Unusable::NotReady);
    }
    let Some(taint) = node.taints.iter().find(repels) else {
        return node.refuses.as_ref().map(|words| Unusable::Refuses(words.to_string()));
    };
    let value = taint.value.as_deref().filter(|value| !value.is_empty()).map(|value| format!("={value}"));
    Some(Unusable::Tainted(format!("{}{}:{}", taint.key, value.unwrap_or_default(), taint.effect)))
}

/// How a node's cards are shared, if they are: time-slicing, MPS, or whatever else makes more devices than cards.
fn shared(node: &NodeFacts) -> Option<String> {
    let label = |key| node.label(key).map(AsRef::as_ref);
    if let Some(strategy) = label(STRATEGY_LABEL).filter(|s: &&str| !s.is_empty() && *s != "none") {
        return Some(format!("{STRATEGY_LABEL}={strategy}"));
    }
    let replicas = label(REPLICAS_LABEL).filter(|count| count.parse().is_ok_and(|count: u32| count > 1));
    if let Some(replicas) = replicas {
        return Some(format!("{REPLICAS_LABEL}={replicas}"));
    }
    let product = label(PRODUCT_LABEL).filter(|product| product.ends_with(SHARED_SUFFIX))?;
    Some(format!("{PRODUCT_LABEL}={product}"))
}

/// What the jobs' pods tolerate: the taint that is named after the resource, and what the offer says.
pub(crate) fn tolerations(spec: &GpuOfferSpec) -> Vec<Toleration> {
    let own = Toleration {
        key: Some(spec.gpu.resource_name.clone()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    };
    std::iter::once(own).chain(spec.tolerations.iter().cloned()).collect()
}

/// As the scheduler compares them. A toleration for a time is none: the pod would be evicted when it is over.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    if !effect.is_empty() && effect != taint.effect || toleration.toleration_seconds.is_some() {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => key.is_empty() || key == taint.key,
        "" | "Equal" => key == taint.key && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// Why none of the matching nodes' GPUs can be sold, node by node; empty where some can.
pub(crate) fn why_none<'a>(sells: &Sells, nodes: impl IntoIterator<Item = (&'a String, &'a NodeFacts)>) -> String {
    let mut why: BTreeMap<&String, (u32, Unusable)> = BTreeMap::new();
    for (name, node) in nodes.into_iter().filter(|(_, node)| super::capacity::matches(&sells.gpu, node)) {
        let (gpus, _) = node.amounts(&sells.gpu.resource_name);
        if gpus > 0 {
            why.insert(name, (gpus, unusable(sells, node).unwrap_or(Unusable::Unhealthy)));
        }
    }
    let more = why.len().saturating_sub(NAMED);
    let mut said: Vec<String> = why
        .into_iter()
        .take(NAMED)
        .map(|(node, (gpus, why))| format!("node {node} ({gpus} {}): {why}", if gpus == 1 { "GPU" } else { "GPUs" }))
        .collect();
    if more > 0 {
        said.push(format!("and {more} more nodes"));
    }
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::Words;

    fn offer(tolerations: Value) -> Sells {
        let spec: GpuOfferSpec = serde_json::from_value(json!({
            "networkRef": "n", "gpu": {"product": "p"}, "tolerations": tolerations,
            "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
        }))
        .unwrap();
        Sells::from(&spec)
    }

    fn node(labels: Value, spec: Value, ready: &str) -> NodeFacts {
        let mut all = json!({"nvidia.com/gpu.product": "p"});
        all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
        let node = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": all}, "spec": spec,
            "status": {"capacity": {"nvidia.com/gpu": "4"}, "conditions": [{"type": "Ready", "status": ready}]}
        }));
        NodeFacts::of(&node.unwrap(), &mut Words::default())
    }

    #[test]
    fn shared_cards_are_never_for_sale() {
        for (labels, shared) in [
            (json!({}), None),
            (json!({"nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.sharing-strategy": "none"}), None),
            (json!({"nvidia.com/gpu.replicas": "4"}), Some("nvidia.com/gpu.replicas=4")),
            (
                json!({"nvidia.com/gpu.sharing-strategy": "time-slicing"}),
                Some("nvidia.com/gpu.sharing-strategy=time-slicing"),
            ),
            (
                json!({"nvidia.com/gpu.sharing-strategy": "mps", "nvidia.com/gpu.replicas": "2"}),
                Some("nvidia.com/gpu.sharing-strategy=mps"),
            ),
            (json!({"nvidia.com/gpu.product": "T4-SHARED"}), Some("nvidia.com/gpu.product=T4-SHARED")),
        ] {
            let node = node(labels.clone(), json!({}), "True");
            let expected = shared.map(|how| Unusable::Shared(how.to_owned()));
            assert_eq!(unusable(&offer(json!([])), &node), expected, "{labels}");
        }
    }

    #[test]
    fn cards_that_claims_hand_out_too_are_never_for_sale() {
        let mut node = node(json!({}), json!({}), "True");
        node.claimable = true;
        assert_eq!(unusable(&offer(json!([{"operator": "Exists"}])), &node), Some(Unusable::Claimable));
        let why = why_none(&offer(json!([])), [(&"a".to_owned(), &node)]);
        assert!(why.starts_with("node a (4 GPUs): its cards are handed out by ResourceClaims too"), "{why}");
    }

    #[test]
    fn a_taint_that_the_offer_tolerates_keeps_no_job_away() {
        let sku = json!([{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]);
        for (taints, tolerations, usable) in [
            (sku.clone(), json!([]), false),
            (sku.clone(), json!([{"key": "sku", "value": "gpu"}]), true),
            (sku.clone(), json!([{"key": "sku", "operator": "Equal", "value": "cpu"}]), false),
            (sku.clone(), json!([{"key": "sku", "operator": "Exists", "effect": "NoSchedule"}]), true),
            (sku.clone(), json!([{"key": "sku", "operator": "Exists", "effect": "NoExecute"}]), false),
            (sku.clone(), json!([{"operator": "Exists"}]), true),
            (sku.clone(), json!([{"operator": "Exists", "tolerationSeconds": 60}]), false),
            (sku, json!([{"key": "sku", "operator": "Near", "value": "gpu"}]), false),
            (json!([{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]), json!([]), true),
            (json!([{"key": "nvidia.com/gpu", "effect": "NoExecute"}]), json!([]), false),
            (json!([{"key": "soft", "effect": "PreferNoSchedule"}]), json!([]), true),
        ] {
            let node = node(json!({}), json!({"taints": taints}), "True");
            assert_eq!(unusable(&offer(tolerations.clone()), &node).is_none(), usable, "{taints} {tolerations}");
        }
    }

    #[test]
    fn what_keeps_nodes_out_is_said_node_by_node_with_the_taint_and_the_number_of_gpus() {
        let tainted =
            || node(json!({}), json!({"taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]}), "True");
        let nodes = [
            ("a", node(json!({}), json!({"unschedulable": true}), "True")),
            ("b", node(json!({}), json!({}), "Unknown")),
            ("c", tainted()),
            ("d", tainted()),
            ("other", node(json!({"nvidia.com/gpu.product": "q"}), json!({}), "True")),
        ]
        .map(|(name, node)| (name.to_owned(), node));
        assert_eq!(
            why_none(&offer(json!([])), nodes.iter().map(|(name, node)| (name, node))),
            "node a (4 GPUs): it is cordoned; node b (4 GPUs): it is not ready; node c (4 GPUs): no toleration of its \
             taint sku=gpu:NoSchedule: add it to spec.tolerations; and 1 more nodes"
        );
        // Its kubelet is back, and Kubernetes' controller has not seen it yet.
        let taints = json!({"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]});
        assert_eq!(unusable(&offer(json!([])), &node(json!({}), taints, "True")), Some(Unusable::NotReady));
        let (name, dead) = ("e".to_owned(), node(json!({}), json!({}), "True"));
        assert!(why_none(&offer(json!([])), [(&name, &dead)]).ends_with("calls none of its GPUs healthy"));
    }
}
