#![cfg(test)]
//! The matrix of access: each door, asked by guests, by users with rights of all kinds and by backends,
//! for rooms of all patterns, says what an independent model says; and what a door keeps is not
//! handed out by another one.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use services::{Mint, mint};
use support::{Running, fanfare};
use testkit::{Client, Error, EventStream, Options, Request};

/// How many callers are made up for each server.
const CALLERS: usize = 150;

/// The secret of the tokens, of the length that is asked for.
const SECRET: &str = "a-secret-that-is-used-in-this-test-alone";

/// The patterns of private rooms.
const PRIVATE: &str = "private:*,secret,*.*-draft";

const ROOMS: [&str; 18] = [
    "lobby",
    "Lobby",
    "private:a",
    "private:b",
    "private:",
    "private",
    "Private:a",
    "xprivate:a",
    "private:../lobby",
    "secret",
    "secret2",
    "docs.7",
    "docs.7-draft",
    "presence.7",
    "presence.7-draft",
    "user:alice",
    "user:bob",
    "user:",
];

const RIGHTS: [&str; 4] = ["join", "publish", "history", "presence"];

/// Who asks.
#[derive(Debug, Clone)]
enum Role {
    Guest,
    User { id: &'static str, grants: BTreeMap<String, Vec<&'static str>> },
    Backend,
}

/// What a door says: nothing, or the code of its refusal.
type Verdict = Option<String>;

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just("*".to_owned()),
        2 => select(ROOMS.as_slice()).prop_map(str::to_owned),
        2 => select(
            [
                "*",
                "private:*",
                "*:a",
                "p*a",
                "secret*",
                "*secret",
                "docs.*",
                "presence.*",
                "**",
                "user:*",
                "/#secret",
                "/other#*"
            ]
            .as_slice()
        )
        .prop_map(str::to_owned),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    let rights = subsequence(RIGHTS.as_slice(), 1..=4);
    let grants = prop::collection::btree_map(pattern(), rights, 0..5);
    prop_oneof![
        1 => Just(Role::Guest),
        1 => Just(Role::Backend),
        6 => (select(["alice", "carol"].as_slice()), grants)
            .prop_map(|(id, grants)| Role::User { id, grants }),
    ]
}

/// Whether a pattern means a room: written for this test, in the plainest way.
fn means(pattern: &str, room: &str) -> bool {
    let pattern = match pattern.split_once('#') {
        Some(("/", pattern)) => pattern,
        Some(_) => return false,
        None => pattern,
    };
    fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                glob(rest, text) || text.split_first().is_some_and(|(_, text)| glob(pattern, text))
            }
            (Some((a, pattern)), Some((b, text))) => a == b && glob(pattern, text),
            _ => false,
        }
    }
    glob(pattern.as_bytes(), room.as_bytes())
}

/// What is right, said once more.
fn model(role: &Role, open: bool, right: &str, room: &str) -> Verdict {
    // Being in such a room is seeing who is there.
    let right = if right == "join" && room.starts_with("presence.") { "presence" } else { right };
    let (user, grants) = match role {
        Role::Backend => return None,
        Role::Guest => (None, None),
        Role::User { id, grants } => (Some(*id), Some(grants)),
    };
    if user.is_some_and(|user| room == format!("user:{user}")) {
        return None;
    }
    if room.starts_with("user:") {
        return Some("PERMISSION_DENIED".to_owned());
    }
    let granted = grants.into_iter().flatten();
    let granted = granted.filter(|(_, rights)| rights.contains(&right));
    let is_private = PRIVATE.split(',').any(|pattern| means(pattern, room));
    if granted.into_iter().any(|(pattern, _)| means(pattern, room)) || (open && !is_private) {
        return None;
    }
    let code = if user.is_some() { "PERMISSION_DENIED" } else { "AUTH_REQUIRED" };
    Some(code.to_owned())
}

/// All of them are needed.
fn all(role: &Role, open: bool, rights: &[&str], room: &str) -> Verdict {
    rights.iter().find_map(|right| model(role, open, right, room))
}

fn token(id: &str, grants: &BTreeMap<String, Vec<&'static str>>) -> String {
    let mut claims = serde_json::Map::new();
    claims.insert("rooms".to_owned(), json!(grants));
    let lifetime = Duration::from_secs(600);
    mint(SECRET, Mint { subject: id.to_owned(), lifetime, claims }).unwrap()
}

fn verdict(answer: &Value) -> Verdict {
    (answer["ok"] != true).then(|| answer["error"]["code"].as_str().unwrap().to_owned())
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A caller at the doors of a server.
struct Visitor<'a> {
    server: &'a Running,
    /// The token of a user, the key of a backend.
    token: Option<String>,
    options: Options,
}

impl<'a> Visitor<'a> {
    fn new(server: &'a Running, role: &Role) -> Self {
        let token = match role {
            Role::Guest => None,
            Role::User { id, grants } => Some(token(id, grants)),
            Role::Backend => Some(server.key()),
        };
        let auth = match role {
            Role::User { .. } => json!({ "token": token }),
            _ => json!({}),
        };
        Visitor { server, token, options: Options { auth: Some(auth), ..Options::default() } }
    }

