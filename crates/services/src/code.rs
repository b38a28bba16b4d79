//! The codes of refusals: a closed list, so that programs can compare them and `docs/errors.md` can
//! explain each.

use axum::http::StatusCode;
use serde::{Serialize, Serializer};

/// Writes the enum, its names on the wire and its HTTP statuses from one list.
macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:ident; )+) => {
        /// Why something was refused, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[ $( Code::$variant ),+ ];

            /// The code as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Code::$variant => $name ),+ }
            }

            /// The status of an HTTP answer with this code.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $( Code::$variant => StatusCode::$status ),+ }
            }
        }
    };
}

codes! {
    /// There is no token or key, or it is none that holds.
    AuthRequired = "AUTH_REQUIRED", UNAUTHORIZED;
    /// Whoever asked is known and may not.
    PermissionDenied = "PERMISSION_DENIED", FORBIDDEN;
    /// There is no such room, job or message, or none that this caller may know of.
    ChannelNotFound = "CHANNEL_NOT_FOUND", NOT_FOUND;
    /// What a client sent, or a name in it, is not of the form that was expected.
    InvalidMessage = "INVALID_MESSAGE", BAD_REQUEST;
    /// More than the limit allows in this time.
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED", TOO_MANY_REQUESTS;
    /// The connection ended before it was done.
    ConnectionLost = "CONNECTION_LOST", SERVICE_UNAVAILABLE;
    /// A request whose query, headers or body are not of the form that was expected.
    InvalidRequest = "INVALID_REQUEST", BAD_REQUEST;
    /// It cannot be done as things stand, such as creating what exists.
    Conflict = "CONFLICT", CONFLICT;
    /// The socket or stream has as many rooms as it may have.
    TooManyRooms = "TOO_MANY_ROOMS", BAD_REQUEST;
    /// The namespace is not served.
    UnknownNamespace = "UNKNOWN_NAMESPACE", BAD_REQUEST;
    /// The path has other methods.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED;
    /// There is nothing at the path.
    NotFound = "NOT_FOUND", NOT_FOUND;
    /// The answer is of no type that is accepted.
    NotAcceptable = "NOT_ACCEPTABLE", NOT_ACCEPTABLE;
    /// The body is larger than it may be.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE;
    /// The body is not JSON, or is compressed.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE;
    /// The body took too long.
    RequestTimeout = "REQUEST_TIMEOUT", REQUEST_TIMEOUT;
    /// The server is stopping.
    Stopping = "STOPPING", SERVICE_UNAVAILABLE;
    /// The server has more to do than it can.
    Overloaded = "OVERLOADED", SERVICE_UNAVAILABLE;
    /// What was asked for needs an event that is recorded.
    NotRecorded = "NOT_RECORDED", BAD_REQUEST;
    /// The disk with the event log is full.
    LogFull = "LOG_FULL", INSUFFICIENT_STORAGE;
    /// Whether the event is recorded is unknown.
    LogUncertain = "LOG_UNCERTAIN", SERVICE_UNAVAILABLE;
    /// The event log takes or gives nothing at the moment.
    LogUnavailable = "LOG_UNAVAILABLE", SERVICE_UNAVAILABLE;
    /// The disk with rooms, messages and jobs is full.
    StorageFull = "STORAGE_FULL", INSUFFICIENT_STORAGE;
    /// The file with rooms, messages and jobs cannot be used at the moment.
    StorageUnavailable = "STORAGE_UNAVAILABLE", SERVICE_UNAVAILABLE;
    /// Events of the room are not recorded.
    NoHistory = "NO_HISTORY", NOT_FOUND;
    /// What came after a position cannot all be told.
    PositionGone = "POSITION_GONE", GONE;
    /// An answer that does not fit into an ack.
    NotInAnAck = "NOT_IN_AN_ACK", BAD_REQUEST;
    /// Built without the client bundle.
    NoClientBundle = "NO_CLIENT_BUNDLE", NOT_FOUND;
    /// A bug of the server.
    Internal = "INTERNAL", INTERNAL_SERVER_ERROR;
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_explained_once() {
        let page = include_str!("../../../docs/errors.md");
        for code in Code::ALL {
            let heading = format!("\n### `{}`\n", code.as_str());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
        for heading in page.lines().filter_map(|line| line.strip_prefix("### `")) {
            let name = heading.trim_end_matches('`');
            assert!(Code::ALL.iter().any(|code| code.as_str() == name), "{name} is no code");
        }
    }
}
