//! Sockets as the application sees them: many at once, what is kept with them, how they came.

use crate::support::{Log, Site, TRANSPORTS, got, next, sockets};
use fanfare::engineio;
use fanfare::{RemoteSocket, Socket};
use serde_json::{Value, json};
use testkit::{Client, Error, Options, Transport};

async fn ids(broadcast: fanfare::Broadcast) -> Vec<String> {
    let sockets = broadcast.fetch_sockets().await.unwrap();
    let mut ids: Vec<_> = sockets.iter().map(|it| it.id().as_str().to_owned()).collect();
    ids.sort();
    ids
}

fn of(clients: &[&Client]) -> Vec<String> {
    let mut ids: Vec<_> = clients.iter().map(|client| client.id().to_owned()).collect();
    ids.sort();
    ids
}

/// Targets on both shards: joined, left, found, sent to and disconnected together.
#[tokio::test]
async fn many_at_once() {
    let site = Site::new();
    let mut a = site.member(Transport::WebSocket, &["r"]).await;
    let mut b = site.member(Transport::Polling, &["r", "s"]).await;
    let mut c = site.member(Transport::Upgrade, &["s"]).await;
    let mut d = site.client().await;
    let io = &site.io;
    assert_eq!(ids(io.broadcast()).await, of(&[&a, &b, &c, &d]));
    assert_eq!(ids(io.to("r")).await, of(&[&a, &b]));
    assert_eq!(ids(io.to(["r", "s"])).await, of(&[&a, &b, &c]));
    assert_eq!(ids(io.to("r").to("s").except("r")).await, of(&[&c]));
    assert_eq!(ids(io.except(["r", "s"])).await, of(&[&d]));
    assert_eq!(ids(io.to("nobody")).await, [] as [&str; 0]);

    io.except("s").sockets_join(["t", "u"]).unwrap().await;
    assert_eq!(ids(io.to("t")).await, of(&[&a, &d]));
    io.to("r").sockets_leave("t").unwrap().await;
    assert_eq!(ids(io.to("t")).await, of(&[&d]));
    assert_eq!(ids(io.to("u")).await, of(&[&a, &d]));
    io.to(["u", "s"]).except("r").local().emit("some", ()).unwrap();
    assert_eq!(got(&mut a).await, [] as [&str; 0]);
    assert_eq!(got(&mut b).await, [] as [&str; 0]);
    assert_eq!(got(&mut c).await, ["some()"]);
    assert_eq!(got(&mut d).await, ["some()"]);

    // A dropped future changes nothing: it is done in order.
    drop(io.to("r").disconnect_sockets(false).unwrap());
    io.emit("left", ()).unwrap();
    assert_eq!(a.closed().await.unwrap(), testkit::Closed::Namespace);
    assert_eq!(b.closed().await.unwrap(), testkit::Closed::Namespace);
    assert_eq!(got(&mut c).await, ["left()"]);
    assert_eq!(ids(io.broadcast()).await, of(&[&c, &d]));
    io.to("s").disconnect_sockets(true).unwrap().await;
    assert_eq!(c.closed().await.unwrap(), testkit::Closed::Namespace);
    assert_eq!(got(&mut d).await, ["left()"]);
    drop((a, b, c, d));
    site.end().await;
}

/// A socket that was found is a target itself, and tells what it was then.
#[tokio::test]
async fn one_that_was_found() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let options =
        Options::default().auth(json!({ "user": 7 })).query("a", "b c").header("X-A", "1");
    let mut client = site.client_with(options).await;
    let other = site.client().await;
    let socket = connected.recv().await.unwrap();
    socket.set_data(json!({ "name": "Ada" }));
    drop(socket.join(["x", "y"]).unwrap());
    let found = site.io.to("x").fetch_sockets().await.unwrap();
    let [found]: [RemoteSocket; 1] = found.try_into().unwrap();
    assert_eq!(found.id(), socket.id());
    assert_eq!(found.data(), &json!({ "name": "Ada" }));
    let mut rooms: Vec<_> = found.rooms().iter().map(|room| room.as_str().to_owned()).collect();
    rooms.sort_by_key(String::len);
    assert_eq!(rooms[2], client.id());
    assert_eq!(rooms.len(), 3);
    let handshake = found.handshake();
    assert_eq!(handshake["auth"], json!({ "user": 7 }));
    assert_eq!(handshake["query"]["a"], "b c");
    assert_eq!(handshake["headers"]["x-a"], "1");
    assert_eq!(handshake["secure"], false);
    assert_eq!(handshake["address"], "127.0.0.1");

    found.target().emit("you", ()).unwrap();
    found.target().sockets_join("z").unwrap().await;
    site.io.to("z").emit("z", ()).unwrap();
    assert_eq!(next(&mut client, 2).await, ["you()", "z()"]);
    found.target().disconnect_sockets(true).unwrap().await;
    client.closed().await.unwrap();
    assert!(ids(found.target()).await.is_empty());
    other.emit_with_ack("sync", []).await.unwrap();
    drop(other);
    site.end().await;
}

