//! Payloads: several packets in one polling request or response.
//!
//! Revision 4 separates text packets by one character. Revision 3 puts a length before each, and
//! knows a second, binary form for payloads with bytes in them.
//!
//! Reading borrows from the body and goes over it once; writing only joins packets that were
//! encoded before, so that a packet for many receivers is encoded once.
//!
//! Spec: Engine.IO protocol 4, § Payload encoding; revision 3, § Payload.

use crate::packet::{self, PacketError, V3_BINARY_MESSAGE};
use crate::{Packet, Revision, Settings};

/// Between two packets of a revision 4 payload.
pub const SEPARATOR: char = '\u{1e}';
/// The content type of a response made of text.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; charset=UTF-8";
/// The content type of a revision 3 response in the binary form, and of such a request.
pub const BINARY_CONTENT_TYPE: &str = "application/octet-stream";
/// The content type of the answer to a `POST`, whose body is [`POST_OK`]. `text/plain` would make
/// old browsers offer a download.
pub const POST_CONTENT_TYPE: &str = "text/html";
/// The body of the answer to a `POST` that was read.
pub const POST_OK: &str = "ok";
/// The most digits a length may have: enough for any body that fits into memory.
const MAX_LENGTH_DIGITS: usize = 12;
/// Ends the length in the binary form.
const LENGTH_END: u8 = 0xff;

/// Bytes that are no payload: the client's fault, and the end of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is not UTF-8. The request is answered 400, unlike the other errors, which the
    /// reference server answers 200 before it closes the session.
    #[error("the payload is not UTF-8")]
    InvalidUtf8,
    /// More packets than [`Settings::max_packets_per_payload`].
    #[error("the payload holds too many packets")]
    TooManyPackets,
    /// Revision 3: a length is missing or no number.
    #[error("a packet's length is invalid")]
    InvalidLength,
    /// Revision 3: the body ends before the length says so, or inside a character.
    #[error("the payload ends inside a packet")]
    Truncated,
    /// One of the packets is no packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

impl PayloadError {
    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooManyPackets => "too_many_packets",
            Self::InvalidLength => "invalid_length",
            Self::Truncated => "truncated_payload",
            Self::Packet(error) => error.name(),
        }
    }
}

/// The body of a `POST` as text.
///
/// The reference server replaces what is not UTF-8; we refuse it, because the replaced text is not
/// what the client sent.
///
/// # Errors
///
/// [`PayloadError::InvalidUtf8`].
pub fn text(body: &[u8]) -> Result<&str, PayloadError> {
    simdutf8::basic::from_utf8(body).map_err(|_| PayloadError::InvalidUtf8)
}

