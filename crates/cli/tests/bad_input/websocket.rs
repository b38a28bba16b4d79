//! C: WebSocket handshakes and frames, beyond what the Autobahn suite sends.

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::{WEBSOCKET, claim, masked, upgrade, upgrade_but};

const BAD: &[u16] = &[400];

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    handshakes(&mut cases);
    extensions(&mut cases);
    heads(&mut cases);
    lengths(&mut cases);
    fragments(&mut cases);
    controls(&mut cases);
    closes(&mut cases);
    texts(&mut cases);
    deflate(&mut cases);
    binaries(&mut cases);
    cases
}

/// C1, C2, C21: requests that ask for no WebSocket, or wrongly.
fn handshakes(cases: &mut Vec<Case>) {
    let key = "Sec-WebSocket-Key";
    let version = "Sec-WebSocket-Version";
    for (row, name, value, status, reason) in [
        ("C1", key, "", BAD, "websocket_key"),
        ("C1", key, "AAAAAAAAAAAAAAAAAAAA", BAD, "websocket_key"),
        ("C1", key, "AAAAAAAAAAAAAAAAAAAAAAA=", BAD, "websocket_key"),
        ("C1", key, "AAAAAAAAAAAAAAAAAAAA!!==", BAD, "websocket_key"),
        ("C1", key, "AAAAAAAAAAAAAAAAAAAAA_==", BAD, "websocket_key"),
        ("C1", key, "{secret}", BAD, "websocket_key"),
        ("C2", version, "", &[426], "websocket_version"),
        ("C2", version, "12", &[426], "websocket_version"),
        ("C2", version, "14", &[426], "websocket_version"),
        ("C2", version, "13,13", &[426], "websocket_version"),
        ("C2", version, "+13", &[426], "websocket_version"),
        ("C2", version, "013", &[426], "websocket_version"),
        ("C1", "Connection", "", BAD, "websocket_connection"),
        ("C1", "Connection", "close", BAD, "websocket_connection"),
        ("C1", "Sec-WebSocket-Protocol", ",", BAD, "websocket_protocol"),
        ("C1", "Sec-WebSocket-Protocol", "a b", BAD, "websocket_protocol"),
        ("C1", "Sec-WebSocket-Protocol", "\u{e9}", BAD, "websocket_protocol"),
        ("C21", "Content-Length", "10", BAD, "websocket_body"),
        ("C21", "Transfer-Encoding", "chunked", BAD, "websocket_body"),
    ] {
        let refused = case(row, format!("{name}: {value:?}"))
            .send(upgrade_but(WEBSOCKET, &[(name, value)]))
            .status(status)
            .head_has("connection: close")
            .rejected(reason);
        let refused =
            if row == "C2" { refused.head_has("sec-websocket-version: 13") } else { refused };
        cases.push(refused.ended());
    }
    let twice = upgrade(WEBSOCKET)
        .replace("\r\n\r\n", &format!("\r\n{key}: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"));
    cases.push(
        case("C1", "two keys").send(twice).status(BAD).ended().rejected("websocket_repeated_key"),
    );
    for value in ["h2c", "websocketx", "web socket", "TLS/1.0"] {
        // Not an upgrade to a WebSocket, so a plain request.
        cases.push(
            case("C1", format!("upgrade to {value}"))
                .send(upgrade_but(WEBSOCKET, &[("Upgrade", value)]))
                .status(BAD)
                .body_has("\"code\":3")
                .rejected("plain_websocket"),
        );
    }
    cases.push(
        case("C21", "HTTP/1.0")
            .send(upgrade(WEBSOCKET).replace("HTTP/1.1", "HTTP/1.0"))
            .status(BAD)
            .ended()
            .rejected("websocket_http_version"),
    );
    cases.push(
        case("C21", "an upgrade by POST")
            .send(upgrade(WEBSOCKET).replace("GET ", "POST "))
            .status(BAD)
            .ended()
            .rejected("bad_handshake_method"),
    );
    cases.push(
        case("C21", "frames behind the request, before the answer")
            .send([upgrade(WEBSOCKET).into_bytes(), masked(0x81, b"40")].concat())
            .status(&[101])
            .hears_begin("0{")
            .hears_begin("40{\"sid\""),
    );
}

