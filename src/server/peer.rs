//! The sender of a request: connections, bytes and turns are shared among peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio::time::Instant;

use super::activity::Activity;

/// A peer: an IPv4 address, or an IPv6 network, for a machine can choose any address of its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer at this address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self(Ipv6Addr::from_bits(network).into())
            }
            address => Self(address),
        }
    }
}

/// The sender of a request, as its connection shows it. Each request carries one in its extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address.
    pub peer: Peer,
    /// Whether the handshake proved a client certificate.
    pub certified: bool,
    /// When its wait began. For the first request on a connection: when the connection was made.
    pub since: Option<Instant>,
    pub(super) activity: Arc<Activity>,
}

impl Caller {
    /// A caller at this address, on a connection of its own.
    pub fn at(address: IpAddr) -> Self {
        Self { peer: Peer::of(address), certified: false, since: None, activity: Arc::default() }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_ipv6_network_or_an_ipv4_address_in_any_notation() {
        let peer = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    }
}
