//! How many GPUs there are, and how many are free: counted from what the cluster has and holds, never from a ledger of
//! our own.

use std::collections::BTreeMap;
use std::sync::Arc;

use hawser_crds::{GpuOfferSpec, GpuSelector};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::usable::{Unusable, unusable};
use super::{NodeFacts, Sells};

/// Label of GPU Feature Discovery with the product's name.
pub(crate) const PRODUCT_LABEL: &str = "nvidia.com/gpu.product";
/// What GPU Feature Discovery says of the cards, as far as an offer's card repeats it.
pub(crate) const CARD_LABELS: [&str; 4] = [
    "nvidia.com/cuda.driver-version.full",
    "nvidia.com/cuda.runtime-version.full",
    "nvidia.com/gpu.memory",
    "nvidia.com/gpu.family",
];

/// GPUs of the nodes that an offer sells from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// In the nodes' capacity.
    pub total: u32,
    /// In the nodes' allocatable.
    pub healthy: u32,
    /// Held by pods.
    pub in_use: u32,
    /// How many nodes have so many GPUs free.
    free: BTreeMap<u32, u32>,
}

impl Capacity {
    /// Counts a node of which pods hold so many. Nodes that jobs can't use have nothing to offer; what they run still
    /// counts as in use.
    pub(crate) fn add(&mut self, sells: &Sells, node: &NodeFacts, held: u64) {
        let (total, healthy) = node.amounts(&sells.gpu.resource_name);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.total = self.total.saturating_add(total);
        self.in_use = self.in_use.saturating_add(held);
        if unusable(sells, node).is_none() {
            self.healthy = self.healthy.saturating_add(healthy);
            *self.free.entry(healthy.saturating_sub(held)).or_default() += 1;
        }
    }

    /// Free on all nodes together.
    pub(crate) fn free(&self) -> u32 {
        self.free.iter().fold(0, |sum, (free, nodes)| sum.saturating_add(free.saturating_mul(*nodes)))
    }

    /// Free on the node that has most: the largest job that can run.
    pub(crate) fn largest(&self) -> u32 {
        self.free.last_key_value().map_or(0, |(free, _)| *free)
    }

    /// Takes GPUs of one node for a pod that is not bound yet; false where no node has so many free. The fullest node
    /// that can is taken, so that large jobs find room.
    pub(crate) fn take(&mut self, gpus: u32) -> bool {
        let Some((&free, nodes)) = self.free.range_mut(gpus..).next() else { return false };
        *nodes -= 1;
        if *nodes == 0 {
            self.free.remove(&free);
        }
        *self.free.entry(free - gpus).or_default() += 1;
        true
    }
}

/// GPUs that a customer can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// For all orders together.
    pub gpus: u32,
    /// For one order: what the market holds as `available`.
    pub largest_order: u16,
}

/// What is left to offer when jobs of this offer already hold `held_by_jobs` GPUs. `capacity` is what is free after
/// those jobs.
pub(crate) fn offered(spec: &GpuOfferSpec, capacity: &Capacity, held_by_jobs: u32) -> Offered {
    if spec.suspend {
        return Offered { gpus: 0, largest_order: 0 };
    }
    let free = capacity.free().saturating_sub(spec.capacity.reserve);
    let left = spec.capacity.max.map_or(free, |max| free.min(max.saturating_sub(held_by_jobs)));
    let largest = left.min(capacity.largest()).min(spec.limits.gpus_per_job.unwrap_or(u32::MAX));
    Offered { gpus: left, largest_order: u16::try_from(largest).unwrap_or(u16::MAX) }
}

/// Whether the offer sells from this node.
pub(crate) fn matches(gpu: &GpuSelector, node: &NodeFacts) -> bool {
    let has = |key: &str, value: &str| node.label(key).is_some_and(|label| **label == *value);
    has(PRODUCT_LABEL, &gpu.product) && gpu.node_selector.iter().all(|(key, value)| has(key, value))
}

/// What an offer sees of a node that it sells from: a change of anything else does not concern it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    amounts: (u32, u32),
    unusable: Option<Unusable>,
    card: [Option<Arc<str>>; CARD_LABELS.len()],
}

