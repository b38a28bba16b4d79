//! B: the Engine.IO handshake and long polling.

use crate::case::{Case, Door, Fate, Profile, Step, case, scaled};
use crate::wire::{POLLING, WEBSOCKET, get, poll, post, post_to, request, upgrade};

const BAD: &[u16] = &[400];
const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
pub(crate) const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
pub(crate) const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
const UNSUPPORTED: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    handshakes(&mut cases);
    overlaps(&mut cases);
    sizes(&mut cases);
    payloads(&mut cases);
    broken_off(&mut cases);
    jsonp(&mut cases);
    sids(&mut cases);
    other_methods(&mut cases);
    cases.extend(crate::revision_3::cases());
    cases
}

/// B1–B4: requests that open no session.
fn handshakes(cases: &mut Vec<Case>) {
    for eio in
        ["", "&EIO=3", "&EIO=5", "&EIO=4x", "&EIO=", "&EIO=4&EIO=3", "&EIO=04", "&EIO=%34%00"]
    {
        cases.push(
            case("B1", format!("protocol {eio:?}"))
                .send(get(&format!("/socket.io/?transport=polling{eio}")))
                .status(BAD)
                .body(UNSUPPORTED)
                .head_has("cache-control: no-store")
                .rejected("unsupported_revision"),
        );
    }
    for transport in [
        "",
        "&transport=",
        "&transport=flashsocket",
        "&transport=constructor",
        "&transport=__proto__",
        "&transport=toString",
        "&transport=webtransport",
        "&transport=Polling",
        "&transport=polling%00",
        "&transport=polling&transport=x",
        "&transport[]=polling",
        "&transport=%ff%fe",
    ] {
        cases.push(
            case("B2", format!("transport {transport:?}"))
                .send(get(&format!("/socket.io/?EIO=4{transport}")))
                .status(BAD)
                .body(UNKNOWN_TRANSPORT)
                .rejected("unknown_transport"),
        );
    }
    cases.push(
        case("B2", "an upgrade for an unknown transport")
            .send(upgrade("/socket.io/?EIO=4&transport=__proto__"))
            .status(BAD)
            .body("Transport unknown")
            .ended()
            .rejected("unknown_transport"),
    );
    cases.push(
        case("B3", "a WebSocket by plain GET")
            .send(get(WEBSOCKET))
            .status(BAD)
            .body(BAD_REQUEST)
            .rejected("plain_websocket"),
    );
    cases.push(
        case("B3", "an upgrade for polling")
            .send(upgrade(POLLING))
            .status(BAD)
            .body("Bad request")
            .ended()
            .rejected("upgrade_to_polling"),
    );
    for method in ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get"] {
        let opening = case("B4", format!("{method} without a session"))
            .send(request(method, POLLING, "Content-Length: 0\r\n"))
            .status(BAD)
            .rejected("bad_handshake_method");
        // An answer to HEAD has no body.
        cases.push(if method == "HEAD" { opening } else { opening.body(BAD_METHOD) });
    }
    cases.push(
        case("B4", "an endpoint without its slash").send(get("/socket.io?EIO=4")).status(&[404]),
    );
}

/// B6–B8: two requests where there may be one, or on the wrong transport.
fn overlaps(cases: &mut Vec<Case>) {
    cases.push(
        case("B6", "polling a session that is on a WebSocket")
            .joined(Door::WebSocket)
            .send(poll())
            .status(BAD)
            .body(BAD_REQUEST)
            .send(post("41"))
            .status(BAD)
            .body(BAD_REQUEST)
            .rejected_times("transport_mismatch", 2)
            .alive(),
    );
    cases.push(
        case("B7", "two polls at once")
            .joined(Door::Polling)
            .first(poll())
            .send(poll())
            .step(Step::Statuses([200, 400]))
            .rejected("overlapping_poll")
            .cause("overlapping_poll", 1)
            .gone(),
    );
    let target = format!("{POLLING}&sid={{sid}}");
    let half = format!("{}42[\"x\"", request("POST", &target, "Content-Length: 100\r\n"));
    cases.push(
        case("B8", "two posts at once")
            .joined(Door::Polling)
            .first(half)
            .send(post("41"))
            .status(BAD)
            .body("")
            .rejected("overlapping_post")
            .cause("overlapping_post", 1)
            .gone(),
    );
}

