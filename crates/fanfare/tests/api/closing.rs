//! Ends: of sockets, of sessions, of the server.

use crate::support::{Log, PATIENCE, Site, TRANSPORTS, eventually, packet, sockets, within};
use fanfare::{Drain, Socket};
use std::time::{Duration, Instant};
use testkit::http_get;
use testkit::{Client, Closed, Dial, EngineConnection, EnginePacket, Error, Options, Transport};
use websocket::Opcode;

/// What is noted of each socket's end: the reason, and that it was in its rooms until then.
fn reasons(site: &Site) -> Log {
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on_disconnect(move |socket: Socket, end| {
        assert!(!socket.is_connected());
        assert!(end.rooms.iter().any(|room| room.as_str() == socket.id().as_str()));
        noting.note(end.reason.as_str());
        async {}
    });
    log
}

/// Every way a connection ends has its reason, for its socket and for its session.
#[tokio::test]
async fn reasons_of_clients() {
    let causes: [(&str, &str, &str); 7] = [
        ("drop", "transport close", "transport close"),
        ("goodbye", "client namespace disconnect", "transport close"),
        ("close frame", "transport close", "transport close"),
        ("9", "parse error", "parse error"),
        ("4x", "forced close", "forced close"),
        ("disconnect", "server namespace disconnect", "transport close"),
        ("close", "server namespace disconnect", "forced server close"),
    ];
    for (cause, socket_reason, session_reason) in causes {
        let site = Site::new();
        let log = reasons(&site);
        let mut connected = sockets(&site.io.main());
        let mut engine = site.joined(Transport::WebSocket).await;
        let socket = connected.recv().await.unwrap();
        match cause {
            "drop" => drop(engine),
            "goodbye" => {
                engine.send_raw("41").await.unwrap();
                assert_eq!(log.wait(1).await, [socket_reason], "{cause}");
                assert_eq!(site.counts().sessions, 1, "the connection stays");
                drop(engine);
            }
            "close frame" => {
                engine.websocket().unwrap().send(Opcode::Close, &[]).await.unwrap();
                let answer = within(engine.next()).await;
                assert!(matches!(answer, Err(Error::Closed(Closed::WebSocket { .. }))));
            }
            "disconnect" => {
                socket.disconnect(false);
                assert_eq!(packet(&mut engine).await, "41");
                drop(engine);
            }
            "close" => {
                socket.disconnect(true);
                assert_eq!(packet(&mut engine).await, "41");
                assert!(within(engine.next()).await.is_err());
            }
            text => {
                engine.send_raw(text).await.unwrap();
                assert!(within(engine.next()).await.is_err(), "{cause}");
            }
        }
        if cause != "goodbye" {
            assert_eq!(log.wait(1).await, [socket_reason], "{cause}");
        }
        site.until("the session is over", |counts| counts.sessions == 0).await;
        let closed = site.counts().closed;
        assert_eq!(closed.into_iter().collect::<Vec<_>>(), [(session_reason, 1)], "{cause}");
        site.end().await;
    }
}

