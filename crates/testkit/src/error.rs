//! What can go wrong between a test and the server under test.

use std::io;
use std::time::Duration;

use serde_json::Value;

/// Why an operation of a test client failed. Most are findings about the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The test gave an URL that this client does not understand.
    #[error("bad URL: {0}")]
    Url(String),
    /// The network refused.
    #[error("I/O: {0}")]
    Io(#[from] io::Error),
    /// What was waited for did not come.
    #[error("no {what} within {deadline:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        deadline: Duration,
    },
    /// The connection is over.
    #[error("closed: {0:?}")]
    Closed(Closed),
    /// The server refused the namespace with a `CONNECT_ERROR`.
    #[error("refused: {message} ({data:?})")]
    Refused {
        /// The error's message.
        message: String,
        /// The error's `data`, if it had any.
        data: Option<Value>,
    },
    /// The server answered another HTTP status than the one that was needed.
    #[error("HTTP {status}: {body}")]
    Http {
        /// The status code.
        status: u16,
        /// The body as text.
        body: String,
    },
    /// The server sent something that no specification allows.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// How a connection ended, as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The end of the stream, without a word.
    Eof,
    /// A failure of the transport, such as a reset.
    Transport(io::ErrorKind),
    /// A WebSocket close frame.
    WebSocket {
        /// The code; `None` for an empty close frame, which browsers show as 1005.
        code: Option<u16>,
        /// The reason's text.
        reason: String,
    },
    /// An Engine.IO close packet.
    Engine,
    /// A poll was answered with another status than 200.
    Poll {
        /// The status code.
        status: u16,
        /// The body as text.
        body: String,
    },
    /// A Socket.IO `DISCONNECT` of the namespace.
    Namespace,
    /// The test took no events until the client's queue was full.
    Overrun,
    /// The server broke the protocol.
    Protocol(String),
    /// The test closed it.
    Ours,
}

/// The end of a connection that an error means.
impl From<Error> for Closed {
    fn from(error: Error) -> Self {
        match error {
            Error::Closed(closed) => closed,
            Error::Io(error) => Self::Transport(error.kind()),
            other => Self::Protocol(other.to_string()),
        }
    }
}
