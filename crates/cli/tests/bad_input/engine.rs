//! D: Engine.IO packets and the upgrade.

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::{masked, poll, post, upgrade};

const BAD: &[u16] = &[400];

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    heartbeats(&mut cases);
    kinds(&mut cases);
    upgrades(&mut cases);
    probes(&mut cases);
    takeovers(&mut cases);
    revision_3(&mut cases);
    cases
}

/// D1, D2: heartbeats of the wrong direction, and too many.
fn heartbeats(cases: &mut Vec<Case>) {
    for ping in ["2", "2probe", "2{secret}"] {
        cases.push(
            case("D1", format!("a ping {ping:?} from the client"))
                .joined(Door::WebSocket)
                .text(ping)
                .closes_empty()
                .cause("ping_from_client", 1)
                .gone(),
        );
    }
    cases.push(
        case("D1", "a ping from a client that polls")
            .joined(Door::Polling)
            .send(post("2"))
            .status(&[200])
            .cause("ping_from_client", 1)
            .gone(),
    );
    cases.push(
        case("D2", "a flood of pongs")
            .joined(Door::WebSocket)
            .more(masked(0x81, b"3").repeat(scaled(20_000)))
            .alive(),
    );
}

/// D3: packets that a client does not send.
fn kinds(cases: &mut Vec<Case>) {
    for packet in ["0", "0{\"sid\":\"x\"}", "5", "5x", "6", "6x", "1", "3probe"] {
        cases.push(
            case("D3", format!("packet {packet:?} is ignored"))
                .joined(Door::WebSocket)
                .text(packet)
                .alive(),
        );
    }
    for packet in ["7", "8", "9", "a", "B", "\0", " 4", "-", "\u{e9}", "\u{1e}", "\u{feff}4"] {
        cases.push(
            case("D3", format!("packet {packet:?}"))
                .joined(Door::WebSocket)
                .text(packet)
                .closes_empty()
                .rejected("unknown_packet_type")
                .cause("unparsable", 1)
                .gone(),
        );
    }
    cases.push(
        case("D3", "an empty text")
            .joined(Door::WebSocket)
            .text("")
            .closes_empty()
            .rejected("empty_packet")
            .cause("unparsable", 1)
            .gone(),
    );
    cases.push(
        case("D3", "base64 that is none, on a WebSocket")
            .joined(Door::WebSocket)
            .text("b!!!!")
            .closes_empty()
            .rejected("invalid_base64")
            .cause("unparsable", 1)
            .gone(),
    );
    cases.push(
        case("D16", "WebTransport")
            .send(upgrade("/socket.io/?EIO=4&transport=webtransport"))
            .status(BAD)
            .body("Transport unknown")
            .ended()
            .rejected("unknown_transport"),
    );
}

/// D5, D8: upgrades that are none.
fn upgrades(cases: &mut Vec<Case>) {
    cases.push(
        case("D5", "an upgrade of a session that is on a WebSocket")
            .joined(Door::WebSocket)
            .probing()
            .closes_empty()
            .rejected("probe_refused")
            .alive(),
    );
    cases.push(
        case("D5", "two upgrades at once")
            .joined(Door::Polling)
            .probed()
            .probing()
            .closes_empty()
            .rejected("probe_refused")
            .alive(),
    );
    cases.push(
        case("D5", "an upgrade of a session that has upgraded")
            .joined(Door::Polling)
            .probed()
            .text("5")
            .asks(0)
            .probing()
            .closes_empty()
            .rejected("probe_refused")
            .step(Step::Use(0))
            .asks(1),
    );
}

