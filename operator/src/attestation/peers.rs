//! How many may be at the door: connections that have proved nothing yet, by address and over all. Whoever proves to be
//! a job's attestor leaves these counts, as a job has one stream: so any number of meters can be behind one address.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Unproven connections of one address. Pods have addresses of their own, but some networks hide a node's pods behind
/// the node's: after a restart of the operator its meters then get in so many at a time.
const SEATS_PER_ADDRESS: usize = 16;
/// Unproven connections of all addresses.
const SEATS: usize = 256;
/// The seat of who leaves without a proof stays taken for so long: coming back at once costs more than waiting.
const LEFT_FOR: Duration = Duration::from_secs(1);
/// How long a connection may take to prove who it is, from accept on.
const PROVE_WITHIN: Duration = Duration::from_secs(10);

/// Seats taken, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, Taken>>>);

#[derive(Debug, Default)]
struct Taken {
    open: usize,
    /// When those left who proved nothing.
    left: Vec<Instant>,
}

/// One unproven connection.
#[derive(Debug)]
struct Seat {
    peers: Peers,
    address: IpAddr,
    proven: bool,
}

impl Peers {
    /// Lets a connection in, or does not.
    pub(super) fn admit(&self, peer: SocketAddr, service: &CancellationToken) -> Option<Visit> {
        let seat = self.seat(peer.ip().to_canonical(), Instant::now())?;
        let over = service.child_token();
        Some(Visit(Arc::new(Inner { peer, seat: Mutex::new(Some(seat)), begun: AtomicBool::new(false), over })))
    }

    fn seat(&self, address: IpAddr, now: Instant) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, taken| {
            taken.left.retain(|at| now.saturating_duration_since(*at) < LEFT_FOR);
            taken.count() > 0
        });
        let all: usize = taken.values().map(Taken::count).sum();
        if all >= SEATS || taken.get(&address).is_some_and(|taken| taken.count() >= SEATS_PER_ADDRESS) {
            return None;
        }
        taken.entry(address).or_default().open += 1;
        Some(Seat { peers: self.clone(), address, proven: false })
    }
}

impl Taken {
    fn count(&self) -> usize {
        self.open + self.left.len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = taken.get_mut(&self.address) {
            taken.open -= 1;
            if !self.proven {
                taken.left.push(Instant::now());
            }
        }
    }
}

/// A connection from accept to its end: its transport holds it, and its conversation.
#[derive(Clone, Debug)]
pub(super) struct Visit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer: SocketAddr,
    seat: Mutex<Option<Seat>>,
    begun: AtomicBool,
    over: CancellationToken,
}

impl Visit {
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

    /// It is a job's attestor: its seat is free for the next.
    pub(super) fn proven(&self) {
        if let Some(mut seat) = self.0.seat().take() {
            seat.proven = true;
        }
    }

    /// Ends the visit of who has not proved anything in time.
    pub(super) fn show_out_in_time(&self) {
        let visit: Weak<Inner> = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(PROVE_WITHIN).await;
            if let Some(visit) = visit.upgrade()
                && visit.seat().is_some()
            {
                tracing::debug!(peer = %visit.peer, "proved nothing in time");
                visit.over.cancel();
            }
        });
    }
}

impl Inner {
    fn seat(&self) -> std::sync::MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn seats(peers: &Peers, n: usize) -> Vec<Seat> {
        (0..n).map_while(|_| peers.seat(ONE, Instant::now())).collect()
    }

    #[test]
    fn an_address_has_so_many_seats_and_who_leaves_without_a_proof_blocks_one_for_a_second() {
        let peers = Peers::default();
        let mut taken = seats(&peers, SEATS_PER_ADDRESS + 1);
        assert_eq!(taken.len(), SEATS_PER_ADDRESS);
        assert!(peers.seat(IpAddr::from([10, 0, 0, 2]), Instant::now()).is_some());
        taken.pop();
        assert!(peers.seat(ONE, Instant::now()).is_none());
        assert!(peers.seat(ONE, Instant::now() + LEFT_FOR).is_some());
    }

    #[test]
    fn who_proves_itself_takes_no_seat() {
        let (peers, service) = (Peers::default(), CancellationToken::new());
        let admit = || peers.admit((ONE, 1).into(), &service);
        let inside: Vec<Visit> = (0..10 * SEATS_PER_ADDRESS).map_while(|_| admit().inspect(Visit::proven)).collect();
        assert_eq!(inside.len(), 10 * SEATS_PER_ADDRESS);
        assert_eq!(seats(&peers, 100).len(), SEATS_PER_ADDRESS);
    }

    #[test]
    fn all_addresses_together_have_so_many_seats() {
        let peers = Peers::default();
        let from = |n: u16| IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
        let taken: Vec<_> = (0..1000).map_while(|n| peers.seat(from(n), Instant::now())).collect();
        assert_eq!(taken.len(), SEATS);
    }
}
