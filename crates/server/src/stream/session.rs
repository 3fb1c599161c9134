//! What one connection watches and how far it has come, whatever carries it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ringfence::{AccountId, Cursor};
use ringfence_wire::close::CloseCode;
use ringfence_wire::frame::{HEARTBEAT_MS, VIEWS_MAX};
use ringfence_wire::server::{Bye, Heartbeat, Hello, How, Limits, Reset, ViewBeat};
use ringfence_wire::{Profile, RateClass, ServerFrame, ViewSpec};
use tokio::time::Instant;

use super::bell::{Bell, Order};
use super::channel::{ChannelKey, Encoding, Overloaded, Place, Standing};
use super::counters::count;
use super::encode;
use super::frame::Frame;
use super::hub::{Hub, Subscription};
use super::image::{Image, Kind, Want};
use super::socket::Lost;

/// Bytes gathered before they are written: one large frame, or many small ones.
const BATCH_BYTES: usize = 64 * 1024;

/// Longest a reader may take for one catch-up. It is held in memory for its readers, and what is held for slow ones is
/// missing for those who join.
const CATCH_UP_TIME: Duration = Duration::from_secs(120);

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client went.
    Gone,
    Closed(CloseCode),
    Ordered(Order),
}

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSubscription {
    #[error("this connection watches that view already; unsubscribe first")]
    Twice,
    #[error("a connection watches at most {VIEWS_MAX} views")]
    TooMany,
    #[error(transparent)]
    Account(#[from] ringfence::Error),
    #[error("too many snapshots are under way; try again")]
    Overloaded,
}

pub(super) struct Session {
    hub: Arc<Hub>,
    account: AccountId,
    bell: Arc<Bell>,
    watched: Vec<Watched>,
    /// Where the next round begins, so that one busy view does not keep the others waiting.
    next: usize,
    heartbeat_ms: u32,
}

/// One view of a connection: a cursor, and nothing queued.
struct Watched {
    subscription: Subscription,
    place: Place,
    sending: Option<Sending>,
}

/// A catch-up under way. It is shared; no other frame of the view comes between its frames.
struct Sending {
    image: Arc<Image>,
    /// The next of its frames.
    next: usize,
    until: Instant,
}

impl Sending {
    fn new(image: Arc<Image>) -> Self {
        Self { image, next: 0, until: Instant::now() + CATCH_UP_TIME }
    }
}

/// How a subscription began.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) view: Arc<str>,
    pub(super) at: Cursor,
    pub(super) how: How,
    /// What the client came with is worth nothing.
    pub(super) reset: Option<&'static str>,
}

impl Session {
    pub(super) fn new(hub: &Arc<Hub>, account: AccountId, bell: Arc<Bell>, heartbeat_ms: u32) -> Self {
        count(&hub.counters().connections);
        Self {
            hub: Arc::clone(hub),
            account,
            bell,
            watched: Vec::new(),
            next: 0,
            heartbeat_ms: heartbeat_ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end()),
        }
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(super) fn account(&self) -> &AccountId {
        &self.account
    }

    pub(super) fn heartbeat_ms(&self) -> u32 {
        self.heartbeat_ms
    }

    /// Outside the allowed interval the nearest allowed one is taken; `hello` and the heartbeats show it.
    pub(super) fn set_heartbeat(&mut self, ms: u32) {
        self.heartbeat_ms = ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
    }

