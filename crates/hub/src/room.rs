//! The name of a room.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::SocketId;

/// The longest name of a room, in bytes of UTF-8.
///
/// Names such as `chat:<uuid>` need under 64. The limit keeps what a client can make the server
/// remember per join small, and a name fits one length byte in a stored record.
pub const MAX_ROOM_BYTES: usize = 255;

/// The name of a room: 1 to 255 bytes of UTF-8 without control characters.
///
/// Control characters are refused because names appear in logs, in HTTP paths and in Redis channel
/// names. A clone shares the text.
#[derive(Clone)]
pub struct Room(Arc<str>);

/// Why a text is not the name of a [`Room`]. The fault of whoever sent the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomNameError {
    /// No character at all.
    #[error("the name of a room is empty")]
    Empty,
    /// More than [`MAX_ROOM_BYTES`].
    #[error("the name of a room has {0} bytes, the limit is {MAX_ROOM_BYTES}")]
    TooLong(usize),
    /// A control character, such as NUL or a line break.
    #[error("the name of a room has the control character U+{:04X}", u32::from(*.0))]
    Control(char),
}

impl Room {
    /// Checks a name and takes it.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than [`MAX_ROOM_BYTES`], or has a control character. Nothing
    /// is allocated before the check.
    pub fn new(name: &str) -> Result<Self, RoomNameError> {
        if name.is_empty() {
            return Err(RoomNameError::Empty);
        }
        if name.len() > MAX_ROOM_BYTES {
            return Err(RoomNameError::TooLong(name.len()));
        }
        if let Some(control) = name.chars().find(|character| character.is_control()) {
            return Err(RoomNameError::Control(control));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a text to share.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// The socket's own room.
impl From<SocketId> for Room {
    fn from(id: SocketId) -> Self {
        Self(id.as_str().into())
    }
}

impl FromStr for Room {
    type Err = RoomNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Room {
    type Error = RoomNameError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

// Clones of one name are compared by address first: consecutive events to one room usually carry
// the same allocation.
impl PartialEq for Room {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Room {}

impl PartialEq<str> for Room {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl Hash for Room {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Room {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Room {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Borrow<str> for Room {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Room {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({:?})", self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Room {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_to_255_bytes_and_no_control_characters() {
        let longest = "x".repeat(MAX_ROOM_BYTES);
        let too_long = "\u{e9}".repeat(128);
        let cases = [
            ("", Err(RoomNameError::Empty)),
            (longest.as_str(), Ok(())),
            (too_long.as_str(), Err(RoomNameError::TooLong(256))),
            ("chat:42", Ok(())),
            ("Raum \u{1f389} \u{e9}", Ok(())),
            ("a\0b", Err(RoomNameError::Control('\0'))),
            ("a\r\nb", Err(RoomNameError::Control('\r'))),
            ("a\u{7f}", Err(RoomNameError::Control('\u{7f}'))),
            ("a\u{85}", Err(RoomNameError::Control('\u{85}'))),
        ];
        for (name, want) in cases {
            assert_eq!(Room::new(name).map(drop), want, "{name:?}");
        }
    }

    #[test]
    fn equal_names_are_equal_rooms_whatever_their_allocation() {
        let one = Room::new("a").unwrap();
        assert_eq!(one, one.clone());
        assert_eq!(one, Room::new("a").unwrap());
        assert_ne!(one, Room::new("b").unwrap());
    }
}
