//! What was once wrong: each test is named after what must not come back.

use crate::support::{PATIENCE, Site, TRANSPORTS, packet, until_closed, within};
use fanfare::{Args, Refused, Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::{EnginePacket, Transport};
use tokio::sync::Semaphore;

/// A socket that was disconnected gets nothing any more, though it was a receiver of the run that
/// is still open, and its session stays usable.
#[tokio::test]
async fn nothing_follows_the_disconnect_packet() {
    for transport in [Transport::WebSocket, Transport::Polling] {
        let site = Site::new();
        site.io.main().on("quit", |socket: Socket, _: Args| async move {
            let io = socket.io().clone();
            io.emit("before", ()).unwrap();
            socket.disconnect(false);
            io.emit("after", ()).unwrap();
        });
        let mut engine = site.joined(transport).await;
        engine.send_raw(r#"42["quit"]"#).await.unwrap();
        assert_eq!(packet(&mut engine).await, r#"42["before"]"#);
        assert_eq!(packet(&mut engine).await, "41");
        engine.send_raw("40").await.unwrap();
        let answer = packet(&mut engine).await;
        assert!(answer.starts_with("40{"), "{transport:?} {answer}");
        drop(engine);
        site.end().await;
    }
}

/// A panic of a catch-all for what goes out ends the sockets it was called for, not their shard.
#[tokio::test]
async fn a_panic_in_on_any_outgoing_does_not_end_the_shard() {
    let site = Site::new();
    site.io.main().on_any_outgoing(|_, event| assert_ne!(event.name.as_str(), "boom"));
    let mut hit = Vec::new();
    for _ in 0..4 {
        hit.push(site.client().await);
    }
    site.io.emit("boom", ()).unwrap();
    for client in &hit {
        until_closed(client).await;
    }
    assert_eq!(site.counts().handler_panics, 4);
    for _ in 0..4 {
        let later = site.client().await;
        later.emit_with_ack("sync", []).await.unwrap();
    }
    site.end().await;
}

/// A panic where refusals are reported ends the socket, whatever it came by.
#[tokio::test]
async fn a_panic_in_on_error_ends_its_socket_only() {
    let site = Site::new();
    let refuse = |event: &fanfare::Event| match event.name.as_str() {
        "bad" => Err(Refused::new("no")),
        _ => Ok(()),
    };
    site.io.main().event_middleware(move |_, event| refuse(event));
    site.io.main().on_error(|_, _, _, _| panic!("on_error"));
    let other = site.client().await;
    for transport in TRANSPORTS {
        let client = site.client_over(transport).await;
        client.emit("bad", []).await.unwrap();
        until_closed(&client).await;
        other.emit_with_ack("sync", []).await.unwrap();
    }
    assert_eq!(site.counts().handler_panics, 3);
    site.end().await;
}

/// A panic of the function that decides about namespaces is a refusal, and the session lives on.
#[tokio::test]
async fn a_panic_in_of_dynamic_refuses_the_namespace() {
    let site = Site::new();
    let _ = site.io.of_dynamic(|_, _| async { panic!("decide") });
    for transport in TRANSPORTS {
        let mut engine = site.joined(transport).await;
        engine.send_raw("40/x,").await.unwrap();
        assert_eq!(packet(&mut engine).await, r#"44/x,{"message":"Internal error"}"#);
        engine.send_raw(r#"420["sync"]"#).await.unwrap();
        assert_eq!(packet(&mut engine).await, "430[]", "{transport:?}");
    }
    assert_eq!(site.counts().handler_panics, 3);
    site.end().await;
}

/// A client that polls is read no further either once too many of its listeners are unfinished,
/// and its POST is answered when they are done.
#[tokio::test]
async fn busy_listeners_hold_back_a_client_that_polls() {
    let site = Site::with(|settings| settings.max_running_handlers = 4);
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
    let mut engine = site.joined(Transport::Polling).await;
    let packets = vec![EnginePacket::Text(r#"2["wait"]"#.into()); 10];
    let posting = tokio::spawn(async move {
        let sent = engine.send_all(&packets).await;
        (engine, sent)
    });
    site.until("four are received", |counts| counts.events_received == 4).await;
    // The shard has done what it had to do, and is still at the fourth.
    let other = site.client().await;
    other.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(started.load(Ordering::SeqCst), 4);
    assert!(!posting.is_finished());
    go.add_permits(1);
    site.until("one more is received", |counts| counts.events_received == 6).await;
    go.add_permits(9);
    let (engine, sent) = within(posting).await.unwrap();
    sent.unwrap();
    assert_eq!(started.load(Ordering::SeqCst), 10);
    drop(engine);
    site.end().await;
}

/// A probe is answered also while the listeners of its session are busy.
#[tokio::test]
async fn busy_listeners_do_not_hold_back_an_upgrade() {
    let site = Site::with(|settings| settings.max_running_handlers = 1);
    let go = Arc::new(Semaphore::new(0));
    let going = go.clone();
    site.io.main().on("wait", move |socket: Socket, _: Args| {
        let go = going.clone();
        async move {
            go.acquire().await.unwrap().forget();
            socket.emit("done", ()).unwrap();
        }
    });
    let mut engine = site.joined(Transport::Polling).await;
    let url = engine.session_url("polling");
    let posting = tokio::spawn(async move {
        testkit::Request::new("POST", &url).body(r#"42["wait"]"#).send_within(PATIENCE).await
    });
    site.until("the listener has begun", |counts| counts.events_received == 1).await;
    engine.upgrade().await.unwrap();
    go.add_permits(1);
    assert_eq!(packet(&mut engine).await, r#"42["done"]"#);
    assert_eq!(within(posting).await.unwrap().unwrap().status, 200);
    drop(engine);
    site.end().await;
}

/// What is asked of a server that was closed is answered: there is nobody.
#[tokio::test]
async fn after_the_end_nobody_waits_for_ever() {
    let site = Site::new();
    let client = site.client().await;
    let io = site.io.clone();
    let sockets = io.broadcast().fetch_sockets().await.unwrap();
    assert_eq!(sockets.len(), 1);
    drop(client);
    site.end().await;
    assert!(within(io.broadcast().fetch_sockets()).await.unwrap().is_empty());
    within(io.broadcast().sockets_join("a").unwrap()).await;
    within(io.broadcast().disconnect_sockets(true).unwrap()).await;
    let answers = within(io.broadcast().emit_with_ack("a", ())).await.unwrap();
    assert_eq!(answers.unwrap_err().expected, 0);
}
