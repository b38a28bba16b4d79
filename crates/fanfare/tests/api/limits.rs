//! What one client may have, and what happens to the one that wants more.

use crate::support::{Log, PATIENCE, Site, TRANSPORTS, got, packet, sockets, within};
use fanfare::{Args, EmitError, JoinError, Socket};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::{Client, Dial, EngineConnection, Error, Options, Transport};
use tokio::sync::Semaphore;

/// A socket may be in so many rooms; what does not fit is an error, and a place that is left is
/// free again. The socket's own room does not count.
#[tokio::test]
async fn rooms() {
    let site = Site::with(|settings| settings.max_rooms = 3);
    let mut connected = sockets(&site.io.main());
    let client = site.client().await;
    let socket = connected.recv().await.unwrap();
    let too_many = Err(JoinError::TooManyRooms { limit: 3 });
    let cases: [(&[&str], bool, usize); 5] = [
        (&["a", "b"], true, 2),
        (&["b"], true, 2),
        (&["c"], true, 3),
        (&["d"], false, 3),
        (&["a", "e"], false, 3),
    ];
    for (rooms, fits, count) in cases {
        let joined = socket.join(rooms).unwrap().await;
        assert_eq!(joined, if fits { Ok(()) } else { too_many }, "{rooms:?}");
        assert_eq!(socket.rooms().await.len(), 1 + count, "{rooms:?}");
    }
    socket.leave("a").unwrap();
    assert_eq!(socket.join("d").unwrap().await, Ok(()));
    assert_eq!(socket.join("e").unwrap().await, too_many);
    drop(client);
    site.end().await;
}

/// In a middleware too.
#[tokio::test]
async fn rooms_before_connecting() {
    let site = Site::with(|settings| settings.max_rooms = 2);
    let outcomes = Log::default();
    let noting = outcomes.clone();
    site.io.main().middleware(move |socket: Socket| {
        let log = noting.clone();
        async move {
            // Who asks twice for a room has one place, as later on.
            for rooms in [vec!["a", "a"], vec!["a", "b"], vec!["b"], vec!["c"]] {
                log.note(format!("{:?}", socket.join(rooms).unwrap().await.is_ok()));
            }
            Ok(())
        }
    });
    let client = site.client().await;
    assert_eq!(outcomes.take(), ["true", "true", "true", "false"]);
    let there = site.io.to("b").fetch_sockets().await.unwrap();
    assert_eq!(there[0].rooms().len(), 3);
    drop(client);
    site.end().await;
}

/// So many sessions may be open; one more is answered 503 until one is gone.
#[tokio::test]
async fn sessions() {
    let site = Site::with(|settings| settings.max_sessions = 2);
    let (one, two) = (site.client().await, site.client_over(Transport::Polling).await);
    for transport in [Transport::WebSocket, Transport::Polling] {
        let refused = Client::connect(&site.url, Options::over(transport)).await;
        assert!(matches!(refused, Err(Error::Http { status: 503, .. })), "{refused:?}");
    }
    for client in [one, two] {
        let before = site.counts().sessions;
        client.disconnect().await.unwrap();
        site.until("a place is free", |counts| counts.sessions < before).await;
    }
    for transport in TRANSPORTS {
        let client = site.client_over(transport).await;
        client.disconnect().await.unwrap();
        site.until("gone", |counts| counts.sessions == 0).await;
    }
    site.end().await;
}

