//! Whether the GPUs of an order are there. Orders come in the order of their blocks: of two for the last GPU the
//! earlier runs; of two in one block the one that is looked at first.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hawser_crds::condition::ACCEPTED;
use hawser_crds::{ComputeJob, GpuOffer};
use kube::ResourceExt;

use crate::controllers::Context;
use crate::controllers::conditions::{is_over, is_true};
use crate::controllers::gpu_offer::capacity::{Capacity, Offered, offered};
use crate::controllers::gpu_offer::node::{Unusable, unusable};
use crate::controllers::gpu_offer::serves;
use crate::controllers::stock::{NodeFacts, Sells};
use crate::controllers::unreadable;
use crate::controllers::watch::name_of;
use crate::controllers::work::Name;

/// Jobs that were told that there is room for them, until the cache shows that they are accepted: many jobs are looked
/// at side by side, and none may count on GPUs that were given to another a moment ago. Only one operator decides at a
/// time, so nothing is lost with its memory: what was not written was not accepted.
#[derive(Debug, Default)]
pub(crate) struct Granted(Mutex<HashSet<Name>>);

impl Granted {
    /// Room for one job, while nobody else is given any. `waits` tells whether the cache shows a job as not accepted
    /// yet, `claimants` who wants or holds GPUs.
    fn ask(
        &self,
        mut me: Claimant,
        waits: impl Fn(&Name) -> bool,
        claimants: impl FnOnce() -> Vec<Claimant>,
        room: impl FnOnce(&Claimant, &[Claimant]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the claimants are looked up, so that whoever is dropped here is accepted there.
        granted.retain(waits);
        let mut claimants = claimants();
        for claimant in claimants.iter_mut().chain([&mut me]) {
            claimant.turn.waiting &= !granted.contains(&claimant.turn.name);
        }
        let answer = room(&me, &claimants);
        if answer.is_ok() {
            granted.insert(me.turn.name);
        } else {
            granted.remove(&me.turn.name);
        }
        answer
    }
}

/// What is said of an old cache.
pub(crate) const OLD: &str =
    "what is known of nodes and pods is old: the API server has said nothing of them for most of a minute";

/// Why the GPUs of an order are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// For a person.
    pub why: String,
    /// A node that has them is not ready, or nothing new is heard of nodes: it may be otherwise in a moment.
    pub passing: bool,
}

impl NoRoom {
    fn new(why: String) -> Self {
        Self { why, passing: false }
    }

    /// No room for so many GPUs, where these are an offer's nodes.
    fn among<'a>(why: String, sells: &Sells, gpus: u32, nodes: impl IntoIterator<Item = &'a NodeFacts>) -> Self {
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

/// Whose turn it is: what was accepted first, then by block and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    /// Not accepted yet.
    pub waiting: bool,
    pub block: u64,
    pub name: Name,
}

/// A job that wants, or holds, GPUs of the same nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimant {
    pub turn: Turn,
    pub gpus: u32,
    /// Its pod has a node: the node's count holds its GPUs already.
    pub bound: bool,
    /// It is a job of the offer in question.
    pub same_offer: bool,
}

impl Claimant {
    /// None for a job that is over.
    pub(crate) fn new(job: &ComputeJob, bound: bool, same_offer: bool) -> Option<Self> {
        let conditions = job.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        let malformed = job.spec.source.as_ref().is_some_and(|s| s.malformed.is_some());
        if is_over(conditions) || malformed {
            return None;
        }
        let waiting = !is_true(conditions, ACCEPTED);
        // Who has paid goes before a local job that waits.
        let block = job.spec.source.as_ref().map_or(u64::MAX, |s| s.block);
        Some(Self {
            turn: Turn { waiting, block, name: (job.namespace().unwrap_or_default(), job.name_any()) },
            gpus: job.spec.workload.gpus,
            bound,
            same_offer,
        })
    }
}

