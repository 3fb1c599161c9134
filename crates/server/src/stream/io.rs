//! The bytes under a websocket, with a limit on what a client may send.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Says that a client sent more than it was allowed.
pub(super) const TOO_MUCH: &str = "more bytes than allowed";

pub(super) struct Io {
    stream: Transport,
    /// Bytes the client may still send. Counted here, since fragments and headers make no messages to count.
    allowed: usize,
}

enum Transport {
    Tcp(TcpStream),
    /// Something around a socket that cannot be taken off, TLS say.
    Other(TokioIo<Upgraded>),
}

impl Io {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self { stream: Transport::Tcp(stream), allowed: usize::MAX }
    }

    pub(super) fn other(upgraded: Upgraded) -> Self {
        Self { stream: Transport::Other(TokioIo::new(upgraded)), allowed: usize::MAX }
    }

    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowed = bytes;
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.allowed == 0 {
            return Poll::Ready(Err(io::Error::other(TOO_MUCH)));
        }
        let before = buf.filled().len();
        let polled = match &mut this.stream {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        this.allowed = this.allowed.saturating_sub(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Other(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Other(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Tcp(stream) => stream.is_write_vectored(),
            Transport::Other(stream) => stream.is_write_vectored(),
        }
    }
}
