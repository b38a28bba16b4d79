#![cfg(test)]
//! One answer at every door: whoever may not join a room by an event may not by the query it connects
//! with, nor read its history in an ack or over HTTP, nor open a stream of it. Names are made at
//! random, with those that were private ones in mind.

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::Running;
use testkit::{Client, Error, EventStream, Options, http_get};

/// How many names are tried.
const NAMES: usize = 150;

/// Without commas, which separate names in a query.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:._/-]{1,12}",
        "(user|User|user%3A|users|%75ser)[:%.]{0,2}[a-z0-9]{0,5}",
        "[A-Za-z0-9_-]{20}",
        "[A-Za-z0-9_-]{19,21}",
        "[$*# %+&=?/.\\\\]{1,3}[a-z]{0,3}",
        "(tenant1/\\.\\./tenant2|\\.\\.|\\.|a//b|a\u{0}b|a\r\nb|r\u{f6}om|\u{202e}x|a b)",
        "[ -+.-~]{1,20}",
        "x{254,257}",
    ]
}

/// Every byte percent-encoded: nothing is left to be misread.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What a door says: nothing, or the code of its refusal.
fn verdict(answer: &Value) -> Option<String> {
    (answer["ok"] != true).then(|| answer["error"]["code"].as_str().unwrap().to_owned())
}

async fn by_event(client: &Client, event: &str, room: &str) -> Option<String> {
    let answer = client.emit_with_ack(event, [json!({ "roomId": room })]).await.unwrap();
    verdict(&answer.args[0])
}

async fn by_query(server: &Running, room: &str) -> Option<String> {
    let options = Options::default().query("rooms", room);
    match Client::connect(server.url(), options).await {
        Ok(_) => None,
        Err(Error::Refused { data: Some(data), .. }) => {
            Some(data["code"].as_str().unwrap().to_owned())
        }
        Err(error) => panic!("{room:?}: {error}"),
    }
}

async fn by_stream(server: &Running, room: &str) -> Option<String> {
    let url = format!("{}/v1/sse?rooms={}", server.url(), encoded(room));
    match EventStream::open(&url, None).await {
        Ok(_) => None,
        Err(Error::Http { body, .. }) => verdict(&serde_json::from_str(&body).unwrap()),
        Err(error) => panic!("{room:?}: {error}"),
    }
}

#[tokio::test]
async fn every_door_says_the_same() {
    let server = Running::start(&[]);
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let mut runner = TestRunner::deterministic();
    let (mut allowed, mut refused) = (0, 0);
    for _ in 0..NAMES {
        let room = name().new_tree(&mut runner).unwrap().current();
        let expected = by_event(&client, "room:join", &room).await;
        assert_eq!(by_event(&client, "history", &room).await, expected, "history of {room:?}");
        assert_eq!(by_query(&server, &room).await, expected, "the query names {room:?}");
        let history = format!("{}/v1/rooms/{}/history", server.url(), encoded(&room));
        let history = http_get(&history).await.unwrap();
        let history = verdict(&serde_json::from_slice(&history.body).unwrap());
        assert_eq!(history, expected, "the history over HTTP of {room:?}");
        assert_eq!(by_stream(&server, &room).await, expected, "a stream of {room:?}");
        // So that no name is asked for from within.
        by_event(&client, "room:leave", &room).await;
        if expected.is_some() { refused += 1 } else { allowed += 1 }
    }
    assert!(allowed > NAMES / 5 && refused > NAMES / 5, "{allowed} allowed, {refused} refused");
}
