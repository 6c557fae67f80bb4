//! Jobs and the offers that they belong to.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use hawser_crds::GpuSelector;

use super::facts::order_key;
use super::{Concerned, Inventory, JobFacts, Line, Sells, Unbound};
use crate::inventory::{Candidate, Priority};
use crate::network::{JobId, On};
use crate::objects::Name;
use crate::settlement::Unclaimed;

/// What a job wants or holds.
#[derive(PartialEq, Eq)]
struct Claimed {
    offer: Name,
    priority: Priority,
    /// GPUs of members whose pods have a node.
    bound: u64,
    unbound: Unbound,
}

impl Inventory {
    /// A job as it is now; none where it is gone or settled.
    pub(crate) fn set_job(&mut self, name: &Name, now: Option<impl Into<Arc<JobFacts>>>) -> Concerned {
        let now = now.map(Into::into);
        let before = self.jobs.get(name).cloned();
        if before == now {
            return Concerned::new();
        }
        let own = |job: &Arc<JobFacts>| (name.0.clone(), job.offer.clone());
        let owes = |job: &Arc<JobFacts>| !job.pending.units.is_zero();
        let (was, is) = (before.as_ref().map(owes), now.as_ref().map(owes));
        let mut concerned = Concerned::new();
        if was != is {
            // Whether it is settled, and whether something of it is still to be claimed. How much changes with each
            // report: the offer's regular look sums it up.
            concerned.extend([before.as_ref().map(own), now.as_ref().map(own)].into_iter().flatten());
        }
        self.count_order(before.as_deref(), now.as_deref());
        concerned.extend(self.around_jobs(std::slice::from_ref(name), |inventory| match now {
            Some(job) => drop(inventory.jobs.insert(name.clone(), job)),
            None => drop(inventory.jobs.remove(name)),
        }));
        concerned
    }

