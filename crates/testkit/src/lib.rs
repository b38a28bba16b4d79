//! A small, cheap Socket.IO client for tests and load.
//!
//! Four heights, each showing what the one above hides:
//!
//! - [`Client`]: events, acks, recovery; what an application sees.
//! - [`EngineConnection`]: Engine.IO packets by hand, over WebSocket or polling, and the upgrade.
//! - [`WebSocket`]: frames by hand.
//! - [`EventStream`]: server-sent events.
//! - [`http_get`], [`http_post`], [`Request`], [`http_raw`]: HTTP by hand.
//!
//! Everything that waits has a deadline. Nothing here is for production: answers are not verified
//! beyond what a test needs, and masks are predictable.
//!
//! [`load`] is the generator for benchmarks, [`Postgres`] a database for one test.

mod client;
mod dial;
mod driver;
mod engine;
mod error;
mod http;
pub mod load;
mod options;
mod packet;
#[cfg(unix)]
mod postgres;
mod sse;
mod ws;

pub use client::{Ack, Client, Event, MAX_WAITING_EVENTS};
pub use dial::{DEFAULT_DEADLINE, Dial};
pub use engine::{EngineConnection, EnginePacket, Handshake};
pub use error::{Closed, Error};
pub use http::{Exchange, MAX_RESPONSE_BYTES, Request, Response, http_get, http_post, http_raw};
pub use options::{Options, Resume, Transport};
pub use packet::{Packet, PacketKind};
#[cfg(unix)]
pub use postgres::Postgres;
pub use sse::{EventStream, StreamEvent};
pub use ws::{Message, WebSocket};
