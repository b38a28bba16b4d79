//! permessage-deflate: compressed messages. Spec: RFC 7692.
//!
//! Switched off unless the handshake is given [`Settings`]. No compression state lives longer than
//! one message (`no_context_takeover` in both directions): a connection costs no memory for it, and
//! a message compressed once is right for every receiver.

mod inflate;
mod negotiate;

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
pub(crate) use inflate::{compressed_bound, inflate};
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
pub(crate) use negotiate::Unacceptable;
pub use negotiate::{Agreed, OFFER};

use crate::head::{self, FIN, RSV1};
use crate::{Opcode, frame};

/// What ends a compressed message before it is cut off. Spec: RFC 7692 § 7.2.1.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// More than this stays allocated in no [`Deflater`] between messages.
const KEPT_SCRATCH_BYTES: usize = 64 * 1024;

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Shorter messages go out as they are. Default 1 024 bytes, as the reference server: below it
    /// the time costs more than the bytes save.
    pub threshold_bytes: usize,
    /// 1 (fast) to 9 (small); other values are brought into that range. Default 1: most of the gain
    /// at a fraction of the time.
    pub level: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold_bytes: 1_024, level: 1 }
    }
}

/// Compresses messages, one at a time; some 300 KB, so keep one per thread and not per connection.
pub struct Deflater {
    compressor: Box<CompressorOxide>,
    threshold_bytes: usize,
    scratch: Vec<u8>,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Deflater")
            .field("threshold_bytes", &self.threshold_bytes)
            .finish_non_exhaustive()
    }
}

/// A compressed message, to be sent to every receiver that [takes](Agreed::takes) its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deflated {
    /// The frame.
    pub frame: Bytes,
    /// The message's length before compression.
    pub message_bytes: usize,
}

