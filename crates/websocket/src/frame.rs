//! Building frames.
//!
//! A server's frame is the same for every receiver: build it once, share the [`Bytes`]. To join
//! several frames in one buffer use the `write_*` functions on one [`BytesMut`] and freeze it.
//!
//! A client's frames are masked; each needs a fresh key from an unpredictable source
//! (RFC 6455 § 10.3), which the caller passes in.

use bytes::{BufMut, Bytes, BytesMut};

use crate::head::{self, FIN, MAX_CONTROL_BYTES};
use crate::{CloseCode, CloseReason, Opcode, mask};

/// A text message in one frame.
#[must_use]
pub fn text(payload: &str) -> Bytes {
    whole(Opcode::Text, payload.as_bytes())
}

/// A binary message in one frame.
#[must_use]
pub fn binary(payload: &[u8]) -> Bytes {
    whole(Opcode::Binary, payload)
}

/// A ping. Only the first 125 bytes of `payload` are sent: a control frame has no room for more.
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    whole(Opcode::Ping, fitting(payload))
}

/// A pong, with the ping's payload. Only the first 125 bytes of `payload` are sent.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    whole(Opcode::Pong, fitting(payload))
}

/// A close frame. `reason` must be a constant text of ours, never what the peer sent; it is cut at
/// a character's end to the 123 bytes that have room.
#[must_use]
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(2 + MAX_CONTROL_BYTES);
    let reason =
        reason.get(..reason.floor_char_boundary(MAX_CONTROL_BYTES - 2)).unwrap_or_default();
    write_header(&mut frame, Opcode::Close, 2 + reason.len());
    frame.put_u16(code.value());
    frame.put_slice(reason.as_bytes());
    frame.freeze()
}

/// The answer to the peer's close frame: its code without its reason, or nothing if it had none.
/// Spec: RFC 6455 § 5.5.1.
#[must_use]
pub fn close_reply(received: Option<&CloseReason<'_>>) -> Bytes {
    received.map_or_else(|| whole(Opcode::Close, &[]), |received| close(received.code, ""))
}

/// Appends one whole, unmasked frame to `dst`, to join several into one buffer.
///
/// The payload of a control frame must not exceed 125 bytes.
#[inline]
pub fn write(dst: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    dst.reserve(header_bytes(payload.len()) + payload.len());
    write_header(dst, opcode, payload.len());
    dst.put_slice(payload);
}

/// Appends the head of an unmasked, unfragmented frame; the caller appends `payload_bytes` bytes.
/// Spec: RFC 6455 § 5.2.
#[inline]
pub fn write_header(dst: &mut BytesMut, opcode: Opcode, payload_bytes: usize) {
    head::write(dst, FIN | opcode.bits(), payload_bytes, None);
}

/// How many bytes [`write_header`] appends: 2, 4 or 10.
#[must_use]
pub const fn header_bytes(payload_bytes: usize) -> usize {
    head::size(payload_bytes)
}

/// A client's frame in one piece, masked with `key`.
///
/// The payload of a control frame must not exceed 125 bytes.
#[must_use]
pub fn masked(opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Bytes {
    let mut frame = BytesMut::new();
    write_masked(&mut frame, opcode, payload, key);
    frame.freeze()
}

/// Appends a client's frame in one piece, masked with `key`. Spec: RFC 6455 § 5.3.
///
/// The payload of a control frame must not exceed 125 bytes.
pub fn write_masked(dst: &mut BytesMut, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    put_masked(dst, FIN | opcode.bits(), payload, key);
}

/// A client's frame with the first byte chosen freely.
pub(crate) fn put_masked(dst: &mut BytesMut, first: u8, payload: &[u8], key: [u8; 4]) {
    dst.reserve(header_bytes(payload.len()) + key.len() + payload.len());
    head::write(dst, first, payload.len(), Some(key));
    let start = dst.len();
    dst.put_slice(payload);
    if let Some(written) = dst.get_mut(start..) {
        mask::apply(written, key);
    }
}

fn whole(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(header_bytes(payload.len()) + payload.len());
    write(&mut frame, opcode, payload);
    frame.freeze()
}

fn fitting(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_CONTROL_BYTES).unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455 § 5.7, byte for byte.
    #[test]
    fn examples_of_the_specification() {
        assert_eq!(&text("Hello")[..], b"\x81\x05Hello");
        assert_eq!(
            &masked(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d])[..],
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(&ping(b"Hello")[..], b"\x89\x05Hello");
        assert_eq!(&pong(b"Hello")[..], b"\x8a\x05Hello");
        assert_eq!(&binary(&[0; 256])[..4], b"\x82\x7e\x01\x00");
        assert_eq!(&binary(&vec![0; 65536])[..10], b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    /// The length takes the fewest bytes, and `header_bytes` tells how many.
    #[test]
    fn lengths_at_the_edges() {
        let check = |payload_bytes: usize, head: &[u8]| {
            let mut dst = BytesMut::new();
            write_header(&mut dst, Opcode::Text, payload_bytes);
            assert_eq!(&dst[..], head, "{payload_bytes}");
            assert_eq!(header_bytes(payload_bytes), head.len());
        };
        check(0, b"\x81\x00");
        check(125, b"\x81\x7d");
        check(126, b"\x81\x7e\x00\x7e");
        check(65535, b"\x81\x7e\xff\xff");
        check(65536, b"\x81\x7f\0\0\0\0\0\x01\0\0");
    }

    /// Control frames never exceed what the protocol allows, and a reason is cut between characters.
    #[test]
    fn control_frames_are_cut() {
        assert_eq!(ping(&[7; 200]).len(), 2 + 125);
        assert_eq!(close(CloseCode::NORMAL, &"x".repeat(200)).len(), 2 + 125);
        assert_eq!(close(CloseCode::NORMAL, &"ü".repeat(200)).len(), 2 + 2 + 122);
        assert_eq!(&close(CloseCode::GOING_AWAY, "")[..], b"\x88\x02\x03\xe9");
        assert_eq!(&close_reply(None)[..], b"\x88\x00");
    }

    /// Frames joined in one buffer are the frames one after another.
    #[test]
    fn joined() {
        let mut dst = BytesMut::new();
        write(&mut dst, Opcode::Text, b"a");
        write(&mut dst, Opcode::Binary, b"b");
        assert_eq!(&dst[..], b"\x81\x01a\x82\x01b");
    }
}
