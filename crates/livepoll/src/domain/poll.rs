//! A poll: what is asked, how it may be answered, and until when.

use super::Millis;
use super::ballot::BallotError;
use super::id::{OptionId, PollId, SessionId};
use super::session::{Session, SessionError};
use super::text::{self, TextError};

/// The longest question, in characters.
pub const MAX_QUESTION: usize = 300;

/// The longest label of an option, in characters.
pub const MAX_LABEL: usize = 100;

/// The fewest options of a choice: with one there is nothing to choose.
pub const MIN_OPTIONS: usize = 2;

/// The most options of a choice: what a phone shows without losing the reader.
pub const MAX_OPTIONS: usize = 20;

/// The smallest scale of a rating.
pub const MIN_SCALE: u32 = 2;

/// The largest scale of a rating.
pub const MAX_SCALE: u32 = 10;

/// The scale of a rating that names none: five stars.
const DEFAULT_SCALE: u32 = 5;

/// The longest word of a word cloud, in characters.
pub const MAX_WORD: u32 = 50;

/// The longest word when a word cloud names none: what the big screen can show large.
const DEFAULT_WORD: u32 = 30;

/// How many words one participant may give when a word cloud names no number.
const DEFAULT_WORDS: u32 = 3;

/// The longest time limit, in seconds: a day.
pub const MAX_TIME_LIMIT_SECONDS: u32 = 86_400;

/// What is to be asked, as it was sent; checked by [`Poll::create`].
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The question.
    pub question: String,
    /// Which kind, by its name.
    pub kind: String,
    /// The labels of a choice's options.
    pub options: Option<Vec<String>>,
    /// The fewest options to choose, of several. Default: 1.
    pub min: Option<u32>,
    /// The most options to choose, of several. Default: all.
    pub max: Option<u32>,
    /// The highest value of a rating. Default: 5.
    pub scale: Option<u32>,
    /// How many words a participant may give. Default: 3.
    pub max_words: Option<u32>,
    /// How long a word may be, in characters. Default: 30.
    pub max_word_length: Option<u32>,
    /// After how many seconds it closes by itself. Default: not.
    pub time_limit_seconds: Option<u32>,
    /// Whether participants see results only when it is closed.
    pub hide_results: bool,
    /// Whether a vote can be changed while the poll is active.
    pub allow_change: bool,
}

/// How a poll is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of the options.
    SingleChoice,
    /// Some of the options.
    MultipleChoice {
        /// At least so many.
        min: u32,
        /// At most so many.
        max: u32,
    },
    /// A number from 1 to the scale.
    Rating {
        /// The highest.
        scale: u32,
    },
    /// Words of one's own.
    WordCloud {
        /// At most so many.
        max_words: u32,
        /// Each of at most so many characters.
        max_word_length: u32,
    },
}

impl Kind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::SingleChoice => "single_choice",
            Kind::MultipleChoice { .. } => "multiple_choice",
            Kind::Rating { .. } => "rating",
            Kind::WordCloud { .. } => "word_cloud",
        }
    }

    /// Its numbers, for the database: two at most.
    #[must_use]
    pub const fn numbers(self) -> (u32, u32) {
        match self {
            Kind::SingleChoice => (0, 0),
            Kind::MultipleChoice { min, max } => (min, max),
            Kind::Rating { scale } => (scale, 0),
            Kind::WordCloud { max_words, max_word_length } => (max_words, max_word_length),
        }
    }

    /// A kind as the database has it.
    #[must_use]
    pub fn from_numbers(name: &str, (first, second): (u32, u32)) -> Option<Self> {
        Some(match name {
            "single_choice" => Kind::SingleChoice,
            "multiple_choice" => Kind::MultipleChoice { min: first, max: second },
            "rating" => Kind::Rating { scale: first },
            "word_cloud" => Kind::WordCloud { max_words: first, max_word_length: second },
            _ => return None,
        })
    }
}

/// One of a choice's options.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct PollOption {
    /// Its id, unique in its poll.
    #[schema(value_type = String)]
    pub id: OptionId,
    /// What is shown.
    pub label: String,
}

/// A poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Its id.
    pub id: PollId,
    /// The session.
    pub session: SessionId,
    /// Where it stands among the session's polls, from 0.
    pub place: u32,
    /// What is asked.
    pub question: String,
    /// How it is answered.
    pub kind: Kind,
    /// What can be chosen; empty unless it is a choice.
    pub options: Vec<PollOption>,
    /// After how many seconds it closes by itself.
    pub time_limit_seconds: Option<u32>,
    /// Whether participants see results only when it is closed.
    pub hide_results: bool,
    /// Whether a vote can be changed while the poll is active.
    pub allow_change: bool,
    /// When it was made.
    pub created: Millis,
    /// How far it is.
    pub state: PollState,
}

