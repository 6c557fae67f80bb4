//! Ports for programs that take theirs as an option.
//!
//! A port that the kernel gave is one that it gives again: before the program binds it, it may be the source of somebody's
//! connection. These lie below the range that sources come from, and each process of ours begins elsewhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};

/// First port of the range, and how many there are: below 32,768, where Linux' ephemeral ports begin, and above the ports that
/// the local cluster and the tests name.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Addresses on loopback that nobody listens on.
///
/// # Errors
/// When there are none.
pub fn free<const N: usize>() -> Result<[SocketAddr; N]> {
    let begin = std::process::id().wrapping_mul(97);
    let mut found = Vec::with_capacity(N);
    for _ in 0..COUNT {
        let at = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(FIRST + at)?));
        if TcpListener::bind(address).is_ok() {
            found.push(address);
        }
        if found.len() == N {
            break;
        }
    }
    ensure!(found.len() == N, "no {N} ports of 127.0.0.1 from {FIRST} to {} are free", FIRST + COUNT);
    Ok(std::array::from_fn(|n| found[n]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice_nor_comes_from_where_sources_do() {
        let (one, two) = (free::<3>().unwrap(), free::<3>().unwrap());
        let all: std::collections::BTreeSet<_> = one.iter().chain(&two).collect();
        assert_eq!(all.len(), 6);
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let lowest: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(all.iter().all(|address| address.port() < lowest), "{all:?} and {lowest}");
    }

    #[test]
    fn a_port_that_is_listened_on_is_passed_over() {
        let [next] = free::<1>().unwrap();
        let held = SocketAddr::from((Ipv4Addr::LOCALHOST, next.port() + 1));
        let _held = TcpListener::bind(held).unwrap();
        assert_ne!(free::<1>().unwrap(), [held]);
    }
}
