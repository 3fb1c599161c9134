//! Which channels there are, and who listens to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use ringfence::{Engine, Released};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::bell::Bell;
use super::channel::{Channel, ChannelKey, Shared};
use super::counters::{Counters, StreamCounters, count};
use super::image::{IMAGE_UNIT_BYTES, IMAGES_BYTES_MAX};
use super::ring::Budget;

/// A channel lives from its first subscriber to its last.
pub(super) struct Hub {
    channels: Mutex<HashMap<ChannelKey, Open>>,
    shared: Arc<Shared>,
}

struct Open {
    channel: Arc<Channel>,
    task: AbortHandle,
    subscribers: usize,
}

/// Somebody listens to a channel for as long as this lives.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    key: ChannelKey,
    channel: Arc<Channel>,
    bell: Arc<Bell>,
}

impl Hub {
    /// `ring_bytes` is what all rings may keep together.
    pub(super) fn new(engine: &Engine, counters: Arc<Counters>, ring_bytes: usize) -> Self {
        let shared = Shared {
            engine: engine.clone(),
            rings: Arc::new(Budget::new(ring_bytes)),
            images: Arc::new(Semaphore::new(IMAGES_BYTES_MAX / IMAGE_UNIT_BYTES)),
            counters,
        };
        Self { channels: Mutex::default(), shared: Arc::new(shared) }
    }

    /// Rings `bell` from here on whenever the channel has something.
    pub(super) fn join(
        self: &Arc<Self>,
        key: ChannelKey,
        released: &Arc<Released>,
        bell: &Arc<Bell>,
    ) -> Subscription {
        let mut channels = self.channels.lock();
        let open = channels.entry(key.clone()).or_insert_with(|| {
            let shared = Arc::clone(&self.shared);
            let channel = Arc::new(Channel::new(key.clone(), Arc::clone(released), shared));
            let task = tokio::spawn(Arc::clone(&channel).run()).abort_handle();
            Open { channel, task, subscribers: 0 }
        });
        open.subscribers += 1;
        open.channel.add_bell(bell);
        count(&self.shared.counters.subscriptions);
        let (channel, bell) = (Arc::clone(&open.channel), Arc::clone(bell));
        Subscription { hub: Arc::clone(self), key, channel, bell }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(super) fn read_counters(&self) -> StreamCounters {
        StreamCounters {
            channels: self.channels.lock().len() as u64,
            ring_bytes: self.shared.rings.used() as u64,
            ring_frames_refused: self.shared.rings.refused() as u64,
            ..self.shared.counters.read()
        }
    }
}

impl Subscription {
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.remove_bell(&self.bell);
        self.hub.shared.counters.subscriptions.fetch_sub(1, Ordering::Relaxed);
        let mut channels = self.hub.channels.lock();
        let Some(open) = channels.get_mut(&self.key) else { return };
        open.subscribers -= 1;
        if open.subscribers == 0 {
            open.task.abort();
            channels.remove(&self.key);
        }
    }
}
