//! The Socket.IO protocol, version 5: packets, attachments, namespaces and acks of one connection, without I/O.
//!
//! A server gives the messages of an Engine.IO session to a [`Connection`] and gets [`Incoming`]
//! requests, or a [`Violation`] that ends the session. What it sends it encodes with
//! [`encode_event`] and its like, once for all receivers. [`Args`] are the arguments of an event
//! as they stand on the wire: nothing is decoded that nobody reads.
//!
//! ```
//! # use std::sync::Arc;
//! # use fanfare_socketio as socketio;
//! use socketio::{Connection, Encoded, Incoming, Parser, Settings, Version};
//!
//! let mut connection = Connection::new(Arc::new(Settings::default()), Version::V5);
//! let Some(Incoming::Connect { namespace, .. }) = connection.handle_text("0/chat,")? else {
//!     return Err("the client asks to join".into());
//! };
//! connection.accepted(&namespace);
//! let answer = socketio::encode_connect(
//!     Parser::Json,
//!     Version::V5,
//!     &namespace,
//!     "oIX0p1MvPXaNGjJnAAAA",
//!     None,
//! );
//! assert!(matches!(answer, Encoded::Text { text, .. } if text == r#"0/chat,{"sid":"oIX0p1MvPXaNGjJnAAAA"}"#));
//!
//! let Some(Incoming::Event { name, args, ack, .. }) =
//!     connection.handle_text(r#"2/chat,7["say","hello",{"to":"all"}]"#)?
//! else {
//!     return Err("the client sends an event".into());
//! };
//! assert_eq!((name.as_str(), ack), ("say", Some(7)));
//! assert_eq!(args.json(), r#""hello",{"to":"all"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Spec: <https://socket.io/docs/v4/socket-io-protocol/>. Reference: `socket.io-parser` 4.2.7 and
//! `socket.io-msgpack-parser` 3.0.2.

mod args;
mod connection;
mod decode;
mod encode;
mod json;
mod msgpack;
mod name;
mod namespace;
mod packet;
mod placeholder;
mod settings;
mod text;
mod violation;

pub use args::{Args, ArgsError, Attachments, EncodeError, MAX_ATTACHMENTS};
pub use connection::{Connection, Incoming};
pub use decode::Decoder;
pub use encode::{
    ConnectError, Encoded, Event, encode_ack, encode_connect, encode_connect_error,
    encode_connect_request, encode_disconnect, encode_event, encode_invalid_namespace,
};
pub use json::MAX_DEPTH;
pub use name::{EventName, RESERVED_NAMES, ReservedName, is_reserved};
pub use namespace::{MAX_NAMESPACE_BYTES, Namespace, NamespaceError};
pub use packet::{AckId, Body, ConnectPayload, Packet};
pub use settings::{Limits, Parser, Settings, Version};
pub use text::SharedStr;
pub use violation::Violation;