/// C4: extensions.
fn extensions(cases: &mut Vec<Case>) {
    let many = format!("permessage-deflate{}", "; x".repeat(1000));
    let long = "x".repeat(20_000);
    for profile in [Profile::Standard, Profile::Compressing] {
        for value in [
            "constructor",
            "__proto__",
            "toString",
            &many,
            &long,
            ";;;,,,",
            "=",
            "\"",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; \u{e9}",
        ] {
            let name = &value[..value.len().min(60)];
            cases.push(
                case("C4", format!("extension {name:?}"))
                    .on(profile)
                    .send(upgrade_but(WEBSOCKET, &[("Sec-WebSocket-Extensions", value)]))
                    .status(&[101])
                    .head_lacks("sec-websocket-extensions")
                    .hears_begin("0{"),
            );
        }
    }
    cases.push(
        case("C4", "compression is not agreed on by default")
            .send(upgrade_but(WEBSOCKET, &[("Sec-WebSocket-Extensions", "permessage-deflate")]))
            .status(&[101])
            .head_lacks("sec-websocket-extensions"),
    );
}

/// A frame that breaks a rule ends the connection with a code, and the session with it.
fn broken(row: &'static str, what: impl Into<String>, bytes: impl AsRef<[u8]>) -> Case {
    case(row, what).joined(Door::WebSocket).more(bytes).cause("transport_failed", 1)
}

/// C5, C6: masks, reserved bits, reserved opcodes.
fn heads(cases: &mut Vec<Case>) {
    for (what, bytes) in [
        ("a text without a mask", &b"\x81\x0542[]x"[..]),
        ("an empty text without a mask", b"\x81\x00"),
        ("a close without a mask", b"\x88\x00"),
    ] {
        cases.push(broken("C5", what, bytes).closes(1002).rejected("unmasked_frame").gone());
    }
    for first in [0xc1u8, 0xa1, 0x91, 0xf1, 0xc2, 0xc8, 0xc9, 0xb1, 0x41] {
        let frame = masked(first, b"42[\"x\"]");
        let what = format!("reserved bits {first:#04x}");
        cases.push(broken("C6", what, frame).closes(1002).rejected("reserved_bits"));
    }
    for opcode in [3u8, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let frame = masked(0x80 | opcode, b"");
        let what = format!("reserved opcode {opcode:#03x}");
        cases.push(broken("C6", what, frame).closes(1002).rejected("reserved_opcode"));
    }
}

/// C7: lengths that are claimed.
fn lengths(cases: &mut Vec<Case>) {
    for (what, bytes, code, reason) in [
        ("2^64-1", claim(0x81, u64::MAX), 1002, "length_overflow"),
        ("2^63", claim(0x82, 1 << 63), 1002, "length_overflow"),
        ("2^63-1", claim(0x82, (1 << 63) - 1), 1009, "message_too_big"),
        ("2^40", claim(0x81, 1 << 40), 1009, "message_too_big"),
        ("one too many", claim(0x81, 1_000_001), 1009, "message_too_big"),
        ("5 in eight bytes", claim(0x81, 5), 1002, "non_minimal_length"),
        ("65535 in eight bytes", claim(0x81, 65_535), 1002, "non_minimal_length"),
        ("5 in two bytes", b"\x81\xfe\0\x05\x01\x02\x03\x04".to_vec(), 1002, "non_minimal_length"),
    ] {
        let what = format!("a length of {what}");
        cases.push(broken("C7", what, bytes).closes(code).rejected(reason));
    }
    let many = scaled(100);
    let mut claims = case("C7", "large messages that are claimed and do not come");
    for _ in 0..many {
        claims = claims.joined(Door::WebSocket).more(claim(0x82, 1_000_000)).more(b"4");
    }
    cases.push(claims);
}

/// C10, C13: fragments.
fn fragments(cases: &mut Vec<Case>) {
    let mut endless = masked(0x01, &[b'4'; 65_536]);
    for _ in 0..20 {
        endless.extend(masked(0x00, &[b'4'; 65_536]));
    }
    cases.push(
        broken("C10", "fragments without an end", endless).closes(1009).rejected("message_too_big"),
    );
    let mut empty = masked(0x01, b"4");
    empty.extend(masked(0x00, b"").repeat(2_000));
    let what = "empty fragments without an end";
    cases.push(broken("C10", what, empty).closes(1008).rejected("too_many_fragments"));
    let over = [masked(0x01, &[b'4'; 999_999]), masked(0x80, b"44")].concat();
    cases.push(
        broken("C10", "one byte too many in the last fragment", over)
            .closes(1009)
            .rejected("message_too_big"),
    );
    cases.push(
        case("C10", "a message in single bytes, pings between them")
            .joined(Door::WebSocket)
            .frame(0x01, "4")
            .frame(0x89, "a")
            .step(Step::Pong(b"a".to_vec()))
            .frame(0x00, "2")
            .frame(0x00, "")
            .frame(0x00, "0[\"room:join\",{\"roomId\":\"r\"}")
            .frame(0x89, "b")
            .step(Step::Pong(b"b".to_vec()))
            .frame(0x80, "]")
            .hears_begin("430[{\"ok\":true"),
    );
    for (what, bytes, reason) in [
        ("a continuation of nothing", masked(0x80, b"x"), "unexpected_continuation"),
        (
            "a continuation of a whole message",
            [masked(0x81, b"6"), masked(0x00, b"x")].concat(),
            "unexpected_continuation",
        ),
        (
            "a text in a text",
            [masked(0x01, b"6"), masked(0x81, b"6")].concat(),
            "unfinished_message",
        ),
        (
            "bytes in a text",
            [masked(0x01, b"6"), masked(0x02, b"6")].concat(),
            "unfinished_message",
        ),
    ] {
        cases.push(broken("C13", what, bytes).closes(1002).rejected(reason));
    }
}

