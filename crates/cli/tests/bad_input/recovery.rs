//! H: clients that come back, and those who only say so.

use std::time::Duration;

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::{WEBSOCKET, request, upgrade};

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    strangers(&mut cases);
    loops(&mut cases);
    much(&mut cases);
    quiet_rooms(&mut cases);
    payloads(&mut cases);
    cases
}

/// A client that has heard one event of a room.
fn heard(case: Case, room: &'static str) -> Case {
    case.joined(Door::WebSocket)
        .room(room)
        .step(Step::Publish(room, 1, 10))
        .hears_begin(r#"42["event",0,"#)
}

/// It loses its connection, comes back on another one, and is asked what it wants with this.
fn back(case: Case, connect: &str) -> Case {
    case.step(Step::Abort).open(Door::WebSocket).text(connect)
}

const WITH_OFFSET: &str = r#"40{"pid":"{pid}","offset":"{offset}"}"#;

/// H9: secrets that are none.
fn strangers(cases: &mut Vec<Case>) {
    let long = format!("\"{}\"", "x".repeat(9_000));
    for pid in [
        r#""""#,
        r#""__proto__""#,
        r#""constructor""#,
        r#""*""#,
        r#""\u0000""#,
        r#""' OR 1=1 --""#,
        r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#,
        "5",
        "null",
        "true",
        "[]",
        "{}",
        &long,
    ] {
        let shown: String = pid.chars().take(40).collect();
        let stranger = case("H9", format!("the pid {shown}"))
            .open(Door::WebSocket)
            .text(format!(r#"40{{"pid":{pid},"offset":"AAAAAAAAAAA.B"}}"#))
            .hears_begin(r#"40{"sid":""#)
            .asks(9);
        cases.push(stranger);
    }
    let guesses = (0..scaled(60)).fold(case("H9", "guesses"), |guesses, number| {
        let connect = format!(r#"40{{"pid":"guess{number:027}"}}"#);
        guesses.open(Door::WebSocket).text(connect).hears_begin(r#"40{"sid":""#)
    });
    cases.push(guesses.asks(9));
    let other = case("H9", "the pid of another namespace").on(Profile::Narrow);
    let other = back(heard(other, "h9"), r#"40/a,{"pid":"{pid}","offset":"{offset}"}"#);
    cases.push(other.hears_begin(r#"40/a,{"sid":""#));
    for offset in [r#""""#, r#""0""#, r#""AAAAAAAAAAA.zzzz""#, "5", "null", "[]", "{}"] {
        // Without one that is a text, all that was missed since the connection is.
        let connect = format!(r#"40{{"pid":"{{pid}}","offset":{offset}}}"#);
        let odd = case("H9", format!("the offset {offset}"));
        cases.push(back(heard(odd, "h9"), &connect).hears_begin(r#"40{"sid":""#));
    }
}

/// H13: a client that comes back again and again.
fn loops(cases: &mut Vec<Case>) {
    let mut again = heard(case("H13", "back again and again"), "h13");
    for _ in 0..scaled(100) {
        again = back(again, WITH_OFFSET).hears_has(r#""pid":"{pid}""#);
    }
    cases.push(again.asks(9));
    // The last one to come has it.
    let mut rivals = heard(case("H13", "back while it is still here"), "h13");
    for _ in 0..scaled(20) {
        rivals = rivals.open(Door::WebSocket).text(WITH_OFFSET).hears_has(r#""pid":"{pid}""#);
    }
    cases.push(rivals.asks(9));
}

/// H11: more than is sent again.
fn much(cases: &mut Vec<Case>) {
    let away = heard(case("H11", "away for more events than are sent again"), "h11");
    let away = back(away.on(Profile::Forgetful).step(Step::Publish("h11", 30, 10)), WITH_OFFSET);
    // Not one of them comes before the answer to what it asks next.
    cases.push(away.hears_begin(r#"40{"sid":""#).asks(9));
    let late = heard(case("H11", "a position with more behind it than is sent"), "h11");
    let target = format!("{WEBSOCKET}&rooms=h11&fromEventId={{offset}}");
    let late = late
        .on(Profile::Forgetful)
        .step(Step::Publish("h11", 30, 10))
        .send(upgrade(&target))
        .status(&[101])
        .hears_begin("0{")
        .text("40")
        .hears_begin("40{")
        .hears_has(r#"["replay:reset",{"#)
        .asks(9);
    cases.push(late);
    for position in ["AAAAAAAAAAA.A", "AAAAAAAAAAA.B", "P__________.A"] {
        let other = case("H11", format!("the position {position} of another life"))
            .send(upgrade(&format!("{WEBSOCKET}&rooms=h11&fromEventId={position}")))
            .status(&[101])
            .hears_begin("0{")
            .text("40")
            .hears_begin("40{")
            .hears_has(r#""reason":"epoch_changed""#)
            .asks(9);
        cases.push(other);
    }
}

/// H15, H16: what was trimmed elsewhere is nobody's loss; of a room that was left nothing comes.
fn quiet_rooms(cases: &mut Vec<Case>) {
    let quiet = heard(case("H15", "a quiet room, while all else is forgotten"), "quiet");
    let quiet = quiet.on(Profile::Forgetful).step(Step::Abort);
    let quiet = quiet
        .step(Step::Publish("h15", 200, 10))
        .step(Step::Silence(Duration::from_millis(2_500))) // it forgets every second
        .open(Door::WebSocket)
        .text(WITH_OFFSET)
        .hears_has(r#""pid":"{pid}""#)
        .asks(9);
    cases.push(quiet);
    let left = heard(case("H16", "a room that was left"), "left")
        .room("kept")
        .text(r#"420["room:leave",{"roomId":"left"}]"#)
        .hears_begin(r#"430[{"ok":true"#)
        .step(Step::Abort)
        .step(Step::Publish("left", 5, 10))
        .step(Step::Publish("kept", 1, 10))
        .open(Door::WebSocket)
        .text(WITH_OFFSET)
        .hears_has(r#""pid":"{pid}""#)
        .hears_begin(r#"42["event",0,"#)
        .asks(9);
    cases.push(left);
}

/// A request that publishes.
fn publish(body: &str) -> String {
    let fields = format!(
        "Authorization: Bearer {{key}}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    request("POST", "/v1/publish", &fields) + body
}

/// H19: arguments that look like an offset.
fn payloads(cases: &mut Vec<Case>) {
    for text in ["AAAAAAAAAAA.zzzz", "AAAAAAAAAAA.A", ""] {
        let body = format!(r#"{{"event":"event","args":["{text}"],"rooms":["h19"]}}"#);
        let odd = heard(case("H19", format!("an event whose last argument is {text:?}")), "h19");
        let odd = odd
            .send(publish(&body))
            .status(&[200])
            .step(Step::Use(0))
            .hears_begin(&format!(r#"42["event","{text}","#))
            .step(Step::Abort)
            .step(Step::Publish("h19", 1, 10))
            .open(Door::WebSocket)
            .text(WITH_OFFSET)
            .hears_has(r#""pid":"{pid}""#)
            .hears_begin(r#"42["event",0,"#)
            .asks(9);
        cases.push(odd);
    }
}
