//! How many may connect, and how it ends.

use crate::support::{Running, WEBSOCKET, opened, status};
use fanfare::server::{BindError, Server};
use std::io::{Read, Write};
use std::time::Duration;

const REQUEST: &str = "GET /number/1 HTTP/1.1\r\nHost: a\r\n\r\n";

/// Beyond a limit a client is told to come back later; when a place is free, it can.
#[test]
fn places() {
    let in_all = Running::new(|settings| settings.max_connections = 2);
    let per_address = Running::new(|settings| {
        settings.max_connections_per_address = 2;
        settings.limit_loopback = true;
    });
    for (server, reason) in [(in_all, "connection_limit"), (per_address, "address_limit")] {
        let mut first = server.connect();
        first.send(REQUEST);
        assert_eq!(status(&first.answer()), "200");
        let mut second = server.connect();
        second.send(REQUEST);
        assert_eq!(status(&second.answer()), "200");

        let answer = server.ask(REQUEST);
        assert_eq!(status(&answer), "503");
        assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer:?}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer:?}");
        server.expect_rejected(&[(reason, 1)]);

        first.finish();
        assert_eq!(first.rest(), "");
        // Its place is free a moment after it sees the end.
        let admitted = (0..1_000).any(|_| {
            let mut client = server.connect();
            client.send(REQUEST);
            status(&client.answer()) == "200"
        });
        assert!(admitted);
    }
}

/// A WebSocket keeps its place until it is closed.
#[test]
fn websockets_keep_their_place() {
    let server = Running::new(|settings| settings.max_connections = 1);
    let mut socket = server.connect();
    socket.send(WEBSOCKET);
    assert!(opened(&mut socket.stream).starts_with("0{\"sid\":"));
    assert_eq!(status(&server.ask(REQUEST)), "503");
    drop(socket);
    let admitted = (0..1_000).any(|_| {
        let mut client = server.connect();
        client.send(REQUEST);
        status(&client.answer()) == "200"
    });
    assert!(admitted);
}

/// Loopback clients are not counted together unless that is asked for: a proxy may be one.
#[test]
fn loopback_is_exempt() {
    let server = Running::new(|settings| settings.max_connections_per_address = 1);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(REQUEST);
        assert_eq!(status(&client.answer()), "200");
    }
    server.expect_rejected(&[]);
}

/// Connections beyond the rate are refused.
#[test]
fn rate() {
    let server = Running::new(|settings| settings.max_connections_per_second = 3);
    let answers: Vec<_> = (0..50)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /number/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.rest()
        })
        .collect();
    assert!(answers.iter().take(3).all(|answer| status(answer) == "200"));
    let refused = answers.iter().filter(|answer| status(answer) == "503").count();
    assert!(refused > 0);
    server.expect_rejected(&[("connection_rate", refused as u64)]);
}

/// The end: no new connections, idle ones are closed, what was begun is answered.
#[test]
fn graceful_end() {
    let mut server = Running::new(|_| ());
    let mut idle = server.connect();
    idle.send(REQUEST);
    idle.answer();
    let mut busy = server.connect();
    busy.send(REQUEST);
    busy.answer();
    busy.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");

    server.begin_stop();
    assert_eq!(idle.rest(), "");
    busy.send("llo");
    assert!(busy.rest().ends_with("\r\n\r\nhello"));
    let address = server.address;
    server.stopped();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(server.io.is_closing());
}

/// The end comes at once for those who only wait: a parked poll is answered, a WebSocket closed.
#[test]
fn waiting_clients_are_told_of_the_end() {
    let mut server = Running::new(|settings| settings.shutdown_grace = Duration::from_secs(600));
    let mut socket = server.connect();
    socket.send(WEBSOCKET);
    opened(&mut socket.stream);
    let mut poll = server.connect();
    poll.send("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = poll.answer();
    let sid = answer.split_once("\"sid\":\"").unwrap().1.split_once('"').unwrap().0;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    poll.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    server.stopped();
    let answer = poll.answer();
    // Unless the end came before it was parked: then its session is gone.
    let told = status(&answer) == "200" && answer.ends_with('1');
    assert!(told || status(&answer) == "400", "{answer:?}");
    assert_eq!(poll.rest(), "");
    assert!(!socket.rest().is_empty());
}

/// What is not done within the grace is cut.
#[test]
fn the_end_does_not_wait_for_ever() {
    let mut server = Running::new(|settings| settings.shutdown_grace = Duration::from_millis(100));
    let mut parked = server.connect();
    parked.send("GET /parked HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut head = server.connect();
    head.send("GET / HT");
    server.stopped();
    assert!(["", "<reset>"].contains(&parked.rest().as_str()));
    assert!(["", "<reset>"].contains(&head.rest().as_str()));
}

/// A port that is taken is named in the error, which says what to do.
#[test]
fn taken_port() {
    let server = Running::new(|_| ());
    let second = Server::new(server.io.clone(), axum::Router::new());
    let error = second.bind(server.address).unwrap_err();
    assert!(matches!(error, BindError::InUse(address) if address == server.address));
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    let error = second.bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::NotHere(_)), "{error}");
}

/// A thousand connections that come and go leave nothing behind.
#[test]
fn churn() {
    let server = Running::new(|settings| settings.max_connections = 64);
    let mut canary = server.connect();
    for round in 0..1_000 {
        let mut client = server.connect();
        if round % 3 == 0 {
            client.stream.write_all(b"GET / HTTP/1.1\r\nHost").unwrap();
        }
        drop(client);
        if round % 100 == 0 {
            canary.send(REQUEST);
            assert_eq!(status(&canary.answer()), "200");
        }
    }
    // All places but the canary's are free again.
    let mut clients = Vec::new();
    while clients.len() < 63 {
        let mut client = server.connect();
        let mut answer = [0; 12];
        client.send(REQUEST);
        client.stream.read_exact(&mut answer).unwrap();
        if &answer == b"HTTP/1.1 200" {
            clients.push(client);
        }
    }
}
