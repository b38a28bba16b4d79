//! E: Socket.IO packets, as text behind the `4` of Engine.IO, and in MessagePack.

use crate::case::{Case, Door, Profile, case, scaled};
use crate::wire::{masked, poll, post};

/// The largest message by default.
const MOST: usize = 1_000_000;

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    kinds(&mut cases);
    attachments(&mut cases);
    attached(&mut cases);
    heavy(&mut cases);
    events(&mut cases);
    cases.extend(crate::json::cases());
    acks(&mut cases);
    connects(&mut cases);
    namespaces(&mut cases);
    sizes(&mut cases);
    rooms(&mut cases);
    cases.extend(crate::msgpack::cases());
    by_polling(&mut cases);
    cases
}

/// A packet that ends the connection with an empty close frame, as the reference server does.
pub(crate) fn breach(row: &'static str, packet: impl Into<String>, reason: &'static str) -> Case {
    let packet: String = packet.into();
    let name: String = packet.chars().take(60).collect();
    case(row, format!("{name:?}"))
        .joined(Door::WebSocket)
        .text(format!("4{packet}"))
        .closes_empty()
        .rejected(reason)
        .cause("by_server", 1)
        .gone()
}

/// A packet that changes nothing.
pub(crate) fn harmless(row: &'static str, packet: impl Into<String>) -> Case {
    let packet: String = packet.into();
    let name: String = packet.chars().take(60).collect();
    case(row, format!("{name:?} does no harm"))
        .joined(Door::WebSocket)
        .text(format!("4{packet}"))
        .alive()
}

/// E1: types.
fn kinds(cases: &mut Vec<Case>) {
    cases.push(breach("E1", "", "empty_packet"));
    for packet in
        ["7", "8", "9", "x", "-", "\0", " 2[\"x\"]", "\u{e9}", "\u{ff12}[\"x\"]", "{}", "[]"]
    {
        cases.push(breach("E1", packet, "unknown_type"));
    }
    for packet in ["1{}", "1null", "1[]"] {
        cases.push(breach("E1", packet, "disconnect_payload"));
    }
}

/// E2, E5: attachments that are announced, and placeholders.
fn attachments(cases: &mut Vec<Case>) {
    let one = r#"["x",{"_placeholder":true,"num":0}]"#;
    for count in
        ["51000000", "511", "5100", "51e9", "618446744073709551615", "5999999999999999999999"]
    {
        cases.push(breach("E2", format!("{count}-{one}"), "too_many_attachments"));
    }
    for count in ["5", "50", "5-1", "51.5", "5x", "5NaN", "5Infinity", "5 ", "5 1 x", "6"] {
        cases.push(breach("E2", format!("{count}-{one}"), "illegal_attachment_count"));
    }
    for packet in ["5", "51", "51[\"x\"]", "6", "51_[]"] {
        cases.push(breach("E2", packet, "illegal_attachment_count"));
    }
    cases.push(
        case("E2", "more attachments than were set")
            .on(Profile::Narrow)
            .joined(Door::WebSocket)
            .text(format!("453-{one}"))
            .closes_empty()
            .rejected("too_many_attachments"),
    );
    for placeholder in [
        r#"{"_placeholder":true,"num":7}"#,
        r#"{"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":"splice"}"#,
        r#"{"_placeholder":true,"num":{"__proto__":[]}}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true}"#,
    ] {
        let text = format!("451-[\"x\",{placeholder}]");
        let illegal = case("E5", format!("placeholder {placeholder}"))
            .joined(Door::WebSocket)
            .text(text)
            .binary([1, 2, 3])
            .closes_empty()
            .rejected("illegal_placeholder")
            .gone();
        cases.push(illegal);
    }
}

