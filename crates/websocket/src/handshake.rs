//! The opening handshake, from header fields as arguments. Spec: RFC 6455 § 4.

mod client;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

pub use client::{Answer, AnswerFault, ClientKey, check};

use crate::deflate::{Agreed, Settings};

/// What both sides add to the key. Spec: RFC 6455 § 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// `Sec-WebSocket-Extensions` fields that are looked at; a request with more goes without
/// extensions. Clients send one.
const MAX_EXTENSION_FIELDS: usize = 8;
/// The longest subprotocol that is answered; longer ones are refused.
const MAX_PROTOCOL_BYTES: usize = 255;

/// The first line of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// Major and minor HTTP version.
    pub version: (u8, u8),
}

/// The upgrade is granted: answer 101 with [`fields`](Self::fields).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub key: String,
    /// The subprotocol: the first that the client asked for, as the reference server answers. A
    /// browser that asked for one and is answered none closes.
    pub protocol: Option<String>,
    /// The compression agreed on: hand it to [`Reader::new`](crate::Reader::new).
    pub deflate: Option<Agreed>,
}

impl Accept {
    /// All header fields of the 101 answer.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let always = [
            ("Upgrade", "websocket".to_owned()),
            ("Connection", "Upgrade".to_owned()),
            ("Sec-WebSocket-Accept", self.key.clone()),
        ];
        let protocol = self.protocol.clone().map(|name| ("Sec-WebSocket-Protocol", name));
        let deflate = self.deflate.map(|agreed| ("Sec-WebSocket-Extensions", agreed.field()));
        always.into_iter().chain(protocol).chain(deflate)
    }
}

/// Why an upgrade is refused; always the client's fault. Answer with [`status`](Self::status) and
/// [`fields`](Self::fields), then close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET.
    #[error("a WebSocket upgrade must be a GET request")]
    Method,
    /// The HTTP version is below 1.1, or has no upgrade.
    #[error("a WebSocket upgrade needs HTTP/1.1")]
    HttpVersion,
    /// The request has a body.
    #[error("a WebSocket upgrade must have no body")]
    Body,
    /// `Upgrade` does not name `websocket`.
    #[error("the Upgrade field must be \"websocket\"")]
    Upgrade,
    /// `Connection` does not name `upgrade`.
    #[error("the Connection field must contain \"Upgrade\"")]
    Connection,
    /// `Sec-WebSocket-Version` is missing, repeated or not 13.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// `Sec-WebSocket-Key` is missing or is not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Key` is there twice.
    #[error("Sec-WebSocket-Key must not be repeated")]
    RepeatedKey,
    /// `Sec-WebSocket-Protocol` does not begin with a name.
    #[error("Sec-WebSocket-Protocol must be a list of names")]
    Protocol,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version => 426,
            Self::HttpVersion
            | Self::Body
            | Self::Upgrade
            | Self::Connection
            | Self::Key
            | Self::RepeatedKey
            | Self::Protocol => 400,
        }
    }

    /// Header fields that the status asks for, beside those of any answer.
    #[must_use]
    pub const fn fields(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            // Spec: RFC 6455 § 4.4; RFC 9110 § 15.5.22 wants Upgrade beside 426.
            Self::Version => &[
                ("Sec-WebSocket-Version", "13"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            ],
            _ => &[],
        }
    }

    /// A constant name in `snake_case`, for metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Method => "websocket_method",
            Self::HttpVersion => "websocket_http_version",
            Self::Body => "websocket_body",
            Self::Upgrade => "websocket_upgrade",
            Self::Connection => "websocket_connection",
            Self::Version => "websocket_version",
            Self::Key => "websocket_key",
            Self::RepeatedKey => "websocket_repeated_key",
            Self::Protocol => "websocket_protocol",
        }
    }
}

