//! A session: from the moment somebody opens one until it has ended.

use super::Millis;
use super::code::Code;
use super::id::SessionId;
use super::text::{self, TextError};

/// The longest title, in characters.
pub const MAX_TITLE: usize = 120;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What people type to join. Another session may have it once this one has ended.
    pub code: Code,
    /// What it is about.
    pub title: String,
    /// When it was opened.
    pub created: Millis,
    /// How far it is.
    pub state: SessionState,
}

/// How far a session is. It goes on, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// People can join; nothing can be voted on yet.
    Created,
    /// Polls can be opened.
    Started {
        /// Since when.
        at: Millis,
    },
    /// Over.
    Ended {
        /// When it had started.
        started: Millis,
        /// Since when.
        at: Millis,
    },
}

impl SessionState {
    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SessionState::Created => "created",
            SessionState::Started { .. } => "started",
            SessionState::Ended { .. } => "ended",
        }
    }

    /// When it started, if it has.
    #[must_use]
    pub const fn started(self) -> Option<Millis> {
        match self {
            SessionState::Created => None,
            SessionState::Started { at } | SessionState::Ended { started: at, .. } => Some(at),
        }
    }

    /// When it ended, if it has.
    #[must_use]
    pub const fn ended(self) -> Option<Millis> {
        match self {
            SessionState::Ended { at, .. } => Some(at),
            SessionState::Created | SessionState::Started { .. } => None,
        }
    }
}

/// What a session as it stands does not allow. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// It can only begin once.
    #[error("the session has started already")]
    AlreadyStarted,
    /// It has not begun.
    #[error("the session has not started yet")]
    NotStarted,
    /// It is over.
    #[error("the session has ended")]
    Ended,
}

impl Session {
    /// A new session.
    ///
    /// # Errors
    ///
    /// What is wrong with the title.
    pub fn create(id: SessionId, code: Code, title: &str, now: Millis) -> Result<Self, TextError> {
        let title = text::line(title, MAX_TITLE)?;
        Ok(Session { id, code, title, created: now, state: SessionState::Created })
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`SessionError::AlreadyStarted`], [`SessionError::Ended`].
    pub fn start(&mut self, now: Millis) -> Result<(), SessionError> {
        match self.state {
            SessionState::Created => self.state = SessionState::Started { at: now },
            SessionState::Started { .. } => return Err(SessionError::AlreadyStarted),
            SessionState::Ended { .. } => return Err(SessionError::Ended),
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotStarted`], [`SessionError::Ended`].
    pub fn end(&mut self, now: Millis) -> Result<(), SessionError> {
        let started = self.check_running()?;
        // A clock that was put back does not make it end before it began.
        self.state = SessionState::Ended { started, at: now.max(started) };
        Ok(())
    }

    /// Since when polls can be voted on.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotStarted`], [`SessionError::Ended`].
    pub const fn check_running(&self) -> Result<Millis, SessionError> {
        match self.state {
            SessionState::Created => Err(SessionError::NotStarted),
            SessionState::Started { at } => Ok(at),
            SessionState::Ended { .. } => Err(SessionError::Ended),
        }
    }

    /// Whether people can join and polls can be prepared.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`].
    pub const fn check_open(&self) -> Result<(), SessionError> {
        match self.state {
            SessionState::Created | SessionState::Started { .. } => Ok(()),
            SessionState::Ended { .. } => Err(SessionError::Ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session() -> Session {
        let id = SessionId::from_random([7; 10]);
        Session::create(id, Code::from_random(1), " All   hands ", 1_000).unwrap()
    }

    #[test]
    fn a_session_goes_from_created_to_ended_and_nowhere_else() {
        let mut it = session();
        assert_eq!((it.title.as_str(), it.state), ("All hands", SessionState::Created));
        assert_eq!(it.end(1_001), Err(SessionError::NotStarted));
        assert_eq!(it.start(1_002), Ok(()));
        assert_eq!(it.start(1_003), Err(SessionError::AlreadyStarted));
        assert_eq!((it.check_running(), it.check_open()), (Ok(1_002), Ok(())));
        assert_eq!(it.end(1_004), Ok(()));
        assert_eq!(it.state, SessionState::Ended { started: 1_002, at: 1_004 });
        assert_eq!(it.start(1_005), Err(SessionError::Ended));
        assert_eq!(it.end(1_006), Err(SessionError::Ended));
        assert_eq!(it.check_open(), Err(SessionError::Ended));
    }

    proptest! {
        /// Whatever is tried, in whatever order and with whatever clock: it never goes back, and what is
        /// refused changes nothing.
        #[test]
        fn a_session_never_goes_back(steps: Vec<(bool, u64)>) {
            let mut it = session();
            let rank = |it: &Session| match it.state {
                SessionState::Created => 0,
                SessionState::Started { .. } => 1,
                SessionState::Ended { .. } => 2,
            };
            for (start, now) in steps {
                let before = it.clone();
                let done = if start { it.start(now) } else { it.end(now) };
                match done {
                    Ok(()) => prop_assert_eq!(rank(&it), rank(&before) + 1),
                    Err(_) => prop_assert_eq!(&it, &before),
                }
                if let (Some(started), Some(ended)) = (it.state.started(), it.state.ended()) {
                    prop_assert!(started <= ended);
                }
            }
        }
    }
}
