//! An address of this machine that is not loopback: Kubernetes takes no loopback address for an endpoint's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, Result, ensure};

/// The address that this machine would speak from. Nothing is sent: a datagram's socket is only pointed somewhere.
pub(crate) fn address() -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // A network that is kept for documentation.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).context(
        "this machine has no route to anywhere, and so no address but loopback, which Kubernetes takes for no \
         endpoint; give it one: ip link add dummy0 type dummy && ip addr add 192.0.2.1/24 dev dummy0 && \
         ip link set dummy0 up && ip route add default dev dummy0",
    )?;
    let address = socket.local_addr()?.ip();
    ensure!(!address.is_loopback() && !address.is_unspecified(), "{address} is no address for an endpoint");
    Ok(address)
}

/// Two free ports there.
pub(crate) fn two_free(address: IpAddr) -> Result<(SocketAddr, SocketAddr)> {
    // Both held at once, or they might be the same.
    let (one, other) = (TcpListener::bind((address, 0))?, TcpListener::bind((address, 0))?);
    Ok((one.local_addr()?, other.local_addr()?))
}