/// A client that does not read is closed once its outbox is full, and the members beside it miss
/// nothing.
#[tokio::test]
async fn a_slow_client_costs_itself_only() {
    let site = Site::with(|settings| {
        settings.outbox.max_events = 400;
        settings.outbox.max_bytes = 2 << 20;
    });
    let reasons = Log::default();
    let noting = reasons.clone();
    site.io.main().on_disconnect(move |_, end| {
        noting.note(end.reason.as_str());
        async {}
    });
    let mut members = Vec::new();
    for transport in TRANSPORTS {
        members.push(site.member(transport, &["r"]).await);
    }
    let dial = Dial { receive_buffer_bytes: Some(4096), ..Dial::default() };
    let slow = Options { dial, ..Options::default() };
    let mut slow = EngineConnection::connect(&site.url, &slow).await.unwrap();
    slow.send_raw("40").await.unwrap();
    assert!(packet(&mut slow).await.starts_with("40"));
    slow.send_raw(r#"420["join",["r"]]"#).await.unwrap();
    assert_eq!(packet(&mut slow).await, "430[]");

    let filler = "x".repeat(16 * 1024);
    let mut sent = 0_u32;
    while !site.counts().closed.contains_key("slow client") {
        assert!(sent < 20_000, "the network swallows everything");
        for _ in 0..20 {
            site.io.to("r").emit("n", (sent, &filler)).unwrap();
            sent += 1;
        }
        for member in &mut members {
            member.emit_with_ack("sync", []).await.unwrap();
            let numbers: Vec<_> =
                member.take_events().iter().map(|event| event.args[0].clone()).collect();
            let expected: Vec<_> = (sent - 20..sent).map(|n| json!(n)).collect();
            assert_eq!(numbers, expected);
        }
    }
    assert_eq!(reasons.take(), ["slow client"]);
    assert_eq!(site.counts().closed["slow client"], 1);
    drop((members, slow));
    site.end().await;
}

/// The exact limit, of events and of bytes, for a client between two polls. A single event beyond
/// the bytes may wait alone.
#[tokio::test]
async fn the_outbox_of_a_client_that_polls() {
    let cases = [(10, 1 << 20, 1, 10), (1000, 10_000, 980, 10), (1000, 10_000, 100_000, 1)];
    for (max_events, max_bytes, size, fit) in cases {
        let site = Site::with(|settings| {
            settings.outbox.max_events = max_events;
            settings.outbox.max_bytes = max_bytes;
        });
        let mut connected = sockets(&site.io.main());
        let engine = site.joined(Transport::Polling).await;
        let socket = connected.recv().await.unwrap();
        let filler = "x".repeat(size - 1);
        for n in 0..fit {
            if n % 2 == 0 {
                socket.emit("e", (&filler,)).unwrap();
            } else {
                site.io.emit("e", (&filler,)).unwrap();
            }
            // Two questions, two ticks: what the first one wrote was looked at.
            socket.rooms().await;
            assert_eq!(socket.rooms().await.len(), 1, "{fit} fit, not {n}");
        }
        socket.emit("e", (&filler,)).unwrap();
        site.until("closed", |counts| counts.closed.contains_key("slow client")).await;
        drop(engine);
        site.end().await;
    }
}

/// A volatile event is dropped, and counted, for who cannot take it at once, and for them only.
#[tokio::test]
async fn volatile_events() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let mut polls = site.joined(Transport::Polling).await;
    let socket = connected.recv().await.unwrap();
    let mut reads = site.client().await;
    socket.emit("first", ()).unwrap();
    socket.emit_volatile("dropped", ()).unwrap();
    site.io.broadcast().volatile().emit("shared", ()).unwrap();
    socket.emit("last", ()).unwrap();
    assert_eq!(got(&mut reads).await, ["shared()"]);
    assert_eq!(packet(&mut polls).await, r#"42["first"]"#);
    assert_eq!(packet(&mut polls).await, r#"42["last"]"#);
    assert_eq!(site.counts().volatile_dropped, 2);

    // With a poll that waits it is taken at once: the first one behind the poll.
    let (arrived, taken) = tokio::join!(packet(&mut polls), async {
        let mut n = 0;
        loop {
            let dropped = site.counts().volatile_dropped;
            socket.emit_volatile("taken", (n,)).unwrap();
            socket.rooms().await; // answered behind it
            if site.counts().volatile_dropped == dropped {
                break n;
            }
            n += 1;
        }
    });
    assert_eq!(arrived, format!(r#"42["taken",{taken}]"#));
    drop((polls, reads));
    site.end().await;
}

/// With too many listeners unfinished, no more is read from a WebSocket; others are served.
#[tokio::test]
async fn busy_listeners_stop_the_reading() {
    let site = Site::with(|settings| settings.max_running_handlers = 3);
    let started = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(Semaphore::new(0));
    let (counting, going) = (started.clone(), go.clone());
    site.io.main().on("wait", move |_: Socket, _: Args| {
        let (started, go) = (counting.clone(), going.clone());
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
        }
    });
    let started = || started.load(Ordering::SeqCst);
    let client = site.client().await;
    let others = [site.client().await, site.client().await];
    for n in 1..=3 {
        client.emit("wait", []).await.unwrap();
        crate::support::eventually("started", || started() == n).await;
    }
    for _ in 0..5 {
        client.emit("wait", []).await.unwrap();
    }
    // Long enough to be read, if it were.
    for _ in 0..50 {
        for other in &others {
            other.emit_with_ack("sync", []).await.unwrap();
        }
    }
    assert_eq!(started(), 3);
    go.add_permits(1);
    crate::support::eventually("read on", || started() > 3).await;
    go.add_permits(7);
    client.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(started(), 8);
    drop((client, others));
    site.end().await;
}

/// Who joins no namespace in time is closed; who has left all may stay.
#[tokio::test]
async fn joining_in_time() {
    let site = Site::with(|settings| settings.connect_timeout = Duration::from_millis(100));
    for transport in [Transport::WebSocket, Transport::Polling] {
        let mut engine = site.engine(transport).await;
        let closed = within(engine.next()).await;
        let told = matches!(&closed, Ok(testkit::EnginePacket::Close) | Err(Error::Closed(_)));
        assert!(told, "{transport:?} {closed:?}");
    }
    assert_eq!(site.counts().rejected["connect_timeout"], 2);
    let mut engine = site.joined(Transport::WebSocket).await;
    engine.send_raw("41").await.unwrap();
    let quiet = engine.next_within(Duration::from_millis(300)).await;
    assert!(matches!(quiet, Err(Error::Deadline { .. })), "{quiet:?}");
    engine.send_raw("40").await.unwrap();
    assert!(packet(&mut engine).await.starts_with("40"));
    drop(engine);
    site.end().await;
}

/// More published than a shard that stands still can take is refused, and works again later.
#[tokio::test]
async fn overload() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let (stand, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    site.io.main().on("stand", move |_: Socket, _: Args| {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        async {}
    });
    let mut client = site.client().await;
    let socket = connected.recv().await.unwrap();
    client.emit("stand", []).await.unwrap();
    site.until("it stands", |counts| counts.events_received == 1).await;
    for _ in 0..1 << 18 {
        socket.leave("r").unwrap();
    }
    let refused = site.io.emit("too much", ());
    assert!(matches!(refused, Err(EmitError::Overloaded)), "{refused:?}");
    stand.send(()).unwrap();
    client.emit_with_ack("sync", []).await.unwrap();
    site.io.emit("again", ()).unwrap();
    assert_eq!(got(&mut client).await, ["again()"]);
    drop(client);
    site.end().await;
}

/// Who has not taken all is counted; when memory is short nobody new is let in, what is volatile is
/// dropped, and of those who wait the slowest is cut.
#[tokio::test]
async fn what_waits_and_what_is_shed() {
    let site = Site::with(|settings| settings.outbox.max_bytes = 400_000);
    let mut member = site.member(Transport::WebSocket, &["r"]).await;
    // They do not poll: all for them waits.
    let slow = [site.joined(Transport::Polling).await, site.joined(Transport::Polling).await];
    let (small, large) = ("x".repeat(1_000), "x".repeat(70_000));
    site.io.emit("small", (&small,)).unwrap();
    member.emit_with_ack("sync", []).await.unwrap();
    let load = site.io.load().await;
    assert_eq!((load.waiting_sessions, load.waiting_events, load.slow_sessions), (2, 2, 0));
    assert!((2_000..2_200).contains(&load.waiting_bytes), "{load:?}");
    site.io.set_memory_short(true);
    assert!(site.io.load().await.waiting_sessions == 2, "a small outbox is not worth cutting");

    for _ in 0..3 {
        site.io.emit("large", (&large,)).unwrap();
    }
    site.io.to("r").volatile().emit("gone", ()).unwrap();
    member.emit_with_ack("sync", []).await.unwrap();
    let names: Vec<_> = member.take_events().into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["small", "large", "large", "large"]);
    let load = site.io.load().await;
    assert_eq!((load.waiting_sessions, load.slow_sessions), (2, 2));
    assert!(load.largest_bytes > 210_000 && load.waiting_bytes > 420_000, "{load:?}");
    let refused = Client::connect(&site.url, Options::default()).await;
    assert!(matches!(refused, Err(Error::Http { status: 503, .. })), "{refused:?}");
    while site.io.load().await.waiting_sessions > 0 {
        site.io.set_memory_short(true);
    }
    assert_eq!(site.counts().closed["slow client"], 2);

    site.io.set_memory_short(false);
    drop((site.client().await, slow));
    site.io.to("r").volatile().emit("there", ()).unwrap();
    member.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(member.take_events()[0].name, "there");
    assert_eq!(site.io.load().await.waiting_bytes, 0);
    site.end().await;
}

/// A listener that holds its thread is seen from outside.
#[tokio::test]
async fn a_held_thread_is_noticed() {
    let site = Site::with(|settings| settings.shards = 1);
    let (free, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let began = Arc::new(Semaphore::new(0));
    let beginning = began.clone();
    site.io.main().on("hold", move |_: Socket, _: Args| {
        beginning.add_permits(1);
        let _ = held.lock().unwrap().recv();
        async {}
    });
    let client = site.client().await;
    client.emit("hold", []).await.unwrap();
    within(began.acquire()).await.unwrap().forget();
    let asking = tokio::spawn({
        let io = site.io.clone();
        async move { io.load().await }
    });
    // The question is put when the task has run once.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!asking.is_finished());
    free.send(()).unwrap();
    assert!(asking.await.unwrap().lag >= Duration::from_millis(10));
    assert_eq!(site.counts().lag.classes.iter().sum::<u64>(), 1);
    drop(client);
    site.end().await;
}
