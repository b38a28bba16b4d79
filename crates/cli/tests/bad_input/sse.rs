//! I: streams of server-sent events; and H5, G8: by this door nobody gets into a room, or another
//! origin to an answer, that is closed elsewhere.

use std::time::Duration;

use crate::case::{Case, MORE_THAN_THE_SYSTEM_KEEPS, Profile, Step, case, scaled};
use crate::wire::{get, request};

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    questions(&mut cases);
    rooms(&mut cases);
    origins(&mut cases);
    texts(&mut cases);
    positions(&mut cases);
    heads(&mut cases);
    readers(&mut cases);
    cases
}

fn asked(query: &str, fields: &str) -> String {
    request("GET", &format!("/v1/sse{query}"), fields)
}

/// A stream that is open, and what it says first.
fn open(row: &'static str, what: &str, query: &str, fields: &str) -> Case {
    case(row, what).send(asked(query, fields)).reads("event: ready\n").reads("\n\n")
}

fn published(body: &str) -> String {
    let fields = format!(
        "Authorization: Bearer {{key}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    format!("{}{body}", request("POST", "/v1/publish", &fields))
}

/// I14, I9: what is asked, and how.
fn questions(cases: &mut Vec<Case>) {
    for (query, code) in [
        ("", "INVALID_REQUEST"),
        ("?", "INVALID_REQUEST"),
        ("?namespace=/", "INVALID_REQUEST"),
        ("?rooms=a&rooms=b", "INVALID_REQUEST"),
        ("?rooms=a&lastEventId=x&lastEventId=y", "INVALID_REQUEST"),
        ("?rooms=a&token=x&token=y", "INVALID_REQUEST"),
        ("?rooms=a&key=x", "INVALID_REQUEST"),
        ("?room=a", "INVALID_REQUEST"),
        ("?rooms[]=a", "INVALID_REQUEST"),
        ("?rooms=a&namespace=/nowhere", "UNKNOWN_NAMESPACE"),
        ("?rooms=a&namespace=", "UNKNOWN_NAMESPACE"),
    ] {
        let refused = case("I9", format!("query {query:?}"));
        cases.push(refused.send(asked(query, "")).status(&[400]).body_has(code));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let sent = request(method, "/v1/sse?rooms=a", "Content-Length: 0\r\n");
        let refused = case("I14", format!("{method}: nothing is sent by this door")).send(sent);
        cases.push(refused.status(&[405]).head_has("allow: GET"));
    }
    let head = request("HEAD", "/v1/sse?rooms=a", "");
    cases.push(case("I14", "the head of a stream").send(head).status(&[405]));
    for accept in ["application/json", "text/html", "image/*", "\u{1}"] {
        let sent = asked("?rooms=a", &format!("Accept: {accept}\r\n"));
        let status: &[u16] = if accept == "\u{1}" { &[400] } else { &[406] };
        let refused = case("I9", format!("Accept: {accept:?}")).send(sent).status(status);
        cases.push(if accept == "\u{1}" { refused.rejected("http_malformed") } else { refused });
    }
    let many = open("I9", "many rooms by one stream", "?rooms=a,b,c,d", "Accept: */*\r\n");
    let body = r#"{"event":"x","args":[1],"rooms":["a"]}"#;
    let other = r#"{"event":"x","args":[2],"rooms":["d"]}"#;
    let many = many.send(published(body)).status(&[200]).send(published(other)).status(&[200]);
    cases.push(many.step(Step::Use(0)).reads("data: [1]\n\n").reads("data: [2]\n\n"));
}

/// H2, H5: rooms that are none, or not for everybody.
fn rooms(cases: &mut Vec<Case>) {
    let long = "r".repeat(256);
    for (room, status, code) in [
        ("", &[400], "INVALID_MESSAGE"),
        ("a,,b", &[400], "INVALID_MESSAGE"),
        ("a%00", &[400], "INVALID_MESSAGE"),
        ("a%0D%0Adata:%20x", &[400], "INVALID_MESSAGE"),
        ("%2A", &[400], "INVALID_MESSAGE"),
        ("a%23b", &[400], "INVALID_MESSAGE"),
        ("%FF", &[400], "INVALID_MESSAGE"),
        ("r%C3%B6om", &[400], "INVALID_MESSAGE"),
        ("$system", &[400], "INVALID_MESSAGE"),
        (&long, &[400], "INVALID_MESSAGE"),
        ("user:7", &[403], "PERMISSION_DENIED"),
        ("a,user:7", &[403], "PERMISSION_DENIED"),
        ("%75ser%3A7", &[403], "PERMISSION_DENIED"),
        ("PWuJ1IT4M4LrwHUgAAAA", &[403], "PERMISSION_DENIED"),
        ("a&user=7", &[403], "PERMISSION_DENIED"),
    ] as [(&str, &'static [u16], &str); 15]
    {
        let refused = case("H5", format!("rooms={}", &room[..room.len().min(40)]));
        let refused = refused.send(asked(&format!("?rooms={room}"), "")).status(status);
        cases.push(refused.body_has(code));
    }
    for key in ["Bearer wrong", "Bearer ", "Basic {key}", "{key}"] {
        let sent = asked("?rooms=a", &format!("Authorization: {key}\r\n"));
        cases.push(case("H5", format!("key {key:?}")).send(sent).status(&[401]));
    }
    let key = "Authorization: Bearer {key}\r\n";
    let user = open("H5", "a user's stream, with the key", "?user=7", key);
    let body = r#"{"event":"x","args":[1],"users":["7"]}"#;
    cases.push(user.send(published(body)).status(&[200]).step(Step::Use(0)).reads("data: [1]\n"));
    let bad = asked("?user=a%0Ab", key);
    cases.push(case("H5", "a user that is none").send(bad).status(&[400]).body_has("\"user\""));
    let sent = asked("?rooms=a,b,c,d", "");
    let many = case("H1", "more rooms than a socket may have").on(Profile::Narrow).send(sent);
    cases.push(many.status(&[400]).body_has("TOO_MANY_ROOMS"));
}

/// G8, I10: pages of other origins.
fn origins(cases: &mut Vec<Case>) {
    // Without cookies it acts for nobody, and the browser keeps the answer from it.
    let strange = "Origin: https://evil.example\r\n";
    let evil = "Origin: https://evil.example\r\nCookie: a=b\r\n";
    for profile in [Profile::Standard, Profile::Cors] {
        let open = case("G8", "a page of another origin").on(profile);
        cases.push(open.send(asked("?rooms=a", strange)).reads("event: ready\n"));
        let closed = case("G8", "a page of another origin, with its visitor's cookies").on(profile);
        let closed = closed.send(asked("?rooms=a", evil)).status(&[403]).rejected("origin");
        cases.push(closed.body_has("cors.origins").head_lacks("access-control-allow-origin"));
    }
    let named = "Origin: https://one.example\r\n";
    let open = case("I10", "a page that is named").on(Profile::Cors).send(asked("?rooms=a", named));
    cases.push(open.reads("access-control-allow-origin: https://one.example\r\n").reads("ready"));
    let refused = case("I10", "a refusal").on(Profile::Cors).send(asked("?x=a", evil));
    let refused = refused.status(&[403]).rejected("origin").head_has("vary: origin");
    cases.push(refused.head_lacks("access-control-allow-origin"));
    let refused = case("I10", "a refusal").on(Profile::Cors).send(asked("?x=a", strange));
    cases.push(refused.status(&[400]).head_lacks("access-control-allow-origin").head_has("vary"));
}

/// I3, I4: what would be read as another line.
fn texts(cases: &mut Vec<Case>) {
    for (what, body, expected) in [
        (
            "leading spaces and colons",
            r#"{"event":" :x","args":[" a",":b"," : "],"rooms":["a"]}"#,
            "\nevent:  :x\ndata: [\" a\",\":b\",\" : \"]\n\n",
        ),
        (
            "byte order marks and separators",
            "{\"event\":\"\u{feff}x\",\"args\":[\"\u{feff}\u{2028}\u{2029}\"],\"rooms\":[\"a\"]}",
            "\nevent: \u{feff}x\ndata: [\"\u{feff}\u{2028}\u{2029}\"]\n\n",
        ),
        (
            "line breaks in texts",
            r#"{"event":"x","args":["a\n\nid: 7\r\ndata: b\u0000"],"rooms":["a"]}"#,
            "\nevent: x\ndata: [\"a\\n\\nid: 7\\r\\ndata: b\\u0000\"]\n\n",
        ),
        (
            "line breaks between tokens",
            "{\"event\":\"x\",\"args\":[1,\n\n\r\n 2\r],\"rooms\":[\"a\"]}",
            "\nevent: x\ndata: [1,     2]\n\n",
        ),
    ] {
        let stream = open("I4", what, "?rooms=a", "");
        let sent = stream.send(published(body)).status(&[200]).step(Step::Use(0));
        cases.push(sent.reads("\nid: ").reads(expected));
    }
    for name in [r"a\nb", r"a\r", r"\u0000", r"a\u0085"] {
        let body = format!(r#"{{"event":"{name}","args":[],"rooms":["a"]}}"#);
        cases.push(case("I3", format!("event {name:?}")).send(published(&body)).status(&[400]));
    }
}

/// I6: where a client says that it was.
fn positions(cases: &mut Vec<Case>) {
    let known = "AAAAAAAAAAA.1";
    let long = "A".repeat(8_000);
    for (what, query, header, reason) in [
        ("no position", "x", None, "offset_invalid"),
        ("a Redis id", "1795187735553-0", None, "offset_invalid"),
        ("a number", "7", None, "offset_invalid"),
        ("controls", "%00%0D%0Aid:x", None, "offset_invalid"),
        ("long", &long, None, "offset_invalid"),
        ("another life of the log", known, None, "epoch_changed"),
        ("the header wins, for the worse", known, Some("x"), "offset_invalid"),
        ("the header wins, for the better", "x", Some(known), "epoch_changed"),
        ("no UTF-8", "", Some("\u{ff}"), "offset_invalid"),
    ] {
        let header = header.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let sent = asked(&format!("?rooms=a&lastEventId={query}"), &header);
        let stream = case("I6", what).send(sent).reads("\nevent: reset\ndata: {");
        cases.push(stream.reads(&format!("\"reason\":\"{reason}\"")).reads("}\n\n"));
    }
    let empty = asked("?rooms=a&lastEventId=", "Last-Event-ID:\r\n");
    cases.push(case("I6", "empty ones are none").send(empty).reads("\nevent: ready\n"));
}

/// I8, I12: for proxies, and for those who come back.
fn heads(cases: &mut Vec<Case>) {
    let stream = |what: &str| case("I8", what).send(asked("?rooms=a", "Accept-Encoding: gzip\r\n"));
    let fields =
        ["content-type: text/event-stream\r\n", "cache-control: no-store, no-transform\r\n"];
    for profile in [Profile::Standard, Profile::Compressing] {
        let mut plain = stream("what proxies are told").on(profile);
        for field in fields {
            plain = plain.reads(field);
        }
        // As it is, not compressed: the first word is there to be read.
        cases.push(plain.reads("x-accel-buffering: no\r\n").reads("\r\n\r\n").reads("retry: "));
    }
    let quiet = stream("a quiet stream").on(Profile::Impatient).reads("event: ready\n");
    cases.push(quiet.reads("\n:\n\n").reads("\n:\n\n").reads("\n:\n\n"));
    let old = "GET /v1/sse?rooms=a HTTP/1.0\r\nHost: {host}\r\n\r\n";
    cases.push(case("I8", "HTTP/1.0: no chunks").send(old).reads("\r\n\r\nretry: ").reads("ready"));
    let piped = format!("{}{}", asked("?rooms=a", ""), get("/health"));
    // Behind it the end of the client is not seen: the next heartbeat finds it.
    let piped = case("I8", "a request behind a stream").on(Profile::Impatient).send(piped);
    cases.push(piped.reads("event: ready\n"));
}

/// I7: clients that do not read, or are gone.
fn readers(cases: &mut Vec<Case>) {
    let mut deaf = case("I7", "streams that are not read").on(Profile::Narrow);
    let count = scaled(5).min(15);
    for _ in 0..count {
        deaf = deaf.step(Step::ConnectNarrow).more(asked("?rooms=busy", "")).step(Step::Taken);
    }
    deaf = deaf.step(Step::Publish("busy", MORE_THAN_THE_SYSTEM_KEEPS / 18_000, 18_000));
    for number in 0..count {
        deaf = deaf.step(Step::Use(number)).step(Step::Cut);
    }
    cases.push(deaf);
    let slow = case("I7", "a stream whose last bytes are not taken").on(Profile::Impatient);
    let slow = slow.step(Step::ConnectNarrow).more(asked("?rooms=busy", "")).step(Step::Taken);
    let slow = slow.step(Step::Publish("busy", 4, 900_000));
    let slow = slow.step(Step::Silence(Duration::from_millis(3500))).step(Step::Cut);
    cases.push(slow.rejected("slow_reader"));
    let gone = open("I7", "a client that resets", "?rooms=a", "");
    cases.push(gone.step(Step::Abort));
    let mut gone = case("I7", "clients that are gone at once");
    for _ in 0..scaled(50) {
        gone = gone.send(asked("?rooms=a", "")).step(Step::Abort);
    }
    cases.push(gone);
    let half = open("I7", "a client that says it is done", "?rooms=a", "");
    cases.push(half.step(Step::FinishWriting).step(Step::Cut));
    let full = case("I7", "more streams than sessions").on(Profile::Narrow);
    // The places of those that were played before are given back when the system says they are gone.
    let mut full = full.step(Step::Silence(Duration::from_secs(1)));
    for _ in 0..16 {
        full = full.send(asked("?rooms=a", "")).reads("event: ready\n");
    }
    // Of the last few some may find that a session of the warm-up still has its place, for a while.
    for _ in 0..2 {
        for _ in 0..4 {
            full = full.send(asked("?rooms=a", ""));
        }
        full = full.step(Step::Silence(Duration::from_secs(1)));
    }
    let refused = full.send(asked("?rooms=a", "")).status(&[503]);
    cases.push(refused.head_has("retry-after").body_has("OVERLOADED"));
}
