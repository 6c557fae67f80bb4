//! Limits connections that have proved nothing yet: each has a [`Permit`], which is a seat of its class. Whoever proves to be
//! a job's attestor leaves these counts, as a job has one stream: so any number of meters can be behind one address.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hawser_attestation::{Attestor, Knock};
use hawser_market::JobId;
use tokio_util::sync::CancellationToken;

use super::{
    measure::{Class, Measures},
    seats::{Limits, Seated, Seats},
};

/// Connections that have sent nothing yet. They cost a file descriptor each; a meter's first bytes are there within a
/// round trip, so the oldest of whoever has the most go for the next.
const ARRIVING: Limits = Limits { each: usize::MAX, all: 512, own: Duration::ZERO };
/// From the address of an expected job's pod: its tenant, and a meter that has no pass yet. Strangers take none of them.
const PODS: Limits = Limits { each: 8, all: 1024, own: A_PROOF };
/// From anywhere else. Pods have addresses of their own, but some networks hide a node's pods behind the node's.
const STRANGERS: Limits = Limits { each: 16, all: 256, own: A_PROOF };
/// A proof takes a few round trips.
const A_PROOF: Duration = Duration::from_secs(1);
/// How long a connection may take to prove who it is, from its first byte on.
const PROVE_WITHIN: Duration = Duration::from_secs(10);

/// Who waits, in each class.
#[derive(Clone, Debug)]
pub(super) struct PreAuthLimiter(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    measures: Measures,
    arriving: Mutex<Seats<CancellationToken>>,
    pods: Mutex<Seats<CancellationToken>>,
    strangers: Mutex<Seats<CancellationToken>>,
    /// One for each attestor that has a pass: its newest.
    attestors: Mutex<HashMap<(JobId, Attestor), (u64, CancellationToken)>>,
}

/// A place among those who wait.
#[derive(Debug)]
pub(super) struct Permit {
    peers: PreAuthLimiter,
    class: Class,
    address: IpAddr,
    attestor: Option<(JobId, Attestor)>,
    id: u64,
    over: CancellationToken,
    proven: bool,
}

impl PreAuthLimiter {
    pub(super) fn new(measures: Measures) -> Self {
        for (class, limits) in [(Class::Arriving, ARRIVING), (Class::Pod, PODS), (Class::Stranger, STRANGERS)] {
            measures.most_seats(class, limits.all);
        }
        Self(Arc::new(Waiting {
            measures,
            arriving: Mutex::new(Seats::new(ARRIVING)),
            pods: Mutex::new(Seats::new(PODS)),
            strangers: Mutex::new(Seats::new(STRANGERS)),
            attestors: Mutex::default(),
        }))
    }

    /// Somebody has connected and said nothing yet.
    pub(super) fn arrive(&self, peer: SocketAddr, service: &CancellationToken) -> Option<Permit> {
        self.permit(Class::Arriving, peer, service)
    }

    /// Whoever has no pass, from the address of an expected job's pod or from elsewhere.
    pub(super) fn admit(&self, peer: SocketAddr, is_pod: bool, service: &CancellationToken) -> Option<Guard> {
        let permit = self.permit(if is_pod { Class::Pod } else { Class::Stranger }, peer, service)?;
        Some(Guard::new(peer, permit))
    }

    /// An attestor with a good pass: always let in. Its newest connection counts.
    pub(super) fn admit_attestor(&self, peer: SocketAddr, knock: &Knock, service: &CancellationToken) -> Guard {
        let (attestor, over) = ((knock.job, knock.attestor), service.child_token());
        let mut attestors = lock(&self.0.attestors);
        let id = attestors.get(&attestor).map_or(0, |(id, _)| id + 1);
        if let Some((_, before)) = attestors.insert(attestor, (id, over.clone())) {
            before.cancel();
            self.0.measures.evicted(Class::Attestor);
        }
        self.0.measures.seats(Class::Attestor, attestors.len());
        let address = canonical(peer);
        let peers = self.clone();
        let permit =
            Permit { peers, class: Class::Attestor, address, attestor: Some(attestor), id, over, proven: false };
        Guard::new(peer, permit)
    }

    fn permit(&self, class: Class, peer: SocketAddr, service: &CancellationToken) -> Option<Permit> {
        let (address, over) = (canonical(peer), service.child_token());
        let mut seats = self.0.seats(class)?;
        let Some(Seated { id, evicted }) = seats.take(address, over.clone(), Instant::now()) else {
            self.0.measures.refused(class);
            return None;
        };
        self.0.measures.seats(class, seats.len());
        if let Some(evicted) = evicted {
            self.0.measures.evicted(class);
            evicted.cancel();
        }
        Some(Permit { peers: self.clone(), class, address, attestor: None, id, over, proven: false })
    }
}

impl Waiting {
    fn seats(&self, class: Class) -> Option<MutexGuard<'_, Seats<CancellationToken>>> {
        match class {
            Class::Arriving => Some(lock(&self.arriving)),
            Class::Pod => Some(lock(&self.pods)),
            Class::Stranger => Some(lock(&self.strangers)),
            Class::Attestor => None,
        }
    }
}

impl Permit {
    /// Ends with the seat.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// The seat is free again: what was waited for has come.
    pub(super) fn give_back(mut self) {
        self.proven = true;
    }