/// B9, B10, B11: bodies that are too large or of the wrong kind.
fn sizes(cases: &mut Vec<Case>) {
    let target = format!("{POLLING}&sid={{sid}}");
    for length in ["1000001", "1000000000000", "9223372036854775807"] {
        cases.push(
            case("B9", format!("{length} bytes announced"))
                .joined(Door::Polling)
                .send(request("POST", &target, &format!("Content-Length: {length}\r\n")))
                .status(&[413])
                .ended()
                .rejected("payload_too_large")
                .alive(),
        );
    }
    cases.push(
        case("B9", "more bytes announced than can be counted")
            .joined(Door::Polling)
            .send(request("POST", &target, "Content-Length: 18446744073709551615\r\n"))
            .status(&[400, 413, 431])
            .ended()
            .rejected("http_head_too_large")
            .alive(),
    );
    let mut chunked = request("POST", &target, "Transfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend(std::iter::repeat_n(b'4', 0x10000));
        chunked.extend_from_slice(b"\r\n");
    }
    cases.push(
        case("B10", "chunks without an end")
            .joined(Door::Polling)
            .send(chunked)
            .status(&[413])
            .ended()
            .rejected("payload_too_large")
            .alive(),
    );
    for kind in ["application/octet-stream", "APPLICATION/OCTET-STREAM"] {
        let fields = format!("Content-Type: {kind}\r\nContent-Length: 4\r\n");
        cases.push(
            case("B11", format!("a body of {kind}"))
                .joined(Door::Polling)
                .send(format!("{}\0\x01\u{7f}4", request("POST", &target, &fields)))
                .status(BAD)
                .body("")
                .rejected("binary_post")
                .cause("binary_post", 1)
                .gone(),
        );
    }
}

/// B12, B15, B16: payloads that are none. The request was read, so it is answered 200 as the
/// reference server does; only what is no text at all is answered 400.
fn payloads(cases: &mut Vec<Case>) {
    for (body, reason) in [
        ("", "empty_packet"),
        ("\u{1e}", "empty_packet"),
        ("6\u{1e}", "empty_packet"),
        ("6\u{1e}\u{1e}6", "empty_packet"),
        ("abc", "unknown_packet_type"),
        ("7", "unknown_packet_type"),
        ("\0", "unknown_packet_type"),
        ("\u{feff}6", "unknown_packet_type"),
        ("\u{e9}", "unknown_packet_type"),
        (" 6", "unknown_packet_type"),
    ] {
        cases.push(
            case("B12", format!("payload {body:?}"))
                .joined(Door::Polling)
                .send(post(body))
                .status(&[200])
                .rejected(reason)
                .cause("unparsable", 1)
                .gone(),
        );
    }
    for body in
        ["b!!!!", "b=", "bA", "bAA", "bAAA", "bAA==A", "b AAAA", "b_-__", "bAAAA\n", "bAB=="]
    {
        cases.push(
            case("B15", format!("base64 {body:?}"))
                .joined(Door::Polling)
                .send(post(body))
                .status(&[200])
                .rejected("invalid_base64")
                .cause("unparsable", 1)
                .gone(),
        );
    }
    for (what, body) in [
        ("bytes that are nowhere", &b"4\xff\xfe"[..]),
        ("a mark of UTF-16", b"\xff\xfe4\0"),
        ("an overlong slash", b"4\xc0\xaf"),
        ("half a surrogate pair", b"4\xed\xa0\x80"),
        ("half a character", b"42[\"\xe2\x82"),
        ("beyond Unicode", b"4\xf4\x90\x80\x80"),
    ] {
        cases.push(
            case("B16", what)
                .joined(Door::Polling)
                .send(post(body))
                .status(BAD)
                .body("")
                .rejected("invalid_utf8")
                .cause("unparsable", 1)
                .gone(),
        );
    }
    let mut many = "6\u{1e}".repeat(65_536);
    many.push('6');
    cases.push(
        case("B12", "more packets than a payload may have")
            .joined(Door::Polling)
            .send(post(many))
            .status(&[200])
            .rejected("too_many_packets")
            .cause("unparsable", 1)
            .gone(),
    );
}

