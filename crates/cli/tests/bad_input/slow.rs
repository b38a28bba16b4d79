//! Attacks that take time or numbers, in small: on a server whose deadlines are a second or two.
//!
//! A10–A15, B21, C15, C19, D2, D6, D15, and the limits of connections.

use std::time::Duration;

use crate::case::{Case, Door, Fate, MORE_THAN_THE_SYSTEM_KEEPS, Profile, Step, case, scaled};
use crate::wire::{POLLING, WEBSOCKET, claim, get, masked, poll, post, request, upgrade};

const SLOWLY: Duration = Duration::from_millis(50);

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    heads(&mut cases);
    bodies(&mut cases);
    sessions(&mut cases);
    messages(&mut cases);
    upgrades(&mut cases);
    closes(&mut cases);
    readers(&mut cases);
    laggards(&mut cases);
    crowds(&mut cases);
    cases
}

/// What the harness goes through before it measures memory: large messages through every door.
pub(crate) fn warm_up(profile: Profile) -> Vec<Case> {
    let large = format!("42[\"x\",\"{}\"]", "x".repeat(19_000));
    let larger = format!("42[\"x\",\"{}\"]", "x".repeat(900_000));
    let mut cases = Vec::new();
    // Several, so that every thread has seen them.
    for text in [&large, &large, &larger, &larger] {
        cases.push(case("", "").joined(Door::WebSocket).room("r").text(text).alive());
        cases.push(case("", "").joined(Door::Polling).send(post(text)).status(&[200]).alive());
        let (first, rest) = text.as_bytes().split_at(1000);
        cases.push(
            case("", "").joined(Door::WebSocket).frame(0x01, first).frame(0x80, rest).alive(),
        );
    }
    // Only where it is played: else it would hide what others must give back.
    for _ in 0..if profile == Profile::Impatient { 2 } else { 0 } {
        let busy = case("", "").joined(Door::WebSocket).room("r");
        cases.push(busy.step(Step::Publish("r", 4, 900_000)).hears_has("event"));
    }
    if matches!(profile, Profile::Impatient | Profile::Narrow) {
        // The event log keeps the pages it wrote, up to a bound.
        cases.push(case("", "").step(Step::Publish("nobody", 1_200, 15_000)));
    }
    // Those who read the disk are kept for the next, up to a bound.
    cases.push(case("", "").step(Step::Publish("r", 60, 15_000)));
    let history = get("/v1/rooms/r/history?limit=1000").into_bytes();
    cases.push(case("", "").step(Step::Crowd(60, history, Fate::Answered(&[200, 404]))));
    cases.push(case("", "").step(Step::Crowd(
        200,
        get("/health").into_bytes(),
        Fate::Answered(&[200]),
    )));
    cases
}

fn impatient(row: &'static str, what: impl Into<String>) -> Case {
    case(row, what).on(Profile::Impatient)
}

/// A10, A13: heads that do not come.
fn heads(cases: &mut Vec<Case>) {
    let count = scaled(100);
    cases.push(
        impatient("A13", "connections that send nothing")
            .step(Step::Crowd(count, Vec::new(), Fate::Ended))
            .rejected_times("silent_connection", count),
    );
    let begun = format!("GET {POLLING} HTTP/1.1\r\nHost: {{host}}\r\nX: ");
    cases.push(
        impatient("A10", "heads that do not end")
            .step(Step::Crowd(count, begun.clone().into_bytes(), Fate::Ended))
            .rejected_times("header_deadline", count),
    );
    cases.push(
        impatient("A10", "a head that comes byte by byte")
            .step(Step::Connect)
            .step(Step::Drip(format!("{begun}{}", "x".repeat(1000)).into_bytes(), SLOWLY))
            .step(Step::Cut)
            .rejected("header_deadline"),
    );
    cases.push(
        impatient("A10", "a second head that comes byte by byte")
            .send(get("/health"))
            .status(&[200])
            .step(Step::Drip(format!("{begun}{}", "x".repeat(1000)).into_bytes(), SLOWLY))
            .step(Step::Cut)
            .rejected("header_deadline"),
    );
    cases.push(
        impatient("A13", "a connection that is reset before it says anything")
            .step(Step::Connect)
            .step(Step::Abort),
    );
}

