//! Heads and bodies that HTTP/1.1 does not allow, and their neighbours that it does.

use crate::support::{Running, status};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Sends a request, and after it one that must not be answered if the first one is refused.
#[track_caller]
fn check(server: &Running, request: &str, expected: &str) {
    let next = "GET /number/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = server.ask(format!("{request}{next}"));
    assert_eq!(status(&answer), expected, "{request:?} was answered {answer:?}");
    let refused = expected.starts_with(['4', '5']);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), if refused { 1 } else { 2 }, "{answer:?}");
    if refused {
        assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer:?}");
    }
}

/// Bodies whose length can be understood in two ways are refused, and nothing behind them is
/// taken for a request.
#[test]
fn body_lengths() {
    let server = Running::new(|_| ());
    let post = |headers: &str, expected| {
        check(&server, &format!("POST /echo HTTP/1.1\r\nHost: a\r\n{headers}"), expected);
    };
    post("Content-Length: 5\r\n\r\nhello", "200");
    post("content-length:5\r\n\r\nhello", "200");
    post("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200");
    post("Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "200");
    post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "400");
    post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", "400");
    post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400");
    post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400");
    for length in
        ["+5", " 5", "5,5", "5, 5", "0x5", "5\x0b", "-1", "", "5a", "99999999999999999999"]
    {
        post(&format!("Content-Length: {length}\r\n\r\nhello"), "400");
    }
    for encoding in
        ["chunked, identity", "xchunked", "identity", "gzip, chunked", "chunked,", "\"chunked\""]
    {
        post(&format!("Transfer-Encoding: {encoding}\r\n\r\n0\r\n\r\n"), "400");
    }
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400");
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400");
}

/// Lines that are no header lines.
#[test]
fn header_lines() {
    let server = Running::new(|_| ());
    let get = |lines: &str, expected| {
        check(&server, &format!("GET /number/1 HTTP/1.1\r\n{lines}\r\n"), expected);
    };
    get("Host: a\r\nX: y\r\n", "200");
    get("Host: a\r\nX:\r\n", "200");
    get("Host: a\r\nX y: z\r\n", "400");
    get("Host : a\r\n", "400");
    get(" Host: a\r\n", "400");
    get("Host: a\r\nX: y\r\n folded\r\n", "400");
    get("Host: a\r\nX: \0\r\n", "400");
    get("Host: a\r\nX: y\rz\r\n", "400");
    get("Host: a\r\nX: y\nZ: z\r\n", "400");
    get("Host: a\r\nno colon\r\n", "400");
    get("Host: a\r\n: no name\r\n", "400");
}

/// One host, and one only.
#[test]
fn hosts_and_targets() {
    let server = Running::new(|_| ());
    let get = |target: &str, hosts: &str, expected| {
        check(&server, &format!("GET {target} HTTP/1.1\r\n{hosts}\r\n"), expected);
    };
    get("/number/1", "Host: a\r\n", "200");
    get("/number/1", "", "400");
    get("/number/1", "Host: a\r\nHost: a\r\n", "400");
    get("/number/1", "Host: a\r\nHost: b\r\n", "400");
    get("/number/1", "Host:\r\n", "400");
    get("/number/1", "Host: a b\r\n", "400");
    get("/number/1", "Host: a@b\r\n", "400");
    get("http://a/number/1", "Host: a\r\n", "200");
    get("http://b/number/1", "Host: a\r\n", "400");
    get("http://a:81/number/1", "Host: a\r\n", "400");
    get("number/1", "Host: a\r\n", "400");
    get("a:80", "Host: a\r\n", "400");
    // HTTP/1.0 has no Host, and closes.
    let answer = server.ask("GET /number/1 HTTP/1.0\r\n\r\n");
    assert_eq!(answer.lines().next(), Some("HTTP/1.0 200 OK"));
}

/// Methods that would make a proxy or an echo of the server, and what is not HTTP/1.1 at all.
#[test]
fn methods_and_other_protocols() {
    let server = Running::new(|_| ());
    check(&server, "TRACE /number/1 HTTP/1.1\r\nHost: a\r\n\r\n", "405");
    check(&server, "CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n", "405");
    check(&server, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "405");
    check(&server, "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", "400");
    check(&server, "GET /number/1\r\n\r\n", "400");
    check(&server, "GET /number/1 HTTP/3.0\r\nHost: a\r\n\r\n", "400");
    check(&server, "GET  /number/1 HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    // The beginning of HTTP/2 is closed without a word that it could understand.
    assert_eq!(server.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "");
}

/// What is refused is counted under its name, once.
#[test]
fn refusals_are_counted() {
    let server = Running::new(|_| ());
    server.ask("GET / HTTP/1.1\r\n\r\n");
    server.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    server.ask("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.ask("\x16\x03\r\n\r\n");
    server.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(80_000)));
    server.expect_rejected(&[
        ("http_no_host", 1),
        ("http_repeated_host", 1),
        ("http_method", 1),
        ("http_malformed", 1),
        ("http_head_too_large", 1),
    ]);
}

