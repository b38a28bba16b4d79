//! Answering the last ping of a batch only.

use bytes::{BufMut, Bytes, BytesMut};

use crate::frame;
use crate::head::MAX_CONTROL_BYTES;

/// The last ping of the messages read at once: answering it answers all of them.
///
/// Lives on the stack while one batch is read; holds no allocation. Spec: RFC 6455 § 5.5.3, which
/// allows a pong for the most recent ping alone.
#[derive(Debug, Clone)]
pub struct Pings {
    last: Option<u8>,
    payload: [u8; MAX_CONTROL_BYTES],
}

impl Pings {
    /// No ping yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None, payload: [0; MAX_CONTROL_BYTES] }
    }

    /// Notes a ping's payload, in place of an earlier one.
    pub fn note(&mut self, payload: &[u8]) {
        let room = payload.len().min(MAX_CONTROL_BYTES);
        if let (Some(dst), Some(src)) = (self.payload.get_mut(..room), payload.get(..room)) {
            dst.copy_from_slice(src);
            self.last = u8::try_from(room).ok();
        }
    }

    /// The pong to send, if a ping was noted since the last call.
    pub fn pong(&mut self) -> Option<Bytes> {
        let length = self.last.take()?;
        self.payload.get(..usize::from(length)).map(frame::pong)
    }

    /// Appends the pong to `dst`, if a ping was noted since the last call.
    pub fn write_pong(&mut self, dst: &mut BytesMut) {
        if let Some(pong) = self.pong() {
            dst.put(pong);
        }
    }
}

impl Default for Pings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of several pings the last is answered, once.
    #[test]
    fn the_last_is_answered() {
        let mut pings = Pings::new();
        assert_eq!(pings.pong(), None);
        pings.note(b"one");
        pings.note(b"");
        pings.note(b"three");
        assert_eq!(pings.pong().as_deref(), Some(&b"\x8a\x05three"[..]));
        assert_eq!(pings.pong(), None);
        pings.note(b"");
        let mut dst = BytesMut::new();
        pings.write_pong(&mut dst);
        assert_eq!(&dst[..], b"\x8a\x00");
    }
}
