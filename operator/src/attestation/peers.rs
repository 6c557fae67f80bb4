use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Streams that one address may have open. Pods have addresses of their own, but some networks hide a node's pods
/// behind the node's.
const STREAMS_PER_ADDRESS: u32 = 256;

/// Counts open streams by peer address, before anybody has proved anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One open stream.
#[derive(Debug)]
pub(super) struct Seat {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// `None`: the address has as many as it may.
    pub(super) fn seat(&self, address: IpAddr) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= STREAMS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Seat { peers: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_streams_and_gets_them_back() {
        let (peers, one, other) = (Peers::default(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut seats: Vec<_> = (0..STREAMS_PER_ADDRESS).map_while(|_| peers.seat(one)).collect();
        assert_eq!(seats.len(), STREAMS_PER_ADDRESS as usize);
        assert!(peers.seat(one).is_none());
        assert!(peers.seat(other).is_some());
        seats.pop();
        assert!(peers.seat(one).is_some());
    }
}
