//! Whether the GPUs of an order are there. Orders come in the order of their blocks: of two for the last GPU the
//! earlier runs; of two in one block the one that is looked at first.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hawser_crds::ComputeJob;
use kube::ResourceExt;

use super::usable::{Unusable, unusable};
use super::{Capacity, Name, NodeFacts, Sells, members};

/// Jobs that were told that there is room for them, until the cache shows that they are accepted: many jobs are looked
/// at side by side, and none may count on GPUs that were given to another a moment ago. Only one operator decides at a
/// time, so nothing is lost with its memory: what was not written was not accepted.
#[derive(Debug, Default)]
pub(crate) struct Reservations(Mutex<HashSet<Name>>);

impl Reservations {
    /// Room for one job, while nobody else is given any. `waits` tells whether the cache shows a job as not accepted
    /// yet, `candidates` who wants or holds GPUs.
    pub(crate) fn reserve(
        &self,
        mut me: Candidate,
        waits: impl Fn(&Name) -> bool,
        candidates: impl FnOnce() -> Vec<Candidate>,
        fits: impl FnOnce(&Candidate, &[Candidate]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut reserved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the candidates are looked up, so that whoever is dropped here is accepted there.
        reserved.retain(waits);
        let mut candidates = candidates();
        for candidate in candidates.iter_mut().chain([&mut me]) {
            candidate.priority.waiting &= !reserved.contains(&candidate.priority.name);
        }
        let answer = fits(&me, &candidates);
        if answer.is_ok() {
            reserved.insert(me.priority.name);
        } else {
            reserved.remove(&me.priority.name);
        }
        answer
    }
}

/// Why the GPUs of an order are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// For a person.
    pub why: String,
    /// A node that has them is not ready, or nothing new is heard of nodes: it may be otherwise in a moment.
    pub passing: bool,
}

impl Shortage {
    pub(crate) fn new(why: String) -> Self {
        Self { why, passing: false }
    }

    /// No room for so many GPUs, where these are an offer's nodes.
    pub(crate) fn among<'a>(
        why: String,
        sells: &Sells,
        gpus: u32,
        nodes: impl IntoIterator<Item = &'a NodeFacts>,
    ) -> Self {
        let away = |node: &&NodeFacts| {
            node.amounts(&sells.gpu.resource_name).1 >= gpus && unusable(sells, node) == Some(Unusable::NotReady)
        };
        let away = nodes.into_iter().filter(away).count();
        match away {
            0 => Self::new(why),
            1 => Self { why: format!("{why}; a node that has so many is not ready"), passing: true },
            _ => Self { why: format!("{why}; {away} nodes that have so many are not ready"), passing: true },
        }
    }
}

/// Who is served first: what was accepted, then by block and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    /// Not accepted yet.
    pub waiting: bool,
    pub block: u64,
    pub name: Name,
}

/// A job that wants, or holds, GPUs of the same nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub priority: Priority,
    /// Of each pod.
    pub gpus: u32,
    /// One of each member.
    pub pods: u32,
    /// The pods have nodes: the nodes' counts hold their GPUs already.
    pub bound: bool,
    /// It is a job of the offer in question.
    pub same_offer: bool,
}

impl Candidate {
    /// None for a job that is over.
    pub(crate) fn new(job: &ComputeJob, bound: bool, same_offer: bool) -> Option<Self> {
        let status = job.status.as_ref();
        let malformed = job.spec.source.as_ref().is_some_and(|s| s.malformed.is_some());
        if status.is_some_and(|status| status.outcome.is_some()) || malformed {
            return None;
        }
        let waiting = status.is_none_or(|status| status.accepted_at.is_none());
        // Who has paid goes before a local job that waits.
        let block = job.spec.source.as_ref().map_or(u64::MAX, |s| s.block);
        Some(Self {
            priority: Priority { waiting, block, name: (job.namespace().unwrap_or_default(), job.name_any()) },
            gpus: job.spec.workload.gpus,
            pods: members(&job.spec),
            bound,
            same_offer,
        })
    }

    /// Of all its pods.
    pub(crate) fn all_gpus(&self) -> u32 {
        self.gpus.saturating_mul(self.pods)
    }

    /// Takes what it wants and no node's count holds yet.
    pub(crate) fn take_from(&self, capacity: &mut Capacity) {
        let pods = if self.bound { 0 } else { self.pods };
        for _ in 0..pods {
            capacity.take(self.gpus);
        }
    }
}

