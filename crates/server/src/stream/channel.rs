//! One view at one rate in one encoding, as everybody who watches it so is sent it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ringfence::{AccountId, CatchUp, Cursor, Delta, Engine, Released, ViewHead};
use ringfence_wire::{RateClass, ViewSpec};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::bell::Bell;
use super::counters::{Counters, count};
use super::encode;
use super::frame::Frame;
use super::image::{Image, Images, Kind, Want, rounded_down};
use super::ring::{Budget, Ring};

/// Longest a joiner waits for room among the catch-ups under way before it is sent away to come back later.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// What is encoded once for all its subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ChannelKey {
    pub(super) account: AccountId,
    pub(super) view: ViewSpec,
    pub(super) class: RateClass,
    pub(super) encoding: Encoding,
}

/// How frames are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Encoding {
    Json,
}

/// What a channel shares with all others.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) rings: Arc<Budget>,
    /// Room for catch-ups, in units of [`super::image::IMAGE_UNIT_BYTES`].
    pub(super) images: Arc<Semaphore>,
    pub(super) counters: Arc<Counters>,
}

pub(super) struct Channel {
    key: ChannelKey,
    /// The view's canonical text, which every frame names it by.
    text: Arc<str>,
    released: Arc<Released>,
    shared: Arc<Shared>,
    position: Mutex<Position>,
    /// Locked while one is made, so that of a thousand joiners one encodes.
    images: tokio::sync::Mutex<Images>,
    /// A catch-up was kept, and is to be let go of in time.
    kept: Notify,
    bells: Mutex<Vec<Arc<Bell>>>,
    failed: AtomicBool,
}

/// How far the channel has come.
#[derive(Debug)]
struct Position {
    epoch: u64,
    /// The head as of the last pass.
    boundary: u64,
    /// The view's hash there, unless records came between looking at the one and the other.
    hash: Option<u32>,
    ring: Ring,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Everything of the view up to here was sent, or there was nothing to send.
    pub(super) cursor: Cursor,
    /// Where the client knows to be: at the end of the last frame it was sent, or at a heartbeat that proved it. The next
    /// frame may begin no later, or the client would see a gap.
    pub(super) known: u64,
}

impl Place {
    pub(super) fn at(cursor: Cursor) -> Self {
        Self { cursor, known: cursor.seq }
    }

    /// As the client would resume.
    pub(super) fn resume(self) -> Cursor {
        Cursor { seq: self.known, ..self.cursor }
    }
}

/// How a reader stands to its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It misses nothing; its cursor may have moved past records that changed nothing.
    Even,
    /// It was given frames, and there may be more.
    Given,
    /// What it misses is no longer in the ring.
    Behind,
    /// It is in another epoch.
    Foreign,
}

/// No room for a catch-up came free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overloaded;

impl Channel {
    /// Begins at the account's head; [`Channel::run`] goes on from there.
    pub(super) fn new(key: ChannelKey, released: Arc<Released>, shared: Arc<Shared>) -> Self {
        released.watch(&key.view.view);
        // The epoch first: if it changes in between, `run` sees that what was read belongs to no one.
        let epoch = released.epoch();
        let head = released.view_head(&key.view.view);
        let ring = Ring::new(head.seq, Arc::clone(&shared.rings));
        Self {
            text: Arc::from(key.view.to_string()),
            position: Mutex::new(Position { epoch, boundary: head.seq, hash: Some(head.hash), ring }),
            images: tokio::sync::Mutex::default(),
            kept: Notify::new(),
            bells: Mutex::default(),
            failed: AtomicBool::new(false),
            key,
            released,
            shared,
        }
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(super) fn view(&self) -> &ViewSpec {
        &self.key.view
    }

    /// Nobody passes here any more: its task has ended although it had subscribers.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn add_bell(&self, bell: &Arc<Bell>) {
        self.bells.lock().push(Arc::clone(bell));
    }

    pub(super) fn remove_bell(&self, bell: &Arc<Bell>) {
        let mut bells = self.bells.lock();
        if let Some(at) = bells.iter().position(|other| Arc::ptr_eq(other, bell)) {
            bells.swap_remove(at);
        }
    }

    /// How a reader at `cursor` stands, without moving it.
    pub(super) fn standing(&self, cursor: Cursor) -> Standing {
        let position = self.position.lock();
        if cursor.epoch != position.epoch {
            return self.foreign(cursor);
        }
        let Some(mut missed) = position.ring.after(cursor.seq) else { return Standing::Behind };
        if missed.next().is_some() { Standing::Given } else { Standing::Even }
    }

