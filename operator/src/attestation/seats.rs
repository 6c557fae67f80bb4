//! Who may wait for a proof, and who has to go for whom. Pure: who is there and the time in, a seat or a refusal out.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many seats there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For one address.
    pub(super) each: usize,
    /// For all of them.
    pub(super) all: usize,
    /// A seat is one's own for so long, then the next may have it. The seat of who leaves before stays taken as long:
    /// coming back at once costs more than waiting.
    pub(super) own: Duration,
}

/// Seats of one class, by address.
#[derive(Debug)]
pub(super) struct Seats<T> {
    limits: Limits,
    taken: HashMap<IpAddr, Vec<Taken<T>>>,
    next: u64,
}

#[derive(Debug)]
struct Taken<T> {
    id: u64,
    since: Instant,
    /// It has said who it is, and that is being looked at.
    speaks: bool,
    /// None: it has left without a proof.
    holder: Option<T>,
}

/// A seat was found.
#[derive(Debug)]
pub(super) struct Seated<T> {
    pub(super) id: u64,
    /// Who has to go for it.
    pub(super) evicted: Option<T>,
}

impl<T> Seats<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: HashMap::new(), next: 0 }
    }

    /// Finds a seat. Where an address has all of its own, its oldest has to go, after its time. Where all are taken, the
    /// address with the most loses its oldest at once: who is many leaves room for who is one.
    pub(super) fn take(&mut self, address: IpAddr, holder: T, now: Instant) -> Option<Seated<T>> {
        self.clear(now);
        let own = self.taken.get(&address).map_or(0, Vec::len);
        let evicted = if own >= self.limits.each {
            Some(self.oldest(now, |other| other == address)?)
        } else if self.len() >= self.limits.all {
            Some(self.most(own + 1).or_else(|| self.oldest(now, |_| true))?)
        } else {
            None
        };
        let evicted = evicted.and_then(|(address, id)| self.remove(address, id));
        let id = self.next;
        self.next += 1;
        let taken = Taken { id, since: now, speaks: false, holder: Some(holder) };
        self.taken.entry(address).or_default().push(taken);
        Some(Seated { id, evicted })
    }

    /// It has said who it is: a look at that may take longer than a seat is one's own.
    pub(super) fn speaks(&mut self, address: IpAddr, id: u64) {
        if let Some(taken) = self.find(address, id) {
            taken.speaks = true;
        }
    }

    /// It has proved itself: the seat is free.
    pub(super) fn free(&mut self, address: IpAddr, id: u64) {
        self.remove(address, id);
    }

    /// It is gone without a proof.
    pub(super) fn leave(&mut self, address: IpAddr, id: u64, now: Instant) {
        if let Some(taken) = self.find(address, id) {
            (taken.holder, taken.speaks) = (None, false);
        }
        self.clear(now);
    }

    pub(super) fn len(&self) -> usize {
        self.taken.values().map(Vec::len).sum()
    }

    fn find(&mut self, address: IpAddr, id: u64) -> Option<&mut Taken<T>> {
        self.taken.get_mut(&address)?.iter_mut().find(|taken| taken.id == id)
    }

    fn clear(&mut self, now: Instant) {
        let own = self.limits.own;
        self.taken.retain(|_, taken| {
            taken.retain(|taken| taken.holder.is_some() || !taken.had(own, now));
            !taken.is_empty()
        });
    }

    fn remove(&mut self, address: IpAddr, id: u64) -> Option<T> {
        let taken = self.taken.get_mut(&address)?;
        let at = taken.iter().position(|taken| taken.id == id)?;
        let holder = taken.remove(at).holder;
        if taken.is_empty() {
            self.taken.remove(&address);
        }
        holder
    }

    /// The oldest that has had its time.
    fn oldest(&self, now: Instant, of: impl Fn(IpAddr) -> bool) -> Option<(IpAddr, u64)> {
        let taken = self.taken.iter().filter(|(address, _)| of(**address));
        taken
            .flat_map(|(address, taken)| taken.iter().map(|taken| (*address, taken)))
            .filter(|(_, taken)| taken.had(self.limits.own, now) && !taken.speaks)
            .min_by_key(|(_, taken)| taken.id)
            .map(|(address, taken)| (address, taken.id))
    }

    /// The oldest of the address with the most, where it has more than so many.
    fn most(&self, than: usize) -> Option<(IpAddr, u64)> {
        let crowded = self.taken.iter().filter(|(_, taken)| taken.len() > than);
        let (address, taken) = crowded.max_by_key(|(_, taken)| taken.len())?;
        // Whoever only sits there goes before who has said something.
        taken.iter().min_by_key(|taken| (taken.speaks, taken.id)).map(|taken| (*address, taken.id))
    }
}

