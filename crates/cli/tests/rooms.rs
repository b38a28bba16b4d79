#![cfg(test)]
//! Clients of the running binary join and leave rooms, and get what a backend publishes.

mod support;

use serde_json::{Value, json};
use support::{Running, is_published, without_offset};
use testkit::{Client, Options, Transport};

async fn connect(server: &Running) -> Client {
    Client::connect(server.url(), Options::default()).await.unwrap()
}

/// Asks for a room; the answer.
async fn ask(client: &Client, event: &str, argument: Value) -> Value {
    client.emit_with_ack(event, [argument]).await.unwrap().args.remove(0)
}

async fn join(client: &Client, room: &str) {
    let answer = ask(client, "room:join", json!({ "roomId": room })).await;
    assert_eq!(answer, json!({ "ok": true, "room": room }));
}

/// The events that arrived, by name. The ack of a harmless question comes after all of them.
async fn arrived(client: &mut Client) -> Vec<String> {
    ask(client, "room:leave", json!({ "roomId": "nobody-is-here" })).await;
    client.take_events().into_iter().map(|event| event.name).collect()
}

#[tokio::test]
async fn a_client_that_joined_gets_what_is_published_to_the_room() {
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        let server = Running::start(&[]);
        let mut inside = Client::connect(server.url(), Options::over(transport)).await.unwrap();
        let mut outside = connect(&server).await;
        join(&inside, "news").await;
        let response = server
            .publish(json!({"event": "news", "args": [1, {"a": [null]}, "x"], "rooms": ["news", "more"]}))
            .await;
        assert!(response.status == 200 && is_published(&response.text()), "{}", response.text());
        let event = inside.next_event().await.unwrap();
        assert_eq!(
            (event.name.as_str(), without_offset(event.args)),
            ("news", vec![json!(1), json!({"a": [null]}), json!("x")])
        );
        assert_eq!(arrived(&mut outside).await, Vec::<String>::new());

        let answer = ask(&inside, "room:leave", json!({ "roomId": "news" })).await;
        assert_eq!(answer, json!({ "ok": true, "room": "news" }));
        server.publish(json!({"event": "news", "rooms": ["news"]})).await;
        assert_eq!(arrived(&mut inside).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn targets_are_everyone_rooms_once_and_never_the_excepted() {
    let server = Running::start(&[]);
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    for room in ["one", "two"] {
        join(&a, room).await;
    }
    join(&b, "two").await;
    for body in [
        json!({"event": "all", "all": true}),
        json!({"event": "both", "rooms": ["one", "two"]}),
        json!({"event": "not-one", "rooms": ["two"], "except": ["one"]}),
        json!({"event": "to-a", "rooms": [a.id()]}),
        json!({"event": "volatile", "all": true, "volatile": true}),
        json!({"event": "users", "users": ["nobody"]}),
    ] {
        assert_eq!(server.publish(body.clone()).await.status, 200, "{body}");
    }
    assert_eq!(arrived(&mut a).await, ["all", "both", "to-a", "volatile"]);
    assert_eq!(arrived(&mut b).await, ["all", "both", "not-one", "volatile"]);
}

#[tokio::test]
async fn what_is_published_passes_byte_for_byte() {
    let server = Running::start(&[]);
    let options = Options::over(Transport::WebSocket);
    let mut engine = testkit::EngineConnection::connect(server.url(), &options).await.unwrap();
    engine.send_raw("40").await.unwrap();
    engine.next_raw().await.unwrap();
    let body = br#"{"event":"e","args":[1.0,1e2,{"a":1,"a":2},"\u00e9"],"all":true}"#;
    assert_eq!(server.publish_raw(&server.key(), body).await.status, 200);
    let packet = engine.next_raw().await.unwrap();
    assert!(packet.starts_with(r#"42["e",1.0,1e2,{"a":1,"a":2},"\u00e9","#), "{packet}");
}

#[tokio::test]
async fn rooms_that_are_not_for_clients_are_refused_with_the_reason() {
    let server = Running::start(&["--limits-rooms-per-socket", "2"]);
    let (client, other) = (connect(&server).await, connect(&server).await);
    for (event, argument, code) in [
        ("room:join", json!({ "roomId": other.id() }), "PERMISSION_DENIED"),
        ("room:join", json!({ "roomId": "user:7" }), "PERMISSION_DENIED"),
        ("room:leave", json!({ "roomId": client.id() }), "PERMISSION_DENIED"),
        ("room:join", json!({ "roomId": "" }), "INVALID_MESSAGE"),
        ("room:join", json!({ "roomId": "a b" }), "INVALID_MESSAGE"),
        ("room:join", json!({ "roomId": 7 }), "INVALID_MESSAGE"),
        ("room:join", json!({ "roomId": "r".repeat(256) }), "INVALID_MESSAGE"),
        ("room:join", json!({ "room": "a" }), "INVALID_MESSAGE"),
        ("room:join", json!("a"), "INVALID_MESSAGE"),
        ("room:leave", json!(null), "INVALID_MESSAGE"),
    ] {
        let answer = ask(&client, event, argument.clone()).await;
        let error = &answer["error"];
        assert_eq!(
            (&answer["ok"], &error["code"]),
            (&json!(false), &json!(code)),
            "{argument} {answer}"
        );
        assert!(error["message"].is_string() && error["details"].is_object(), "{answer}");
        assert!(error["timestamp"].as_str().unwrap().ends_with('Z'), "{answer}");
    }
    join(&client, "a").await;
    join(&client, "b").await;
    let third = ask(&client, "room:join", json!({ "roomId": "c" })).await;
    assert_eq!(third["error"]["code"], "TOO_MANY_ROOMS", "{third}");
    join(&client, "a").await;
}

#[tokio::test]
async fn questions_without_an_ack_are_done_or_refused_by_an_error_event() {
    let server = Running::start(&[]);
    let mut client = connect(&server).await;
    client.emit("room:join", [json!({ "roomId": "quiet" })]).await.unwrap();
    client.emit("room:join", []).await.unwrap();
    client.emit("room:leave", [json!(5)]).await.unwrap();
    join(&client, "loud").await;
    server.publish(json!({"event": "e", "rooms": ["quiet"]})).await;
    assert_eq!(arrived(&mut client).await, ["error", "error", "e"]);
}

#[tokio::test]
async fn every_served_namespace_has_its_own_rooms() {
    let server = Running::start(&["--namespaces", "/,/chat"]);
    let mut root = connect(&server).await;
    let options = Options::default().namespace("/chat");
    let mut chat = Client::connect(server.url(), options).await.unwrap();
    join(&root, "room").await;
    join(&chat, "room").await;
    let body = json!({"event": "e", "rooms": ["room"], "namespace": "/chat"});
    assert_eq!(server.publish(body).await.status, 200);
    assert_eq!(arrived(&mut chat).await, ["e"]);
    assert_eq!(arrived(&mut root).await, Vec::<String>::new());
    let refused = Client::connect(server.url(), Options::default().namespace("/else")).await;
    assert!(refused.is_err(), "namespaces that are not served are refused");
}
