//! What is remembered of each offer while this process runs. Cheap to lose: what was spent on updates and declines stands in
//! the offer's status, and earlier terms are looked at once more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hawser_crds::{GpuOffer, Spending};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::admission::Admission;
use super::allowance::Now;
use super::budget::Budget;
use super::pace::Pace;
use super::serves::Obstacle;
use crate::controllers::Shared;
use crate::controllers::watch::name_of;
use crate::controllers::work::{Backoffs, Name};
use crate::network::{JobId, OfferId, On};
use crate::reasons::Reason;

/// What a look at an offer has at hand.
pub(crate) struct OfferContext {
    pub shared: Arc<Shared>,
    pub memory: Arc<OfferMemory>,
}

impl AsRef<Backoffs> for OfferContext {
    fn as_ref(&self) -> &Backoffs {
        &self.shared.backoffs
    }
}

/// Of all offers.
#[derive(Default)]
pub(crate) struct OfferMemory {
    offers: Mutex<HashMap<Name, Remembered>>,
    ids: Mutex<HashMap<On<OfferId>, Name>>,
    withdrawn: Mutex<HashMap<On<OfferId>, u64>>,
}

/// Of one offer.
pub(crate) struct Remembered {
    pub pace: Pace,
    budget: Budget,
    /// The reason that is in the way, and since when.
    since: Option<(Reason, Instant)>,
    /// Earlier terms that were seen to take no orders: they never will again while they are not the present ones.
    closed: HashSet<OfferId>,
    /// Those that were to be posted and do not stand on the market, and the height at which they were first missed.
    missed: HashMap<OfferId, u64>,
    /// What an earlier process had spent was read.
    learnt: bool,
    /// Whether the API server would take an order.
    pub admission: Admission,
    /// A canary's pod may be there: an earlier process may have sent one.
    pub canary: bool,
    /// This process has written the attestation service's CA into the namespace.
    pub ca: bool,
}

/// What the market is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// In the way of all orders.
    pub obstacle: Option<Obstacle>,
    /// GPUs that one order can ask for.
    pub available: u16,
}

impl Remembered {
    fn new() -> Self {
        let (pace, budget) = (Pace::new(), Budget::new());
        Self {
            pace,
            budget,
            since: None,
            closed: HashSet::new(),
            missed: HashMap::new(),
            learnt: false,
            admission: Admission::default(),
            canary: true,
            ca: false,
        }
    }

    /// Takes over what an earlier process had spent, once.
    fn learn(&mut self, offer: &GpuOffer, now: Timestamp) {
        if self.learnt {
            return;
        }
        self.learnt = true;
        let spent = offer.status.as_ref().and_then(|status| status.spending.clone()).unwrap_or_default();
        self.pace.learn(spent.updates_full_at.map(|at| at.0), now);
        self.budget.learn(spent.declines_full_at.map(|at| at.0), now);
    }

    /// What was spent and is not back yet, for the offer's status; none where nothing is missing.
    pub(crate) fn spending(&self, now: Timestamp) -> Option<Spending> {
        let spending = Spending {
            updates_full_at: self.pace.full_at(now).map(Time),
            declines_full_at: self.budget.full_at(now).map(Time),
        };
        Some(spending).filter(|spending| *spending != Spending::default())
    }

    /// What the market is to be told, where it says `standing` (none: nothing of the offer) and `could` be served but for
    /// an obstacle.
    pub(crate) fn commit(
        &mut self,
        standing: Option<u16>,
        could: u16,
        obstacle: Option<Obstacle>,
        now: Now,
    ) -> Statement {
        let Some(obstacle) = obstacle else {
            self.since = None;
            return Statement { obstacle: None, available: self.pace.commit(standing, could, now) };
        };
        let began = match &self.since {
            Some((reason, began)) if *reason == obstacle.reason => *began,
            _ => now.steady,
        };
        self.since = Some((obstacle.reason.clone(), began));
        let sells = standing.filter(|standing| *standing > 0);
        if let Some(sells) = sells.filter(|_| now.steady.duration_since(began) < obstacle.patience) {
            // It may be gone in a moment. No more is offered meanwhile.
            return Statement { obstacle: None, available: self.pace.commit(standing, could.min(sells), now) };
        }
        self.pace.stop(standing, now);
        Statement { obstacle: Some(obstacle), available: 0 }
    }

    /// The present terms are posted, even if they were left before: once they are left again they have to be closed again.
    pub(crate) fn note_present(&mut self, now: &OfferId) {
        self.closed.remove(now);
        self.missed.remove(now);
    }

    /// Of earlier terms than the present ones, those that may still take orders.
    pub(crate) fn open(&self, known: impl IntoIterator<Item = OfferId>, now: &OfferId) -> Vec<OfferId> {
        let mut open: Vec<_> = known.into_iter().filter(|id| id != now && !self.closed.contains(id)).collect();
        open.sort();
        open.dedup();
        open
    }

    pub(crate) fn note_closed(&mut self, id: &OfferId) {
        self.missed.remove(id);
        self.closed.insert(id.clone());
    }