/// Whether there is room for `me` after everybody whose turn is before.
pub(crate) fn room(
    me: &Claimant,
    others: &[Claimant],
    mut capacity: Capacity,
    most: Option<u32>,
    reserve: u32,
) -> Result<(), String> {
    let mut held: u32 = 0;
    // Itself it may find as it was before, or is since.
    for other in others.iter().filter(|other| other.turn < me.turn && other.turn.name != me.turn.name) {
        if other.same_offer {
            held = held.saturating_add(other.gpus);
        }
        if !other.bound {
            capacity.take(other.gpus);
        }
    }
    if let Some(most) = most.filter(|most| held.saturating_add(me.gpus) > *most) {
        return Err(format!("{} GPUs asked for, the offer sells {most} and {held} are held by other jobs", me.gpus));
    }
    let free = capacity.free();
    if free < me.gpus.saturating_add(reserve) {
        return Err(format!(
            "{} GPUs asked for, {free} are free and {reserve} of them are kept for local work",
            me.gpus
        ));
    }
    if capacity.largest() < me.gpus {
        return Err(format!("{} GPUs asked for, no node has more than {} free", me.gpus, capacity.largest()));
    }
    Ok(())
}

/// Whether there is room for a job now. None before the cache shows the job: those ordered earlier might be missing too.
pub(crate) fn of(job: &ComputeJob, offer: &GpuOffer, context: &Context) -> Option<Result<(), NoRoom>> {
    let Some(me) = Claimant::new(job, false, true).filter(|me| me.turn.waiting) else { return Some(Ok(())) };
    // Nobody's order waits for what won't come.
    let sold = job.spec.source.is_some();
    if let Some(why) = serves::declines(offer, &context.around.of(offer)).filter(|_| sold) {
        return Some(Err(NoRoom::new(why)));
    }
    if context.capacity_is_old() {
        return Some(Err(NoRoom { why: OLD.to_owned(), passing: true }));
    }
    let cached = |name: &Name| {
        let job = context.job(&name.0, &name.1)?;
        Some(job.unsettled().and_then(|job| job.claim).is_some_and(|claim| claim.waiting))
    };
    cached(&me.turn.name)?;
    let waits = |name: &Name| cached(name).unwrap_or(false);
    let hawser_crds::Capacity { max, reserve } = offer.spec.capacity;
    let sells = Sells::from(&offer.spec);
    let room =
        |me: &Claimant, others: &[Claimant]| room(me, others, context.stock.read(|s| s.capacity(&sells)), max, reserve);
    let gpus = me.gpus;
    let answer = context.granted.ask(me, waits, || claimants(offer, context), room);
    Some(answer.map_err(|why| {
        context.stock.read(|stock| NoRoom::among(why, &sells, gpus, stock.nodes_of(&sells.gpu).map(|(_, node)| node)))
    }))
}

/// What an offer can say to be available now, and how many of its jobs are not over.
pub(crate) fn of_offer(offer: &GpuOffer, context: &Context) -> (Capacity, Offered, u32) {
    let (name, sells) = (name_of(offer), Sells::from(&offer.spec));
    let (capacity, jobs) = context.stock.read(|stock| (stock.capacity(&sells), stock.active(&name)));
    let mut left = capacity.clone();
    let mut held: u32 = 0;
    for claimant in claimants(offer, context) {
        if claimant.same_offer {
            held = held.saturating_add(claimant.gpus);
        }
        if !claimant.bound {
            left.take(claimant.gpus);
        }
    }
    let offered = offered(&offer.spec, &left, held);
    (capacity, offered, jobs)
}

