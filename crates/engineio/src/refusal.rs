//! The answers to requests that are not served.

use std::borrow::Cow;

/// Why a request is not served. All but the last two groups are the client's fault; each has its
/// own variant, so that a test and a metric can name it.
///
/// Most are answered with a small JSON body of a code and a message; those without a code have an
/// empty body, as the reference server answers them.
///
/// Spec: the codes of the npm package `engine.io`, § `Server.errors`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The query's `transport` is missing, unknown or switched off.
    #[error("the transport is unknown or not enabled")]
    UnknownTransport,
    /// The query's `sid` names no live session.
    #[error("no session has this id")]
    UnknownSession,
    /// A request without `sid` that is no `GET`.
    #[error("a session is opened by GET")]
    BadHandshakeMethod,
    /// The `Origin` header holds control characters.
    #[error("the Origin header is invalid")]
    InvalidOrigin,
    /// The session lives on another transport, for instance after its upgrade.
    #[error("the session uses another transport")]
    TransportMismatch,
    /// The session speaks another revision.
    #[error("the session speaks another revision of the protocol")]
    RevisionMismatch,
    /// `transport=websocket` in a request that is no upgrade.
    #[error("the websocket transport needs a websocket upgrade")]
    PlainWebsocket,
    /// `transport=polling` in an upgrade. The reference server accepts the WebSocket and closes it
    /// at once; the refusal says what is wrong.
    #[error("the polling transport takes no websocket upgrade")]
    UpgradeToPolling,
    /// `j=` although polling by script tags is switched off.
    #[error("polling by script tags is not enabled")]
    JsonpDisabled,
    /// The query's `EIO` is not 4, and revision 3 is not served.
    #[error("the revision of the protocol is not supported")]
    UnsupportedRevision,
    /// A second `GET` while one is pending: the session is closed too.
    #[error("a poll of this session is pending already")]
    OverlappingPoll,
    /// A second `POST` while one is being read: the session is closed too.
    #[error("a post of this session is being read already")]
    OverlappingPost,
    /// A binary `POST` of a revision 4 client: the session is closed too.
    #[error("revision 4 has no binary payloads")]
    BinaryPost,
    /// The body of a `POST` is not UTF-8: the session is closed too.
    #[error("the payload is not UTF-8")]
    InvalidUtf8,
    /// A `POST` body above [`crate::Settings::max_payload_bytes`]. The session lives on.
    #[error("the payload is too large")]
    PayloadTooLarge,
    /// A live session and a method that is neither `GET` nor `POST`. The reference server answers
    /// 500, which would blame the server; 405 names the fault. The session lives on.
    #[error("a session takes GET and POST only")]
    MethodNotAllowed,
    /// The application's hook said no, maybe with a message for the client.
    #[error("the application refused the request")]
    Forbidden(Option<Box<str>>),
    /// The client's address opens sessions, or names unknown ones, faster than is allowed. The
    /// reference server has no such limit; the code is that of its hook, which would say no.
    #[error("too many sessions are opened, or guessed at, from this address")]
    TooManyAttempts,
    /// A middleware of the application failed.
    #[error("a middleware failed")]
    MiddlewareFailed,
}

impl Refusal {
    /// The methods a session's path takes, for the `Allow` header of a 405.
    pub const ALLOWED_METHODS: &'static str = "GET, POST";

    /// The code in the JSON body, for the refusals that have one.
    pub const fn code(&self) -> Option<u8> {
        match self {
            Self::UnknownTransport => Some(0),
            Self::UnknownSession => Some(1),
            Self::BadHandshakeMethod => Some(2),
            Self::InvalidOrigin
            | Self::TransportMismatch
            | Self::RevisionMismatch
            | Self::PlainWebsocket
            | Self::UpgradeToPolling
            | Self::JsonpDisabled
            | Self::MiddlewareFailed => Some(3),
            Self::Forbidden(_) | Self::TooManyAttempts => Some(4),
            Self::UnsupportedRevision => Some(5),
            Self::OverlappingPoll
            | Self::OverlappingPost
            | Self::BinaryPost
            | Self::InvalidUtf8
            | Self::PayloadTooLarge
            | Self::MethodNotAllowed => None,
        }
    }

    /// The message for the client; for refusals without a code the status' own words.
    pub fn message(&self) -> &str {
        match (self, self.code()) {
            (Self::Forbidden(Some(message)), _) => message,
            (_, Some(0)) => "Transport unknown",
            (_, Some(1)) => "Session ID unknown",
            (_, Some(2)) => "Bad handshake method",
            (_, Some(3)) => "Bad request",
            (Self::TooManyAttempts, _) => "Too many requests",
            (_, Some(4)) => "Forbidden",
            (_, Some(_)) => "Unsupported protocol version",
            (Self::PayloadTooLarge, None) => "Payload Too Large",
            (Self::MethodNotAllowed, None) => "Method Not Allowed",
            (_, None) => "Bad Request",
        }
    }

