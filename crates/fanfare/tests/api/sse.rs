//! Streams of server-sent events: what sockets are shown, over plain HTTP; and exactly what a client
//! missed, or a word that it is not.

use crate::support::{PATIENCE, Site, eventually, within};
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use fanfare::eventlog::{self, EventLog, MemoryLog, Position, Retention};
use fanfare::{Io, Settings, StreamError, StreamOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::{Closed, Dial, Error, EventStream, Request, StreamEvent, Transport};

fn memory() -> fanfare::Log {
    fanfare::Log::new(MemoryLog::new(eventlog::Settings::default()).unwrap())
}

/// A server that remembers, with streams at `/sse/<rooms, by comma>`.
fn site() -> Site {
    site_with(|_| ())
}

fn site_with(change: impl FnOnce(&mut Settings)) -> Site {
    Site::routed(
        |settings| {
            settings.log = Some(memory());
            change(settings);
        },
        routes,
    )
}

fn routes(io: &Io) -> axum::Router {
    let io = io.clone();
    let serve = async move |request: HttpRequest<Body>| {
        let (head, _) = request.into_parts();
        let path = head.uri.path().trim_start_matches("/sse").trim_start_matches('/');
        let rooms: Vec<&str> = path.split(',').filter(|room| !room.is_empty()).collect();
        let mut options = StreamOptions::of_request(&head);
        if let Some(after) = head.headers.get("expires-ms") {
            let after = after.to_str().unwrap().parse().unwrap();
            options = options.expires_at(Instant::now() + Duration::from_millis(after));
        }
        answer(&io, rooms, options)
    };
    axum::Router::new().route("/sse/{*rooms}", get(serve.clone())).route("/sse", get(serve))
}

fn answer(io: &Io, rooms: Vec<&str>, options: StreamOptions) -> Response {
    match io.main().stream(rooms, options) {
        Ok(stream) => stream.into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

impl Site {
    /// A stream, and the data of its first event, which is the server's own.
    async fn stream(&self, rooms: &str, last_event_id: Option<&str>) -> (EventStream, Value) {
        let url = format!("{}/sse/{rooms}", self.url);
        let stream = EventStream::open(&url, last_event_id).await.unwrap();
        greeted(stream).await
    }

    /// A stream from now on.
    async fn fresh(&self, rooms: &str) -> EventStream {
        let (stream, ready) = self.stream(rooms, None).await;
        assert_eq!(ready["resumed"], false);
        stream
    }

    /// The stream of one that comes back and gets what it missed.
    async fn resumed(&self, rooms: &str, id: &str) -> EventStream {
        let (stream, ready) = self.stream(rooms, Some(id)).await;
        assert_eq!(ready, json!({ "position": id, "resumed": true }));
        stream
    }

    /// Waits until no stream is left.
    async fn until_no_streams(&self) {
        self.until("no streams", |counts| counts.streams == 0).await;
    }
}

async fn greeted(mut stream: EventStream) -> (EventStream, Value) {
    let first = stream.next().await.unwrap();
    let data: Value = serde_json::from_str(&first.data).unwrap();
    assert_eq!(first.name, if data["reason"].is_null() { "ready" } else { "reset" });
    (stream, data)
}

/// An event in short: its name, and its arguments as they came.
fn short(event: &StreamEvent) -> String {
    format!("{}{}", event.name, event.data)
}

async fn next(stream: &mut EventStream, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(short(&stream.next().await.unwrap()));
    }
    events
}

async fn ended(stream: &mut EventStream) -> Closed {
    match stream.next().await {
        Err(Error::Closed(closed)) => closed,
        Err(Error::Io(error)) => Closed::Transport(error.kind()),
        other => panic!("not closed: {other:?}"),
    }
}

/// What is sent to its rooms and to everyone reaches a stream once, in the order in which sockets
/// get it, with its position.
#[tokio::test]
async fn live() {
    let site = site();
    let mut stream = site.fresh("a,b").await;
    assert!(stream.last_event_id().parse::<Position>().is_ok(), "where it begins");
    let retry = stream.retry().unwrap();
    assert!((Duration::from_secs(2)..=Duration::from_secs(5)).contains(&retry));
    let answer = stream.response();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);

    let mut socket = site.member(Transport::WebSocket, &["a"]).await;
    let published = site.io.to(["a", "b"]).publish("one", ("x", 1)).await.unwrap();
    site.io.to("c").emit("not mine", ()).unwrap();
    site.io.to("a").except("b").emit("excepted", ()).unwrap();
    site.io.to("b").volatile().emit("volatile", ()).unwrap();
    site.io.emit("all", (Bytes::from_static(b"\0\xff"), json!({ "x": [1.5] }))).unwrap();
    site.io.to("a").emit("a\nb", (" lead\r\n\u{feff}",)).unwrap();
    let first = stream.next().await.unwrap();
    assert_eq!(short(&first), r#"one["x",1]"#);
    assert_eq!(first.id, published.position.unwrap().to_string());
    let expected = [
        "volatile[]",
        r#"all[{"base64":"AP8="},{"x":[1.5]}]"#,
        "a\u{fffd}b[\" lead\\r\\n\u{feff}\"]",
    ];
    assert_eq!(next(&mut stream, 3).await, expected);
    let got = crate::support::got(&mut socket).await;
    assert_eq!(got.len(), 4, "one, excepted, all, a b: {got:?}");
    assert_eq!((site.counts().streams, site.counts().streams_opened), (1, 1));
    drop(stream);
    site.until_no_streams().await;
    assert_eq!(site.counts().streams_ended["left"], 1);
    site.end().await;
}

/// A stream is no socket: nobody can count, describe, move or disconnect it, and it owes no acks.
#[tokio::test]
async fn streams_are_no_sockets() {
    let site = site();
    let mut stream = site.fresh("a").await;
    assert_eq!(site.io.to("a").fetch_sockets().await.unwrap().len(), 0);
    site.io.to("a").sockets_join("b").unwrap().await;
    site.io.to("a").sockets_leave("a").unwrap().await;
    site.io.to("a").disconnect_sockets(true).unwrap().await;
    let acks = site.io.to("a").timeout(PATIENCE).emit_with_ack("ask", ()).await.unwrap();
    assert!(acks.unwrap().is_empty(), "nobody was asked");
    site.io.to("b").emit("not mine", ()).unwrap();
    site.io.to("a").emit("still here", ()).unwrap();
    assert_eq!(next(&mut stream, 2).await, ["ask[]", "still here[]"]);
    assert_eq!(site.counts().sockets, 0);
    drop(stream);
    site.end().await;
}

/// Who comes back gets what it missed, of the rooms it asks for and of those only, and then what is
/// live.
#[tokio::test]
async fn all_that_was_missed_and_nothing_else() {
    let site = site();
    let mut stream = site.fresh("a,b").await;
    site.io.to("a").emit("seen", ()).unwrap();
    assert_eq!(next(&mut stream, 1).await, ["seen[]"]);
    let id = stream.last_event_id().to_owned();
    drop(stream);
    site.until_no_streams().await;
    for number in 0..700 {
        site.io.to("a").emit("missed", (number,)).unwrap();
    }
    site.io.to("c").emit("not mine", ()).unwrap();
    site.io.to("a").except("b").emit("excepted", ()).unwrap();
    site.io.to("a").volatile().emit("volatile", ()).unwrap();
    site.io.to(["b", "a"]).emit("missed", (Bytes::from_static(b"b"),)).unwrap();
    site.io.emit("to all", ()).unwrap();
    let mut expected: Vec<String> = (0..700).map(|number| format!("missed[{number}]")).collect();
    expected.extend([r#"missed[{"base64":"Yg=="}]"#.to_owned(), "to all[]".to_owned()]);
    for _ in 0..2 {
        let mut stream = site.resumed("a,b", &id).await;
        assert_eq!(next(&mut stream, 702).await, expected);
        site.io.to("b").volatile().emit("live", ()).unwrap();
        assert_eq!(next(&mut stream, 1).await, ["live[]"]);
    }
    // The same in the query; the header wins.
    let url = format!("{}/sse/c?lastEventId={id}", site.url);
    let (mut stream, ready) = greeted(EventStream::open(&url, None).await.unwrap()).await;
    assert_eq!(ready["resumed"], true);
    assert_eq!(next(&mut stream, 2).await, ["not mine[]", "to all[]"]);
    let head = stream.last_event_id().to_owned();
    let (_, ready) = greeted(EventStream::open(&url, Some(&head)).await.unwrap()).await;
    assert_eq!(ready["position"], head);
    drop(stream);
    site.end().await;
}

/// What cannot be resumed is said, with the position from which on the stream is whole; it goes on
/// from there.
#[tokio::test]
async fn resets() {
    let retention = Retention { max_entries: 10, ..Retention::default() };
    let settings = eventlog::Settings { retention, ..eventlog::Settings::default() };
    let log = Arc::new(MemoryLog::new(settings).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = Site::routed(
        |settings| {
            settings.log = Some(kept.into());
            settings.recovery.max_events = 5;
        },
        routes,
    );
    let stream = site.fresh("a").await;
    let start = stream.last_event_id().to_owned();
    drop(stream);
    for number in 0..50 {
        site.io.to("a").publish("event", (number,)).await.unwrap();
    }
    let (_, too_much) = site.stream("a", Some(&start)).await;
    assert_eq!(too_much["reason"], "too_much");
    log.trim(0, Box::new(|trimmed| assert_eq!(trimmed, Ok(40))));
    let cases = [
        (start.clone(), "trimmed"),
        (format!("AAAAAAAAAAA{}", &start[11..]), "epoch_changed"),
        (format!("{}.zzzz", &start[..11]), "epoch_changed"),
        ("1795187735553-0".to_owned(), "offset_invalid"),
        ("\u{fffd}\n\0".to_owned(), "offset_invalid"),
    ];
    for (id, why) in cases {
        let query: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("{}/sse/a?lastEventId={query}", site.url);
        let (mut stream, reset) = greeted(EventStream::open(&url, None).await.unwrap()).await;
        let head = log.head().to_string();
        assert_eq!(reset, json!({ "reason": why, "head": head }), "{id:?}");
        assert_eq!(stream.last_event_id(), head);
        site.io.to("a").emit("live", ()).unwrap();
        assert_eq!(next(&mut stream, 1).await, ["live[]"]);
    }
    // Nothing was trimmed of a room that was quiet.
    let (stream, ready) = site.stream("quiet", Some(&start)).await;
    assert_eq!(ready["resumed"], true);
    drop(stream);
    site.end().await;
}

/// A server that remembers nothing says so to who asks, and gives no positions.
#[tokio::test]
async fn without_a_log() {
    let site = Site::routed(|_| (), routes);
    let (mut stream, ready) = site.stream("a", None).await;
    assert_eq!(ready, json!({ "position": null, "resumed": false }));
    site.io.to("a").emit("event", ()).unwrap();
    let event = stream.next().await.unwrap();
    assert_eq!((short(&event).as_str(), event.id.as_str()), ("event[]", ""));
    let (_, reset) = site.stream("a", Some("x")).await;
    assert_eq!(reset, json!({ "reason": "offset_invalid", "head": null }));
    let position = "AAAAAAAAAAA.1";
    let (_, reset) = site.stream("a", Some(position)).await;
    assert_eq!(reset, json!({ "reason": "not_recorded", "head": null }));
    drop(stream);
    site.end().await;
}

/// A stream that breaks off again and again while much is sent has each event once and in order.
#[tokio::test]
async fn hand_over_under_load() {
    let site = site();
    let io = site.io.clone();
    let mut stream = site.fresh("a,b").await;
    let publisher = tokio::spawn(async move {
        for number in 0..3_000_u32 {
            let room = if number % 3 == 0 { "b" } else { "a" };
            io.to(room).emit("event", (number,)).unwrap();
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 3_000 {
        seen.push(short(&stream.next().await.unwrap()));
        if seen.len() % 100 == 0 {
            let id = stream.last_event_id().to_owned();
            drop(stream);
            stream = site.resumed("a,b", &id).await;
        }
    }
    within(publisher).await.unwrap();
    let expected: Vec<String> = (0..3_000).map(|number| format!("event[{number}]")).collect();
    assert_eq!(seen, expected);
    drop(stream);
    site.end().await;
}

/// A client that does not read is cut, with its connection, when more waits for it than may; others
/// go on.
#[tokio::test]
async fn a_slow_reader_is_cut() {
    let site = site_with(|settings| settings.outbox.max_bytes = 256 * 1024);
    let dial = Dial { receive_buffer_bytes: Some(4_096), ..Dial::default() };
    let request = Request::new("GET", &format!("{}/sse/a", site.url)).dial(dial);
    let (mut slow, _) = greeted(EventStream::of(&request).await.unwrap()).await;
    let mut other = site.fresh("a").await;
    let text = "x".repeat(16 * 1024);
    let mut sent = 0;
    while site.counts().streams == 2 {
        site.io.to("a").emit("event", (sent, &text)).unwrap();
        sent += 1;
        assert_eq!(
            short(&other.next().await.unwrap()).len(),
            format!("event[{},\"\"]", sent - 1).len() + text.len()
        );
        assert!(sent < 5_000, "it was not cut");
    }
    assert_eq!(site.counts().streams_ended["slow client"], 1);
    let cut = loop {
        match slow.next().await {
            Ok(_) => {}
            Err(error) => break Closed::from(error),
        }
    };
    assert!(matches!(cut, Closed::Transport(_)), "{cut:?}");
    site.io.to("a").emit("last", ()).unwrap();
    assert_eq!(next(&mut other, 1).await, ["last[]"]);
    drop((slow, other));
    site.end().await;
}

/// A stream ends when it expires, in order and with a time to come back.
#[tokio::test]
async fn expiry() {
    let site = site();
    let request = Request::new("GET", &format!("{}/sse/a", site.url)).header("Expires-Ms", "50");
    let (mut stream, _) = greeted(EventStream::of(&request).await.unwrap()).await;
    site.io.to("a").emit("before", ()).unwrap();
    assert_eq!(next(&mut stream, 1).await, ["before[]"]);
    assert_eq!(ended(&mut stream).await, Closed::Eof);
    assert_eq!(site.counts().streams_ended["expired"], 1);
    let request = Request::new("GET", &format!("{}/sse/a", site.url)).header("Expires-Ms", "0");
    let (mut stream, _) = greeted(EventStream::of(&request).await.unwrap()).await;
    assert_eq!(ended(&mut stream).await, Closed::Eof);
    site.end().await;
}

/// A quiet stream gets comments; what is sent in between arrives.
#[tokio::test]
async fn heartbeats() {
    let site = site_with(|settings| settings.streams.heartbeat = Duration::from_millis(20));
    let mut stream = site.fresh("a").await;
    let begun = Instant::now();
    for number in 0..5 {
        stream.next_comment().await.unwrap();
        site.io.to("a").emit("event", (number,)).unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(90), "not more often than that");
    let expected: Vec<String> = (0..5).map(|number| format!("event[{number}]")).collect();
    assert_eq!(next(&mut stream, 5).await, expected);
    drop(stream);
    site.end().await;
}

/// When something is in the log that was not shown, streams end: their clients come back for it.
#[tokio::test]
async fn a_gap_in_what_was_shown() {
    let log = Arc::new(MemoryLog::new(eventlog::Settings::default()).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = Site::routed(|settings| settings.log = Some(kept.into()), routes);
    let mut stream = site.fresh("a").await;
    site.io.to("a").publish("shown", ()).await.unwrap();
    let record = eventlog::Record {
        namespace: "/".into(),
        rooms: [Arc::from("a")].into(),
        except: [].into(),
        name: "not shown".into(),
        payload: Bytes::from_static(b"[1]"),
        time_ms: 0,
        key: None,
    };
    let strongest = log.strongest();
    eventlog::append_wait(&*log, vec![record], strongest).unwrap();
    site.io.to("a").publish("behind it", ()).await.unwrap();
    assert_eq!(next(&mut stream, 1).await, ["shown[]"]);
    assert_eq!(ended(&mut stream).await, Closed::Eof);
    assert_eq!(site.counts().streams_ended["log gap"], 1);
    let id = stream.last_event_id().to_owned();
    let mut stream = site.resumed("a", &id).await;
    assert_eq!(next(&mut stream, 2).await, ["not shown[1]", "behind it[]"]);
    drop(stream);
    site.end().await;
}

/// When the server closes, what was sent is still read, and then the end.
#[tokio::test]
async fn the_end_of_the_server() {
    let site = site();
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(site.fresh("a").await);
    }
    let text = "x".repeat(1_000);
    for number in 0..100 {
        site.io.to("a").emit("event", (number, &text)).unwrap();
    }
    let io = site.io.clone();
    let closing = tokio::spawn(async move { io.close(PATIENCE).await });
    for stream in &mut streams {
        assert_eq!(next(stream, 100).await.len(), 100);
        assert_eq!(ended(stream).await, Closed::Eof);
    }
    within(closing).await.unwrap();
    assert_eq!(site.counts().streams_ended["server shutting down"], 10);
    let refused = site.io.main().stream("a", StreamOptions::new());
    assert_eq!(refused.err(), Some(StreamError::Closing));
    site.end().await;
}

/// Streams are bounded: in their rooms, and together with sessions.
#[tokio::test]
async fn limits() {
    let site = site_with(|settings| {
        settings.max_rooms = 2;
        settings.max_sessions = 2;
    });
    let main = site.io.main();
    let refused = main.stream(["a", "b", "c"], StreamOptions::new()).err();
    assert_eq!(refused, Some(StreamError::TooManyRooms { limit: 2 }));
    assert!(matches!(main.stream("", StreamOptions::new()), Err(StreamError::Room(_))));
    let one = site.fresh("a,b").await;
    let two = main.stream("a", StreamOptions::new()).unwrap();
    assert_eq!(main.stream("a", StreamOptions::new()).err(), Some(StreamError::Full));
    let url = format!("{}/sse/a", site.url);
    let full = EventStream::open(&url, None).await;
    assert!(matches!(full, Err(Error::Http { status: 503, .. })), "{full:?}");
    drop((one, two));
    site.until_no_streams().await;
    eventually("a place is free", || main.stream("a", StreamOptions::new()).is_ok()).await;
    site.end().await;
}

/// A client that goes away before its stream is there, or in the middle, leaves nothing behind.
#[tokio::test]
async fn nothing_is_left() {
    let site = site();
    let namespace = site.io.of_matching(regex::Regex::new("/room-[0-9]+").unwrap());
    for _ in 0..200 {
        drop(site.io.main().stream("a", StreamOptions::new()).unwrap());
    }
    site.until_no_streams().await;
    // A stream keeps a namespace that a client made, as its sockets do.
    let mut engine = site.engine(Transport::WebSocket).await;
    engine.send_raw("40/room-1,").await.unwrap();
    crate::support::packet(&mut engine).await;
    let room = namespace.children().pop().unwrap();
    let stream = room.stream("a", StreamOptions::new()).unwrap();
    engine.abort().unwrap();
    site.until("the socket is gone", |counts| counts.sockets == 0 && counts.streams == 1).await;
    assert_eq!(namespace.children().len(), 1);
    drop(stream);
    eventually("the namespace is gone", || namespace.children().is_empty()).await;
    let gone = room.stream("a", StreamOptions::new());
    assert_eq!(gone.err(), Some(StreamError::NoNamespace));
    site.end().await;
}

/// Pages of other origins may read a stream if they may poll.
#[tokio::test]
async fn other_origins() {
    use fanfare::engineio::{Cors, cors::Origins};
    let allowed = Origins::List(vec!["https://app.example".to_owned()]);
    let site = site_with(|settings| {
        let cors = Cors { origins: allowed, credentials: true, ..Cors::default() };
        settings.engine.cors = Some(cors);
    });
    for (origin, expected) in
        [("https://app.example", Some("https://app.example")), ("https://evil.example", None)]
    {
        let request = Request::new("GET", &format!("{}/sse/a", site.url)).header("Origin", origin);
        let stream = EventStream::of(&request).await.unwrap();
        let answer = stream.response();
        assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    site.end().await;
}
