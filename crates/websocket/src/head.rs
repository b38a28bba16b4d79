//! A frame's head: the bytes before the payload. Spec: RFC 6455 § 5.2.

use bytes::{BufMut, BytesMut};

use crate::Violation;

/// The longest head: two bytes, a 64-bit length, a mask key.
pub(crate) const MAX_HEAD_BYTES: usize = 14;
/// The longest payload of a control frame. Spec: RFC 6455 § 5.5.
pub(crate) const MAX_CONTROL_BYTES: usize = 125;

pub(crate) const FIN: u8 = 0x80;
/// The bit that marks a compressed message. Spec: RFC 7692 § 6.
pub(crate) const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// Which side of the connection we are: a server reads masked frames, a client unmasked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We are the server; the peer masks.
    Server,
    /// We are the client; the peer does not mask.
    Client,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further piece of a fragmented message.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question to be answered with a pong.
    Ping = 9,
    /// The answer to a ping, or a sign of life.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// The opcode in the low four bits of a frame's first byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether frames of this kind may stand between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

/// A parsed head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) compressed: bool,
    /// Zeros when the frame is not masked: unmasking is then the identity.
    pub(crate) key: [u8; 4],
    pub(crate) masked: bool,
    pub(crate) payload_bytes: u64,
    /// The head's own length.
    pub(crate) size: usize,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` while bytes of it are missing.
    ///
    /// What the first two bytes show is judged as soon as they are there.
    ///
    /// # Errors
    /// The head breaks a rule that needs no knowledge of earlier frames.
    #[inline]
    pub(crate) fn parse(
        bytes: &[u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let fin = first & FIN != 0;
        let reserved = first & RESERVED;
        let compressed =
            deflate && reserved == RSV1 && matches!(opcode, Opcode::Text | Opcode::Binary);
        if reserved != 0 && !compressed {
            return Err(Violation::ReservedBits);
        }
        let masked = second & MASKED != 0;
        match role {
            Role::Server if !masked => return Err(Violation::UnmaskedFrame),
            Role::Client if masked => return Err(Violation::MaskedFrame),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() {
            if !fin {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL_BYTES {
                return Err(Violation::ControlTooLong);
            }
        }
        let Some((payload_bytes, rest)) = length(short, rest)? else { return Ok(None) };
        let (key, rest) = if masked {
            let Some((key, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            (*key, rest)
        } else {
            ([0; 4], rest)
        };
        let size = bytes.len() - rest.len();
        Ok(Some(Self { opcode, fin, compressed, key, masked, payload_bytes, size }))
    }
}

/// The payload's length, and the bytes behind it; `None` while bytes of it are missing.
#[inline]
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, smallest, rest) = match short {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), 126, rest)
        }
        127 => {
            let Some((bytes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), 1 << 16, rest)
        }
        short => return Ok(Some((u64::from(short), rest))),
    };
    if length >> 63 != 0 {
        return Err(Violation::LengthOverflow);
    }
    if length < smallest {
        return Err(Violation::NonMinimalLength);
    }
    Ok(Some((length, rest)))
}

/// The head's length of a frame with `payload_bytes`, without a mask key.
pub(crate) const fn size(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// Writes a head; `first` holds FIN, the reserved bits and the opcode.
#[inline]
pub(crate) fn write(dst: &mut BytesMut, first: u8, payload_bytes: usize, key: Option<[u8; 4]>) {
    let mask = if key.is_some() { MASKED } else { 0 };
    dst.put_u8(first);
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short @ 0..126), _) => dst.put_u8(mask | short),
        (_, Ok(medium)) => {
            dst.put_u8(mask | 126);
            dst.put_u16(medium);
        }
        _ => {
            dst.put_u8(mask | 127);
            dst.put_u64(payload_bytes as u64);
        }
    }
    if let Some(key) = key {
        dst.put_slice(&key);
    }
}