    /// The HTTP status of the answer to a plain request.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Forbidden(_) => 403,
            Self::MethodNotAllowed => 405,
            Self::PayloadTooLarge => 413,
            Self::TooManyAttempts => 429,
            _ => 400,
        }
    }

    /// The body of the answer to a plain request: JSON sent as `application/json`, or empty and
    /// without a content type.
    pub fn body(&self) -> Cow<'static, str> {
        match self.code() {
            None => Cow::Borrowed(""),
            Some(code) => {
                let message = serde_json::Value::from(self.message());
                Cow::Owned(format!("{{\"code\":{code},\"message\":{message}}}"))
            }
        }
    }

    /// The HTTP status of the answer to an upgrade request: a text, the [`message`](Self::message),
    /// after which the connection is closed.
    pub const fn upgrade_status(&self) -> u16 {
        match self {
            Self::MethodNotAllowed => 405,
            Self::TooManyAttempts => 429,
            _ => 400,
        }
    }

    /// A stable name for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownTransport => "unknown_transport",
            Self::UnknownSession => "unknown_session",
            Self::BadHandshakeMethod => "bad_handshake_method",
            Self::InvalidOrigin => "invalid_origin",
            Self::TransportMismatch => "transport_mismatch",
            Self::RevisionMismatch => "revision_mismatch",
            Self::PlainWebsocket => "plain_websocket",
            Self::UpgradeToPolling => "upgrade_to_polling",
            Self::JsonpDisabled => "jsonp_disabled",
            Self::UnsupportedRevision => "unsupported_revision",
            Self::OverlappingPoll => "overlapping_poll",
            Self::OverlappingPost => "overlapping_post",
            Self::BinaryPost => "binary_post",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::PayloadTooLarge => "payload_too_large",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Forbidden(_) => "forbidden",
            Self::TooManyAttempts => "session_rate",
            Self::MiddlewareFailed => "middleware_failed",
        }
    }
}

/// Why a WebSocket may not upgrade a session: it is closed with an empty close frame, and the
/// session goes on unharmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeRefusal {
    /// Another WebSocket is upgrading the session.
    #[error("another websocket is upgrading the session")]
    Upgrading,
    /// The session uses a WebSocket already. The reference server refuses this after an upgrade
    /// but lets a session that was born on a WebSocket move to another; we always refuse, because
    /// no client asks for it and who learns an id could take the session over.
    #[error("the session uses a websocket already")]
    Upgraded,
    /// The session ended meanwhile.
    #[error("the session ended")]
    Ended,
}

impl ProbeRefusal {
    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upgrading => "already_upgrading",
            Self::Upgraded => "already_upgraded",
            Self::Ended => "upgrade_of_ended_session",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the exact answer of every refusal.
    #[test]
    fn answers_exactly() {
        let json =
            |code: u8, message: &str| format!("{{\"code\":{code},\"message\":\"{message}\"}}");
        for (refusal, status, body) in [
            (Refusal::UnknownTransport, 400, json(0, "Transport unknown")),
            (Refusal::UnknownSession, 400, json(1, "Session ID unknown")),
            (Refusal::BadHandshakeMethod, 400, json(2, "Bad handshake method")),
            (Refusal::InvalidOrigin, 400, json(3, "Bad request")),
            (Refusal::TransportMismatch, 400, json(3, "Bad request")),
            (Refusal::RevisionMismatch, 400, json(3, "Bad request")),
            (Refusal::PlainWebsocket, 400, json(3, "Bad request")),
            (Refusal::UpgradeToPolling, 400, json(3, "Bad request")),
            (Refusal::JsonpDisabled, 400, json(3, "Bad request")),
            (Refusal::MiddlewareFailed, 400, json(3, "Bad request")),
            (Refusal::Forbidden(None), 403, json(4, "Forbidden")),
            (Refusal::Forbidden(Some("a\"\n".into())), 403, json(4, "a\\\"\\n")),
            (Refusal::TooManyAttempts, 429, json(4, "Too many requests")),
            (Refusal::UnsupportedRevision, 400, json(5, "Unsupported protocol version")),
            (Refusal::OverlappingPoll, 400, String::new()),
            (Refusal::OverlappingPost, 400, String::new()),
            (Refusal::BinaryPost, 400, String::new()),
            (Refusal::InvalidUtf8, 400, String::new()),
            (Refusal::PayloadTooLarge, 413, String::new()),
            (Refusal::MethodNotAllowed, 405, String::new()),
        ] {
            assert_eq!((refusal.status(), &*refusal.body()), (status, &*body), "{refusal:?}");
        }
    }
}