/// The packets of a payload, one by one. It ends after the first error; the packets before it are
/// valid and, as in the reference server, count.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    revision: Revision,
    rest: Rest<'a>,
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Rest<'a> {
    Separated(&'a str),
    LengthPrefixed(&'a str),
    Binary(&'a [u8]),
    Done,
}

impl<'a> Packets<'a> {
    /// Reads a payload of text.
    pub fn text(revision: Revision, body: &'a str, settings: &Settings) -> Self {
        let rest = match revision {
            Revision::V4 => Rest::Separated(body),
            Revision::V3 => Rest::LengthPrefixed(body),
        };
        Self { revision, rest, left: settings.max_packets_per_payload }
    }

    /// Reads a payload in revision 3's binary form.
    pub fn binary(body: &'a [u8], settings: &Settings) -> Self {
        let rest = if body.is_empty() { Rest::Done } else { Rest::Binary(body) };
        Self { revision: Revision::V3, rest, left: settings.max_packets_per_payload }
    }

    /// The next packet and what is left after it; `None` when only empty packets were left.
    fn step(&mut self) -> Result<Option<Packet<'a>>, PayloadError> {
        loop {
            if matches!(self.rest, Rest::Done) {
                return Ok(None);
            }
            self.left = self.left.checked_sub(1).ok_or(PayloadError::TooManyPackets)?;
            match self.rest {
                Rest::Done => return Ok(None),
                Rest::Separated(body) => {
                    let (piece, rest) = match memchr::memchr(SEPARATOR as u8, body.as_bytes()) {
                        Some(at) => body.split_at_checked(at).unwrap_or((body, "")),
                        None => (body, ""),
                    };
                    self.rest = match rest.strip_prefix(SEPARATOR) {
                        Some(rest) => Rest::Separated(rest),
                        None => Rest::Done,
                    };
                    return Ok(Some(packet::decode_text(self.revision, piece)?));
                }
                Rest::LengthPrefixed(body) => {
                    let (piece, rest) = split_length_prefixed(body)?;
                    self.rest =
                        if rest.is_empty() { Rest::Done } else { Rest::LengthPrefixed(rest) };
                    if !piece.is_empty() {
                        return Ok(Some(packet::decode_text(self.revision, piece)?));
                    }
                }
                Rest::Binary(body) => {
                    let (packet, rest) = split_binary(body)?;
                    self.rest = if rest.is_empty() { Rest::Done } else { Rest::Binary(rest) };
                    return Ok(Some(packet));
                }
            }
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.rest = Rest::Done;
        }
        step.transpose()
    }
}

/// `<length in UTF-16 units>:<packet>` and what follows.
fn split_length_prefixed(body: &str) -> Result<(&str, &str), PayloadError> {
    let (digits, rest) = body.split_once(':').ok_or(PayloadError::InvalidLength)?;
    if digits.len() > MAX_LENGTH_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PayloadError::InvalidLength);
    }
    let mut units: usize = digits.parse().map_err(|_| PayloadError::InvalidLength)?;
    let mut end = 0;
    let mut characters = rest.chars();
    while units > 0 {
        let character = characters.next().ok_or(PayloadError::Truncated)?;
        // A length that ends between the halves of a surrogate pair is no length of a text.
        units = units.checked_sub(character.len_utf16()).ok_or(PayloadError::Truncated)?;
        end += character.len_utf8();
    }
    rest.split_at_checked(end).ok_or(PayloadError::Truncated)
}

/// `00` or `01`, the length as one byte per digit, `FF`, the packet; and what follows.
fn split_binary(body: &[u8]) -> Result<(Packet<'_>, &[u8]), PayloadError> {
    let (&kind, body) = body.split_first().ok_or(PayloadError::Truncated)?;
    let mut length = 0_usize;
    let mut digits = 0;
    let mut rest = body;
    loop {
        let (&byte, after) = rest.split_first().ok_or(PayloadError::Truncated)?;
        rest = after;
        match byte {
            LENGTH_END if digits > 0 => break,
            0..=9 if digits < MAX_LENGTH_DIGITS => {
                digits += 1;
                length = length.saturating_mul(10).saturating_add(usize::from(byte));
            }
            _ => return Err(PayloadError::InvalidLength),
        }
    }
    let (piece, rest) = rest.split_at_checked(length).ok_or(PayloadError::Truncated)?;
    let packet = match kind {
        0 => packet::decode_text(Revision::V3, text(piece)?)?,
        1 => packet::decode_binary(Revision::V3, piece)?,
        _ => return Err(PacketError::UnknownType.into()),
    };
    Ok((packet, rest))
}

/// A packet on its way into a polling response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An encoded text packet: `42["a"]`, `2`, or a message of bytes that was encoded for this
    /// revision by [`packet::encode_base64`] once for all receivers.
    Text(&'a str),
    /// The bytes of a binary message, not yet encoded.
    Binary(&'a [u8]),
}

/// The body of a polling response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Text, sent as [`TEXT_CONTENT_TYPE`].
    Text(String),
    /// Revision 3's binary form, sent as [`BINARY_CONTENT_TYPE`].
    Binary(Vec<u8>),
}

impl Payload {
    /// The value of the `Content-Type` header.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Text(_) => TEXT_CONTENT_TYPE,
            Self::Binary(_) => BINARY_CONTENT_TYPE,
        }
    }

    /// The bytes of the body.
    pub fn into_bytes(self) -> bytes::Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes.into(),
        }
    }
}

