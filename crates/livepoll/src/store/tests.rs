//! One suite for both databases: what is kept, what is refused, and that nothing is counted twice or
//! lost, whoever comes at the same time.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::*;
use crate::domain::{
    Ballot, Code, Draft, Kind, Outcome, ParticipantId, PollError, PollId, Session, SessionError,
    SessionId, VoteError,
};
use crate::event::Audience;
use crate::random;

const TITLE: &str = "All hands";

fn code(number: u64) -> Code {
    Code::from_random(number)
}

fn participant() -> ParticipantId {
    ParticipantId::from_random(random::bytes().unwrap())
}

async fn open(db: &Database, number: u64) -> Session {
    let id = SessionId::from_random(random::bytes().unwrap());
    let session = Session::create(id, code(number), TITLE, 1_000).unwrap();
    db.create_session(session, vec![code(number)]).await.unwrap()
}

async fn join(db: &Database, number: u64) -> ParticipantId {
    let joined = db.join(code(number), participant(), "Kim".to_owned(), 1_500).await;
    joined.unwrap().1.id
}

fn draft(kind: &str, allow_change: bool) -> Draft {
    let labels = ["A", "B", "C"].map(str::to_owned).to_vec();
    let options = kind.ends_with("choice").then_some(labels);
    let (question, kind) = ("Why?".to_owned(), kind.to_owned());
    Draft { question, kind, options, allow_change, ..Draft::default() }
}

/// A started session with an active poll.
async fn asked(db: &Database, number: u64, draft: Draft) -> (Session, PollId) {
    let session = open(db, number).await;
    let session = db.start_session(session.id, 2_000).await.unwrap();
    let id = PollId::from_random(random::bytes().unwrap());
    db.create_poll(session.id.clone(), id.clone(), draft, 2_100).await.unwrap();
    db.activate(id.clone(), 2_200).await.unwrap();
    (session, id)
}

fn cast(session: &Session, poll: &PollId, voter: &ParticipantId, ballot: Ballot) -> Cast {
    let (poll, session, voter) = (poll.clone(), session.id.clone(), voter.clone());
    Cast { poll, session, voter, ballot, now: 2_300 }
}

fn choose(option: &str) -> Ballot {
    Ballot::Options(vec![option.to_owned()])
}

/// How often each option was chosen.
async fn counts(db: &Database, poll: &PollId) -> (u64, Vec<u64>) {
    let (_, results) = db.results(poll.clone()).await.unwrap();
    let counts = match results.outcome {
        Outcome::SingleChoice { options } | Outcome::MultipleChoice { options } => {
            options.iter().map(|option| option.votes).collect()
        }
        Outcome::Rating { values, .. } => values.iter().map(|value| value.votes).collect(),
        Outcome::WordCloud { words, .. } => words.iter().map(|word| word.votes).collect(),
    };
    (results.votes, counts)
}

/// The types of the events that wait, which are then forgotten.
async fn told(db: &Database) -> Vec<String> {
    let mut kinds = Vec::new();
    loop {
        let pending = db.moment(Vec::new()).await.unwrap().pending;
        if pending.is_empty() {
            return kinds;
        }
        db.published(pending.iter().map(|it| it.seq).collect()).await.unwrap();
        kinds.extend(pending.into_iter().map(|it| it.event.kind));
    }
}

async fn a_code_belongs_to_one_open_session(db: &Database) {
    let first = open(db, 1).await;
    let second = Session { id: SessionId::from_random([2; 10]), ..first.clone() };
    let refused = db.create_session(second.clone(), vec![code(1)]).await;
    assert!(matches!(refused, Err(Refused::NoFreeCode)), "{refused:?}");
    let second = db.create_session(second, vec![code(1), code(2)]).await.unwrap();
    assert_eq!(second.code, code(2));
    assert_eq!(db.session(first.id.clone()).await.unwrap(), first);
    for (number, expected) in [(3, "no session has this join code"), (1, "")] {
        let joined = db.join(code(number), participant(), "Kim".to_owned(), 1_100).await;
        let error = joined.map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(error, expected);
    }
    db.start_session(first.id.clone(), 1_200).await.unwrap();
    db.end_session(first.id.clone(), 1_300).await.unwrap();
    let ended = db.join(code(1), participant(), "Kim".to_owned(), 1_400).await;
    assert!(matches!(ended, Err(Refused::EndedCode)), "{ended:?}");
    let third = open(db, 1).await;
    assert_eq!(db.join(code(1), participant(), "Kim".to_owned(), 1_500).await.unwrap().0, third);
    let expected = [
        "session:created",
        "session:created",
        "participant:joined",
        "session:started",
        "session:ended",
        "session:created",
        "participant:joined",
    ];
    assert_eq!(told(db).await, expected);
}