/// None where the offer does not sell from the node.
pub(crate) fn seen(sells: &Sells, node: Option<&NodeFacts>) -> Option<Seen> {
    let node = node.filter(|node| matches(&sells.gpu, node))?;
    Some(Seen {
        amounts: node.amounts(&sells.gpu.resource_name),
        unusable: unusable(sells, node),
        card: CARD_LABELS.map(|label| node.label(label).cloned()),
    })
}

/// Labels that a job's pod asks of its node.
pub(crate) fn node_selector(gpu: &GpuSelector) -> BTreeMap<String, String> {
    let mut selector = gpu.node_selector.clone();
    selector.insert(PRODUCT_LABEL.to_owned(), gpu.product.clone());
    selector
}

/// What the scheduler counts for a pod: its containers together with its sidecars, or one init container with the
/// sidecars before it, whichever is more (KEP-753).
pub(crate) fn requested(spec: &PodSpec, resource: &str) -> u32 {
    let mut sidecars: u32 = 0;
    let mut most = 0;
    for init in spec.init_containers.iter().flatten() {
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars = sidecars.saturating_add(asked(init, resource));
        } else {
            most = most.max(sidecars.saturating_add(asked(init, resource)));
        }
    }
    let main = spec.containers.iter().fold(0_u32, |sum, c| sum.saturating_add(asked(c, resource)));
    most.max(sidecars.saturating_add(main))
}

fn asked(container: &Container, resource: &str) -> u32 {
    container.resources.as_ref().map_or(0, |r| {
        let limit = amount(r.limits.as_ref(), resource);
        if limit > 0 { limit } else { amount(r.requests.as_ref(), resource) }
    })
}

