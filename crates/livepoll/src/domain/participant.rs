//! Somebody who joined a session.

use super::Millis;
use super::id::{ParticipantId, SessionId};
use super::text::{self, TextError};

/// The longest display name, in characters.
pub const MAX_DISPLAY_NAME: usize = 40;

/// A participant. Display names need not be unique: two people are called Kim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// The session.
    pub session: SessionId,
    /// The name to show.
    pub display_name: String,
    /// When it joined.
    pub joined: Millis,
    /// When it was last heard of.
    pub last_seen: Millis,
    /// Whether it is connected.
    pub connected: bool,
}

impl Participant {
    /// Somebody who joins now, by REST; the connection comes later.
    ///
    /// # Errors
    ///
    /// What is wrong with the name.
    pub fn join(
        id: ParticipantId,
        session: SessionId,
        display_name: &str,
        now: Millis,
    ) -> Result<Self, TextError> {
        let display_name = text::line(display_name, MAX_DISPLAY_NAME)?;
        Ok(Participant { id, session, display_name, joined: now, last_seen: now, connected: false })
    }
}
