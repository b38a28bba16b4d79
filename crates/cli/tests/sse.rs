#![cfg(test)]
//! Streams of server-sent events as the running binary gives them; and that by whatever door somebody
//! comes, the same rooms are open.

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

/// Whoever may not join a room as a socket may not read it as a stream or in its history, nor enter
/// it by the query it connects with; and the other way round.
#[tokio::test]
async fn every_door_to_a_room_is_open_to_the_same() {
    let server = Running::start(&[]);
    let long = "r".repeat(256);
    let names = [
        "news",
        "chat:42",
        "users:1",
        "a.b",
        "user",
        "User:7",
        "nineteen-characters",
        "%",
        "+",
        "",
        "two words",
        "r\u{f6}om",
        "a#b",
        "*",
        "$system",
        "user:7",
        "user:",
        &long,
        "a\u{0}b",
        "PWuJ1IT4M4LrwHUgAAAA",
        "twenty.characters.ok",
    ];
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    for name in names {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let joined = client.emit_with_ack("room:join", [json!({ "roomId": name })]).await.unwrap();
        let code = joined.args[0]["error"]["code"].clone();
        let asked = client.emit_with_ack("history", [json!({ "roomId": name })]).await.unwrap();
        assert_eq!(asked.args[0]["error"]["code"], code, "history event {name:?}");

        let status = match code.as_str() {
            None => 200,
            Some("INVALID_ROOM") => 400,
            Some(_) => 403,
        };
        let stream = EventStream::open(&url(&server, &format!("rooms={encoded}")), None).await;
        assert_eq!(outcome(&stream), status, "stream of {name:?}");
        let history = format!("{}/v1/rooms/{encoded}/history", server.url());
        let page = testkit::http_get(&history).await.unwrap();
        assert_eq!(page.status, status, "history of {name:?}");
        if !name.is_empty() {
            let socket = Options::default().query("rooms", name);
            let entered = Client::connect(server.url(), socket).await;
            assert_eq!(entered.is_ok(), status == 200, "query {name:?}: {:?}", entered.err());
        }

        // With the key every name of a room is open.
        let status = if status == 403 { 200 } else { status };
        let stream = with_key(&server, &format!("rooms={encoded}")).await;
        assert_eq!(outcome(&stream), status, "stream of {name:?} with the key");
        let key = format!("Bearer {}", server.key());
        let page = Request::new("GET", &history).header("Authorization", &key).send().await;
        assert_eq!(page.unwrap().status, status, "history of {name:?} with the key");
    }
}

fn outcome(stream: &Result<EventStream, Error>) -> u16 {
    match stream {
        Ok(stream) => stream.response().status,
        Err(Error::Http { status, .. }) => *status,
        Err(error) => panic!("{error}"),
    }
}
