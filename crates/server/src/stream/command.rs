//! What a client says, carried out.

use std::borrow::Cow;
use std::time::Duration;

use ringfence::Cursor;
use ringfence_wire::client::{ClientFrame, Subscribe};
use ringfence_wire::server::{Error, Subscribed};
use ringfence_wire::{FrameError, Profile, RequestId, Resume, ServerFrame, ViewSpec, json};
use tokio::time::Instant;

use super::admit::believe_key;
use super::connection::Connection;
use super::encode;
use super::frame::Frame;
use super::session::{self, Begun, End, NoSubscription};
use crate::auth::{Principal, Scope};
use crate::problem::Problem;

/// What shows peers' numbers in clear.
pub(super) const FULL_SCOPE: Scope = Scope::Numbers;

impl Connection {
    /// Answers one frame of the client.
    pub(super) async fn answer(&mut self, text: &str) -> Result<(), End> {
        let frame = match json::decode_client(text.as_bytes()) {
            Ok(frame) => frame,
            Err(refused) => return self.refuse(&refused),
        };
        match frame {
            ClientFrame::Subscribe(subscribe) => self.subscribe(subscribe).await,
            ClientFrame::Unsubscribe(unsubscribe) => {
                if !self.opened.session.unsubscribe(&unsubscribe.view) {
                    self.not_watched(&unsubscribe.view);
                }
            }
            ClientFrame::Resync(resync) => match self.opened.session.resync(&resync.view).await {
                Ok(true) => {}
                Ok(false) => self.not_watched(&resync.view),
                Err(overloaded) => return Err(overloaded.into()),
            },
            ClientFrame::Refresh(refresh) => self.refresh(&refresh.token),
            // Somebody who reads and says so: there is nothing to be done about it.
            ClientFrame::Ack(_) => {}
            ClientFrame::Cmd(cmd) => {
                let message = format!("the command `{}` needs a router connection", cmd.op.escape_debug());
                self.say(error(Some(cmd.rid), "unsupported_command", message, false));
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self, asked: Subscribe) {
        let Subscribe { id, view, since, class, heartbeat_ms } = asked;
        if let Err(problem) = may_watch(&self.opened.principal, &view) {
            return self.say(error(Some(id), problem.code, problem.detail, false));
        }
        if let Some(ms) = heartbeat_ms {
            self.opened.session.set_heartbeat(ms);
            let within = Duration::from_millis(self.opened.session.heartbeat_ms().into());
            self.next_beat = self.next_beat.min(Instant::now() + within);
        }
        match self.opened.session.subscribe(view, class.unwrap_or_default(), since.map(cursor)).await {
            Ok(begun) => self.out.extend(subscribed(id, &begun)),
            Err(why) => self.say(not_subscribed(id, why)),
        }
    }

    /// A newer credential for the same account goes on in its own name.
    fn refresh(&mut self, token: &str) {
        let principal = match self.believe(token) {
            Ok(principal) => principal,
            Err(problem) => return self.say(error(None, problem.code, problem.detail, false)),
        };
        match self.opened.enrolled.rename(principal.clone()) {
            Ok(()) => self.opened.principal = principal,
            Err(_) => {
                self.say(error(None, "too_many_connections", "that key has too many connections", true))
            }
        }
    }

    fn believe(&self, token: &str) -> Result<Principal, Problem> {
        let principal = believe_key(&self.opened.app, token)?;
        let account = self.opened.session.account();
        if principal.account.as_ref().is_some_and(|other| other != account) {
            return Err(Problem::not_found("unknown_account", "that key is of another account"));
        }
        require(&principal, Scope::Wallboard)?;
        if self.opened.session.watches_numbers() {
            require(&principal, FULL_SCOPE)?;
        }
        Ok(principal)
    }

    /// A view that is none costs its request; anything else that cannot be read costs the connection, since what the
    /// client believes to have said is not known.
    fn refuse(&mut self, refused: &FrameError) -> Result<(), End> {
        self.say(error(refused.id().cloned(), refused.code(), refused.to_string(), false));
        match refused {
            FrameError::BadView { .. } => Ok(()),
            FrameError::TooLarge { .. }
            | FrameError::NotAFrame { .. }
            | FrameError::UnknownType { .. }
            | FrameError::BadFrame { .. } => Err(End::Closed(refused.close_code())),
        }
    }

    fn not_watched(&mut self, view: &ViewSpec) {
        self.say(error(None, "not_subscribed", format!("this connection does not watch `{view}`"), false));
    }

    fn say(&mut self, frame: Frame) {
        self.out.push(frame);
    }
}

/// Whether this view may be shown to whoever asks.
pub(super) fn may_watch(principal: &Principal, view: &ViewSpec) -> Result<(), Problem> {
    match view.profile {
        Profile::Full => require(principal, FULL_SCOPE),
        Profile::Masked | Profile::Anonymous => Ok(()),
    }
}

pub(super) fn require(principal: &Principal, scope: Scope) -> Result<(), Problem> {
    if principal.allows(scope) {
        return Ok(());
    }
    Err(Problem::missing_scope(&[scope], principal.scopes))
}

/// What tells a client how its subscription began.
pub(super) fn subscribed(id: RequestId, begun: &Begun) -> Vec<Frame> {
    let Begun { view, at, how, reset } = begun;
    let mut frames = vec![encode::other(&ServerFrame::Subscribed(Subscribed {
        id,
        view: view.to_string(),
        epoch: at.epoch,
        seq: at.seq,
        how: *how,
    }))];
    frames.extend(reset.map(|why| session::reset(view, why)));
    frames
}

pub(super) fn cursor(resume: Resume) -> Cursor {
    Cursor { epoch: resume.epoch, seq: resume.seq }
}

fn not_subscribed(id: RequestId, why: NoSubscription) -> Frame {
    let message = why.to_string();
    match why {
        NoSubscription::Twice => error(Some(id), "already_subscribed", message, false),
        NoSubscription::TooMany => error(Some(id), "too_many_views", message, false),
        NoSubscription::Overloaded => error(Some(id), "overloaded", message, true),
        NoSubscription::Account(why) => {
            let problem = Problem::from(why);
            error(Some(id), problem.code, message, problem.retry_after_sec.is_some())
        }
    }
}

fn error(
    id: Option<RequestId>,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
    retry: bool,
) -> Frame {
    encode::other(&ServerFrame::Error(Error { id, code: code.into(), message: message.into(), retry }))
}
