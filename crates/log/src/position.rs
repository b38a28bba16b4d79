//! Where an entry stands: the epoch of the log and a sequence in it.

use std::fmt;
use std::str::FromStr;

/// The largest sequence: what a SQLite integer holds. At a million entries a second it lasts
/// 290 000 years.
pub const MAX_SEQUENCE: u64 = i64::MAX as u64;

/// The longest text of a [`Position`], in bytes.
pub const MAX_POSITION_BYTES: usize = EPOCH_DIGITS + 1 + MAX_SEQUENCE_DIGITS;

/// 64 bits in digits of 6 bits.
const EPOCH_DIGITS: usize = 11;
const MAX_SEQUENCE_DIGITS: usize = 11;

/// Between epoch and sequence. Not a digit, and safe in a URL, a header and an SSE `id`.
const SEPARATOR: u8 = b'.';

/// The digits of base64url (RFC 4648 § 5), so that the text needs no escape anywhere.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Which life of the log: random, new whenever positions handed out before may no longer hold.
///
/// That is when the log is created, repaired or reset, and when the machine restarted with a tail
/// that had not been synced. A position of another epoch is never resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A new life.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }
}

/// Where an entry stands in the log. Its text is opaque to whoever receives it.
///
/// The first entry has sequence 1; sequence 0 is the place before it. As text it is at most
/// [`MAX_POSITION_BYTES`] of `A-Z a-z 0-9 _ - .`, and each position has exactly one text: it is
/// used as Socket.IO `offset`, as SSE `id` and as `eventId`.
///
/// ```
/// use eventlog::{Epoch, Position};
///
/// let position = Position { epoch: Epoch(7), sequence: 42 };
/// assert_eq!(position.to_string(), "AAAAAAAAAAH.q");
/// assert_eq!("AAAAAAAAAAH.q".parse(), Ok(position));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The place in it, counted from 1, at most [`MAX_SEQUENCE`].
    pub sequence: u64,
}

/// Why a text is not a [`Position`]. The fault of whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// Shorter than 13 or longer than [`MAX_POSITION_BYTES`].
    #[error("a position has 13 to {MAX_POSITION_BYTES} characters, this has {0} bytes")]
    Length(usize),
    /// A character that no position has, or the dot at another place.
    #[error("the byte at index {0} does not belong in a position")]
    Character(usize),
    /// A second spelling of a number, or one that is too large.
    #[error("the number in the position is too large or not in its shortest form")]
    Number,
}

/// As it begins the text of a [`Position`].
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Position { epoch: *self, sequence: 0 }.to_string();
        f.pad(text.get(..EPOCH_DIGITS).unwrap_or_default())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; MAX_POSITION_BYTES];
        let mut at = MAX_POSITION_BYTES;
        let mut push = |byte: u8| {
            at = at.saturating_sub(1);
            if let Some(slot) = text.get_mut(at) {
                *slot = byte;
            }
        };
        let mut rest = self.sequence.min(MAX_SEQUENCE);
        loop {
            push(digit(rest));
            rest >>= 6;
            if rest == 0 {
                break;
            }
        }
        push(SEPARATOR);
        let mut rest = self.epoch.0;
        for _ in 0..EPOCH_DIGITS {
            push(digit(rest));
            rest >>= 6;
        }
        let text = text.get(at..).unwrap_or_default();
        f.pad(std::str::from_utf8(text).unwrap_or_default())
    }
}

fn digit(number: u64) -> u8 {
    DIGITS.get((number & 63) as usize).copied().unwrap_or(b'A')
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        if bytes.len() < EPOCH_DIGITS + 2 || bytes.len() > MAX_POSITION_BYTES {
            return Err(PositionError::Length(bytes.len()));
        }
        let (epoch, rest) = bytes.split_at(EPOCH_DIGITS);
        let Some((&SEPARATOR, sequence)) = rest.split_first() else {
            return Err(PositionError::Character(EPOCH_DIGITS));
        };
        if sequence.len() > 1 && sequence.first() == Some(&b'A') {
            return Err(PositionError::Number);
        }
        let epoch = number(epoch, 0, u64::MAX)?;
        let sequence = number(sequence, EPOCH_DIGITS + 1, MAX_SEQUENCE)?;
        Ok(Self { epoch: Epoch(epoch), sequence })
    }
}

fn number(digits: &[u8], offset: usize, max: u64) -> Result<u64, PositionError> {
    let mut number = 0_u128;
    for (index, byte) in digits.iter().enumerate() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return Err(PositionError::Character(offset + index)),
        };
        number = number << 6 | u128::from(value); // at most 11 digits: 66 bits
    }
    u64::try_from(number).ok().filter(|number| *number <= max).ok_or(PositionError::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_text_of_a_position_is_short_safe_and_parses_back(
            epoch in any::<u64>(), sequence in 0..=MAX_SEQUENCE,
        ) {
            let position = Position { epoch: Epoch(epoch), sequence };
            let text = position.to_string();
            prop_assert!(text.len() <= 24);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)));
            let epoch = format!("{}.", position.epoch);
            prop_assert!(text.starts_with(&epoch));
            prop_assert_eq!(text.parse(), Ok(position));
        }

        /// Strict: whatever parses is the one text of its position.
        #[test]
        fn whatever_parses_is_the_one_text_of_its_position(text in "[A-Za-z0-9_.-]{0,26}|.{0,30}") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }

        #[test]
        fn near_misses_parse_only_as_what_they_say(
            sequence in 0..=MAX_SEQUENCE, at in 0_usize..24, byte in 0_u8..128,
        ) {
            let mut text = Position { epoch: Epoch(u64::MAX), sequence }.to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let text = String::from_utf8(text).unwrap();
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let cases = [
            ("", PositionError::Length(0)),
            ("AAAAAAAAAAA.", PositionError::Length(12)),
            ("AAAAAAAAAAA.AAAAAAAAAAAA", PositionError::Length(24)),
            ("AAAAAAAAAAAAA", PositionError::Character(11)),
            ("AAAAA AAAAA.B", PositionError::Character(5)),
            ("AAAAAAAAAAA.+", PositionError::Character(12)),
            ("AAAAAAAAAAA.AB", PositionError::Number),
            ("QAAAAAAAAAA.B", PositionError::Number),
            ("AAAAAAAAAAA.IAAAAAAAAAA", PositionError::Number),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Position>(), Err(want), "{text:?}");
        }
    }
}
