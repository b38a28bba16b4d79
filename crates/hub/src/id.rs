//! The public id of a socket.

use std::fmt;
use std::str::FromStr;

use crate::Room;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The public id of one socket: exactly 20 characters of base64url.
///
/// It names a client in one namespace, is shown to other clients, and is the name of the socket's
/// own room. It is never the Engine.IO `sid`, which is a secret of the connection. Twenty
/// characters are what Node's cluster adapters take for a private id, so no other length exists.
///
/// Spec: Socket.IO protocol v5 § Connection to a namespace (`sid`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId([u8; Self::LEN]);

/// Why a text is not a [`SocketId`]. The fault of whoever sent the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketIdError {
    /// Another length than 20 characters.
    #[error("a socket id has 20 characters, this text has {0} bytes")]
    Length(usize),
    /// A character outside of base64url.
    #[error("a socket id has only the characters A-Z, a-z, 0-9, '-' and '_'")]
    Alphabet,
}

impl SocketId {
    /// The length of every id, in characters (and bytes).
    pub const LEN: usize = 20;

    /// Builds an id from 12 random bytes and a counter, of which the low 24 bits are used.
    ///
    /// The bytes must come from a cryptographic source: who can guess an id can address its owner
    /// through any endpoint that takes room names. The counter makes ids of one process distinct
    /// even if the source repeats.
    #[must_use]
    pub fn new(random: [u8; 12], counter: u32) -> Self {
        let mut source = [0; 15];
        let (head, tail) = source.split_at_mut(random.len());
        head.copy_from_slice(&random);
        tail.copy_from_slice(counter.to_be_bytes().split_at(1).1);

        let mut text = [b'A'; Self::LEN];
        for (from, to) in source.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
            let group = from.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte));
            for (shift, character) in [18, 12, 6, 0].into_iter().zip(to) {
                let digit = (group >> shift) & 63;
                *character = ALPHABET.get(digit as usize).copied().unwrap_or(b'A');
            }
        }
        Self(text)
    }

    /// Reads an id from its text.
    ///
    /// # Errors
    ///
    /// When the text has another length or a character outside of base64url.
    pub fn parse(text: &str) -> Result<Self, SocketIdError> {
        let bytes: [u8; Self::LEN] =
            text.as_bytes().try_into().map_err(|_| SocketIdError::Length(text.len()))?;
        if bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            Ok(Self(bytes))
        } else {
            Err(SocketIdError::Alphabet)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The name of the room that reaches this socket. It exists without being stored.
    #[must_use]
    pub fn room(&self) -> Room {
        Room::from(*self)
    }
}

impl FromStr for SocketId {
    type Err = SocketIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SocketId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_the_base64url_text_of_random_bytes_and_counter() {
        let cases = [
            ([0; 12], 0, "AAAAAAAAAAAAAAAAAAAA"),
            ([0xff; 12], 0x00ff_ffff, "____________________"),
            // Only the low 24 bits of the counter are used.
            ([0; 12], 0xff00_0001, "AAAAAAAAAAAAAAAAAAAB"),
            ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 62 << 6, "AQIDBAUGBwgJCgsMAA-A"),
        ];
        for (random, counter, text) in cases {
            assert_eq!(SocketId::new(random, counter).as_str(), text);
        }
    }

    #[test]
    fn only_twenty_characters_of_base64url_are_an_id() {
        let cases = [
            ("", Err(SocketIdError::Length(0))),
            ("AAAAAAAAAAAAAAAAAAA", Err(SocketIdError::Length(19))),
            ("AAAAAAAAAAAAAAAAAAAAA", Err(SocketIdError::Length(21))),
            ("AAAAAAAAAAAAAAAAAAA+", Err(SocketIdError::Alphabet)),
            ("AAAAAAAAAAAAAAAAAA\u{e9}", Err(SocketIdError::Alphabet)),
            ("npEOx-_9AAAAAAAAAAAA", Ok(())),
        ];
        for (text, want) in cases {
            assert_eq!(SocketId::parse(text).map(drop), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_built_id_reads_back(random: [u8; 12], counter: u32) {
            let id = SocketId::new(random, counter);
            prop_assert_eq!(SocketId::parse(id.as_str()), Ok(id));
            let room = id.room();
            prop_assert_eq!(room.as_str(), id.as_str());
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text: String) {
            if let Ok(id) = SocketId::parse(&text) {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