/// D8: what is said instead of a probe.
fn probes(cases: &mut Vec<Case>) {
    for first in ["2", "2prob", "3", "4x", "40", "0", "1", "6"] {
        cases.push(
            case("D8", format!("a probe that begins with {first:?}"))
                .joined(Door::Polling)
                .probing()
                .text(first)
                .closes_empty()
                .alive(),
        );
    }
    for (what, bytes, code, reason) in [
        ("no packet", masked(0x81, b"x"), None, "unknown_packet_type"),
        ("an empty text", masked(0x81, b""), None, "empty_packet"),
        ("no frame", b"\xff\xff\xff".to_vec(), Some(1002), "reserved_opcode"),
        ("no mask", b"\x81\x062probe".to_vec(), Some(1002), "unmasked_frame"),
    ] {
        cases.push(
            case("D8", format!("a probe that is {what}"))
                .joined(Door::Polling)
                .probing()
                .more(bytes)
                .step(Step::Closes(code))
                .rejected(reason)
                .alive(),
        );
    }
    for (what, step) in [("closed", Step::FinishWriting), ("reset", Step::Abort)] {
        cases.push(
            case("D8", format!("a probe that is {what}"))
                .joined(Door::Polling)
                .probed()
                .step(step)
                .alive(),
        );
    }
}

/// D8, D9, D11: what happens around a takeover.
fn takeovers(cases: &mut Vec<Case>) {
    cases.push(
        case("D8", "an upgrade without a probe, as the reference server takes it")
            .joined(Door::Polling)
            .probing()
            .text("5")
            .asks(0),
    );
    cases.push(
        case("D9", "polling after the upgrade")
            .joined(Door::Polling)
            .probed()
            .text("5")
            .asks(0)
            .send(post("41"))
            .status(BAD)
            .body("{\"code\":3,\"message\":\"Bad request\"}")
            .send(poll())
            .status(BAD)
            .rejected_times("transport_mismatch", 2)
            .step(Step::Use(0))
            .asks(1),
    );
    cases.push(
        case("D9", "a poll that waits while the session moves")
            .joined(Door::Polling)
            .send(poll())
            .probed()
            .step(Step::Use(0))
            .status(&[200])
            .body("6")
            .more(poll())
            .step(Step::Taken)
            .step(Step::Use(1))
            .text("5")
            .asks(0)
            .step(Step::Use(0))
            .status(&[200, 400])
            .perhaps_rejected("transport_mismatch"),
    );
    half_posted(cases);
    events_between(cases);
}

/// D9: a request that is under way.
fn half_posted(cases: &mut Vec<Case>) {
    let half = crate::wire::request(
        "POST",
        &format!("{}&sid={{sid}}", crate::wire::POLLING),
        "Content-Length: 2\r\n",
    );
    cases.push(
        case("D9", "a post that is not complete when the session moves")
            .joined(Door::Polling)
            .first(format!("{half}4"))
            .probed()
            .text("5")
            .asks(0)
            .step(Step::Use(0))
            .more("1")
            .status(BAD)
            .rejected("transport_mismatch")
            .step(Step::Use(1))
            .asks(1),
    );
}

/// D11: nothing of what is sent meanwhile is lost, and all of it comes in order.
fn events_between(cases: &mut Vec<Case>) {
    const EVENTS: usize = 50;
    let mut during = case("D11", "events while the session moves")
        .polling_in("r")
        .probed()
        .step(Step::Publish("r", EVENTS, 1))
        .text("5");
    for number in 0..EVENTS {
        during = during.hears(&format!("42[\"event\",{number},\"x\"]"));
    }
    cases.push(during);
}

/// The same in Engine.IO 3, where the client pings.
fn revision_3(cases: &mut Vec<Case>) {
    cases.push(
        case("D1", "a pong from a client of revision 3")
            .on(Profile::V3)
            .joined(Door::WebSocketV3)
            .text("3")
            .closes_empty()
            .cause("pong_from_client", 1),
    );
    for (what, payload, reason) in [
        ("no type", &b""[..], "empty_packet"),
        ("a ping", b"\x02", "binary_control_packet"),
        ("an unknown type", b"\x09x", "unknown_packet_type"),
    ] {
        cases.push(
            case("D3", format!("a binary packet of revision 3 with {what}"))
                .on(Profile::V3)
                .joined(Door::WebSocketV3)
                .binary(payload)
                .closes_empty()
                .rejected(reason)
                .cause("unparsable", 1),
        );
    }
    cases.push(
        case("D1", "a ping from a client of revision 3 is answered")
            .on(Profile::V3)
            .joined(Door::WebSocketV3)
            .text("2x")
            .hears("3"),
    );
}