pub(crate) fn amount(map: Option<&BTreeMap<String, Quantity>>, resource: &str) -> u32 {
    map.and_then(|m| m.get(resource)).and_then(|q| q.0.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Node, Pod, Taint};
    use serde_json::json;

    use super::*;
    use crate::inventory::{Inventory, PodFacts};

    /// Counts as the operator does: from the changes of nodes and pods.
    fn count<'a>(
        offer: &GpuOfferSpec,
        nodes: impl IntoIterator<Item = &'a Node>,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Capacity {
        let mut inventory = Inventory::default();
        for node in nodes {
            let facts = NodeFacts::of(node, &mut inventory.words);
            inventory.set_node(node.metadata.name.as_deref().unwrap(), Some(facts));
        }
        for (number, pod) in pods.into_iter().enumerate() {
            let facts = PodFacts::of(pod, &mut inventory.words);
            inventory.set_pod(&("t".to_owned(), number.to_string()), facts);
        }
        inventory.capacity(&Sells::from(offer))
    }

    const PRODUCT: &str = "NVIDIA-H100-80GB-HBM3";

    fn gpu() -> GpuOfferSpec {
        offer(json!({}))
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn offer(more: serde_json::Value) -> GpuOfferSpec {
        let mut spec = json!({
            "networkRef": "n", "gpu": {"product": PRODUCT},
            "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn node(name: &str, capacity: &str, allocatable: &str, ready: &str, cordoned: bool, product: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}},
            "spec": {"unschedulable": cordoned},
            "status": {
                "capacity": {"nvidia.com/gpu": capacity}, "allocatable": {"nvidia.com/gpu": allocatable},
                "conditions": [{"type": "Ready", "status": ready}]
            }
        }))
        .unwrap()
    }

    fn pod(node: Option<&str>, phase: &str, init: &[(&str, bool)], main: &[&str]) -> Pod {
        let container = |gpus: &str| json!({"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}});
        serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {
                "nodeName": node,
                "initContainers": init.iter().map(|(gpus, sidecar)| {
                    let mut c = container(gpus);
                    if *sidecar { c["restartPolicy"] = "Always".into(); }
                    c
                }).collect::<Vec<_>>(),
                "containers": main.iter().map(|gpus| container(gpus)).collect::<Vec<_>>()
            },
            "status": {"phase": phase}
        }))
        .unwrap()
    }

    #[test]
    fn a_node_that_repels_the_jobs_pods_has_nothing_to_offer() {
        for (key, effect, free) in [
            ("nvidia.com/gpu", "NoSchedule", 8),
            ("team", "NoSchedule", 0),
            ("team", "NoExecute", 0),
            ("team", "PreferNoSchedule", 8),
        ] {
            let mut node = node("a", "8", "8", "True", false, PRODUCT);
            node.spec.as_mut().unwrap().taints =
                Some(vec![Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() }]);
            assert_eq!(count(&gpu(), [&node], []).free(), free, "{key}:{effect}");
        }
    }

    #[test]
    fn only_healthy_gpus_of_usable_matching_nodes_are_free() {
        let nodes = [
            node("a", "8", "7", "True", false, PRODUCT),
            node("cordoned", "8", "8", "True", true, PRODUCT),
            node("lost", "8", "8", "Unknown", false, PRODUCT),
            node("other", "8", "8", "True", false, "Tesla-T4"),
        ];
        let pods = [pod(Some("a"), "Running", &[], &["2"]), pod(Some("cordoned"), "Running", &[], &["1"])];
        let counted = count(&gpu(), &nodes, &pods);
        assert_eq!((counted.total, counted.healthy, counted.in_use), (24, 7, 3));
        assert_eq!((counted.free(), counted.largest()), (5, 5));
    }

    #[test]
    fn a_pod_holds_the_most_that_it_needs_at_a_time_while_it_is_bound_and_not_over() {
        for (case, held) in [
            (pod(Some("a"), "Running", &[("2", false)], &["2"]), 2),
            (pod(Some("a"), "Pending", &[("4", false)], &["1", "1"]), 4),
            (pod(Some("a"), "Running", &[("1", true), ("2", false)], &["1"]), 3),
            (pod(Some("a"), "Running", &[("2", false), ("1", true)], &["2"]), 3),
            (pod(Some("a"), "Succeeded", &[], &["2"]), 0),
            (pod(Some("a"), "Failed", &[], &["2"]), 0),
            (pod(None, "Pending", &[], &["2"]), 0),
        ] {
            let counted = count(&gpu(), &[node("a", "8", "8", "True", false, PRODUCT)], [&case]);
            assert_eq!(counted.in_use, held, "{case:?}");
            assert_eq!(counted.free(), 8 - held);
        }
    }

    #[test]
    fn a_job_takes_its_gpus_from_one_node() {
        let nodes = [node("a", "4", "4", "True", false, PRODUCT), node("b", "2", "2", "True", false, PRODUCT)];
        let mut counted = count(&gpu(), &nodes, &[]);
        assert!(!counted.take(5));
        assert!(counted.take(2));
        assert_eq!((counted.free(), counted.largest()), (4, 4), "the node with two gave them");
        assert!(counted.take(4));
        assert!(!counted.take(1));
    }

    #[test]
    fn reserve_maximum_limit_and_suspension_cut_what_is_offered() {
        let nodes = [node("a", "8", "8", "True", false, PRODUCT), node("b", "4", "4", "True", false, PRODUCT)];
        let counted = count(&gpu(), &nodes, &[]);
        for (spec, held, gpus, largest) in [
            (json!({}), 0, 12, 8),
            (json!({"capacity": {"reserve": 6}}), 0, 6, 6),
            (json!({"capacity": {"reserve": 20}}), 0, 0, 0),
            (json!({"capacity": {"max": 10}}), 0, 10, 8),
            (json!({"capacity": {"max": 10}}), 7, 3, 3),
            (json!({"capacity": {"max": 3}}), 5, 0, 0),
            (json!({"limits": {"gpusPerJob": 2}}), 0, 12, 2),
            (json!({"suspend": true}), 0, 0, 0),
        ] {
            let got = offered(&offer(spec.clone()), &counted, held);
            assert_eq!((got.gpus, u32::from(got.largest_order)), (gpus, largest), "{spec} with {held} held");
        }
    }

    #[test]
    fn sums_that_leave_their_range_stay_at_its_end() {
        let most = u32::MAX.to_string();
        let nodes = [node("a", &most, &most, "True", false, PRODUCT), node("b", &most, &most, "True", false, PRODUCT)];
        let pods = [
            pod(Some("a"), "Running", &[(&most, true), (&most, false)], &[&most, &most]),
            pod(Some("a"), "Running", &[], &[&most]),
        ];
        let counted = count(&gpu(), &nodes, &pods);
        assert_eq!((counted.total, counted.healthy, counted.in_use), (u32::MAX, u32::MAX, u32::MAX));
        assert_eq!(counted.free(), u32::MAX, "b is free");
        assert_eq!(count(&gpu(), &nodes, &[]).free(), u32::MAX);
    }
}
