//! What somebody votes: as it was sent, and as it counts.

use super::id::OptionId;
use super::poll::{Kind, Poll, VoteError};
use super::text::{self, TextError};
use super::{Millis, OptionId as Id};

/// The most words that any word cloud takes of one participant.
pub const MAX_WORDS_PER_BALLOT: u32 = 10;

/// A vote as it was sent: one of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ballot {
    /// Options that are chosen.
    Options(Vec<String>),
    /// A rating.
    Value(i64),
    /// Words.
    Words(Vec<String>),
}

impl Ballot {
    const fn field(&self) -> &'static str {
        match self {
            Ballot::Options(_) => "optionIds",
            Ballot::Value(_) => "value",
            Ballot::Words(_) => "words",
        }
    }
}

/// A vote as it counts: what was chosen, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(Vec<Box<str>>);

/// What is wrong with a vote. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BallotError {
    /// A vote for another kind of poll.
    #[error("a poll of this kind is answered with `{expected}`")]
    WrongKind {
        /// The field that was expected.
        expected: &'static str,
        /// The one that was sent.
        given: &'static str,
    },
    /// Fewer options or words than are needed.
    #[error("expected at least {min}")]
    TooFew {
        /// The field.
        field: &'static str,
        /// How many.
        min: u32,
    },
    /// More options or words than are allowed.
    #[error("expected at most {max}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many.
        max: u32,
    },
    /// An option that the poll has not.
    #[error("the poll has no such option")]
    UnknownOption,
    /// An option twice.
    #[error("an option is chosen twice")]
    RepeatedOption,
    /// A rating outside the scale.
    #[error("the rating is a whole number from 1 to {scale}")]
    OutOfScale {
        /// The highest.
        scale: u32,
    },
    /// A word that is no text to show.
    #[error("word {place}: {fault}")]
    Word {
        /// Which, from 1.
        place: usize,
        /// What is wrong.
        fault: TextError,
    },
}

impl BallotError {
    /// The field that is to blame.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            BallotError::WrongKind { given, .. } => given,
            BallotError::TooFew { field, .. } | BallotError::TooMany { field, .. } => field,
            BallotError::UnknownOption | BallotError::RepeatedOption => "optionIds",
            BallotError::OutOfScale { .. } => "value",
            BallotError::Word { .. } => "words",
        }
    }
}

