//! What comes at the same moment: each vote counts once or not at all, whoever else asks for what.

use serde_json::{Value, json};
use testkit::{Client, Options};

use crate::scene::{Session, ask, done, server};
use crate::support::Running;

/// How many at once.
const MANY: usize = 60;

async fn vote(server: &Running, poll: &str, token: &str, value: u32) -> (u16, Value) {
    let path = format!("/polls/{poll}/votes");
    ask(server, ("POST", &path), Some(token), Some(&json!({ "value": value }))).await
}

/// Waits for all, as they are asked at once.
async fn all<T>(asked: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(asked).await
}

#[tokio::test]
async fn of_many_votes_of_one_participant_one_counts() {
    let server = server(&["--livepoll-votes-per-second", "1000"]);
    let session = Session::started(&server).await;
    let draft = json!({ "question": "?", "kind": "rating" });
    let poll = session.poll(&server, draft, &["activate"]).await;
    let ada = session.join(&server, "Ada").await;
    let answers = all((0..MANY).map(|_| vote(&server, &poll, &ada, 4))).await;
    let accepted = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(accepted, 1);
    for (_, problem) in answers.iter().filter(|(status, _)| *status != 201) {
        assert_eq!((&problem["status"], &problem["code"]), (&json!(409), &json!("ALREADY_VOTED")));
    }
    assert_eq!(session.results(&server, &poll).await["votes"], 1);
}

#[tokio::test]
async fn of_many_changes_of_one_vote_the_last_counts_alone() {
    let server = server(&["--livepoll-votes-per-second", "1000"]);
    let session = Session::started(&server).await;
    let draft = json!({ "question": "?", "kind": "rating", "allowChange": true });
    let poll = session.poll(&server, draft, &["activate"]).await;
    let ada = session.join(&server, "Ada").await;
    let answers =
        all((1..=5).cycle().take(MANY).map(|value| vote(&server, &poll, &ada, value))).await;
    let first = answers.iter().filter(|(_, it)| it["changed"] == false).count();
    assert!(first == 1 && answers.iter().all(|(status, _)| *status == 201));
    let results = session.results(&server, &poll).await;
    let values = results["values"].as_array().unwrap();
    let counted: u64 = values.iter().map(|it| it["votes"].as_u64().unwrap()).sum();
    assert_eq!((&results["votes"], counted), (&json!(1), 1));
}

/// A vote is accepted and counted in the final results, or refused and not counted.
#[tokio::test]
async fn votes_and_the_closing_agree_on_who_was_in_time() {
    let server = server(&[]);
    let session = Session::started(&server).await;
    let poll = session.poll(&server, json!({ "question": "?", "kind": "rating" }), &["activate"]);
    let poll = poll.await;
    let people = all((0..MANY).map(|n| session.join(&server, ["Ada", "Bob"][n % 2]))).await;
    let screen = Options::default().namespace("/livepoll").auth(json!({ "token": session.token }));
    let mut screen = Client::connect(server.url(), screen).await.unwrap();
    let close = format!("/polls/{poll}/close");
    let closing = async {
        // Some have voted by then.
        while session.results(&server, &poll).await["votes"] == 0 {}
        done(&server, ("POST", &close), Some(&session.token), None).await
    };
    let voting = all(people.iter().map(|token| vote(&server, &poll, token, 5)));
    let (answers, closed) = futures_util::future::join(voting, closing).await;
    assert_eq!(closed["state"], "closed");
    let accepted = answers.iter().filter(|(status, _)| *status == 201).count();
    for (status, problem) in &answers {
        assert!(*status == 201 || problem["code"] == "POLL_CLOSED", "{problem}");
    }
    assert_eq!(session.results(&server, &poll).await["votes"], accepted);
    let told = loop {
        let event = screen.next_event().await.unwrap().args.swap_remove(0);
        if event["eventType"] == "poll:closed" {
            break event;
        }
    };
    assert_eq!(told["payload"]["results"]["votes"], accepted, "what was told when it closed");
    let late = vote(&server, &poll, &people[0], 5).await;
    assert_eq!((late.0, &late.1["code"]), (409, &json!("POLL_CLOSED")));
}

#[tokio::test]
async fn one_of_many_starts_opens_and_ends() {
    let server = server(&[]);
    let session = Session::open(&server).await;
    let draft = json!({ "question": "?", "kind": "rating" });
    let poll = session.poll(&server, draft, &[]).await;
    for (path, refused) in [
        (format!("/sessions/{}/start", session.id), "SESSION_ALREADY_STARTED"),
        (format!("/polls/{poll}/activate"), "POLL_ALREADY_ACTIVE"),
        (format!("/polls/{poll}/close"), "POLL_CLOSED"),
        (format!("/sessions/{}/end", session.id), "SESSION_ENDED"),
    ] {
        let asked = (0..20).map(|_| ask(&server, ("POST", &path), Some(&session.token), None));
        let answers = all(asked).await;
        let done = answers.iter().filter(|(status, _)| *status == 200).count();
        let others = answers.iter().filter(|(_, it)| it["code"] == refused).count();
        assert_eq!((done, others), (1, 19), "{path}");
    }
}
