#![cfg(test)]
//! What a hostile or broken client sends after the handshake, and what must happen: each rule
//! broken alone, on a fresh connection, in one piece and byte by byte.
//!
//! The handshake's bad input is tested beside `handshake` and `deflate::negotiate`.

use fanfare_websocket::deflate::{Agreed, Deflater, Settings};
use fanfare_websocket::handshake::{RequestLine, accept};
use fanfare_websocket::{Incoming, Limits, Opcode, Reader, Role, Violation, frame};

const LIMITS: Limits = Limits { max_message_bytes: 1_000, max_fragments: 8, max_control_frames: 8 };
const KEY: [u8; 4] = [0xa1, 0x02, 0xb3, 0x04];

/// A masked frame with any first byte; lengths in the shortest form.
fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame::masked(Opcode::Binary, payload, KEY).to_vec();
    bytes[0] = first;
    bytes
}

/// A head whose length is written as it stands here, with a mask key and no payload.
fn claimed(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | length[0]], &length[1..], &KEY].concat()
}

/// How many messages were read before the violation, if there was one.
fn read(bytes: &[u8], piece: usize, agreed: Option<Agreed>) -> (usize, Option<Violation>) {
    let mut reader = Reader::new(Role::Server, agreed);
    let mut messages = 0;
    for chunk in bytes.to_vec().chunks_mut(piece) {
        let mut input = chunk;
        loop {
            match reader.read(&LIMITS, &mut input) {
                Ok(Some(_)) => messages += 1,
                Ok(None) => break,
                Err(violation) => {
                    assert!(reader.is_ended() && reader.held_bytes() == 0, "all is freed");
                    return (messages, Some(violation));
                }
            }
            assert!(reader.held_bytes() < 4_096);
        }
    }
    (messages, None)
}

/// `bytes` end in `violation`, closed with `code`, however they arrive.
fn refused(bytes: &[u8], violation: Violation, code: u16) {
    for piece in [usize::MAX, 1, 3] {
        let (_, found) = read(bytes, piece, None);
        assert_eq!(found, Some(violation), "{bytes:x?} in pieces of {piece}");
    }
    assert_eq!(violation.close_code().value(), code);
}

/// `bytes` are `messages` messages, however they arrive.
fn fine(bytes: &[u8], messages: usize) {
    for piece in [usize::MAX, 1, 3] {
        assert_eq!(read(bytes, piece, None), (messages, None), "{bytes:x?} in pieces of {piece}");
    }
}

/// Frames without a mask, with reserved bits or opcodes.
#[test]
fn heads() {
    refused(&frame::text("unmasked"), Violation::UnmaskedFrame, 1002);
    refused(&frame::ping(b""), Violation::UnmaskedFrame, 1002);
    for reserved in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
            refused(&sent(0x80 | reserved | opcode, b"x"), Violation::ReservedBits, 1002);
        }
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        refused(&sent(0x80 | opcode, b""), Violation::ReservedOpcode, 1002);
    }
    let mut masked = frame::masked(Opcode::Text, b"x", KEY).to_vec();
    let answer = Reader::new(Role::Client, None).read(&LIMITS, &mut &mut masked[..]);
    assert_eq!(answer, Err(Violation::MaskedFrame));
}

/// Claimed lengths: impossible, too long, or written too long.
#[test]
fn lengths() {
    let eight = |bytes: [u8; 8]| claimed(0x82, &[&[127], &bytes[..]].concat());
    refused(&eight([0x80, 0, 0, 0, 0, 0, 0, 0]), Violation::LengthOverflow, 1002);
    refused(&eight([0xff; 8]), Violation::LengthOverflow, 1002);
    refused(&eight((u64::MAX >> 1).to_be_bytes()), Violation::MessageTooBig, 1009);
    refused(&eight(5_u64.to_be_bytes()), Violation::NonMinimalLength, 1002);
    refused(&eight(0xffff_u64.to_be_bytes()), Violation::NonMinimalLength, 1002);
    refused(&claimed(0x82, &[126, 0, 125]), Violation::NonMinimalLength, 1002);
    refused(&claimed(0x82, &[126, 0x03, 0xe9]), Violation::MessageTooBig, 1009);
    fine(&sent(0x82, &[0; 1_000]), 1);
    refused(&sent(0x82, &[0; 1_001]), Violation::MessageTooBig, 1009);
}

