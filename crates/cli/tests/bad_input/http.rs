//! A: the HTTP/1.1 layer.

use std::time::Duration;

use crate::case::{Case, Door, Profile, Step, case};
use crate::wire::{POLLING, get, poll, post, post_to, request};

const BAD: &[u16] = &[400];

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    lengths(&mut cases);
    encodings(&mut cases);
    fields(&mut cases);
    hosts(&mut cases);
    sizes(&mut cases);
    methods(&mut cases);
    codings(&mut cases);
    splitting(&mut cases);
    pipelines(&mut cases);
    cases
}

/// A request to the health check with these lines and this rest.
fn health(fields: &str, rest: &str) -> String {
    format!("POST /health HTTP/1.1\r\nHost: {{host}}\r\n{fields}\r\n{rest}")
}

/// A1–A3: how long the body is.
fn lengths(cases: &mut Vec<Case>) {
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";
    let both = [
        ("length first", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        ("encoding first", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        ("in capitals", "TRANSFER-ENCODING: chunked\r\nCONTENT-LENGTH: 6\r\n"),
        ("the same length twice", "Content-Length: 6\r\nContent-Length: 6\r\n"),
    ];
    for (what, lines) in both {
        let ambiguous = case("A1", format!("two lengths: {what}"))
            .send(health(lines, smuggled))
            .status(BAD)
            .ended()
            .rejected("http_ambiguous_length");
        cases.push(ambiguous);
    }
    cases.push(
        case("A2", "two different lengths")
            .send(health("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"))
            .status(BAD)
            .ended()
            .rejected("http_malformed"),
    );
    for (value, reason) in [
        ("+5", "http_malformed"),
        ("-5", "http_malformed"),
        (" 5", "http_odd_length"),
        ("\t5", "http_odd_length"),
        ("5,5", "http_malformed"),
        ("5, 5", "http_malformed"),
        ("0x5", "http_malformed"),
        ("5\x0b", "http_malformed"),
        ("5 5", "http_malformed"),
        ("five", "http_malformed"),
        ("", "http_malformed"),
        ("18446744073709551616", "http_malformed"),
        ("99999999999999999999999999", "http_malformed"),
    ] {
        let odd = case("A3", format!("length {value:?}"))
            .send(health(&format!("Content-Length: {value}\r\n"), "hello"))
            .status(BAD)
            .ended()
            .rejected(reason);
        cases.push(odd);
    }
}

/// A4: Transfer-Encoding, and chunks that are none.
fn encodings(cases: &mut Vec<Case>) {
    for (value, reason) in [
        ("chunked, identity", "http_malformed"),
        ("xchunked", "http_malformed"),
        ("identity", "http_malformed"),
        ("gzip", "http_malformed"),
        ("gzip, chunked", "http_transfer_encoding"),
        ("chunked, chunked", "http_transfer_encoding"),
        ("\"chunked\"", "http_malformed"),
        ("chunked;q=1", "http_malformed"),
        ("\x0bchunked", "http_malformed"),
    ] {
        let odd = case("A4", format!("Transfer-Encoding: {value:?}"))
            .send(health(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"))
            .status(BAD)
            .ended()
            .rejected(reason);
        cases.push(odd);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    cases.push(
        case("A4", "Transfer-Encoding twice")
            .send(health(twice, "0\r\n\r\n"))
            .status(BAD)
            .ended()
            .rejected("http_ambiguous_length"),
    );
    cases.push(
        case("A4", "Transfer-Encoding with HTTP/1.0")
            .send("POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .status(BAD)
            .ended()
            .rejected("http_malformed"),
    );
    for chunks in ["x\r\n", "-1\r\n", "FFFFFFFFFFFFFFFFF\r\n", "5\nhello", "3\r\nhello\r\n"] {
        let target = format!("{POLLING}&sid={{sid}}");
        let head = request("POST", &target, "Transfer-Encoding: chunked\r\n");
        let broken = case("A4", format!("chunk {chunks:?}"))
            .joined(Door::Polling)
            .send(format!("{head}{chunks}"))
            .status(BAD)
            .step(Step::Cut)
            .rejected("broken_body")
            .cause("post_aborted", 1)
            .gone();
        cases.push(broken);
    }
}

/// A6: names and values of header fields.
fn fields(cases: &mut Vec<Case>) {
    for (what, line) in [
        ("a name with a space", "X Y: 1\r\n"),
        ("a space before the colon", "X : 1\r\n"),
        ("a tab before the colon", "X\t: 1\r\n"),
        ("no name", ": 1\r\n"),
        ("no colon", "X\r\n"),
        ("a folded line", "X: 1\r\n 2\r\n"),
        ("a fold in the first line", " X: 1\r\n"),
        ("NUL in a value", "X: a\0b\r\n"),
        ("NUL in a name", "X\0: 1\r\n"),
        ("CR in a value", "X: a\rb\r\n"),
        ("a control character in a value", "X: \x01\r\n"),
        ("an escape sequence in a value", "X: \x1b[31m{secret}\r\n"),
        ("a letter beyond ASCII in a name", "X\u{e9}: 1\r\n"),
    ] {
        let bad = case("A6", what)
            .send(format!("GET /health HTTP/1.1\r\nHost: {{host}}\r\n{line}\r\n"))
            .status(BAD)
            .ended()
            .rejected("http_malformed");
        cases.push(bad);
    }
    for (what, text) in [
        ("LF alone", "GET /health HTTP/1.1\nHost: {host}\n\n"),
        ("LF alone in one line", "GET /health HTTP/1.1\r\nHost: {host}\r\nX: 1\n\r\n"),
        ("LF alone at the end", "GET /health HTTP/1.1\r\nHost: {host}\r\n\n"),
    ] {
        let bad = case("A6", what).send(text).status(BAD).ended().rejected("http_bare_line_feed");
        cases.push(bad);
    }
    cases.push(
        case("A6", "a client that does not close after its head was refused")
            .send("GET /health HTTP/1.1\r\nX Y: 1\r\n\r\n")
            .status(BAD)
            .rejected("http_malformed"),
    );
    for (what, text) in [
        ("no version", "GET /health\r\n\r\n"),
        ("version 3", "GET /health HTTP/3.0\r\nHost: {host}\r\n\r\n"),
        ("version 1.2", "GET /health HTTP/1.2\r\nHost: {host}\r\n\r\n"),
        ("two spaces", "GET  /health HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("NUL in the target", "GET /he\0alth HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ("a secret in a broken line", "GET /{secret} \x1b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        cases.push(case("A6", what).send(text).status(BAD).ended().rejected("http_malformed"));
    }
}

/// A7: which host.
fn hosts(cases: &mut Vec<Case>) {
    let head = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");
    for (what, target, hosts, reason) in [
        ("no host", POLLING, "", "http_no_host"),
        ("two hosts", POLLING, "Host: {host}\r\nHost: other\r\n", "http_repeated_host"),
        ("one host twice", POLLING, "Host: {host}\r\nHost: {host}\r\n", "http_repeated_host"),
        ("an empty host", POLLING, "Host: \r\n", "http_invalid_host"),
        ("a host with a user", POLLING, "Host: a@{host}\r\n", "http_invalid_host"),
        ("a host with a path", POLLING, "Host: {host}/x\r\n", "http_invalid_host"),
        ("a host with a space", POLLING, "Host: a b\r\n", "http_invalid_host"),
        (
            "another host in the target",
            "http://other/health",
            "Host: {host}\r\n",
            "http_other_host",
        ),
        ("another scheme", "ftp://{host}/health", "Host: {host}\r\n", "http_target"),
        ("a file", "file:///etc/passwd", "Host: {host}\r\n", "http_malformed"),
        ("no path", "*", "Host: {host}\r\n", "http_target"),
    ] {
        cases.push(case("A7", what).send(head(target, hosts)).status(BAD).ended().rejected(reason));
    }
    cases.push(
        case("A7", "the same host in the target")
            .send(head("http://{host}/health", "Host: {host}\r\n"))
            .status(&[200]),
    );
}

/// A9: heads that are too large.
fn sizes(cases: &mut Vec<Case>) {
    let large = |bytes: usize| {
        format!("GET {POLLING} HTTP/1.1\r\nHost: {{host}}\r\nX: {}\r\n\r\n", "x".repeat(bytes))
    };
    cases.push(
        case("A9", "a header of 1 MiB")
            .send(large(1 << 20))
            .status(&[431])
            .ended()
            .rejected("http_head_too_large"),
    );
    cases.push(
        case("A9", "a header of 70 000 bytes, byte by byte")
            .step(Step::Connect)
            .step(Step::Drip(large(70_000).into_bytes(), Duration::ZERO))
            .step(Step::Cut)
            .rejected("http_head_too_large"),
    );
    cases.push(
        case("A9", "1 000 headers")
            .send(request("GET", POLLING, &"X: 1\r\n".repeat(1000)))
            .status(&[431])
            .ended()
            .rejected("http_head_too_large"),
    );
    cases.push(
        case("A9", "a target of 100 000 bytes")
            .send(get(&format!("{POLLING}&x={}", "x".repeat(100_000))))
            .status(&[414, 431])
            .ended()
            .rejected("http_head_too_large"),
    );
    cases.push(
        case("A9", "a header of 20 000 bytes is none of them")
            .send(large(20_000))
            .status(&[200])
            .body_has("\"sid\""),
    );
}

/// A15, A16, A21: methods, expectations, other protocols.
fn methods(cases: &mut Vec<Case>) {
    for target in ["/health", POLLING, "/v1/publish"] {
        let trace = case("A16", format!("TRACE {target}"))
            .send(request("TRACE", target, "Authorization: Bearer {secret}\r\n"))
            .status(&[405])
            .step(Step::BodyLacks("Authorization".to_owned()))
            .ended()
            .rejected("http_method");
        cases.push(trace);
    }
    cases.push(
        case("A16", "CONNECT")
            .send("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n")
            .status(&[405])
            .ended()
            .rejected("http_method"),
    );
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "get", "PROPFIND", "X"] {
        let target = format!("{POLLING}&sid={{sid}}");
        let unsupported = case("A16", format!("{method} to a live session"))
            .joined(Door::Polling)
            .send(request(method, &target, ""))
            .status(&[405])
            .head_has("allow: GET, POST")
            .rejected("method_not_allowed")
            .alive();
        cases.push(unsupported);
    }
    for (what, bytes) in [
        ("a TLS hello", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..]),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("NULs", &[0; 64]),
        ("a WebSocket frame", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
    ] {
        let other = case("A16", what)
            .send(bytes)
            .step(Step::FinishWriting)
            .status(BAD)
            .ended()
            .rejected("http_malformed");
        cases.push(other);
    }
    // Who begins so would not understand an answer in HTTP/1.1.
    cases.push(
        case("A21", "the begin of HTTP/2")
            .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .ended()
            .rejected("http_malformed"),
    );
    cases.push(
        case("A15", "an expectation that cannot be met")
            .send(health("Expect: 200-ok\r\nContent-Length: 5\r\n", ""))
            .status(&[417])
            .ended()
            .rejected("http_expectation"),
    );
    let target = format!("{POLLING}&sid={{sid}}");
    cases.push(
        case("A15", "100-continue, and the body")
            .open(Door::Polling)
            .send(request("POST", &target, "Expect: 100-continue\r\nContent-Length: 2\r\n"))
            .status(&[100])
            .more("40")
            .status(&[200])
            .send(poll())
            .status(&[200])
            .body_has("40{\"sid\""),
    );
}

/// A19, A20: content codings.
fn codings(cases: &mut Vec<Case>) {
    for coding in ["gzip", "deflate", "br", "zstd", "identity", "x"] {
        let target = format!("{POLLING}&sid={{sid}}");
        let bomb = gzipped(&vec![b'0'; 4 << 20]);
        let fields = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", bomb.len());
        let encoded = case("A19", format!("a body in {coding}"))
            .joined(Door::Polling)
            .send([request("POST", &target, &fields).into_bytes(), bomb].concat())
            .status(&[415])
            .rejected("encoded_body")
            .alive();
        cases.push(encoded);
    }
    let accepting = request("GET", POLLING, "Accept-Encoding: gzip\r\n");
    cases.push(
        case("A20", "answers with secrets are not compressed by default")
            .send(&accepting)
            .status(&[200])
            .head_lacks("content-encoding"),
    );
    cases.push(
        case("A20", "unless it was switched on")
            .on(Profile::Compressing)
            .send(&accepting)
            .status(&[200])
            .head_has("content-encoding"),
    );
    let odd = request("GET", POLLING, "Accept-Encoding: gzip;q=x, *;q=9, \x7e\r\n");
    cases.push(
        case("A20", "an odd list of codings").on(Profile::Compressing).send(odd).status(&[200]),
    );
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A24: what a client says must not become a header of an answer.
fn splitting(cases: &mut Vec<Case>) {
    let evil = "%0d%0aX-Evil:%201%0d%0a%0d%0a";
    for (what, target, status, reason) in [
        ("in the sid", format!("{POLLING}&sid={evil}"), BAD, Some("unknown_session")),
        (
            "in the transport",
            format!("/socket.io/?EIO=4&transport={evil}"),
            BAD,
            Some("unknown_transport"),
        ),
        ("in the callback", format!("{POLLING}&j={evil}"), &[200][..], None),
        ("in a path", format!("/{evil}"), &[404][..], None),
        ("in the bundle's path", format!("/socket.io/{evil}.js"), BAD, Some("unknown_transport")),
    ] {
        let mut split = case("A24", format!("CR LF {what}"))
            .send(get(&target))
            .status(status)
            .head_lacks("x-evil")
            .step(Step::BodyLacks("X-Evil".to_owned()));
        split.rejected.extend(reason.map(|reason| (reason, 1)));
        cases.push(split);
    }
    for origin in ["https://evil.example", "null", "https://one.example.evil", "*", "\u{e9}"] {
        let request = request("GET", POLLING, &format!("Origin: {origin}\r\n"));
        cases.push(
            case("A24", format!("origin {origin}"))
                .on(Profile::Cors)
                .send(request)
                .status(&[200])
                .head_lacks("access-control-allow-origin")
                .head_has("httponly"),
        );
    }
    cases.push(
        case("A24", "an origin with a control character")
            .on(Profile::Cors)
            .send(request("GET", POLLING, "Origin: https://one.example\x01\r\n"))
            .status(BAD)
            .ended()
            .rejected("http_malformed"),
    );
    let preflight = "Origin: https://one.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: x-a, \u{e9}\u{e9}\r\n";
    cases.push(
        case("A24", "odd names of headers in a preflight")
            .on(Profile::Cors)
            .send(request("OPTIONS", POLLING, preflight))
            .status(&[204])
            .head_has("access-control-allow-origin: https://one.example"),
    );
}

/// A14: many requests at once.
fn pipelines(cases: &mut Vec<Case>) {
    const COUNT: usize = 1000;
    let mut many = case("A14", "1 000 requests in one piece").send(get("/health").repeat(COUNT));
    for _ in 0..COUNT {
        many = many.status(&[200]).body_has("ok");
    }
    cases.push(many);
    cases.push(
        case("A14", "a second request behind a refused one is not read")
            .send([post_to("/socket.io/?EIO=4", ""), get("/health").into_bytes()].concat())
            .status(BAD)
            .body_has("Transport unknown")
            .status(&[200])
            .body_has("ok")
            .rejected("unknown_transport"),
    );
    cases.push(
        case("A14", "posts to one session in one piece")
            .open(Door::Polling)
            .send([post("40"), post("6"), post("6")].concat())
            .status(&[200])
            .status(&[200])
            .status(&[200])
            .send(poll())
            .status(&[200])
            .body_has("40{\"sid\""),
    );
}
