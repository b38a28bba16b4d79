//! A panic of the application's code costs the socket it was called for, is counted, and nothing
//! else.

use crate::support::{Log, Site, TRANSPORTS, packet, sockets, until_closed};
use fanfare::{Args, DisconnectReason, Namespace, Socket};
use testkit::{Client, Closed, Error, Options, Transport};

type Register = fn(&Namespace);

/// Where code may panic for an event called `bad`.
const PLACES: [(&str, Register); 7] = [
    ("before the first await", |it| {
        it.on("bad", |_: Socket, _: Args| async { panic!("now") });
    }),
    ("before there is a future", |it| {
        it.on("bad", |_: Socket, _: Args| {
            if true {
                panic!("at once");
            }
            async {}
        });
    }),
    ("after an await", |it| {
        it.on("bad", |_: Socket, _: Args| async {
            tokio::task::yield_now().await;
            panic!("later")
        });
    }),
    ("event middleware", |it| {
        it.event_middleware(|_, event| {
            assert_ne!(event.name.as_str(), "bad");
            Ok(())
        });
    }),
    ("on_any", |it| {
        it.on_any(|_, event| assert_ne!(event.name.as_str(), "bad"));
    }),
    ("on_any_outgoing", |it| {
        it.on_any_outgoing(|_, event| assert_ne!(event.name.as_str(), "answer"));
        it.on("bad", |socket: Socket, _: Args| async move { drop(socket.emit("answer", ())) });
    }),
    ("on_error", |it| {
        it.on("bad", |_: Socket, (_,): (u32,)| async {});
        it.on_error(|_, _, _, _| panic!("on_error"));
    }),
];

