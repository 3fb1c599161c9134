//! The same stream as server-sent events: one subscription, for a client that only listens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use ringfence_wire::{CloseCode, RequestId, Resume};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::bell::Bell;
use super::command::subscribed;
use super::connection::first_beat;
use super::frame::Frame;
use super::roll::Enrolled;
use super::session::{self, End, Session};

/// What a client is given to take its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The one subscription was not numbered by the client.
const REQUEST: RequestId = RequestId::Number(0);

/// An event stream under way. Writing waits for the connection to take what was written before, so that beyond what the
/// connection itself buffers there is one batch, and a slow client is folded like any other.
pub(super) struct EventStream {
    pub(super) session: Session,
    pub(super) bell: Arc<Bell>,
    pub(super) enrolled: Enrolled,
    /// Without a batch taken for this long the client has stalled.
    pub(super) stall: Duration,
}

impl EventStream {
    /// Answers with the stream that begins with `hello` and `begun`.
    pub(super) fn respond(self, hello: Frame, begun: &session::Begun) -> Response<Body> {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
        let mut out = vec![hello];
        out.extend(subscribed(REQUEST, begun));
        tokio::spawn(self.serve(sender, out));
        let body =
            stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|batch| batch.map(Ok::<_, Infallible>)));
        let mut response = Response::new(Body::from_stream(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies that gather an answer before they pass it on would gather this one for ever.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    async fn serve(mut self, sender: mpsc::Sender<Bytes>, mut out: Vec<Frame>) {
        let bell = Arc::clone(&self.bell);
        let end = tokio::select! {
            end = self.turns(&sender, &mut out) => match end {
                Err(end) => end,
            },
            order = bell.ordered() => End::Ordered(order),
        };
        let Self { session, enrolled, .. } = self;
        let hub = Arc::clone(session.hub());
        drop(session);
        if let Some((code, bye)) = session::bye(end) {
            hub.counters().close(code);
            // Who does not take them has lost them.
            let _ = timeout(LAST_WORDS, sender.send(written(&[bye]))).await;
        }
        drop(enrolled);
    }

    async fn turns(&mut self, sender: &mpsc::Sender<Bytes>, out: &mut Vec<Frame>) -> Result<Infallible, End> {
        let heartbeat = sleep_until(Instant::now() + first_beat(self.session.heartbeat_ms()));
        tokio::pin!(heartbeat);
        loop {
            let more = self.session.gather(out).await?;
            self.write(sender, out).await?;
            tokio::select! {
                biased;
                () = sender.closed() => return Err(End::Gone),
                () = heartbeat.as_mut() => {
                    out.push(self.session.heartbeat());
                    let interval = Duration::from_millis(self.session.heartbeat_ms().into());
                    heartbeat.as_mut().reset(Instant::now() + interval);
                }
                () = std::future::ready(()), if more => {}
                () = self.bell.rung() => {}
            }
        }
    }

    async fn write(&self, sender: &mpsc::Sender<Bytes>, out: &mut Vec<Frame>) -> Result<(), End> {
        if out.is_empty() {
            return Ok(());
        }
        let stalled = Instant::now() + self.stall;
        let until = self.session.deadline().map_or(stalled, |deadline| deadline.min(stalled));
        let place = timeout_at(until, sender.reserve()).await.map_err(|_| End::Closed(CloseCode::Slow))?;
        let place = place.map_err(|_| End::Gone)?;
        self.session.hub().counters().sent(out);
        place.send(written(out));
        out.clear();
        Ok(())
    }
}

/// Frames as events: the type is the event's name, and the id is what `Last-Event-ID` brings back.
fn written(frames: &[Frame]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(frames.iter().map(|frame| frame.len() + 96).sum());
    for frame in frames {
        bytes.put_slice(b"event: ");
        bytes.put_slice(frame.event().as_bytes());
        if let Some(cursor) = frame.id() {
            let id = Resume { epoch: cursor.epoch, seq: cursor.seq };
            bytes.put_slice(format!("\nid: {id}").as_bytes());
        }
        bytes.put_slice(b"\ndata: ");
        // JSON has no line breaks of its own outside of strings, and escapes those inside.
        bytes.put_slice(&frame.payload());
        bytes.put_slice(b"\n\n");
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use ringfence::Cursor;

    use super::*;

    #[test]
    fn an_event_has_its_frames_name_and_an_id_where_one_can_resume() {
        let hello = Frame::text("hello", br#"{"type":"hello"}"#);
        let delta = Frame::text("delta", b"{}").leaving_at(Cursor { epoch: 7, seq: 42 });
        let events = written(&[hello, delta]);
        assert_eq!(
            std::str::from_utf8(&events).unwrap(),
            "event: hello\ndata: {\"type\":\"hello\"}\n\nevent: delta\nid: 7:42\ndata: {}\n\n"
        );
    }
}
