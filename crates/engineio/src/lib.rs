//! The Engine.IO protocol, revisions 4 and 3, without I/O.
//!
//! Everything a server has to *decide* about a connection is decided here; the caller only moves
//! bytes and keeps one timer per session. Time comes in as an [`std::time::Instant`] argument,
//! work to do comes out of [`Session::next_output`].
//!
//! How a request travels:
//!
//! 1. [`route`] reads method, query and a few headers and names the [`Action`], or a [`Refusal`]
//!    with the exact bytes the reference server answers.
//! 2. [`Action::Open`]: the caller asks its own hook whether it wants this client, then
//!    [`Opening::accept`] gives the [`Handshake`]; a [`Sid`] and a [`Session`] are made and
//!    [`Session::open_packet`] is the first packet.
//! 3. Every other action carries an [`Address`]: find the session, ask [`Session::admit`], and
//!    report what happens (`poll_opened`, `post_opened`, `probe_opened`, `handle_packet`, …).
//! 4. After **each** call: drain [`Session::next_output`] and compare [`Session::deadline`] with
//!    the armed timer, because a deadline may move in both directions.
//!
//! Messages to the client are not the session's business: the caller keeps them in its own queue,
//! encoded once ([`packet`]) and only joined per receiver ([`payload`], [`jsonp`]).
//!
//! ```
//! # use fanfare_engineio as engineio;
//! use engineio::{Action, Request, Session, Settings, Sid, route};
//! use std::time::Instant;
//!
//! let settings = Settings::default();
//! let request = Request { method: "GET", query: "EIO=4&transport=polling", ..Request::default() };
//! let Ok(Action::Open(opening)) = route(&request, &settings) else { panic!("refused") };
//! let handshake = opening.accept(&settings).unwrap();
//!
//! let sid = Sid::new([7; 15], 0);
//! let session =
//!     Session::new(Instant::now(), handshake.revision, handshake.transport, &settings);
//! assert!(session.open_packet(&sid, &settings).starts_with("0{\"sid\":\"BwcHBwcHBwcHBwcHBwcHAA"));
//! ```
//!
//! Spec: Engine.IO protocol, revisions 4 and 3; where it is silent, the npm package `engine.io`
//! 6.6 is the reference ("the reference server" in these pages).

pub mod cookie;
pub mod cors;
pub mod jsonp;
pub mod packet;
pub mod payload;
pub mod response;

mod close;
mod refusal;
mod request;
mod session;
mod settings;
mod sid;

pub use close::{CloseCause, CloseReason};
pub use cookie::Cookie;
pub use cors::Cors;
pub use packet::{Message, Packet};
pub use payload::Piece;
pub use refusal::{ProbeRefusal, Refusal};
pub use request::{Action, Address, Handshake, Opening, PostForm, Request, route};
pub use session::{Control, Output, PollAnswer, Session};
pub use settings::{Settings, SettingsError, Transports};
pub use sid::{ParseSidError, Sid};

/// Which revision of the protocol a session speaks (the query's `EIO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revision {
    /// Revision 3: Socket.IO v1 and v2 clients. The client sends the heartbeats.
    V3,
    /// Revision 4: Socket.IO v3 and later clients. The server sends the heartbeats.
    V4,
}

impl Revision {
    /// The number as it stands in the query.
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

/// How a session's bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long polling: `GET` receives, `POST` sends.
    Polling,
    /// One WebSocket, a packet per frame.
    Websocket,
}

impl Transport {
    /// The name used in queries, handshakes and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
        }
    }

    /// The transport of that name, if it is one this crate speaks.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "polling" => Some(Self::Polling),
            "websocket" => Some(Self::Websocket),
            _ => None,
        }
    }
}
