//! The client's side of the handshake. Spec: RFC 6455 § 4.1.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Fields, Once, accept_key};
use crate::deflate::{Agreed, Unacceptable};

/// The client's `Sec-WebSocket-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey(String);

impl ClientKey {
    /// A key from 16 random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(STANDARD.encode(random))
    }

    /// The field's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What the server agreed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// The compression agreed on: hand it to [`Reader::new`](crate::Reader::new).
    pub deflate: Option<Agreed>,
}

/// What is wrong with a server's answer; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// The server refused; its status is inside.
    #[error("the server answered {0}, not 101")]
    Status(u16),
    /// `Upgrade` does not name `websocket`.
    #[error("the answer's Upgrade field is not \"websocket\"")]
    Upgrade,
    /// `Connection` does not name `upgrade`.
    #[error("the answer's Connection field does not contain \"Upgrade\"")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated or not for our key.
    #[error("the answer's Sec-WebSocket-Accept does not fit the request's key")]
    Accept,
    /// A subprotocol was answered that nobody asked for.
    #[error("the server chose a subprotocol that was not asked for")]
    Protocol,
    /// An extension that was not offered, or with parameters that were not.
    #[error("the server chose an extension that was not offered so")]
    Extension,
}

/// Checks a server's answer to a request with `key` and without subprotocols; `deflate_offered`
/// tells whether it had the extensions field [`deflate::OFFER`](crate::deflate::OFFER).
///
/// # Errors
/// The answer is a refusal, or not one to this request.
pub fn check<'a>(
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &ClientKey,
    deflate_offered: bool,
) -> Result<Answer, AnswerFault> {
    if status != 101 {
        return Err(AnswerFault::Status(status));
    }
    let answer = Fields::gather(fields);
    if !answer.upgrade {
        return Err(AnswerFault::Upgrade);
    }
    if !answer.connection {
        return Err(AnswerFault::Connection);
    }
    let expected = accept_key(key.0.as_bytes());
    if !matches!(answer.accept, Once::Found(accept) if accept == expected.as_bytes()) {
        return Err(AnswerFault::Accept);
    }
    if answer.protocol.is_some() {
        return Err(AnswerFault::Protocol);
    }
    let deflate = Agreed::from_answer(&answer.extensions)
        .map_err(|Unacceptable| AnswerFault::Extension)?
        .filter(|_| answer.extension_fields == answer.extensions.len());
    if answer.extension_fields > 0 && !(deflate_offered && deflate.is_some()) {
        return Err(AnswerFault::Extension);
    }
    Ok(Answer { deflate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::{OFFER, Settings};
    use crate::handshake::{RequestLine, accept};

    /// A client understands every answer that our server gives.
    #[test]
    fn with_our_server() {
        let key = ClientKey::new([7; 16]);
        let settings = Settings::default();
        for deflate in [false, true] {
            let mut request = vec![
                ("upgrade", &b"websocket"[..]),
                ("connection", b"upgrade"),
                ("sec-websocket-version", b"13"),
                ("sec-websocket-key", key.as_str().as_bytes()),
            ];
            if deflate {
                request.push(("sec-websocket-extensions", OFFER.as_bytes()));
            }
            let line = RequestLine { method: "GET", version: (1, 1) };
            let accepted = accept(line, request, Some(&settings)).unwrap();
            let fields: Vec<_> = accepted.fields().collect();
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            let answer = check(101, fields, &key, deflate).unwrap();
            assert_eq!(answer.deflate.is_some(), deflate);
        }
    }

    /// Each fault of an answer, alone.
    #[test]
    fn faults() {
        let key = ClientKey::new([0; 16]);
        let accept = accept_key(key.as_str().as_bytes());
        let good = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", accept.as_str()),
        ];
        let check = |changes: &[(&str, &str)], expected: Result<Answer, AnswerFault>| {
            let kept = good.iter().filter(|(name, _)| changes.iter().all(|(n, _)| n != name));
            let fields: Vec<_> =
                kept.chain(changes).map(|(name, value)| (*name, value.as_bytes())).collect();
            assert_eq!(check(101, fields, &key, false), expected, "{changes:?}");
        };
        check(&[], Ok(Answer::default()));
        check(&[("upgrade", "x")], Err(AnswerFault::Upgrade));
        check(&[("connection", "close")], Err(AnswerFault::Connection));
        check(&[("sec-websocket-accept", "x")], Err(AnswerFault::Accept));
        check(
            &[("sec-websocket-accept", &accept), ("sec-websocket-accept", &accept)],
            Err(AnswerFault::Accept),
        );
        check(&[("sec-websocket-protocol", "x")], Err(AnswerFault::Protocol));
        check(&[("sec-websocket-extensions", OFFER)], Err(AnswerFault::Extension));
        check(&[("sec-websocket-extensions", "")], Err(AnswerFault::Extension));
        assert_eq!(super::check(400, [], &key, false), Err(AnswerFault::Status(400)));
    }
}