    fn speaks(&self) {
        if let Some(mut seats) = self.peers.0.seats(self.class) {
            seats.speaks(self.address, self.id);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = &self.peers.0;
        if let Some(attestor) = &self.attestor {
            let mut attestors = lock(&waiting.attestors);
            // Its next connection has the place already, or it is free.
            if attestors.get(attestor).is_some_and(|(id, _)| *id == self.id) {
                attestors.remove(attestor);
            }
            waiting.measures.seats(self.class, attestors.len());
        }
        if let Some(mut seats) = waiting.seats(self.class) {
            // Who goes before a word was said may come back at once: that costs nothing.
            if self.proven || self.class == Class::Arriving {
                seats.free(self.address, self.id);
            } else {
                seats.leave(self.address, self.id, Instant::now());
            }
            waiting.measures.seats(self.class, seats.len());
        }
    }
}

fn canonical(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection from its first byte to its end: its transport holds it, and its conversation.
#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer: SocketAddr,
    permit: Mutex<Option<Permit>>,
    begun: AtomicBool,
    over: CancellationToken,
}

impl Guard {
    fn new(peer: SocketAddr, permit: Permit) -> Self {
        let over = permit.over.clone();
        Self(Arc::new(Inner { peer, permit: Mutex::new(Some(permit)), begun: AtomicBool::new(false), over }))
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Cancelled when the connection has to close, or the service ends.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.0.over
    }

    /// Whether this is the connection's first stream: it has one.
    pub(super) fn begin(&self) -> bool {
        !self.0.begun.swap(true, Ordering::Relaxed)
    }

    /// It says who it is; that is looked at now.
    pub(super) fn speaks(&self) {
        if let Some(permit) = self.0.permit().as_ref() {
            permit.speaks();
        }
    }

    /// It is a job's attestor: its seat is free for the next.
    pub(super) fn proven(&self) {
        if let Some(permit) = self.0.permit().take() {
            permit.give_back();
        }
    }

    /// Ends the connection of who has not proved anything in time.
    pub(super) fn show_out_in_time(&self) {
        let guard: Weak<Inner> = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(PROVE_WITHIN).await;
            if let Some(guard) = guard.upgrade()
                && guard.permit().is_some()
            {
                tracing::debug!(peer = %guard.peer, "proved nothing in time");
                guard.over.cancel();
            }
        });
    }
}

impl Inner {
    fn permit(&self) -> MutexGuard<'_, Option<Permit>> {
        lock(&self.permit)
    }
}

#[cfg(test)]
mod tests {
    use hawser_attestation::{Digest, Pass};

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn peer() -> SocketAddr {
        (ONE, 1).into()
    }

    fn knock() -> Knock {
        let (job, attestor) = (JobId(Digest::ZERO), Attestor::ZERO);
        Knock { job, attestor, pass: Pass::new(b"", job, attestor) }
    }

    #[test]
    fn who_proves_itself_takes_no_seat() {
        let (peers, service) = (PreAuthLimiter::new(Measures::default()), CancellationToken::new());
        for is_pod in [false, true] {
            let admit = || peers.admit(peer(), is_pod, &service).inspect(Guard::proven);
            assert_eq!((0..100).map_while(|_| admit()).count(), 100);
        }
    }

    #[test]
    fn neither_strangers_nor_tenants_take_the_seats_of_the_others_or_keep_a_pass_out() {
        let (peers, service) = (PreAuthLimiter::new(Measures::default()), CancellationToken::new());
        let fill = |is_pod| (0..100).map_while(|_| peers.admit(peer(), is_pod, &service)).collect::<Vec<_>>();
        let strangers = fill(false);
        assert_eq!(strangers.len(), STRANGERS.each);
        let pods = fill(true);
        assert_eq!(pods.len(), PODS.each);
        for _ in 0..100 {
            peers.admit_attestor(peer(), &knock(), &service).proven();
        }
        assert!(pods.iter().chain(&strangers).all(|guard| !guard.over().is_cancelled()));
    }

    #[test]
    fn of_an_attestor_the_newest_connection_counts() {
        let (peers, service) = (PreAuthLimiter::new(Measures::default()), CancellationToken::new());
        let first = peers.admit_attestor(peer(), &knock(), &service);
        let second = peers.admit_attestor(peer(), &knock(), &service);
        assert!(first.over().is_cancelled() && !second.over().is_cancelled());
        drop(first);
        let third = peers.admit_attestor(peer(), &knock(), &service);
        assert!(second.over().is_cancelled() && !third.over().is_cancelled());
        // One that has proved itself is not ended by the next: its job decides which stream it listens to.
        third.proven();
        peers.admit_attestor(peer(), &knock(), &service);
        assert!(!third.over().is_cancelled());
    }

    #[test]
    fn an_address_in_either_way_to_write_it_is_one_address() {
        let (peers, service) = (PreAuthLimiter::new(Measures::default()), CancellationToken::new());
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:1".parse().unwrap();
        let in_turn = [peer(), mapped].into_iter().cycle().take(100);
        let all: Vec<_> = in_turn.map_while(|peer| peers.admit(peer, false, &service)).collect();
        assert_eq!(all.len(), STRANGERS.each);
    }

    #[test]
    fn whoever_says_nothing_makes_room_for_the_next() {
        let (peers, service) = (PreAuthLimiter::new(Measures::default()), CancellationToken::new());
        let silent: Vec<_> = (0..2 * ARRIVING.all).map_while(|_| peers.arrive(peer(), &service)).collect();
        // All come from one address, as a tenant's and its meter's do: the oldest go.
        assert_eq!(silent.len(), 2 * ARRIVING.all);
        assert!(silent[ARRIVING.all - 1].over().is_cancelled() && !silent[ARRIVING.all].over().is_cancelled());
        let other = peers.arrive("10.0.0.2:1".parse().unwrap(), &service);
        assert!(other.is_some() && silent[ARRIVING.all].over().is_cancelled());
    }
}
