//! The rules of live polling as plain values: no I/O, no clock, no randomness. The time and random
//! bytes come in; new values and what is refused come out.
//!
//! A [`Session`] has [`Participant`]s and [`Poll`]s; a participant has one [`Choice`] per poll, and
//! [`Results`] are what all choices come to.

mod ballot;
mod code;
mod id;
mod participant;
mod poll;
mod results;
mod session;
mod text;

pub use ballot::{Ballot, BallotError, Choice, MAX_WORDS_PER_BALLOT};
pub use code::{Code, CodeError, ENTROPY_BITS as CODE_ENTROPY_BITS};
pub use id::{OptionId, ParticipantId, PollId, SessionId};
pub use participant::{MAX_DISPLAY_NAME, Participant};
pub use poll::{
    Draft, DraftError, Kind, MAX_LABEL, MAX_OPTIONS, MAX_QUESTION, MAX_SCALE,
    MAX_TIME_LIMIT_SECONDS, MAX_WORD, MIN_OPTIONS, MIN_SCALE, Poll, PollError, PollOption,
    PollState, VoteError,
};
pub use results::{MAX_SHOWN_WORDS, OptionCount, Outcome, Results, ValueCount, WordCount};
pub use session::{MAX_TITLE, Session, SessionError, SessionState};
pub use text::{TextError, fold, line};

/// A point in time: milliseconds since 1970.
pub type Millis = u64;
