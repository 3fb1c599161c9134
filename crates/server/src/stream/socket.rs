//! One websocket, read by frames and written by whole messages that everybody shares.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ringfence_wire::CloseCode;
use ringfence_wire::frame::CLIENT_FRAME_BYTES_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WebSocketCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use super::frame::Frame;
use super::io::{Io, TOO_MUCH};

/// Allocated by every connection as long as it lives. A client's frame is a subscription now and then; a larger one
/// makes the buffer grow.
const READ_BUFFER_BYTES: usize = 1024;
/// What the codec writes itself, pongs and the close frame, leaves at once …
const WRITE_BUFFER_BYTES: usize = 0;
/// … or waits here; a pong is no larger than the ping it answers, and only the last one waits.
const WRITE_BUFFER_BYTES_MAX: usize = 8 * 1024;
/// What a client is given to take its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Messages written at once: their bytes are gathered by the kernel.
const SLICES: usize = 16;
/// What is left in the kernel is stale by the time it is read, and no reader can be brought forward past it.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Unsent bytes at which the kernel says it has enough, though its buffer has room.
const NOT_SENT_BYTES: u32 = 16 * 1024;

pub(super) struct Socket {
    stream: WebSocketStream<Io>,
    /// Messages being written: the only ones a connection has of its own.
    writing: VecDeque<Bytes>,
    /// Some of the first is written; whatever follows has to wait for the rest of it.
    begun: bool,
    stall: Duration,
}

/// What a client said.
pub(super) enum Heard {
    Text(String),
    /// A ping or pong, which is answered here.
    Kept,
    Closed,
    /// It broke the protocol.
    Broken(CloseCode),
}

/// Why nothing can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Stalled,
    Gone,
}

impl Socket {
    /// A client that takes nothing for as long as `stall` is given up.
    pub(super) async fn new(upgraded: Upgraded, stall: Duration) -> Self {
        let (io, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => {
                let stream = parts.io.into_inner();
                keep_little_in_the_kernel(&stream);
                (Io::tcp(stream), parts.read_buf.to_vec())
            }
            Err(upgraded) => (Io::other(upgraded), Vec::new()),
        };
        Self::over(io, read, stall).await
    }

    async fn over(io: Io, read: Vec<u8>, stall: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(CLIENT_FRAME_BYTES_MAX))
            .max_frame_size(Some(CLIENT_FRAME_BYTES_MAX));
        let stream = WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await;
        Self { stream, writing: VecDeque::new(), begun: false, stall }
    }

    /// The client may send so many bytes until this is called again.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.stream.get_mut().allow(bytes);
    }

    /// Loses nothing when it is dropped before it is done.
    pub(super) async fn read(&mut self) -> Heard {
        match self.stream.next().await {
            None => Heard::Closed,
            Some(Ok(message)) => heard(message),
            Some(Err(error)) => broken(&error),
        }
    }

    /// Writes all of `frames`, as far as the client takes them. Dropped before it is done, it leaves what is left for
    /// [`Socket::close`].
    pub(super) async fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), Lost> {
        // A pong that waits must not come into the middle of a message.
        timeout(self.stall, self.stream.flush()).await.map_err(|_| Lost::Stalled)?.map_err(|_| Lost::Gone)?;
        self.writing.extend(frames.drain(..).map(|frame| frame.message()));
        while !self.writing.is_empty() {
            timeout(self.stall, self.write_some()).await.map_err(|_| Lost::Stalled)??;
        }
        Ok(())
    }

    /// Says goodbye, if the client listens, and closes.
    pub(super) async fn close(mut self, code: CloseCode, goodbye: &[Frame]) {
        self.writing.truncate(usize::from(self.begun));
        self.writing.extend(goodbye.iter().map(Frame::message));
        let last_words = async {
            if !self.begun && self.stream.flush().await.is_err() {
                return;
            }
            while !self.writing.is_empty() {
                if self.write_some().await.is_err() {
                    return;
                }
            }
            let close = CloseFrame { code: WebSocketCode::from(code.code()), reason: code.reason().into() };
            if self.stream.close(Some(close)).await.is_ok() {
                hear_out(self.stream.get_mut()).await;
            }
        };
        // Who does not take them has lost them.
        let _ = timeout(LAST_WORDS, last_words).await;
    }

    /// Answers the client's own close.
    pub(super) async fn closed(mut self) {
        let _ = timeout(LAST_WORDS, self.stream.flush()).await;
    }

    /// Writes once. Either all of what is said to be written is, or nothing: it may be dropped before it is done.
    async fn write_some(&mut self) -> Result<(), Lost> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (slice, message) in slices.iter_mut().zip(&self.writing) {
            *slice = IoSlice::new(message);
            used += 1;
        }
        let written = self.stream.get_mut().write_vectored(&slices[..used]).await.map_err(|_| Lost::Gone)?;
        if written == 0 {
            return Err(Lost::Gone);
        }
        self.begun = advance(&mut self.writing, written);
        Ok(())
    }
}