    /// Moves a reader on, putting the frames it passes into `out`: some `bytes` of them, at least one.
    pub(super) fn advance(&self, place: &mut Place, bytes: usize, out: &mut Vec<Frame>) -> Standing {
        let position = self.position.lock();
        if place.cursor.epoch != position.epoch {
            return self.foreign(place.cursor);
        }
        let Some(missed) = position.ring.after(place.cursor.seq) else { return Standing::Behind };
        let mut given = 0;
        for covered in missed {
            if given > 0 && given + covered.frame.len() > bytes {
                return Standing::Given;
            }
            given += covered.frame.len();
            place.cursor.seq = covered.to;
            place.known = covered.to;
            out.push(covered.frame.clone());
        }
        place.cursor.seq = place.cursor.seq.max(position.boundary);
        if given > 0 { Standing::Given } else { Standing::Even }
    }

    /// A reader may know of a new epoch before the channel does; it waits for it.
    fn foreign(&self, cursor: Cursor) -> Standing {
        if cursor.epoch == self.released.epoch() { Standing::Even } else { Standing::Foreign }
    }

    /// The view's hash for a reader at `cursor`, if it is known for exactly there.
    pub(super) fn hash_at(&self, cursor: Cursor) -> Option<u32> {
        let position = self.position.lock();
        let there = cursor == Cursor { epoch: position.epoch, seq: position.boundary };
        if there { position.hash } else { None }
    }

    /// A catch-up for a reader the ring cannot serve. What is asked for as a fold may come as a snapshot.
    pub(super) async fn image(&self, want: Want) -> Result<Arc<Image>, Overloaded> {
        let expected = {
            let images = self.images.lock().await;
            if let Some(image) = self.kept(&images, want) {
                return Ok(image);
            }
            images.expected_units()
        };
        let room = Arc::clone(&self.shared.images).acquire_many_owned(expected);
        let Ok(Ok(room)) = timeout(ROOM_WAIT, room).await else { return Err(Overloaded) };
        let mut images = self.images.lock().await;
        if let Some(image) = self.kept(&images, want) {
            return Ok(image);
        }
        let image = Arc::new(self.make(want, room));
        images.keep(&image);
        drop(images);
        self.kept.notify_one();
        Ok(image)
    }

    /// Passes on whatever is released, until it is dropped with its last subscriber.
    pub(super) async fn run(self: Arc<Self>) {
        let _fails_if_dropped_early = FailsWithoutNotice(&self);
        let window = Duration::from_millis(u64::from(self.key.class.ms()));
        let mut window_ends = Instant::now();
        loop {
            let (epoch, boundary) = {
                let position = self.position.lock();
                (position.epoch, position.boundary)
            };
            // Not waited for: whoever makes one says so afterwards.
            let over = self.images.try_lock().ok().and_then(|mut images| images.expire(Instant::now()));
            tokio::select! {
                biased;
                () = self.released.changed(Cursor { epoch, seq: boundary }) => {}
                () = self.kept.notified() => continue,
                () = reached(over) => continue,
            }
            if self.released.epoch() != epoch {
                if !self.begin_anew().await {
                    return;
                }
            } else {
                sleep_until(window_ends).await;
                self.pass(epoch, boundary);
                window_ends = Instant::now() + window;
                // Lets the readers write what there is before the next record is encoded by itself.
                tokio::task::yield_now().await;
            }
        }
    }

    fn kept(&self, images: &Images, want: Want) -> Option<Arc<Image>> {
        let position = self.position.lock();
        images.find(want, position.epoch, self.released.head(), &position.ring)
    }