/// B18, B19: requests that are dropped.
fn broken_off(cases: &mut Vec<Case>) {
    for (what, step) in [("reset", Step::Abort), ("closed", Step::FinishWriting)] {
        cases.push(
            case("B18", format!("a poll that waits is {what}"))
                .joined(Door::Polling)
                .first(poll())
                .step(step.clone())
                .step(Step::Caused("poll_aborted"))
                .cause("poll_aborted", 1)
                .gone(),
        );
        let target = format!("{POLLING}&sid={{sid}}");
        let half = format!("{}42[\"x\"", request("POST", &target, "Content-Length: 100\r\n"));
        let chunk = "Transfer-Encoding: chunked\r\n";
        for (how, bytes) in [
            ("with a length", half),
            ("in chunks", format!("{}5\r\n42[\"", request("POST", &target, chunk))),
        ] {
            cases.push(
                case("B19", format!("a post {how} is {what} in the middle"))
                    .joined(Door::Polling)
                    .first(bytes)
                    .step(step.clone())
                    .step(Step::Caused("post_aborted"))
                    .rejected("broken_body")
                    .cause("post_aborted", 1)
                    .gone(),
            );
        }
    }
}

/// B20: polling by script tags.
fn jsonp(cases: &mut Vec<Case>) {
    for (callback, head) in [
        ("0", "___eio[0](\""),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "___eio[1](\""),
        ("0);alert(1);//", "___eio[01](\""),
        ("", "___eio[](\""),
        ("99999999999999999999999999", "___eio[9999999999999999](\""),
    ] {
        cases.push(
            case("B20", format!("callback {callback:?}"))
                .send(get(&format!("{POLLING}&j={callback}")))
                .status(&[200])
                .head_has("content-type: text/javascript")
                .body_has(head)
                .step(Step::BodyLacks("alert".to_owned())),
        );
    }
    let target = format!("{POLLING}&sid={{sid}}&j=0");
    for body in ["d=40", "d=4%30", "x=1&d=40"] {
        cases.push(
            case("B20", format!("form {body:?}"))
                .open(Door::Polling)
                .send(post_to(&target, body))
                .status(&[200])
                .send(poll())
                .status(&[200])
                .body_has("40{\"sid\""),
        );
    }
    for body in ["", "x=1", "d=40&d=41", "40"] {
        cases.push(
            case("B20", format!("a form without a payload: {body:?}"))
                .joined(Door::Polling)
                .send(post_to(&target, body))
                .status(&[200])
                .alive(),
        );
    }
    cases.push(
        case("B20", "a form that is not UTF-8")
            .joined(Door::Polling)
            .send(post_to(&target, "d=4%ff%fe"))
            .status(BAD)
            .rejected("invalid_utf8")
            .cause("unparsable", 1)
            .gone(),
    );
}