/// Jobs of every offer that sells from the same nodes, those that can't be read among them.
fn claimants(offer: &GpuOffer, context: &Context) -> Vec<Claimant> {
    let mut list = context.stock.read(|stock| stock.claimants(&name_of(offer), &offer.spec.gpu));
    list.extend(unreadable::claimants(offer, context));
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controllers::stock::Words;

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

    fn job(name: &str, block: u64, gpus: u32, condition: Option<(&str, &str)>) -> ComputeJob {
        let conditions: Vec<Value> = condition
            .iter()
            .map(|(kind, status)| {
                json!({"type": kind, "status": status, "reason": "R", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name, "namespace": "t"},
            "spec": {
                "offerRef": "o", "workload": {"image": "i", "gpus": gpus},
                "source": {"network": "n", "jobId": "0x", "customer": "0x", "seconds": 1, "deposit": "1", "price": "1", "block": block}
            },
            "status": {"conditions": conditions}
        }))
        .unwrap()
    }

    fn claimant(job: &ComputeJob, bound: bool) -> Claimant {
        Claimant::new(job, bound, true).unwrap()
    }

    #[test]
    fn of_two_orders_for_the_last_gpu_the_earlier_block_runs() {
        let (first, second) = (job("b", 1, 1, None), job("a", 2, 1, None));
        let all = [claimant(&first, false), claimant(&second, false)];
        assert_eq!(room(&all[0], &all, capacity(1), None, 0), Ok(()));
        assert!(room(&all[1], &all, capacity(1), None, 0).unwrap_err().contains("0 are free"));
    }

    #[test]
    fn in_one_block_the_name_decides() {
        let all = [claimant(&job("a", 1, 1, None), false), claimant(&job("b", 1, 1, None), false)];
        assert_eq!(room(&all[0], &all, capacity(1), None, 0), Ok(()));
        assert!(room(&all[1], &all, capacity(1), None, 0).is_err());
    }

    #[test]
    fn what_was_given_a_moment_ago_is_not_given_again_though_the_cache_shows_nothing_of_it() {
        let (first, second) = (claimant(&job("a", 1, 1, None), false), claimant(&job("b", 1, 1, None), false));
        let both = [first.clone(), second.clone()];
        let granted = Granted::default();
        let ask = |me: &Claimant, shown: &[Claimant]| {
            let waits = |name: &Name| shown.iter().any(|c| c.turn.name == *name);
            granted.ask(me.clone(), waits, || shown.to_vec(), |me, all| room(me, all, capacity(1), Some(1), 0))
        };
        assert_eq!(ask(&second, std::slice::from_ref(&second)), Ok(()));
        assert!(ask(&first, &both).unwrap_err().contains("sells 1 and 1 are held"));
        assert_eq!(ask(&second, &both), Ok(()), "asked again before its acceptance was seen");
        // Over meanwhile for another reason.
        assert_eq!(ask(&first, std::slice::from_ref(&first)), Ok(()));
    }

    #[test]
    fn what_was_accepted_goes_before_an_earlier_block_and_a_bound_pod_is_not_counted_twice() {
        let accepted = job("z", 9, 1, Some((ACCEPTED, "True")));
        let me = claimant(&job("a", 1, 1, None), false);
        assert!(room(&me, &[claimant(&accepted, false)], capacity(1), None, 0).is_err());
        assert_eq!(room(&me, &[claimant(&accepted, true)], capacity(1), None, 0), Ok(()));
    }

    #[test]
    fn a_job_does_not_stand_in_its_own_way() {
        let me = claimant(&job("a", 1, 1, None), false);
        let accepted = claimant(&job("a", 1, 1, Some((ACCEPTED, "True"))), false);
        assert_eq!(room(&me, &[accepted], capacity(1), Some(1), 0), Ok(()));
    }

    #[test]
    fn a_job_that_is_over_wants_nothing() {
        assert_eq!(Claimant::new(&job("a", 1, 1, Some(("Failed", "True"))), false, true), None);
        assert_eq!(Claimant::new(&job("a", 1, 1, Some(("Complete", "True"))), false, true), None);
    }

    #[test]
    fn the_offers_maximum_and_what_is_kept_for_local_work_are_not_sold() {
        let me = claimant(&job("b", 2, 2, None), false);
        let other = claimant(&job("a", 1, 2, None), true);
        assert!(room(&me, std::slice::from_ref(&other), capacity(8), Some(3), 0).unwrap_err().contains("sells 3"));
        assert_eq!(room(&me, &[other], capacity(8), Some(4), 6), Ok(()));
        assert!(room(&me, &[], capacity(8), None, 7).unwrap_err().contains("kept for local work"));
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
            let no_room = NoRoom::among("0 are free".to_owned(), &sells(), 2, &nodes);
            assert_eq!(no_room.passing, passing, "{nodes:?}");
            assert_eq!(no_room.why.ends_with("is not ready"), passing, "{}", no_room.why);
        }
    }

    #[test]
    fn numbers_that_leave_their_range_refuse_and_do_not_wrap() {
        let me = claimant(&job("c", 3, 2, None), false);
        assert!(room(&me, &[], capacity(8), None, u32::MAX).unwrap_err().contains("kept for local work"));
        let others = [claimant(&job("a", 1, u32::MAX, None), true), claimant(&job("b", 2, u32::MAX, None), true)];
        assert!(room(&me, &others, capacity(8), Some(9), 0).unwrap_err().contains("sells 9"));
    }
}
