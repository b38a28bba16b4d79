#![cfg(test)]
//! Clients of the running binary begin in the past: by the query they connect with, by what they
//! ask for when they join, and by what rooms give by themselves.

mod support;

use serde_json::{Value, json};
use support::Running;
use testkit::{Client, Error, Options, Transport};

async fn connect(server: &Running, query: &[(&str, &str)]) -> Result<Client, Error> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let options = Options { query: query.iter().map(own).collect(), ..Options::default() };
    Client::connect(server.url(), options).await
}

async fn publish(server: &Running, room: &str, number: u32) -> String {
    let body = json!({ "event": "said", "args": [number], "rooms": [room] });
    let answer = server.publish(body).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["position"].as_str().unwrap().to_owned()
}

async fn join(client: &Client, question: Value) -> Value {
    client.emit_with_ack("room:join", [question]).await.unwrap().args.remove(0)
}

/// What arrived so far: the first argument of each event, which is a number or an object.
async fn arrived(client: &mut Client) -> Vec<Value> {
    client.emit_with_ack("room:leave", [json!({ "roomId": "nobody" })]).await.unwrap();
    client.take_events().into_iter().map(|mut event| event.args.remove(0)).collect()
}

fn firsts(answer: &Value) -> Vec<i64> {
    let events = answer["events"].as_array().unwrap_or_else(|| panic!("{answer}"));
    events.iter().map(|event| event["args"][0].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn everything_since_the_position_of_the_query() {
    let server = Running::start(&[]);
    publish(&server, "a", 0).await;
    let from = publish(&server, "a", 1).await;
    for (room, number) in [("a", 2), ("b", 3), ("c", 4), ("a", 5)] {
        publish(&server, room, number).await;
    }
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        let options = Options::over(transport).query("rooms", "a,b").query("fromEventId", &from);
        let mut client = Client::connect(server.url(), options).await.unwrap();
        assert_eq!(arrived(&mut client).await, [2, 3, 5], "{transport:?}");
    }
    let mut client = connect(&server, &[("rooms", "a,b")]).await.unwrap();
    publish(&server, "b", 6).await;
    assert_eq!(arrived(&mut client).await, [6], "no past was asked for");

    // Of another epoch: connected, and told.
    let other = format!("AAAAAAAAAAA{}", &from[11..]);
    let mut client = connect(&server, &[("rooms", "a"), ("fromEventId", &other)]).await.unwrap();
    let event = client.next_event().await.unwrap();
    assert_eq!(event.name, "replay:reset");
    assert_eq!(event.args[0]["reason"], "epoch_changed");
    let head = event.args[0]["head"].as_str().unwrap().to_owned();
    publish(&server, "a", 7).await;
    assert_eq!(arrived(&mut client).await, [7]);
    let mut client = connect(&server, &[("rooms", "a"), ("fromEventId", &head)]).await.unwrap();
    assert_eq!(arrived(&mut client).await, [7]);
}

/// Rooms of the query are joined only if all of them may be; the refusal is the client's to read.
#[tokio::test]
async fn what_is_wrong_in_the_query_refuses_the_connection() {
    let server = Running::start(&["--limits-rooms-per-socket", "3"]);
    for (query, code, field) in [
        (("rooms", "a,user:7"), "PERMISSION_DENIED", Some("rooms")),
        (("rooms", "PWuJ1IT4M4LrwHUgAAAA"), "PERMISSION_DENIED", Some("rooms")),
        (("rooms", "a,,b"), "INVALID_MESSAGE", Some("rooms")),
        (("rooms", "a,b c"), "INVALID_MESSAGE", Some("rooms")),
        (("rooms", "a,b,c,d"), "TOO_MANY_ROOMS", None),
        (("fromEventId", "0"), "INVALID_REQUEST", Some("fromEventId")),
        (("fromEventId", "1795187735553-0"), "INVALID_REQUEST", Some("fromEventId")),
    ] {
        let error = connect(&server, &[query]).await.unwrap_err();
        let Error::Refused { data: Some(data), message } = error else { panic!("{error:?}") };
        assert_eq!(data["code"], code, "{query:?}");
        assert_eq!(data["details"].get("field").and_then(Value::as_str), field, "{query:?}");
        assert_eq!(data["message"], message, "{query:?}");
    }
    connect(&server, &[("rooms", "a,b,c,a")]).await.unwrap();
    connect(&server, &[("rooms", "")]).await.unwrap();
}

#[tokio::test]
async fn who_joins_asks_for_the_past_in_the_ack() {
    let server = Running::start(&["--event-log-ephemeral", "cursor:*"]);
    let mut positions = Vec::new();
    for number in 0..5 {
        positions.push(publish(&server, "a", number).await);
    }
    let mut client = connect(&server, &[]).await.unwrap();
    let joined = join(&client, json!({ "roomId": "a", "last": 2 })).await;
    assert_eq!((firsts(&joined), &joined["head"]), (vec![3, 4], &json!(positions[4])));
    assert_eq!(joined["events"][0]["position"], json!(positions[3]));
    assert!(joined.get("reset").is_none() && joined["ok"] == true, "{joined}");
    let joined = join(&client, json!({ "roomId": "a", "after": positions[1] })).await;
    assert_eq!(firsts(&joined), [2, 3, 4]);
    let nothing = join(&client, json!({ "roomId": "cursor:1", "last": 5 })).await;
    assert_eq!(firsts(&nothing), Vec::<i64>::new());
    let plain = join(&client, json!({ "roomId": "b" })).await;
    assert_eq!(plain, json!({ "ok": true, "room": "b" }));

    let other = format!("AAAAAAAAAAA{}", &positions[0][11..]);
    let reset = join(&client, json!({ "roomId": "c", "after": other })).await;
    assert_eq!((&reset["ok"], firsts(&reset)), (&json!(true), vec![]));
    let told = json!({ "reason": "epoch_changed", "head": positions[4] });
    assert_eq!(reset["reset"], told);
    publish(&server, "c", 7).await;
    assert_eq!(arrived(&mut client).await, [7], "it was joined all the same");
    for (question, code) in [
        (json!({ "roomId": "a", "last": -1 }), "INVALID_REQUEST"),
        (json!({ "roomId": "a", "after": "x" }), "INVALID_REQUEST"),
        (json!({ "roomId": "user:7", "last": 5 }), "PERMISSION_DENIED"),
    ] {
        let refused = join(&client, question.clone()).await;
        assert_eq!(refused["error"]["code"], code, "{question}");
    }
}

/// Rooms that give their last events do so to who joins with the query, and to who joins later.
#[tokio::test]
async fn rooms_give_their_last_events_by_themselves() {
    let server = Running::start(&["--replay-rooms", "chat:*=3,price:*=1"]);
    for number in 0..5 {
        publish(&server, "chat:1", number).await;
        publish(&server, "price:1", 10 + number).await;
        publish(&server, "other", 20 + number).await;
    }
    let mut client = connect(&server, &[("rooms", "chat:1,price:1,other")]).await.unwrap();
    assert_eq!(arrived(&mut client).await, [2, 3, 4, 14]);
    let mut client = connect(&server, &[]).await.unwrap();
    assert_eq!(firsts(&join(&client, json!({ "roomId": "chat:1" })).await), [2, 3, 4]);
    assert_eq!(firsts(&join(&client, json!({ "roomId": "price:1" })).await), [14]);
    let none = join(&client, json!({ "roomId": "price:1", "last": 0 })).await;
    assert_eq!(firsts(&none), Vec::<i64>::new());
    assert_eq!(
        firsts(&join(&client, json!({ "roomId": "chat:1", "last": 4 })).await),
        [1, 2, 3, 4]
    );
    assert!(join(&client, json!({ "roomId": "other" })).await.get("events").is_none());
    // Without an ack there is nothing to give it in.
    client.emit("room:join", [json!({ "roomId": "chat:1" })]).await.unwrap();
    assert_eq!(arrived(&mut client).await, Vec::<Value>::new());
}