/// A11, A15: bodies that do not come.
fn bodies(cases: &mut Vec<Case>) {
    let target = format!("{POLLING}&sid={{sid}}");
    let long = request("POST", &target, "Content-Length: 900000\r\n");
    let chunked = request("POST", &target, "Transfer-Encoding: chunked\r\n");
    let expecting = request("POST", &target, "Expect: 100-continue\r\nContent-Length: 100\r\n");
    let late = |what: &str, head: &str| {
        let case = impatient(if head.contains("Expect") { "A15" } else { "A11" }, what);
        let case = case.joined(Door::Polling).send(head).rejected("slow_body");
        case.cause("post_aborted", 1)
    };
    let dripping = late("a body that comes byte by byte", &long);
    let dripping = dripping.step(Step::Drip(vec![b'4'; 1000], SLOWLY)).step(Step::Cut);
    cases.push(dripping.gone());
    let silent = late("a body in chunks of which none comes", &chunked);
    cases.push(silent.status(&[408]).ended().gone());
    let invited = late("a body that was asked for and does not come", &expecting);
    cases.push(invited.status(&[100]).status(&[408]).ended().gone());
    let publish =
        "Authorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n";
    cases.push(
        impatient("A11", "a publish that comes byte by byte")
            .send(request("POST", "/v1/publish", publish))
            .status(&[408]),
    );
}

/// B21, D2, D15: sessions that do nothing.
fn sessions(cases: &mut Vec<Case>) {
    let count = scaled(200);
    cases.push(
        impatient("B21", "sessions that are never polled")
            .step(Step::Strays(count))
            .step(Step::Silence(Duration::from_millis(1500)))
            .rejected_times("connect_timeout", count),
    );
    let unjoined = |what: &str| impatient("D15", what).open(Door::WebSocket);
    for case in [
        unjoined("a WebSocket that never joins"),
        unjoined("a WebSocket that never joins but answers heartbeats")
            .step(Step::Heartbeat)
            .text("3"),
    ] {
        cases.push(case.closes_empty().rejected("connect_timeout").gone());
    }
    let deaf = |what: &str| impatient("D2", what).joined(Door::WebSocket);
    for case in [
        deaf("heartbeats that are never answered"),
        deaf("pongs for pings that were not sent do not keep a session alive")
            .more(masked(0x81, b"3").repeat(100)),
    ] {
        cases.push(case.step(Step::Cut).cause("heartbeat_missed", 1).gone());
    }
    cases.push(
        impatient("D2", "a joined session that is no longer polled")
            .joined(Door::Polling)
            .step(Step::Silence(Duration::from_millis(3500)))
            .cause("heartbeat_missed", 1)
            .gone(),
    );
    cases.push(
        impatient("B12", "a session that broke the protocol and does not poll again")
            .joined(Door::Polling)
            .send(post("49"))
            .status(&[200])
            .step(Step::Silence(Duration::from_millis(1500)))
            .rejected("unknown_type")
            .cause("by_server_unheard", 1)
            .gone(),
    );
}

/// C7, C10: messages that are begun and not ended. While one is open no heartbeat can be answered.
fn messages(cases: &mut Vec<Case>) {
    let long = [claim(0x82, 900_000), vec![b'4'; 1000]].concat();
    let fragments = [masked(0x01, b"4"), masked(0x00, b"x").repeat(1000)].concat();
    for (what, bytes) in [("a frame", long), ("fragments", fragments)] {
        cases.push(
            impatient("C10", format!("{what} byte by byte"))
                .joined(Door::WebSocket)
                .step(Step::Drip(bytes, SLOWLY))
                .step(Step::Cut)
                .cause("heartbeat_missed", 1)
                .gone(),
        );
    }
}

/// D6: upgrades that are not gone through with.
fn upgrades(cases: &mut Vec<Case>) {
    let quiet = |what: &str| impatient("D6", what).joined(Door::Polling).probing();
    for case in [
        quiet("an upgrade that says nothing"),
        quiet("an upgrade that says no more than its probe").text("2probe").hears("3probe"),
        quiet("half a frame as a probe").more(b"\x81"),
    ] {
        cases.push(case.closes_empty().alive());
    }
}

/// C15: a client that does not go.
fn closes(cases: &mut Vec<Case>) {
    cases.push(
        case("C15", "a client that does not close after our close frame")
            .joined(Door::WebSocket)
            .text("49")
            .step(Step::Cut)
            .rejected("unknown_type"),
    );
    cases.push(
        case("C15", "a client that goes on talking after our close frame")
            .joined(Door::WebSocket)
            .text("49")
            .step(Step::Drip(masked(0x81, b"42[\"x\"]").repeat(40), SLOWLY))
            .step(Step::Cut)
            .rejected("unknown_type"),
    );
}