async fn what_is_not_allowed_changes_nothing(db: &Database) {
    let (session, poll) = asked(db, 10, draft("single_choice", false)).await;
    let voter = join(db, 10).await;
    told(db).await;
    let started = db.start_session(session.id.clone(), 3_000).await;
    assert!(matches!(started, Err(Refused::Session(SessionError::AlreadyStarted))));
    let activated = db.activate(poll.clone(), 3_000).await;
    assert!(matches!(activated, Err(Refused::Poll(PollError::AlreadyActive))));
    let bad = db.vote(cast(&session, &poll, &voter, choose("opt_9"))).await;
    assert!(matches!(bad, Err(Refused::Vote(VoteError::Ballot(_)))), "{bad:?}");
    let other = open(db, 11).await;
    let foreign = db.vote(cast(&other, &poll, &voter, choose("opt_1"))).await;
    assert!(matches!(foreign, Err(Refused::NoPoll)), "{foreign:?}");
    assert_eq!(counts(db, &poll).await, (0, vec![0, 0, 0]));
    assert_eq!(told(db).await, ["session:created"]);
    let missing = db.session(SessionId::from_random([99; 10])).await;
    assert!(matches!(missing, Err(Refused::NoSession)), "{missing:?}");
    let missing = db.poll(PollId::from_random([99; 10])).await;
    assert!(matches!(missing, Err(Refused::NoPoll)), "{missing:?}");
}

async fn a_vote_counts_once_and_can_be_changed_where_that_is_allowed(db: &Database) {
    for (allow_change, number) in [(false, 20), (true, 21)] {
        let (session, poll) = asked(db, number, draft("single_choice", allow_change)).await;
        let voter = join(db, number).await;
        told(db).await;
        assert!(!db.vote(cast(&session, &poll, &voter, choose("opt_1"))).await.unwrap());
        let second = db.vote(cast(&session, &poll, &voter, choose("opt_2"))).await;
        if allow_change {
            assert!(second.unwrap());
            assert_eq!(counts(db, &poll).await, (1, vec![0, 1, 0]));
            assert_eq!(db.own_vote(poll.clone(), voter.clone()).await.unwrap(), ["opt_2"]);
            assert_eq!(told(db).await, ["vote:accepted", "vote:accepted"]);
        } else {
            assert!(matches!(second, Err(Refused::Vote(VoteError::AlreadyVoted))), "{second:?}");
            assert_eq!(counts(db, &poll).await, (1, vec![1, 0, 0]));
            assert_eq!(told(db).await, ["vote:accepted"]);
        }
        db.close(poll.clone(), 2_400).await.unwrap();
        let late = db.vote(cast(&session, &poll, &join(db, number).await, choose("opt_1"))).await;
        assert!(matches!(late, Err(Refused::Vote(VoteError::Closed))), "{late:?}");
    }
}

async fn each_kind_is_counted(db: &Database) {
    let words = |words: &[&str]| Ballot::Words(words.iter().map(|it| (*it).to_owned()).collect());
    let options = |ids: &[&str]| Ballot::Options(ids.iter().map(|it| (*it).to_owned()).collect());
    for (number, kind, ballots, expected) in [
        (30, "single_choice", vec![choose("opt_1"), choose("opt_3")], vec![1, 0, 1]),
        (
            31,
            "multiple_choice",
            vec![options(&["opt_1", "opt_2"]), options(&["opt_2"])],
            vec![1, 2, 0],
        ),
        (32, "rating", vec![Ballot::Value(5), Ballot::Value(1)], vec![1, 0, 0, 0, 1]),
        (33, "word_cloud", vec![words(&["Rust", "é"]), words(&["rust"])], vec![2, 1]),
    ] {
        let (session, poll) = asked(db, number, draft(kind, false)).await;
        for ballot in ballots {
            let voter = join(db, number).await;
            db.vote(cast(&session, &poll, &voter, ballot)).await.unwrap();
        }
        assert_eq!(counts(db, &poll).await, (2, expected), "{kind}");
    }
}

