//! Answers to events, in both directions.

use crate::support::{Site, TRANSPORTS, sockets, within};
use fanfare::{Ack, AckError, Args, EmitError, Socket};
use serde_json::json;
use std::time::Duration;
use testkit::{Client, Event, Transport};

/// Far below what the test waits for, far above what an answer takes.
const DEADLINE: Duration = Duration::from_secs(9);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(30);

/// The next event, which asks for an answer.
async fn asked(client: &mut Client) -> Event {
    let event = client.next_event().await.unwrap();
    assert!(event.ack.is_some(), "{event:?}");
    event
}

/// A client asks: it gets the arguments, in the order in which the listeners answer; one that
/// asked for nothing gets nothing.
#[tokio::test]
async fn clients_ask() {
    let site = Site::new();
    site.io
        .main()
        .on("sum", |_: Socket, (a, b): (i64, i64), ack: Ack| async move { ack.send((a + b,)) })
        .on("wanted", |socket: Socket, _: Args, ack: Ack| async move {
            socket.emit("wanted", (ack.is_wanted(),)).unwrap();
            ack.send("nobody reads this");
        })
        .on("late", |_: Socket, _: Args, ack: Ack| async move {
            tokio::time::sleep(SHORT).await;
            ack.send(("late", 2));
        });
    for transport in TRANSPORTS {
        let mut client = site.client_over(transport).await;
        let (late, sum) = tokio::join!(
            client.emit_with_ack("late", []),
            client.emit_with_ack("sum", [json!(2), json!(3)])
        );
        assert_eq!(sum.unwrap().args, [json!(5)], "{transport:?}");
        assert_eq!(late.unwrap().args, [json!("late"), json!(2)], "{transport:?}");
        client.emit("wanted", []).await.unwrap();
        assert_eq!(client.next_event().await.unwrap().args, [json!(false)]);
        client.emit_with_ack("wanted", []).await.unwrap();
        assert_eq!(client.next_event().await.unwrap().args, [json!(true)]);
    }
    site.end().await;
}

/// The server asks one socket: the answer comes, from outside and within a listener.
#[tokio::test]
async fn the_server_asks() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    site.io.main().on("twice", |socket: Socket, _: Args, ack: Ack| async move {
        let first = socket.emit_with_ack("q", (1,), DEADLINE).await.unwrap();
        let second = socket.emit_with_ack("q", (2,), DEADLINE).await.unwrap();
        let (first,): (u32,) = first.parse().unwrap();
        let (second,): (u32,) = second.parse().unwrap();
        ack.send((first, second));
    });
    for transport in TRANSPORTS {
        let mut client = site.client_over(transport).await;
        let socket = connected.recv().await.unwrap();
        let (answer, ()) = tokio::join!(socket.emit_with_ack("q", ("a",), DEADLINE), async {
            let event = asked(&mut client).await;
            assert_eq!((event.name.as_str(), &event.args[..]), ("q", &[json!("a")][..]));
            client.answer(&event, [json!("b"), json!(null)]).await.unwrap();
        });
        let answer = answer.unwrap();
        assert_eq!(answer.json(), r#""b",null"#, "{transport:?}");

        client.send_raw(r#"427["twice"]"#).await.unwrap();
        for n in [1, 2] {
            let event = asked(&mut client).await;
            assert_eq!(event.args, [json!(n)]);
            client.answer(&event, [json!(n * 10)]).await.unwrap();
        }
        // The testkit knows of no question with the id 7.
        let Ok(closed) = client.closed().await else { panic!("{transport:?}: no answer") };
        assert!(format!("{closed:?}").contains("10), Number(20)"), "{closed:?}");
    }
    site.end().await;
}

/// No answer within the deadline is an error; one that comes later, or twice, is counted and
/// otherwise ignored.
#[tokio::test]
async fn deadlines() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let mut client = site.client().await;
    let socket = connected.recv().await.unwrap();

    let late = socket.emit_with_ack("q", (), SHORT).await;
    assert!(matches!(late, Err(AckError::TimedOut(SHORT))), "{late:?}");
    let event = asked(&mut client).await;
    client.answer(&event, []).await.unwrap();

    // Whoever stops waiting has forgotten the question too, and the event is sent all the same.
    drop(socket.emit_with_ack("dropped", (), DEADLINE));
    let event = asked(&mut client).await;
    assert_eq!(event.name, "dropped");
    client.answer(&event, []).await.unwrap();

    let (answer, ()) = tokio::join!(socket.emit_with_ack("q", (), DEADLINE), async {
        let event = asked(&mut client).await;
        client.answer(&event, [json!(1)]).await.unwrap();
        client.answer(&event, [json!(2)]).await.unwrap();
    });
    assert_eq!(answer.unwrap().json(), "1");
    client.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(site.counts().rejected.get("ack_unknown"), Some(&3));
    drop(client);
    site.end().await;
}

