//! More than one client, or one address, may have in a time: B21, B22, C12, C17, D2, D14.

use std::time::Duration;

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::{masked, post};

/// A message just below the largest: `42["x","…"]` of 999 999 bytes.
fn large() -> Vec<u8> {
    format!("42[\"x\",\"{}\"]", "x".repeat(999_999 - 10)).into_bytes()
}

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    messages(&mut cases);
    pongs(&mut cases);
    newcomers(&mut cases);
    cases
}

fn paced(row: &'static str, what: impl Into<String>) -> Case {
    case(row, what).on(Profile::Paced)
}

/// C17, D14: many bytes. The client becomes slower; nothing is refused, and nobody else notices.
fn messages(cases: &mut Vec<Case>) {
    let count = scaled(5);
    let mut flood =
        paced("D14", "messages of 999 999 bytes without a pause").joined(Door::WebSocket);
    for _ in 0..count {
        flood = flood.more(masked(0x81, &large()));
    }
    cases.push(flood.alive().step(Step::Held));

    let halves = large();
    let (first, second) = halves.split_at(500_000);
    let mut flood = paced("D14", "the same in fragments").joined(Door::WebSocket);
    for _ in 0..count {
        flood = flood.more(masked(0x01, first)).more(masked(0x80, second));
    }
    cases.push(flood.alive().step(Step::Held));

    let mut flood = paced("D14", "posts of 999 999 bytes").joined(Door::Polling);
    for _ in 0..count {
        flood = flood.send(post(large())).status(&[200]);
    }
    cases.push(flood.alive().step(Step::Held));

    // Not too small: a server that is not optimised must be able to read them faster than it may.
    let small = masked(0x81, format!("42[\"x\",\"{}\"]", "x".repeat(2_000)).as_bytes());
    let flood = paced("D14", "small messages without a pause").joined(Door::WebSocket);
    let flood = flood.more(small.repeat(scaled(3_000_000) / small.len()));
    cases.push(flood.alive().step(Step::Held));

    cases.push(
        paced("D14", "a flood that is reset while it is held back")
            .joined(Door::WebSocket)
            .more(masked(0x81, &large()))
            .more(masked(0x81, &large()))
            .step(Step::Held)
            .step(Step::Abort)
            .gone(),
    );
    cases.push(
        paced("D14", "a flood that breaks the protocol at its end")
            .joined(Door::WebSocket)
            .more(masked(0x81, &large()))
            .more(masked(0x81, &large()))
            .text("49")
            .closes_empty()
            .rejected("unknown_type")
            .step(Step::Held),
    );
    // A kilobyte each on the wire, a megabyte each when unpacked.
    let bomb = crate::websocket::deflated(&large());
    let offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover");
    cases.push(
        paced("C17", "messages that are small on the wire only")
            .send(crate::wire::upgrade_but(crate::wire::WEBSOCKET, &[offer]))
            .status(&[101])
            .hears_begin("0{")
            .text("40")
            .hears_begin("40{")
            .more(masked(0xc1, &bomb).repeat(scaled(4)))
            .asks(0)
            .step(Step::Held),
    );
}

/// C12, D2: 100 000 pongs that nobody asked for, as fast as they can be sent.
fn pongs(cases: &mut Vec<Case>) {
    let pong = masked(0x81, b"3");
    cases.push(
        case("D2", "pongs that nobody asked for, below the rate")
            .joined(Door::WebSocket)
            .more(pong.repeat(scaled(100_000)))
            .alive(),
    );
    cases.push(
        paced("D2", "pongs that nobody asked for, as many as the rate allows")
            .joined(Door::WebSocket)
            .more(pong.repeat(scaled(400_000)))
            .alive(),
    );
    // Between two messages the frames themselves may be so many, and not one more.
    let controls = masked(0x8a, b"x").repeat(100);
    cases.push(
        case("C12", "pongs of the WebSocket between messages")
            .joined(Door::WebSocket)
            .more([controls, pong].concat().repeat(scaled(1_000)))
            .alive(),
    );
    cases.push(
        paced("C12", "pongs of the WebSocket and nothing else")
            .joined(Door::WebSocket)
            .more(masked(0x8a, b"x").repeat(scaled(100_000)))
            .closes(1008)
            .rejected("too_many_control_frames")
            .gone(),
    );
}

/// B21, B22: one address that opens sessions, or guesses at their ids.
fn newcomers(cases: &mut Vec<Case>) {
    // Long enough for a few to be let in again: by the next case too.
    let breath = Duration::from_millis(1500);
    cases.push(
        case("B22", "one address guesses at session ids")
            .on(Profile::Newcomers)
            .joined(Door::WebSocket)
            .step(Step::Guesses(scaled(400)))
            .asks(0)
            .step(Step::Silence(breath)),
    );
    cases.push(
        case("B21", "one address opens sessions and never polls")
            .on(Profile::Newcomers)
            .joined(Door::WebSocket)
            .step(Step::Newcomers(scaled(400)))
            .asks(0)
            .step(Step::Silence(breath)),
    );
}