/// Judges an upgrade request from its header fields (names in any case, values as sent).
///
/// With `deflate` settings, permessage-deflate is agreed on if the client offers it acceptably.
/// Path, `Origin` and rights are the caller's to check, before this. Spec: RFC 6455 § 4.2.
///
/// # Errors
/// The request is not a proper upgrade; see [`Refusal`].
pub fn accept<'a>(
    line: RequestLine<'_>,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    deflate: Option<&Settings>,
) -> Result<Accept, Refusal> {
    if line.method != "GET" {
        return Err(Refusal::Method);
    }
    if line.version != (1, 1) {
        return Err(Refusal::HttpVersion);
    }
    let request = Fields::gather(fields);
    if request.body {
        return Err(Refusal::Body);
    }
    if !request.upgrade {
        return Err(Refusal::Upgrade);
    }
    if !request.connection {
        return Err(Refusal::Connection);
    }
    if !matches!(request.version, Once::Found(b"13")) {
        return Err(Refusal::Version);
    }
    let key = match request.key {
        Once::Found(key) if is_key(key) => key,
        Once::Repeated => return Err(Refusal::RepeatedKey),
        Once::Missing | Once::Found(_) => return Err(Refusal::Key),
    };
    let protocol = request.protocol.map(first_protocol).transpose()?;
    let deflate = deflate.and_then(|_| Agreed::choose(&request.extensions));
    Ok(Accept { key: accept_key(key), protocol, deflate })
}

