//! Packets: the unit both sides exchange.
//!
//! A text packet is a type digit and its text. A message of bytes is a WebSocket frame of its own
//! (revision 3 puts a type byte before it), or `b` and base64 where only text can travel.
//!
//! Spec: Engine.IO protocol 4, § Packet encoding; revision 3, § Encoding.

use crate::Revision;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The type byte before the bytes of a binary message in revision 3.
pub(crate) const V3_BINARY_MESSAGE: u8 = 4;

/// A packet from the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: only a server sends it.
    Open,
    /// `1`: the sender closes.
    Close,
    /// `2`: a heartbeat, or with the text `probe` the first packet of an upgrade.
    Ping(&'a str),
    /// `3`: the answer to a ping.
    Pong(&'a str),
    /// `4`: a message of text.
    Text(&'a str),
    /// A message of bytes.
    Binary(Cow<'a, [u8]>),
    /// `5`: the client has moved to this transport.
    Upgrade,
    /// `6`: nothing; it ends a pending poll.
    Noop,
}

/// What a packet brought for the layer above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text, without the type digit.
    Text(&'a str),
    /// Bytes, decoded.
    Binary(Cow<'a, [u8]>),
}

/// Bytes that are no packet: the client's fault, and the end of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Nothing at all.
    #[error("the packet is empty")]
    Empty,
    /// The first character names no packet type.
    #[error("the packet's type is unknown")]
    UnknownType,
    /// What follows `b` is not base64 with its padding.
    #[error("the packet's base64 is invalid")]
    InvalidBase64,
    /// Revision 3: bytes in a packet that is no message.
    #[error("a binary packet is not a message")]
    BinaryControl,
}

impl PacketError {
    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty_packet",
            Self::UnknownType => "unknown_packet_type",
            Self::InvalidBase64 => "invalid_base64",
            Self::BinaryControl => "binary_control_packet",
        }
    }
}

/// Reads a text packet: a WebSocket text frame, or one piece of a polling payload.
///
/// Base64 must be the standard alphabet, padded, without spare bits. The reference server skips
/// what is not base64 and delivers the rest; we refuse, because bytes that were altered on the way
/// are not what the client sent, and every client library writes the canonical form.
///
/// # Errors
///
/// What is wrong with it; the session ends with a parse error.
pub fn decode_text(revision: Revision, text: &str) -> Result<Packet<'_>, PacketError> {
    let mut characters = text.chars();
    let kind = characters.next().ok_or(PacketError::Empty)?;
    let rest = characters.as_str();
    match kind {
        '0' => Ok(Packet::Open),
        '1' => Ok(Packet::Close),
        '2' => Ok(Packet::Ping(rest)),
        '3' => Ok(Packet::Pong(rest)),
        '4' => Ok(Packet::Text(rest)),
        '5' => Ok(Packet::Upgrade),
        '6' => Ok(Packet::Noop),
        'b' => decode_base64(revision, rest),
        _ => Err(PacketError::UnknownType),
    }
}

fn decode_base64(revision: Revision, rest: &str) -> Result<Packet<'_>, PacketError> {
    let text = match revision {
        Revision::V4 => rest,
        Revision::V3 => match rest.strip_prefix('4') {
            Some(text) => text,
            None if rest.starts_with(['0', '1', '2', '3', '5', '6']) => {
                return Err(PacketError::BinaryControl);
            }
            None => return Err(PacketError::UnknownType),
        },
    };
    let bytes = STANDARD.decode(text).map_err(|_| PacketError::InvalidBase64)?;
    Ok(Packet::Binary(Cow::Owned(bytes)))
}

/// Reads a binary WebSocket frame, or a binary piece of a revision 3 payload.
///
/// # Errors
///
/// Revision 3 only: no type byte, or one that is not a message's.
pub fn decode_binary(revision: Revision, bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    match (revision, bytes) {
        (Revision::V4, _) => Ok(Packet::Binary(Cow::Borrowed(bytes))),
        (Revision::V3, [V3_BINARY_MESSAGE, data @ ..]) => Ok(Packet::Binary(Cow::Borrowed(data))),
        (Revision::V3, []) => Err(PacketError::Empty),
        (Revision::V3, [0..=6, ..]) => Err(PacketError::BinaryControl),
        (Revision::V3, _) => Err(PacketError::UnknownType),
    }
}

/// The packet of a text message: `4` and the text.
pub fn encode_text(text: &str) -> String {
    let mut packet = String::with_capacity(text.len() + 1);
    packet.push('4');
    packet.push_str(text);
    packet
}

/// The packet of a message of bytes where only text can travel: `b` (revision 3: `b4`) and base64.
///
/// It stands in polling payloads, and in WebSocket text frames for clients that asked for `b64`.
pub fn encode_base64(revision: Revision, bytes: &[u8]) -> String {
    let prefix = base64_prefix(revision);
    let mut packet = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    packet.push_str(prefix);
    STANDARD.encode_string(bytes, &mut packet);
    packet
}