    /// Of earlier terms one takes no orders at this height.
    pub(crate) fn note_missed(&mut self, id: &OfferId, on_its_way: bool, head: u64) {
        let since = self.missed.entry(id.clone()).or_insert(head);
        if on_its_way {
            *since = head;
        }
    }

    /// Whether the post of such a one, or an update that gives it GPUs, may be done yet, also one of an earlier process, of
    /// which nothing is known. `lapses_after`: so many heights later it never will be.
    pub(crate) fn may_come(&self, id: &OfferId, head: u64, lapses_after: u64) -> bool {
        self.missed.get(id).is_none_or(|since| head.saturating_sub(*since) < lapses_after)
    }
}

impl OfferMemory {
    /// Changes what is remembered of an offer.
    pub(crate) fn with<T>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        let key = (namespace.to_owned(), name.to_owned());
        change(locked(&self.offers).entry(key).or_insert_with(Remembered::new))
    }

    /// Looks at it. Nothing is remembered of an offer for that.
    pub(crate) fn peek<T>(&self, namespace: &str, name: &str, look: impl FnOnce(&Remembered) -> T) -> T {
        let key = (namespace.to_owned(), name.to_owned());
        look(locked(&self.offers).get(&key).unwrap_or(&Remembered::new()))
    }

    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        locked(&self.offers).remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Takes over what an earlier process had spent for an offer, where this one has not done so yet.
    pub(crate) fn learn(&self, offer: &GpuOffer) {
        let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        self.with(&namespace, &name, |remembered| remembered.learn(offer, Timestamp::now()));
    }

    /// Whether it may be, and whether that has spent anything.
    fn grant_decline(&self, namespace: &str, name: &str, job: &JobId) -> (bool, bool) {
        let now = Now::read();
        self.with(namespace, name, |offer| {
            let before = offer.budget.full_at(now.wall);
            (offer.budget.grant_decline(job, now), offer.budget.full_at(now.wall) != before)
        })
    }

    pub(crate) fn note_id(&self, id: OfferId, offer: &GpuOffer) {
        locked(&self.ids).insert(On::new(&offer.spec.network_ref, id), name_of(offer));
    }

    pub(crate) fn offer(&self, id: &On<OfferId>) -> Option<Name> {
        locked(&self.ids).get(id).cloned()
    }

    /// What was kept of an offer that is gone, under all its ids.
    pub(crate) fn forget_ids(&self, name: &Name) {
        let gone: Vec<_> = locked(&self.ids).extract_if(|_, offer| offer == name).map(|(id, _)| id).collect();
        self.forget_withdrawn(gone);
    }

    /// An offer is seen to take no orders at this block.
    pub(crate) fn note_withdrawn(&self, offer: &On<OfferId>, head: u64) {
        locked(&self.withdrawn).entry(offer.clone()).or_insert(head);
    }

    /// The block at which an offer was first seen to take no orders; none while it is not.
    pub(crate) fn withdrawn_since(&self, offer: &On<OfferId>) -> Option<u64> {
        locked(&self.withdrawn).get(offer).copied()
    }

    /// They take orders again, or their object is gone: one that is made anew may be sold under the same ids.
    pub(crate) fn forget_withdrawn(&self, offers: impl IntoIterator<Item = On<OfferId>>) {
        let mut since = locked(&self.withdrawn);
        for offer in offers {
            since.remove(&offer);
        }
    }

    /// Whether orders that were turned down and left to their deadline may be closed now.
    pub(crate) fn grant_sweep(&self, namespace: &str, name: &str) -> bool {
        self.with(namespace, name, |offer| offer.budget.grant_sweep(Instant::now()))
    }
}

/// Whether the budget lets an order of an offer be declined now. What that spends is written down at once, with the offer's
/// status: the process may not live for long.
pub(crate) fn grant_decline(shared: &Shared, memory: &OfferMemory, namespace: &str, name: &str, job: &JobId) -> bool {
    let known = shared.offer(namespace, name);
    if let Some(offer) = known.as_ref().and_then(|offer| offer.0.as_ref().ok()) {
        memory.learn(offer);
    }
    let (may, spent) = memory.grant_decline(namespace, name, job);
    if spent {
        shared.offers_due.add([(namespace.to_owned(), name.to_owned())]);
    }
    may
}