    pub(super) fn hello(&self, session: &str, node: &str) -> Frame {
        encode::other(&ServerFrame::Hello(Hello {
            session: session.to_owned(),
            node: node.to_owned(),
            now: self.hub.engine().now(),
            heartbeat_ms: self.heartbeat_ms,
            limits: Limits::default(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    /// Starts watching a view, from `since` if that is possible.
    pub(super) async fn subscribe(
        &mut self,
        view: ViewSpec,
        class: RateClass,
        since: Option<Cursor>,
    ) -> Result<Begun, NoSubscription> {
        if self.find(&view).is_some() {
            return Err(NoSubscription::Twice);
        }
        if self.watched.len() >= VIEWS_MAX as usize {
            return Err(NoSubscription::TooMany);
        }
        let released = self.hub.engine().account(&self.account).released().await?;
        let key = ChannelKey { account: self.account.clone(), view, class, encoding: Encoding::Json };
        let subscription = self.hub.join(key, &released, &self.bell);
        let channel = subscription.channel();
        let reset = since.and_then(|cursor| {
            let foreign = (cursor.epoch != released.epoch()).then_some("the epoch is another one");
            foreign.or((cursor.seq > released.head()).then_some("the seq is beyond the server's head"))
        });
        let resumed = since.filter(|_| reset.is_none());
        let (cursor, how, sending) = match resumed.map(|cursor| (cursor, channel.standing(cursor))) {
            Some((cursor, Standing::Even)) => (cursor, How::Live, None),
            Some((cursor, Standing::Given)) => (cursor, How::CatchUp, None),
            Some((cursor, Standing::Behind)) => {
                let image = channel.image(Want::Since(cursor)).await?;
                match image.kind {
                    Kind::Snapshot => (image.cursor(), How::Snapshot, Some(Sending::new(image))),
                    Kind::Fold { .. } => (cursor, How::CatchUp, Some(Sending::new(image))),
                }
            }
            Some((_, Standing::Foreign)) | None => {
                let image = channel.image(Want::Whole { not_before: 0 }).await?;
                (image.cursor(), How::Snapshot, Some(Sending::new(image)))
            }
        };
        let begun = Begun { view: Arc::clone(channel.text()), at: cursor, how, reset };
        if let Some(sending) = &sending {
            self.count_image(&sending.image);
        }
        self.watched.push(Watched { subscription, place: Place::at(cursor), sending });
        Ok(begun)
    }

    /// False: it was not watched.
    pub(super) fn unsubscribe(&mut self, view: &ViewSpec) -> bool {
        let found = self.find(view);
        if let Some(at) = found {
            self.watched.remove(at);
        }
        found.is_some()
    }

    /// A view again, whole, in place of whatever was under way. False: it is not watched.
    pub(super) async fn resync(&mut self, view: &ViewSpec) -> Result<bool, Overloaded> {
        let Some(at) = self.find(view) else { return Ok(false) };
        let watched = &mut self.watched[at];
        let want = Want::Whole { not_before: watched.place.cursor.seq };
        let image = watched.subscription.channel().image(want).await?;
        watched.sending = Some(Sending::new(Arc::clone(&image)));
        count(&self.hub.counters().resyncs);
        self.count_image(&image);
        Ok(true)
    }

    pub(super) fn watches_numbers(&self) -> bool {
        self.watched.iter().any(|watched| watched.subscription.channel().view().profile == Profile::Full)
    }

    /// Puts the next frames of some view into `out`. False: there are none, until the bell rings.
    pub(super) async fn gather(&mut self, out: &mut Vec<Frame>) -> Result<bool, End> {
        for _ in 0..self.watched.len() {
            let at = self.next % self.watched.len();
            self.next = at + 1;
            if self.gather_of(at, out).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When what was gathered has to be written, if it is part of a catch-up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.watched.iter().filter_map(|watched| watched.sending.as_ref().map(|sending| sending.until)).min()
    }

    /// Where the connection stands, as of what was gathered so far.
    pub(super) fn heartbeat(&mut self) -> Frame {
        let now = self.hub.engine().now();
        let still = self.watched.iter_mut().filter(|watched| watched.sending.is_none());
        let views = still.map(Watched::beat).collect();
        encode::other(&ServerFrame::Heartbeat(Heartbeat { now, views }))
    }

    fn find(&self, view: &ViewSpec) -> Option<usize> {
        self.watched.iter().position(|watched| watched.subscription.channel().view() == view)
    }

    async fn gather_of(&mut self, at: usize, out: &mut Vec<Frame>) -> Result<bool, End> {
        let watched = &mut self.watched[at];
        if watched.send_on(out) {
            return Ok(true);
        }
        let channel = watched.subscription.channel();
        if channel.failed() {
            return Err(End::Closed(CloseCode::Internal));
        }
        let (want, why) = match channel.advance(&mut watched.place, BATCH_BYTES, out) {
            Standing::Even => return Ok(false),
            Standing::Given => return Ok(true),
            Standing::Behind => (Want::Since(watched.place.resume()), "too much was removed since"),
            Standing::Foreign => (Want::Whole { not_before: 0 }, "the account began anew"),
        };
        // Rare, and large while it waits: apart from the rest.
        let image = Box::pin(channel.image(want)).await?;
        if image.kind == Kind::Snapshot {
            count(&self.hub.counters().resets);
            out.push(reset(channel.text(), why));
        }
        watched.sending = Some(Sending::new(Arc::clone(&image)));
        watched.send_on(out);
        self.count_image(&image);
        Ok(true)
    }

    fn count_image(&self, image: &Image) {
        let counters = self.hub.counters();
        match image.kind {
            Kind::Snapshot => count(&counters.snapshots),
            Kind::Fold { .. } => count(&counters.folds),
        }
    }
}

impl Watched {
    fn beat(&mut self) -> ViewBeat {
        let channel = self.subscription.channel();
        let Cursor { seq, .. } = self.place.cursor;
        let hash = channel.hash_at(self.place.cursor);
        if hash.is_some() {
            self.place.known = seq;
        }
        ViewBeat { view: channel.text().to_string(), seq, hash }
    }

    /// Goes on with a catch-up. False: none is under way.
    fn send_on(&mut self, out: &mut Vec<Frame>) -> bool {
        let Some(Sending { image, next, .. }) = &mut self.sending else { return false };
        let mut given = 0;
        while let Some(frame) = image.frames.get(*next)
            && (given == 0 || given + frame.len() <= BATCH_BYTES)
        {
            given += frame.len();
            out.push(frame.clone());
            *next += 1;
        }
        if *next == image.frames.len() {
            self.place = Place::at(image.cursor());
            self.sending = None;
        }
        true
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hub.counters().connections.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn reset(view: &str, why: &'static str) -> Frame {
    encode::other(&ServerFrame::Reset(Reset { view: view.to_owned(), why: why.into() }))
}

/// The last frame of a connection: when to come back, if it is worth it.
pub(super) fn bye(end: End) -> Option<(CloseCode, Frame)> {
    let (code, retry_ms) = match end {
        End::Gone => return None,
        End::Closed(code) => (code, [RETRY_MS, 10 * RETRY_MS]),
        End::Ordered(Order::Revoked) => (CloseCode::Ticket, [RETRY_MS, 10 * RETRY_MS]),
        End::Ordered(Order::Drain { retry_ms }) => (CloseCode::Draining, [retry_ms, retry_ms + RETRY_MS]),
    };
    Some((code, encode::other(&ServerFrame::Bye(Bye { code, retry_ms }))))
}

/// Width of a client's window in a drain, and the least wait after any other close.
const RETRY_MS: u32 = 1_000;

impl From<Overloaded> for NoSubscription {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<Overloaded> for End {
    fn from(_: Overloaded) -> Self {
        Self::Closed(CloseCode::Overloaded)
    }
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Stalled => Self::Closed(CloseCode::Slow),
            Lost::Gone => Self::Gone,
        }
    }
}
