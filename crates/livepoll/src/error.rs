//! Why something was not done.

use crate::domain::{CodeError, DraftError, PollError, SessionError, TextError, VoteError};
use crate::store::StoreError;

/// Why something was not done, sorted by whose fault it is. What is said of it over HTTP is in
/// `http/problem.rs`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Who asks has shown no token that holds.
    #[error("there is no token, or none that holds")]
    Unauthorized,
    /// Only presenters may.
    #[error("this is for presenters")]
    PresentersOnly,
    /// Only participants may.
    #[error("this is for participants")]
    ParticipantsOnly,
    /// The results are shown when the poll is closed.
    #[error("the results of this poll are shown when it is closed")]
    ResultsHidden,
    /// There is no such session, or none that the caller may know of.
    #[error("there is no such session")]
    NoSession,
    /// There is no such poll, or none that the caller may know of.
    #[error("there is no such poll")]
    NoPoll,
    /// The participant is gone.
    #[error("there is no such participant")]
    NoParticipant,
    /// No join code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A join code that nothing has.
    #[error("no session has this join code")]
    UnknownCode,
    /// A join code of a session that is over.
    #[error("the session with this join code has ended")]
    EndedCode,
    /// A text in a field that cannot be kept.
    #[error("`{field}`: {fault}")]
    Text {
        /// The field.
        field: &'static str,
        /// What is wrong.
        fault: TextError,
    },
    /// A poll that cannot be made.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// What the session as it stands does not allow.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What the poll as it stands does not allow.
    #[error(transparent)]
    Poll(#[from] PollError),
    /// A vote that is not taken.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// Not the session's polls, each once.
    #[error("`pollIds` are not the session's polls, each once")]
    WrongPolls,
    /// A session has as many as it may have.
    #[error("a session has at most {max} {what}")]
    TooMany {
        /// Of what: `participants`, `polls`.
        what: &'static str,
        /// How many.
        max: u32,
    },
    /// More in this time than is allowed.
    #[error("this was asked too often; try again later")]
    TooFast {
        /// After so many milliseconds.
        retry_after_ms: u64,
    },
    /// A request that is not of the form that is expected.
    #[error("{}", .0.message)]
    Form(Box<services::Refusal>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All join codes that were tried are in use.
    #[error("no free join code was found")]
    NoFreeCode,
    /// A bug.
    #[error("a bug of the server")]
    Bug,
}
