//! Who may connect: so many in all, so many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::metrics::TurnedAway;
use crate::state::App;

/// The connections there are, by address.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// A connection's place among them, held as long as it lives; requests carry it as an extension, for those that
/// outlive the request.
#[derive(Clone)]
pub(crate) struct Seat {
    _held: Arc<Held>,
}

struct Held {
    app: Arc<App>,
    connections: Arc<Connections>,
    peer: IpAddr,
}

impl Connections {
    pub fn seat(self: &Arc<Self>, app: &Arc<App>, peer: IpAddr) -> Result<Seat, TurnedAway> {
        let peer = neighbourhood(peer);
        let limits = &app.config.limits;
        let mut counts = self.counts.lock();
        if counts.all >= limits.connections {
            return Err(TurnedAway::Full);
        }
        let here = counts.by_peer.get(&peer).copied().unwrap_or(0);
        if here >= limits.connections_per_peer && !peer.is_loopback() {
            return Err(TurnedAway::PeerFull);
        }
        counts.all += 1;
        counts.by_peer.insert(peer, here + 1);
        app.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { _held: Arc::new(Held { app: Arc::clone(app), connections: Arc::clone(self), peer }) })
    }
}

/// What counts as one address: of IPv6, the network a subscriber is given.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let mut octets = ip.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        let mut counts = self.connections.counts.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(here) = counts.by_peer.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                counts.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::neighbourhood;

    #[test]
    fn a_subscriber_with_many_addresses_counts_as_one() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert!(of("::1").is_loopback());
    }
}
