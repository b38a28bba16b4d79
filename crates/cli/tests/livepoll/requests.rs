//! Requests that are refused, each with its exact answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{self, Session, done, send, server};
use crate::support::Running;

/// The requests and their answers.
const REFUSALS: &str = include_str!("refusals.txt");

/// What the table names: `<draft>` in a path or body is the id of the poll that is a draft.
struct Scene {
    server: Running,
    /// Words in `<>`, and what they stand for; also the tokens by name.
    words: HashMap<&'static str, String>,
}

impl Scene {
    async fn begin() -> Scene {
        let server = server(&["--livepoll-votes-per-second", "1000"]);
        let [fresh, started, ended, other] = [
            Session::open(&server).await,
            Session::started(&server).await,
            Session::started(&server).await,
            Session::started(&server).await,
        ];
        let rating = || json!({ "question": "?", "kind": "rating" });
        let choice = json!({ "question": "?", "kind": "multiple_choice", "options": ["a", "b", "c"], "max": 2 });
        let cloud =
            json!({ "question": "?", "kind": "word_cloud", "maxWords": 2, "maxWordLength": 5 });
        let hidden = json!({ "question": "?", "kind": "rating", "hideResults": true });
        let over = json!({ "question": "?", "kind": "rating", "timeLimitSeconds": 1 });
        let active: &[&str] = &["activate"];
        let closed: &[&str] = &["activate", "close"];
        let mut words = HashMap::new();
        for (name, session, draft, steps) in [
            ("early", &fresh, rating(), &active[..0]),
            ("draft", &started, rating(), &active[..0]),
            ("rating", &started, rating(), active),
            ("choice", &started, choice, active),
            ("cloud", &started, cloud, active),
            ("hidden", &started, hidden, active),
            ("over", &started, over, active),
            ("closed", &started, rating(), closed),
            ("lost", &ended, rating(), active),
            ("left", &ended, rating(), &active[..0]),
            ("strange", &other, rating(), active),
        ] {
            words.insert(name, session.poll(&server, draft, steps).await);
        }
        words.insert("voter", started.join(&server, "Ada").await);
        words.insert("guest", ended.join(&server, "Bob").await);
        words.insert("stranger", other.join(&server, "Eve").await);
        let vote = format!("/polls/{}/votes", words["rating"]);
        done(&server, ("POST", &vote), Some(&words["voter"]), Some(&json!({ "value": 5 }))).await;
        ended.step(&server, "end").await;
        words.insert("key", server.key());
        for (name, code, token, session) in [
            ("fresh", "fresh_code", "fresh_presenter", fresh),
            ("started", "started_code", "presenter", started),
            ("ended", "ended_code", "ended_presenter", ended),
            ("other", "other_code", "other_presenter", other),
        ] {
            words.extend([(name, session.id), (code, session.code), (token, session.token)]);
        }
        words.extend(bodies());
        Scene { server, words }
    }

    fn filled(&self, text: &str) -> String {
        let known = |text: String, (word, meaning): (&&str, &String)| {
            text.replace(&format!("<{word}>"), meaning)
        };
        self.words.iter().fold(text.to_owned(), known)
    }

    /// How many have voted.
    async fn votes(&self, poll: &str) -> u64 {
        let path = self.filled(&format!("/polls/<{poll}>/results"));
        let token = Some(self.words["presenter"].as_str());
        let results = done(&self.server, ("GET", &path), token, None).await;
        results["votes"].as_u64().unwrap()
    }

    /// Sends what a row says: `status code field | detail` of the problem that is answered.
    async fn answer(&self, who: &str, request: &str, body: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        let token = match who {
            "-" => None,
            word => Some(self.words.get(word).cloned().unwrap_or_else(|| word.to_owned())),
        };
        let body = self.filled(body);
        let given = (!body.is_empty()).then_some(body.as_bytes());
        let path = self.filled(path);
        let response = send(&self.server, (method, &path), token.as_deref(), given).await;
        let kind = response.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{request}: {}", response.text());
        assert_eq!(response.header("cache-control"), Some("no-store"), "{request}");
        assert_eq!(response.header("www-authenticate").is_some(), response.status == 401);
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        let [code, detail] = ["code", "detail"].map(|field| scene::text(&problem, field));
        let slug = code.to_lowercase().replace('_', "-");
        assert_eq!(problem["type"], format!("urn:fanfare:problem:{slug}"), "{request}");
        assert_eq!(problem["status"], response.status, "{request}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{request}");
        let field = problem["field"].as_str().map_or(String::new(), |field| format!(" {field}"));
        format!("{} {code}{field} | {detail}", response.status)
    }

    /// Sends what a section of the table says.
    async fn check(&self, section: &str) {
        let (_, rows) = REFUSALS.split_once(&format!("\n== {section}\n")).unwrap();
        let rows = rows.split("\n\n").next().unwrap().trim_end().lines().collect::<Vec<_>>();
        let mut wrong = String::new();
        for row in rows.chunks(2) {
            let [request, expected] = row else { panic!("{row:?}") };
            let parts: Vec<&str> = request.splitn(3, " | ").collect();
            let body = parts.get(2).copied().unwrap_or_default();
            let answer = self.answer(parts[0], parts[1], body).await;
            if answer != expected.trim() {
                wrong.push_str(&format!("{request}\n    {answer}\n"));
            }
        }
        assert!(rows.len() > 10 && wrong.is_empty(), "{section}:\n{wrong}");
    }
}

