//! Join codes: of other sessions, of those that ended, and those who guess.

use std::collections::HashSet;

use serde_json::json;

use crate::scene::{Session, ask, done, send, server, text};

#[tokio::test]
async fn a_code_opens_its_own_session_until_that_has_ended() {
    let server = server(&[]);
    let (one, other) = (Session::started(&server).await, Session::open(&server).await);
    let typed = |code: &str| format!(" {}-{} ", &code[..3].to_lowercase(), &code[3..]);
    for session in [&one, &other] {
        let body = json!({ "code": typed(&session.code), "displayName": "Ada" });
        let joined = done(&server, ("POST", "/sessions/join"), None, Some(&body)).await;
        assert_eq!(text(&joined, "sessionId"), session.id);
    }
    one.step(&server, "end").await;
    let body = json!({ "code": one.code, "displayName": "Ada" });
    let (status, problem) = ask(&server, ("POST", "/sessions/join"), None, Some(&body)).await;
    assert_eq!((status, &problem["code"]), (410, &json!("CODE_ENDED")));
    other.join(&server, "Bob").await;
}

#[tokio::test]
async fn codes_of_open_sessions_differ_and_are_not_in_a_row() {
    let server = server(&["--livepoll-sessions-per-ip-per-minute", "1000"]);
    let mut codes = HashSet::new();
    let mut beginnings = HashSet::new();
    for _ in 0..100 {
        let code = Session::open(&server).await.code;
        assert!(
            code.len() == 6
                && code.bytes().all(|b| b"23456789ABCDEFGHJKMNPQRSTUVWXYZ".contains(&b))
        );
        beginnings.insert(code[..2].to_owned());
        codes.insert(code);
    }
    assert_eq!(codes.len(), 100);
    assert!(beginnings.len() > 50, "{beginnings:?}");
}

/// After some wrong codes an address may not even join with a right one, for a while.
#[tokio::test]
async fn who_guesses_is_stopped() {
    let server = server(&["--livepoll-wrong-codes-per-ip-per-minute", "3"]);
    let session = Session::started(&server).await;
    let join = |code: String| {
        let body = json!({ "code": code, "displayName": "Eve" }).to_string();
        let server = &server;
        async move { send(server, ("POST", "/sessions/join"), None, Some(body.as_bytes())).await }
    };
    for guess in ["222222", "222223", "222224", "222225"] {
        assert_eq!(join(guess.to_owned()).await.status, 404);
    }
    let refused = join(session.code.clone()).await;
    assert_eq!(refused.status, 429);
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    let wait = problem["retryAfterMs"].as_u64().unwrap();
    assert!((1..=20_000).contains(&wait), "{problem}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, wait.div_ceil(1_000));
    assert_eq!(problem["code"], "RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn sessions_and_votes_come_at_a_rate() {
    let server = server(&["--livepoll-votes-per-second", "1"]);
    let session = Session::started(&server).await;
    let (ada, bob) = (session.join(&server, "Ada").await, session.join(&server, "Bob").await);
    let draft = json!({ "question": "?", "kind": "rating", "allowChange": true });
    let poll = session.poll(&server, draft, &["activate"]).await;
    let path = format!("/polls/{poll}/votes");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let vote = json!({ "value": 1 });
        statuses.push(ask(&server, ("POST", &path), Some(&ada), Some(&vote)).await.0);
    }
    assert!(statuses.starts_with(&[201, 201]) && statuses.contains(&429), "{statuses:?}");
    done(&server, ("POST", &path), Some(&bob), Some(&json!({ "value": 1 }))).await;
    let mut refused = 0;
    for _ in 0..12 {
        let title = json!({ "title": "T" });
        refused +=
            u32::from(ask(&server, ("POST", "/sessions"), None, Some(&title)).await.0 == 429);
    }
    assert!((2..=3).contains(&refused), "ten a minute: {refused}");
}