/// B22, B23: sids.
fn sids(cases: &mut Vec<Case>) {
    let long = "x".repeat(10_000);
    for sid in [
        "x",
        "__proto__",
        "constructor",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAD_",
        "AAAAAAAAAAAAAAAAAAAA__",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "%00",
        "%ff",
        "..%2f..%2f",
        "%7bsecret%7d",
        &long,
    ] {
        let target = format!("{POLLING}&sid={sid}");
        let name = &sid[..sid.len().min(30)];
        cases.push(
            case("B22", format!("sid {name:?}"))
                .send(get(&target))
                .status(BAD)
                .body(UNKNOWN_SESSION)
                .head_has("cache-control: no-store")
                .send(post_to(&target, "4{secret}"))
                .status(BAD)
                .body(UNKNOWN_SESSION)
                .send(upgrade(&format!("{WEBSOCKET}&sid={sid}")))
                .status(BAD)
                .body("Session ID unknown")
                .rejected_times("unknown_session", 3),
        );
    }
    guesses(cases);
    ends(cases);
}

/// B22: who guesses.
fn guesses(cases: &mut Vec<Case>) {
    let guesses = scaled(300);
    let guess = get(&format!("{POLLING}&sid=canaryAAAAAAAAAAAAAAAA")).into_bytes();
    cases.push(
        case("B22", "many guesses")
            .step(Step::Crowd(guesses, guess, Fate::Answered(BAD)))
            .rejected_times("unknown_session", guesses),
    );
}

/// B23, B24: sessions that are over, and what must not be told of them.
fn ends(cases: &mut Vec<Case>) {
    cases.push(
        case("B23", "a sid after the session's end")
            .joined(Door::Polling)
            .send(post("1"))
            .status(&[200])
            .cause("close_packet", 1)
            .gone()
            .send(post("40"))
            .status(BAD)
            .body(UNKNOWN_SESSION)
            .rejected("unknown_session"),
    );
    cases.push(
        case("B23", "packets behind a close packet are not handled")
            .joined(Door::Polling)
            .send(post("1\u{1e}42[\"room:join\",{\"roomId\":\"r\"}]\u{1e}x"))
            .status(&[200])
            .cause("close_packet", 1)
            .gone(),
    );
    cases.push(
        case("B24", "secrets in every place a log might take them from")
            .send(request(
                "GET",
                &format!("{POLLING}&token={{secret}}"),
                "Authorization: Bearer {secret}\r\nCookie: session={secret}\r\n\
                 Referer: http://{host}/?t={secret}\r\nUser-Agent: {secret}\r\nX-Api-Key: {secret}\r\n",
            ))
            .status(&[200])
            .joined(Door::WebSocket)
            .text("42[\"{secret}\",{\"token\":\"{secret}\"}]")
            .text("40/{secret},{\"token\":\"{secret}\"}")
            .hears("44/{secret},{\"message\":\"Invalid namespace\"}")
            .text("42[\"room:join\",{\"roomId\":\"{secret}\"}]")
            .alive()
            .text("4x{secret}")
            .closes_empty()
            .rejected("namespace_unknown")
            .rejected("unknown_type"),
    );
}

/// B25, B27: methods that must not touch a session, and caches.
fn other_methods(cases: &mut Vec<Case>) {
    let target = format!("{POLLING}&sid={{sid}}");
    for method in ["HEAD", "OPTIONS"] {
        cases.push(
            case("B25", format!("{method} consumes nothing"))
                .open(Door::Polling)
                .send(post("40"))
                .status(&[200])
                .send(request(method, &target, ""))
                .status(&[405])
                .send(poll())
                .status(&[200])
                .body_has("40{\"sid\"")
                .rejected("method_not_allowed"),
        );
    }
    cases.push(
        case("B25", "a preflight touches no session")
            .on(Profile::Cors)
            .joined(Door::Polling)
            .send(request("OPTIONS", &target, "Origin: https://two.example\r\n"))
            .status(&[204])
            .alive(),
    );
    cases.push(
        case("B27", "no answer of a session may be kept")
            .send(get(POLLING))
            .status(&[200])
            .head_has("cache-control: no-store")
            .open(Door::Polling)
            .send(post("40"))
            .status(&[200])
            .send(poll())
            .status(&[200])
            .head_has("cache-control: no-store"),
    );
}