    fn count_order(&mut self, before: Option<&JobFacts>, now: Option<&JobFacts>) {
        let order = |facts: Option<&JobFacts>| facts.and_then(|facts| facts.order);
        if let Some(order) = order(now) {
            *self.orders.entry(order).or_default() += 1;
        }
        if let Some(order) = order(before)
            && let Entry::Occupied(mut count) = self.orders.entry(order)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether a job that is not settled may be another one of the order that this one names. True now and then where none
    /// is.
    pub(crate) fn shares_order(&self, job: &Name, order: &On<JobId>) -> bool {
        let order = order_key(order);
        let own = u32::from(self.jobs.get(job).is_some_and(|job| job.order == Some(order)));
        self.orders.get(&order).is_some_and(|count| *count > own)
    }

    /// What an offer sells; none where it is gone, or can't be read.
    pub(crate) fn set_offer(&mut self, name: &Name, now: Option<&Sells>) -> Concerned {
        let before = self.offers.get(name).cloned();
        if before.as_ref() == now {
            return Concerned::new();
        }
        let mut concerned = Concerned::new();
        if let Some(Sells { gpu, .. }) = &before {
            concerned.extend(self.rivals(gpu).cloned());
            if let Some(names) = self.sellers.get_mut(&gpu.product) {
                names.remove(name);
                if names.is_empty() {
                    self.sellers.remove(&gpu.product);
                }
            }
            self.offers.remove(name);
        }
        if let Some(sells) = now {
            let gpu = &sells.gpu;
            self.sellers.entry(gpu.product.clone()).or_default().insert(name.clone());
            self.offers.insert(name.clone(), sells.clone());
            concerned.extend(self.rivals(gpu).cloned());
        }
        concerned
    }

    /// Who wants or holds GPUs of an offer's nodes: the members of each job that have no node yet, by its priority, and
    /// first of all those of the offer's jobs that have one, together.
    pub(crate) fn candidates(&self, offer: &Name, gpu: &GpuSelector) -> Vec<Candidate> {
        let others = self.rivals(gpu).filter(|other| *other != offer);
        let mut all = Vec::new();
        for (name, line) in std::iter::once(offer).chain(others).filter_map(|name| Some((name, self.lines.get(name)?)))
        {
            let same_offer = name == offer;
            if same_offer && line.bound > 0 {
                let priority = Priority { waiting: false, block: 0, name: Name::default() };
                let gpus = u32::try_from(line.bound).unwrap_or(u32::MAX);
                all.push(Candidate { priority, gpus, pods: 1, bound: true, same_offer });
            }
            all.extend(line.queue.iter().map(|(priority, &Unbound { pods, gpus })| Candidate {
                priority: priority.clone(),
                gpus,
                pods,
                bound: false,
                same_offer,
            }));
        }
        all.sort();
        all
    }

    /// How many jobs of an offer are not over.
    pub(crate) fn active(&self, offer: &Name) -> u32 {
        self.lines.get(offer).map_or(0, |line| line.active)
    }

    /// How many jobs of an offer are not settled; of one that can't be read nobody knows that it is.
    #[cfg(test)]
    pub(crate) fn unsettled(&self, offer: &Name) -> u32 {
        self.lines.get(offer).map_or(0, |line| line.unsettled)
    }

    /// How many jobs of an offer that can be read are not settled.
    pub(crate) fn known_unsettled(&self, offer: &Name) -> u32 {
        self.lines.get(offer).map_or(0, |line| line.unsettled.saturating_sub(line.unread))
    }

    pub(crate) fn offer_names(&self) -> impl Iterator<Item = &Name> {
        self.offers.keys()
    }

    /// What the jobs of an offer have earned and is not claimed.
    pub(crate) fn pending(&self, offer: &Name) -> Unclaimed {
        let mut sum = Unclaimed::default();
        let jobs = self.lines.get(offer).into_iter().flat_map(|line| &line.jobs);
        jobs.filter_map(|name| self.jobs.get(name)).for_each(|job| sum.join(job.pending));
        sum
    }

    /// Offers that sell cards of a product.
    pub(super) fn sellers_of(&self, product: &str) -> impl Iterator<Item = (&Name, &Sells)> {
        let names = self.sellers.get(product).into_iter().flatten();
        names.filter_map(|name| Some((name, self.offers.get(name)?)))
    }

    /// Changes jobs, or a pod of theirs, and keeps the sums of their offers. Tells whom it concerns: all who sell the same
    /// GPUs, where they want or hold others now.
    pub(super) fn around_jobs(&mut self, names: &[Name], change: impl FnOnce(&mut Self)) -> Concerned {
        let before: Vec<_> = names.iter().map(|name| self.claim(name)).collect();
        for name in names {
            self.uncount(name);
        }
        change(self);
        for name in names {
            self.count(name);
        }
        let mut concerned = Concerned::new();
        for (name, before) in names.iter().zip(before) {
            let after = self.claim(name);
            if before == after {
                continue;
            }
            for offer in [before, after].into_iter().flatten().map(|claim| claim.offer) {
                if let Some(Sells { gpu, .. }) = self.offers.get(&offer) {
                    concerned.extend(self.rivals(gpu).cloned());
                }
                concerned.insert(offer);
            }
        }
        concerned
    }

    /// What a job wants or holds that is not over.
    fn claim(&self, name: &Name) -> Option<Claimed> {
        let job = self.jobs.get(name)?;
        let claim = job.claim?;
        let priority = Priority { waiting: claim.waiting, block: claim.block, name: name.clone() };
        let bound = self.bound_members(name, claim.members);
        let unbound = Unbound { pods: claim.members.saturating_sub(bound), gpus: claim.gpus };
        let bound = u64::from(claim.gpus) * u64::from(bound);
        Some(Claimed { offer: (name.0.clone(), job.offer.clone()), priority, bound, unbound })
    }

    fn count(&mut self, name: &Name) {
        let Some(job) = self.jobs.get(name) else { return };
        let (offer, unread) = ((name.0.clone(), job.offer.clone()), job.unread);
        let claim = self.claim(name);
        let line = self.lines.entry(offer).or_default();
        line.jobs.insert(name.clone());
        line.unsettled += 1;
        line.unread += u32::from(unread);
        let Some(Claimed { priority, bound, unbound, .. }) = claim else { return };
        line.active += 1;
        line.bound += bound;
        if unbound.pods > 0 {
            line.queue.insert(priority, unbound);
        }
    }

    fn uncount(&mut self, name: &Name) {
        let Some(job) = self.jobs.get(name) else { return };
        let (offer, unread) = ((name.0.clone(), job.offer.clone()), job.unread);
        let claim = self.claim(name);
        let Some(line) = self.lines.get_mut(&offer) else { return };
        line.jobs.remove(name);
        line.unsettled = line.unsettled.saturating_sub(1);
        line.unread = line.unread.saturating_sub(u32::from(unread));
        if let Some(Claimed { priority, bound, .. }) = claim {
            line.active = line.active.saturating_sub(1);
            line.bound = line.bound.saturating_sub(bound);
            line.queue.remove(&priority);
        }
        if *line == Line::default() {
            self.lines.remove(&offer);
        }
    }

    /// Offers that sell the same GPUs.
    fn rivals<'a>(&'a self, gpu: &'a GpuSelector) -> impl Iterator<Item = &'a Name> {
        self.sellers_of(&gpu.product)
            .filter(|(_, other)| other.gpu.resource_name == gpu.resource_name)
            .map(|(name, _)| name)
    }
}