/// Sixty participants, each voting four times at once: one of the four counts.
async fn of_votes_at_the_same_time_one_counts(db: &Database) {
    for (allow_change, number) in [(false, 40), (true, 41)] {
        let (session, poll) = asked(db, number, draft("single_choice", allow_change)).await;
        let voters = join_all((0..60).map(|_| join(db, number))).await;
        told(db).await;
        let options = ["opt_1", "opt_2", "opt_3", "opt_1"];
        let votes = options.iter().flat_map(|option| {
            let (session, poll) = (&session, &poll);
            voters.iter().map(move |voter| db.vote(cast(session, poll, voter, choose(option))))
        });
        let answers = join_all(votes).await;
        let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
        let changed = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
        assert_eq!(accepted - changed, 60, "{allow_change}: each voter's first");
        assert_eq!(changed, if allow_change { 180 } else { 0 });
        let (votes, counts) = counts(db, &poll).await;
        assert_eq!((votes, counts.iter().sum::<u64>()), (60, 60), "{allow_change}");
        assert_eq!(told(db).await.len(), accepted, "{allow_change}");
    }
}

/// Votes race with the poll's end: what was accepted is in the final results, and nothing else.
async fn final_results_are_final(db: &Database) {
    let (session, poll) = asked(db, 50, draft("single_choice", false)).await;
    let voters = join_all((0..80).map(|_| join(db, 50))).await;
    let vote = |voter| db.vote(cast(&session, &poll, voter, choose("opt_2")));
    let (before, after) = voters.split_at(40);
    let (first, closed, second) = tokio::join!(
        join_all(before.iter().map(vote)),
        db.close(poll.clone(), 2_400),
        join_all(after.iter().map(vote)),
    );
    closed.unwrap();
    let accepted = first.iter().chain(&second).filter(|answer| answer.is_ok()).count() as u64;
    assert_eq!(counts(db, &poll).await, (accepted, vec![0, accepted, 0]));
    let pending = db.moment(Vec::new()).await.unwrap().pending;
    let end = pending.iter().find(|it| it.event.kind == "poll:closed");
    if let Some(end) = end {
        assert_eq!(end.event.payload["results"]["votes"], accepted);
    }
    told(db).await;
}

async fn a_session_ends_with_its_polls(db: &Database) {
    let (session, poll) = asked(db, 60, draft("rating", false)).await;
    let drafted = PollId::from_random(random::bytes().unwrap());
    let created =
        db.create_poll(session.id.clone(), drafted.clone(), draft("rating", false), 2_250).await;
    assert_eq!(created.unwrap().place, 1);
    told(db).await;
    let ended = db.end_session(session.id.clone(), 3_000).await.unwrap();
    assert_eq!(ended.state.ended(), Some(3_000));
    assert_eq!(db.poll(poll).await.unwrap().state.closed(), Some(3_000));
    assert_eq!(told(db).await, ["poll:closed", "session:ended"]);
    let late = db.activate(drafted.clone(), 3_100).await;
    assert!(matches!(late, Err(Refused::Poll(PollError::Session(SessionError::Ended)))));
    let late = db.arrange(session.id, vec![drafted], 3_100).await;
    assert!(matches!(late, Err(Refused::Session(SessionError::Ended))), "{late:?}");
}

async fn polls_are_arranged_all_of_them(db: &Database) {
    let session = open(db, 70).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = PollId::from_random(random::bytes().unwrap());
        let made = db.create_poll(session.id.clone(), id.clone(), draft("rating", false), 1).await;
        made.unwrap();
        ids.push(id);
    }
    let order = |places: &[usize]| places.iter().map(|place| ids[*place].clone()).collect();
    for wrong in [order(&[0, 1]), order(&[0, 1, 1]), order(&[0, 1, 2, 2])] {
        let refused = db.arrange(session.id.clone(), wrong, 2).await;
        assert!(matches!(refused, Err(Refused::WrongPolls)), "{refused:?}");
    }
    db.arrange(session.id.clone(), order(&[2, 0, 1]), 2).await.unwrap();
    let polls: Vec<_> = db.polls(session.id).await.unwrap().into_iter().map(|it| it.id).collect();
    let expected: Vec<PollId> = order(&[2, 0, 1]);
    assert_eq!(polls, expected);
    told(db).await;
}