/// E7–E9: attachments that come, or something else instead.
fn attached(cases: &mut Vec<Case>) {
    let one = r#"["x",{"_placeholder":true,"num":0}]"#;
    let twice = r#"451-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
    for (what, text) in
        [("one attachment named twice", twice), ("an attachment that is not named", "451-[\"x\"]")]
    {
        cases.push(case("E7", what).joined(Door::WebSocket).text(text).binary([1]).alive());
    }
    let plain = r#"2["x",{"_placeholder":true,"num":7}]"#;
    cases.push(harmless("E7", plain));
    for (what, second) in [("an event", "42[\"x\"]"), ("a CONNECT", "40"), ("a DISCONNECT", "41")] {
        let text = r#"452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        let between = case("E8", format!("{what} between attachments"))
            .joined(Door::WebSocket)
            .text(text)
            .binary([1])
            .text(second)
            .closes_empty()
            .rejected("text_while_attachments_pending")
            .gone();
        cases.push(between);
    }
    cases.push(
        case("E9", "an attachment too many")
            .joined(Door::WebSocket)
            .text(format!("451-{one}"))
            .binary([1])
            .binary([2])
            .closes_empty()
            .rejected("unexpected_binary"),
    );
}

/// E11: attachments that are large.
fn heavy(cases: &mut Vec<Case>) {
    let one = r#"["x",{"_placeholder":true,"num":0}]"#;
    let all: Vec<String> =
        (0..10).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)).collect();
    let mut heavy = case("E11", "10 attachments of 200 000 bytes")
        .joined(Door::WebSocket)
        .text(format!("4510-[\"x\",{}]", all.join(",")));
    for _ in 0..5 {
        heavy = heavy.binary(vec![7; 200_000]);
    }
    cases.push(heavy.closes_empty().rejected("packet_too_large").gone());
    let same = [r#"{"_placeholder":true,"num":0}"#; 1000].join(",");
    cases.push(
        case("E11", "one attachment named 1 000 times")
            .joined(Door::WebSocket)
            .text(format!("451-[\"x\",{same}]"))
            .binary(vec![7; 10_000])
            .closes_empty()
            .rejected("packet_too_large"),
    );
    let mut waiting = case("E11", "attachments that never come");
    for _ in 0..scaled(50) {
        waiting =
            waiting.joined(Door::WebSocket).text(format!("452-{one}")).binary(vec![7; 400_000]);
    }
    cases.push(waiting);
}

