//! What is done in an order arrives in that order.

use crate::support::{Log, Site, TRANSPORTS, got, next, packet, sockets, within};
use fanfare::{Ack, Args, Io, Socket};
use serde_json::json;
use testkit::{EnginePacket, Options, Transport};
use websocket::{Opcode, frame};

/// Listeners start in the order of arrival, also those that wait for something later, and for
/// what is sent around an upgrade.
#[tokio::test]
async fn listeners_start_as_events_arrive() {
    let site = Site::new();
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on("n", move |_: Socket, (n,): (u32,)| {
        noting.note(n.to_string());
        async move {
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
        }
    });
    let all: Vec<String> = (0..90).map(|n| n.to_string()).collect();
    for transport in TRANSPORTS {
        let client = site.client_over(transport).await;
        for n in 0..90 {
            client.emit("n", [json!(n)]).await.unwrap();
        }
        client.emit_with_ack("sync", []).await.unwrap();
        assert_eq!(log.take(), all, "{transport:?}");
    }
    let mut engine = site.joined(Transport::Polling).await;
    let packets = |range: std::ops::Range<u32>| -> Vec<EnginePacket> {
        range.map(|n| EnginePacket::Text(format!(r#"2["n",{n}]"#))).collect()
    };
    engine.send_all(&packets(0..30)).await.unwrap();
    engine.upgrade().await.unwrap();
    engine.send_all(&packets(30..90)).await.unwrap();
    assert_eq!(log.wait(90).await, all, "around an upgrade");
    site.end().await;
}

/// What one task does to a socket and around it. `socket` is in no room of these at first.
fn by_one_task(io: &Io, socket: &Socket) {
    drop(socket.join("r").unwrap());
    io.to("r").emit("joined", ()).unwrap();
    socket.leave("r").unwrap();
    io.to("r").emit("left", ()).unwrap();
    drop(socket.join(["r", "s"]).unwrap());
    io.to("s").emit("s", ()).unwrap();
    socket.emit("own", ()).unwrap();
    io.to("r").emit("r", ()).unwrap();
    drop(io.to("r").sockets_leave("s").unwrap());
    io.to("s").emit("left", ()).unwrap();
    drop(io.to("r").sockets_join("t").unwrap());
    io.to("t").emit("t", ()).unwrap();
    drop(socket.emit_with_ack("ask", (), std::time::Duration::from_secs(1)));
    io.to(["r", "t"]).emit("both", ()).unwrap();
    io.to("r").except("t").emit("excluded", ()).unwrap();
    socket.emit("last", ()).unwrap();
    socket.disconnect(false);
    io.to("r").emit("gone", ()).unwrap();
}

/// As the client gets it.
const BY_ONE_TASK: [&str; 9] = [
    r#"42["joined"]"#,
    r#"42["s"]"#,
    r#"42["own"]"#,
    r#"42["r"]"#,
    r#"42["t"]"#,
    "ask",
    r#"42["both"]"#,
    r#"42["last"]"#,
    "41",
];

/// Joining, emitting, leaving and disconnecting by one task happen in its order, from a listener
/// of the socket, from one of another socket and from a task outside.
#[tokio::test]
async fn one_task_keeps_its_order() {
    for transport in [Transport::WebSocket, Transport::Polling] {
        for origin in ["own", "other", "outside"] {
            let site = Site::new();
            let mut connected = sockets(&site.io.main());
            let other = site.client().await; // on the other shard
            let mut engine = site.joined(transport).await;
            connected.recv().await.unwrap();
            let socket = connected.recv().await.unwrap();
            let (io, target) = (site.io.clone(), socket.clone());
            site.io.main().on("go", move |_: Socket, _: Args| {
                by_one_task(&io, &target);
                async {}
            });
            match origin {
                "own" => engine.send_raw(r#"42["go"]"#).await.unwrap(),
                "other" => other.emit("go", []).await.unwrap(),
                _ => {
                    let io = site.io.clone();
                    std::thread::spawn(move || by_one_task(&io, &socket)).join().unwrap();
                }
            }
            for expected in BY_ONE_TASK {
                let mut packet = packet(&mut engine).await;
                if packet.ends_with(r#"["ask"]"#) {
                    packet = "ask".to_owned();
                }
                assert_eq!(packet, expected, "{transport:?} {origin}");
            }
            other.emit_with_ack("sync", []).await.unwrap();
            // The session is as good as new: nothing else was on its way.
            engine.send_raw("40").await.unwrap();
            let answer = packet(&mut engine).await;
            assert!(answer.starts_with("40{"), "{transport:?} {origin}: {answer}");
            drop((engine, other));
            site.end().await;
        }
    }
}

/// `disconnect(true)` closes the connection behind what was emitted.
#[tokio::test]
async fn emit_then_close() {
    for transport in TRANSPORTS {
        let site = Site::new();
        site.io.main().on("quit", |socket: Socket, (count,): (u32,)| async move {
            for n in 0..count {
                socket.emit("n", (n,)).unwrap();
            }
            socket.disconnect(true);
        });
        let mut engine = site.joined(transport).await;
        if transport == Transport::Upgrade {
            engine.upgrade().await.unwrap();
        }
        engine.send_raw(r#"42["quit",1000]"#).await.unwrap();
        for n in 0..1000 {
            assert_eq!(packet(&mut engine).await, format!(r#"42["n",{n}]"#), "{transport:?}");
        }
        assert_eq!(packet(&mut engine).await, "41");
        let mut last = within(engine.next()).await;
        while let Ok(EnginePacket::Noop) = last {
            last = within(engine.next()).await;
        }
        match last {
            Ok(EnginePacket::Close) => assert_eq!(transport, Transport::Polling),
            Err(testkit::Error::Closed(_)) => assert_ne!(transport, Transport::Polling),
            other => panic!("{transport:?}: {other:?}"),
        }
        drop(engine);
        site.end().await;
    }
}

/// Events to one room in one tick, with events to some of its members alone between them: each
/// member has exactly its own sequence, also the one that publishes and acks meanwhile, the one
/// that is in a second room, and the one that leaves in between.
#[tokio::test]
async fn direct_events_between_broadcasts() {
    for transport in TRANSPORTS {
        let site = Site::new();
        let mut connected = sockets(&site.io.main());
        let mut publisher = site.member(transport, &["r"]).await;
        let _ = connected.recv().await.unwrap();
        let mut members = Vec::new();
        for rooms in [["r", "x"], ["r", "s"], ["r", "y"], ["s", "z"]] {
            members.push(site.member(transport, &rooms).await);
        }
        let mut there = Vec::new();
        for _ in 0..4 {
            there.push(connected.recv().await.unwrap());
        }
        site.io.main().on("mix", move |socket: Socket, _: Args, ack: Ack| {
            let io = socket.io().clone();
            let to = |room: &str, n: u32| io.to(room).emit("b", (n,)).unwrap();
            let own = |socket: &Socket, n: u32| socket.emit("d", (n,)).unwrap();
            to("r", 1);
            own(&socket, 2);
            to("r", 3);
            own(&there[0], 4);
            own(&there[1], 5);
            to("r", 6);
            to("r", 7);
            own(&there[1], 8);
            own(&there[1], 9);
            to("r", 10);
            to("s", 11);
            own(&there[1], 12);
            to("s", 13);
            to("r", 14);
            ack.send((15,));
            to("r", 16);
            socket.to("r").emit("b", (17,)).unwrap();
            own(&there[0], 18);
            socket.to("r").emit("b", (19,)).unwrap();
            there[2].leave("r").unwrap();
            to("r", 20);
            io.to("r").volatile().emit("b", (21,)).unwrap();
            to("r", 22);
            drop(there[3].join("r").unwrap());
            to("r", 23);
            drop(io.to("s").sockets_leave("r").unwrap());
            to("r", 24);
            async {}
        });
        let ack = publisher.emit_with_ack("mix", []).await.unwrap();
        assert_eq!(ack.args, [json!(15)]);
        let numbers = |events: Vec<String>| -> Vec<u32> {
            let number = |event: &String| event[2..event.len() - 1].parse().unwrap();
            // A volatile event may be dropped: a client that polls may be between two polls.
            events.iter().map(number).filter(|n| *n != 21).collect()
        };
        let of_publisher = numbers(got(&mut publisher).await);
        assert_eq!(of_publisher, [1, 2, 3, 6, 7, 10, 14, 16, 20, 22, 23, 24], "{transport:?}");
        let expected: [&[u32]; 4] = [
            &[1, 3, 4, 6, 7, 10, 14, 16, 17, 18, 19, 20, 22, 23, 24],
            &[1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 20, 22, 23],
            &[1, 3, 6, 7, 10, 14, 16, 17, 19],
            &[11, 13, 23],
        ];
        for (member, expected) in members.iter_mut().zip(expected) {
            assert_eq!(numbers(got(member).await), expected, "{transport:?}");
        }
        drop((publisher, members));
        site.end().await;
    }
}

/// Nothing is lost, doubled or swapped while a session moves to its WebSocket, whether it is for
/// this socket alone or for all.
#[tokio::test]
async fn events_during_an_upgrade() {
    const COUNT: u32 = 300;
    for round in 0..6 {
        let site = Site::new();
        let mut connected = sockets(&site.io.main());
        let mut engine = site.joined(Transport::Polling).await;
        let socket = connected.recv().await.unwrap();
        let io = site.io.clone();
        let sending = tokio::spawn(async move {
            for n in 0..COUNT {
                if n % (round + 2) == 0 {
                    socket.emit("n", (n,)).unwrap();
                } else {
                    io.emit("n", (n,)).unwrap();
                }
                if n % 8 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        engine.upgrade().await.unwrap();
        for n in 0..COUNT {
            assert_eq!(packet(&mut engine).await, format!(r#"42["n",{n}]"#), "round {round}");
        }
        within(sending).await.unwrap();
        drop(engine);
        site.end().await;
    }
}

/// Whoever publishes, on whatever thread: all sockets of a namespace get it in one order, and
/// what one thread published is in that thread's order.
#[tokio::test]
async fn one_order_for_all() {
    let site = Site::new();
    let mut clients = Vec::new();
    for transport in [TRANSPORTS, TRANSPORTS].concat() {
        clients.push(site.member(transport, &["r"]).await);
    }
    let publish = |thread: u32| {
        let io = site.io.clone();
        std::thread::spawn(move || {
            for n in 0..200 {
                io.to("r").emit("n", (thread, n)).unwrap();
            }
        })
    };
    let threads: Vec<_> = (0..3).map(publish).collect();
    for thread in threads {
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
    let first = got(&mut clients[0]).await;
    for thread in 0..3 {
        let own = |event: &&String| event.starts_with(&format!("n({thread},"));
        let of_thread: Vec<_> = first.iter().filter(own).cloned().collect();
        let expected: Vec<_> = (0..200).map(|n| format!("n({thread},{n})")).collect();
        assert_eq!(of_thread, expected);
    }
    for client in &mut clients[1..] {
        assert_eq!(got(client).await, first);
    }
    drop(clients);
    site.end().await;
}

/// What is emitted on connecting follows the answer to CONNECT and goes before what is broadcast
/// later.
#[tokio::test]
async fn first_the_answer_then_what_connecting_brings() {
    let site = Site::new();
    site.io.main().middleware(|socket: Socket| async move {
        drop(socket.join("early").unwrap());
        Ok(())
    });
    site.io.main().on_connect(|socket: Socket| async move {
        socket.emit("first", ()).unwrap();
        socket.io().to("early").emit("second", ()).unwrap();
        tokio::task::yield_now().await;
        socket.emit("third", ()).unwrap();
    });
    for transport in TRANSPORTS {
        let mut client = site.client_with(Options::over(transport)).await;
        let expected = ["first()", "second()", "third()"];
        assert_eq!(next(&mut client, 3).await, expected, "{transport:?}");
        site.io.broadcast().disconnect_sockets(true).unwrap().await;
    }
    site.end().await;
}

/// What a listener did is done before the goodbye that followed its event is handled.
#[tokio::test]
async fn a_goodbye_waits_for_what_came_before_it() {
    let site = Site::new();
    let log = Log::default();
    let noting = log.clone();
    site.io.main().on("enter", |socket: Socket, _: Args| {
        drop(socket.join("room").unwrap());
        socket.emit("welcome", ()).unwrap();
        async {}
    });
    site.io.main().on_disconnect(move |_, end| {
        noting.note(end.rooms.iter().any(|room| room.as_str() == "room").to_string());
        async {}
    });
    for transport in [Transport::Polling, Transport::WebSocket] {
        let mut engine = site.joined(transport).await;
        let packets = [r#"2["enter"]"#, "1", "0"].map(|text| EnginePacket::Text(text.to_owned()));
        engine.send_all(&packets).await.unwrap();
        assert_eq!(packet(&mut engine).await, r#"42["welcome"]"#, "{transport:?}");
        assert!(packet(&mut engine).await.starts_with("40{"), "{transport:?}");
        assert_eq!(log.wait(1).await, ["true"], "{transport:?}");
        engine.send_raw("41").await.unwrap();
        assert_eq!(log.wait(1).await, ["false"], "{transport:?}");
    }
    // The end of the connection, read at once with the event, waits for it too.
    let mut engine = site.joined(Transport::WebSocket).await;
    let event = frame::masked(Opcode::Text, br#"42["enter"]"#, [1; 4]);
    let close = frame::masked(Opcode::Close, &[], [1; 4]);
    let both = [&event[..], &close[..]].concat();
    engine.websocket().unwrap().send_bytes(&both).await.unwrap();
    assert_eq!(log.wait(1).await, ["true"], "the connection's end");
    drop(engine);
    site.end().await;
}
