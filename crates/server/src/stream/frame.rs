//! A frame as it goes out: encoded once, the same bytes for everybody.

use bytes::Bytes;
use ringfence::Cursor;

/// First byte of a whole text message (RFC 6455 §5.2: FIN, opcode 1).
const TEXT: u8 = 0x81;
/// Longest header of an unmasked frame: two bytes and a 64-bit length.
const HEADER_MAX: usize = 10;

/// One encoded message.
///
/// A server's websocket frames are not masked, so header and payload together are the same for every client, and no
/// connection needs a buffer to put them together in. An event stream sends the payload alone.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    message: Bytes,
    payload_at: u8,
    /// The frame's type, which is an event stream's event name.
    event: &'static str,
    /// What an event stream resumes by, on the frames that leave a reader at a seq.
    id: Option<Cursor>,
}

impl Frame {
    pub(super) fn text(event: &'static str, payload: &[u8]) -> Self {
        let mut message = Vec::with_capacity(HEADER_MAX + payload.len());
        message.push(TEXT);
        match payload.len() {
            // The seven bits of the second byte hold lengths to 125; 126 and 127 announce 16 and 64 bits.
            short @ 0..=125 => message.push(short as u8),
            middle @ 126..=0xffff => {
                message.push(126);
                message.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                message.push(127);
                message.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        let payload_at = message.len() as u8;
        message.extend_from_slice(payload);
        Self { message: Bytes::from(message), payload_at, event, id: None }
    }

    /// Marks the frame as one that leaves its reader at `cursor`.
    pub(super) fn leaving_at(self, cursor: Cursor) -> Self {
        Self { id: Some(cursor), ..self }
    }

    /// Bytes of the websocket message.
    pub(super) fn len(&self) -> usize {
        self.message.len()
    }

    pub(super) fn message(&self) -> Bytes {
        self.message.clone()
    }

    pub(super) fn payload(&self) -> Bytes {
        self.message.slice(usize::from(self.payload_at)..)
    }

    pub(super) fn event(&self) -> &'static str {
        self.event
    }

    pub(super) fn id(&self) -> Option<Cursor> {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_long_the_payload_is() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (0xffff, vec![0x81, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::text("delta", &vec![b'x'; length]);
            assert_eq!(frame.message()[..header.len()], header, "{length}");
            assert_eq!(frame.payload().len(), length);
            assert_eq!(frame.len(), header.len() + length);
        }
    }
}