/// Fragments: out of place, too many, too big together, never ending.
#[test]
fn fragments() {
    refused(&sent(0x80, b"x"), Violation::UnexpectedContinuation, 1002);
    refused(&sent(0x00, b"x"), Violation::UnexpectedContinuation, 1002);
    let begun = sent(0x01, b"x");
    refused(&[begun.clone(), sent(0x81, b"x")].concat(), Violation::UnfinishedMessage, 1002);
    refused(&[begun.clone(), sent(0x02, b"x")].concat(), Violation::UnfinishedMessage, 1002);
    let whole = [begun.clone(), sent(0x80, b"")].concat();
    refused(&[whole.clone(), sent(0x80, b"x")].concat(), Violation::UnexpectedContinuation, 1002);
    fine(&whole.repeat(3), 3);

    fine(&[begun.clone(), sent(0x00, b"").repeat(6), sent(0x80, b"")].concat(), 1);
    refused(&[begun, sent(0x00, b"").repeat(8)].concat(), Violation::TooManyFragments, 1008);
    let half = [sent(0x02, &[0; 500]), sent(0x00, &[0; 500])].concat();
    fine(&[half.clone(), sent(0x80, b"")].concat(), 1);
    refused(&[half, sent(0x00, b"x")].concat(), Violation::MessageTooBig, 1009);
    // The claim alone is enough, before its bytes come.
    let begun = sent(0x02, &[0; 999]);
    refused(&[begun, claimed(0x00, &[2])].concat(), Violation::MessageTooBig, 1009);
}

/// Control frames: between fragments they are right; long, fragmented or endless they are not.
#[test]
fn control_frames() {
    fine(&[sent(0x01, b"a"), sent(0x89, b"?"), sent(0x8a, b"!"), sent(0x80, b"b")].concat(), 3);
    fine(&sent(0x89, &[0; 125]), 1);
    for first in [0x88, 0x89, 0x8a] {
        refused(&sent(first, &[0; 126]), Violation::ControlTooLong, 1002);
        refused(&sent(first & 0x0f, b""), Violation::FragmentedControl, 1002);
    }
    refused(&sent(0x8a, b"").repeat(9), Violation::TooManyControlFrames, 1008);
    refused(&sent(0x89, b"x").repeat(9), Violation::TooManyControlFrames, 1008);
    // A message that is only begun does not refill the budget.
    let begun = [sent(0x8a, b"").repeat(8), sent(0x01, b""), sent(0x8a, b"")].concat();
    refused(&begun, Violation::TooManyControlFrames, 1008);
}

/// Close frames: codes that may not be sent, half a code, a reason that is not text; and what is
/// sent behind a close frame is not read.
#[test]
fn close_frames() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
        refused(&sent(0x88, &code.to_be_bytes()), Violation::InvalidCloseCode, 1002);
    }
    refused(&sent(0x88, &[3]), Violation::CloseTooShort, 1002);
    refused(&sent(0x88, b"\x03\xe8\xff\xfe"), Violation::InvalidCloseReason, 1007);
    refused(&sent(0x88, b"\x03\xe8\xe2\x82"), Violation::InvalidCloseReason, 1007);
    fine(&sent(0x88, b""), 1);
    fine(&sent(0x88, b"\x0f\xa0bye"), 1);
    fine(&[sent(0x88, b"\x03\xe8"), sent(0x81, b"late"), sent(0xff, b"late")].concat(), 1);
}