impl Deflater {
    /// A compressor with `settings`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        // Without a zlib head, and without a strategy against the level's own.
        let level = i32::from(settings.level.clamp(1, 9));
        let flags = create_comp_flags_from_zip_params(level, 0, 0);
        Self {
            compressor: Box::new(CompressorOxide::new(flags)),
            threshold_bytes: settings.threshold_bytes,
            scratch: Vec::new(),
        }
    }

    /// A text message in one compressed frame; `None` if it is shorter than the threshold or does
    /// not get smaller: send it as it is.
    #[must_use]
    pub fn text(&mut self, message: &str) -> Option<Deflated> {
        self.message(Opcode::Text, message.as_bytes())
    }

    /// A binary message in one compressed frame; `None` as in [`text`](Self::text).
    #[must_use]
    pub fn binary(&mut self, message: &[u8]) -> Option<Deflated> {
        self.message(Opcode::Binary, message)
    }

    /// A message of either kind in one compressed frame; `None` as in [`text`](Self::text), or if
    /// `opcode` is not text or binary.
    #[must_use]
    pub fn message(&mut self, opcode: Opcode, message: &[u8]) -> Option<Deflated> {
        self.frame(opcode, message, |frame, first, payload| {
            frame.reserve(head::size(payload.len()) + payload.len());
            head::write(frame, first, payload.len(), None);
            frame.put_slice(payload);
        })
    }

    /// A client's message in one compressed frame, masked with `key`; `None` as in
    /// [`message`](Self::message).
    #[must_use]
    pub fn masked(&mut self, opcode: Opcode, message: &[u8], key: [u8; 4]) -> Option<Deflated> {
        self.frame(opcode, message, |frame, first, payload| {
            frame::put_masked(frame, first, payload, key);
        })
    }

    fn frame(
        &mut self,
        opcode: Opcode,
        message: &[u8],
        write: impl FnOnce(&mut BytesMut, u8, &[u8]),
    ) -> Option<Deflated> {
        if !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return None;
        }
        let frame = self.compress(message).map(|payload| {
            let mut frame = BytesMut::new();
            write(&mut frame, FIN | RSV1 | opcode.bits(), payload);
            frame.freeze()
        });
        self.scratch.truncate(KEPT_SCRATCH_BYTES);
        self.scratch.shrink_to(KEPT_SCRATCH_BYTES);
        Some(Deflated { frame: frame?, message_bytes: message.len() })
    }

    /// The compressed payload, if it is smaller than the message.
    fn compress(&mut self, message: &[u8]) -> Option<&[u8]> {
        if message.len() < self.threshold_bytes {
            return None;
        }
        self.compressor.reset();
        // A message that does not shrink is not sent compressed, so it needs no more room.
        self.scratch.resize(message.len().saturating_add(TAIL.len()), 0);
        let (status, taken, given) =
            compress(&mut self.compressor, message, &mut self.scratch, TDEFLFlush::Sync);
        if status != TDEFLStatus::Okay || taken != message.len() {
            return None;
        }
        // A flush that ran out of room has no tail.
        let payload = self.scratch.get(..given)?.strip_suffix(&TAIL)?;
        (payload.len() < message.len()).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Incoming, Limits, Reader, Role};

    fn eager() -> Deflater {
        Deflater::new(&Settings { threshold_bytes: 0, ..Settings::default() })
    }

    /// What a frame says when it is read by a client that agreed to deflate.
    fn read_back(frame: &[u8]) -> Incoming<'static> {
        let mut bytes = frame.to_vec();
        let mut reader = Reader::new(Role::Client, Some(Agreed::default()));
        match reader.read(&Limits::default(), &mut &mut bytes[..]).unwrap().unwrap() {
            Incoming::Text(text) => Incoming::Text(text.into_owned().into()),
            Incoming::Binary(bytes) => Incoming::Binary(bytes.into_owned().into()),
            other => panic!("{other:?}"),
        }
    }

    /// The compressor keeps nothing of one message for the next: equal messages give equal frames.
    #[test]
    fn messages_are_independent() {
        let mut deflater = eager();
        let first = deflater.text(&"abc".repeat(100)).unwrap();
        assert!(deflater.binary(&[7; 5000]).is_some());
        assert_eq!(deflater.text(&"abc".repeat(100)).unwrap(), first);
        assert_eq!(first.message_bytes, 300);
        assert_eq!(first.frame[0], 0xc1);
        assert_eq!(read_back(&first.frame), Incoming::Text("abc".repeat(100).into()));
    }

    /// Short messages, and those that would grow, are not compressed.
    #[test]
    fn what_is_not_compressed() {
        let mut deflater = Deflater::new(&Settings::default());
        assert_eq!(deflater.text(&"a".repeat(1023)), None);
        assert!(deflater.text(&"a".repeat(1024)).is_some());
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(4096)
        .collect();
        assert_eq!(deflater.binary(&noise), None);
        assert_eq!(eager().text(""), None);
        assert_eq!(eager().masked(Opcode::Ping, &[0; 100], [0; 4]), None);
    }

    /// Large buffers are given back.
    #[test]
    fn scratch_is_bounded() {
        let mut deflater = eager();
        assert!(deflater.binary(&vec![1; 1_000_000]).is_some());
        assert!(deflater.scratch.capacity() <= KEPT_SCRATCH_BYTES);
    }

    proptest! {
        /// What is compressed reads back the same, from a server and from a client.
        #[test]
        fn round_trip(piece: Vec<u8>, times in 1usize..50, key: [u8; 4]) {
            let message = piece.repeat(times);
            let mut deflater = eager();
            if let Some(deflated) = deflater.binary(&message) {
                prop_assert_eq!(read_back(&deflated.frame), Incoming::Binary(message.clone().into()));
            }
            if let Some(deflated) = deflater.masked(Opcode::Binary, &message, key) {
                let mut bytes = deflated.frame.to_vec();
                let mut reader = Reader::new(Role::Server, Some(Agreed::default()));
                let mut input = &mut bytes[..];
                let read = reader.read(&Limits::default(), &mut input).unwrap();
                prop_assert_eq!(read, Some(Incoming::Binary(message.into())));
            }
        }
    }
}