/// A field that may be there once only.
#[derive(Debug, Clone, Copy, Default)]
enum Once<'a> {
    #[default]
    Missing,
    Found(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    const fn note(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::Found(value),
            Self::Found(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// The fields that matter, from either side.
#[derive(Debug, Default)]
struct Fields<'a> {
    upgrade: bool,
    connection: bool,
    body: bool,
    version: Once<'a>,
    key: Once<'a>,
    accept: Once<'a>,
    protocol: Option<&'a [u8]>,
    extensions: Vec<&'a [u8]>,
    extension_fields: usize,
}

impl<'a> Fields<'a> {
    fn gather(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut found = Self::default();
        for (name, value) in fields {
            let value = value.trim_ascii();
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("upgrade") {
                found.upgrade |= has_token(value, b"websocket");
            } else if is("connection") {
                found.connection |= has_token(value, b"upgrade");
            } else if is("sec-websocket-version") {
                found.version.note(value);
            } else if is("sec-websocket-key") {
                found.key.note(value);
            } else if is("sec-websocket-accept") {
                found.accept.note(value);
            } else if is("sec-websocket-protocol") {
                found.protocol.get_or_insert(value);
            } else if is("sec-websocket-extensions") {
                found.extension_fields += 1;
                if found.extension_fields <= MAX_EXTENSION_FIELDS {
                    found.extensions.push(value);
                } else {
                    found.extensions.clear();
                }
            } else if is("transfer-encoding") {
                found.body = true;
            } else if is("content-length") {
                found.body |= value != b"0";
            }
        }
        found
    }
}

/// Whether a comma-separated list has `token`, in any case.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// Whether it is 16 bytes in base64: 22 characters and two of padding. The last character's unused
/// bits may be set, as the reference server allows: some clients draw the characters at random.
fn is_key(key: &[u8]) -> bool {
    let Some(characters) = key.strip_suffix(b"==") else { return false };
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    characters.len() == 22 && characters.iter().all(in_alphabet)
}

/// Spec: RFC 6455 § 4.2.2, step 5.4.
fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn first_protocol(list: &[u8]) -> Result<String, Refusal> {
    let first = list.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if first.is_empty() || first.len() > MAX_PROTOCOL_BYTES || !first.iter().all(is_token) {
        return Err(Refusal::Protocol);
    }
    String::from_utf8(first.to_vec()).map_err(|_| Refusal::Protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: RequestLine<'static> = RequestLine { method: "GET", version: (1, 1) };
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// The fields of a good request, some replaced (same name), removed (empty) or added.
    fn request<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a [u8])> {
        let good = [
            ("Host", "example"),
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let kept = good.into_iter().filter(|(name, _)| changes.iter().all(|(n, _)| n != name));
        let changed = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        kept.chain(changed).map(|(name, value)| (name, value.as_bytes())).collect()
    }

    /// The specification's own example is accepted with its answer.
    #[test]
    fn example_of_the_specification() {
        let accepted = accept(GET, request(&[]), None).unwrap();
        assert_eq!(accepted.key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let fields: Vec<_> = accepted.fields().collect();
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[0], ("Upgrade", "websocket".to_owned()));
    }

    /// Each rule of the handshake, broken alone: the status and the reason.
    #[test]
    fn refusals() {
        let check = |changes: &[(&str, &str)], expected: Refusal, status: u16| {
            let refusal = accept(GET, request(changes), None).unwrap_err();
            assert_eq!((refusal, refusal.status()), (expected, status), "{changes:?}");
        };
        let key = "Sec-WebSocket-Key";
        check(&[(key, "")], Refusal::Key, 400);
        check(&[(key, "AAAAAAAAAAAAAAAAAAAA")], Refusal::Key, 400); // 15 bytes
        check(&[(key, "AAAAAAAAAAAAAAAAAAAAAAA=")], Refusal::Key, 400); // 17 bytes
        check(&[(key, "AAAAAAAAAAAAAAAAAAAA!!==")], Refusal::Key, 400);
        check(&[(key, "AAAAAAAAAAAAAAAAAAAAA_==")], Refusal::Key, 400); // URL-safe alphabet
        check(&[(key, KEY), (key, KEY)], Refusal::RepeatedKey, 400);
        let version = "Sec-WebSocket-Version";
        for value in ["12", "14", "13,13", "013", "+13", "13.0", ""] {
            check(&[(version, value)], Refusal::Version, 426);
        }
        check(&[(version, "13"), (version, "13")], Refusal::Version, 426);
        check(&[("Upgrade", "")], Refusal::Upgrade, 400);
        check(&[("Upgrade", "h2c")], Refusal::Upgrade, 400);
        check(&[("Upgrade", "websocketx")], Refusal::Upgrade, 400);
        check(&[("Connection", "")], Refusal::Connection, 400);
        check(&[("Connection", "close")], Refusal::Connection, 400);
        check(&[("Content-Length", "10")], Refusal::Body, 400);
        check(&[("Content-Length", "0, 10")], Refusal::Body, 400);
        check(&[("Transfer-Encoding", "chunked")], Refusal::Body, 400);
        check(&[("Sec-WebSocket-Protocol", ",a")], Refusal::Protocol, 400);
        check(&[("Sec-WebSocket-Protocol", "a\r\nb")], Refusal::Protocol, 400);
        check(&[("Sec-WebSocket-Protocol", &"a".repeat(256))], Refusal::Protocol, 400);

        for line in [("POST", (1, 1)), ("get", (1, 1)), ("CONNECT", (2, 0))] {
            let line = RequestLine { method: line.0, version: line.1 };
            assert_eq!(accept(line, request(&[]), None), Err(Refusal::Method));
        }
        for version in [(1, 0), (0, 9), (2, 0)] {
            let line = RequestLine { method: "GET", version };
            assert_eq!(accept(line, request(&[]), None), Err(Refusal::HttpVersion));
        }
        assert_eq!(Refusal::Version.fields()[0], ("Sec-WebSocket-Version", "13"));
    }

    /// What differs from the example and is still right.
    #[test]
    fn tolerated() {
        let check = |changes: &[(&str, &str)]| {
            assert!(accept(GET, request(changes), None).is_ok(), "{changes:?}");
        };
        check(&[("Upgrade", "WebSocket")]);
        check(&[("Upgrade", "h2c, websocket")]);
        check(&[("Connection", "UPGRADE")]);
        check(&[("Connection", "keep-alive"), ("connection", " upgrade ")]);
        check(&[("Content-Length", "0")]);
        check(&[("Sec-WebSocket-Key", ""), ("SEC-WEBSOCKET-KEY", "AAAAAAAAAAAAAAAAAAAAAB==")]);
    }

    /// The first subprotocol is answered, and nothing else of the client's.
    #[test]
    fn subprotocols() {
        let fields = request(&[("Sec-WebSocket-Protocol", "chat, superchat")]);
        let accepted = accept(GET, fields, None).unwrap();
        assert_eq!(accepted.protocol.as_deref(), Some("chat"));
        assert!(accepted.fields().any(|f| f == ("Sec-WebSocket-Protocol", "chat".to_owned())));
    }

    /// Compression is agreed on only when it is switched on, and too many fields mean none.
    #[test]
    fn extensions() {
        let offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
        let settings = Settings::default();
        assert_eq!(accept(GET, request(&[offer]), None).unwrap().deflate, None);
        let accepted = accept(GET, request(&[offer]), Some(&settings)).unwrap();
        assert_eq!(accepted.deflate, Some(Agreed::default()));
        assert!(accepted.fields().any(|(name, _)| name == "Sec-WebSocket-Extensions"));
        let many = accept(GET, request(&[offer; 1000]), Some(&settings)).unwrap();
        assert_eq!(many.deflate, None);
        for hostile in ["constructor", "__proto__", "permessage-deflate; server_max_window_bits=99"]
        {
            let fields = request(&[("Sec-WebSocket-Extensions", hostile)]);
            assert_eq!(accept(GET, fields, Some(&settings)).unwrap().deflate, None);
        }
    }
}
