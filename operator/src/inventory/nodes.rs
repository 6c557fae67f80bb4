//! Nodes and the pods that hold their devices.

use std::collections::BTreeSet;
use std::sync::Arc;

use hawser_crds::GpuSelector;

use super::{Concerned, Inventory, JobPod, NodeFacts, PodFacts, Sells};
use crate::inventory::{Capacity, PRODUCT_LABEL, matches, member_pods, seen};
use crate::objects::Name;

impl Inventory {
    /// A node as it is now; none where it is gone.
    pub(crate) fn set_node(&mut self, name: &str, mut now: Option<NodeFacts>) -> Concerned {
        if let Some(node) = &mut now {
            node.refuses = self.refused.get(name).and_then(|pods| pods.values().next()).cloned();
            node.claimable = self.claimable.contains(name);
        }
        let before = self.nodes.get(name);
        let product = |node: Option<&NodeFacts>| node.and_then(|node| node.label(PRODUCT_LABEL)).cloned();
        let (was, is) = (product(before), product(now.as_ref()));
        let mut concerned = Concerned::new();
        for (offer, sells) in [&was, &is].into_iter().flatten().flat_map(|product| self.sellers_of(product)) {
            if seen(sells, before) != seen(sells, now.as_ref()) {
                concerned.insert(offer.clone());
            }
        }
        if was != is {
            if let Some(product) = &was
                && let Some(names) = self.products.get_mut(product)
            {
                names.remove(name);
                if names.is_empty() {
                    self.products.remove(product);
                }
            }
            if let Some(product) = is {
                self.products.entry(product).or_default().insert(name.to_owned());
            }
        }
        match now {
            Some(node) => drop(self.nodes.insert(name.to_owned(), node)),
            None => drop(self.nodes.remove(name)),
        }
        concerned
    }

    /// A pod as it is now; none where it is gone, or nobody asks for it. Also tells of which jobs a pod has changed.
    pub(crate) fn set_pod(&mut self, name: &Name, now: Option<PodFacts>) -> (Concerned, Vec<Name>) {
        let before = self.pods.get(name).cloned();
        if before == now {
            return (Concerned::new(), Vec::new());
        }
        let mut concerned = Concerned::new();
        let (held, holds) = (before.as_ref().and_then(PodFacts::holds), now.as_ref().and_then(PodFacts::holds));
        if held != holds {
            for (node, asks) in [held, holds].into_iter().flatten() {
                concerned.extend(self.sellers_on(node, asks));
            }
            if let Some((node, asks)) = held {
                self.give_back(node, asks);
            }
            if let Some((node, asks)) = holds {
                let node = self.held.entry(Arc::clone(node)).or_default();
                for (resource, count) in asks {
                    *node.entry(Arc::clone(resource)).or_default() += u64::from(*count);
                }
            }
        }
        concerned.extend(self.set_refused(name, before.as_ref(), now.as_ref()));
        let job = |pod: Option<&PodFacts>| pod.and_then(|pod| pod.job.clone());
        let job_changed = job(before.as_ref()) != job(now.as_ref());
        let mut jobs: Vec<Name> = before.iter().chain(&now).map(|pod| pod.job_of(name)).collect();
        jobs.dedup();
        // Whether the jobs' GPUs are in the node's count.
        concerned.extend(self.around_jobs(&jobs, |inventory| match now {
            Some(pod) => drop(inventory.pods.insert(name.clone(), pod)),
            None => drop(inventory.pods.remove(name)),
        }));
        jobs.retain(|_| job_changed);
        (concerned, jobs)
    }

