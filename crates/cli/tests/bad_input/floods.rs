//! M: more than one may send. (M1 and M2, connections, stand with the slow and the many.)

use crate::case::{Case, Door, Profile, Step, case};
use crate::wire::{masked, poll, post};

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    events(&mut cases);
    rooms(&mut cases);
    patterns(&mut cases);
    cases
}

fn thrifty(row: &'static str, what: &str) -> Case {
    case(row, what).on(Profile::Thrifty)
}

/// M4: one is refused, told, and closed when it goes on.
fn events(cases: &mut Vec<Case>) {
    let event = masked(0x81, br#"42["room:leave",{"roomId":"nowhere"}]"#);
    let told = thrifty("M4", "a flood of events").joined(Door::WebSocket).more(event.repeat(45));
    let told = told.hears_has("\"code\":\"RATE_LIMIT_EXCEEDED\"");
    cases.push(told.perhaps_rejected("event_refused"));
    let gone = thrifty("M4", "a flood that goes on").joined(Door::WebSocket).more(event.repeat(80));
    let gone = gone.step(Step::Cut).step(Step::Gone).perhaps_rejected("event_refused");
    cases.push(gone);
    let packets = vec![r#"42["room:leave",{"roomId":"nowhere"}]"#; 80].join("\u{1e}");
    let gone = thrifty("M4", "the same by polling").joined(Door::Polling).send(post(packets));
    let gone = gone.status(&[200]).send(poll()).status(&[200]).body_has("41").step(Step::Gone);
    cases.push(gone.perhaps_rejected("event_refused"));
    let mut asks = thrifty("M4", "each question is answered").joined(Door::WebSocket);
    for id in 0..45 {
        asks = asks.text(format!(r#"42{id}["room:leave",{{"roomId":"nowhere"}}]"#));
    }
    for id in 0..45 {
        asks = asks.hears_begin(&format!("43{id}["));
    }
    cases.push(asks.rejected_times("event_refused", 5));
}

/// M5: one room has a budget, whoever sends to it.
fn rooms(cases: &mut Vec<Case>) {
    let mut many = thrifty("M5", "many messages for one room").joined(Door::WebSocket).room("m5");
    for id in 1..=25 {
        many = many.text(format!(r#"42{id}["typing",{{"roomId":"m5","isTyping":true}}]"#));
    }
    // Five of them are refused, before the others are done.
    cases.push(many.reads("\"scope\":\"room\""));
}

/// M8: patterns are read in time that grows with their length alone.
fn patterns(cases: &mut Vec<Case>) {
    let stars = "*a".repeat(120);
    let wild = case("M8", "a room of many stars").joined(Door::WebSocket);
    let join = format!(r#"420["room:join",{{"roomId":"{stars}"}}]"#);
    cases.push(wild.text(join).hears_begin("430[").alive());
}