impl Choice {
    /// What was chosen, each once: ids of options, a number, or words in the form in which they are
    /// compared.
    pub fn items(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Poll {
    /// Takes a vote, or says why not. Whether this participant has voted already is asked by
    /// [`check_second`](Self::check_second).
    ///
    /// # Errors
    ///
    /// [`VoteError`], but not [`VoteError::AlreadyVoted`].
    pub fn take(&self, ballot: &Ballot, now: Millis) -> Result<Choice, VoteError> {
        self.check_active(now)?;
        Ok(self.read(ballot)?)
    }

    /// Whether a participant that has voted may vote again.
    ///
    /// # Errors
    ///
    /// [`VoteError::AlreadyVoted`].
    pub const fn check_second(&self) -> Result<(), VoteError> {
        if self.allow_change { Ok(()) } else { Err(VoteError::AlreadyVoted) }
    }

    fn read(&self, ballot: &Ballot) -> Result<Choice, BallotError> {
        match (self.kind, ballot) {
            (Kind::SingleChoice, Ballot::Options(ids)) => self.options(ids, 1, 1),
            (Kind::MultipleChoice { min, max }, Ballot::Options(ids)) => {
                self.options(ids, min, max)
            }
            (Kind::Rating { scale }, Ballot::Value(value)) => {
                if *value < 1 || *value > i64::from(scale) {
                    return Err(BallotError::OutOfScale { scale });
                }
                Ok(Choice(vec![value.to_string().into()]))
            }
            (Kind::WordCloud { max_words, max_word_length }, Ballot::Words(given)) => {
                words(given, max_words, max_word_length)
            }
            (kind, ballot) => {
                let expected = match kind {
                    Kind::SingleChoice | Kind::MultipleChoice { .. } => "optionIds",
                    Kind::Rating { .. } => "value",
                    Kind::WordCloud { .. } => "words",
                };
                Err(BallotError::WrongKind { expected, given: ballot.field() })
            }
        }
    }

    fn options(&self, ids: &[String], min: u32, max: u32) -> Result<Choice, BallotError> {
        check_count("optionIds", ids.len(), min, max)?;
        let mut chosen: Vec<Box<str>> = Vec::with_capacity(ids.len());
        for id in ids {
            let id = Id::given(id);
            if !self.options.iter().any(|option| option.id == id) {
                return Err(BallotError::UnknownOption);
            }
            if chosen.iter().any(|other| other.as_ref() == id.as_str()) {
                return Err(BallotError::RepeatedOption);
            }
            chosen.push(OptionId::as_str(&id).into());
        }
        Ok(Choice(chosen))
    }
}

/// A word given twice counts once.
fn words(given: &[String], max_words: u32, max_length: u32) -> Result<Choice, BallotError> {
    check_count("words", given.len(), 1, max_words)?;
    let max = usize::try_from(max_length).unwrap_or(usize::MAX);
    let mut words: Vec<Box<str>> = Vec::with_capacity(given.len());
    for (place, word) in given.iter().enumerate() {
        let word =
            text::line(word, max).map_err(|fault| BallotError::Word { place: place + 1, fault })?;
        let word = text::fold(&word).into_boxed_str();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(Choice(words))
}

fn check_count(field: &'static str, count: usize, min: u32, max: u32) -> Result<(), BallotError> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count < min {
        return Err(BallotError::TooFew { field, min });
    }
    if count > max { Err(BallotError::TooMany { field, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::results::tests::active;
    use super::*;

    fn ids(ids: &[&str]) -> Ballot {
        Ballot::Options(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    fn said(words: &[&str]) -> Ballot {
        Ballot::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn each_kind_takes_its_votes_and_says_what_is_wrong_with_others() {
        let single = Kind::SingleChoice;
        let several = Kind::MultipleChoice { min: 2, max: 3 };
        let rating = Kind::Rating { scale: 5 };
        let cloud = Kind::WordCloud { max_words: 2, max_word_length: 5 };
        let wrong = |expected, given| Err(BallotError::WrongKind { expected, given });
        let few = |field, min| Err(BallotError::TooFew { field, min });
        let many = |field, max| Err(BallotError::TooMany { field, max });
        for (kind, ballot, expected) in [
            (single, ids(&["opt_1"]), Ok(vec!["opt_1"])),
            (single, ids(&[]), few("optionIds", 1)),
            (single, ids(&["opt_1", "opt_2"]), many("optionIds", 1)),
            (single, ids(&["opt_9"]), Err(BallotError::UnknownOption)),
            (single, ids(&[""]), Err(BallotError::UnknownOption)),
            (single, Ballot::Value(1), wrong("optionIds", "value")),
            (single, said(&["a"]), wrong("optionIds", "words")),
            (several, ids(&["opt_2", "opt_1"]), Ok(vec!["opt_2", "opt_1"])),
            (several, ids(&["opt_1"]), few("optionIds", 2)),
            (several, ids(&["opt_1", "opt_1"]), Err(BallotError::RepeatedOption)),
            (several, ids(&["opt_1", "opt_2", "opt_3", "opt_4"]), many("optionIds", 3)),
            (rating, Ballot::Value(1), Ok(vec!["1"])),
            (rating, Ballot::Value(5), Ok(vec!["5"])),
            (rating, Ballot::Value(0), Err(BallotError::OutOfScale { scale: 5 })),
            (rating, Ballot::Value(6), Err(BallotError::OutOfScale { scale: 5 })),
            (rating, Ballot::Value(i64::MIN), Err(BallotError::OutOfScale { scale: 5 })),
            (rating, ids(&["opt_1"]), wrong("value", "optionIds")),
            (cloud, said(&["Rust"]), Ok(vec!["rust"])),
            (cloud, said(&["Rust", " RUST "]), Ok(vec!["rust"])),
            (cloud, said(&[]), few("words", 1)),
            (cloud, said(&["a", "b", "c"]), many("words", 2)),
            (
                cloud,
                said(&["a", " "]),
                Err(BallotError::Word { place: 2, fault: TextError::Empty }),
            ),
            (
                cloud,
                said(&["longer"]),
                Err(BallotError::Word { place: 1, fault: TextError::TooLong { max: 5 } }),
            ),
            (cloud, Ballot::Value(3), wrong("words", "value")),
        ] {
            let poll = active(kind);
            let taken = poll.take(&ballot, 0);
            let expected =
                expected.map(|items| Choice(items.into_iter().map(Into::into).collect()));
            assert_eq!(taken, expected.map_err(VoteError::Ballot), "{kind:?} {ballot:?}");
        }
    }

    #[test]
    fn a_second_vote_is_for_polls_that_let_votes_change() {
        let mut poll = active(Kind::SingleChoice);
        assert_eq!(poll.check_second(), Err(VoteError::AlreadyVoted));
        poll.allow_change = true;
        assert_eq!(poll.check_second(), Ok(()));
    }

    proptest! {
        #[test]
        fn any_vote_is_taken_or_refused_and_never_counts_twice(
            options: Vec<String>, value: i64, words: Vec<String>, which in 0..3,
        ) {
            let ballot = match which {
                0 => Ballot::Options(options),
                1 => Ballot::Value(value),
                _ => Ballot::Words(words),
            };
            for kind in [
                Kind::SingleChoice,
                Kind::MultipleChoice { min: 1, max: 3 },
                Kind::Rating { scale: 10 },
                Kind::WordCloud { max_words: 3, max_word_length: 30 },
            ] {
                if let Ok(choice) = active(kind).take(&ballot, 0) {
                    let items: std::collections::HashSet<_> = choice.items().collect();
                    prop_assert_eq!(items.len(), choice.items().count());
                    prop_assert!((1..=3).contains(&items.len()));
                }
            }
        }
    }
}