pub(crate) const fn base64_prefix(revision: Revision) -> &'static str {
    match revision {
        Revision::V3 => "b4",
        Revision::V4 => "b",
    }
}

/// What a binary WebSocket frame carries for a message of bytes.
///
/// Revision 4 sends the bytes as they are, so that they can be shared; revision 3 has to copy them
/// behind a type byte.
pub fn encode_binary_frame(revision: Revision, bytes: &[u8]) -> Cow<'_, [u8]> {
    match revision {
        Revision::V4 => Cow::Borrowed(bytes),
        Revision::V3 => {
            let mut frame = Vec::with_capacity(bytes.len() + 1);
            frame.push(V3_BINARY_MESSAGE);
            frame.extend_from_slice(bytes);
            Cow::Owned(frame)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shows which texts are packets and what is wrong with the others.
    #[test]
    fn reads_text_packets() {
        use Revision::{V3, V4};
        let binary = |bytes: &[u8]| Ok(Packet::Binary(Cow::Owned(bytes.to_vec())));
        for (revision, text, expected) in [
            (V4, "0{}", Ok(Packet::Open)),
            (V4, "1", Ok(Packet::Close)),
            (V4, "2probe", Ok(Packet::Ping("probe"))),
            (V4, "3", Ok(Packet::Pong(""))),
            (V4, "4", Ok(Packet::Text(""))),
            (V4, "4é\u{1F600}", Ok(Packet::Text("é\u{1F600}"))),
            (V4, "5x", Ok(Packet::Upgrade)),
            (V4, "6", Ok(Packet::Noop)),
            (V4, "bAQID", binary(&[1, 2, 3])),
            (V4, "b", binary(&[])),
            (V3, "b4AQIDBA==", binary(&[1, 2, 3, 4])),
            (V3, "b4", binary(&[])),
            (V4, "", Err(PacketError::Empty)),
            (V4, "7", Err(PacketError::UnknownType)),
            (V4, "9", Err(PacketError::UnknownType)),
            (V4, "a", Err(PacketError::UnknownType)),
            (V4, "\0", Err(PacketError::UnknownType)),
            (V4, " 4", Err(PacketError::UnknownType)),
            (V4, "\u{feff}4", Err(PacketError::UnknownType)),
            (V4, "b!!!!", Err(PacketError::InvalidBase64)),
            (V4, "b=", Err(PacketError::InvalidBase64)),
            (V4, "bAQI", Err(PacketError::InvalidBase64)),
            (V4, "bA", Err(PacketError::InvalidBase64)),
            (V4, "bAQ ID", Err(PacketError::InvalidBase64)),
            (V4, "b-_-_", Err(PacketError::InvalidBase64)),
            (V4, "bAQF=", Err(PacketError::InvalidBase64)),
            (V3, "b2AQI=", Err(PacketError::BinaryControl)),
            (V3, "b9AQI=", Err(PacketError::UnknownType)),
            (V3, "b", Err(PacketError::UnknownType)),
        ] {
            assert_eq!(decode_text(revision, text), expected, "{revision:?} {text:?}");
        }
    }

    /// Shows how binary frames are read: revision 3 has a type byte.
    #[test]
    fn reads_binary_frames() {
        assert_eq!(
            decode_binary(Revision::V4, &[4, 1]),
            Ok(Packet::Binary((&[4u8, 1][..]).into()))
        );
        assert_eq!(decode_binary(Revision::V4, &[]), Ok(Packet::Binary((&[][..]).into())));
        assert_eq!(decode_binary(Revision::V3, &[4, 1]), Ok(Packet::Binary((&[1u8][..]).into())));
        assert_eq!(decode_binary(Revision::V3, &[]), Err(PacketError::Empty));
        assert_eq!(decode_binary(Revision::V3, &[2, 1]), Err(PacketError::BinaryControl));
        assert_eq!(decode_binary(Revision::V3, &[0x34, 1]), Err(PacketError::UnknownType));
    }

    proptest! {
        #[test]
        fn messages_round_trip(text in "\\PC*", bytes: Vec<u8>) {
            for revision in [Revision::V3, Revision::V4] {
                let packet = encode_text(&text);
                prop_assert_eq!(decode_text(revision, &packet), Ok(Packet::Text(&text)));
                let packet = encode_base64(revision, &bytes);
                prop_assert_eq!(
                    decode_text(revision, &packet),
                    Ok(Packet::Binary(Cow::Borrowed(&bytes)))
                );
                let frame = encode_binary_frame(revision, &bytes);
                prop_assert_eq!(
                    decode_binary(revision, &frame),
                    Ok(Packet::Binary(Cow::Borrowed(&bytes)))
                );
            }
        }

        #[test]
        fn any_text_is_answered(text in any::<String>(), bytes: Vec<u8>) {
            for revision in [Revision::V3, Revision::V4] {
                let _ = decode_text(revision, &text);
                let _ = decode_binary(revision, &bytes);
            }
        }
    }
}
