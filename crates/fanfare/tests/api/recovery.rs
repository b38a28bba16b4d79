//! Clients that come back: the same socket, its rooms and data, and exactly what they missed.

use crate::support::{Log, Site, TRANSPORTS, packet, short, sockets, within};
use fanfare::eventlog::{self, EventLog, MemoryLog, Retention};
use fanfare::{Refused, Settings, Socket};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::{Client, Event, Options, Resume, Transport};

fn memory() -> fanfare::Log {
    memory_with(eventlog::Settings::default())
}

fn memory_with(settings: eventlog::Settings) -> fanfare::Log {
    fanfare::Log::new(MemoryLog::new(settings).unwrap())
}

/// A server that remembers.
fn site() -> Site {
    site_with(|_| ())
}

fn site_with(change: impl FnOnce(&mut Settings)) -> Site {
    Site::with(|settings| {
        settings.log = Some(memory());
        change(settings);
    })
}

/// An event in short, without the offset, which it must have.
fn plain(event: &Event) -> String {
    let mut event = event.clone();
    let offset = event.args.pop().expect("an offset");
    offset.as_str().unwrap().parse::<eventlog::Position>().expect("a position");
    short(&event)
}

/// What was sent before now, without the offsets.
async fn got(client: &mut Client) -> Vec<String> {
    client.emit_with_ack("sync", []).await.unwrap();
    client.take_events().iter().map(plain).collect()
}

async fn back(site: &Site, resume: Option<Resume>) -> Client {
    within(site.client_with(Options { resume, ..Options::default() })).await
}

/// Whatever carries the packets, who comes back has its id, rooms and data, and gets what it
/// missed once, in order, behind the answer to its CONNECT; then what is sent to its rooms.
#[tokio::test]
async fn all_that_was_missed_and_nothing_else() {
    for transport in TRANSPORTS {
        let site = site();
        let mut connected = sockets(&site.io.main());
        let mut client = site.member(transport, &["a", "b"]).await;
        let socket = connected.recv().await.unwrap();
        assert!(!socket.recovered());
        socket.set_data(json!({ "name": "Ada" }));
        site.io.to("a").emit("seen", (1,)).unwrap();
        assert_eq!(got(&mut client).await, ["seen(1)"]);
        let (id, resume) = (client.id().to_owned(), client.resume());
        drop(client); // noticed at once, or, of one that polls, not before it comes back
        for number in 0..700 {
            site.io.to("a").emit("missed", (number,)).unwrap();
        }
        site.io.to("c").emit("not mine", ()).unwrap();
        site.io.to("a").except("b").emit("excepted", ()).unwrap();
        site.io.to("a").volatile().emit("volatile", ()).unwrap();
        site.io.to(["b", "a"]).emit("missed", (700,)).unwrap();
        site.io.emit("to all", ()).unwrap();
        site.io.to(&id).emit("to me", ()).unwrap();

        let mut client = back(&site, resume).await;
        assert!(client.recovered());
        assert_eq!(client.id(), id);
        let expected = (0..=700).map(|number| format!("missed({number})"));
        let expected: Vec<String> =
            expected.chain(["to all()".to_owned(), "to me()".to_owned()]).collect();
        assert_eq!(got(&mut client).await, expected, "{transport:?}");
        let socket = connected.recv().await.unwrap();
        assert!(socket.recovered());
        assert_eq!(socket.data(), json!({ "name": "Ada" }));
        assert_eq!(socket.rooms().await.len(), 3);
        site.io.to("b").emit("live", ()).unwrap();
        assert_eq!(got(&mut client).await, ["live()"]);
        site.end().await;
    }
}

