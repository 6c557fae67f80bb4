//! Where this process is reached: by IPv6 and IPv4 alike, whichever the pod has.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// Listens at an address. `[::]` takes connections of both families; where there is no IPv6, it is `0.0.0.0`.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) => match instead(address, &error) {
            Some(other) => TcpListener::bind(other).await,
            None => Err(error),
        },
    }
}

/// What to listen at in place of an address that can't be had.
fn instead(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let every_v6 = address.is_ipv6() && address.ip().is_unspecified();
    // Somebody else has the port, or this process may not: that is so with IPv4 too, and better said than hidden.
    let is_about_the_port = matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
    (every_v6 && !is_about_the_port).then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_every_address_of_a_family_that_is_not_there_becomes_every_address_of_the_other() {
        const NO_SUCH_FAMILY: i32 = 97;
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let no_family = || io::Error::from_raw_os_error(NO_SUCH_FAMILY);
        for (listen, error, expected) in [
            ("[::]:8080", no_family(), Some("0.0.0.0:8080")),
            ("[::]:8080", ErrorKind::AddrNotAvailable.into(), Some("0.0.0.0:8080")),
            ("[::]:8080", ErrorKind::AddrInUse.into(), None),
            ("[::]:80", ErrorKind::PermissionDenied.into(), None),
            ("[::1]:8080", no_family(), None),
            ("0.0.0.0:8080", no_family(), None),
        ] {
            assert_eq!(instead(address(listen), &error), expected.map(address), "{listen} {error}");
        }
    }

    #[tokio::test]
    async fn every_address_is_reached_by_ipv4_and_where_there_is_ipv6_by_that_too() {
        let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::net::TcpStream::connect(("127.0.0.1", at.port())).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert!(peer.ip().to_canonical().is_ipv4(), "{peer}");
        if at.is_ipv6() && TcpListener::bind("[::1]:0").await.is_ok() {
            tokio::net::TcpStream::connect(("::1", at.port())).await.unwrap();
            listener.accept().await.unwrap();
        }
    }
}
