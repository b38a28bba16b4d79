//! What polls can be made, and how far they go.

use proptest::prelude::*;

use super::super::{Code, SessionState};
use super::*;

fn session(state: SessionState) -> Session {
    let id = SessionId::from_random([7; 10]);
    Session { state, ..Session::create(id, Code::from_random(1), "It", 1_000).unwrap() }
}

const STARTED: SessionState = SessionState::Started { at: 1_500 };

fn create(draft: &Draft) -> Result<Poll, DraftError> {
    Poll::create(PollId::from_random([1; 10]), &session(STARTED), 0, draft, 2_000)
}

fn draft(kind: &str) -> Draft {
    let options = kind.ends_with("choice").then(|| vec!["Yes".to_owned(), "No".to_owned()]);
    Draft { question: "Why?".to_owned(), kind: kind.to_owned(), options, ..Draft::default() }
}

#[test]
fn each_kind_has_its_fields_and_defaults() {
    let base = draft;
    let labels = |labels: &[&str]| Some(labels.iter().map(|it| (*it).to_owned()).collect());
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    let range = |field, from, to| Err(DraftError::Range { field, from, to });
    for (draft, expected) in [
        (base("single_choice"), Ok(Kind::SingleChoice)),
        (base("multiple_choice"), Ok(Kind::MultipleChoice { min: 1, max: 2 })),
        (base("rating"), Ok(Kind::Rating { scale: 5 })),
        (base("word_cloud"), Ok(Kind::WordCloud { max_words: 3, max_word_length: 30 })),
        (base("quiz"), Err(DraftError::Kind)),
        (base(""), Err(DraftError::Kind)),
        (
            Draft { min: Some(2), max: Some(2), ..base("multiple_choice") },
            Ok(Kind::MultipleChoice { min: 2, max: 2 }),
        ),
        (Draft { min: Some(0), ..base("multiple_choice") }, range("min", 1, 2)),
        (Draft { max: Some(3), ..base("multiple_choice") }, range("max", 1, 2)),
        (Draft { min: Some(2), max: Some(1), ..base("multiple_choice") }, range("max", 2, 2)),
        (Draft { scale: Some(1), ..base("rating") }, range("scale", 2, 10)),
        (Draft { scale: Some(11), ..base("rating") }, range("scale", 2, 10)),
        (Draft { max_words: Some(0), ..base("word_cloud") }, range("maxWords", 1, 10)),
        (Draft { max_word_length: Some(51), ..base("word_cloud") }, range("maxWordLength", 1, 50)),
        (
            Draft { scale: Some(5), ..base("single_choice") },
            Err(DraftError::Meaningless { field: "scale" }),
        ),
        (
            Draft { options: labels(&["a", "b"]), ..base("rating") },
            Err(DraftError::Meaningless { field: "options" }),
        ),
        (Draft { options: labels(&[]), ..base("rating") }, Ok(Kind::Rating { scale: 5 })),
        (Draft { options: labels(&["a"]), ..base("single_choice") }, Err(DraftError::OptionCount)),
        (Draft { options: Some(many), ..base("single_choice") }, Err(DraftError::OptionCount)),
        (Draft { options: None, ..base("single_choice") }, Err(DraftError::OptionCount)),
        (
            Draft { options: labels(&["Yes", " yes "]), ..base("single_choice") },
            Err(DraftError::SameLabel),
        ),
        (
            Draft { options: labels(&["Yes", ""]), ..base("single_choice") },
            Err(DraftError::Label { place: 2, fault: TextError::Empty }),
        ),
        (
            Draft { question: " ".to_owned(), ..base("rating") },
            Err(DraftError::Question(TextError::Empty)),
        ),
        (
            Draft { time_limit_seconds: Some(0), ..base("rating") },
            range("timeLimitSeconds", 1, MAX_TIME_LIMIT_SECONDS),
        ),
    ] {
        let created = create(&draft);
        assert_eq!(created.as_ref().map(|poll| poll.kind), expected.as_ref().copied(), "{draft:?}");
        if let Ok(poll) = created {
            assert_eq!(
                Kind::from_numbers(poll.kind.as_str(), poll.kind.numbers()),
                Some(poll.kind)
            );
        }
    }
}

#[test]
fn a_poll_goes_from_draft_to_closed_and_nowhere_else() {
    let mut poll = create(&Draft { time_limit_seconds: Some(10), ..draft("rating") }).unwrap();
    assert_eq!(poll.close(3_000), Err(PollError::NotActive));
    assert_eq!(poll.check_active(3_000), Err(VoteError::NotActive));
    for (state, expected) in [
        (SessionState::Created, SessionError::NotStarted),
        (SessionState::Ended { started: 1, at: 2 }, SessionError::Ended),
    ] {
        let refused = poll.activate(&session(state), 3_000);
        assert_eq!(refused, Err(PollError::Session(expected)));
    }
    assert_eq!(poll.activate(&session(STARTED), 3_000), Ok(()));
    assert_eq!(poll.activate(&session(STARTED), 3_001), Err(PollError::AlreadyActive));
    for (now, expected) in [(3_000, Ok(())), (12_999, Ok(())), (13_000, Err(VoteError::TimeOver))] {
        assert_eq!(poll.check_active(now), expected, "{now}");
    }
    assert_eq!(poll.close(13_001), Ok(()));
    assert_eq!(poll.state, PollState::Closed { activated: 3_000, at: 13_001 });
    assert_eq!(poll.close(13_002), Err(PollError::Closed));
    assert_eq!(poll.activate(&session(STARTED), 13_003), Err(PollError::Closed));
    assert_eq!(poll.check_active(13_004), Err(VoteError::Closed));
}

#[test]
fn nothing_is_asked_in_a_session_that_is_over() {
    let over = session(SessionState::Ended { started: 1, at: 2 });
    let refused = Poll::create(PollId::from_random([1; 10]), &over, 0, &draft("rating"), 3);
    assert_eq!(refused, Err(DraftError::Session(SessionError::Ended)));
}

#[test]
fn results_may_be_kept_until_it_is_closed() {
    for hide_results in [false, true] {
        let mut poll = create(&Draft { hide_results, ..draft("rating") }).unwrap();
        poll.activate(&session(STARTED), 3_000).unwrap();
        assert_eq!(poll.shows_results(), !hide_results);
        poll.close(4_000).unwrap();
        assert!(poll.shows_results());
    }
}

proptest! {
    /// Whatever is tried, in whatever order and with whatever clock: it never goes back, what is refused
    /// changes nothing, and votes are taken only while it is active and has time.
    #[test]
    fn a_poll_never_goes_back(
        limit in proptest::option::of(1..MAX_TIME_LIMIT_SECONDS),
        steps: Vec<(bool, u64)>,
    ) {
        let mut poll =
            create(&Draft { time_limit_seconds: limit, ..draft("rating") }).unwrap();
        let rank = |poll: &Poll| match poll.state {
            PollState::Draft => 0,
            PollState::Active { .. } => 1,
            PollState::Closed { .. } => 2,
        };
        for (activate, now) in steps {
            let before = poll.clone();
            let done =
                if activate { poll.activate(&session(STARTED), now) } else { poll.close(now) };
            match done {
                Ok(()) => prop_assert_eq!(rank(&poll), rank(&before) + 1),
                Err(_) => prop_assert_eq!(&poll, &before),
            }
            let open = matches!(poll.state, PollState::Active { until, .. }
                if until.is_none_or(|until| now < until));
            prop_assert_eq!(poll.check_active(now).is_ok(), open);
        }
    }
}