/// The socket whose event met the panic ends, and no other, not even on the same connection.
#[tokio::test]
async fn listeners() {
    for (place, register) in PLACES {
        let site = Site::new();
        register(&site.io.main());
        let reasons = Log::default();
        let noting = reasons.clone();
        site.io.main().on_disconnect(move |_, end| {
            // Connections that this test ends itself are not of interest.
            if end.reason != DisconnectReason::TransportClose {
                noting.note(end.reason.as_str());
            }
            async {}
        });
        site.io.of("/other").unwrap().on("sync", crate::support::sync);
        let others = [site.client().await, site.client_over(Transport::Polling).await];
        for transport in TRANSPORTS {
            let mut engine = site.joined(transport).await;
            if transport == Transport::Upgrade {
                engine.upgrade().await.unwrap();
            }
            engine.send_raw("40/other,").await.unwrap();
            assert!(packet(&mut engine).await.starts_with("40/other,{"));
            engine.send_raw(r#"42["bad"]"#).await.unwrap();
            let mut goodbye = packet(&mut engine).await;
            if goodbye == r#"42["answer"]"# {
                goodbye = packet(&mut engine).await; // what is overheard may be on its way
            }
            assert_eq!(goodbye, "41", "{place} {transport:?}");
            engine.send_raw(r#"42/other,0["sync"]"#).await.unwrap();
            assert_eq!(packet(&mut engine).await, "43/other,0[]", "{place} {transport:?}");
            engine.send_raw("40").await.unwrap();
            assert!(packet(&mut engine).await.starts_with("40{"), "{place} {transport:?}");
            assert_eq!(reasons.wait(1).await, ["handler panic"], "{place} {transport:?}");
        }
        for other in &others {
            other.emit_with_ack("sync", []).await.unwrap();
        }
        assert_eq!(site.counts().handler_panics, 3, "{place}");
        drop(others);
        site.end().await;
    }
}

/// A panic while a socket connects: its client sees that it was in, and is out.
#[tokio::test]
async fn on_connect() {
    let places: [Register; 2] = [
        |it| {
            it.on_connect(|_: Socket| async { panic!("now") });
        },
        |it| {
            it.on_connect(|_: Socket| async {
                tokio::task::yield_now().await;
                panic!("later")
            });
        },
    ];
    for register in places {
        let site = Site::new();
        let other = site.client().await;
        register(&site.io.main());
        for transport in [Transport::WebSocket, Transport::Polling] {
            let mut engine = site.joined(transport).await;
            assert_eq!(packet(&mut engine).await, "41");
        }
        other.emit_with_ack("sync", []).await.unwrap();
        assert_eq!(site.counts().handler_panics, 2);
        drop(other);
        site.end().await;
    }
}

/// A panic of a middleware refuses the socket, and says no more than that.
#[tokio::test]
async fn middleware() {
    let places: [Register; 2] = [
        |it| {
            it.middleware(|_: Socket| async { panic!("a secret") });
        },
        |it| {
            it.middleware(|_: Socket| async {
                tokio::task::yield_now().await;
                panic!("a secret")
            });
        },
    ];
    for register in places {
        let site = Site::new();
        let other = site.client().await;
        let guarded = site.io.of("/guarded").unwrap();
        register(&guarded);
        for transport in TRANSPORTS {
            let options = Options::over(transport).namespace("/guarded");
            let Err(Error::Refused { message, data }) = Client::connect(&site.url, options).await
            else {
                panic!("{transport:?}: let in")
            };
            assert_eq!((message.as_str(), data), ("Internal error", None));
        }
        other.emit_with_ack("sync", []).await.unwrap();
        let counts = site.counts();
        assert_eq!((counts.handler_panics, counts.rejected["namespace_refused"]), (3, 3));
        assert!(guarded.broadcast().fetch_sockets().await.unwrap().is_empty());
        drop(other);
        site.end().await;
    }
}

/// A panic after a socket's end is counted; the listeners beside it still run.
#[tokio::test]
async fn on_disconnect() {
    let site = Site::new();
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on_disconnect(|_, _| async { panic!("gone") });
    site.io.main().on_disconnect(move |_, end| {
        noting.note(end.reason.as_str());
        async {}
    });
    let other = site.client().await;
    let client = site.client().await;
    client.disconnect().await.unwrap();
    assert_eq!(log.wait(1).await, ["client namespace disconnect"]);
    assert_eq!(site.counts().handler_panics, 1);
    other.emit_with_ack("sync", []).await.unwrap();
    let client = site.client().await;
    drop(client);
    assert_eq!(log.wait(1).await, ["transport close"]);
    drop(other);
    site.end().await;
}

/// A panic where requests are admitted costs that request.
#[tokio::test]
async fn allow_request() {
    let site = Site::new();
    let other = site.client().await;
    site.io.allow_request(|handshake| async move {
        assert!(handshake.query("bad").is_none(), "bad");
        Ok(())
    });
    for transport in [Transport::WebSocket, Transport::Polling] {
        let options = Options::over(transport).query("bad", "1");
        assert!(Client::connect(&site.url, options).await.is_err());
        site.client_over(transport).await.emit_with_ack("sync", []).await.unwrap();
    }
    other.emit_with_ack("sync", []).await.unwrap();
    drop(other);
    site.end().await;
}

/// What was emitted before the panic still arrives, and other listeners of the socket that still
/// wait do no harm.
#[tokio::test]
async fn what_went_before_stands() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let wait = std::sync::Arc::new(tokio::sync::Notify::new());
    let waiting = wait.clone();
    let log = Log::default();
    let noting = log.clone();
    site.io
        .main()
        .on("wait", move |socket: Socket, _: Args| {
            let (wait, log) = (waiting.clone(), noting.clone());
            async move {
                wait.notified().await;
                log.note(format!("{:?}", socket.emit("too late", ()).is_err()));
            }
        })
        .on("bad", |socket: Socket, _: Args| async move {
            socket.emit("before", ()).unwrap();
            socket.io().emit("all", ()).unwrap();
            if socket.is_connected() {
                panic!("after");
            }
        });
    let mut client = site.client().await;
    let socket = connected.recv().await.unwrap();
    client.emit("wait", []).await.unwrap();
    client.emit("bad", []).await.unwrap();
    assert_eq!(crate::support::next(&mut client, 2).await, ["before()", "all()"]);
    assert_eq!(until_closed(&client).await, Closed::Namespace);
    assert!(!socket.is_connected());
    wait.notify_one();
    assert_eq!(log.wait(1).await, ["true"]);
    site.end().await;
}

/// A panic of a catch-all for what goes out ends the socket that was sent to, whoever sent it, and
/// does not reach the sender.
#[tokio::test]
async fn on_any_outgoing_of_another_socket() {
    let site = Site::new();
    site.io.main().on_any_outgoing(|_, event| assert_ne!(event.name.as_str(), "boom"));
    let mut connected = sockets(&site.io.main());
    let mut clients = Vec::new();
    for transport in TRANSPORTS {
        clients.push(site.client_over(transport).await);
    }
    let sender = site.client().await;
    let mut there = Vec::new();
    for _ in 0..3 {
        there.push(connected.recv().await.unwrap());
    }
    there[0].emit("boom", ()).unwrap(); // from outside
    site.io.main().on("send", move |_: Socket, _: Args| {
        there[1].emit("boom", ()).unwrap();
        let asked = there[2].emit_with_ack("boom", (), std::time::Duration::from_secs(9));
        async move { assert!(asked.await.is_err()) }
    });
    sender.emit("send", []).await.unwrap();
    for client in &mut clients {
        assert_eq!(until_closed(client).await, Closed::Namespace);
        assert_eq!(client.next_event().await.unwrap().name, "boom");
    }
    sender.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(site.counts().handler_panics, 3);
    drop(sender);
    site.end().await;
}