/// The missed events stand behind the answer to CONNECT. A stock client keeps what came before the
/// answer, and shows it after the next one, though the connection was lost in between: what is sent
/// again then would come twice.
#[tokio::test]
async fn missed_events_come_behind_the_answer() {
    let site = site();
    let mut client = site.member(Transport::WebSocket, &["a"]).await;
    site.io.to("a").emit("seen", ()).unwrap();
    got(&mut client).await;
    let Resume { pid, offset } = client.resume().unwrap();
    drop(client);
    site.io.to("a").emit("missed", (1,)).unwrap();
    let mut engine = site.engine(Transport::WebSocket).await;
    let auth = json!({ "pid": pid, "offset": offset });
    engine.send_raw(&format!("40{auth}")).await.unwrap();
    let answer = packet(&mut engine).await;
    assert!(answer.starts_with(r#"40{"sid":""#) && answer.contains(&pid), "{answer}");
    let missed = packet(&mut engine).await;
    assert!(missed.starts_with(r#"42["missed",1,""#), "{missed}");
    site.end().await;
}

/// A client that has received no event yet is served from where it connected, also one that came
/// back once already.
#[tokio::test]
async fn no_event_received_yet() {
    let site = site();
    site.io.emit("before", ()).unwrap();
    let client = site.client().await;
    let resume = client.resume();
    assert_eq!(resume.as_ref().unwrap().offset, None);
    drop(client);
    for round in 0..3 {
        site.io.emit("missed", (round,)).unwrap();
        let mut client = back(&site, resume.clone()).await;
        assert!(client.recovered());
        let expected: Vec<String> = (0..=round).map(|round| format!("missed({round})")).collect();
        assert_eq!(got(&mut client).await, expected);
    }
    site.end().await;
}

/// The client is back before the server noticed that it was gone: its old connection is closed
/// first, and of two that come at once one holds the socket in the end.
#[tokio::test]
async fn reconnect_before_the_server_noticed() {
    let site = site();
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on_disconnect(move |_: Socket, end| {
        noting.note(end.reason.as_str());
        async {}
    });
    let old = site.member(Transport::WebSocket, &["a"]).await;
    site.io.to("a").emit("one", ()).unwrap();
    let mut new = back(&site, old.resume()).await;
    assert!(new.recovered());
    assert_eq!(new.id(), old.id());
    assert_eq!(log.wait(1).await, ["taken over"]);
    within(old.closed()).await.unwrap();
    assert_eq!(got(&mut new).await, ["one()"]);
    site.io.to("a").emit("two", ()).unwrap();
    assert_eq!(got(&mut new).await, ["two()"]);

    let resume = new.resume();
    let rivals = (0..8).map(|_| {
        let options = Options { resume: resume.clone(), ..Options::default() };
        Client::connect(&site.url, options)
    });
    // Each gets the socket, and perhaps loses it at once to a later one; or gets a new one.
    let rivals = within(futures_util::future::join_all(rivals)).await;
    let rivals: Vec<Client> = rivals.into_iter().filter_map(Result::ok).collect();
    site.until("one has the socket", |counts| {
        let others = rivals.iter().filter(|client| !client.recovered()).count();
        counts.sockets == 1 + others as u64
    })
    .await;
    let mut last = back(&site, resume).await;
    assert!(last.recovered() && last.id() == new.id());
    assert_eq!(got(&mut last).await, Vec::<String>::new());
    drop((old, new, rivals, last));
    site.end().await;
}

/// What does not lead back: each gets a new socket, is told so by its id, and consumes nothing.
#[tokio::test]
async fn attempts_that_fail() {
    let site = site();
    site.io.of("/other").unwrap();
    let mut client = site.member(Transport::WebSocket, &["a"]).await;
    site.io.to("a").emit("seen", ()).unwrap();
    got(&mut client).await;
    let resume = client.resume().unwrap();
    let id = client.id().to_owned();
    drop(client);
    site.io.to("a").emit("missed", ()).unwrap();
    let (pid, offset) = (resume.pid.clone(), resume.offset.clone().unwrap());
    let other_epoch = format!("AAAAAAAAAAA{}", &offset[11..]);
    let ahead = format!("{}.zzzz", &offset[..11]);
    let cases = [
        (json!({ "pid": "nobody", "offset": offset }), "recovery_pid_unknown"),
        (json!({ "pid": "__proto__", "offset": offset }), "recovery_pid_unknown"),
        (json!({ "pid": "", "offset": offset }), "recovery_pid_unknown"),
        (json!({ "pid": pid, "offset": "" }), "recovery_offset_invalid"),
        (json!({ "pid": pid, "offset": "1795187735553-0" }), "recovery_offset_invalid"),
        (json!({ "pid": pid, "offset": other_epoch }), "recovery_epoch_changed"),
        (json!({ "pid": pid, "offset": ahead }), "recovery_epoch_changed"),
    ];
    for (auth, why) in cases {
        let before = site.counts().not_recovered.get(why).copied().unwrap_or(0);
        let mut engine = site.engine(Transport::WebSocket).await;
        engine.send_raw(&format!("40{auth}")).await.unwrap();
        let answer = packet(&mut engine).await;
        assert!(answer.starts_with("40{") && !answer.contains(&pid), "{auth}: {answer}");
        assert_eq!(site.counts().not_recovered.get(why), Some(&(before + 1)), "{auth}");
    }
    // Not even asked for: no string.
    for auth in [json!({ "pid": 7, "offset": offset }), json!({ "offset": offset })] {
        let mut engine = site.engine(Transport::WebSocket).await;
        engine.send_raw(&format!("40{auth}")).await.unwrap();
        assert!(!packet(&mut engine).await.contains(&pid));
    }
    // A pid is of one namespace.
    let mut engine = site.engine(Transport::WebSocket).await;
    engine.send_raw(&format!("40/other,{}", json!({ "pid": pid }))).await.unwrap();
    assert!(!packet(&mut engine).await.contains(&pid));
    assert_eq!(site.counts().not_recovered["recovery_other_namespace"], 1);

    let mut client = back(&site, Some(resume)).await;
    assert!(client.recovered() && client.id() == id);
    assert_eq!(got(&mut client).await, ["missed()"]);
    site.end().await;
}

/// A room that was quiet stays recoverable, however much is trimmed elsewhere; one of which
/// something was trimmed does not, and then nothing at all is sent again.
#[tokio::test]
async fn trimmed() {
    let retention = Retention { max_entries: 10, ..Retention::default() };
    let settings = eventlog::Settings { retention, ..eventlog::Settings::default() };
    let log = Arc::new(MemoryLog::new(settings).unwrap());
    let kept: Arc<dyn EventLog> = log.clone();
    let site = Site::with(|settings| settings.log = Some(kept.into()));
    let quiet = site.member(Transport::WebSocket, &["quiet"]).await;
    let busy = site.member(Transport::WebSocket, &["busy"]).await;
    let later = site.member(Transport::WebSocket, &[]).await;
    let (quiet, busy) = (quiet.resume(), busy.resume());
    for number in 0..50 {
        site.io.to("busy").emit("event", (number,)).unwrap();
    }
    later.emit_with_ack("join", [json!(["busy"])]).await.unwrap();
    let later = later.resume();
    log.trim(0, Box::new(|trimmed| assert_eq!(trimmed, Ok(40))));
    let client = back(&site, quiet).await;
    assert!(client.recovered(), "nothing was missed");
    let mut client = back(&site, later).await;
    assert!(client.recovered(), "it joined behind what was trimmed");
    assert_eq!(got(&mut client).await, Vec::<String>::new());
    let mut client = back(&site, busy).await;
    assert!(!client.recovered());
    assert_eq!(got(&mut client).await, Vec::<String>::new());
    assert_eq!(site.counts().not_recovered["recovery_trimmed"], 1);
    site.end().await;
}

/// More than the caps allow is not sent in part.
#[tokio::test]
async fn too_much() {
    let site = site_with(|settings| settings.recovery.max_events = 10);
    let (a, b) = (site.client().await, site.client().await);
    let (a, b) = (a.resume(), b.resume());
    (0..10).for_each(|number| site.io.emit("event", (number,)).unwrap());
    let mut client = back(&site, a).await;
    assert!(client.recovered());
    assert_eq!(got(&mut client).await.len(), 10);
    site.io.emit("event", (10,)).unwrap();
    drop(client);
    let mut client = back(&site, b).await;
    assert!(!client.recovered());
    assert_eq!(got(&mut client).await, Vec::<String>::new());
    site.end().await;
}

/// What was missed may be more than an outbox takes: else a client that was cut because it was slow
/// would be cut again each time it comes back.
#[tokio::test]
async fn more_than_an_outbox_takes() {
    let site = site_with(|settings| {
        settings.outbox = fanfare::OutboxLimits { max_events: 10, max_bytes: 64 << 10 };
    });
    let client = site.client().await;
    let resume = client.resume();
    drop(client);
    let text = "x".repeat(2_000);
    (0..6_000).for_each(|number| site.io.emit("event", (number, &text)).unwrap());
    let mut client = back(&site, resume).await;
    assert!(client.recovered());
    let events = got(&mut client).await;
    assert_eq!(events.len(), 6_000);
    drop(client);
    site.end().await;
}

/// Events of a room from before it was joined, or of one that was left, are not sent again; nor
/// is a socket given back that its client, or the server, ended on purpose.
#[tokio::test]
async fn joined_later_left_and_ended() {
    let site = site();
    let mut connected = sockets(&site.io.main());
    let client = site.member(Transport::WebSocket, &["left"]).await;
    let socket = connected.recv().await.unwrap();
    let resume = client.resume();
    site.io.to("later").emit("before it joined", ()).unwrap();
    site.io.to("left").emit("before it left", ()).unwrap();
    within(socket.join("later").unwrap()).await.unwrap();
    socket.leave("left").unwrap();
    site.io.to("later").emit("after it joined", ()).unwrap();
    client.emit_with_ack("sync", []).await.unwrap();
    drop(client);
    let mut client = back(&site, resume).await;
    assert!(client.recovered());
    assert_eq!(got(&mut client).await, ["after it joined()"]);

    for ends in ["client", "server"] {
        let client = site.client().await;
        let socket = connected.recv().await.unwrap();
        let socket = if socket.recovered() { connected.recv().await.unwrap() } else { socket };
        let resume = client.resume();
        match ends {
            "client" => client.disconnect().await.unwrap(),
            _ => socket.disconnect(false),
        }
        site.until("it is gone", |counts| counts.sockets == 1).await;
        assert!(!back(&site, resume).await.recovered(), "ended by the {ends}");
        site.until("it is gone too", |counts| counts.sockets == 1).await;
        connected.recv().await.unwrap();
    }
    site.end().await;
}

/// Only the same subject gets its socket back, only if it may still come in, and only if it may
/// still be in its rooms.
#[tokio::test]
async fn subjects_and_rooms_are_authorised_again() {
    let site = site();
    let (open, may_enter) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (rooms_open, doors) = (open.clone(), may_enter.clone());
    site.io.main().middleware(move |socket: Socket| {
        let entered = doors.load(Ordering::Relaxed);
        async move {
            let auth: serde_json::Value = socket.auth().unwrap_or_default();
            socket.set_subject(auth["user"].as_str().unwrap_or("nobody"));
            if entered { Ok(()) } else { Err(Refused::new("not today")) }
        }
    });
    site.io.main().recovery_guard(move |_, rooms| {
        let open = rooms_open.load(Ordering::Relaxed);
        assert_eq!(rooms.len(), 1);
        async move { if open { Ok(()) } else { Err(Refused::new("closed")) } }
    });
    let as_user = |user: &str, resume: Option<Resume>| Options {
        resume,
        ..Options::default().auth(json!({ "user": user }))
    };
    let client = site.client_with(as_user("ada", None)).await;
    client.emit_with_ack("join", [json!(["a"])]).await.unwrap();
    let (id, resume) = (client.id().to_owned(), client.resume());
    let other = site.client_with(as_user("bob", resume.clone())).await;
    assert!(!other.recovered());
    client.emit_with_ack("sync", []).await.expect("the first is still there");
    drop(client);
    site.io.to("a").emit("missed", ()).unwrap();

    open.store(false, Ordering::Relaxed);
    let mut refused = site.client_with(as_user("ada", resume.clone())).await;
    assert!(!refused.recovered() && refused.id() != id);
    assert_eq!(got(&mut refused).await, Vec::<String>::new());
    open.store(true, Ordering::Relaxed);
    may_enter.store(false, Ordering::Relaxed);
    let error = Client::connect(&site.url, as_user("ada", resume.clone())).await.unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    may_enter.store(true, Ordering::Relaxed);
    let mut client = site.client_with(as_user("ada", resume)).await;
    assert!(client.recovered() && client.id() == id);
    assert_eq!(got(&mut client).await, ["missed()"]);
    let counts = site.counts();
    assert_eq!(counts.not_recovered["recovery_other_subject"], 1);
    assert_eq!(counts.not_recovered["recovery_room_refused"], 1);
    site.end().await;
}

/// Who takes a position and who does not: volatile events have one too, events that ask for an ack
/// have none, nor have namespaces without recovery.
#[tokio::test]
async fn offsets() {
    let site = site();
    site.io.of("/plain").unwrap().without_recovery();
    let mut engine = site.engine(Transport::WebSocket).await;
    engine.send_raw("40").await.unwrap();
    let answer = packet(&mut engine).await;
    assert!(answer.contains(r#""pid":""#), "{answer}");
    site.io.emit("recorded", ("text",)).unwrap();
    let recorded = packet(&mut engine).await;
    site.io.broadcast().volatile().emit("volatile", ("text",)).unwrap();
    let volatile = packet(&mut engine).await;
    let offset = |text: &str| text.rsplit(',').next().map(str::to_owned);
    assert!(recorded.starts_with(r#"42["recorded","text",""#), "{recorded}");
    assert!(volatile.starts_with(r#"42["volatile","text",""#), "{volatile}");
    assert_eq!(offset(&recorded), offset(&volatile), "the position it has reached");
    let asked = site.io.broadcast().timeout(Duration::from_millis(50)).emit_with_ack("ask", ());
    let (asked, text) = tokio::join!(asked, packet(&mut engine));
    assert!(asked.unwrap().is_err());
    assert!(text.ends_with(r#"["ask"]"#), "{text}");
    engine.send_raw("40/plain,").await.unwrap();
    let answer = packet(&mut engine).await;
    assert!(!answer.contains("pid"), "{answer}");
    site.io.of("/plain").unwrap().emit("event", ("text",)).unwrap();
    assert_eq!(packet(&mut engine).await, r#"42/plain,["event","text"]"#);
    drop(engine);
    site.end().await;
}

/// What a listener does in a row arrives in that order, though only a part of it is recorded.
#[tokio::test]
async fn recorded_and_unrecorded_keep_their_order() {
    let site = site();
    site.io.main().on("all", |socket: Socket, (count,): (usize,), ack: fanfare::Ack| async move {
        for number in 0..count {
            socket.emit("direct", (number,)).unwrap();
            socket.emit_volatile("volatile", (number,)).unwrap();
            socket.io().to(socket.id()).emit("room", (number,)).unwrap();
        }
        ack.send(());
    });
    let mut client = site.client().await;
    client.emit_with_ack("all", [json!(100)]).await.unwrap();
    let events: Vec<String> = client.take_events().iter().map(plain).collect();
    let expected = (0..100)
        .flat_map(|number| ["direct", "volatile", "room"].map(|name| format!("{name}({number})")));
    assert_eq!(events, expected.collect::<Vec<_>>());
    site.end().await;
}

/// The application hears of a socket whose client did not come back in time, once.
#[tokio::test]
async fn expired() {
    let site = site_with(|settings| settings.recovery.window = Duration::ZERO);
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on_expired(move |expired| {
        let rooms: Vec<&str> = expired.rooms.iter().map(fanfare::Room::as_str).collect();
        noting.note(format!("{} {} {rooms:?} {}", expired.id, expired.namespace, expired.data));
    });
    let mut connected = sockets(&site.io.main());
    let client = site.member(Transport::WebSocket, &["a"]).await;
    connected.recv().await.unwrap().set_data(json!({ "x": 1 }));
    client.emit_with_ack("sync", []).await.unwrap();
    let (id, resume) = (client.id().to_owned(), client.resume());
    let staying = site.client().await;
    drop(client);
    assert_eq!(log.wait(1).await, [format!(r#"{id} / ["a"] {{"x":1}}"#)]);
    assert!(!back(&site, resume).await.recovered());
    staying.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(site.counts().sessions_expired, 1);
    site.end().await;
}

/// A client that comes back while much is sent gets each event once, and in order: what was missed
/// and what is live meet without a seam.
#[tokio::test]
async fn hand_over_under_load() {
    let site = site();
    let mut client = site.member(Transport::WebSocket, &["a"]).await;
    let io = site.io.clone();
    let publisher = tokio::spawn(async move {
        for number in 0..3_000_u32 {
            io.to("a").emit("event", (number,)).unwrap();
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 3_000 {
        let event = within(client.next_event()).await.unwrap();
        seen.push(plain(&event));
        if seen.len() % 100 == 0 {
            within(client.reconnect()).await.unwrap();
            assert!(client.recovered());
        }
    }
    within(publisher).await.unwrap();
    let expected: Vec<String> = (0..3_000).map(|number| format!("event({number})")).collect();
    assert_eq!(seen, expected);
    drop(client);
    site.end().await;
}

/// Two namespaces on one connection are brought back each by its own pid.
#[tokio::test]
async fn namespaces_have_sessions_of_their_own() {
    let site = site();
    site.io.of("/b").unwrap();
    let mut engine = site.engine(Transport::WebSocket).await;
    let mut pids = Vec::new();
    for namespace in ["", "/b,"] {
        engine.send_raw(&format!("40{namespace}")).await.unwrap();
        let answer = packet(&mut engine).await;
        let json: serde_json::Value =
            serde_json::from_str(&answer[answer.find('{').unwrap()..]).unwrap();
        pids.push(json["pid"].as_str().unwrap().to_owned());
    }
    engine.abort().unwrap();
    site.io.emit("a", ()).unwrap();
    site.io.of("/b").unwrap().emit("b", ()).unwrap();
    let mut engine = site.engine(Transport::WebSocket).await;
    for (namespace, pid, event) in [("", &pids[0], "a"), ("/b,", &pids[1], "b")] {
        engine.send_raw(&format!("40{namespace}{}", json!({ "pid": pid }))).await.unwrap();
        assert!(packet(&mut engine).await.contains(pid.as_str()));
        let missed = packet(&mut engine).await;
        assert!(missed.starts_with(&format!(r#"42{namespace}["{event}",""#)), "{missed}");
    }
    drop(engine);
    site.end().await;
}

/// Publishing tells the position, and with a key only once.
#[tokio::test]
async fn publishing_tells_the_position() {
    let site = site();
    let mut client = site.member(Transport::WebSocket, &["a"]).await;
    let first = site.io.to("a").publish("event", (1,)).await.unwrap();
    let keyed = |value: u32| site.io.to("a").idempotency_key("k").publish("event", (value,));
    let (second, again) = (keyed(2).await.unwrap(), keyed(3).await.unwrap());
    assert_eq!(first.position.unwrap().sequence + 1, second.position.unwrap().sequence);
    assert_eq!((again.position, again.repeated), (second.position, true));
    let volatile = site.io.to("a").volatile().publish("event", (4,)).await.unwrap();
    assert_eq!(volatile.position, None);
    let refused = site.io.to("a").volatile().idempotency_key("k").publish("event", (5,)).await;
    assert!(matches!(refused, Err(fanfare::EmitError::NotRecorded)));
    assert_eq!(got(&mut client).await, ["event(1)", "event(2)", "event(4)"]);
    drop(client);
    site.end().await;
}