async fn participants_are_listed_page_by_page(db: &Database) {
    let session = open(db, 80).await;
    let mut all = HashSet::new();
    for _ in 0..7 {
        all.insert(join(db, 80).await.to_string());
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = db.participants(session.id.clone(), after, (3, 2_000)).await.unwrap();
        assert_eq!((page.total, page.connected), (7, 0));
        let Some(last) = page.participants.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.participants.into_iter().map(|it| it.id.to_string()));
    }
    assert_eq!((seen.len(), seen.into_iter().collect::<HashSet<_>>()), (7, all));
    told(db).await;
}

async fn who_comes_and_goes_is_told(db: &Database) {
    let session = open(db, 90).await;
    let id = join(db, 90).await;
    told(db).await;
    let sign = |at| Seen { participant: id.clone(), at };
    let connected = async |now| {
        let page = db.participants(session.id.clone(), None, (3, now)).await.unwrap();
        (page.connected, page.participants[0].connected)
    };
    db.went(sign(4_000)).await.unwrap();
    db.arrived(sign(5_000)).await.unwrap();
    db.here(vec![sign(6_000)]).await.unwrap();
    assert_eq!(connected(7_000).await, (1, true));
    assert_eq!(connected(6_000 + 75_000).await, (0, false), "its node may be gone");
    assert_eq!(db.silent(80_999).await.unwrap(), []);
    assert_eq!(db.silent(81_000).await.unwrap(), [sign(6_000)]);
    assert_eq!(told(db).await, [""; 0], "that it is there was said when it joined");
    db.went(sign(7_000)).await.unwrap();
    db.went(sign(7_001)).await.unwrap();
    assert_eq!(connected(8_000).await, (0, false));
    assert_eq!(db.participant(id.clone()).await.unwrap().last_seen, 7_000);
    assert_eq!(db.silent(1_000_000).await.unwrap(), []);
    db.arrived(sign(9_000)).await.unwrap();
    assert_eq!(told(db).await, ["participant:disconnected", "participant:joined"]);
    db.start_session(session.id.clone(), 9_100).await.unwrap();
    db.end_session(session.id.clone(), 9_200).await.unwrap();
    told(db).await;
    db.went(sign(9_300)).await.unwrap();
    assert_eq!(told(db).await, [""; 0], "nobody waits for anybody in a session that is over");
}

async fn the_time_of_polls_ends_in_order(db: &Database) {
    let limited = |seconds| Draft { time_limit_seconds: Some(seconds), ..draft("rating", false) };
    let (_, late) = asked(db, 100, limited(60)).await;
    let (_, soon) = asked(db, 101, limited(10)).await;
    let ends = db.next_ends().await.unwrap();
    assert_eq!(ends, [(soon.clone(), 12_200), (late.clone(), 62_200)]);
    db.close(soon.clone(), 12_200).await.unwrap();
    assert_eq!(db.next_ends().await.unwrap(), [(late.clone(), 62_200)]);
    let lively = db.lively(12_000).await.unwrap();
    assert!(lively.contains(&soon) && lively.contains(&late));
    assert!(!db.lively(13_000).await.unwrap().contains(&soon));
    told(db).await;
}

async fn events_wait_in_order_with_all_they_have(db: &Database) {
    let (session, poll) = asked(db, 110, draft("single_choice", false)).await;
    let voter = join(db, 110).await;
    db.vote(cast(&session, &poll, &voter, choose("opt_1"))).await.unwrap();
    let pending = db.moment(Vec::new()).await.unwrap().pending;
    let kinds: Vec<_> = pending.iter().map(|it| it.event.kind.as_str()).collect();
    let expected = [
        "session:created",
        "session:started",
        "poll:created",
        "poll:activated",
        "participant:joined",
        "vote:accepted",
    ];
    assert_eq!(kinds, expected);
    let last = &pending[5].event;
    assert_eq!(last.audience, Audience::VoterAndPresenters(voter.clone()));
    assert_eq!((last.at, last.payload["participantId"].as_str()), (2_300, Some(voter.as_str())));
    let ids: HashSet<_> = pending.iter().map(|it| &it.event.id).collect();
    assert_eq!(ids.len(), 6);
    db.published(pending.iter().take(4).map(|it| it.seq).collect()).await.unwrap();
    assert_eq!(told(db).await, expected[4..]);
}