/// Whether there is room for `me` after everybody who is served before.
pub(crate) fn fits(
    me: &Candidate,
    others: &[Candidate],
    mut capacity: Capacity,
    most: Option<u32>,
    reserve: u32,
) -> Result<(), String> {
    let mut held: u32 = 0;
    // Itself it may find as it was before, or is since.
    for other in others.iter().filter(|other| other.priority < me.priority && other.priority.name != me.priority.name) {
        if other.same_offer {
            held = held.saturating_add(other.all_gpus());
        }
        other.take_from(&mut capacity);
    }
    let wanted = me.all_gpus();
    if let Some(most) = most.filter(|most| held.saturating_add(wanted) > *most) {
        return Err(format!("{wanted} GPUs asked for, the offer sells {most} and {held} are held by other jobs"));
    }
    let free = capacity.free();
    if free < wanted.saturating_add(reserve) {
        return Err(format!("{wanted} GPUs asked for, {free} are free and {reserve} of them are kept for local work"));
    }
    for _ in 0..me.pods {
        if capacity.largest() < me.gpus {
            return Err(format!("{} GPUs asked for, no node has more than {} free", me.gpus, capacity.largest()));
        }
        capacity.take(me.gpus);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::inventory::Words;

    fn sells() -> Sells {
        let offer: hawser_crds::GpuOfferSpec = serde_json::from_value(json!({
            "networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}
        }))
        .unwrap();
        Sells::from(&offer)
    }

    fn node(free: u32, ready: &str, cordoned: bool) -> NodeFacts {
        let node = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {"nvidia.com/gpu.product": "p"}}, "spec": {"unschedulable": cordoned},
            "status": {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": free.to_string()},
                "conditions": [{"type": "Ready", "status": ready}]}
        }))
        .unwrap();
        NodeFacts::of(&node, &mut Words::default())
    }

    fn capacity(free: u32) -> Capacity {
        let mut counted = Capacity::default();
        counted.add(&sells(), &node(free, "True", false), 0);
        counted
    }

    fn job(name: &str, block: u64, gpus: u32, status: Option<(&str, &str)>) -> ComputeJob {
        let status: BTreeMap<_, _> = status.into_iter().collect();
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name, "namespace": "t"},
            "spec": {
                "offerRef": "o", "workload": {"image": "i", "gpus": gpus},
                "source": {"network": "n", "jobId": "0x", "customer": "0x", "seconds": 1, "deposit": "1", "price": "1", "block": block}
            },
            "status": status
        }))
        .unwrap()
    }

    const ACCEPTED: (&str, &str) = ("acceptedAt", "2026-01-01T00:00:00Z");

    fn candidate(job: &ComputeJob, bound: bool) -> Candidate {
        Candidate::new(job, bound, true).unwrap()
    }

    #[test]
    fn of_two_orders_for_the_last_gpu_the_earlier_block_runs() {
        let (first, second) = (job("b", 1, 1, None), job("a", 2, 1, None));
        let all = [candidate(&first, false), candidate(&second, false)];
        assert_eq!(fits(&all[0], &all, capacity(1), None, 0), Ok(()));
        assert!(fits(&all[1], &all, capacity(1), None, 0).unwrap_err().contains("0 are free"));
    }

    #[test]
    fn in_one_block_the_name_decides() {
        let all = [candidate(&job("a", 1, 1, None), false), candidate(&job("b", 1, 1, None), false)];
        assert_eq!(fits(&all[0], &all, capacity(1), None, 0), Ok(()));
        assert!(fits(&all[1], &all, capacity(1), None, 0).is_err());
    }

    #[test]
    fn what_was_given_a_moment_ago_is_not_given_again_though_the_cache_shows_nothing_of_it() {
        let (first, second) = (candidate(&job("a", 1, 1, None), false), candidate(&job("b", 1, 1, None), false));
        let both = [first.clone(), second.clone()];
        let reservations = Reservations::default();
        let ask = |me: &Candidate, shown: &[Candidate]| {
            let waits = |name: &Name| shown.iter().any(|c| c.priority.name == *name);
            reservations.reserve(me.clone(), waits, || shown.to_vec(), |me, all| fits(me, all, capacity(1), Some(1), 0))
        };
        assert_eq!(ask(&second, std::slice::from_ref(&second)), Ok(()));
        assert!(ask(&first, &both).unwrap_err().contains("sells 1 and 1 are held"));
        assert_eq!(ask(&second, &both), Ok(()), "asked again before its acceptance was seen");
        // Over meanwhile for another reason.
        assert_eq!(ask(&first, std::slice::from_ref(&first)), Ok(()));
    }

    #[test]
    fn what_was_accepted_goes_before_an_earlier_block_and_a_bound_pod_is_not_counted_twice() {
        let accepted = job("z", 9, 1, Some(ACCEPTED));
        let me = candidate(&job("a", 1, 1, None), false);
        assert!(fits(&me, &[candidate(&accepted, false)], capacity(1), None, 0).is_err());
        assert_eq!(fits(&me, &[candidate(&accepted, true)], capacity(1), None, 0), Ok(()));
    }

    #[test]
    fn a_job_does_not_stand_in_its_own_way() {
        let me = candidate(&job("a", 1, 1, None), false);
        let accepted = candidate(&job("a", 1, 1, Some(ACCEPTED)), false);
        assert_eq!(fits(&me, &[accepted], capacity(1), Some(1), 0), Ok(()));
    }

    #[test]
    fn a_job_that_is_over_wants_nothing() {
        assert_eq!(Candidate::new(&job("a", 1, 1, Some(("outcome", "Failed"))), false, true), None);
        assert_eq!(Candidate::new(&job("a", 1, 1, Some(("outcome", "Completed"))), false, true), None);
    }

    #[test]
    fn the_offers_maximum_and_what_is_kept_for_local_work_are_not_sold() {
        let me = candidate(&job("b", 2, 2, None), false);
        let other = candidate(&job("a", 1, 2, None), true);
        assert!(fits(&me, std::slice::from_ref(&other), capacity(8), Some(3), 0).unwrap_err().contains("sells 3"));
        assert_eq!(fits(&me, &[other], capacity(8), Some(4), 6), Ok(()));
        assert!(fits(&me, &[], capacity(8), None, 7).unwrap_err().contains("kept for local work"));
    }

    #[test]
    fn each_member_of_a_job_wants_its_gpus_on_a_node_of_its_own_or_beside_another() {
        let nodes = |free: &[u32]| {
            let mut counted = Capacity::default();
            for free in free {
                counted.add(&sells(), &node(*free, "True", false), 0);
            }
            counted
        };
        let me = Candidate { pods: 3, ..candidate(&job("b", 2, 2, None), false) };
        let others = [Candidate { pods: 2, ..candidate(&job("a", 1, 2, None), false) }];
        for (others, free, most, refused) in [
            (&[][..], &[6][..], None, None),
            (&[], &[2, 2, 2], Some(6), None),
            (&[], &[4, 1, 1], None, Some("2 GPUs asked for, no node has more than 1 free")),
            (&[], &[5], None, Some("6 GPUs asked for, 5 are free")),
            (&[], &[8], Some(5), Some("6 GPUs asked for, the offer sells 5")),
            (&others, &[10], Some(10), None),
            (&others, &[9], None, Some("6 GPUs asked for, 5 are free")),
            (&others, &[16], Some(9), Some("sells 9 and 4 are held")),
        ] {
            let said = fits(&me, others, nodes(free), most, 0).err();
            assert_eq!(said.is_some(), refused.is_some(), "{free:?}: {said:?}");
            assert!(said.iter().all(|said| said.contains(refused.unwrap())), "{free:?}: {said:?}");
        }
    }

    #[test]
    fn a_node_that_is_not_ready_may_be_back_in_a_moment_with_the_gpus_that_it_has() {
        for (nodes, passing) in [
            (vec![], false),
            (vec![node(8, "True", false)], false),
            (vec![node(8, "True", false), node(2, "Unknown", false)], true),
            (vec![node(2, "False", false)], true),
            // It was drained, or has too few, or none that is healthy.
            (vec![node(2, "False", true)], false),
            (vec![node(1, "False", false)], false),
        ] {
            let shortage = Shortage::among("0 are free".to_owned(), &sells(), 2, &nodes);
            assert_eq!(shortage.passing, passing, "{nodes:?}");
            assert_eq!(shortage.why.ends_with("is not ready"), passing, "{}", shortage.why);
        }
    }

    #[test]
    fn numbers_that_leave_their_range_refuse_and_do_not_wrap() {
        let me = candidate(&job("c", 3, 2, None), false);
        assert!(fits(&me, &[], capacity(8), None, u32::MAX).unwrap_err().contains("kept for local work"));
        let others = [candidate(&job("a", 1, u32::MAX, None), true), candidate(&job("b", 2, u32::MAX, None), true)];
        assert!(fits(&me, &others, capacity(8), Some(9), 0).unwrap_err().contains("sells 9"));
    }
}
