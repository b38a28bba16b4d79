//! Namespaces: those the application makes, and those clients make by asking.

use crate::support::{Log, Site, TRANSPORTS, packet, sync, within};
use fanfare::{Args, Refused, Socket};
use serde_json::{Value, json};
use testkit::{Client, Error, Options, Transport};

async fn refused(site: &Site, options: Options) -> (String, Option<Value>) {
    match Client::connect(&site.url, options).await {
        Err(Error::Refused { message, data }) => (message, data),
        other => panic!("{other:?}"),
    }
}

fn names(site: &Site) -> Vec<String> {
    let mut names: Vec<_> = site.io.namespaces().iter().map(|it| it.name().to_owned()).collect();
    names.sort();
    names
}

/// One connection in several namespaces: events, rooms, broadcasts and goodbyes of one do not
/// concern the other.
#[tokio::test]
async fn several_on_one_connection() {
    let site = Site::new();
    let chat = site.io.of("chat").unwrap();
    assert_eq!(chat.name(), "/chat");
    chat.on("sync", sync).on_connect(|socket: Socket| async move {
        socket.join("r").unwrap().await.unwrap();
        socket.emit("hello", ()).unwrap();
    });
    for transport in [Transport::WebSocket, Transport::Polling] {
        let mut engine = site.joined(transport).await;
        engine.send_raw("40/chat,").await.unwrap();
        assert!(packet(&mut engine).await.starts_with("40/chat,{"));
        assert_eq!(packet(&mut engine).await, r#"42/chat,["hello"]"#);
        site.io.to("r").emit("main only", ()).unwrap(); // reaches nobody
        chat.to("r").emit("chat", (1,)).unwrap();
        site.io.emit("main", (2,)).unwrap();
        assert_eq!(packet(&mut engine).await, r#"42/chat,["chat",1]"#);
        assert_eq!(packet(&mut engine).await, r#"42["main",2]"#);
        engine.send_raw("41").await.unwrap();
        engine.send_raw(r#"42/chat,5["sync"]"#).await.unwrap();
        assert_eq!(packet(&mut engine).await, "43/chat,5[]", "{transport:?}");
        chat.broadcast().disconnect_sockets(false).unwrap().await;
        assert_eq!(packet(&mut engine).await, "41/chat,");
        site.until("gone", |counts| counts.sockets == 0).await;
    }
    site.end().await;
}

/// A name nobody made is unknown; it stays so for those who ask again, and the connection lives.
#[tokio::test]
async fn unknown() {
    let site = Site::new();
    for transport in TRANSPORTS {
        let options = Options::over(transport).namespace("/nowhere");
        assert_eq!(refused(&site, options).await, ("Invalid namespace".to_owned(), None));
    }
    let mut engine = site.joined(Transport::WebSocket).await;
    engine.send_raw("40/nowhere,").await.unwrap();
    assert_eq!(packet(&mut engine).await, r#"44/nowhere,{"message":"Invalid namespace"}"#);
    engine.send_raw(r#"420["sync"]"#).await.unwrap();
    assert_eq!(packet(&mut engine).await, "430[]");
    assert_eq!(names(&site), ["/"]);
    assert_eq!(site.counts().rejected["namespace_unknown"], 4);
    assert!(site.io.of(&"x".repeat(300)).is_err());
    drop(engine);
    site.end().await;
}

/// Middlewares run in order; the first refusal is the client's answer, with its data, and those
/// behind it do not run. Rooms and data given before are there at once.
#[tokio::test]
async fn refusals() {
    let site = Site::new();
    let log = Log::default();
    let private = site.io.of("/private").unwrap();
    let (first, second) = (log.clone(), log.clone());
    private
        .middleware(move |socket: Socket| {
            first.note("first");
            async move {
                tokio::task::yield_now().await;
                let token = socket.auth::<Value>().unwrap()["token"].clone();
                if token != "right" {
                    let data = json!({ "code": 7 });
                    return Err(Refused::new("not you").with_data(data));
                }
                assert!(socket.emit("too early", ()).is_err());
                socket.set_data(json!({ "user": 1 }));
                drop(socket.join("users").unwrap());
                Ok(())
            }
        })
        .middleware(move |_: Socket| {
            second.note("second");
            async { Ok(()) }
        })
        .on("sync", sync);
    for transport in TRANSPORTS {
        let options = Options::over(transport).namespace("/private");
        let wrong = options.clone().auth(json!({ "token": "wrong" }));
        assert_eq!(refused(&site, wrong).await, ("not you".to_owned(), Some(json!({ "code": 7 }))));
        assert_eq!(log.take(), ["first"]);
        let right = options.auth(json!({ "token": "right" }));
        let client = site.client_with(right).await;
        assert_eq!(log.take(), ["first", "second"]);
        let there = private.to("users").fetch_sockets().await.unwrap();
        let ids: Vec<_> = there.iter().map(|it| it.id().as_str().to_owned()).collect();
        assert_eq!(ids, [client.id()]);
        assert_eq!(there[0].data(), &json!({ "user": 1 }));
        client.disconnect().await.unwrap();
        site.until("gone", |counts| counts.sockets == 0).await;
    }
    assert_eq!(site.counts().rejected["namespace_refused"], 3);
    site.end().await;
}

/// A pattern makes namespaces for whole names only; they share listeners, can be sent to together
/// and apart, and are removed with their last socket.
#[tokio::test]
async fn patterns() {
    let site = Site::new();
    let rooms = site.io.of_matching(regex::Regex::new(r"/room-\d+").unwrap());
    rooms.each().on("sync", sync).on("who", |socket: Socket, _: Args| async move {
        let name = socket.namespace().name().to_owned();
        socket.namespace().emit("who", (name,)).unwrap();
    });
    let of = |name: &str| site.client_with(Options::default().namespace(name));
    let (mut one, mut two, mut also_two) =
        (of("/room-1").await, of("/room-2").await, of("/room-2").await);
    for wrong in ["/room-", "/room-1x", "/x/room-1", "/Room-1"] {
        let options = Options::default().namespace(wrong);
        assert_eq!(refused(&site, options).await.0, "Invalid namespace", "{wrong}");
    }
    assert_eq!(names(&site), ["/", "/room-1", "/room-2"]);
    assert_eq!(rooms.children().len(), 2);
    one.emit("who", []).await.unwrap();
    assert_eq!(crate::support::next(&mut one, 1).await, [r#"who("/room-1")"#]);
    rooms.emit("all", ()).unwrap();
    site.io.of("/room-2").unwrap().emit("two", ()).unwrap();
    assert_eq!(crate::support::got(&mut one).await, ["all()"]);
    assert_eq!(crate::support::got(&mut two).await, ["all()", "two()"]);
    assert_eq!(crate::support::got(&mut also_two).await, ["all()", "two()"]);

    two.disconnect().await.unwrap();
    site.until("one of two is gone", |counts| counts.sockets == 2).await;
    assert_eq!(names(&site), ["/", "/room-1", "/room-2"]);
    also_two.disconnect().await.unwrap();
    site.until("both are gone", |counts| counts.sockets == 1).await;
    assert_eq!(names(&site), ["/", "/room-1"]);
    // It is made again, with the same listeners.
    let mut again = of("/room-2").await;
    again.emit("who", []).await.unwrap();
    assert_eq!(crate::support::next(&mut again, 1).await, [r#"who("/room-2")"#]);
    drop((one, again));
    site.end().await;
}

/// A function decides by name and `auth`, may take its time, and is asked after what exists and
/// in the order of registration. What it made and nobody entered does not stay.
#[tokio::test]
async fn functions() {
    let site = Site::new();
    let log = Log::default();
    let noting = log.clone();
    let first = site.io.of_dynamic(|name, auth| async move {
        tokio::task::yield_now().await;
        name == "/a" && auth["key"] == 1
    });
    let second = site.io.of_dynamic(move |name, _| {
        noting.note(name.clone());
        async move { name.starts_with("/a") }
    });
    second.each().middleware(|_: Socket| async { Err(Refused::new("nobody")) });
    first.each().on("sync", sync);
    for transport in TRANSPORTS {
        let options = Options::over(transport).namespace("/a");
        let right = options.clone().auth(json!({ "key": 1 }));
        let client = site.client_with(right).await;
        client.emit_with_ack("sync", []).await.unwrap();
        assert!(log.take().is_empty());
        client.disconnect().await.unwrap();
        site.until("gone", |counts| counts.sockets == 0).await;
        let wrong = options.auth(json!({ "key": 2 }));
        assert_eq!(refused(&site, wrong).await.0, "nobody");
        assert_eq!(log.take(), ["/a"]);
        let other = Options::over(transport).namespace("/b");
        assert_eq!(refused(&site, other).await.0, "Invalid namespace");
        assert_eq!(log.take(), ["/b"]);
        assert_eq!(names(&site), ["/"], "{transport:?}");
    }
    site.end().await;
}

/// Clients that come and go while another one comes make and remove a namespace without harm:
/// whoever is let in is served.
#[tokio::test]
async fn made_and_removed_at_once() {
    let site = Site::new();
    let child = site.io.of_matching(regex::Regex::new("/child").unwrap());
    child.each().on("sync", sync);
    let one = |_| {
        let url = site.url.clone();
        tokio::spawn(async move {
            for _ in 0..15 {
                let options = Options::default().namespace("/child");
                let client = Client::connect(&url, options).await.unwrap();
                client.emit_with_ack("sync", []).await.unwrap();
                client.disconnect().await.unwrap();
            }
        })
    };
    let tasks: Vec<_> = (0..6).map(one).collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    site.until("all are gone", |counts| counts.sockets == 0).await;
    assert!(child.children().is_empty());
    site.end().await;
}
