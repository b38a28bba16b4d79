//! The WebSocket protocol (RFC 6455) and permessage-deflate (RFC 7692), without I/O.
//!
//! Bytes come in, messages and frames come out; sockets, clocks and tasks belong to the caller.
//!
//! - [`handshake`] judges an upgrade request from its header fields, and the client's side of it.
//! - [`Reader`] takes messages out of a buffer that the caller read into. A message that is whole
//!   in the buffer is borrowed from it; only a partial one is copied and kept. A `Reader` between
//!   messages is 16 bytes, so an idle connection owns no buffer.
//! - [`frame`] builds frames. A server's frame is built once and shared by all receivers.
//! - [`deflate`] negotiates compression, and compresses a message once for all receivers.
//!
//! ```
//! use fanfare_websocket::{Incoming, Limits, Opcode, Reader, Role, frame};
//!
//! # fn main() -> Result<(), fanfare_websocket::Violation> {
//! // What a client sent: two messages and the first byte of a third.
//! let mut buffer = frame::masked(Opcode::Text, b"one", [1, 2, 3, 4]).to_vec();
//! buffer.extend(frame::masked(Opcode::Binary, &[2], [5, 6, 7, 8]));
//! buffer.push(0x81);
//!
//! let limits = Limits::default();
//! let mut reader = Reader::new(Role::Server, None);
//! let mut input = &mut buffer[..];
//! assert_eq!(reader.read(&limits, &mut input)?, Some(Incoming::Text("one".into())));
//! assert_eq!(reader.read(&limits, &mut input)?, Some(Incoming::Binary(vec![2].into())));
//! assert_eq!(reader.read(&limits, &mut input)?, None); // all consumed, read more
//! assert!(!reader.is_idle()); // the third message's first byte is kept
//! # Ok(()) }
//! ```

mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;
mod head;
mod mask;
mod partial;
mod pings;
mod reader;
mod violation;

pub use close::{CloseCode, CloseReason};
pub use head::{Opcode, Role};
pub use pings::Pings;
pub use reader::{Incoming, Limits, Reader};
pub use violation::Violation;
