//! The name of an event.

use std::fmt;

use thiserror::Error;

use crate::text::SharedStr;

/// Names that mean something to the protocol's implementations: no event may be called so.
///
/// Spec: Socket.IO protocol 5; the list of `socket.io-parser` 4.2.
pub const RESERVED_NAMES: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// The name of an event: any text that is not reserved.
///
/// JavaScript clients may use a number as a name; it reads as its decimal text (`5` is `"5"`).
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(SharedStr);

/// The name is one of [`RESERVED_NAMES`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is a reserved event name")]
pub struct ReservedName(pub Box<str>);

impl EventName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When the name is reserved.
    pub fn new(name: &str) -> Result<Self, ReservedName> {
        Self::from_shared(SharedStr::from(name))
    }

    /// Checks a name without copying it.
    pub(crate) fn from_shared(name: SharedStr) -> Result<Self, ReservedName> {
        if is_reserved(&name) { Err(ReservedName(name.as_str().into())) } else { Ok(Self(name)) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether no event may have this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED_NAMES.contains(&name)
}

impl std::borrow::Borrow<str> for EventName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for EventName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::ops::Deref for EventName {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl std::str::FromStr for EventName {
    type Err = ReservedName;

    fn from_str(name: &str) -> Result<Self, ReservedName> {
        Self::new(name)
    }
}

impl TryFrom<&str> for EventName {
    type Error = ReservedName;

    fn try_from(name: &str) -> Result<Self, ReservedName> {
        Self::new(name)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reserved names are refused, everything else is a name, the empty one too.
    #[test]
    fn reserved() {
        for name in RESERVED_NAMES {
            assert!(EventName::new(name).is_err(), "{name}");
        }
        for name in ["", "error", "message", "Connect", "connect ", "5", "__proto__"] {
            assert_eq!(EventName::new(name).unwrap().as_str(), name);
        }
    }
}