/// Whoever waits learns at once that the socket is gone, however it goes.
#[tokio::test]
async fn gone_while_waiting() {
    for how in ["leaves", "breaks", "disconnect", "close", "end"] {
        for transport in [Transport::WebSocket, Transport::Polling] {
            if (how, transport) == ("breaks", Transport::Polling) {
                continue; // between two polls nothing is there to break
            }
            let site = Site::new();
            let mut connected = sockets(&site.io.main());
            let mut client = site.client_over(transport).await;
            let socket = connected.recv().await.unwrap();
            let answer = tokio::spawn(socket.emit_with_ack("q", (), DEADLINE));
            asked(&mut client).await;
            let io = site.io.clone();
            match how {
                "leaves" => client.disconnect().await.unwrap(),
                "breaks" => client.abort().await.unwrap(),
                "disconnect" => socket.disconnect(false),
                "close" => socket.disconnect(true),
                _ => io.close(SHORT).await,
            }
            let answer = within(answer).await.unwrap();
            assert!(
                matches!(answer, Err(AckError::Disconnected)),
                "{how} {transport:?} {answer:?}"
            );
            assert!(!socket.is_connected(), "{how} {transport:?}");
            let late = socket.emit_with_ack("q", (), DEADLINE).await;
            let refused = matches!(late, Err(AckError::Emit(EmitError::NotConnected)));
            assert!(refused, "{how} {transport:?}");
            site.end().await;
        }
    }
}

/// A broadcast collects one answer of each receiver on every shard; the socket that it excludes
/// is not asked.
#[tokio::test]
async fn all_answer() {
    let site = Site::new();
    let mut connected = sockets(&site.io.main());
    let mut clients = Vec::new();
    for transport in [TRANSPORTS, TRANSPORTS].concat() {
        clients.push(site.member(transport, &["r"]).await);
    }
    let first = connected.recv().await.unwrap();
    let asking = first.to("r").timeout(DEADLINE).emit_with_ack("q", ("all",));
    let asking = tokio::spawn(asking);
    for (index, client) in clients.iter_mut().enumerate().skip(1) {
        let event = asked(client).await;
        client.answer(&event, [json!(index)]).await.unwrap();
    }
    let answers = within(asking).await.unwrap().unwrap().unwrap();
    let mut answers: Vec<u64> =
        answers.iter().map(|args| args.parse::<(u64,)>().unwrap().0).collect();
    answers.sort_unstable();
    assert_eq!(answers, [1, 2, 3, 4, 5]);
    assert!(clients[0].take_events().is_empty());

    let nobody = site.io.to("nobody").emit_with_ack("q", ()).await.unwrap();
    assert!(nobody.unwrap().is_empty());
    drop(clients);
    site.end().await;
}

/// Of a broadcast that not all answer, what came is given: at the deadline, and without waiting
/// for it when the others are gone.
#[tokio::test]
async fn some_answer() {
    for gone in [false, true] {
        let site = Site::new();
        let mut clients = Vec::new();
        for transport in TRANSPORTS {
            clients.push(site.member(transport, &["r"]).await);
        }
        let deadline = if gone { DEADLINE * 10 } else { SHORT * 10 };
        let asking = tokio::spawn(site.io.to("r").timeout(deadline).emit_with_ack("q", ()));
        let mut events = Vec::new();
        for client in &mut clients {
            events.push(asked(client).await);
        }
        clients[1].answer(&events[1], [json!("here")]).await.unwrap();
        if gone {
            clients.pop().unwrap().disconnect().await.unwrap();
            clients.remove(0).disconnect().await.unwrap();
        }
        let unanswered = within(asking).await.unwrap().unwrap().unwrap_err();
        assert_eq!(unanswered.expected, 3);
        let answers: Vec<_> = unanswered.answers.iter().map(|args| args.json()).collect();
        assert_eq!(answers, [r#""here""#]);
        if !gone {
            clients[0].answer(&events[0], []).await.unwrap();
            clients[0].emit_with_ack("sync", []).await.unwrap();
            assert_eq!(site.counts().rejected.get("ack_unknown"), Some(&1));
        }
        drop(clients);
        site.end().await;
    }
}
