//! WebSocket frames, both roles, with and without permessage-deflate.
//!
//! Input: one byte of flags (bit 0: we are the client; bit 1: deflate was agreed on), one byte that
//! says in pieces of how many bytes the stream arrives, then the stream.
//!
//! Shows that for any stream: nothing panics; all input is consumed; what is kept for a partial
//! message stays in proportion to what arrived and to the limit, never to what a frame claims; no
//! message is larger than the limit, inflated or not; the pieces in which bytes arrive change
//! neither the messages nor the violation; and every message, framed again, reads back the same.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use websocket::deflate::{self, Agreed, Deflater};
use websocket::{CloseReason, Incoming, Limits, Opcode, Reader, Role, Violation, frame};

/// Small, so that short inputs reach them.
const LIMITS: Limits = Limits { max_message_bytes: 2_048, max_fragments: 8, max_control_frames: 8 };

/// What a reader may keep for a message of the largest size: twice that (its buffer doubles), what
/// vain compression adds, and its fixed parts.
const MOST_HELD_BYTES: usize = 2 * (LIMITS.max_message_bytes + 256) + 1_024;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

thread_local! {
    /// Some 300 KB: one for all runs.
    static DEFLATER: RefCell<Deflater> =
        RefCell::new(Deflater::new(&deflate::Settings { threshold_bytes: 0, level: 1 }));
}

#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Incoming<'static>>,
    violation: Option<Violation>,
}

fuzz_target!(|data: &[u8]| {
    let [flags, piece, stream @ ..] = data else { return };
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let agreed = (flags & 2 != 0).then(Agreed::default);

    let whole = read(stream, usize::MAX, role, agreed);
    let pieces = read(stream, usize::from(*piece).max(1), role, agreed);
    assert_eq!(whole, pieces, "the pieces in which bytes arrive change nothing");

    for message in &whole.messages {
        plain_round_trip(message);
        if agreed.is_some() {
            deflated_round_trip(message);
        }
    }
});

/// Everything read from `stream` when it arrives in pieces of `piece` bytes.
fn read(stream: &[u8], piece: usize, role: Role, agreed: Option<Agreed>) -> Outcome {
    let mut bytes = stream.to_vec();
    let mut reader = Reader::new(role, agreed);
    let mut outcome = Outcome { messages: Vec::new(), violation: None };
    let mut arrived = 0;
    for chunk in bytes.chunks_mut(piece.min(stream.len().max(1))) {
        arrived += chunk.len();
        let mut input = chunk;
        loop {
            match reader.read(&LIMITS, &mut input) {
                Ok(Some(incoming)) => {
                    assert!(outcome.violation.is_none(), "nothing is read after a violation");
                    assert!(size(&incoming) <= LIMITS.max_message_bytes);
                    outcome.messages.push(owned(incoming));
                }
                Ok(None) => break,
                Err(violation) => {
                    assert!(outcome.violation.is_none(), "one violation ends a connection");
                    outcome.violation = Some(violation);
                }
            }
        }
        assert!(input.is_empty(), "all input is consumed");
        let held = reader.held_bytes();
        assert!(held <= MOST_HELD_BYTES && held <= 2 * arrived + 1_024, "{held} bytes are held");
    }
    // Each message took two bytes of the stream at least.
    assert!(outcome.messages.len() <= stream.len() / 2 + 1);
    let closed = matches!(outcome.messages.last(), Some(Incoming::Close(_)));
    assert_eq!(reader.is_ended(), closed || outcome.violation.is_some());
    outcome
}

/// Framed as a server and as a client frame it, a message is the same.
fn plain_round_trip(message: &Incoming<'static>) {
    let (opcode, payload) = match message {
        Incoming::Text(text) => (Opcode::Text, text.as_bytes().to_vec()),
        Incoming::Binary(bytes) => (Opcode::Binary, bytes.to_vec()),
        Incoming::Ping(bytes) => (Opcode::Ping, bytes.to_vec()),
        Incoming::Pong(bytes) => (Opcode::Pong, bytes.to_vec()),
        Incoming::Close(reason) => {
            let reply = frame::close_reply(reason.as_ref());
            let code = reason.as_ref().map(|reason| reason.code);
            let read = read(&reply, usize::MAX, Role::Client, None);
            assert!(
                matches!(&read.messages[..], [Incoming::Close(reason)]
                    if reason.as_ref().map(|reason| reason.code) == code),
                "a close is answered with its own code"
            );
            return;
        }
    };
    let unmasked = match opcode {
        Opcode::Text => frame::text(std::str::from_utf8(&payload).expect("it was text")),
        Opcode::Binary => frame::binary(&payload),
        Opcode::Ping => frame::ping(&payload),
        _ => frame::pong(&payload),
    };
    let masked = frame::masked(opcode, &payload, KEY);
    assert_eq!(unmasked.len(), frame::header_bytes(payload.len()) + payload.len());
    for (role, bytes) in [(Role::Client, unmasked), (Role::Server, masked)] {
        let back = read(&bytes, usize::MAX, role, None);
        assert_eq!(back.messages, std::slice::from_ref(message));
    }
}

/// What compression makes shorter reads back the same.
fn deflated_round_trip(message: &Incoming<'static>) {
    let deflated = DEFLATER.with_borrow_mut(|deflater| match message {
        Incoming::Text(text) => deflater.text(text),
        Incoming::Binary(bytes) => deflater.binary(bytes),
        _ => None,
    });
    if let Some(deflated) = deflated {
        assert_eq!(deflated.message_bytes, size(message));
        assert!(deflated.frame.len() < frame::header_bytes(size(message)) + size(message) + 1);
        let back = read(&deflated.frame, usize::MAX, Role::Client, Some(Agreed::default()));
        assert_eq!(back.messages, std::slice::from_ref(message));
    }
}

fn size(incoming: &Incoming<'_>) -> usize {
    match incoming {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(bytes) | Incoming::Ping(bytes) | Incoming::Pong(bytes) => bytes.len(),
        Incoming::Close(reason) => reason.as_ref().map_or(0, |reason| 2 + reason.reason.len()),
    }
}

fn owned(incoming: Incoming<'_>) -> Incoming<'static> {
    match incoming {
        Incoming::Text(text) => Incoming::Text(text.into_owned().into()),
        Incoming::Binary(bytes) => Incoming::Binary(bytes.into_owned().into()),
        Incoming::Ping(bytes) => Incoming::Ping(bytes.into_owned().into()),
        Incoming::Pong(bytes) => Incoming::Pong(bytes.into_owned().into()),
        Incoming::Close(reason) => Incoming::Close(reason.map(|reason| CloseReason {
            code: reason.code,
            reason: reason.reason.into_owned().into(),
        })),
    }
}