/// Bodies too large to be written down.
fn bodies() -> [(&'static str, String); 8] {
    let [long, huge] = [900_000, 1_100_000].map(|length| "x".repeat(length));
    let list = |item: &str| format!("{}{item}", format!("{item},").repeat(100_000));
    [
        ("name", long.clone()),
        ("marks", "\u{301}".repeat(100)),
        ("long", format!(r#"{{"title":"{long}"}}"#)),
        ("huge", format!(r#"{{"title":"{huge}"}}"#)),
        ("deep", format!(r#"{{"title":{}"#, "[".repeat(100_000))),
        ("long_word", format!(r#"{{"words":["{long}"]}}"#)),
        ("many_ids", format!(r#"{{"optionIds":[{}]}}"#, list(r#""opt_1""#))),
        (
            "many_options",
            format!(r#"{{"question":"?","kind":"single_choice","options":[{}]}}"#, list(r#""x""#)),
        ),
    ]
}

#[tokio::test]
async fn who_shows_no_token_that_holds_learns_nothing() {
    let scene = Scene::begin().await;
    let long = "x".repeat(10_000);
    let refused = "401 AUTH_REQUIRED | There is no token, or none that holds; expected `Authorization: \
                   Bearer <token>` with the token of a presenter or a participant.";
    for who in ["-", "nonsense", "key", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &long] {
        for request in [
            "GET /sessions/<started>",
            "GET /sessions/ses_0000000000000000",
            "POST /sessions/<started>/start",
            "POST /sessions/<started>/end",
            "GET /sessions/<started>/participants",
            "GET /sessions/<started>/results.csv",
            "GET /sessions/<started>/polls",
            "POST /sessions/<started>/polls",
            "PUT /sessions/<started>/polls/order",
            "GET /polls/<rating>",
            "GET /polls/pol_0000000000000000",
            "POST /polls/<rating>/activate",
            "POST /polls/<rating>/close",
            "POST /polls/<rating>/votes",
            "GET /polls/<rating>/results",
        ] {
            assert_eq!(scene.answer(who, request, "").await, refused, "{request}");
        }
    }
}

#[tokio::test]
async fn other_sessions_do_not_exist_and_participants_do_not_present() {
    let scene = Scene::begin().await;
    let no_session = "404 SESSION_NOT_FOUND | There is no such session.";
    let no_poll = "404 POLL_NOT_FOUND | There is no such poll.";
    let presenters = "403 PRESENTERS_ONLY | This is for presenters.";
    let (poll, order) = (r#"{"question":"?","kind":"rating"}"#, r#"{"pollIds":[]}"#);
    for (request, body, strange, is_theirs) in [
        ("GET /sessions/<started>", "", no_session, true),
        ("POST /sessions/<started>/start", "", no_session, false),
        ("POST /sessions/<started>/end", "", no_session, false),
        ("GET /sessions/<started>/participants", "", no_session, true),
        ("GET /sessions/<started>/results.csv", "", no_session, false),
        ("GET /sessions/<started>/polls", "", no_session, true),
        ("POST /sessions/<started>/polls", poll, no_session, false),
        ("PUT /sessions/<started>/polls/order", order, no_session, false),
        ("GET /polls/<rating>", "", no_poll, true),
        ("POST /polls/<draft>/activate", "", no_poll, false),
        ("POST /polls/<rating>/close", "", no_poll, false),
        ("GET /polls/<rating>/results", "", no_poll, true),
    ] {
        for who in ["other_presenter", "stranger", "fresh_presenter", "guest"] {
            assert_eq!(scene.answer(who, request, body).await, strange, "{who} {request}");
        }
        if is_theirs {
            let (method, path) = request.split_once(' ').unwrap();
            let path = scene.filled(path);
            done(&scene.server, (method, &path), Some(&scene.words["voter"]), None).await;
        } else {
            assert_eq!(scene.answer("voter", request, body).await, presenters, "{request}");
        }
    }
    scene.check("strangers").await;
}

#[tokio::test]
async fn states_only_go_on() {
    let scene = Scene::begin().await;
    // What is no vote is refused by other words once the time is over.
    let begin = Instant::now();
    let late = loop {
        let answer = scene.answer("voter", "POST /polls/<over>/votes", r#"{"value":9}"#).await;
        if !answer.starts_with("400 INVALID_VOTE") {
            break answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(20));
    };
    let ends =
        ["409 TIME_OVER | The time to vote is over.", "409 POLL_CLOSED | The poll is closed."];
    assert!(ends.contains(&late.as_str()), "{late}");
    scene.check("states").await;
    assert_eq!(scene.votes("rating").await, 1, "what is refused does not count");
}

#[tokio::test]
async fn bodies_are_what_was_expected_or_are_refused() {
    Scene::begin().await.check("bodies").await;
}

#[tokio::test]
async fn votes_are_answers_to_their_poll_or_are_refused() {
    let scene = Scene::begin().await;
    scene.check("votes").await;
    for poll in ["hidden", "choice", "cloud"] {
        assert_eq!(scene.votes(poll).await, 0, "what is refused does not count");
    }
}

#[tokio::test]
async fn codes_and_names_are_right_or_nobody_joins() {
    let scene = Scene::begin().await;
    scene.check("joins").await;
    let path = scene.filled("/sessions/<started>/participants");
    let token = Some(scene.words["presenter"].as_str());
    assert_eq!(done(&scene.server, ("GET", &path), token, None).await["total"], 1);
}
