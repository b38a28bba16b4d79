//! What all votes of a poll come to.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::{OptionId, PollId};
use super::poll::{Kind, Poll};

/// How many words of a cloud are shown, the most frequent ones.
pub const MAX_SHOWN_WORDS: usize = 100;

/// The results of a poll, as they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// The poll.
    #[schema(value_type = String)]
    pub poll_id: PollId,
    /// How far it is: `draft`, `active` or `closed`.
    pub state: &'static str,
    /// How many participants have voted.
    pub votes: u64,
    /// What they voted.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was voted, by the kind of the poll.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Each option, in the poll's order.
    SingleChoice {
        /// The options.
        options: Vec<OptionCount>,
    },
    /// Each option, in the poll's order; the counts may come to more than the votes.
    MultipleChoice {
        /// The options.
        options: Vec<OptionCount>,
    },
    /// Each value of the scale, in rising order.
    Rating {
        /// The mean with two decimals; none without a vote.
        average: Option<f64>,
        /// The values.
        values: Vec<ValueCount>,
    },
    /// The most frequent words.
    #[serde(rename_all = "camelCase")]
    WordCloud {
        /// The words, the most frequent one first; those of the same count in the order of their
        /// letters.
        words: Vec<WordCount>,
        /// How many different words there are in all.
        distinct_words: u64,
    },
}

/// An option and how often it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OptionCount {
    /// The option.
    #[schema(value_type = String)]
    pub id: OptionId,
    /// What is shown.
    pub label: String,
    /// How often.
    pub votes: u64,
}

/// A value and how often it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ValueCount {
    /// The value.
    pub value: u32,
    /// How often.
    pub votes: u64,
}

/// A word and how often it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WordCount {
    /// The word, in lower case.
    pub text: String,
    /// How often.
    pub votes: u64,
}

impl Results {
    /// Puts counts into the poll's form: how many voted, how often each item was chosen, each item
    /// once, and how many items there are, which may be more than those that came.
    #[must_use]
    pub fn of(poll: &Poll, votes: u64, counts: &[(String, u64)], distinct: u64) -> Self {
        let outcome = match poll.kind {
            Kind::SingleChoice => Outcome::SingleChoice { options: options(poll, counts) },
            Kind::MultipleChoice { .. } => {
                Outcome::MultipleChoice { options: options(poll, counts) }
            }
            Kind::Rating { scale } => rating(scale, counts),
            Kind::WordCloud { .. } => {
                Outcome::WordCloud { words: cloud(counts), distinct_words: distinct }
            }
        };
        Results { poll_id: poll.id.clone(), state: poll.state.as_str(), votes, outcome }
    }
}

fn count(counts: &[(String, u64)], item: &str) -> u64 {
    counts.iter().find(|(name, _)| name == item).map_or(0, |(_, count)| *count)
}

fn options(poll: &Poll, counts: &[(String, u64)]) -> Vec<OptionCount> {
    let options = poll.options.iter().map(|option| OptionCount {
        id: option.id.clone(),
        label: option.label.clone(),
        votes: count(counts, option.id.as_str()),
    });
    options.collect()
}

fn rating(scale: u32, counts: &[(String, u64)]) -> Outcome {
    let values = (1..=scale)
        .map(|value| ValueCount { value, votes: count(counts, &value.to_string()) })
        .collect::<Vec<_>>();
    let votes: u64 = values.iter().map(|it| it.votes).sum();
    let sum: u64 = values.iter().map(|it| it.votes * u64::from(it.value)).sum();
    // In hundredths, in whole numbers: the same on every machine. Never more than the scale.
    let hundredths = (sum * 200 + votes).checked_div(votes * 2);
    let hundredths = hundredths.and_then(|it| u32::try_from(it).ok());
    Outcome::Rating { average: hundredths.map(|it| f64::from(it) / 100.0), values }
}