/// C12, C13: pings and pongs.
fn controls(cases: &mut Vec<Case>) {
    for (what, bytes, code, reason) in [
        ("a ping of 126 bytes", masked(0x89, &[b'x'; 126]), 1002, "control_too_long"),
        ("a pong of 70 000 bytes", masked(0x8a, &[b'x'; 70_000]), 1002, "control_too_long"),
        ("a close of 126 bytes", masked(0x88, &[b'x'; 126]), 1002, "control_too_long"),
        ("a ping in fragments", masked(0x09, b"x"), 1002, "fragmented_control"),
        ("a close in fragments", masked(0x08, b""), 1002, "fragmented_control"),
        (
            "a flood of pongs",
            masked(0x8a, b"").repeat(scaled(10_000)),
            1008,
            "too_many_control_frames",
        ),
        (
            "a flood of pings",
            masked(0x89, b"x").repeat(scaled(10_000)),
            1008,
            "too_many_control_frames",
        ),
    ] {
        cases.push(
            broken(if code == 1008 { "C12" } else { "C13" }, what, bytes)
                .closes(code)
                .rejected(reason),
        );
    }
    let last = case("C12", "of many pings the last is answered")
        .joined(Door::WebSocket)
        .more([masked(0x89, b"a"), masked(0x89, b"b"), masked(0x89, b"c")].concat());
    cases.push(last.step(Step::Pong(b"c".to_vec())).alive());
    let quiet = case("C12", "pongs that nobody asked for")
        .joined(Door::WebSocket)
        .more(masked(0x8a, b"x").repeat(50));
    cases.push(quiet.alive());
}

/// C14, C15, C23: close frames.
fn closes(cases: &mut Vec<Case>) {
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let frame = masked(0x88, &code.to_be_bytes());
        let what = format!("a close with {code}");
        cases.push(broken("C14", what, frame).closes(1002).rejected("invalid_close_code"));
    }
    cases.push(
        broken("C14", "a close of one byte", masked(0x88, b"\x03"))
            .closes(1002)
            .rejected("close_too_short"),
    );
    for reason in
        [&b"\x03\xe8\xff"[..], b"\x03\xe8\xe2\x82", b"\x03\xe8\xc0\xaf", b"\x03\xe8\xed\xa0\x80"]
    {
        let what = format!("a close with the reason {}", reason[2..].escape_ascii());
        cases.push(
            broken("C14", what, masked(0x88, reason)).closes(1007).rejected("invalid_close_reason"),
        );
    }
    for (code, reason) in
        [(1000u16, &b""[..]), (1001, b"{secret}"), (3000, b"\x1b[31m"), (4999, b"x")]
    {
        let payload = [&code.to_be_bytes()[..], reason].concat();
        cases.push(
            case("C23", format!("a close with {code} and a reason"))
                .joined(Door::WebSocket)
                .frame(0x88, payload)
                .closes(code)
                .cause("transport_ended", 1)
                .gone(),
        );
    }
    cases.push(
        case("C14", "an empty close")
            .joined(Door::WebSocket)
            .frame(0x88, "")
            .closes_empty()
            .cause("transport_ended", 1)
            .gone(),
    );
    let behind = [masked(0x88, b"\x03\xe8"), masked(0x81, b"4garbage"), b"\xff\xff\xff".to_vec()];
    cases.push(
        case("C15", "data behind a close is not looked at")
            .joined(Door::WebSocket)
            .more(behind.concat())
            .closes(1000)
            .cause("transport_ended", 1)
            .gone(),
    );
}