    /// A pod was refused by its node's kubelet, or one that was is gone.
    fn set_refused(&mut self, name: &Name, before: Option<&PodFacts>, now: Option<&PodFacts>) -> Concerned {
        let (was, is) = (before.and_then(PodFacts::refused), now.and_then(PodFacts::refused));
        if was == is {
            return Concerned::new();
        }
        if let Some((node, _)) = was
            && let Some(pods) = self.refused.get_mut(node)
        {
            pods.remove(name);
            if pods.is_empty() {
                self.refused.remove(node);
            }
        }
        if let Some((node, words)) = is {
            self.refused.entry(Arc::clone(node)).or_default().insert(name.clone(), words.into());
        }
        let node = was.or(is).map(|(node, _)| Arc::clone(node));
        let facts = node.and_then(|node| Some((self.nodes.get(&*node)?.clone(), node)));
        facts.map_or_else(Concerned::new, |(facts, node)| self.set_node(&node, Some(facts)))
    }

    /// Whether claims hand out a node's GPUs too. The node may not be known yet.
    pub(crate) fn set_claimable(&mut self, name: &str, now: bool) -> Concerned {
        let changed = if now { self.claimable.insert(name.to_owned()) } else { self.claimable.remove(name) };
        let facts = self.nodes.get(name).filter(|_| changed).cloned();
        facts.map_or_else(Concerned::new, |facts| self.set_node(name, Some(facts)))
    }

    /// What an offer's nodes have, and what is free of it.
    pub(crate) fn capacity(&self, sells: &Sells) -> Capacity {
        let (mut counted, gpu) = (Capacity::default(), &sells.gpu);
        for (name, node) in self.nodes_of(gpu) {
            let held = self.held.get(name.as_str()).and_then(|held| held.get(gpu.resource_name.as_str()));
            counted.add(sells, node, held.copied().unwrap_or_default());
        }
        counted
    }

    /// The nodes that an offer sells from, by name.
    pub(crate) fn nodes_of<'a>(&'a self, gpu: &'a GpuSelector) -> impl Iterator<Item = (&'a String, &'a NodeFacts)> {
        let names = self.products.get(gpu.product.as_str()).into_iter().flatten();
        names.filter_map(|name| Some((name, self.nodes.get(name)?))).filter(|(_, node)| matches(gpu, node))
    }

    /// Pods of jobs.
    pub(crate) fn job_pods(&self) -> impl Iterator<Item = (&Name, &Arc<JobPod>)> {
        self.pods.iter().filter_map(|(name, pod)| Some((name, pod.job.as_ref()?)))
    }

    pub(crate) fn job_pod(&self, name: &Name) -> Option<Arc<JobPod>> {
        self.pods.get(name)?.job.clone()
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeFacts> {
        self.nodes.values()
    }

    pub(crate) fn node_names(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    pub(crate) fn pod_names(&self) -> impl Iterator<Item = &Name> {
        self.pods.keys()
    }

    /// How many of a job's members have a pod with a node.
    pub(crate) fn bound_members(&self, job: &Name, members: u32) -> u32 {
        let is_bound = |name: Name| {
            let pod = self.pods.get(&name);
            pod.is_some_and(|pod| pod.node.is_some() && pod.job_of(&name) == *job)
        };
        member_pods(&job.1, members).map(|pod| u32::from(is_bound((job.0.clone(), pod)))).sum()
    }

    fn give_back(&mut self, node: &Arc<str>, asks: &[(Arc<str>, u32)]) {
        let Some(held) = self.held.get_mut(node) else { return };
        for (resource, count) in asks {
            if let Some(sum) = held.get_mut(resource) {
                *sum = sum.saturating_sub(u64::from(*count));
            }
        }
        held.retain(|_, sum| *sum > 0);
        if held.is_empty() {
            self.held.remove(node);
        }
    }

    /// Offers that sell one of these resources from a node.
    fn sellers_on(&self, node: &str, asks: &[(Arc<str>, u32)]) -> BTreeSet<Name> {
        let Some(node) = self.nodes.get(node) else { return BTreeSet::new() };
        let product = node.label(PRODUCT_LABEL).map(AsRef::as_ref).unwrap_or_default();
        let sells =
            |gpu: &GpuSelector| asks.iter().any(|(resource, _)| **resource == *gpu.resource_name) && matches(gpu, node);
        self.sellers_of(product).filter(|(_, offer)| sells(&offer.gpu)).map(|(offer, _)| offer.clone()).collect()
    }
}
