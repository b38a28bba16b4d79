//! Packets, decoded.

use serde::de::DeserializeOwned;

use crate::args::Args;
use crate::json::{RawStr, Scanner, Token};
use crate::name::EventName;
use crate::namespace::Namespace;
use crate::text::SharedStr;

/// The number by which an acknowledgement finds its event.
///
/// The protocol's ids are JavaScript numbers; a server counts from 0 and never gets to the end.
pub type AckId = u64;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The namespace that it is for.
    pub namespace: Namespace,
    /// What it says.
    pub body: Body,
}

/// What a packet says. Whether there are attachments is a matter of encoding.
///
/// Spec: Socket.IO protocol 5, § Packet types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// From a client: it wants to join. From a server: it has joined.
    Connect {
        /// The object sent along.
        payload: Option<ConnectPayload>,
        /// What a version 2 client wrote behind `?`, undecoded.
        query: Option<Box<str>>,
    },
    /// The sender has left.
    Disconnect,
    /// An event.
    Event {
        /// Its name.
        name: EventName,
        /// Its arguments.
        args: Args,
        /// The id to answer with, when an acknowledgement is wanted.
        ack: Option<AckId>,
    },
    /// An event without a payload: the reference server ignores it.
    NoEvent,
    /// The answer to an event.
    Ack {
        /// The id of the event; an acknowledgement without one is meant for nobody.
        id: Option<AckId>,
        /// The arguments.
        args: Args,
    },
    /// A server's refusal of CONNECT.
    ConnectError {
        /// A JSON object (version 2: or a string).
        payload: Option<SharedStr>,
    },
}

/// The JSON object in a CONNECT packet: a client's `auth`, or a server's `sid` and `pid`.
///
/// From a client it is not to be trusted: it comes before anybody was authenticated.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectPayload(SharedStr);

/// The longest `pid` or `offset` that is looked at, in bytes: a server's own are far shorter.
const MAX_RECOVERY_BYTES: usize = 128;

impl ConnectPayload {
    /// For a text that is known to be a JSON object.
    pub(crate) const fn new(object: SharedStr) -> Self {
        Self(object)
    }

    /// The JSON object as it stands.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.as_str()
    }

    /// Reads the object.
    ///
    /// # Errors
    ///
    /// When the object is not a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The private session id of a client that wants its session back.
    ///
    /// As the reference server does, something that is no string counts as absent, and of several
    /// the last counts. So does a text of more than 128 bytes, which no server gave away.
    #[must_use]
    pub fn pid(&self) -> Option<String> {
        self.recovery_field("pid")
    }

    /// The position of the last event the client has seen.
    #[must_use]
    pub fn offset(&self) -> Option<String> {
        self.recovery_field("offset")
    }

    fn recovery_field(&self, name: &str) -> Option<String> {
        let text = self.field(name)?;
        let text = text.decode();
        (text.len() <= MAX_RECOVERY_BYTES).then(|| text.into_owned())
    }

    /// The last property of this name, when it is a string.
    fn field(&self, name: &str) -> Option<RawStr<'_>> {
        let mut scanner = Scanner::value(&self.0);
        scanner.next().ok()?;
        let mut found = None;
        while let Ok(Some(Token::Key(key))) = scanner.next() {
            let value = scanner.next().ok()??;
            scanner.skip_rest_of(value).ok()?;
            if key.decode() == name {
                found = if let Token::String(text) = value { Some(text) } else { None };
            }
        }
        found
    }
}

impl std::fmt::Debug for ConnectPayload {
    /// Tells nothing: it usually holds a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConnectPayload({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a returning client says of itself is read with care.
    #[test]
    fn recovery_fields() {
        let long = format!(r#"{{"pid":"{}"}}"#, "p".repeat(129));
        let cases = [
            (r"{}", None, None),
            (r#"{"pid":"p","offset":"o"}"#, Some("p"), Some("o")),
            (r#"{"token":{"pid":"x"},"list":[{}],"pid":"p"}"#, Some("p"), None),
            (r#"{"pid":1,"offset":null}"#, None, None),
            (r#"{"pid":"a","pid":"b","offset":"o","offset":{}}"#, Some("b"), None),
            (r#"{"p\u0069d":"\u0061"}"#, Some("a"), None),
            (&long, None, None),
        ];
        for (json, pid, offset) in cases {
            let payload = ConnectPayload::new(SharedStr::from(json));
            assert_eq!(payload.pid().as_deref(), pid, "{json}");
            assert_eq!(payload.offset().as_deref(), offset, "{json}");
        }
    }

    /// A secret does not get into a log by way of `Debug`.
    #[test]
    fn debug_tells_nothing() {
        let payload = ConnectPayload::new(SharedStr::from(r#"{"token":"secret"}"#));
        assert_eq!(format!("{payload:?}"), "ConnectPayload(18 bytes)");
    }
}