/// C16: what is no text.
fn texts(cases: &mut Vec<Case>) {
    for (what, bytes) in [
        ("a byte that is nowhere", masked(0x81, b"42[\"\xff\"]")),
        ("an overlong slash", masked(0x81, b"42[\"\xc0\xaf\"]")),
        ("half a surrogate pair", masked(0x81, b"42[\"\xed\xa0\x80\"]")),
        ("beyond Unicode", masked(0x81, b"42[\"\xf4\x90\x80\x80\"]")),
        ("half a character at the end", masked(0x81, b"4\xe2\x82")),
        ("a wrong byte in the first fragment", masked(0x01, b"4\xff")),
        (
            "a wrong byte in the second half of a character",
            [masked(0x01, b"4\xe2\x82"), masked(0x00, b"4")].concat(),
        ),
        ("half a character, and the end", [masked(0x01, b"4\xe2\x82"), masked(0x80, b"")].concat()),
        ("a wrong byte in a frame that does not end", {
            let mut frame = claim(0x81, 900_000);
            frame.extend(b"4\xff".iter().zip([0x37, 0xfa]).map(|(byte, mask)| byte ^ mask));
            frame
        }),
    ] {
        cases.push(broken("C16", what, bytes).closes(1007).rejected("invalid_utf8").gone());
    }
    cases.push(
        case("C16", "a character in three fragments is one")
            .joined(Door::WebSocket)
            .frame(0x01, b"420[\"room:join\",{\"roomId\":\"r\",\"x\":\"\xe2")
            .frame(0x00, b"\x82")
            .frame(0x80, b"\xac\"}]")
            .hears_begin("430[{\"ok\":true"),
    );
}

/// C17, C18: compressed messages.
fn deflate(cases: &mut Vec<Case>) {
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let compressing = |what: &str| {
        case("C17", what)
            .on(Profile::Compressing)
            .send(upgrade_but(WEBSOCKET, &offer))
            .status(&[101])
            .head_has("sec-websocket-extensions: permessage-deflate")
            .hears_begin("0{")
    };
    let bomb = deflated(&vec![b'4'; 64 << 20]);
    for (what, payload, code, reason) in [
        ("64 MiB in 64 KiB", bomb, 1009, "inflated_too_big"),
        ("one byte too many", deflated(&vec![b'4'; 1_000_001]), 1009, "inflated_too_big"),
        ("no deflate", vec![0xff; 64], 1007, "corrupt_deflate"),
        ("a block without an end", vec![0x00, 0xff, 0xff, 0x00, 0x00], 1007, "corrupt_deflate"),
        ("a reference to before the begin", vec![0x02, 0x03, 0x00], 1007, "corrupt_deflate"),
        ("text that is no UTF-8", deflated(&[b'4', 0xff, 0xfe]), 1007, "invalid_utf8"),
    ] {
        let frame = masked(0xc1, &payload);
        cases.push(
            compressing(what)
                .more(frame)
                .closes(code)
                .rejected(reason)
                .cause("transport_failed", 1),
        );
    }
    let ping = masked(0xc9, &deflated(b"x"));
    cases.push(compressing("a compressed ping").more(ping).closes(1002).rejected("reserved_bits"));
    let tail = [masked(0x01, b"4"), masked(0xc0, b"")].concat();
    cases.push(
        compressing("compression begins in the middle")
            .more(tail)
            .closes(1002)
            .rejected("reserved_bits"),
    );
    let mut many = case("C18", "many connections that compress").on(Profile::Compressing);
    for _ in 0..scaled(100) {
        many = many
            .send(upgrade_but(WEBSOCKET, &offer))
            .status(&[101])
            .hears_begin("0{")
            .more(masked(0xc1, &deflated(b"40")))
            .hears_begin("40{\"sid\"");
    }
    cases.push(many);
}

/// As permessage-deflate sends it: without the end of the last block.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.flush().unwrap();
    let mut compressed = encoder.get_ref().clone();
    assert!(compressed.ends_with(&[0, 0, 0xff, 0xff]));
    compressed.truncate(compressed.len() - 4);
    compressed
}

/// C24: binary frames where none is expected.
fn binaries(cases: &mut Vec<Case>) {
    for (what, payload) in [("empty", &b""[..]), ("of one byte", b"4"), ("of zeros", &[0; 1000])] {
        cases.push(
            case("C24", format!("a binary frame that is {what}"))
                .joined(Door::WebSocket)
                .binary(payload)
                .closes_empty()
                .rejected("unexpected_binary")
                .gone(),
        );
    }
    cases.push(
        case("C24", "an empty attachment where one is expected")
            .joined(Door::WebSocket)
            .text("451-[\"x\",{\"_placeholder\":true,\"num\":0}]")
            .binary("")
            .alive(),
    );
}
