//! A view that stays current: connects, resumes, notices silence, and comes back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ringfence_wire::client::RateClass;
use ringfence_wire::close::Retry;
use ringfence_wire::frame::{HEARTBEAT_MS_DEFAULT, RequestId};
use ringfence_wire::server::{Bye, How, ServerFrame};
use ringfence_wire::{CloseCode, ViewSpec};

use crate::api::Api;
use crate::backoff::{Backoff, within};
use crate::board::{Board, Changed};
use crate::connection::{Connection, Event, Refused};
use crate::patience::{Patience, Silence};

/// Longest wait for a server's `retry_after` or `bye` window; more is an operator's mistake.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Heartbeats without the snapshot that was announced before the connection is given up.
const SNAPSHOT_HEARTBEATS_MAX: u32 = 3;

/// How the connection proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    /// The key in a header.
    #[default]
    Key,
    /// A ticket in the URL, fetched for each connection: what a browser has to do.
    Ticket,
}

/// What to watch.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    pub view: ViewSpec,
    pub class: RateClass,
    /// The interval to ask for; the server's own otherwise.
    pub heartbeat_ms: Option<u32>,
    pub proof: Proof,
}

impl StreamOptions {
    pub fn new(view: ViewSpec) -> Self {
        Self { view, class: RateClass::default(), heartbeat_ms: None, proof: Proof::default() }
    }
}

/// What happened to the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The server goes on from where the board is, or sends everything anew. Also the end of [`Update::Stale`].
    Connected,
    /// The board's rows are other ones now.
    Changed(Changed),
    /// The connection lives; the board's cursor may have moved past records that concern no row of the view.
    Beat,
    /// More than two heartbeats are missing: the rows may be old.
    Stale,
    /// The connection is gone; the rows are those of the last moment.
    Offline {
        why: String,
        /// None: it will not be tried again, because the same request would be refused again.
        retry_in: Option<Duration>,
    },
}

/// A subscription that survives its connections. Poll [`Stream::next`] for as long as it is to live.
#[derive(Debug)]
pub struct Stream {
    api: Api,
    options: StreamOptions,
    board: Board,
    connection: Option<Connection>,
    /// When to connect; none when it is over.
    connect_at: Option<Instant>,
    patience: Patience,
    interval: Duration,
    awaiting_since: Option<Instant>,
    stale: bool,
    /// A goodbye says the same as the close frame, which networks lose.
    bye: Option<Bye>,
    backoff: Backoff,
    subscribe_id: u64,
    updates: VecDeque<Update>,
}

impl Stream {
    pub fn new(api: Api, options: StreamOptions) -> Self {
        let interval = interval(&options, HEARTBEAT_MS_DEFAULT);
        let now = Instant::now();
        Self {
            board: Board::new(options.view.clone()),
            api,
            options,
            connection: None,
            connect_at: Some(now),
            patience: Patience::new(now, interval),
            interval,
            awaiting_since: None,
            stale: false,
            bye: None,
            backoff: Backoff::default(),
            subscribe_id: 0,
            updates: VecDeque::new(),
        }
    }

