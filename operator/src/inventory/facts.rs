//! What is kept of a node, a pod and a job: only what is read.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use hawser_crds::{ComputeJob, GpuOfferSpec, GpuSelector};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kube::core::ObjectMeta;

use crate::inventory::Candidate;
use crate::inventory::tolerations;
use crate::inventory::{amount, requested};
use crate::network::{JobId, On};
use crate::objects::pod_state::{self, PodState};
use crate::objects::{Name, OFFER_LABEL, is_settled, order_of, ranges_of};
use crate::reasons::Reason;
use crate::settlement::Unclaimed;

/// Labels, sorted by key.
type Labels = [(Arc<str>, Arc<str>)];

/// The label by which the nodes of a pool differ: the others are the same for all of them.
const OWN_LABEL: &str = "kubernetes.io/hostname";

/// Words and labels that many objects have in common, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Words {
    words: HashSet<Arc<str>>,
    labels: HashSet<Arc<Labels>>,
}

impl Words {
    fn one(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        self.words.insert(Arc::clone(&word));
        word
    }

    fn all(&mut self, labels: &BTreeMap<String, String>) -> Arc<Labels> {
        let common = labels.iter().filter(|(key, _)| *key != OWN_LABEL);
        let labels: Arc<Labels> = common.map(|(key, value)| (self.one(key), self.one(value))).collect();
        if let Some(known) = self.labels.get(&labels) {
            return Arc::clone(known);
        }
        self.labels.insert(Arc::clone(&labels));
        labels
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.labels.is_empty()
    }

    /// Forgets those that nobody has any more.
    pub(crate) fn trim(&mut self) {
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        self.labels.shrink_to_fit();
        self.words.retain(|word| Arc::strong_count(word) > 1);
        self.words.shrink_to_fit();
    }
}

/// Whether a name is that of an extended resource: what device plugins register.
fn is_extended(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

/// What an offer sells, and where its jobs can run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sells {
    pub gpu: GpuSelector,
    pub tolerations: Vec<Toleration>,
}

impl From<&GpuOfferSpec> for Sells {
    fn from(spec: &GpuOfferSpec) -> Self {
        Self { gpu: spec.gpu.clone(), tolerations: tolerations(spec) }
    }
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeFacts {
    own_label: Option<Arc<str>>,
    labels: Arc<Labels>,
    /// Extended resources: how many there are, and how many of them are healthy.
    resources: Box<[(Arc<str>, u32, u32)]>,
    pub taints: Box<[Taint]>,
    pub ready: bool,
    pub cordoned: bool,
    /// Its own addresses and those of its pods.
    pub ranges: Box<[IpNet]>,
    /// What its kubelet said against a job's pod that was bound to it.
    pub refuses: Option<Arc<str>>,
    /// Claims hand out its GPUs too.
    pub claimable: bool,
}

impl NodeFacts {
    pub(crate) fn of(node: &Node, words: &mut Words) -> Self {
        let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
        let (capacity, allocatable) =
            (status.and_then(|s| s.capacity.as_ref()), status.and_then(|s| s.allocatable.as_ref()));
        let named: std::collections::BTreeSet<&String> =
            capacity.into_iter().chain(allocatable).flat_map(BTreeMap::keys).filter(|name| is_extended(name)).collect();
        let resources = named
            .into_iter()
            .map(|name| (words.one(name), amount(capacity, name), amount(allocatable, name)))
            .collect();
        let ready = status.and_then(|s| s.conditions.as_ref());
        Self {
            own_label: node.labels().get(OWN_LABEL).map(|value| words.one(value)),
            labels: words.all(node.labels()),
            resources,
            taints: spec
                .and_then(|s| s.taints.as_ref())
                .into_iter()
                .flatten()
                // When it was put there says nothing that is read.
                .map(|taint| Taint { time_added: None, ..taint.clone() })
                .collect(),
            ready: ready.is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True")),
            cordoned: spec.and_then(|s| s.unschedulable).unwrap_or(false),
            ranges: ranges_of(node).into(),
            refuses: None,
            claimable: false,
        }
    }

    pub(crate) fn label(&self, key: &str) -> Option<&Arc<str>> {
        if key == OWN_LABEL {
            return self.own_label.as_ref();
        }
        let at = self.labels.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }

    #[cfg(test)]
    pub(super) fn shares_labels(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.labels, &other.labels)
    }

    /// How many of a resource there are, and how many of them are healthy.
    pub(crate) fn amounts(&self, resource: &str) -> (u32, u32) {
        let found = self.resources.iter().find(|(name, ..)| **name == *resource);
        found.map_or((0, 0), |(_, total, healthy)| (*total, *healthy))
    }
}

/// A node, and devices of it.
type Held<'a> = (&'a Arc<str>, &'a [(Arc<str>, u32)]);

/// A pod that asks for extended resources, or that is a job's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
    /// The node that it is bound to.
    pub node: Option<Arc<str>>,
    /// No container runs any more: it holds nothing.
    pub over: bool,
    /// Extended resources that it asks for.
    pub asks: Box<[(Arc<str>, u32)]>,
    pub job: Option<Arc<JobPod>>,
}