/// Text that is not UTF-8, also when a character is split across fragments.
#[test]
fn text() {
    for wrong in [&b"\xff"[..], b"a\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        refused(&sent(0x81, wrong), Violation::InvalidUtf8, 1007);
    }
    fine(&[sent(0x01, b"\xe2"), sent(0x00, b"\x82"), sent(0x80, b"\xac")].concat(), 1);
    refused(&[sent(0x01, b"\xe2\x82"), sent(0x80, b"")].concat(), Violation::InvalidUtf8, 1007);
    // At once, although the message goes on.
    refused(&[sent(0x01, b"\xe2\x82"), sent(0x00, b"x")].concat(), Violation::InvalidUtf8, 1007);
    fine(&sent(0x82, b"\xff"), 1);
}

/// Compressed messages: a bomb, garbage, a reference to an earlier message, and the bit that marks
/// them where it may not stand.
#[test]
fn compressed() {
    let check = |bytes: &[u8], expected: Option<(Violation, u16)>| {
        for piece in [usize::MAX, 1, 3] {
            let (_, found) = read(bytes, piece, Some(Agreed::default()));
            assert_eq!(found.map(|v| (v, v.close_code().value())), expected, "{bytes:x?}");
        }
    };
    let mut deflater = Deflater::new(&Settings { threshold_bytes: 0, ..Settings::default() });
    let mut deflated =
        |bytes: usize| deflater.masked(Opcode::Text, &vec![b'x'; bytes], KEY).unwrap().frame;
    check(&deflated(1_000), None);
    check(&deflated(1_001), Some((Violation::InflatedTooBig, 1009)));
    check(&deflated(100_000), Some((Violation::InflatedTooBig, 1009)));
    check(&sent(0xc2, &[0xff; 20]), Some((Violation::CorruptDeflate, 1007)));
    check(&sent(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]), Some((Violation::CorruptDeflate, 1007)));
    // Larger than what a message of the limit's size can be compressed to.
    check(&sent(0xc2, &[0; 1_200]), Some((Violation::MessageTooBig, 1009)));
    check(&sent(0xc9, b""), Some((Violation::ReservedBits, 1002)));
    check(&sent(0xe1, b""), Some((Violation::ReservedBits, 1002)));
    let begun = sent(0x41, &[0xf2, 0x48, 0xcd]);
    check(&[begun.clone(), sent(0x80, &[0xc9, 0xc9, 0x07, 0x00])].concat(), None);
    check(&[begun, sent(0xc0, b"")].concat(), Some((Violation::ReservedBits, 1002)));
    // Inflated text is checked like any other: a stored block with one wrong byte.
    let stored = sent(0xc1, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00]);
    check(&stored, Some((Violation::InvalidUtf8, 1007)));
}

/// From the handshake to the closing one, with compression, both sides by this crate.
#[test]
fn a_whole_connection() {
    let fields = [
        ("Upgrade", &b"websocket"[..]),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
    ];
    let line = RequestLine { method: "GET", version: (1, 1) };
    let accepted = accept(line, fields, Some(&Settings::default())).unwrap();
    let mut server = Reader::new(Role::Server, accepted.deflate);
    let mut client = Reader::new(Role::Client, accepted.deflate);

    let question = "?".repeat(900);
    let mut deflater = Deflater::new(&Settings { threshold_bytes: 0, level: 9 });
    let mut up = deflater.masked(Opcode::Text, question.as_bytes(), KEY).unwrap().frame.to_vec();
    up.extend(frame::masked(Opcode::Close, b"\x03\xe8", KEY));
    let mut input = &mut up[..];
    let mut down = Vec::new();
    while let Some(incoming) = server.read(&LIMITS, &mut input).unwrap() {
        match incoming {
            Incoming::Text(text) => down.extend(deflater.text(&text).unwrap().frame),
            Incoming::Close(reason) => down.extend(frame::close_reply(reason.as_ref())),
            other => panic!("{other:?}"),
        }
    }
    let mut input = &mut down[..];
    let echoed = client.read(&LIMITS, &mut input).unwrap();
    assert_eq!(echoed, Some(Incoming::Text(question.into())));
    let closed = client.read(&LIMITS, &mut input).unwrap();
    assert!(matches!(closed, Some(Incoming::Close(Some(reason))) if reason.code.value() == 1000));
}
