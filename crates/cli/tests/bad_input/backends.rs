//! J, K: the HTTP API for backends, and what is for operators.

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::request;

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    keys(&mut cases);
    bodies(&mut cases);
    batches(&mut cases);
    others(&mut cases);
    files(&mut cases);
    cases
}

const JSON: &str = "Content-Type: application/json\r\n";
const KEY: &str = "Authorization: Bearer {key}\r\n";

fn sent(method: &str, target: &str, fields: &str, body: &str) -> String {
    let length = format!("Content-Length: {}\r\n", body.len());
    format!("{}{body}", request(method, target, &format!("{fields}{length}")))
}

/// Every route that is for backends, with a body that is right.
const ROUTES: [(&str, &str, &str); 31] = [
    ("POST", "/v1/publish", r#"{"event":"x","all":true}"#),
    ("POST", "/v1/publish/batch", r#"{"events":[{"event":"x","all":true}]}"#),
    ("GET", "/v1/rooms", ""),
    ("POST", "/v1/rooms", r#"{"roomId":"r"}"#),
    ("GET", "/v1/rooms/r", ""),
    ("PATCH", "/v1/rooms/r", r#"{"name":"n"}"#),
    ("DELETE", "/v1/rooms/r", ""),
    ("GET", "/v1/rooms/r/members", ""),
    ("GET", "/v1/rooms/r/stats", ""),
    ("GET", "/v1/rooms/r/messages", ""),
    ("POST", "/v1/rooms/r/messages", r#"{"content":"x"}"#),
    ("GET", "/v1/users/7", ""),
    ("POST", "/v1/users/7/disconnect", "{}"),
    ("GET", "/v1/users/7/unread", ""),
    ("POST", "/v1/sockets/AAAAAAAAAAAAAAAAAAAA/disconnect", "{}"),
    ("POST", "/v1/cleanup", r#"{"minutes":60}"#),
    ("GET", "/v1/stats", ""),
    ("PUT", "/v1/jobs/7", r#"{"status":"running"}"#),
    ("GET", "/v1/jobs/7", ""),
    ("POST", "/v1/notifications", r#"{"users":["7"],"notification":{"a":1}}"#),
    ("POST", "/v1/announcements", r#"{"announcement":{"a":1}}"#),
    ("POST", "/v1/auth/revoke", r#"{"user":"7"}"#),
    ("GET", "/v1/presence/7", ""),
    ("GET", "/v1/sessions/7/participants", ""),
    ("POST", "/v1/sessions/7/events", r#"{"eventType":"x","payload":{}}"#),
    ("GET", "/v1/rooms/r/receipts", ""),
    ("PATCH", "/v1/messages/7", r#"{"content":"x"}"#),
    ("DELETE", "/v1/messages/7", ""),
    ("GET", "/v1/jobs", ""),
    ("DELETE", "/v1/jobs/7", ""),
    ("GET", "/v1/users/7/status", ""),
];

/// J1, K3: without the key, with a wrong one, with one in the query: all the same.
fn keys(cases: &mut Vec<Case>) {
    for (method, target, body) in ROUTES {
        for (what, fields, query) in [
            ("no key", "", ""),
            ("a wrong key", "Authorization: Bearer wrong\r\n", ""),
            ("a key in the query", "", "?api_key={key}"),
            ("a key in a cookie", "Cookie: api_key={key}\r\n", ""),
            ("a key in another header", "X-Api-Key: {key}\r\n", ""),
        ] {
            let refused = case("J1", format!("{method} {target}: {what}"));
            let fields = format!("{fields}{JSON}");
            let refused = refused.send(sent(method, &format!("{target}{query}"), &fields, body));
            cases.push(refused.status(&[401]).body_has("\"code\":\"AUTH_REQUIRED\""));
        }
    }
}

/// J3, J4, J5, J12: bodies that are none.
fn bodies(cases: &mut Vec<Case>) {
    for (row, body) in [
        ("J3", r#"{"event":"x","rooms":null}"#),
        ("J3", r#"{"event":"x","room":["a"]}"#),
        ("J3", r#"{"event":"x","rooms":"a"}"#),
        ("J3", r#"{"event":"x","rooms":[]}"#),
        ("J3", r#"{"event":"x","rooms":[null]}"#),
        ("J3", r#"{"event":"x","rooms":[["a"]]}"#),
        ("J3", r#"{"event":"x"}"#),
        ("J3", r#"{"event":"x","all":false}"#),
        ("J3", r#"{"event":"x","all":1}"#),
        ("J3", r#"{"event":"x","all":true,"rooms":["a"]}"#),
        ("J3", r#"{"event":"x","rooms":["a"],"rooms":["b"]}"#),
        ("J4", r#"{"event":"","all":true}"#),
        ("J4", r#"{"event":"connect","all":true}"#),
        ("J4", r#"{"event":"disconnecting","all":true}"#),
        ("J4", r#"{"event":"a\r\nb","all":true}"#),
        ("J4", r#"{"event":7,"all":true}"#),
        ("J5", "{"),
        ("J5", "[]"),
        ("J5", ""),
        ("J5", "\u{feff}{\"event\":\"x\",\"all\":true}"),
    ] {
        let refused = case(row, format!("body {body:?}"));
        let refused = refused.send(sent("POST", "/v1/publish", &format!("{KEY}{JSON}"), body));
        cases.push(refused.status(&[400]).body_has("\"ok\":false"));
    }
    let long = format!(r#"{{"event":"{}","all":true}}"#, "e".repeat(300));
    let refused = case("J4", "a long name");
    let refused = refused.send(sent("POST", "/v1/publish", &format!("{KEY}{JSON}"), &long));
    cases.push(refused.status(&[400]).body_has("event"));
    let body = r#"{"event":"x","rooms":["nobody"]}"#;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
    {
        let fields = format!("{KEY}Content-Type: {kind}\r\n");
        let refused = case("J12", kind).send(sent("POST", "/v1/publish", &fields, body));
        cases.push(refused.status(&[415]));
    }
    let zipped = format!("{KEY}{JSON}Content-Encoding: gzip\r\n");
    cases.push(case("J5", "gzip").send(sent("POST", "/v1/publish", &zipped, body)).status(&[415]));
    let announced = format!("{KEY}{JSON}Content-Length: 100000000\r\n");
    let large = case("J5", "100 MB are announced").send(request("POST", "/v1/publish", &announced));
    cases.push(large.status(&[413]));
    let half = format!("{KEY}{JSON}Content-Length: 1000\r\n");
    let gone = case("J10", "the client goes in the middle of a body");
    let gone = gone.send(format!("{}{{\"event\":\"x\"", request("POST", "/v1/publish", &half)));
    cases.push(gone.step(Step::Taken).step(Step::Abort));
    for id in ["a\u{1b}[31mb", "{secret}", &"x".repeat(5_000)] {
        let fields = format!("{KEY}{JSON}X-Request-Id: {id}\r\nTraceparent: {id}\r\n");
        let odd =
            case("J14", "an id of a request").send(sent("POST", "/v1/publish", &fields, body));
        let odd = odd.status(&[200, 400]).head_lacks("x-request-id");
        cases.push(odd.perhaps_rejected("http_malformed"));
    }
    for key in ["", &"k".repeat(10_000), "\u{e9}"] {
        let fields = format!("{KEY}{JSON}Idempotency-Key: {key}\r\n");
        let odd = case("J10", format!("an idempotency key of {} bytes", key.len()));
        cases.push(odd.send(sent("POST", "/v1/publish", &fields, body)).status(&[400]));
    }
}

/// J7: many at once.
fn batches(cases: &mut Vec<Case>) {
    let one = r#"{"event":"x","rooms":["a"]}"#;
    let many = vec![one; 1_001].join(",");
    for (what, body) in [
        ("more than the cap", format!(r#"{{"events":[{many}]}}"#)),
        ("none", r#"{"events":[]}"#.to_owned()),
        ("no list", r#"{"events":{}}"#.to_owned()),
        ("another word", format!(r#"{{"messages":[{one}]}}"#)),
    ] {
        let refused = case("J7", what);
        let refused =
            refused.send(sent("POST", "/v1/publish/batch", &format!("{KEY}{JSON}"), &body));
        cases.push(refused.status(&[400]).body_has("\"ok\":false"));
    }
    let body = format!(r#"{{"events":[{one},{{"event":"","rooms":["a"]}},7,{one}]}}"#);
    let partly =
        case("J7", "some are wrong: each has its answer").joined(Door::WebSocket).room("a");
    let partly = partly.send(sent("POST", "/v1/publish/batch", &format!("{KEY}{JSON}"), &body));
    let partly = partly.status(&[200, 400]).body_has("\"ok\":false").step(Step::Use(0));
    cases.push(partly);
}

/// J13: what is not there, and what is not one's own.
fn others(cases: &mut Vec<Case>) {
    for (method, target) in [
        ("GET", "/v1/rooms/nowhere"),
        ("GET", "/v1/jobs/nothing"),
        ("DELETE", "/v1/rooms/nowhere"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/"),
        ("GET", "/v1"),
    ] {
        let missing = case("J13", format!("{method} {target}"));
        let missing = missing.send(sent(method, target, KEY, "")).status(&[404]);
        cases.push(missing.body_has("\"ok\":false"));
    }
    for (method, target, _) in ROUTES {
        for odd in ["/%00", "/..%2f", "/%ff", "//"] {
            let odd = format!("{target}{odd}");
            let strange = case("J13", format!("{method} {odd}"));
            let strange = strange.send(sent(method, &odd, &format!("{KEY}{JSON}"), "{}"));
            cases.push(strange.status(&[400, 404, 405]).body_has("\"ok\":false"));
        }
    }
}

/// K9, K11: a flood that is written of, and files.
fn files(cases: &mut Vec<Case>) {
    for target in [
        "/socket.io/..%2f..%2fetc%2fpasswd",
        "/socket.io/../../etc/passwd",
        "/v1/docs/..%2f..%2f..%2fetc/passwd",
        "/v1/docs/../../../etc/passwd",
        "/v1/docs/%2e%2e/%2e%2e/etc/passwd",
        "/v1/docs/nothing.js",
        "/../../../etc/passwd",
        "/..%5c..%5cwindows",
        "/admin",
        "/debug/pprof",
    ] {
        let missing = case("K11", format!("GET {target}")).send(request("GET", target, ""));
        cases.push(missing.status(&[400, 404]).perhaps_rejected("unknown_transport"));
    }
    let ranges: Vec<String> = (0..1_000).map(|at| format!("{at}-{}", at + 1)).collect();
    let range = format!("Range: bytes={}\r\n", ranges.join(","));
    for target in ["/socket.io/socket.io.js", "/v1/docs/swagger-ui-bundle.js"] {
        let many = case("K11", format!("a thousand ranges of {target}"));
        cases.push(many.send(request("GET", target, &range)).status(&[200, 404, 416]));
    }
    // Each is refused and counted; the harness looks at how much was written of them.
    let count = scaled(500);
    let flood = case("K9", "many refusals").on(Profile::Standard).step(Step::Crowd(
        count,
        request("GET", "/v1/stats", "Authorization: Bearer {secret}\r\n").into_bytes(),
        crate::case::Fate::Answered(&[401]),
    ));
    cases.push(flood);
}