/// A job's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobPod {
    /// Uids of the objects that own it.
    pub owners: Vec<String>,
    /// The `ComputeJob` that is its controller, by its name.
    pub job: Option<Box<str>>,
    pub state: PodState,
}

impl JobPod {
    /// None for a pod that no `ComputeJob` owns.
    pub(crate) fn of(pod: &Pod) -> Option<Self> {
        let owners = pod.owner_references();
        let mut of_jobs = owners.iter().filter(|owner| owner.kind == "ComputeJob").peekable();
        of_jobs.peek()?;
        Some(Self {
            owners: owners.iter().map(|owner| owner.uid.clone()).collect(),
            job: of_jobs.find(|owner| owner.controller == Some(true)).map(|owner| owner.name.as_str().into()),
            state: pod_state::read(pod),
        })
    }
}

impl PodFacts {
    /// The job that it is a pod of; `pod`: its own name. One that no `ComputeJob` controls is taken for that of its own
    /// name.
    pub(super) fn job_of(&self, (namespace, pod): &Name) -> Name {
        let job = self.job.as_ref().and_then(|pod| pod.job.as_deref());
        (namespace.clone(), job.unwrap_or(pod).to_owned())
    }

    /// None for a pod that nobody asks for.
    pub(crate) fn of(pod: &Pod, words: &mut Words) -> Option<Self> {
        let job = JobPod::of(pod).map(Arc::new);
        let spec = pod.spec.as_ref()?;
        let mut named = std::collections::BTreeSet::new();
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            let asked = container.resources.iter().flat_map(|r| [&r.limits, &r.requests]).flatten();
            named.extend(asked.flat_map(BTreeMap::<String, Quantity>::keys).filter(|name| is_extended(name)));
        }
        let asks: Box<[_]> = named.into_iter().map(|name| (words.one(name), requested(spec, name))).collect();
        if asks.is_empty() && job.is_none() {
            return None;
        }
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        Some(Self {
            node: spec.node_name.as_deref().filter(|name| !name.is_empty()).map(|name| words.one(name)),
            over: matches!(phase, Some("Succeeded" | "Failed")),
            asks,
            job,
        })
    }

    /// The node whose kubelet did not take it for want of its devices, and what that said.
    pub(super) fn refused(&self) -> Option<(&Arc<str>, &str)> {
        let (reason, message) = self.job.as_ref()?.state.given_up.as_ref()?;
        // For want of exclusive processors or memory kubelet gives the same reason: that is the pod's own matter.
        let of_devices = message.contains("device") || message.contains("rpc error");
        Some((self.node.as_ref().filter(|_| *reason == Reason::UnexpectedAdmissionError && of_devices)?, message))
    }

    /// The node whose devices it holds, if it holds any, and which.
    pub(super) fn holds(&self) -> Option<Held<'_>> {
        Some((self.node.as_ref().filter(|_| !self.over)?, &self.asks))
    }
}

/// A job that is not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobFacts {
    /// The offer's name; the offer is in the job's namespace.
    pub offer: String,
    /// The network that it was ordered on; none for a job that was written by hand.
    pub network: Option<String>,
    /// What its order's id ends in: 64 bits of a hash.
    pub order: Option<u64>,
    /// What it wants or holds; none for a job that is over.
    pub claim: Option<Claim>,
    pub pending: Unclaimed,
    /// It can't be read.
    pub unread: bool,
}

/// GPUs that a job wants or holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Not accepted yet.
    pub waiting: bool,
    pub block: u64,
    /// Of each member.
    pub gpus: u32,
    pub members: u32,
}

/// By which jobs of one order are counted: a hash of its network and id, for as long as this process runs.
pub(super) fn order_key(order: &On<JobId>) -> u64 {
    let mut hasher = DefaultHasher::new();
    order.hash(&mut hasher);
    hasher.finish()
}

impl JobFacts {
    /// None for a job that is settled: nobody needs anything of it.
    pub(crate) fn of(job: &ComputeJob) -> Option<Self> {
        if is_settled(job) {
            return None;
        }
        let claim = Candidate::new(job, false, true).map(|c| Claim {
            waiting: c.priority.waiting,
            block: c.priority.block,
            gpus: c.gpus,
            members: c.pods,
        });
        let mut pending = Unclaimed::default();
        pending.add(job);
        let network = job.spec.source.as_ref().map(|source| source.network.clone());
        let order = job.spec.source.as_ref().map(|source| order_key(&order_of(source)));
        Some(Self { offer: job.spec.offer_ref.clone(), network, order, claim, pending, unread: false })
    }

    /// Of a job that can't be read: it may not be settled. The label holds the offer's name, unless that is long.
    pub(crate) fn unreadable(meta: &ObjectMeta) -> Self {
        let offer = meta.labels.as_ref().and_then(|labels| labels.get(OFFER_LABEL)).cloned().unwrap_or_default();
        Self { offer, unread: true, ..Self::default() }
    }
}
