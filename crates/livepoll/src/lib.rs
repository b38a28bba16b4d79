//! Live polling over a real-time server: a presenter opens a session, people join it with a code,
//! polls open, votes come in, and results move on every screen.
//!
//! [`domain`] has the rules, as plain values. [`Livepoll`] keeps what happens in a database, answers
//! HTTP, and lets clients in to a namespace of their own; what happened reaches them through a
//! [`Publisher`].

mod conflate;
mod counters;
pub mod domain;
mod error;
mod event;
mod http;
mod limits;
mod presence;
mod random;
mod relay;
mod service;
mod settings;
mod sockets;
mod store;
mod token;
mod view;

pub use counters::Counts;
pub use error::Refused;
pub use event::{Audience, Envelope, Event};
pub use relay::{NotPublished, Publisher};
pub use service::{BeginError, Livepoll};
pub use settings::{Rates, Settings};
pub use store::{DatabaseUrl, DatabaseUrlError, StoreError};
pub use token::{Role, Seat};