/// What is kept with a socket: JSON that is replaced as a whole, and one value per type, from the
/// middleware to the end, for this socket only.
#[tokio::test]
async fn what_is_kept() {
    #[derive(Debug, PartialEq)]
    struct User(&'static str);
    let site = Site::new();
    let log = Log::default();
    let noting = log.clone();
    site.io.main().middleware(|socket: Socket| async move {
        assert_eq!(socket.data(), json!({}));
        assert!(socket.extension::<User>().is_none());
        socket.insert(User("first"));
        socket.insert(17_u32);
        socket.insert(User("second"));
        Ok(())
    });
    site.io.main().on_disconnect(move |socket: Socket, _| {
        noting.note(format!("{} {:?}", socket.data(), socket.extension::<User>()));
        async {}
    });
    let mut connected = sockets(&site.io.main());
    let one = site.client().await;
    let two = site.client().await;
    let first = connected.recv().await.unwrap();
    let second = connected.recv().await.unwrap();
    assert_eq!(first.extension::<User>().as_deref(), Some(&User("second")));
    assert_eq!(first.extension::<u32>().as_deref(), Some(&17));
    assert!(first.extension::<String>().is_none());
    first.set_data(json!({ "a": 1 }));
    first.set_data(json!([2]));
    assert_eq!((first.data(), second.data()), (json!([2]), json!({})));
    one.disconnect().await.unwrap();
    assert_eq!(log.wait(1).await, [r#"[2] Some(User("second"))"#]);
    assert_eq!(first.data(), json!([2]), "it is there as long as the socket is held");
    drop(two);
    site.end().await;
}

/// How a client came is known in every namespace of its connection; `auth` is each one's own.
#[tokio::test]
async fn handshakes() {
    let site = Site::new();
    let other = site.io.of("/other").unwrap();
    let (mut mains, mut others) = (sockets(&site.io.main()), sockets(&other));
    for transport in TRANSPORTS {
        let options = Options::over(transport)
            .query("name", "ä&b")
            .query("name", "last")
            .header("Origin", "http://page")
            .header("X-Twice", "one")
            .header("X-Twice", "two");
        let mut engine = testkit::EngineConnection::connect(&site.url, &options).await.unwrap();
        engine.send_raw(r#"40{"a":1}"#).await.unwrap();
        engine.send_raw("40/other,").await.unwrap();
        let (main, other) = (mains.recv().await.unwrap(), others.recv().await.unwrap());
        for socket in [&main, &other] {
            let handshake = socket.handshake();
            assert!(handshake.url().starts_with("/socket.io/?EIO=4&transport="));
            assert_eq!(handshake.query("name").as_deref(), Some("last"));
            assert_eq!(handshake.query("EIO").as_deref(), Some("4"));
            assert_eq!(handshake.query("none"), None);
            assert_eq!(handshake.header("x-twice"), Some("one"));
            assert!(handshake.is_cross_domain());
            assert!(!handshake.secure);
            assert!(handshake.address.is_some_and(|address| address.is_loopback()));
            assert!(handshake.issued.elapsed().is_ok_and(|age| age < crate::support::PATIENCE));
        }
        assert_eq!(main.auth::<Value>().unwrap(), json!({ "a": 1 }));
        assert!(main.auth::<Vec<u8>>().is_err());
        assert_eq!(other.auth::<Value>().unwrap(), json!({}));
        assert_ne!(main.id(), other.id());
        assert_eq!(main.id().as_str().len(), 20);
    }
    site.end().await;
}

/// The transport of a socket is the one that carries it now.
#[tokio::test]
async fn transports() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let mut engine = site.joined(Transport::Polling).await;
    let socket = connected.recv().await.unwrap();
    assert_eq!(socket.transport().await, Some(engineio::Transport::Polling));
    engine.upgrade().await.unwrap();
    engine.send_raw(r#"420["sync"]"#).await.unwrap();
    crate::support::packet(&mut engine).await;
    assert_eq!(socket.transport().await, Some(engineio::Transport::Websocket));
    drop(engine);
    site.until("gone", |counts| counts.sockets == 0).await;
    assert_eq!(socket.transport().await, None);
    assert!(socket.rooms().await.is_empty());
    assert!(socket.join("late").unwrap().await.is_err());
    site.end().await;
}

/// A socket that left its own room is not reached by its id any more, and its broadcasts still
/// leave it out only by what it is in.
#[tokio::test]
async fn the_own_room() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let mut client = site.client().await;
    let socket = connected.recv().await.unwrap();
    site.io.to(socket.id()).emit("by id", ()).unwrap();
    assert_eq!(next(&mut client, 1).await, ["by id()"]);
    socket.leave(socket.id().as_str()).unwrap();
    site.io.to(socket.id()).emit("by id", ()).unwrap();
    socket.emit("direct", ()).unwrap();
    assert_eq!(got(&mut client).await, ["direct()"]);
    assert!(socket.rooms().await.is_empty());
    socket.join(socket.id().as_str()).unwrap().await.unwrap();
    site.io.to(socket.id()).emit("again", ()).unwrap();
    assert_eq!(got(&mut client).await, ["again()"]);
    drop(client);
    site.end().await;
}

/// The application admits requests before anything is opened for them.
#[tokio::test]
async fn admission() {
    let site = Site::new();
    site.io.allow_request(|handshake| async move {
        match handshake.query("ticket").as_deref() {
            Some("good") => Ok(()),
            Some("bad") => Err("a bad ticket".to_owned()),
            _ => Err(String::new()),
        }
    });
    let cases = [("bad", "a bad ticket"), ("none", "Forbidden")];
    for (ticket, text) in cases {
        for (transport, expected) in [(Transport::Polling, 403), (Transport::WebSocket, 400)] {
            let options = Options::over(transport).query("ticket", ticket);
            let refused = Client::connect(&site.url, options).await;
            let Err(Error::Http { status, body }) = refused else { panic!("{refused:?}") };
            assert_eq!(status, expected);
            assert!(body.contains(text), "{transport:?} {body}");
        }
    }
    assert_eq!(site.counts().sessions_opened, 0);
    for transport in TRANSPORTS {
        let options = Options::over(transport).query("ticket", "good");
        let client = site.client_with(options).await;
        client.emit_with_ack("sync", []).await.unwrap();
    }
    site.end().await;
}
