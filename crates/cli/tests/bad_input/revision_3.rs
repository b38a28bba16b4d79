//! B: the same faults in Engine.IO 3, whose payloads have lengths.

use crate::case::{Case, Door, Profile, case};
use crate::polling::{BAD_REQUEST, UNKNOWN_SESSION};
use crate::wire::{get, poll, post_to, request};

const BAD: &[u16] = &[400];
const TARGET: &str = "/socket.io/?EIO=3&transport=polling&sid={sid}";

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    texts(&mut cases);
    bytes(&mut cases);
    sessions(&mut cases);
    cases
}

/// The session is unknown to its own revision.
fn gone(case: Case) -> Case {
    let after = case.send(get(TARGET)).status(BAD).body(UNKNOWN_SESSION);
    after.rejected("unknown_session")
}

/// B12: payloads of text.
fn texts(cases: &mut Vec<Case>) {
    for (body, reason) in [
        ("40", "invalid_length"),
        (":40", "invalid_length"),
        ("x:40", "invalid_length"),
        ("-1:4", "invalid_length"),
        ("9999999999999999999:4", "invalid_length"),
        ("999999999999:4", "truncated_payload"),
        ("3:40", "truncated_payload"),
        ("1:\u{1f600}", "truncated_payload"),
        ("1:9", "unknown_packet_type"),
        ("3:b4!", "invalid_base64"),
        ("2:b5", "binary_control_packet"),
    ] {
        let bad = case("B12", format!("revision 3: {body:?}"))
            .on(Profile::V3)
            .joined(Door::PollingV3)
            .send(post_to(TARGET, body))
            .status(&[200])
            .rejected(reason)
            .cause("unparsable", 1);
        cases.push(gone(bad));
    }
}

/// B11: payloads of bytes.
fn bytes(cases: &mut Vec<Case>) {
    for (what, body, reason) in [
        ("no end of the length", &b"\x00\x01"[..], "truncated_payload"),
        ("a digit above 9", b"\x00\x0a\xff4", "invalid_length"),
        ("no digits", b"\x00\xff4", "invalid_length"),
        (
            "too many digits",
            b"\x01\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4",
            "invalid_length",
        ),
        ("a length beyond the end", b"\x01\x09\x09\x09\xff\x04", "truncated_payload"),
        ("an unknown kind", b"\x02\x01\xff4", "unknown_packet_type"),
        ("no bytes in a binary packet", b"\x01\x00\xff", "empty_packet"),
    ] {
        let fields =
            format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", body.len());
        let bytes = [request("POST", TARGET, &fields).as_bytes(), body].concat();
        let bad = case("B11", format!("revision 3, in bytes: {what}"))
            .on(Profile::V3)
            .joined(Door::PollingV3)
            .send(bytes)
            .status(&[200])
            .rejected(reason)
            .cause("unparsable", 1);
        cases.push(gone(bad));
    }
}

/// B6, B22: sids.
fn sessions(cases: &mut Vec<Case>) {
    let unknown = "/socket.io/?EIO=3&transport=polling&sid=x";
    cases.push(
        case("B22", "revision 3: an unknown sid")
            .on(Profile::V3)
            .send(get(unknown))
            .status(BAD)
            .body(UNKNOWN_SESSION)
            .rejected("unknown_session"),
    );
    cases.push(
        case("B6", "a session of revision 3 polled as one of 4")
            .on(Profile::V3)
            .joined(Door::PollingV3)
            .send(poll())
            .status(BAD)
            .body(BAD_REQUEST)
            .rejected("revision_mismatch")
            .alive(),
    );
}