/// The API server has made a pod of an offer's job, or refused one.
pub(crate) fn note_pod(shared: &Shared, memory: &OfferMemory, namespace: &str, name: &str, refused: bool) {
    if memory.with(namespace, name, |offer| offer.admission.note_pod(refused)) {
        shared.offers_due.add([(namespace.to_owned(), name.to_owned())]);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hawser_crds::GpuOfferStatus;
    use serde_json::json;

    use super::*;

    fn offer(name: &str) -> GpuOffer {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": name, "namespace": "t"},
            "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
        }))
        .unwrap()
    }

    #[test]
    fn a_network_that_is_away_for_a_moment_takes_nothing_from_the_market_and_one_that_stays_away_does() {
        let begin = Now::read();
        let mut offer = Remembered::new();
        let away = || Some(Obstacle::passing(Reason::NetworkNotReady, "m"));
        let wrong = || Some(Obstacle::new(Reason::NotRestricted, "m"));
        // After so many seconds: what stands, what could be served, what is in the way; what is said, and whether it counts.
        for (second, standing, could, obstacle, available, counts) in [
            (0, None, 8, away(), 0, true),
            (1, Some(8), 8, None, 8, false),
            (2, Some(8), 8, away(), 8, false),
            (20, Some(8), 6, away(), 6, false),
            (21, Some(6), 8, away(), 6, false),
            (33, Some(6), 8, away(), 0, true),
            (60, Some(0), 8, away(), 0, true),
            (70, Some(0), 8, None, 8, false),
            (75, Some(8), 8, wrong(), 0, true),
        ] {
            let told = offer.commit(standing, could, obstacle, begin.after(Duration::from_secs(second)));
            assert_eq!((told.available, told.obstacle.is_some()), (available, counts), "after {second} s");
        }
    }

    #[test]
    fn every_earlier_offer_is_looked_at_until_it_is_closed() {
        let mut offer = Remembered::new();
        let mut open = |now: &str, closed: Option<&str>| {
            let now = OfferId::from(now);
            offer.note_present(&now);
            if let Some(id) = closed {
                offer.note_closed(&id.into());
            }
            let open = offer.open(["b", "a", "b", "c"].map(OfferId::from), &now);
            open.iter().map(OfferId::as_str).collect::<String>()
        };
        assert_eq!(open("c", None), "ab");
        assert_eq!(open("c", Some("a")), "b");
        assert_eq!(open("a", None), "bc", "the terms are again what they were");
        assert_eq!(open("c", None), "ab", "and are left again");
    }

    #[test]
    fn a_post_that_is_not_mined_is_waited_for_as_long_as_it_may_be() {
        let mut offer = Remembered::new();
        let [a, b] = &["a", "b"].map(OfferId::from);
        for (id, on_its_way, head, may) in [
            (a, true, 100, true),
            (a, true, 900, true),
            (a, false, 1_000, true),
            (a, false, 1_055, true),
            (b, false, 1_055, true),
            (a, false, 1_056, false),
            (b, false, 1_056, true),
            (b, false, 100, true),
        ] {
            offer.note_missed(id, on_its_way, head);
            assert_eq!(offer.may_come(id, head, 156), may, "{id} {on_its_way} {head}");
        }
    }

    #[test]
    fn what_was_spent_outlasts_the_process_in_the_offers_status() {
        let mut stored = offer("o");
        let now = Now::read();
        let mut declined = 0;
        for process in 0..5_u8 {
            let mut offer = Remembered::new();
            offer.learn(&stored, now.wall);
            for order in 0..10 {
                declined += u32::from(offer.budget.grant_decline(&format!("{process}-{order}").into(), now));
            }
            offer.pace.stop(Some(8), now);
            let status = GpuOfferStatus { spending: offer.spending(now.wall), ..GpuOfferStatus::default() };
            // As the API server keeps it.
            stored.status = Some(serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap());
            assert_eq!(stored.status, Some(status), "a status that is read otherwise is written with each look");
        }
        assert_eq!(declined, 32);
        let mut offer = Remembered::new();
        offer.learn(&stored, now.wall);
        let back = offer.spending(now.wall).unwrap().updates_full_at.unwrap().0;
        assert_eq!(back.as_second(), (now.wall + Duration::from_hours(2)).as_second());
        assert_eq!(offer.spending(now.wall + Duration::from_hours(8)), None, "what is back stands in no status");
    }

    #[test]
    fn nothing_is_kept_of_an_offer_that_is_gone() {
        let memory = OfferMemory::default();
        assert!(memory.peek("t", "o", |offer| offer.canary), "as of one that is looked at for the first time");
        assert!(locked(&memory.offers).is_empty(), "a look at it remembers nothing");
        let [a, b, c, d] = &["a", "b", "c", "d"].map(OfferId::from);
        let on = |id: &OfferId| On::new("n", id.clone());
        for (id, name) in [(a, "o"), (b, "o"), (c, "other")] {
            memory.note_id(id.clone(), &offer(name));
            memory.note_withdrawn(&on(id), 7);
        }
        let elsewhere = On::new("other network", a.clone());
        assert!(memory.offer(&on(a)).is_some() && memory.offer(&elsewhere).is_none());
        memory.forget_ids(&("t".to_owned(), "o".to_owned()));
        assert_eq!([a, b, c].map(|id| memory.offer(&on(id)).is_some()), [false, false, true]);
        assert_eq!(locked(&memory.withdrawn).len(), 1);
        // Under its earlier terms it is known by its status alone.
        for head in [8, 9] {
            memory.note_withdrawn(&on(d), head);
            assert_eq!(memory.withdrawn_since(&on(d)), Some(8));
        }
        memory.forget_withdrawn([on(d)]);
        assert_eq!(memory.withdrawn_since(&on(d)), None);
    }
}