    fn make(&self, want: Want, room: OwnedSemaphorePermit) -> Image {
        let view = &self.key.view;
        let (cursor, caught) = match want {
            Want::Whole { not_before } => {
                let cursor = Cursor { epoch: self.released.epoch(), seq: not_before };
                (cursor, self.released.catch_up(&view.view, None))
            }
            Want::Since(cursor) => (cursor, self.catch_up_rounded(cursor)),
        };
        // A fold is of its cursor's epoch: from another it would have come as a snapshot.
        let Cursor { epoch, seq } = cursor;
        match caught {
            CatchUp::Snapshot(snapshot) => {
                count(&self.shared.counters.snapshots_encoded);
                let frames = encode::snapshot(view, &snapshot);
                Image::new(snapshot.epoch, snapshot.seq, Kind::Snapshot, frames, room)
            }
            CatchUp::Delta(delta) => {
                count(&self.shared.counters.folds_encoded);
                let parts = encode::delta(view, epoch, delta.from, &delta);
                let frames = parts.into_iter().map(|part| part.frame).collect();
                Image::new(epoch, delta.to, Kind::Fold { from: delta.from }, frames, room)
            }
            CatchUp::Passed { to } => {
                // Said aloud: the next frame may begin beyond what the reader knows to have.
                let head = self.released.view_head(&view.view);
                let at = self.shared.engine.now();
                let frame = encode::nothing_changed(view, epoch, seq, to, at, &head).frame;
                Image::new(epoch, to, Kind::Fold { from: seq }, vec![frame], room)
            }
            CatchUp::Live => Image::new(epoch, seq, Kind::Fold { from: seq }, Vec::new(), room),
        }
    }

    /// From the boundary shared with others where that is possible, else from the cursor itself.
    fn catch_up_rounded(&self, cursor: Cursor) -> CatchUp {
        let view = &self.key.view.view;
        let shared = Cursor { seq: rounded_down(cursor.seq, self.released.head()), ..cursor };
        match self.released.catch_up(view, Some(shared)) {
            // Below the tombstones, or nothing to share: the cursor itself may do better.
            CatchUp::Snapshot(_) | CatchUp::Passed { .. } | CatchUp::Live => {
                self.released.catch_up(view, Some(cursor))
            }
            CatchUp::Delta(delta) => CatchUp::Delta(delta),
        }
    }

    /// Encodes what was released since the last pass.
    fn pass(&self, epoch: u64, boundary: u64) {
        let view = &self.key.view.view;
        let before = self.released.view_head(view);
        match self.released.catch_up(view, Some(Cursor { epoch, seq: boundary })) {
            CatchUp::Live => {}
            CatchUp::Passed { to } => {
                let mut position = self.position.lock();
                position.boundary = to;
                // Looked at within the passed records, none of which changes it.
                position.hash = (before.seq >= boundary).then_some(before.hash);
            }
            CatchUp::Delta(delta) => self.push(epoch, &delta, before),
            CatchUp::Snapshot(snapshot) if snapshot.epoch == epoch => {
                // More was removed within one window than there are tombstones for.
                let mut position = self.position.lock();
                position.ring.restart(snapshot.seq);
                position.boundary = snapshot.seq;
                position.hash = Some(snapshot.hash);
                drop(position);
                self.ring_all();
            }
            // The next look finds the new epoch.
            CatchUp::Snapshot(_) => {}
        }
    }

    fn push(&self, epoch: u64, delta: &Delta, before: ViewHead) {
        let from = self.position.lock().ring.end();
        let parts = encode::delta(&self.key.view, epoch, from, delta);
        let after = self.released.view_head(&self.key.view.view);
        let hash = [before, after].into_iter().find(|head| head.seq == delta.to).map(|head| head.hash);
        let mut position = self.position.lock();
        for part in parts {
            position.ring.push(part);
        }
        position.boundary = delta.to;
        position.hash = hash;
        drop(position);
        count(&self.shared.counters.passes);
        self.ring_all();
    }

    /// Another epoch has begun: its rows are asked for again, and every reader is told to forget. False: the account
    /// does not answer, or with rows of its own.
    async fn begin_anew(&self) -> bool {
        match self.shared.engine.account(&self.key.account).released().await {
            Ok(released) if Arc::ptr_eq(&released, &self.released) => {}
            Ok(_) | Err(_) => return false,
        }
        let epoch = self.released.epoch();
        let head = self.released.view_head(&self.key.view.view);
        let mut position = self.position.lock();
        position.ring.restart(head.seq);
        position.epoch = epoch;
        position.boundary = head.seq;
        position.hash = Some(head.hash);
        drop(position);
        self.ring_all();
        true
    }

    fn ring_all(&self) {
        for bell in self.bells.lock().iter() {
            bell.ring();
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.released.unwatch(&self.key.view.view);
    }
}

/// Without a time it is never reached.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Tells subscribers that wait for a channel whose task is no more.
struct FailsWithoutNotice<'a>(&'a Channel);

impl Drop for FailsWithoutNotice<'_> {
    fn drop(&mut self) {
        self.0.failed.store(true, Ordering::Release);
        self.0.ring_all();
    }
}
