//! E32: the other parser, and packets that are none in MessagePack.

use crate::case::{Case, Door, Profile, Step, case};

/// CONNECT to `/`.
const CONNECT: &[u8] = b"\x82\xa4type\x00\xa3nsp\xa1/";

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    mismatches(&mut cases);
    packets(&mut cases);
    events(&mut cases);
    cases
}
fn speaking(what: &str) -> Case {
    case("E32", what).on(Profile::MsgPack).open(Door::WebSocket)
}

/// The parser that the server does not speak.
fn mismatches(cases: &mut Vec<Case>) {
    cases.push(
        case("E32", "MessagePack to a server that speaks JSON")
            .open(Door::WebSocket)
            .binary(CONNECT)
            .closes_empty()
            .rejected("unexpected_binary"),
    );
    cases.push(
        speaking("JSON to a server that speaks MessagePack")
            .text("40")
            .closes_empty()
            .rejected("unexpected_text"),
    );
}

/// Packets that are none.
fn packets(cases: &mut Vec<Case>) {
    let deep =
        [&b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x"[..], &[0x91; 1000], b"\xc0"].concat();
    for (what, bytes, reason) in [
        ("nothing", &b""[..], "empty_packet"),
        ("a number", b"\x05", "malformed_msgpack"),
        ("an array", b"\x92\x00\xa1/", "malformed_msgpack"),
        ("a byte that is nowhere", b"\xc1", "malformed_msgpack"),
        ("no type", b"\x81\xa3nsp\xa1/", "unknown_type"),
        ("an unknown type", b"\x82\xa4type\x09\xa3nsp\xa1/", "unknown_type"),
        ("a type that is a text", b"\x82\xa4type\xa10\xa3nsp\xa1/", "unknown_type"),
        ("a map of 2^32-1 entries", b"\xdf\xff\xff\xff\xff", "malformed_msgpack"),
        (
            "an array of 2^32-1 elements",
            b"\x82\xa4type\x02\xa4data\xdd\xff\xff\xff\xff",
            "malformed_msgpack",
        ),
        (
            "a text of 2^32-1 bytes",
            b"\x82\xa4type\x00\xa3nsp\xdb\xff\xff\xff\xff/",
            "malformed_msgpack",
        ),
        (
            "bytes of 2^32-1 bytes",
            b"\x82\xa4type\x02\xa4data\xc6\xff\xff\xff\xff",
            "malformed_msgpack",
        ),
        ("a text that is no UTF-8", b"\x82\xa4type\x00\xa3nsp\xa1\xff", "malformed_msgpack"),
        ("more behind the packet", b"\x82\xa4type\x00\xa3nsp\xa1/\x00", "malformed_msgpack"),
        ("cut off", b"\x82\xa4type\x00\xa3ns", "malformed_msgpack"),
        ("an event before CONNECT", b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x", "not_joined"),
        ("nesting", &deep, "too_deep"),
        (
            "CONNECT with an array",
            b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x90",
            "invalid_connect_payload",
        ),
    ] {
        cases.push(speaking(what).binary(bytes).closes_empty().rejected(reason));
    }
}

/// Events in whose arguments something is wrong, or odd.
fn events(cases: &mut Vec<Case>) {
    let event = |data: &[u8]| [&b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data"[..], data].concat();
    let joined =
        |what: &str| speaking(what).binary(CONNECT).step(Step::HearsBytes(b"sid".to_vec()));
    for (what, data, reason) in [
        ("an event that is a map", &b"\x81\xa1x\x01"[..], "invalid_event_payload"),
        ("an event without a name", b"\x90", "invalid_event_payload"),
        ("a name that is nil", b"\x91\xc0", "invalid_event_payload"),
        ("a reserved name", b"\x91\xa7connect", "reserved_event_name"),
    ] {
        cases.push(joined(what).binary(event(data)).closes_empty().rejected(reason));
    }
    let many = [&b"\xdc\x01\x2d\xa1x"[..], &b"\xc4\x00".repeat(300)].concat();
    cases.push(
        joined("300 binary values")
            .binary(event(&many))
            .closes_empty()
            .rejected("too_many_attachments"),
    );
    for (what, data) in [
        ("a date", &b"\x92\xa1x\xd7\x00\0\0\x01\x90\0\0\0\0"[..]),
        ("undefined", b"\x92\xa1x\xd4\x00\x00"),
        ("a number that is none", b"\x92\xa1x\xcb\x7f\xf8\0\0\0\0\0\0"),
        ("another extension", b"\x92\xa1x\xc7\x03\x05abc"),
        ("a key that is a number", b"\x92\xa1x\x81\x01\x02"),
    ] {
        let join =
            b"\x84\xa4type\x02\xa4data\x92\xa9room:join\x81\xa6roomId\xa1r\xa3nsp\xa1/\xa2id\x00";
        let fine = joined(&format!("{what} does no harm")).binary(event(data)).binary(join);
        cases.push(fine.step(Step::HearsBytes(b"ok".to_vec())));
    }
}