impl<T> Taken<T> {
    fn had(&self, own: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits { each: 16, all: 256, own: OWN };

    fn address(n: u16) -> IpAddr {
        IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]])
    }

    /// Seats taken by this address, the number of them and who had to go.
    fn fill(seats: &mut Seats<u16>, n: u16, times: usize, now: Instant) -> (usize, Vec<u16>) {
        let seated: Vec<_> = (0..times).filter_map(|_| seats.take(address(n), n, now)).collect();
        (seated.len(), seated.into_iter().filter_map(|seated| seated.evicted).collect())
    }

    #[test]
    fn sixteen_addresses_that_take_every_seat_keep_nobody_out() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        for attacker in 0..16 {
            assert_eq!(fill(&mut seats, attacker, 20, now), (16, vec![]));
        }
        assert_eq!(seats.len(), 256);
        for meter in 100..355 {
            let seated = seats.take(address(meter), meter, now).unwrap_or_else(|| panic!("meter {meter}"));
            assert!(seated.evicted.is_none_or(|evicted| evicted < 16), "{seated:?}");
            // The attackers come back at once, and find meters' seats taken only by their own.
            assert!(fill(&mut seats, meter % 16, 16, now).1.iter().all(|evicted| *evicted < 16));
            seats.free(address(meter), seated.id);
        }
    }

    #[test]
    fn an_address_has_so_many_seats_and_its_oldest_goes_for_its_next_after_a_second() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        assert_eq!(fill(&mut seats, 1, 17, now).0, 16);
        assert_eq!(fill(&mut seats, 2, 1, now).0, 1, "another address has its own");
        assert_eq!(fill(&mut seats, 1, 1, now + OWN / 2), (0, vec![]));
        assert_eq!(fill(&mut seats, 1, 20, now + OWN), (16, vec![1; 16]));
    }

    #[test]
    fn who_leaves_without_a_proof_blocks_the_seat_for_the_rest_of_a_second() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        fill(&mut seats, 1, 15, now);
        let last = seats.take(address(1), 1, now).unwrap();
        seats.leave(address(1), last.id, now + OWN / 2);
        assert_eq!(fill(&mut seats, 1, 1, now + OWN / 2).0, 0);
        assert_eq!(fill(&mut seats, 1, 1, now + OWN), (1, vec![]), "nobody has to go for it");
    }

    #[test]
    fn whoever_is_being_looked_at_does_not_go_for_one_of_the_same_address() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        for _ in 0..16 {
            let seated = seats.take(address(1), 1, now).unwrap();
            seats.speaks(address(1), seated.id);
        }
        assert_eq!(fill(&mut seats, 1, 1, now + 2 * OWN), (0, vec![]));
        // But many of one address go for one of another.
        for other in 2..17 {
            fill(&mut seats, other, 16, now + 2 * OWN);
        }
        assert_eq!(fill(&mut seats, 99, 1, now + 2 * OWN).0, 1);
    }

    #[test]
    fn a_proof_frees_the_seat_at_once() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        for _ in 0..100 {
            let seated = seats.take(address(1), 1, now).unwrap();
            seats.free(address(1), seated.id);
        }
        assert_eq!(seats.len(), 0);
    }

    #[test]
    fn where_every_address_has_one_the_oldest_goes_after_its_time() {
        let (mut seats, now) = (Seats::new(LIMITS), Instant::now());
        for n in 0..256 {
            assert_eq!(fill(&mut seats, n, 1, now), (1, vec![]));
        }
        assert_eq!(fill(&mut seats, 999, 1, now), (0, vec![]));
        assert_eq!(fill(&mut seats, 999, 1, now + OWN), (1, vec![0]));
    }
}
