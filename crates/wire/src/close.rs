//! Close codes of the stream (stream.md, Close codes). The range says what to do about a code nobody has heard of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum CloseCode {
    /// 4001
    Ticket,
    /// 4003
    Forbidden,
    /// 4004
    View,
    /// 4009
    Protocol,
    /// 4010
    Version,
    /// 4013
    TooLarge,
    /// 4100
    Overloaded,
    /// 4101
    Rate,
    /// 4108
    Slow,
    /// 4129
    TooManyConnections,
    /// 4150
    Internal,
    /// 4200
    Draining,
    /// 4201
    Moved,
    /// 4202
    Replaced,
    /// 4203
    RefreshFirst,
    /// A code of a newer server.
    Unknown(UnknownCode),
}

/// A code in the range of applications, 4000..=4999, that has no name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnknownCode(u16);

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Not unchanged: somebody has to change the request first.
    Never,
    /// With growing, jittered waits.
    Backoff,
    /// At a random moment of the window the `bye` before it gave.
    Window,
}

/// A number that closes no stream of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a close code of the stream; those are 4000 to 4999")]
pub struct NotACloseCode(pub u16);

impl CloseCode {
    /// Every code with a name.
    pub const NAMED: [Self; 15] = [
        Self::Ticket,
        Self::Forbidden,
        Self::View,
        Self::Protocol,
        Self::Version,
        Self::TooLarge,
        Self::Overloaded,
        Self::Rate,
        Self::Slow,
        Self::TooManyConnections,
        Self::Internal,
        Self::Draining,
        Self::Moved,
        Self::Replaced,
        Self::RefreshFirst,
    ];

    pub const fn code(self) -> u16 {
        match self {
            Self::Ticket => 4001,
            Self::Forbidden => 4003,
            Self::View => 4004,
            Self::Protocol => 4009,
            Self::Version => 4010,
            Self::TooLarge => 4013,
            Self::Overloaded => 4100,
            Self::Rate => 4101,
            Self::Slow => 4108,
            Self::TooManyConnections => 4129,
            Self::Internal => 4150,
            Self::Draining => 4200,
            Self::Moved => 4201,
            Self::Replaced => 4202,
            Self::RefreshFirst => 4203,
            Self::Unknown(UnknownCode(code)) => code,
        }
    }

    /// By the range alone. Beyond the ranges there are, a backoff does the least harm.
    pub const fn retry(self) -> Retry {
        match self.code() {
            4000..=4099 => Retry::Never,
            4200..=4299 => Retry::Window,
            _ => Retry::Backoff,
        }
    }

    /// Refused outside 4000..=4999: 1006 and its like were said by the transport, not by a server.
    pub fn parse(code: u16) -> Result<Self, NotACloseCode> {
        let named = Self::NAMED.into_iter().find(|named| named.code() == code);
        match named {
            Some(named) => Ok(named),
            None if (4000..=4999).contains(&code) => Ok(Self::Unknown(UnknownCode(code))),
            None => Err(NotACloseCode(code)),
        }
    }

    /// For the close frame, which has room for 123 bytes.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ticket => "the ticket or key is missing, wrong, used or expired; get a new one",
            Self::Forbidden => "the key may not do this; ask for the scope it needs",
            Self::View => "there is no such view, or the key may not see it",
            Self::Protocol => "a frame broke the protocol; see the error frame before",
            Self::Version => "no subprotocol in common; offer ringfence.v1.json",
            Self::TooLarge => "a client frame was larger than limits.frame_bytes of hello",
            Self::Overloaded => "the server is overloaded; come back later",
            Self::Rate => "more client frames than limits.frames_per_minute of hello",
            Self::Slow => "nothing was read for too long",
            Self::TooManyConnections => "too many connections with this key or from this address",
            Self::Internal => "the server failed; it is in its log",
            Self::Draining => "the server is going down; come back in the window of bye",
            Self::Moved => "the account is served elsewhere; come back in the window of bye",
            Self::Replaced => "another connection took this one's place",
            Self::RefreshFirst => "the token has run out; refresh it, then come back",
            Self::Unknown(_) => "closed by the server",
        }
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = NotACloseCode;

    fn try_from(code: u16) -> Result<Self, NotACloseCode> {
        Self::parse(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.code()
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.code(), self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_code_reads_back_and_its_reason_fits_a_close_frame() {
        for code in CloseCode::NAMED {
            assert_eq!(CloseCode::parse(code.code()), Ok(code));
            assert!(code.reason().len() <= 123, "{code}");
        }
    }

    #[test]
    fn the_range_tells_what_to_do_about_an_unknown_code() {
        let retry = |code| CloseCode::parse(code).map(|code| (code.code(), code.retry()));
        assert_eq!(retry(4077), Ok((4077, Retry::Never)));
        assert_eq!(retry(4177), Ok((4177, Retry::Backoff)));
        assert_eq!(retry(4277), Ok((4277, Retry::Window)));
        assert_eq!(retry(4999), Ok((4999, Retry::Backoff)));
        for code in [0, 1000, 1006, 3999, 5000, u16::MAX] {
            assert_eq!(CloseCode::parse(code), Err(NotACloseCode(code)));
        }
    }
}
