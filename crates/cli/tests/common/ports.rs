//! Ports nobody has.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what the kernel gives to outgoing connections (32768 and up): one of those could take a port between the look and
/// the use, or, while a server is away, connect to itself.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port of loopback that is free for both TCP and UDP, and is given out once.
pub fn free() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run at the same time begin in different places.
    let begin = std::process::id().wrapping_mul(101) % COUNT;
    for _ in 0..COUNT {
        let step = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + (begin + step) % COUNT).expect("a port");
        if TcpListener::bind(at(port)).is_ok() && UdpSocket::bind(at(port)).is_ok() {
            return port;
        }
    }
    panic!("no port of loopback is free for TCP and UDP both")
}
