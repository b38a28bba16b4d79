//! H: rooms and their history, by every door: the event that joins, the query that joins, the event
//! that asks for the history, and the request for it.

use crate::case::{Case, Door, Profile, Step, case, scaled};
use crate::wire::{WEBSOCKET, get, request, upgrade};

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    many_rooms(&mut cases);
    names(&mut cases);
    doors(&mut cases);
    questions(&mut cases);
    questions_of_clients(&mut cases);
    pages(&mut cases);
    waiting(&mut cases);
    cases
}

/// A session on a WebSocket whose query names rooms; not joined yet.
fn by_query(case: Case, query: &str) -> Case {
    let opened = case.send(upgrade(&format!("{WEBSOCKET}&{query}"))).status(&[101]);
    opened.hears_begin("0{").text("40")
}

/// H1: more rooms than a socket may be in.
fn many_rooms(cases: &mut Vec<Case>) {
    let mut joins = case("H1", "a thousand rooms and one more").joined(Door::WebSocket);
    for room in 0..1_000 {
        joins = joins.text(format!(r#"42["room:join",{{"roomId":"room{room}"}}]"#));
    }
    let joins =
        joins.text(r#"427["room:join",{"roomId":"two words"}]"#).hears_has("INVALID_MESSAGE");
    let joins = joins.text(r#"427["room:join",{"roomId":"more"}]"#).hears_has("TOO_MANY_ROOMS");
    cases.push(joins.text(r#"427["room:join",{"roomId":"room0"}]"#).hears_has(r#""ok":true"#));
    let list: Vec<String> = (0..1_001).map(|room| format!("r{room}")).collect();
    let query =
        by_query(case("H1", "too many rooms in the query"), &format!("rooms={}", list.join(",")));
    cases.push(query.hears_begin("44{").rejected("namespace_refused"));
    let churn = (0..scaled(500)).fold(
        case("H1", "the same room, in and out").joined(Door::WebSocket),
        |churn, _| {
            churn
                .text(r#"42["room:join",{"roomId":"churn","last":3}]"#)
                .text(r#"42["room:leave",{"roomId":"churn"}]"#)
        },
    );
    cases.push(churn.alive());
}

/// Names that are none: as JSON, and percent-encoded.
const NO_NAMES: [(&str, &str); 12] = [
    ("\\u0000", "%00"),
    ("a\\u0000b", "a%00b"),
    ("*", "*"),
    ("a*", "a%2A"),
    ("#", "%23"),
    ("$system", "%24system"),
    ("a b", "a%20b"),
    ("a\\r\\nb", "a%0d%0ab"),
    ("\\u001b[31m", "%1b%5b31m"),
    ("r\\u00f6om", "r%C3%B6om"),
    ("r\\u043eom", "r%D0%BEom"),
    ("\\u202eroom", "%E2%80%AEroom"),
];

/// H2: names that no room has.
fn names(cases: &mut Vec<Case>) {
    for (json, encoded) in NO_NAMES {
        cases.extend(refused("H2", json, encoded, "INVALID_MESSAGE"));
    }
    cases.extend(refused("H2", &"r".repeat(256), &"r".repeat(256), "INVALID_MESSAGE"));
    let huge = case("H2", "a name of 900 000 bytes").joined(Door::WebSocket);
    let huge = huge
        .text(format!(r#"421["room:join",{{"roomId":"{}"}}]"#, "r".repeat(900_000)))
        .hears_has("INVALID_MESSAGE")
        .text(format!(r#"422["history",{{"roomId":"{}"}}]"#, "r".repeat(900_000)))
        .hears_has("INVALID_MESSAGE");
    cases.push(huge.alive());
    cases.push(case("H2", "bytes that are no text").send(get(&path("%ff%fe"))).status(&[400]));
    cases.push(case("H2", "no name").send(get(&path(""))).status(&[400]));
}

/// H5: rooms that are not for everyone, by each door.
fn doors(cases: &mut Vec<Case>) {
    for (json, encoded) in [
        ("user:7", "user:7"),
        ("user:7", "user%3A7"),
        ("user:7", "%75%73%65%72%3a%37"),
        ("user:", "user:"),
        ("PWuJ1IT4M4LrwHUgAAAA", "PWuJ1IT4M4LrwHUgAAAA"),
        ("--------------------", "--------------------"),
    ] {
        cases.extend(refused("H5", json, encoded, "PERMISSION_DENIED"));
    }
    let key = "Authorization: Bearer {key}\r\n";
    let with_key = request("GET", &path("user:7"), key);
    cases.push(case("H5", "with the key").send(with_key).status(&[200]));
    for fields in [
        "Authorization: Bearer {key}x\r\n",
        "Authorization: {key}\r\n",
        "Authorization:\r\n",
        "Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n",
    ] {
        let wrong = case("H5", format!("with {fields:?}"));
        cases.push(wrong.send(request("GET", &path("open"), fields)).status(&[401]));
    }
    let in_query = case("H5", "with the key in the query");
    cases.push(in_query.send(get(&format!("{}?key={{key}}", path("user:7")))).status(&[403]));
}

/// A room that is refused by every door, with the same code.
fn refused(row: &'static str, json: &str, encoded: &str, code: &str) -> [Case; 3] {
    let shown: String = json.chars().take(40).collect();
    let by = |door: &str| case(row, format!("{shown} by {door}"));
    let events = by("events").joined(Door::WebSocket);
    let events = ["room:join", "history"].iter().fold(events, |events, event| {
        let question = format!(r#"421["{event}",{{"roomId":"{json}","after":"AAAAAAAAAAA.B"}}]"#);
        events.text(question).hears_has(code)
    });
    let encoded_in_query = encoded.replace('*', "%2A");
    let query = by_query(by("the query"), &format!("rooms=a,{encoded_in_query}"));
    let status: &'static [u16] = if code == "INVALID_MESSAGE" { &[400] } else { &[403] };
    [
        events.alive(),
        query.hears_begin("44{").rejected("namespace_refused"),
        by("the request").send(get(&path(encoded))).status(status).body_has(code),
    ]
}

fn path(room: &str) -> String {
    format!("/v1/rooms/{room}/history")
}

/// H20: questions that cannot be answered.
fn questions(cases: &mut Vec<Case>) {
    let long = format!("after={}", "A".repeat(6_000));
    let many = "limit=1&".repeat(900);
    for query in [
        "limit=-1",
        "limit=0",
        "limit=1001",
        "limit=1e9",
        "limit=NaN",
        "limit=Infinity",
        "limit=0x10",
        "limit=%31%30%30%31",
        "limit=18446744073709551617",
        "limit=5&limit=5",
        "limit[]=5",
        "since=0",
        "__proto__=x",
        "order=desc%00",
        "order=sideways",
        "after=0",
        "after=-1",
        "after=AAAAAAAAAAA.AB",
        "after=AAAAAAAAAAA.B;DROP%20TABLE%20entries",
        "before='%20OR%201=1--",
        "after=AAAAAAAAAAA.C&before=AAAAAAAAAAA.B",
        "after=AAAAAAAAAAA.B&wait=1e9s",
        "after=AAAAAAAAAAA.B&wait=-1s",
        "wait=60s",
        "namespace=chat",
        "namespace=/nowhere",
        "%ff=%fe",
        &long,
        &many,
    ] {
        let shown: String = query.chars().take(40).collect();
        let bad = case("H20", shown).send(get(&format!("{}?{query}", path("a"))));
        cases.push(bad.status(&[400]).body_has(r#""ok":false"#));
    }
    for position in ["AAAAAAAAAAA.A", "AAAAAAAAAAA.B", "AAAAAAAAAAA.H__________"] {
        let gone = case("H20", format!("the position {position} of another life"));
        let target = format!("{}?after={position}&wait=60s", path("a"));
        cases.push(gone.send(get(&target)).status(&[410]).body_has("epoch_changed"));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let other = case("H20", method).send(request(method, &path("a"), "Content-Length: 0\r\n"));
        cases.push(other.status(&[405]).head_has("allow: GET, HEAD"));
    }
}

/// H20: the same as events, and as the query of a connection.
fn questions_of_clients(cases: &mut Vec<Case>) {
    for question in [
        r#"["history"]"#,
        r#"["history",null]"#,
        r#"["history",[]]"#,
        r#"["history",{"roomId":["a"]}]"#,
        r#"["history",{"roomId":"a","limit":1e9}]"#,
        r#"["history",{"roomId":"a","limit":"100"}]"#,
        r#"["history",{"roomId":"a","after":{}}]"#,
        r#"["history",{"roomId":"a","__proto__":{}}]"#,
        r#"["room:join",{"roomId":"a","last":1e9}]"#,
        r#"["room:join",{"roomId":"a","last":-1}]"#,
        r#"["room:join",{"roomId":"a","after":0}]"#,
        r#"["room:join",{"roomId":"a","after":"AAAAAAAAAAA.B","last":1}]"#,
    ] {
        let asked = case("H20", question).joined(Door::WebSocket).text(format!("421{question}"));
        cases.push(asked.hears_has(r#""ok":false"#).alive());
    }
    let unasked = case("H20", "a question without an ack").joined(Door::WebSocket);
    cases.push(
        unasked.text(r#"42["history",{"roomId":"a"}]"#).hears_begin(r#"42["error","#).alive(),
    );
    for query in
        ["fromEventId=0", "fromEventId=%00", "fromEventId=AAAAAAAAAAA.B&fromEventId=AAAAAAAAAAA.B"]
    {
        let odd = by_query(case("H20", query), query);
        cases.push(odd.hears_begin("44{").rejected("namespace_refused"));
    }
}

/// H20: as much as there is, backwards, again and again.
fn pages(cases: &mut Vec<Case>) {
    let published = case("H20", "the largest pages").step(Step::Publish("h20", 60, 20_000));
    let target = format!("{}?limit=1000&order=desc", path("h20"));
    let page = get(&target);
    cases.push((0..scaled(20)).fold(published, |all, _| all.send(&page).status(&[200])));
    let target = get(&format!("{}?limit=1000", path("h20")));
    let at_once = Step::Crowd(scaled(60), target.into_bytes(), crate::case::Fate::Answered(&[200]));
    cases.push(case("H20", "many pages at once").step(at_once));
    let left = Step::Crowd(60, page.into_bytes(), crate::case::Fate::Left);
    cases.push(case("H20", "pages that nobody waits for").step(left));
    let asked = (0..3).fold(
        case("H20", "several questions on one connection").joined(Door::WebSocket),
        |asked, id| asked.text(format!(r#"421{id}["history",{{"roomId":"h20","limit":1000}}]"#)),
    );
    cases.push(asked.hears_has(r#""ok":true"#));
}

/// Requests that wait, and whose clients do not.
fn waiting(cases: &mut Vec<Case>) {
    let target = format!("{}?after={{offset}}&wait=60s", path("h20w"));
    let heard = |what: &str| {
        case("H20", what)
            .joined(Door::WebSocket)
            .room("h20w")
            .step(Step::Publish("h20w", 1, 10))
            .hears_begin(r#"42["event",0,"#)
    };
    let gone = heard("a client that waits and goes").first(get(&target)).step(Step::Abort);
    cases.push(gone.first(get(&target)));
    let crowd = Step::Crowd(scaled(100), get(&target).into_bytes(), crate::case::Fate::Left);
    cases.push(heard("many that wait and go").step(crowd).step(Step::Publish("h20w", 1, 10)));
    let short = target.replace("60s", "50ms");
    let over = heard("waiting that is over").send(get(&short)).status(&[200]);
    cases.push(over.body_has(r#""events":[]"#));
    let narrow = heard("waiting on the last connections").on(Profile::Narrow);
    cases.push((0..30).fold(narrow, |all, _| all.first(get(&target))));
}
