//! Clients that take their time on purpose.

use crate::support::{Running, status};
use fanfare::server::ServerSettings;
use std::io::Read;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(600);

/// All deadlines so long that they are not met.
fn patient(settings: &mut ServerSettings) {
    settings.header_deadline = LONG;
    settings.idle_deadline = LONG;
    settings.stall_deadline = LONG;
}

/// A connection on which nothing is sent is closed.
#[test]
fn silence() {
    let server = Running::new(|settings| {
        patient(settings);
        settings.header_deadline = SHORT;
    });
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.rest(), "");
    }
    server.expect_rejected(&[("silent_connection", 50)]);
}

/// A head that does not end is cut, however steadily it comes: the first on a connection, and one
/// after others.
#[test]
fn dripping_heads() {
    let server = Running::new(|settings| {
        patient(settings);
        settings.header_deadline = SHORT;
    });
    for requests_before in 0..2 {
        let mut client = server.connect();
        for _ in 0..requests_before {
            client.send("GET /number/1 HTTP/1.1\r\nHost: a\r\n\r\n");
            client.answer();
        }
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
        client.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut end = [0];
        loop {
            use std::io::Write;
            let sent = client.stream.write_all(b"y");
            if sent.is_err() || matches!(client.stream.read(&mut end), Ok(0)) {
                break;
            }
        }
    }
    server.expect_rejected(&[("header_deadline", 2)]);
}

/// A connection that is not used again is closed, which is nobody's fault.
#[test]
fn idle_connections() {
    let server = Running::new(|settings| {
        patient(settings);
        settings.idle_deadline = SHORT;
    });
    let mut client = server.connect();
    client.send("GET /number/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status(&client.answer()), "200");
    assert_eq!(client.rest(), "");
    server.expect_rejected(&[]);
}

/// A request that is being answered has no deadline, however long the others are exceeded.
#[test]
fn parked_requests() {
    let server = Running::new(|settings| {
        settings.header_deadline = Duration::from_millis(20);
        settings.idle_deadline = Duration::from_millis(20);
        settings.stall_deadline = Duration::from_millis(20);
    });
    let answer = server.ask("GET /patient HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status(&answer), "200");
    server.expect_rejected(&[]);
}

/// A client that goes away while it is waited for is noticed: its handler is dropped.
#[test]
fn parked_requests_end_with_their_client() {
    let mut server = Running::new(patient);
    let mut client = server.connect();
    client.send("GET /parked HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish();
    assert_eq!(client.rest(), "");
    // Nothing is left to wait for.
    server.stopped();
}

/// A body that does not come on is cut.
#[test]
fn dripping_bodies() {
    let server = Running::new(|settings| {
        patient(settings);
        settings.stall_deadline = SHORT;
    });
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    client.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    loop {
        use std::io::Write;
        let sent = client.stream.write_all(b"y");
        let read = client.stream.read(&mut [0]);
        if sent.is_err() || !matches!(&read, Err(error) if is_timeout(error)) {
            break;
        }
    }
    server.expect_rejected(&[("slow_body", 1)]);
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// A client that does not read its answer is cut, and what waits for it is given up; one that
/// reads at any pace gets all of it.
#[test]
fn slow_readers() {
    let server = Running::new(|settings| {
        patient(settings);
        settings.stall_deadline = SHORT;
    });
    let request = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut stalled = server.connect();
    stalled.send(request);
    server.expect_rejected(&[("slow_reader", 1)]);
    let answer = stalled.rest();
    assert!(answer.len() < 64 << 20, "all was sent: {} bytes", answer.len());

    let mut reader = server.connect();
    reader.send(request);
    assert!(reader.rest().len() > 64 << 20);
    server.expect_rejected(&[("slow_reader", 1)]);
}
