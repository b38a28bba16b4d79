//! Live polling over a real-time server: a presenter opens a session, people join it with a code,
//! polls open, votes come in, and results move on every screen.
//!
//! [`domain`] has the rules, as plain values.

pub mod domain;
mod error;
mod event;
mod random;
mod store;
mod view;
