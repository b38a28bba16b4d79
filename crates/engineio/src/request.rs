//! From an HTTP request to what it asks for.
//!
//! The checks and their order are those of the reference server's `verify()` and `handshake()`.
//! They come in two halves, because the session may live on another thread: [`route`] judges the
//! request alone, [`crate::Session::admit`] judges it against its session.

use crate::jsonp::JsonpIndex;
use crate::payload::BINARY_CONTENT_TYPE;
use crate::{Refusal, Revision, Settings, Sid, Transport};
use std::borrow::Cow;

/// What of an HTTP request the protocol looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The method, in capitals as it came.
    pub method: &'a str,
    /// The query, undecoded and without the question mark.
    pub query: &'a str,
    /// Whether it asks for a WebSocket upgrade.
    pub upgrade: bool,
    /// The `Origin` header.
    pub origin: Option<&'a [u8]>,
    /// The `Content-Type` header.
    pub content_type: Option<&'a [u8]>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A new session. Ask the application's hook, then [`Opening::accept`].
    Open(Opening),
    /// A `GET` that waits for packets: [`crate::Session::poll_opened`].
    Poll(Address),
    /// A `POST` that brings packets: [`crate::Session::post_opened`].
    Post(Address, PostForm),
    /// A WebSocket that wants to take the session over: [`crate::Session::probe_opened`].
    Upgrade(Address),
    /// A method no session takes: [`crate::Session::admit`] says how to refuse it, which depends
    /// on whether the session exists.
    Unsupported(Address),
    /// A browser's question before a cross-origin request: answer 204 with
    /// [`crate::Cors::preflight_headers`]. No session is touched.
    Preflight,
}

/// A request for a new session that passed the checks before the application's hook.
///
/// The revision is checked after the hook, as in the reference server; so the handshake is only to
/// be had from [`Opening::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening(Handshake);

impl Opening {
    /// The handshake, if this server speaks the client's revision.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnsupportedRevision`].
    pub fn accept(self, settings: &Settings) -> Result<Handshake, Refusal> {
        if self.0.revision == Revision::V3 && !settings.allow_v3 {
            return Err(Refusal::UnsupportedRevision);
        }
        Ok(self.0)
    }

    /// The transport the client wants to start with, for the hook.
    pub const fn transport(&self) -> Transport {
        self.0.transport
    }
}

/// How a new session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The revision the client speaks.
    pub revision: Revision,
    /// The transport it starts on.
    pub transport: Transport,
    /// Whether the client takes bytes as they are; false when it asked for `b64`. On a WebSocket
    /// this holds for the life of the connection; a poll may also say it for itself.
    pub accepts_binary: bool,
    /// The script callback that takes the first response, for polling by script tags.
    pub jsonp: Option<JsonpIndex>,
}

/// A request that names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The session.
    pub sid: Sid,
    /// The revision the request claims.
    pub revision: Revision,
    /// The transport the request claims.
    pub transport: Transport,
    /// Whether the client takes bytes as they are; false when it asked for `b64`.
    pub accepts_binary: bool,
    /// The script callback that takes the response, for polling by script tags.
    pub jsonp: Option<JsonpIndex>,
    pub(crate) intent: Intent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Poll,
    Post,
    Upgrade,
    Unsupported,
}

/// How the body of a `POST` is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostForm {
    /// [`crate::payload::text`], then [`crate::payload::Packets::text`].
    Text,
    /// [`crate::jsonp::decode_body`], then [`crate::payload::Packets::text`].
    Jsonp,
    /// [`crate::payload::Packets::binary`]; revision 3 only.
    Binary,
}

/// Decides what a request asks for.
///
/// # Errors
///
/// The first check it fails. The status of the answer to an upgrade is
/// [`Refusal::upgrade_status`].
///
/// Spec: Engine.IO protocol 4, § HTTP long-polling and § WebSocket.
pub fn route(request: &Request<'_>, settings: &Settings) -> Result<Action, Refusal> {
    if request.method == "OPTIONS" && settings.cors.is_some() && !request.upgrade {
        return Ok(Action::Preflight);
    }
    let query = Query::parse(request.query);
    let transport = query
        .transport
        .as_deref()
        .and_then(Transport::parse)
        .filter(|&transport| settings.transports.contains(transport))
        .ok_or(Refusal::UnknownTransport)?;
    if request.origin.is_some_and(|origin| !origin.iter().all(|&byte| is_header_byte(byte))) {
        return Err(Refusal::InvalidOrigin);
    }
    let jsonp = query.callback.as_deref().filter(|_| transport == Transport::Polling);
    if jsonp.is_some() && !settings.allow_jsonp {
        return Err(Refusal::JsonpDisabled);
    }
    let handshake = Handshake {
        revision: if query.revision.as_deref() == Some("4") { Revision::V4 } else { Revision::V3 },
        transport,
        accepts_binary: query.base64.is_none_or(|flag| flag.is_empty()),
        jsonp: jsonp.map(JsonpIndex::new),
    };
    match query.sid.as_deref() {
        None | Some("") => open(request, handshake),
        Some(sid) => {
            let sid = sid.parse().map_err(|_| Refusal::UnknownSession)?;
            Ok(address(request, sid, handshake))
        }
    }
}

fn open(request: &Request<'_>, handshake: Handshake) -> Result<Action, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::BadHandshakeMethod);
    }
    match (handshake.transport, request.upgrade) {
        (Transport::Websocket, false) => Err(Refusal::PlainWebsocket),
        (Transport::Polling, true) => Err(Refusal::UpgradeToPolling),
        (Transport::Polling, false) | (Transport::Websocket, true) => {
            Ok(Action::Open(Opening(handshake)))
        }
    }
}

fn address(request: &Request<'_>, sid: Sid, handshake: Handshake) -> Action {
    let intent = match (request.method, request.upgrade) {
        ("GET", true) => Intent::Upgrade,
        ("GET", false) => Intent::Poll,
        ("POST", false) => Intent::Post,
        _ => Intent::Unsupported,
    };
    let Handshake { revision, transport, accepts_binary, jsonp } = handshake;
    let address = Address { sid, revision, transport, accepts_binary, jsonp, intent };
    match intent {
        Intent::Upgrade => Action::Upgrade(address),
        Intent::Poll => Action::Poll(address),
        Intent::Post => Action::Post(address, post_form(request, jsonp.is_some())),
        Intent::Unsupported => Action::Unsupported(address),
    }
}

fn post_form(request: &Request<'_>, is_jsonp: bool) -> PostForm {
    let binary = BINARY_CONTENT_TYPE.as_bytes();
    match request.content_type {
        Some(kind) if kind.eq_ignore_ascii_case(binary) => PostForm::Binary,
        _ if is_jsonp => PostForm::Jsonp,
        _ => PostForm::Text,
    }
}

/// The parameters the protocol knows; a repeated one counts as it came last.
#[derive(Default)]
struct Query<'a> {
    revision: Option<Cow<'a, str>>,
    transport: Option<Cow<'a, str>>,
    sid: Option<Cow<'a, str>>,
    base64: Option<Cow<'a, str>>,
    callback: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "EIO" => &mut found.revision,
                "transport" => &mut found.transport,
                "sid" => &mut found.sid,
                "b64" => &mut found.base64,
                "j" => &mut found.callback,
                _ => continue,
            };
            *slot = Some(value);
        }
        found
    }
}

/// Spec: RFC 9110 § 5.5: visible characters, space, tab and what is beyond ASCII.
const fn is_header_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