/// A client that answers no heartbeat is gone after the time it has for it, one that does is not.
#[tokio::test]
async fn heartbeats() {
    let site = Site::with(|settings| {
        settings.engine.ping_interval = Duration::from_millis(100);
        settings.engine.ping_timeout = Duration::from_millis(1500);
    });
    let log = reasons(&site);
    let alive: Vec<Client> = vec![
        site.client().await,
        site.client_over(Transport::Polling).await,
        site.client_over(Transport::Upgrade).await,
    ];
    let mut dead = site.joined(Transport::WebSocket).await;
    loop {
        match within(dead.next()).await {
            Ok(EnginePacket::Ping(_)) => {}
            Err(Error::Closed(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(log.wait(1).await, ["ping timeout"]);
    for client in &alive {
        client.emit_with_ack("sync", []).await.unwrap();
    }
    drop(alive);
    site.end().await;
}

/// The end: what was emitted before arrives, each client is told in its transport's way, each
/// socket has its reason, everything is counted, and nobody comes in any more.
#[tokio::test]
async fn of_the_server() {
    let site = Site::new();
    let log = reasons(&site);
    let mut clients = Vec::new();
    for transport in [TRANSPORTS, TRANSPORTS].concat() {
        clients.push((transport, site.client_over(transport).await));
    }
    for n in 0..500 {
        site.io.emit("n", (n,)).unwrap();
    }
    let closing = site.io.close(PATIENCE);
    let begun = Instant::now();
    within(closing).await;
    assert!(site.io.is_closing());
    assert!(begun.elapsed() < PATIENCE, "it waited for nobody");
    for (transport, client) in &mut clients {
        for n in 0..500 {
            let event = client.next_event().await.unwrap();
            assert_eq!(event.args, [n], "{transport:?}");
        }
        let closed = client.closed().await.unwrap();
        let told = match transport {
            Transport::Polling => closed == Closed::Engine,
            _ => matches!(closed, Closed::WebSocket { .. }),
        };
        assert!(told, "{transport:?} {closed:?}");
    }
    assert_eq!(log.take(), ["server shutting down"; 6]);
    let counts = site.counts();
    assert_eq!((counts.sessions, counts.sockets, counts.sessions_opened), (0, 0, 6));
    assert_eq!(counts.closed["server shutting down"], 6);
    assert!(Client::connect(&site.url, Options::default()).await.is_err());
    within(site.io.close(PATIENCE)).await; // once more does no harm
    site.end().await;
}

/// A server that has said that it is about to end takes clients as before; `close` ends the wait.
#[tokio::test]
async fn a_notice() {
    let site = Site::new();
    let long = Drain { notice: Duration::from_secs(3_600), ..Drain::default() };
    let io = site.io.clone();
    let draining = tokio::spawn(async move { io.drain(long, PATIENCE).await });
    eventually("it says so", || site.io.is_draining()).await;
    assert!(!site.io.is_closing());
    let mut client = site.client().await;
    site.io.emit("n", (1,)).unwrap();
    assert_eq!(client.next_event().await.unwrap().args, [1]);
    within(site.io.close(PATIENCE)).await;
    within(draining).await.unwrap();
    assert!(matches!(client.closed().await.unwrap(), Closed::WebSocket { .. }));
    site.end().await;
}

/// Clients leave in batches: while some are told, the others stay and get what is emitted, and new
/// ones are turned away with an answer that says why.
#[tokio::test]
async fn in_batches() {
    let site = Site::new();
    let log = reasons(&site);
    let mut clients = Vec::new();
    for number in 0..30 {
        clients.push(site.client_over(TRANSPORTS[number % TRANSPORTS.len()]).await);
    }
    // Thirty seconds for all of them, if nothing else happened.
    let slow = Drain { clients_per_second: 1, within: Duration::from_secs(60), ..Drain::default() };
    let io = site.io.clone();
    let draining = tokio::spawn(async move { io.drain(slow, PATIENCE).await });
    assert_eq!(log.wait(1).await[0], "server shutting down");
    let open = format!("{}/socket.io/?EIO=4&transport=polling", site.url);
    let refused = http_get(&open).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.text().contains(r#""code":"STOPPING""#), "{}", refused.text());
    let websocket = Client::connect(&site.url, Options::over(Transport::WebSocket)).await;
    assert!(websocket.unwrap_err().to_string().contains("503"));
    site.io.emit("still", ("here",)).unwrap();
    let here = site.counts().sockets;
    assert!(here > 0 && !site.io.is_closing(), "{here}");
    within(site.io.close(PATIENCE)).await;
    within(draining).await.unwrap();
    let mut got = 0;
    for client in &mut clients {
        while let Ok(event) = client.next_event().await {
            assert_eq!(event.name, "still");
            got += 1;
        }
    }
    assert!(got > 0 && got < 30, "{got}");
    assert_eq!(site.counts().closed["server shutting down"], 30);
    assert_eq!(site.counts().rejected["stopping"], 2);
    site.end().await;
}

/// Who does not take what is for it is waited for until the grace is over, then cut, and counted
/// like the others.
#[tokio::test]
async fn grace() {
    let site = Site::with(|settings| settings.outbox.max_bytes = 64 << 20);
    let log = reasons(&site);
    let mut connected = sockets(&site.io.main());
    let dial = Dial { receive_buffer_bytes: Some(4096), ..Dial::default() };
    let options = Options { dial, ..Options::default() };
    let mut deaf = EngineConnection::connect(&site.url, &options).await.unwrap();
    deaf.send_raw("40").await.unwrap();
    packet(&mut deaf).await;
    let socket = connected.recv().await.unwrap();
    let silent = site.joined(Transport::Polling).await; // does not poll any more
    let good = site.client().await;
    for _ in 0..60 {
        // Together more than the system's buffers take.
        socket.emit("large", ("x".repeat(500_000),)).unwrap();
    }
    let grace = Duration::from_millis(1500);
    let begun = Instant::now();
    within(site.io.close(grace)).await;
    assert!(begun.elapsed() >= grace, "nobody was waited for");
    assert_eq!(log.take(), ["server shutting down"; 3]);
    let counts = site.counts();
    assert_eq!((counts.sessions, counts.closed["server shutting down"]), (0, 3));
    assert!(matches!(good.closed().await.unwrap(), Closed::WebSocket { .. }));
    drop((deaf, silent));
    site.end().await;
}

/// Sockets that are just being let in when the server closes do not stay.
#[tokio::test]
async fn while_clients_come() {
    let site = Site::new();
    site.io.main().middleware(|_: Socket| async {
        tokio::task::yield_now().await;
        Ok(())
    });
    let come = |transport| {
        let url = site.url.clone();
        tokio::spawn(async move {
            while let Ok(client) = Client::connect(&url, Options::over(transport)).await {
                drop(client);
            }
        })
    };
    let tasks: Vec<_> = [TRANSPORTS, TRANSPORTS].concat().into_iter().map(come).collect();
    site.until("some came", |counts| counts.sockets_connected > 20).await;
    within(site.io.close(Duration::from_millis(200))).await;
    for task in tasks {
        within(task).await.unwrap();
    }
    eventually("nobody is left", || site.counts().sessions == 0).await;
    site.end().await;
}