/// Joins packets to the payload a client reads: the binary form for a revision 3 client that
/// `accepts_binary` (did not ask for `b64`) when there are bytes to send, else text.
pub fn encode(revision: Revision, accepts_binary: bool, pieces: &[Piece<'_>]) -> Payload {
    let has_bytes = pieces.iter().any(|piece| matches!(piece, Piece::Binary(_)));
    if revision == Revision::V3 && accepts_binary && has_bytes {
        Payload::Binary(encode_binary(pieces))
    } else {
        Payload::Text(encode_text(revision, pieces))
    }
}

/// Joins packets to a payload of text, with base64 for bytes.
pub fn encode_text(revision: Revision, pieces: &[Piece<'_>]) -> String {
    // 8 bytes hold a separator or a length, and base64's prefix and padding.
    let size = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.len() + 8,
            Piece::Binary(bytes) => bytes.len() / 3 * 4 + 8,
        })
        .sum();
    let mut body = String::with_capacity(size);
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 && revision == Revision::V4 {
            body.push(SEPARATOR);
        }
        match piece {
            Piece::Text(text) => push_text(&mut body, revision, text),
            Piece::Binary(bytes) => {
                push_text(&mut body, revision, &packet::encode_base64(revision, bytes));
            }
        }
    }
    body
}

fn push_text(body: &mut String, revision: Revision, packet: &str) {
    if revision == Revision::V3 {
        body.push_str(&utf16_len(packet).to_string());
        body.push(':');
    }
    body.push_str(packet);
}

/// The length as JavaScript counts it.
fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

