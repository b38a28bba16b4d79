#![cfg(test)]
//! Streams of server-sent events as the running binary gives them.

mod support;

use serde_json::{Value, json};
use support::Running;
use testkit::{Client, Error, EventStream, Options, Request};

fn url(server: &Running, query: &str) -> String {
    format!("{}/v1/sse?{query}", server.url())
}

async fn open(server: &Running, query: &str, id: Option<&str>) -> (EventStream, Value) {
    greeted(EventStream::open(&url(server, query), id).await.unwrap()).await
}

async fn with_key(server: &Running, query: &str) -> Result<EventStream, Error> {
    let key = format!("Bearer {}", server.key());
    EventStream::of(&Request::new("GET", &url(server, query)).header("Authorization", &key)).await
}

async fn greeted(mut stream: EventStream) -> (EventStream, Value) {
    let first = stream.next().await.unwrap();
    (stream, serde_json::from_str(&first.data).unwrap())
}

async fn publish(server: &Running, body: Value) -> Value {
    serde_json::from_slice(&server.publish(body).await.body).unwrap()
}

async fn next(stream: &mut EventStream) -> String {
    let event = stream.next().await.unwrap();
    format!("{}{}", event.name, event.data)
}

#[tokio::test]
async fn a_stream_has_what_is_published_to_its_rooms() {
    let server = Running::start(&["--namespaces", "/,/chat"]);
    let (mut stream, ready) = open(&server, "rooms=a,b", None).await;
    assert_eq!(ready["resumed"], false);
    let (mut chat, _) = open(&server, "rooms=a&namespace=/chat", None).await;
    let (mut user, _) = greeted(with_key(&server, "user=7&rooms=b").await.unwrap()).await;
    let first = publish(&server, json!({ "event": "x", "args": [1, "é"], "rooms": ["a"] })).await;
    publish(&server, json!({ "event": "x", "args": [2], "rooms": ["c"] })).await;
    publish(&server, json!({ "event": "x", "args": [3], "users": ["7"] })).await;
    publish(&server, json!({ "event": "x", "rooms": ["a"], "namespace": "/chat" })).await;
    publish(&server, json!({ "event": "all", "all": true })).await;
    let event = stream.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.data.as_str()), ("x", r#"[1,"é"]"#));
    assert_eq!(json!(event.id), first["position"]);
    assert_eq!(next(&mut stream).await, "all[]");
    assert_eq!(next(&mut chat).await, "x[]");
    assert_eq!([next(&mut user).await, next(&mut user).await], ["x[3]", "all[]"]);
    // What sockets send each other too.
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let joined = client.emit_with_ack("room:join", [json!({ "roomId": "a" })]).await.unwrap();
    assert_eq!(joined.args[0]["ok"], true);
}

#[tokio::test]
async fn a_stream_goes_on_after_the_server_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start_in(data.path(), &[]);
    let (mut stream, ready) = open(&server, "rooms=a", None).await;
    let begin = ready["position"].as_str().unwrap().to_owned();
    publish(&server, json!({ "event": "x", "args": [1], "rooms": ["a"] })).await;
    assert_eq!(next(&mut stream).await, "x[1]");
    let seen = stream.last_event_id().to_owned();
    publish(&server, json!({ "event": "x", "args": [2], "rooms": ["a"] })).await;
    publish(&server, json!({ "event": "x", "args": [3], "rooms": ["b"] })).await;
    drop(server); // kills it
    let server = Running::start_in(data.path(), &[]);
    let (mut stream, ready) = open(&server, "rooms=a", Some(&seen)).await;
    assert_eq!(ready, json!({ "position": seen, "resumed": true }));
    publish(&server, json!({ "event": "x", "args": [4], "rooms": ["a"] })).await;
    assert_eq!([next(&mut stream).await, next(&mut stream).await], ["x[2]", "x[4]"]);
    let (mut all, _) = open(&server, &format!("rooms=b,a&lastEventId={begin}"), None).await;
    for number in 1..=4 {
        assert_eq!(next(&mut all).await, format!("x[{number}]"));
    }
}

/// With the key every room is open, but nothing that is no name of one; the history says the same.
#[tokio::test]
async fn with_the_key_every_room_is_open() {
    let server = Running::start(&[]);
    let long = "r".repeat(256);
    for (name, expected) in [
        ("news", 200),
        ("user:7", 200),
        ("user:", 200),
        ("PWuJ1IT4M4LrwHUgAAAA", 200),
        ("%", 200),
        ("+", 200),
        ("", 400),
        ("two words", 400),
        ("r\u{f6}om", 400),
        ("a#b", 400),
        ("*", 400),
        ("$system", 400),
        ("a\u{0}b", 400),
        (&long, 400),
    ] {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let stream = with_key(&server, &format!("rooms={encoded}")).await;
        assert_eq!(outcome(&stream), expected, "stream of {name:?}");
        let history = format!("{}/v1/rooms/{encoded}/history", server.url());
        let key = format!("Bearer {}", server.key());
        let page = Request::new("GET", &history).header("Authorization", &key).send().await;
        assert_eq!(page.unwrap().status, expected, "history of {name:?}");
    }
}

fn outcome(stream: &Result<EventStream, Error>) -> u16 {
    match stream {
        Ok(stream) => stream.response().status,
        Err(Error::Http { status, .. }) => *status,
        Err(error) => panic!("{error}"),
    }
}