/// How far a poll is. It goes on, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollState {
    /// Not open yet.
    Draft,
    /// Open.
    Active {
        /// Since when.
        at: Millis,
        /// Until when, if it has a time limit. From this moment on no vote is taken, also if nobody
        /// has closed it yet.
        until: Option<Millis>,
    },
    /// Over.
    Closed {
        /// When it had been opened.
        activated: Millis,
        /// Since when.
        at: Millis,
    },
}

impl PollState {
    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            PollState::Draft => "draft",
            PollState::Active { .. } => "active",
            PollState::Closed { .. } => "closed",
        }
    }

    /// When it was opened, if it was.
    #[must_use]
    pub const fn activated(self) -> Option<Millis> {
        match self {
            PollState::Draft => None,
            PollState::Active { at, .. } | PollState::Closed { activated: at, .. } => Some(at),
        }
    }

    /// When it closed, if it has.
    #[must_use]
    pub const fn closed(self) -> Option<Millis> {
        match self {
            PollState::Closed { at, .. } => Some(at),
            PollState::Draft | PollState::Active { .. } => None,
        }
    }

    /// When it closes by itself, if it will.
    #[must_use]
    pub const fn until(self) -> Option<Millis> {
        match self {
            PollState::Active { until, .. } => until,
            PollState::Draft | PollState::Closed { .. } => None,
        }
    }
}

/// Why a poll cannot be made. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The session is over.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// There is no such kind.
    #[error("the kind is single_choice, multiple_choice, rating or word_cloud")]
    Kind,
    /// The question is no text to show.
    #[error("the question: {0}")]
    Question(TextError),
    /// Too few or too many options, or none where they are needed.
    #[error("a choice has from {MIN_OPTIONS} to {MAX_OPTIONS} options")]
    OptionCount,
    /// An option is no text to show.
    #[error("the label of option {place}: {fault}")]
    Label {
        /// Which, from 1.
        place: usize,
        /// What is wrong.
        fault: TextError,
    },
    /// Two options look the same.
    #[error("two options have the same label")]
    SameLabel,
    /// A field of another kind.
    #[error("`{field}` means nothing for this kind of poll")]
    Meaningless {
        /// The field.
        field: &'static str,
    },
    /// A number outside what is possible.
    #[error("`{field}` is a whole number from {from} to {to}")]
    Range {
        /// The field.
        field: &'static str,
        /// The lowest.
        from: u32,
        /// The highest.
        to: u32,
    },
}

impl DraftError {
    /// The field that is to blame; none if it is not a field's fault.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            DraftError::Session(_) => None,
            DraftError::Kind => Some("kind"),
            DraftError::Question(_) => Some("question"),
            DraftError::OptionCount | DraftError::Label { .. } | DraftError::SameLabel => {
                Some("options")
            }
            DraftError::Meaningless { field } | DraftError::Range { field, .. } => Some(field),
        }
    }
}

/// What a poll as it stands does not allow. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The session has not begun, or is over.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It is open already.
    #[error("the poll is active already")]
    AlreadyActive,
    /// It was never opened.
    #[error("the poll is not active yet")]
    NotActive,
    /// It is over.
    #[error("the poll is closed")]
    Closed,
}

/// Why a vote is not taken. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// Not open yet.
    #[error("the poll is not active yet")]
    NotActive,
    /// Over.
    #[error("the poll is closed")]
    Closed,
    /// The time limit has passed.
    #[error("the time to vote is over")]
    TimeOver,
    /// There is a vote, and it cannot be changed.
    #[error("this participant has voted, and votes of this poll cannot be changed")]
    AlreadyVoted,
    /// The vote itself.
    #[error(transparent)]
    Ballot(#[from] BallotError),
}

impl Poll {
    /// A poll that nobody can vote on yet.
    ///
    /// # Errors
    ///
    /// [`DraftError`].
    pub fn create(
        id: PollId,
        session: &Session,
        place: u32,
        draft: &Draft,
        now: Millis,
    ) -> Result<Self, DraftError> {
        session.check_open()?;
        let question = text::line(&draft.question, MAX_QUESTION).map_err(DraftError::Question)?;
        let (kind, options) = draft.kind()?;
        let time_limit_seconds = draft
            .time_limit_seconds
            .map(|seconds| within("timeLimitSeconds", seconds, 1, MAX_TIME_LIMIT_SECONDS))
            .transpose()?;
        Ok(Poll {
            id,
            session: session.id.clone(),
            place,
            question,
            kind,
            options,
            time_limit_seconds,
            hide_results: draft.hide_results,
            allow_change: draft.allow_change,
            created: now,
            state: PollState::Draft,
        })
    }

    /// Opens it for votes.
    ///
    /// # Errors
    ///
    /// [`PollError`], but not [`PollError::NotActive`].
    pub fn activate(&mut self, session: &Session, now: Millis) -> Result<(), PollError> {
        session.check_running()?;
        match self.state {
            PollState::Draft => {
                let limit = self.time_limit_seconds.map(|seconds| u64::from(seconds) * 1_000);
                let until = limit.map(|limit| now.saturating_add(limit));
                self.state = PollState::Active { at: now, until };
                Ok(())
            }
            PollState::Active { .. } => Err(PollError::AlreadyActive),
            PollState::Closed { .. } => Err(PollError::Closed),
        }
    }