/// E13–E15: payloads and names of events.
fn events(cases: &mut Vec<Case>) {
    for payload in [
        r#"{"a":1}"#,
        r#""str""#,
        "[]",
        "[null]",
        "[{}]",
        r#"[["a"]]"#,
        "[true]",
        "[false]",
        "null",
        "5x",
        "true",
    ] {
        let reason = if payload == "5x" { "malformed_json" } else { "invalid_event_payload" };
        cases.push(breach("E13", format!("2{payload}"), reason));
    }
    cases.push(harmless("E13", "2"));
    for payload in [
        "[5]",
        "[1e400,\"x\"]",
        "[-0.0]",
        "[\"\"]",
        "[\"__proto__\",1]",
        "[\"\\u0000\"]",
        "[\"error\",{}]",
    ] {
        cases.push(harmless("E14", format!("2{payload}")));
    }
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
    {
        cases.push(breach("E15", format!("2[\"{name}\"]"), "reserved_event_name"));
    }
    cases.push(breach("E15", r#"2["\u0063onnect"]"#, "reserved_event_name"));
    cases.push(harmless(
        "E17",
        r#"2["x",{"__proto__":{"admin":true},"constructor":{"prototype":{}}}]"#,
    ));
}

/// E20, E21: acknowledgements.
fn acks(cases: &mut Vec<Case>) {
    for packet in ["399[\"x\"]", "30[]", "318446744073709551615[1]", "3007[1]"] {
        cases.push(harmless("E20", packet).rejected("ack_unknown"));
    }
    for packet in ["3[\"x\"]", "3"] {
        cases.push(harmless("E20", packet));
    }
    cases.push(
        case("E20", "many acknowledgements of nothing")
            .joined(Door::WebSocket)
            .more(masked(0x81, b"4399[\"x\"]").repeat(scaled(5_000)))
            .alive()
            .rejected_times("ack_unknown", scaled(5_000)),
    );
    for packet in ["31{\"a\":1}", "31\"x\"", "31null", "31true"] {
        cases.push(breach("E21", packet, "invalid_ack_payload"));
    }
    for packet in [
        "318446744073709551616[1]",
        "399999999999999999999999[1]",
        "299999999999999999999999[\"x\"]",
    ] {
        cases.push(breach("E21", packet, "invalid_ack_id"));
    }
}

/// E24–E26, E31: CONNECT, and what comes before it.
fn connects(cases: &mut Vec<Case>) {
    cases.push(breach("E24", "0", "already_joined"));
    cases.push(breach("E24", "0{\"token\":\"{secret}\"}", "already_joined"));
    for packet in ["2[\"x\"]", "30[]", "1", "2/other,[\"x\"]"] {
        cases.push(
            case("E25", format!("{packet:?} before CONNECT"))
                .open(Door::WebSocket)
                .text(format!("4{packet}"))
                .closes_empty()
                .rejected("not_joined")
                .gone(),
        );
    }
    for packet in ["2/other,[\"x\"]", "1/other,", "3/other,0[]"] {
        cases.push(breach("E25", packet, "not_joined"));
    }
    cases.push(
        case("E25", "an event after DISCONNECT")
            .joined(Door::WebSocket)
            .text("41")
            .text("42[\"x\"]")
            .closes_empty()
            .rejected("not_joined"),
    );
    cases.push(breach("E26", "4{\"message\":\"{secret}\"}", "connect_error_from_client"));
    cases.push(breach("E26", "4/other,\"x\"", "connect_error_from_client"));
    for payload in ["[1]", "\"x\"", "-1", "null", "true"] {
        cases.push(
            case("E26", format!("CONNECT with {payload}"))
                .open(Door::WebSocket)
                .text(format!("40{payload}"))
                .closes_empty()
                .rejected("invalid_connect_payload"),
        );
    }
    let large = format!("{{\"token\":\"{}\"}}", "x".repeat(20_000));
    let keys: Vec<String> = (0..10_000).map(|key| format!("\"k{key}\":0")).collect();
    let many = format!("{{{}}}", keys.join(","));
    let huge = format!("{{\"token\":\"{}\"}}", "x".repeat(900_000));
    for (what, payload) in
        [("20 000 bytes", &large), ("10 000 keys", &many), ("900 000 bytes", &huge)]
    {
        cases.push(
            case("E31", format!("CONNECT with {what}"))
                .open(Door::WebSocket)
                .text(format!("40{payload}"))
                .closes_empty()
                .rejected("connect_payload_too_large")
                .gone(),
        );
    }
}

/// E28, E29: namespaces.
fn namespaces(cases: &mut Vec<Case>) {
    let mut flood = case("E28", "1 001 namespaces that are not there").open(Door::WebSocket);
    for number in 0..1000 {
        flood = flood
            .text(format!("40/{number}"))
            .hears(&format!("44/{number},{{\"message\":\"Invalid namespace\"}}"));
    }
    cases.push(
        flood
            .text("40/1000,")
            .closes_empty()
            .rejected_times("namespace_unknown", 1000)
            .rejected("too_many_refusals"),
    );
    for name in [
        "/admin",
        "/a?token={secret}",
        "/%2e",
        "//",
        "/\u{202e}",
        "/../",
        "/ ",
        "/\u{1}",
        "/__proto__",
    ] {
        cases.push(
            case("E29", format!("namespace {name:?}"))
                .joined(Door::WebSocket)
                .text(format!("40{name},"))
                .hears(&format!("44{name},{{\"message\":\"Invalid namespace\"}}"))
                .alive()
                .rejected("namespace_unknown"),
        );
    }
    for length in [256, 900_000] {
        cases.push(breach("E29", format!("0/{},", "x".repeat(length)), "invalid_namespace"));
    }
    cases.push(
        case("E29", "more namespaces than a connection may have")
            .on(Profile::Narrow)
            .joined(Door::WebSocket)
            .text("40/a,")
            .hears_begin("40/a,{")
            .text("40/b,")
            .hears_begin("40/b,{")
            .text("40/c,")
            .closes_empty()
            .rejected("too_many_namespaces")
            .gone(),
    );
}

/// E35: the largest message, and one byte more.
fn sizes(cases: &mut Vec<Case>) {
    let event =
        |bytes: usize| format!("42[\"x\",\"{}\"]", "x".repeat(bytes - r#"42["x",""]"#.len()));
    cases.push(
        case("E35", "the largest message on a WebSocket")
            .joined(Door::WebSocket)
            .text(event(MOST))
            .alive(),
    );
    cases.push(
        case("E35", "one byte more on a WebSocket")
            .joined(Door::WebSocket)
            .text(event(MOST + 1))
            .closes(1009)
            .rejected("message_too_big")
            .gone(),
    );
    cases.push(
        case("E35", "the largest message by polling")
            .joined(Door::Polling)
            .send(post(event(MOST)))
            .status(&[200])
            .alive(),
    );
    cases.push(
        case("E35", "one byte more by polling")
            .joined(Door::Polling)
            .send(post(event(MOST + 1)))
            .status(&[413])
            .rejected("payload_too_large")
            .alive(),
    );
}

/// E34: rooms that are not for clients, and too many of them.
fn rooms(cases: &mut Vec<Case>) {
    for room in [
        "\"PWuJ1IT4M4LrwHUgAAAA\"",
        "\"user:7\"",
        "\"\"",
        "\"a b\"",
        "\"\\u0000\"",
        "\"$x\"",
        "\"*\"",
        "null",
        "5",
        "[\"r\"]",
        "{}",
        "\"\\u001b[31m\"",
    ] {
        cases.push(
            case("E34", format!("room {room}"))
                .joined(Door::WebSocket)
                .text(format!("421[\"room:join\",{{\"roomId\":{room}}}]"))
                .hears_has("\"ok\":false")
                .text(format!("422[\"room:leave\",{{\"roomId\":{room}}}]"))
                .hears_has("\"ok\":false")
                .alive(),
        );
    }
    for arguments in ["", ",1", ",null", ",[]", ",\"r\"", ",{\"roomID\":\"r\"}"] {
        cases.push(
            case("E34", format!("arguments {arguments:?}"))
                .joined(Door::WebSocket)
                .text(format!("421[\"room:join\"{arguments}]"))
                .hears_has("\"ok\":false")
                .alive(),
        );
    }
    let mut many = case("E34", "more rooms than a socket may be in")
        .on(Profile::Narrow)
        .joined(Door::WebSocket);
    for room in ["a", "b", "c", "a"] {
        many = many.room(room);
    }
    cases.push(many.text("421[\"room:join\",{\"roomId\":\"d\"}]").hears_has("\"ok\":false"));
}

/// The same breaches in a POST: its answer is `ok`, the next poll says that the session ends.
fn by_polling(cases: &mut Vec<Case>) {
    for (row, packet, reason) in [
        ("E1", "49", "unknown_type"),
        ("E2", "451000000-[\"x\"]", "too_many_attachments"),
        ("E13", "42{}", "invalid_event_payload"),
        ("E15", "42[\"disconnect\"]", "reserved_event_name"),
        ("E24", "40", "already_joined"),
        ("E9", "bAQID", "unexpected_binary"),
        (
            "E8",
            "451-[\"x\",{\"_placeholder\":true,\"num\":0}]\u{1e}42[\"x\"]",
            "text_while_attachments_pending",
        ),
    ] {
        cases.push(
            case(row, format!("{packet:?} by polling"))
                .joined(Door::Polling)
                .send(post(packet))
                .status(&[200])
                .send(poll())
                .status(&[200])
                .body_has("1")
                .rejected(reason)
                .cause("by_server", 1)
                .gone(),
        );
    }
    cases.push(
        case("E1", "nothing behind a breach is handled")
            .joined(Door::Polling)
            .send(post("49\u{1e}42[\"x\"]\u{1e}49\u{1e}4"))
            .status(&[200])
            .send(poll())
            .status(&[200])
            .rejected("unknown_type")
            .gone(),
    );
}
