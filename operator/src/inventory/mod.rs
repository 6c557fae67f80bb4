//! What the cluster has, who holds it, and who wants it: counts that are kept up to date by each change of a node, a pod,
//! a job or an offer, so that a look at an offer costs what concerns the offer. Each change tells which offers it
//! concerns; one that changes no count concerns none. It asks nobody, and remembers only what it is told and what was
//! reserved a moment ago.
//!
//! A change: `facts` (what is kept of an object) -> `nodes`, `claims` (counts) -> the offers that it concerns. A question:
//! `usable` (which nodes) -> `capacity` (how many GPUs) -> `reservations` (who comes first).

mod capacity;
mod claims;
mod facts;
mod members;
mod nodes;
mod reservations;
#[cfg(test)]
mod tests;
mod usable;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use capacity::{
    CARD_LABELS, Capacity, Offered, PRODUCT_LABEL, amount, matches, node_selector, offered, requested, seen,
};
pub(crate) use facts::{JobFacts, JobPod, NodeFacts, PodFacts, Sells, Words};
pub(crate) use members::{member_pods, members};
pub(crate) use reservations::{Candidate, Priority, Reservations, Shortage, fits};
pub(crate) use usable::{tolerations, why_none};

use crate::objects::Name;

/// Offers for which a change may matter.
pub(crate) type Concerned = BTreeSet<Name>;

/// The counts of one moment.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub words: Words,
    nodes: HashMap<String, NodeFacts>,
    /// Names of the nodes with cards of a product.
    products: HashMap<Arc<str>, BTreeSet<String>>,
    /// Pods that hold or want something that is counted, and the pods of jobs.
    pods: HashMap<Name, PodFacts>,
    /// What pods hold of each node.
    held: HashMap<Arc<str>, BTreeMap<Arc<str>, u64>>,
    /// What kubelets said against pods of jobs, by node and pod.
    refused: HashMap<Arc<str>, BTreeMap<Name, Arc<str>>>,
    /// Nodes whose GPUs claims hand out too.
    claimable: HashSet<String>,
    /// Jobs that are not settled.
    jobs: HashMap<Name, Arc<JobFacts>>,
    /// How many of them name an order.
    orders: HashMap<u64, u32>,
    /// Their sums, by offer.
    lines: HashMap<Name, Line>,
    offers: HashMap<Name, Sells>,
    /// Offers that sell cards of a product.
    sellers: HashMap<String, BTreeSet<Name>>,
}

/// The jobs of one offer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    jobs: HashSet<Name>,
    /// Jobs that are not over.
    active: u32,
    unsettled: u32,
    /// Those of them that can't be read.
    unread: u32,
    /// GPUs of members whose pods have a node: the nodes' counts hold them.
    bound: u64,
    /// The other members, by their job's priority.
    queue: BTreeMap<Priority, Unbound>,
}

/// A job's members whose pods have no node yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unbound {
    pods: u32,
    /// Of each.
    gpus: u32,
}

/// The inventory, as all share it. Nobody holds it while waiting for anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedInventory(Arc<RwLock<Inventory>>);

impl SharedInventory {
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Inventory) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut Inventory) -> R) -> R {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}