    /// Closes it for good.
    ///
    /// # Errors
    ///
    /// [`PollError::NotActive`], [`PollError::Closed`].
    pub fn close(&mut self, now: Millis) -> Result<(), PollError> {
        match self.state {
            PollState::Draft => Err(PollError::NotActive),
            PollState::Active { at, .. } => {
                // A clock that was put back does not make it end before it began.
                self.state = PollState::Closed { activated: at, at: now.max(at) };
                Ok(())
            }
            PollState::Closed { .. } => Err(PollError::Closed),
        }
    }

    /// Whether votes are taken now.
    ///
    /// # Errors
    ///
    /// [`VoteError::NotActive`], [`VoteError::Closed`], [`VoteError::TimeOver`].
    pub const fn check_active(&self, now: Millis) -> Result<(), VoteError> {
        match self.state {
            PollState::Draft => Err(VoteError::NotActive),
            PollState::Active { until: Some(until), .. } if now >= until => {
                Err(VoteError::TimeOver)
            }
            PollState::Active { .. } => Ok(()),
            PollState::Closed { .. } => Err(VoteError::Closed),
        }
    }

    /// Whether participants may see the results now.
    #[must_use]
    pub const fn shows_results(&self) -> bool {
        !self.hide_results || matches!(self.state, PollState::Closed { .. })
    }
}

impl Draft {
    fn kind(&self) -> Result<(Kind, Vec<PollOption>), DraftError> {
        match self.kind.as_str() {
            "single_choice" => {
                self.only(&["options"])?;
                Ok((Kind::SingleChoice, self.options()?))
            }
            "multiple_choice" => {
                self.only(&["options", "min", "max"])?;
                let options = self.options()?;
                let count = u32::try_from(options.len()).unwrap_or(u32::MAX);
                let min = within("min", self.min.unwrap_or(1), 1, count)?;
                let max = within("max", self.max.unwrap_or(count), min, count)?;
                Ok((Kind::MultipleChoice { min, max }, options))
            }
            "rating" => {
                self.only(&["scale"])?;
                let scale = self.scale.unwrap_or(DEFAULT_SCALE);
                let scale = within("scale", scale, MIN_SCALE, MAX_SCALE)?;
                Ok((Kind::Rating { scale }, Vec::new()))
            }
            "word_cloud" => {
                self.only(&["maxWords", "maxWordLength"])?;
                let words = self.max_words.unwrap_or(DEFAULT_WORDS);
                let most = super::ballot::MAX_WORDS_PER_BALLOT;
                let max_words = within("maxWords", words, 1, most)?;
                let length = self.max_word_length.unwrap_or(DEFAULT_WORD);
                let max_word_length = within("maxWordLength", length, 1, MAX_WORD)?;
                Ok((Kind::WordCloud { max_words, max_word_length }, Vec::new()))
            }
            _ => Err(DraftError::Kind),
        }
    }

    /// Refuses the fields of other kinds: who sent one expects something of it.
    fn only(&self, allowed: &[&str]) -> Result<(), DraftError> {
        let given = [
            ("options", self.options.as_ref().is_some_and(|options| !options.is_empty())),
            ("min", self.min.is_some()),
            ("max", self.max.is_some()),
            ("scale", self.scale.is_some()),
            ("maxWords", self.max_words.is_some()),
            ("maxWordLength", self.max_word_length.is_some()),
        ];
        let foreign = given.into_iter().find(|(field, given)| *given && !allowed.contains(field));
        foreign.map_or(Ok(()), |(field, _)| Err(DraftError::Meaningless { field }))
    }

    fn options(&self) -> Result<Vec<PollOption>, DraftError> {
        let labels = self.options.as_deref().unwrap_or_default();
        if !(MIN_OPTIONS..=MAX_OPTIONS).contains(&labels.len()) {
            return Err(DraftError::OptionCount);
        }
        let mut options: Vec<PollOption> = Vec::with_capacity(labels.len());
        for (place, label) in labels.iter().enumerate() {
            let label = text::line(label, MAX_LABEL)
                .map_err(|fault| DraftError::Label { place: place + 1, fault })?;
            if options.iter().any(|other| text::fold(&other.label) == text::fold(&label)) {
                return Err(DraftError::SameLabel);
            }
            options.push(PollOption { id: OptionId::at(place), label });
        }
        Ok(options)
    }
}

fn within(field: &'static str, value: u32, from: u32, to: u32) -> Result<u32, DraftError> {
    if (from..=to).contains(&value) {
        Ok(value)
    } else {
        Err(DraftError::Range { field, from, to })
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
