//! Whether a job gets its GPUs, and what an offer can say to be available: the inventory's answer, asked with all that a
//! reconcile has at hand.

use hawser_crds::{ComputeJob, GpuOffer};

use super::Shared;
use super::gpu_offer::serves;
use super::unreadable;
use super::watch::name_of;
use super::work::Name;
use crate::inventory::{Candidate, Capacity, Offered, Sells, Shortage, fits, offered};

/// What is said of an old cache.
pub(crate) const OLD: &str =
    "what is known of nodes and pods is old: the API server has said nothing of them for most of a minute";

/// Whether a job has its GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allocation {
    /// They are there, and reserved for it until the cache shows that it is accepted.
    Allocated,
    /// They are not.
    Short(Shortage),
    /// The cache doesn't show the job yet: those ordered earlier might be missing too.
    NotCached,
}

/// Whether a job has its GPUs now; if they are free, they are reserved for it.
pub(crate) fn reserve(job: &ComputeJob, offer: &GpuOffer, shared: &Shared) -> Allocation {
    let Some(me) = Candidate::new(job, false, true).filter(|me| me.priority.waiting) else {
        return Allocation::Allocated;
    };
    // Nobody's order waits for what won't come.
    let sold = job.spec.source.is_some();
    if let Some(why) = serves::declines(offer, &shared.around.of(offer)).filter(|_| sold) {
        return Allocation::Short(Shortage::new(why));
    }
    if shared.capacity_is_old() {
        return Allocation::Short(Shortage { why: OLD.to_owned(), passing: true });
    }
    let cached = |name: &Name| {
        let job = shared.job(&name.0, &name.1)?;
        Some(job.unsettled().and_then(|job| job.claim).is_some_and(|claim| claim.waiting))
    };
    if cached(&me.priority.name).is_none() {
        return Allocation::NotCached;
    }
    let waits = |name: &Name| cached(name).unwrap_or(false);
    let hawser_crds::Capacity { max, reserve } = offer.spec.capacity;
    let sells = Sells::from(&offer.spec);
    let inventory = &shared.inventory;
    let fits =
        |me: &Candidate, others: &[Candidate]| fits(me, others, inventory.read(|i| i.capacity(&sells)), max, reserve);
    let gpus = me.gpus;
    match shared.reservations.reserve(me, waits, || candidates(offer, shared), fits) {
        Ok(()) => Allocation::Allocated,
        Err(why) => Allocation::Short(inventory.read(|inventory| {
            Shortage::among(why, &sells, gpus, inventory.nodes_of(&sells.gpu).map(|(_, node)| node))
        })),
    }
}

/// What there is for an offer.
pub(crate) struct Availability {
    pub capacity: Capacity,
    /// What it can say to be available.
    pub offered: Offered,
    /// Its jobs that are not over.
    pub active: u32,
}

/// What there is for an offer now.
pub(crate) fn availability(offer: &GpuOffer, shared: &Shared) -> Availability {
    let (name, sells) = (name_of(offer), Sells::from(&offer.spec));
    let (capacity, active) = shared.inventory.read(|inventory| (inventory.capacity(&sells), inventory.active(&name)));
    let mut left = capacity.clone();
    let mut held: u32 = 0;
    for candidate in candidates(offer, shared) {
        if candidate.same_offer {
            held = held.saturating_add(candidate.all_gpus());
        }
        candidate.take_from(&mut left);
    }
    let offered = offered(&offer.spec, &left, held);
    Availability { capacity, offered, active }
}

/// Jobs of every offer that sells from the same nodes, those that can't be read among them.
fn candidates(offer: &GpuOffer, shared: &Shared) -> Vec<Candidate> {
    let mut list = shared.inventory.read(|inventory| inventory.candidates(&name_of(offer), &offer.spec.gpu));
    list.extend(unreadable::candidates(offer, shared));
    list.sort();
    list
}