    /// The rows as they are now.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The next thing to know; none once it is over for good. Cancel safe.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Some(update);
            }
            match &mut self.connection {
                Some(connection) => {
                    let until = self.patience.next(Instant::now());
                    let event = connection.next(until).await;
                    self.take(event);
                }
                None => {
                    let at = self.connect_at?;
                    tokio::time::sleep_until(at.into()).await;
                    self.connect().await;
                }
            }
        }
    }

    async fn connect(&mut self) {
        match self.open().await {
            Ok(mut connection) => {
                let (now, class) = (Instant::now(), self.options.class);
                self.subscribe_id += 1;
                connection.send(self.board.subscribe(self.subscribe_id, class, self.options.heartbeat_ms));
                self.connection = Some(connection);
                self.patience = Patience::new(now, self.interval);
                self.awaiting_since = Some(now);
                self.bye = None;
                self.stale = false;
            }
            Err(Refused::ForGood { status, detail }) => self.give_up(format!("refused: {status} {detail}")),
            Err(Refused::ForNow { why, retry_after }) => self.retry(why, retry_after),
        }
    }

    async fn open(&self) -> Result<Connection, Refused> {
        let server = self.api.server();
        match self.options.proof {
            Proof::Key => Connection::open(server, "/v1/stream", self.api.credential().headers()).await,
            Proof::Ticket => {
                let ticket = self.api.ticket().await.map_err(|error| match error.status() {
                    Some(status) if !error.is_passing() => {
                        Refused::ForGood { status, detail: error.to_string() }
                    }
                    Some(_) | None => Refused::ForNow { why: error.to_string(), retry_after: None },
                })?;
                let path = format!("/v1/stream?ticket={}", crate::server_url::segment(&ticket.ticket));
                Connection::open(server, &path, std::iter::empty()).await
            }
        }
    }

    fn take(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Frame(frame) => {
                self.patience.heard(now);
                if std::mem::take(&mut self.stale) {
                    self.updates.push_back(Update::Connected);
                }
                self.frame(&frame, now);
            }
            Event::Quiet => match self.patience.silence(now) {
                Silence::Normal => {}
                Silence::Stale => {
                    if !std::mem::replace(&mut self.stale, true) {
                        self.updates.push_back(Update::Stale);
                    }
                }
                Silence::Dead => self.retry("no heartbeat".to_owned(), None),
            },
            Event::Closed { code, reason } => self.closed(code, reason),
            Event::Broken(why) => self.retry(why, None),
        }
    }

    fn frame(&mut self, frame: &ServerFrame, now: Instant) {
        match frame {
            ServerFrame::Hello(hello) => {
                self.interval = interval(&self.options, hello.heartbeat_ms);
                self.patience.agree(self.interval);
            }
            ServerFrame::Bye(bye) => self.bye = Some(*bye),
            ServerFrame::Error(error) if error.id == Some(RequestId::Number(self.subscribe_id)) => {
                let why = format!("{}: {}", error.code, error.message);
                return if error.retry { self.retry(why, None) } else { self.give_up(why) };
            }
            ServerFrame::Subscribed(subscribed) => match subscribed.how {
                How::Live | How::CatchUp | How::Snapshot => self.updates.push_back(Update::Connected),
            },
            ServerFrame::Snapshot(_)
            | ServerFrame::Delta(_)
            | ServerFrame::Heartbeat(_)
            | ServerFrame::Reset(_)
            | ServerFrame::Error(_)
            | ServerFrame::Reply(_) => {}
        }
        self.apply(frame, now);
        if matches!(frame, ServerFrame::Heartbeat(_)) && self.connection.is_some() {
            if self.board.is_settled() {
                self.backoff.reset();
            }
            self.updates.push_back(Update::Beat);
        }
    }

    fn apply(&mut self, frame: &ServerFrame, now: Instant) {
        let applied = self.board.apply(frame);
        if !applied.changed.is_empty() {
            self.updates.push_back(Update::Changed(applied.changed));
        }
        if let Some(why) = applied.give_up {
            return self.retry(why.to_owned(), None);
        }
        if let (Some(answer), Some(connection)) = (applied.send, &mut self.connection) {
            connection.send(answer);
        }
        if self.board.is_settled() {
            self.awaiting_since = None;
            return;
        }
        let since = *self.awaiting_since.get_or_insert(now);
        if now.duration_since(since) > self.interval * SNAPSHOT_HEARTBEATS_MAX {
            self.board.forget();
            self.retry("no snapshot came".to_owned(), None);
        }
    }

    fn closed(&mut self, code: Option<CloseCode>, reason: String) {
        let code = code.or(self.bye.map(|bye| bye.code));
        let why = match (code, reason.is_empty()) {
            (Some(code), true) => code.to_string(),
            (Some(code), false) => format!("{} {reason}", code.code()),
            (None, _) => "the connection ended".to_owned(),
        };
        match (code.map(CloseCode::retry), self.bye) {
            (Some(Retry::Never), _) => self.give_up(why),
            (Some(Retry::Window), Some(bye)) => {
                let wait = within(bye.retry_ms.map(u64::from), random());
                self.wait(why, wait);
            }
            (Some(Retry::Window | Retry::Backoff) | None, bye) => {
                let least = bye.map(|bye| Duration::from_millis(u64::from(bye.retry_ms[0])));
                self.retry(why, least);
            }
        }
    }

    /// Tries again after a growing, jittered wait of at least so much.
    fn retry(&mut self, why: String, at_least: Option<Duration>) {
        let wait = self.backoff.next(random()).max(at_least.unwrap_or_default());
        self.wait(why, wait);
    }

    fn wait(&mut self, why: String, wait: Duration) {
        let wait = wait.min(WAIT_MAX);
        self.connection = None;
        self.connect_at = Some(Instant::now() + wait);
        self.updates.push_back(Update::Offline { why, retry_in: Some(wait) });
    }

    fn give_up(&mut self, why: String) {
        self.connection = None;
        self.connect_at = None;
        self.updates.push_back(Update::Offline { why, retry_in: None });
    }
}

fn interval(options: &StreamOptions, theirs_ms: u32) -> Duration {
    Duration::from_millis(u64::from(options.heartbeat_ms.unwrap_or(theirs_ms).max(1)))
}

/// Jitter needs no secret; without a source of it every client waits the same.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}
