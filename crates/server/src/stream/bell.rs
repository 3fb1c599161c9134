//! How a connection is woken: by its channels when they have something, and by the server when it has to go.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Why a connection has to go although its client did nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The credential is no longer valid.
    Revoked,
    /// The server drains; the client may come back this many milliseconds from now.
    Drain { retry_ms: u32 },
}

const NO_ORDER: u64 = 0;
const REVOKED: u64 = 1;
/// Added to a drain's delay, so that no delay looks like another order.
const DRAIN: u64 = 2;

/// One connection's doorbell. Rings while nobody listens are remembered as one.
#[derive(Debug, Default)]
pub(super) struct Bell {
    changed: Notify,
    ordered: Notify,
    order: AtomicU64,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.changed.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.changed.notified().await;
    }

    /// The first order stands.
    pub(super) fn order(&self, order: Order) {
        let code = match order {
            Order::Revoked => REVOKED,
            Order::Drain { retry_ms } => DRAIN + u64::from(retry_ms),
        };
        let _ = self.order.compare_exchange(NO_ORDER, code, Ordering::AcqRel, Ordering::Acquire);
        self.ordered.notify_one();
    }

    /// Returns when the connection has to go.
    pub(super) async fn ordered(&self) -> Order {
        loop {
            match self.order.load(Ordering::Acquire) {
                NO_ORDER => self.ordered.notified().await,
                REVOKED => return Order::Revoked,
                drain => return Order::Drain { retry_ms: u32::try_from(drain - DRAIN).unwrap_or(u32::MAX) },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_before_anybody_listens_is_heard_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.rung().await;
        let second = tokio::time::timeout(std::time::Duration::ZERO, bell.rung()).await;
        assert!(second.is_err());
    }

    #[tokio::test]
    async fn the_first_order_stands() {
        let bell = Bell::default();
        bell.order(Order::Drain { retry_ms: 0 });
        bell.order(Order::Revoked);
        assert_eq!(bell.ordered().await, Order::Drain { retry_ms: 0 });
    }
}
