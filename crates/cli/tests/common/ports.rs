//! Ports nobody has. Between the look and the use somebody may take one; the kernel gives out its ports in an order that
//! makes this rare, and whoever then fails to listen says so.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port of loopback that is free for both TCP and UDP.
pub fn free() -> u16 {
    for _ in 0..100 {
        let listener = TcpListener::bind(at(0)).expect("a free TCP port");
        let port = listener.local_addr().expect("its address").port();
        if UdpSocket::bind(at(port)).is_ok() {
            return port;
        }
    }
    panic!("no port of loopback is free for TCP and UDP both")
}
