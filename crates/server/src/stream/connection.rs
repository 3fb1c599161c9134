//! A websocket connection: one task, which reads what the client says and writes what its views have.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::Upgraded;
use ringfence_wire::CloseCode;
use ringfence_wire::frame::{CLIENT_FRAME_BYTES_MAX, CLIENT_FRAMES_PER_MINUTE_MAX};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::bell::Bell;
use super::frame::Frame;
use super::roll::Enrolled;
use super::session::{self, End, Session};
use super::socket::{Heard, Lost, Socket};
use crate::auth::Principal;
use crate::connection::Seat;
use crate::state::App;

/// The window of the limit on client frames.
const MINUTE: Duration = Duration::from_secs(60);
/// Bytes of all client frames a minute, with the largest header each.
const BYTES_PER_MINUTE_MAX: usize = CLIENT_FRAMES_PER_MINUTE_MAX as usize * (CLIENT_FRAME_BYTES_MAX + 14);

/// What a connection is made of.
pub(super) struct Opened {
    pub(super) app: Arc<App>,
    pub(super) principal: Principal,
    pub(super) enrolled: Enrolled,
    pub(super) session: Session,
    pub(super) bell: Arc<Bell>,
    /// The network connection's place, which the request would give back.
    pub(super) seat: Option<Seat>,
}

pub(super) struct Connection {
    pub(super) opened: Opened,
    /// What is about to be written. Empty whenever the connection waits for something else.
    pub(super) out: Vec<Frame>,
    pub(super) next_beat: Instant,
    frames_left: u32,
    minute_ends: Instant,
}

impl Connection {
    pub(super) fn new(opened: Opened) -> Self {
        let now = Instant::now();
        Self {
            next_beat: now + first_beat(opened.session.heartbeat_ms()),
            opened,
            out: Vec::new(),
            frames_left: CLIENT_FRAMES_PER_MINUTE_MAX,
            minute_ends: now + MINUTE,
        }
    }

    /// Serves the client until one of both has had enough.
    pub(super) async fn serve(mut self, upgraded: Upgraded, hello: Frame) {
        let stall = self.opened.app.streams.stall;
        let mut socket = Box::pin(Socket::new(upgraded, stall)).await;
        socket.allow(BYTES_PER_MINUTE_MAX);
        self.out.push(hello);
        let bell = Arc::clone(&self.opened.bell);
        let end = tokio::select! {
            end = self.turns(&mut socket) => match end {
                Err(end) => end,
            },
            order = bell.ordered() => End::Ordered(order),
        };
        // What the client asked for just before may explain its end.
        let Self { opened: Opened { session, enrolled, seat, .. }, mut out, .. } = self;
        let hub = Arc::clone(session.hub());
        drop(session);
        match session::bye(end) {
            None => Box::pin(socket.closed()).await,
            Some((code, bye)) => {
                hub.counters().close(code);
                out.retain(|frame| frame.event() == "error");
                out.push(bye);
                Box::pin(socket.close(code, &out)).await;
            }
        }
        drop((enrolled, seat));
    }

    async fn turns(&mut self, socket: &mut Socket) -> Result<Infallible, End> {
        let heartbeat = sleep_until(self.next_beat);
        tokio::pin!(heartbeat);
        loop {
            let more = self.opened.session.gather(&mut self.out).await?;
            self.write(socket).await?;
            if heartbeat.deadline() != self.next_beat {
                heartbeat.as_mut().reset(self.next_beat);
            }
            let heard = tokio::select! {
                biased;
                heard = socket.read() => Some(heard),
                () = heartbeat.as_mut() => {
                    self.out.push(self.opened.session.heartbeat());
                    self.next_beat = Instant::now() + Duration::from_millis(self.opened.session.heartbeat_ms().into());
                    None
                }
                () = std::future::ready(()), if more => None,
                () = self.opened.bell.rung() => None,
            };
            if let Some(heard) = heard {
                // Apart from the rest, as is everything rare: what waits all day should be small.
                Box::pin(self.hear(heard, socket)).await?;
            }
        }
    }

    async fn write(&mut self, socket: &mut Socket) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let counters = self.opened.session.hub().counters();
        counters.sent(&self.out);
        let deadline = self.opened.session.deadline();
        let written = socket.write(&mut self.out);
        match deadline {
            None => Ok(written.await?),
            Some(deadline) => Ok(timeout_at(deadline, written).await.unwrap_or(Err(Lost::Stalled))?),
        }
    }

    async fn hear(&mut self, heard: Heard, socket: &mut Socket) -> Result<(), End> {
        self.count_frame(socket)?;
        match heard {
            Heard::Text(text) => self.answer(&text).await,
            Heard::Kept => Ok(()),
            Heard::Closed => Err(End::Gone),
            Heard::Broken(code) => Err(End::Closed(code)),
        }
    }

    fn count_frame(&mut self, socket: &mut Socket) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.minute_ends {
            self.minute_ends = now + MINUTE;
            self.frames_left = CLIENT_FRAMES_PER_MINUTE_MAX;
            socket.allow(BYTES_PER_MINUTE_MAX);
        }
        match self.frames_left.checked_sub(1) {
            Some(left) => self.frames_left = left,
            None => return Err(End::Closed(CloseCode::Rate)),
        }
        Ok(())
    }
}

/// Jittered, so that clients who came together do not beat together. Without random numbers they do.
pub(super) fn first_beat(heartbeat_ms: u32) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    Duration::from_millis(
        1 + u64::from(random) * u64::from(heartbeat_ms.saturating_sub(1)) / u64::from(u32::MAX),
    )
}