/// A head that is too large is answered 431, in one piece or dripped, by bytes or by lines.
#[test]
fn large_heads() {
    let server = Running::new(|_| ());
    let head = |count, value: &str| {
        let lines = format!("X: {value}\r\n").repeat(count);
        format!("GET /number/1 HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    check(&server, &head(99, "y"), "200");
    check(&server, &head(100, "y"), "431");
    check(&server, &head(1, &"y".repeat(60_000)), "200");
    check(&server, &head(1, &"y".repeat(1 << 20)), "431");
    check(&server, &head(1, &"y".repeat(70_000)), "431");
    let target = format!("GET /number/{} HTTP/1.1\r\nHost: a\r\n\r\n", "1".repeat(70_000));
    let answer = server.ask(target);
    assert!(["414", "431"].contains(&status(&answer)), "{answer:?}");

    let mut dripping = server.connect();
    dripping.stream.set_nodelay(true).unwrap();
    dripping.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    // It is refused before all of it is sent; the rest may find a closed connection.
    for _ in 0..70_000 {
        use std::io::Write;
        if dripping.stream.write_all(b"y").is_err() {
            break;
        }
    }
    let answer = dripping.rest();
    assert_eq!(status(&answer), "431", "{answer:?}");
}

/// A thousand requests in one segment are answered in order.
#[test]
fn pipelined_requests() {
    let server = Running::new(|_| ());
    let mut requests = String::new();
    for number in 0..1_000 {
        requests += &format!("GET /number/{number} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    requests += "GET /number/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut client = server.connect();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        sender.write_all(requests.as_bytes()).unwrap();
    });
    for number in 0..1_000 {
        let answer = client.answer();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body, number.to_string());
    }
    assert!(client.rest().ends_with("\r\n\r\nlast"));
    sending.join().unwrap();
}

/// Whoever waits to be asked for the body is asked, or told that it is not wanted.
#[test]
fn expectations() {
    let server = Running::new(|_| ());
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(client.answer(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert!(client.answer().ends_with("\r\n\r\nhello"));

    let answer =
        server.ask("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(status(&answer), "417");
}

/// A client that sends a body nobody reads gets the answer all the same, not a reset.
#[test]
fn unread_bodies() {
    let server = Running::new(|_| ());
    let body = "x".repeat(4 << 20);
    let head =
        format!("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut client = server.connect();
    client.send(head + &body);
    let answer = client.answer();
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("not read"));
}

/// Handlers see who is there.
#[test]
fn the_client_is_known() {
    let server = Running::new(|_| ());
    let mut client = server.connect();
    client.send("GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
    let local = client.stream.local_addr().unwrap().to_string();
    assert!(client.answer().ends_with(&local));
}

/// Whatever bytes come, the connection ends, with a refusal or an answer, and the server goes on.
#[test]
fn any_bytes() {
    const REQUEST: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let edit = (0..REQUEST.len(), 0..8usize, proptest::collection::vec(any::<u8>(), 0..6));
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(edit, 1..6).prop_map(|edits| {
            edits.into_iter().fold(REQUEST.to_vec(), |mut request, (at, removed, inserted)| {
                let at = at.min(request.len());
                let end = (at + removed).min(request.len());
                request.splice(at..end, inserted);
                request
            })
        }),
    ];
    let server = Running::new(|_| ());
    let mut runner = TestRunner::new(Config::with_cases(300));
    let result = runner.run(&bytes, |bytes| {
        let mut client = server.connect();
        client.send(&bytes);
        client.finish();
        let answer = client.rest();
        let ended = answer.is_empty() || answer.starts_with("HTTP/1.") || answer == "<reset>";
        prop_assert!(ended, "{:?}", answer);
        Ok(())
    });
    result.unwrap();
    let mut canary = server.connect();
    canary.send("GET /number/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status(&canary.answer()), "200");
}
