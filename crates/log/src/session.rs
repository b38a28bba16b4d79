//! The journal of recoverable sessions.

use std::sync::Arc;

use bytes::Bytes;

use crate::Position;
use crate::record::MAX_NAME_BYTES;

/// The most rooms a journalled session may be in.
pub const MAX_SESSION_ROOMS: usize = 4096;

/// The most bytes of application state kept with a session: 64 KiB.
pub const MAX_SESSION_STATE_BYTES: usize = 64 << 10;

/// What a session is found by: a hash of its `pid`, so that the file holds no secret.
///
/// The log does not hash: 32 bytes of SHA-256 are the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub [u8; 32]);

/// A room a session is in, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRoom {
    /// The room.
    pub name: Arc<str>,
    /// The head when it was joined: entries of the room up to this sequence are not the session's.
    pub since: u64,
}

/// A session as it is journalled at connect and at each join and leave; not at disconnect, so
/// that a killed server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of its `pid`.
    pub key: SessionKey,
    /// The public id of its socket.
    pub socket: Arc<str>,
    /// The authenticated subject, if it has one. Only the same subject may recover it.
    pub subject: Option<Arc<str>>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The rooms it is in, each with the sequence it was joined at.
    pub rooms: Vec<SessionRoom>,
    /// The head when it connected: where it recovers from when its client has seen no event yet.
    pub start: Position,
    /// How many holders it had. A write with a lower fence than the journalled one is refused: the
    /// holder that was taken over can neither change nor remove it.
    pub fence: u64,
    /// When it was last written, in milliseconds since the Unix epoch, by the caller's clock.
    pub time_ms: u64,
    /// What the application keeps with the socket, opaque to the log.
    pub state: Bytes,
}

/// Why a session was not journalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The caller's fault: a name of more than [`MAX_NAME_BYTES`], more than
    /// [`MAX_SESSION_ROOMS`], or more than [`MAX_SESSION_STATE_BYTES`].
    #[error("a session is too large to be journalled: {0}")]
    TooLarge(&'static str),
    /// Another holder took the session over; its fence is given.
    #[error("the session has another holder, with fence {0}")]
    Fenced(u64),
    /// The journal is full.
    #[error("the journal holds {0} sessions already")]
    Full(u64),
    /// The log refuses; what was asked did not happen, or may have happened.
    #[error(transparent)]
    Log(#[from] crate::AppendError),
}

impl Session {
    /// Whether it is within the limits of the journal.
    ///
    /// # Errors
    ///
    /// Says which limit it exceeds.
    pub fn check(&self) -> Result<(), SessionError> {
        let names = [Some(&self.socket), self.subject.as_ref(), Some(&self.namespace)];
        let rooms = self.rooms.iter().map(|room| &room.name);
        if names.into_iter().flatten().chain(rooms).any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(SessionError::TooLarge("a name has more than 256 bytes"));
        }
        if self.rooms.len() > MAX_SESSION_ROOMS {
            return Err(SessionError::TooLarge("it is in more than 4096 rooms"));
        }
        if self.state.len() > MAX_SESSION_STATE_BYTES {
            return Err(SessionError::TooLarge("its state has more than 64 KiB"));
        }
        if [self.fence, self.time_ms].iter().any(|number| i64::try_from(*number).is_err()) {
            return Err(SessionError::TooLarge("its fence or time does not fit 63 bits"));
        }
        Ok(())
    }
}