/// A12, A14, C19: answers that are not read.
fn readers(cases: &mut Vec<Case>) {
    cases.push(
        impatient("A12", "an answer that is not read")
            .polling_in("busy")
            .step(Step::Publish("busy", 3, 200_000))
            .step(Step::ConnectNarrow)
            .more(poll())
            .step(Step::Silence(Duration::from_millis(3500)))
            .step(Step::Cut)
            .rejected("slow_reader"),
    );
    cases.push(
        impatient("A14", "many requests whose answers are not read")
            .step(Step::ConnectNarrow)
            .more(get("/health").repeat(20_000))
            .step(Step::Silence(Duration::from_millis(3500)))
            .step(Step::Cut)
            .rejected("slow_reader"),
    );
    let greedy = masked(0x81, b"420[\"room:join\",{\"roomId\":\"busy\"}]");
    cases.push(
        case("C19", "a client that asks for more than it may and does not read")
            .on(Profile::Thrifty)
            .joined_narrow()
            .room("busy")
            .step(Step::Publish("busy", 4, 900_000))
            .more(greedy.repeat(300))
            .perhaps_rejected("event_refused")
            .cause("by_server", 1)
            .gone(),
    );
    cases.push(
        impatient("C19", "a client that broke the protocol, does not read and says that it lives")
            .joined_narrow()
            .room("busy")
            .step(Step::Publish("busy", 4, 900_000))
            .text("49")
            .step(Step::DripBlindly(masked(0x81, b"3").repeat(20), SLOWLY))
            .gone()
            .rejected("unknown_type"),
    );
}

/// C19: clients for which too much waits.
fn laggards(cases: &mut Vec<Case>) {
    cases.push(
        case("C19", "a client that does not read while its room is busy")
            .on(Profile::Narrow)
            .joined_narrow()
            .room("busy")
            .step(Step::Publish("busy", MORE_THAN_THE_SYSTEM_KEEPS / 18_000, 18_000))
            .step(Step::Cut)
            .cause("by_server", 1),
    );
    let room = "a".repeat(200);
    let greedy = format!("420[\"room:join\",{{\"roomId\":\"{room}\"}}]");
    cases.push(
        case("C19", "a client that asks and does not read the answers")
            .on(Profile::Narrow)
            .joined_narrow()
            .more(masked(0x81, greedy.as_bytes()).repeat(MORE_THAN_THE_SYSTEM_KEEPS / room.len()))
            .step(Step::Cut)
            .cause("by_server", 1),
    );
    cases.push(
        case("C19", "a room is busy while a session is not polled")
            .on(Profile::Narrow)
            .polling_in("busy")
            .step(Step::Publish("busy", 100, 18_000))
            .cause("by_server", 1)
            .gone(),
    );
}

/// Limits of connections.
fn crowds(cases: &mut Vec<Case>) {
    // 40 in all; the canary and the harness have three of them.
    let mut full = case("A13", "more connections than there are places").on(Profile::Narrow);
    for _ in 0..37 {
        full = full.step(Step::Connect);
    }
    cases.push(
        full.send(get("/health"))
            .status(&[503])
            .head_has("retry-after")
            .ended()
            .rejected("connection_limit"),
    );
    cases.push(
        case("B21", "more sessions than there are places")
            .on(Profile::Narrow)
            .step(Step::Fill(21))
            .send(get(POLLING))
            .status(&[503])
            .head_has("retry-after")
            .send(upgrade(WEBSOCKET))
            .status(&[503])
            .rejected_times("server_full", 3),
    );
    let mut one = case("A13", "more connections than one address may have").on(Profile::PerAddress);
    for _ in 0..7 {
        one = one.step(Step::Connect);
    }
    cases.push(
        one.send(get("/health"))
            .status(&[503])
            .ended()
            .send(get("/health"))
            .status(&[503])
            .ended()
            .rejected_times("address_limit", 2),
    );
    // What they took together must go back to the system: no other process can use it else.
    for (what, count) in [("are open at once and go", 800), ("come and go", 300)] {
        let asking = get("/health").into_bytes();
        let crowd = Step::Crowd(scaled(count), asking, Fate::Answered(&[200]));
        cases.push(case("M2", format!("connections that {what}")).step(crowd));
    }
}