/// Takes `written` bytes off the front. True: some of the first message is written, and some is not.
fn advance(writing: &mut VecDeque<Bytes>, mut written: usize) -> bool {
    while let Some(first) = writing.front_mut() {
        if written < first.len() {
            first.advance(written);
            return written > 0;
        }
        written -= first.len();
        writing.pop_front();
    }
    false
}

fn heard(message: Message) -> Heard {
    match message {
        Message::Text(text) => Heard::Text(text.as_str().to_owned()),
        Message::Binary(_) => Heard::Broken(CloseCode::Protocol),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Heard::Kept,
        Message::Close(_) => Heard::Closed,
    }
}

fn broken(error: &WebSocketError) -> Heard {
    let too_much =
        |error: &std::io::Error| error.get_ref().is_some_and(|inner| inner.to_string() == TOO_MUCH);
    match error {
        WebSocketError::Capacity(_) => Heard::Broken(CloseCode::TooLarge),
        WebSocketError::Utf8(_) | WebSocketError::AttackAttempt => Heard::Broken(CloseCode::Protocol),
        WebSocketError::Io(error) if too_much(error) => Heard::Broken(CloseCode::Rate),
        WebSocketError::Protocol(error) if !went_away(error) => Heard::Broken(CloseCode::Protocol),
        WebSocketError::Protocol(_)
        | WebSocketError::Io(_)
        | WebSocketError::ConnectionClosed
        | WebSocketError::AlreadyClosed
        | WebSocketError::WriteBufferFull(_)
        | WebSocketError::Url(_)
        | WebSocketError::Http(_)
        | WebSocketError::HttpFormat(_)
        | WebSocketError::Tls(_) => Heard::Closed,
    }
}

/// The codec calls an end without a close frame a breach of protocol; for us it is a client that went away.
fn went_away(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError::{
        ReceivedAfterClosing, ResetWithoutClosingHandshake,
    };
    matches!(error, ResetWithoutClosingHandshake | ReceivedAfterClosing)
}

/// Reads until the client has closed too: unread bytes would make the kernel throw away what was said last.
async fn hear_out(io: &mut Io) {
    let mut scratch = [0_u8; 512];
    let _ = io.shutdown().await;
    while matches!(io.read(&mut scratch).await, Ok(read) if read > 0) {}
}

/// A client is brought forward by being sent less, which only works on what the kernel does not hold yet. Best effort:
/// a kernel without these options sends more stale bytes.
fn keep_little_in_the_kernel(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(NOT_SENT_BYTES);
    let _ = stream.set_nodelay(true);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(stall: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        keep_little_in_the_kernel(&server);
        (Socket::over(Io::tcp(server), Vec::new(), stall).await, client)
    }

    fn frames(count: usize) -> Vec<Frame> {
        vec![Frame::text("delta", &vec![b'x'; 64 * 1024]); count]
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_has_stalled_and_one_that_is_slow_has_not() {
        let stall = Duration::from_millis(200);
        let (mut socket, client) = pair(stall).await;
        assert_eq!(socket.write(&mut frames(400)).await, Err(Lost::Stalled));
        assert!(socket.begun && socket.writing.len() > 300, "what was not written is still there");
        drop((socket, client));

        let (mut socket, mut client) = pair(stall).await;
        let reader = tokio::spawn(async move {
            let mut scratch = vec![0; 32 * 1024];
            let mut total = 0;
            while let Ok(read @ 1..) = client.read(&mut scratch).await {
                total += read;
                tokio::task::yield_now().await;
            }
            total
        });
        assert_eq!(socket.write(&mut frames(100)).await, Ok(()));
        drop(socket);
        assert_eq!(reader.await.unwrap(), frames(100).iter().map(Frame::len).sum::<usize>());
    }

    #[tokio::test]
    async fn last_words_come_after_the_message_that_was_being_written() {
        let (mut socket, client) = pair(Duration::from_secs(15)).await;
        let mut many = frames(400);
        assert!(
            timeout(Duration::from_millis(100), socket.write(&mut many)).await.is_err(),
            "dropped half-way"
        );
        let reader = tokio::spawn(async move {
            let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
            let mut heard = Vec::new();
            while let Some(Ok(message)) = client.next().await {
                heard.push(message);
            }
            heard
        });
        socket.close(CloseCode::Draining, &[Frame::text("bye", b"bye")]).await;
        let heard = reader.await.unwrap();
        let [messages @ .., bye, close] = &heard[..] else { panic!("{} messages", heard.len()) };
        assert!(messages.len() < 400 && messages.iter().all(|message| message.len() == 64 * 1024));
        assert_eq!(bye.to_text().unwrap(), "bye");
        assert!(matches!(close, Message::Close(Some(close)) if u16::from(close.code) == 4200));
    }

    #[test]
    fn a_partly_written_message_is_told_from_one_not_begun() {
        let mut writing: VecDeque<Bytes> = [Bytes::from_static(b"abc"), Bytes::from_static(b"defg")].into();
        assert!(!advance(&mut writing, 3));
        assert_eq!(writing, [Bytes::from_static(b"defg")]);
        assert!(advance(&mut writing, 1));
        assert_eq!(writing, [Bytes::from_static(b"efg")]);
        assert!(!advance(&mut writing, 3));
        assert!(writing.is_empty());
    }
}