    async fn client(&self) -> Client {
        Client::connect(self.server.url(), self.options.clone()).await.unwrap()
    }

    async fn by_event(&self, client: &Client, event: &str, argument: Value) -> Verdict {
        verdict(&client.emit_with_ack(event, [argument]).await.unwrap().args[0])
    }

    /// Connects with a query; what came of the past.
    async fn by_query(&self, room: &str, from: Option<&str>) -> (Verdict, Vec<Value>) {
        let mut options = self.options.clone().query("rooms", room);
        if let Some(from) = from {
            options = options.query("fromEventId", from);
        }
        match Client::connect(self.server.url(), options).await {
            Ok(mut client) => {
                client.emit_with_ack("room:leave", [json!({ "roomId": "no-such" })]).await.unwrap();
                (None, client.take_events().into_iter().map(|it| json!(it.args)).collect())
            }
            Err(Error::Refused { data: Some(data), .. }) => {
                (Some(data["code"].as_str().unwrap().to_owned()), Vec::new())
            }
            Err(error) => panic!("{room:?}: {error}"),
        }
    }

    async fn history(&self, room: &str) -> (Verdict, Value) {
        let url = format!("{}/v1/rooms/{}/history", self.server.url(), encoded(room));
        let request = Request::new("GET", &url);
        let request = match &self.token {
            Some(token) => request.header("Authorization", &format!("Bearer {token}")),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        (verdict(&answer), answer)
    }

    /// Opens a stream; the name of its first event.
    async fn stream(&self, room: &str, from: Option<&str>) -> (Verdict, Option<String>) {
        let token = self.token.as_ref().map(|it| format!("&token={it}")).unwrap_or_default();
        let url = format!("{}/v1/sse?rooms={}{token}", self.server.url(), encoded(room));
        match EventStream::open(&url, from).await {
            Ok(mut stream) => (None, Some(stream.next().await.unwrap().name)),
            Err(Error::Http { body, .. }) => (verdict(&serde_json::from_str(&body).unwrap()), None),
            Err(error) => panic!("{room:?}: {error}"),
        }
    }
}

/// What was published to each room before anybody asked, and the position before all of it.
async fn seeded(server: &Running) -> String {
    let before = server.publish(json!({"event": "begin", "rooms": ["begin"]})).await;
    let before: Value = serde_json::from_slice(&before.body).unwrap();
    for room in ROOMS {
        let body = json!({"event": "past", "args": [room], "rooms": [room]});
        let answer = server.publish(body).await;
        assert!(answer.status == 200 || room == "user:", "{room}: {}", answer.text());
    }
    before["position"].as_str().unwrap().to_owned()
}

async fn at_the_doors(server: &Running, role: &Role, open: bool, room: &str, before: &str) {
    let visitor = Visitor::new(server, role);
    let at = |door: &str| format!("{door}, {room:?}, open {open}, {role:?}");
    let expected = |rights: &[&str]| all(role, open, rights, room);
    let past = json!([room]);

    let (said, page) = visitor.history(room).await;
    assert_eq!(said, expected(&["history"]), "{}", at("history over HTTP"));
    assert!(said.is_some() != page.to_string().contains("past"), "{}: {page}", at("history"));
    if matches!(role, Role::Backend) {
        // A key is for requests: streams of any room among them, but not sockets.
        let (said, _) = visitor_stream_of_backend(server, room).await;
        assert_eq!(said, None, "{}", at("a backend's stream"));
        return;
    }
    let (said, first) = visitor.stream(room, None).await;
    assert_eq!(said, expected(&["join"]), "{}", at("a stream"));
    assert!(said.is_some() || first.as_deref() == Some("ready"), "{}", at("a stream"));
    let (said, first) = visitor.stream(room, Some(before)).await;
    assert_eq!(said, expected(&["join"]), "{}", at("a stream that goes on"));
    let goes_on = expected(&["history"]).is_none();
    let word = if goes_on { "ready" } else { "reset" };
    assert!(said.is_some() || first.as_deref() == Some(word), "{}: {first:?}", at("the past"));

    let (said, _) = visitor.by_query(room, None).await;
    assert_eq!(said, expected(&["join"]), "{}", at("the query"));
    let (said, came) = visitor.by_query(room, Some(before)).await;
    assert_eq!(said, expected(&["join", "history"]), "{}", at("the query with a position"));
    assert_eq!(came.iter().any(|it| it[0] == past[0]), said.is_none(), "{}: {came:?}", at("query"));

    let client = visitor.client().await;
    let named = json!({ "roomId": room });
    for (event, argument, rights) in [
        ("history", named.clone(), &["history"][..]),
        ("message:history", named.clone(), &["history"]),
        ("room:members", named.clone(), &["presence"]),
        ("typing", json!({ "roomId": room, "isTyping": true }), &["publish"]),
        ("message", json!({ "roomId": room, "content": "x" }), &["publish"]),
        ("room:join", json!({ "roomId": room, "last": 5 }), &["join", "history"]),
        ("room:join", json!({ "roomId": room, "after": before }), &["join", "history"]),
        ("room:join", named.clone(), &["join"]),
    ] {
        let said = visitor.by_event(&client, event, argument).await;
        assert_eq!(said, expected(rights), "{}", at(event));
    }
    if let Some(document) = room.strip_prefix("docs.") {
        let named = json!({ "documentId": document });
        let said = visitor.by_event(&client, "subscribe:document", named.clone()).await;
        assert_eq!(said, expected(&["join"]), "{}", at("a document"));
        let said = visitor.by_event(&client, "subscribe:presence", named.clone()).await;
        let shown = all(role, open, &["presence"], &format!("presence.{document}"));
        assert_eq!(said, shown, "{}", at("presence in a document"));
        let said = visitor.by_event(&client, "document:edit", named).await;
        assert_eq!(said, expected(&["publish"]), "{}", at("an edit"));
    }
}

/// The key goes in the header, not in the query.
async fn visitor_stream_of_backend(server: &Running, room: &str) -> (Verdict, Option<String>) {
    let head = format!(
        "GET /v1/sse?rooms={} HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n",
        encoded(room),
        server.key()
    );
    let mut stream =
        tokio::net::TcpStream::connect(server.url().trim_start_matches("http://")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await.unwrap();
    let status = String::from_utf8_lossy(&answer[9..]).into_owned();
    ((status != "200").then_some(status), None)
}

fn server(open: bool) -> Running {
    let data = tempfile::tempdir().unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).envs([
        ("FANFARE_AUTH_JWT_SECRET", SECRET),
        ("FANFARE_AUTH_GUESTS", "true"),
        ("FANFARE_AUTH_QUERY_TOKEN", "true"),
        ("FANFARE_ACCESS_PRIVATE", PRIVATE),
        ("FANFARE_ACCESS_OPEN", if open { "true" } else { "false" }),
        ("FANFARE_CHAT_MEMBERS_ONLY", "false"),
    ]);
    Running::spawn(command, &data.keep())
}

#[tokio::test]
async fn every_door_says_what_the_model_says() {
    for open in [true, false] {
        let server = server(open);
        let before = seeded(&server).await;
        let mut runner = TestRunner::deterministic();
        let (mut yes, mut no) = (0, 0);
        for _ in 0..CALLERS {
            let role = role().new_tree(&mut runner).unwrap().current();
            let room = select(ROOMS.as_slice()).new_tree(&mut runner).unwrap().current();
            if room == "user:" {
                continue; // no name of a room that is published to
            }
            at_the_doors(&server, &role, open, room, &before).await;
            if model(&role, open, "join", room).is_some() { no += 1 } else { yes += 1 }
        }
        assert!(yes > CALLERS / 6 && no > CALLERS / 6, "{yes} may join, {no} may not");
    }
}

/// The fourth door: whoever comes back with other rights than it left with gets the rooms, and what was
/// said there meanwhile, only if it still may be in them; else it is told that it is not back.
#[tokio::test]
async fn coming_back_is_joining_again() {
    let server = server(false);
    let mut runner = TestRunner::deterministic();
    let (mut back, mut new) = (0, 0);
    for round in 0..CALLERS {
        let room = select(&ROOMS[..15]).new_tree(&mut runner).unwrap().current();
        let all = BTreeMap::from([("*".to_owned(), RIGHTS.to_vec())]);
        let before = Role::User { id: "alice", grants: all };
        let mut client = Visitor::new(&server, &before).client().await;
        client.emit_with_ack("room:join", [json!({ "roomId": room })]).await.unwrap();
        server.publish(json!({"event": "there", "rooms": [room]})).await;
        while client.next_event().await.unwrap().name != "there" {}
        let resume = client.resume();
        client.abort().await.unwrap();
        server.publish(json!({"event": "meanwhile", "args": [round], "rooms": [room]})).await;

        let after = match role().new_tree(&mut runner).unwrap().current() {
            Role::User { grants, .. } => Role::User { id: "alice", grants },
            _ => Role::Guest,
        };
        let options = Options { resume, ..Visitor::new(&server, &after).options };
        let mut client = Client::connect(server.url(), options).await.unwrap();
        client.emit_with_ack("room:leave", [json!({ "roomId": "no-such" })]).await.unwrap();
        server.publish(json!({"event": "later", "rooms": [room]})).await;
        client.emit_with_ack("room:leave", [json!({ "roomId": "no-such" })]).await.unwrap();
        let events = client.take_events();
        let came: Vec<&str> = events.iter().map(|it| it.name.as_str()).collect();
        let came: Vec<&str> = came.into_iter().filter(|name| *name != "presence:state").collect();
        let may =
            matches!(after, Role::User { .. }) && model(&after, false, "join", room).is_none();
        let expected = if may { vec!["meanwhile", "later"] } else { vec![] };
        assert_eq!((client.recovered(), came), (may, expected), "{room} {after:?}");
        if may { back += 1 } else { new += 1 }
    }
    assert!(back > CALLERS / 8 && new > CALLERS / 8, "{back} came back, {new} did not");
}