fn cloud(counts: &[(String, u64)]) -> Vec<WordCount> {
    let mut words: Vec<WordCount> = counts
        .iter()
        .map(|(text, votes)| WordCount { text: text.clone(), votes: *votes })
        .collect();
    words.sort_by(|a, b| b.votes.cmp(&a.votes).then_with(|| a.text.cmp(&b.text)));
    words.truncate(MAX_SHOWN_WORDS);
    words
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Ballot, PollOption, PollState, SessionId};
    use super::*;

    /// An active poll of a kind, with four options.
    pub(in super::super) fn active(kind: Kind) -> Poll {
        let option = |place| PollOption { id: OptionId::at(place), label: format!("{place}") };
        Poll {
            id: PollId::from_random([1; 10]),
            session: SessionId::from_random([2; 10]),
            place: 0,
            question: "?".to_owned(),
            kind,
            options: (0..4).map(option).collect(),
            time_limit_seconds: None,
            hide_results: false,
            allow_change: false,
            created: 0,
            state: PollState::Active { at: 0, until: None },
        }
    }

    #[test]
    fn results_have_the_form_of_their_kind() {
        let counts = |counts: &[(&str, u64)]| -> Vec<(String, u64)> {
            counts.iter().map(|(item, count)| ((*item).to_owned(), *count)).collect()
        };
        let rating = Kind::Rating { scale: 3 };
        let cloud = Kind::WordCloud { max_words: 1, max_word_length: 9 };
        let options = |votes: [u64; 4]| {
            let option = |(place, votes)| json!({ "id": format!("opt_{}", place + 1), "label": format!("{place}"), "votes": votes });
            votes.into_iter().enumerate().map(option).collect::<Vec<_>>()
        };
        for (kind, given, expected) in [
            (
                Kind::SingleChoice,
                counts(&[("opt_2", 3)]),
                json!({ "kind": "single_choice", "options": options([0, 3, 0, 0]) }),
            ),
            (
                Kind::MultipleChoice { min: 1, max: 4 },
                counts(&[("opt_4", 1), ("opt_1", 2)]),
                json!({ "kind": "multiple_choice", "options": options([2, 0, 0, 1]) }),
            ),
            (
                rating,
                counts(&[("1", 1), ("3", 2)]),
                json!({ "kind": "rating", "average": 2.33, "values": [
                    { "value": 1, "votes": 1 }, { "value": 2, "votes": 0 }, { "value": 3, "votes": 2 }] }),
            ),
            (
                rating,
                counts(&[]),
                json!({ "kind": "rating", "average": null, "values": [
                    { "value": 1, "votes": 0 }, { "value": 2, "votes": 0 }, { "value": 3, "votes": 0 }] }),
            ),
            (
                cloud,
                counts(&[("b", 1), ("a", 1), ("c", 5)]),
                json!({ "kind": "word_cloud", "distinctWords": 7, "words": [
                    { "text": "c", "votes": 5 }, { "text": "a", "votes": 1 }, { "text": "b", "votes": 1 }] }),
            ),
        ] {
            let poll = active(kind);
            let mut expected = expected;
            expected["pollId"] = json!(poll.id);
            expected["state"] = json!("active");
            expected["votes"] = json!(3);
            let results = Results::of(&poll, 3, &given, 7);
            assert_eq!(serde_json::to_value(results).unwrap(), expected);
        }
    }

    /// Counts as a slow model has them: by going through all votes.
    fn counted(ballots: &[Ballot], poll: &Poll) -> (u64, Vec<(String, u64)>) {
        let (mut votes, mut counts) = (0, HashMap::<String, u64>::new());
        for choice in ballots.iter().filter_map(|ballot| poll.take(ballot, 0).ok()) {
            votes += 1;
            choice.items().for_each(|item| *counts.entry(item.to_owned()).or_default() += 1);
        }
        (votes, counts.into_iter().collect())
    }

    fn ballot() -> impl Strategy<Value = Ballot> {
        prop_oneof![
            proptest::collection::vec("opt_[1-5]", 0..4).prop_map(Ballot::Options),
            (0_i64..12).prop_map(Ballot::Value),
            proptest::collection::vec("[a-cA-C]{0,2}", 0..4).prop_map(Ballot::Words),
        ]
    }

    proptest! {
        #[test]
        fn results_add_up(ballots in proptest::collection::vec(ballot(), 0..60)) {
            for kind in [
                Kind::SingleChoice,
                Kind::MultipleChoice { min: 1, max: 3 },
                Kind::Rating { scale: 10 },
                Kind::WordCloud { max_words: 3, max_word_length: 30 },
            ] {
                let poll = active(kind);
                let (votes, counts) = counted(&ballots, &poll);
                let all: u64 = counts.iter().map(|(_, count)| count).sum();
                match Results::of(&poll, votes, &counts, counts.len() as u64).outcome {
                    Outcome::SingleChoice { options } => {
                        prop_assert_eq!(options.iter().map(|it| it.votes).sum::<u64>(), votes);
                    }
                    Outcome::MultipleChoice { options } => {
                        prop_assert_eq!(options.iter().map(|it| it.votes).sum::<u64>(), all);
                        prop_assert!(options.iter().all(|it| it.votes <= votes));
                    }
                    Outcome::Rating { average, values } => {
                        prop_assert_eq!(values.iter().map(|it| it.votes).sum::<u64>(), votes);
                        prop_assert_eq!(average.is_some(), votes > 0);
                        prop_assert!(average.is_none_or(|it| (1.0..=10.0).contains(&it)));
                    }
                    Outcome::WordCloud { words, distinct_words } => {
                        prop_assert_eq!(words.iter().map(|it| it.votes).sum::<u64>(), all);
                        prop_assert_eq!(words.len() as u64, distinct_words);
                        prop_assert!(words.windows(2).all(|pair| pair[0].votes >= pair[1].votes));
                    }
                }
            }
        }

        #[test]
        fn only_the_most_frequent_words_are_shown(count in 0_usize..300) {
            let poll = active(Kind::WordCloud { max_words: 1, max_word_length: 9 });
            let counts: Vec<_> = (0..count).map(|n| (format!("w{n}"), n as u64)).collect();
            let results = Results::of(&poll, 1, &counts, count as u64);
            let Outcome::WordCloud { words, .. } = results.outcome else { panic!() };
            prop_assert_eq!(words.len(), count.min(MAX_SHOWN_WORDS));
            prop_assert!(words.iter().all(|word| word.votes >= (count - words.len()) as u64));
        }
    }
}