async fn one_node_at_a_time(db: &Database) {
    let lease = async |holder: &str, now, until| {
        db.lease("relay", holder.to_owned(), (now, until)).await.unwrap()
    };
    assert!(lease("a", 100, 200).await);
    assert!(!lease("b", 150, 250).await);
    assert!(lease("a", 160, 260).await);
    assert!(!lease("b", 260, 360).await);
    assert!(lease("b", 261, 361).await);
    assert!(!lease("a", 262, 362).await);
    let secret = db.secret("tokens", "first".to_owned()).await.unwrap();
    assert_eq!(secret, db.secret("tokens", "second".to_owned()).await.unwrap());
}

async fn what_is_old_is_removed_whole(db: &Database) {
    let (session, poll) = asked(db, 120, draft("single_choice", false)).await;
    let voter = join(db, 120).await;
    db.vote(cast(&session, &poll, &voter, choose("opt_1"))).await.unwrap();
    while db.remove_older(1_001).await.unwrap() {}
    assert!(matches!(db.session(session.id).await, Err(Refused::NoSession)));
    assert!(matches!(db.poll(poll).await, Err(Refused::NoPoll)));
    assert!(matches!(db.participant(voter).await, Err(Refused::NoParticipant)));
    told(db).await;
}

/// One part of a transaction that panics or fails is undone, and nobody else's.
async fn a_panic_is_an_error_of_one_caller(db: &Database) {
    use futures_util::FutureExt;

    let panics = db.write(|_| async { panic!("a bug") }.boxed());
    let (panicked, opened): (Result<(), _>, _) = tokio::join!(panics, open(db, 130));
    assert!(matches!(panicked, Err(Refused::Store(StoreError::Bug))), "{panicked:?}");
    assert_eq!(db.session(opened.id.clone()).await.unwrap(), opened);
    told(db).await;
}

async fn suite(db: &Database) {
    a_code_belongs_to_one_open_session(db).await;
    what_is_not_allowed_changes_nothing(db).await;
    a_vote_counts_once_and_can_be_changed_where_that_is_allowed(db).await;
    each_kind_is_counted(db).await;
    told(db).await;
    of_votes_at_the_same_time_one_counts(db).await;
    final_results_are_final(db).await;
    a_session_ends_with_its_polls(db).await;
    polls_are_arranged_all_of_them(db).await;
    participants_are_listed_page_by_page(db).await;
    who_comes_and_goes_is_told(db).await;
    the_time_of_polls_ends_in_order(db).await;
    events_wait_in_order_with_all_they_have(db).await;
    one_node_at_a_time(db).await;
    what_is_old_is_removed_whole(db).await;
    a_panic_is_an_error_of_one_caller(db).await;
}

/// What was kept is there when the database is opened again.
async fn reopened(target: &Target) {
    let db = Database::open(target).await.unwrap();
    let (session, poll) = asked(&db, 900, draft("single_choice", false)).await;
    let voter = join(&db, 900).await;
    db.vote(cast(&session, &poll, &voter, choose("opt_3"))).await.unwrap();
    drop(db);
    let db = Database::open(target).await.unwrap();
    assert_eq!(counts(&db, &poll).await, (1, vec![0, 0, 1]));
    assert_eq!(db.poll(poll).await.unwrap().kind, Kind::SingleChoice);
    assert_eq!(told(&db).await.last().map(String::as_str), Some("vote:accepted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    // A path that is no part of a URL as it is.
    let data = folder.path().join("a #b%20?c");
    std::fs::create_dir(&data).unwrap();
    let target = Target::of(None, Some(&data));
    suite(&Database::open(&target).await.unwrap()).await;
    reopened(&target).await;
    #[cfg(unix)]
    for name in ["livepoll.db", "livepoll.db-wal"] {
        use std::os::unix::fs::PermissionsExt;
        let file = data.join(name).metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}: it has the tokens' secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory() {
    let target = Target::of(None, None);
    suite(&Database::open(&target).await.unwrap()).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn postgresql() {
    let server = testkit::Postgres::start().unwrap();
    let target = Target::of(Some(server.url().parse().unwrap()), None);
    // Two nodes that start at once.
    let (first, second) = tokio::join!(Database::open(&target), Database::open(&target));
    suite(&first.unwrap()).await;
    drop(second.unwrap());
    reopened(&target).await;
}