fn encode_binary(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        let (kind, head, data): (u8, &[u8], &[u8]) = match piece {
            Piece::Text(text) => (0, &[], text.as_bytes()),
            Piece::Binary(bytes) => (1, &[V3_BINARY_MESSAGE], bytes),
        };
        let length = (head.len() + data.len()).to_string();
        body.push(kind);
        body.extend(length.bytes().map(|digit| digit - b'0'));
        body.push(LENGTH_END);
        body.extend_from_slice(head);
        body.extend_from_slice(data);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn read(packets: Packets<'_>) -> Vec<Result<Packet<'_>, PayloadError>> {
        packets.collect()
    }

    /// Shows what is read up to the first fault, and which fault it is.
    #[test]
    fn reads_up_to_the_first_fault() {
        use PayloadError as E;
        let settings = Settings { max_packets_per_payload: 4, ..Settings::default() };
        let text = |text| Ok(Packet::Text(text));
        for (revision, body, expected) in [
            (Revision::V4, "4a\u{1e}4b", vec![text("a"), text("b")]),
            (Revision::V4, "", vec![Err(E::Packet(PacketError::Empty))]),
            (Revision::V4, "4a\u{1e}", vec![text("a"), Err(PacketError::Empty.into())]),
            (Revision::V4, "4a\u{1e}\u{1e}4b", vec![text("a"), Err(PacketError::Empty.into())]),
            (Revision::V4, "abc", vec![Err(PacketError::UnknownType.into())]),
            (
                Revision::V4,
                "6\u{1e}6\u{1e}6\u{1e}6\u{1e}6",
                vec![
                    Ok(Packet::Noop),
                    Ok(Packet::Noop),
                    Ok(Packet::Noop),
                    Ok(Packet::Noop),
                    Err(E::TooManyPackets),
                ],
            ),
            (Revision::V3, "3:4hi2:4a", vec![text("hi"), text("a")]),
            (Revision::V3, "6:4hé€\u{1F600}", vec![text("hé€\u{1F600}")]),
            (Revision::V3, "0:2:4a", vec![text("a")]),
            (Revision::V3, "0:0:0:0:0:2:4a", vec![Err(E::TooManyPackets)]),
            (Revision::V3, "", vec![Err(E::InvalidLength)]),
            (Revision::V3, "3:4hi4", vec![text("hi"), Err(E::InvalidLength)]),
            (Revision::V3, "3:4h", vec![Err(E::Truncated)]),
            (Revision::V3, "2:4\u{1F600}", vec![Err(E::Truncated)]),
            (Revision::V3, "0x3:4hi", vec![Err(E::InvalidLength)]),
            (Revision::V3, "-1:4", vec![Err(E::InvalidLength)]),
            (Revision::V3, "+1:4", vec![Err(E::InvalidLength)]),
            (Revision::V3, ":4", vec![Err(E::InvalidLength)]),
            (Revision::V3, "9999999999999999999999:4", vec![Err(E::InvalidLength)]),
            (Revision::V3, "1:7", vec![Err(PacketError::UnknownType.into())]),
        ] {
            let found = read(Packets::text(revision, body, &settings));
            assert_eq!(found, expected, "{revision:?} {body:?}");
        }
    }

    /// Shows the binary form and its faults.
    #[test]
    fn reads_the_binary_form() {
        use PayloadError as E;
        let settings = Settings::default();
        for (body, expected) in [
            (&b""[..], vec![]),
            (b"\x00\x03\xff4\xc3\xa9", vec![Ok(Packet::Text("é"))]),
            (
                b"\x00\x02\xff4a\x01\x03\xff\x04\x01\x02",
                vec![Ok(Packet::Text("a")), Ok(Packet::Binary(Cow::Borrowed(&[1, 2])))],
            ),
            (b"\x02\x01\xff4", vec![Err(E::Packet(PacketError::UnknownType))]),
            (b"\x00\xff4", vec![Err(E::InvalidLength)]),
            (b"\x00\x0a\xff4", vec![Err(E::InvalidLength)]),
            (b"\x00\x02", vec![Err(E::Truncated)]),
            (b"\x00\x02\xff4", vec![Err(E::Truncated)]),
            (b"\x00\x02\xff4\xff", vec![Err(E::InvalidUtf8)]),
            (b"\x01\x00\xff", vec![Err(E::Packet(PacketError::Empty))]),
            (&[9; 400], vec![Err(E::Packet(PacketError::UnknownType))]),
        ] {
            let found = read(Packets::binary(body, &settings));
            // An unknown kind is only looked at after its length.
            let expected = if body.len() == 400 { vec![Err(E::InvalidLength)] } else { expected };
            assert_eq!(found, expected, "{body:?}");
        }
    }

    /// Shows the forms a response takes.
    #[test]
    fn writes_the_form_the_client_reads() {
        let pieces = [Piece::Text("4hello"), Piece::Binary(&[1, 2, 3, 4])];
        let text = |text: &str| Payload::Text(text.to_owned());
        assert_eq!(encode(Revision::V4, true, &pieces), text("4hello\u{1e}bAQIDBA=="));
        assert_eq!(encode(Revision::V3, false, &pieces), text("6:4hello10:b4AQIDBA=="));
        let binary = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04".to_vec();
        assert_eq!(encode(Revision::V3, true, &pieces), Payload::Binary(binary));
        let pieces = [Piece::Text("4hé€\u{1F600}")];
        assert_eq!(encode(Revision::V3, true, &pieces), text("6:4hé€\u{1F600}"));
    }

    #[derive(Debug, Clone)]
    enum Sent {
        Text(String),
        Binary(Vec<u8>),
    }

    fn sent() -> impl Strategy<Value = Vec<Sent>> {
        let text = "[^\u{1e}]{0,20}".prop_map(|text| Sent::Text(packet::encode_text(&text)));
        let binary = any::<Vec<u8>>().prop_map(Sent::Binary);
        prop::collection::vec(prop_oneof![text, binary], 1..8)
    }

    proptest! {
        #[test]
        fn payloads_round_trip(sent in sent(), accepts_binary: bool) {
            let settings = Settings::default();
            let pieces: Vec<_> = sent.iter().map(|sent| match sent {
                Sent::Text(text) => Piece::Text(text),
                Sent::Binary(bytes) => Piece::Binary(bytes),
            }).collect();
            for revision in [Revision::V3, Revision::V4] {
                let payload = encode(revision, accepts_binary, &pieces);
                let found = match &payload {
                    Payload::Text(body) => read(Packets::text(revision, body, &settings)),
                    Payload::Binary(body) => read(Packets::binary(body, &settings)),
                };
                let expected: Vec<_> = pieces.iter().map(|piece| Ok(match piece {
                    Piece::Text(text) => Packet::Text(&text[1..]),
                    Piece::Binary(bytes) => Packet::Binary(Cow::Borrowed(bytes)),
                })).collect();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn any_body_is_answered_within_the_limit(body: Vec<u8>, text in any::<String>()) {
            let settings = Settings { max_packets_per_payload: 3, ..Settings::default() };
            prop_assert!(Packets::binary(&body, &settings).count() <= 4);
            for revision in [Revision::V3, Revision::V4] {
                prop_assert!(Packets::text(revision, &text, &settings).count() <= 4);
            }
        }

        #[test]
        fn any_lengths_are_answered(text in "([0-9]{0,3}:?[b0-6é\u{1F600}]{0,4}){0,5}") {
            let settings = Settings::default();
            let _ = Packets::text(Revision::V3, &text, &settings).count();
        }
    }
}
