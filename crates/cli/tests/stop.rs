#![cfg(test)]
#![cfg(unix)]
//! How the running binary stops, and what it writes while it runs.

mod support;

use std::time::Duration;

use serde_json::{Map, Value, json};
use services::{Mint, mint};
use support::{Running, without_offset};
use testkit::{Client, Options, Transport, http_get, http_post};

#[tokio::test]
async fn a_signal_ends_connections_and_then_the_process_with_success() {
    for (signal, transport) in [("TERM", Transport::WebSocket), ("INT", Transport::Polling)] {
        // A client that polls comes once more to be told, and the port is still open for it.
        let server = Running::start(&[]);
        let client = Client::connect(server.url(), Options::over(transport)).await.unwrap();
        server.signal(signal);
        let (status, log) = tokio::task::spawn_blocking(|| server.ended()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        client.closed().await.unwrap();
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_wait() {
    let server = Running::start(&["--shutdown-grace", "1h"]);
    // A client that has joined and will never poll again: only the grace would end it.
    let open = format!("{}/socket.io/?EIO=4&transport=polling", server.url());
    let opened = http_get(&open).await.unwrap();
    let handshake: Value = serde_json::from_str(&opened.text()[1..]).unwrap();
    let session = format!("{open}&sid={}", handshake["sid"].as_str().unwrap());
    assert_eq!(http_post(&session, "40").await.unwrap().status, 200);
    let joined = http_get(&session).await.unwrap().text();
    assert!(joined.starts_with("40{"), "{joined}");
    let ended = tokio::task::spawn_blocking(|| server.ended_by_signals("TERM"));
    let (status, log) = ended.await.unwrap();
    assert!(status.success() && log.contains("asked a second time"), "{log}");
}

#[tokio::test]
async fn a_load_balancer_is_told_before_clients_are() {
    let server = Running::start(&["--drain-notice", "1h"]);
    let ready = format!("{}/health/ready", server.url());
    assert_eq!(http_get(&ready).await.unwrap().status, 200);
    server.signal("TERM");
    let told = loop {
        let answer = http_get(&ready).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((told.status, told.text().as_str()), (503, r#"{"status":"draining"}"#));
    assert_eq!(http_get(&format!("{}/health", server.url())).await.unwrap().status, 503);
    // Whom it still sends here is served.
    let mut client = Client::connect(server.url(), Options::default()).await.unwrap();
    let answer = server.publish(json!({"event": "e", "args": [1], "all": true})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(without_offset(client.next_event().await.unwrap().args), [json!(1)]);
    let ended = tokio::task::spawn_blocking(|| server.ended_by_signals("TERM"));
    let (status, log) = ended.await.unwrap();
    assert!(status.success() && log.contains("asked a second time"), "{log}");
}

#[tokio::test]
async fn what_is_acknowledged_while_clients_leave_is_there_for_all_of_them() {
    let data = tempfile::tempdir().unwrap();
    let flags = ["--drain-clients-per-second", "2", "--drain-within", "1h"];
    let server = Running::start_in(data.path(), &flags);
    let mut clients = Vec::new();
    for number in 0..10 {
        let transport = [Transport::WebSocket, Transport::Polling][number % 2];
        let client = Client::connect(server.url(), Options::over(transport)).await.unwrap();
        clients.push(client);
    }
    // A position to come back from.
    let body = json!({"event": "e", "args": [0], "all": true});
    assert_eq!(server.publish(body).await.status, 200);
    for client in &mut clients {
        assert_eq!(without_offset(client.next_event().await.unwrap().args), [json!(0)]);
    }
    server.signal("TERM");
    let open = format!("{}/socket.io/?EIO=4&transport=polling", server.url());
    let refused = loop {
        let answer = http_get(&open).await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let body = json!({"event": "e", "args": [1], "all": true});
    assert_eq!(server.publish(body).await.status, 200, "most are still there");
    let ended = tokio::task::spawn_blocking(|| server.ended_by_signals("TERM"));
    let (status, log) = ended.await.unwrap();
    assert!(status.success(), "{log}");

    let server = Running::start_in(data.path(), &[]);
    for mut client in clients {
        let mut got = Vec::new();
        while let Ok(event) = client.next_event().await {
            got.push(without_offset(event.args));
        }
        let options = Options { resume: client.resume(), ..Options::default() };
        let mut again = Client::connect(server.url(), options).await.unwrap();
        assert!(again.recovered());
        if got.is_empty() {
            got.push(without_offset(again.next_event().await.unwrap().args));
        }
        assert_eq!(got, [[json!(1)]]);
    }
}

#[tokio::test]
async fn what_was_published_before_the_signal_still_arrives() {
    let server = Running::start(&[]);
    let mut client = Client::connect(server.url(), Options::default()).await.unwrap();
    for number in 0..100 {
        assert_eq!(
            server.publish(json!({"event": "e", "args": [number], "all": true})).await.status,
            200
        );
    }
    server.signal("TERM");
    for number in 0..100 {
        let event = client.next_event().await.unwrap();
        assert_eq!(without_offset(event.args), [json!(number)]);
    }
    let (status, _) = tokio::task::spawn_blocking(|| server.ended()).await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_log_is_json_and_holds_no_secret_at_any_level() {
    let data = tempfile::tempdir().unwrap();
    let mut command =
        support::fanfare(&["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"]);
    command.arg("--data").arg(data.path()).env("FANFARE_API_KEY", "canary-api-key-canary-api-key");
    command.env("JWT_SECRET", "canary secret of tokens");
    command.args(["--auth-query-token", "--auth-guests=true"]);
    let server = Running::spawn(command, data.path());
    // Tokens by each door: good, bad, refreshed, of streams and requests.
    let mut claims = Map::new();
    claims.insert("name".to_owned(), json!("canary-name"));
    let good = Mint { subject: "canary-ada".to_owned(), lifetime: Duration::from_secs(60), claims };
    let good = mint("canary secret of tokens", good).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bad = format!("{message}.canary{}", &signature[6..]);
    for options in [
        Options::default().auth(json!({ "token": bad })),
        Options::default().auth(json!({ "token": "canary-opaque" })),
        Options::default().query("token", &bad),
        Options::default().header("Authorization", &format!("Bearer {bad}")),
    ] {
        assert!(Client::connect(server.url(), options).await.is_err());
    }
    for path in [
        format!("/v1/sse?rooms=a&token={bad}"),
        format!("/v1/rooms/a/history?token={bad}"),
        format!("/v1/rooms/a/history?token={good}"),
    ] {
        http_get(&format!("{}{path}", server.url())).await.unwrap();
    }
    let options = Options::default().auth(json!({ "token": good }));
    let client = Client::connect(server.url(), options).await.unwrap();
    let refresh = client.emit_with_ack("auth:refresh", [json!({ "token": good })]).await.unwrap();
    assert_eq!(refresh.args[0]["ok"], true);
    client.emit_with_ack("auth:refresh", [json!({ "token": bad })]).await.unwrap();
    let sid = client.engine_sid().to_owned();
    client.emit_with_ack("room:join", [json!({"roomId": "a b"})]).await.unwrap();
    let wrong = server.publish_raw("canary-wrong-key", b"{\"event\":\"canary-event\"").await;
    let right =
        server.publish_raw("canary-api-key-canary-api-key", b"{\"event\":\"canary-event\"").await;
    assert_eq!((wrong.status, right.status), (401, 400));
    assert!(!server.banner().contains("canary"), "{}", server.banner());
    server.signal("TERM");
    let (_, log) = tokio::task::spawn_blocking(|| server.ended()).await.unwrap();
    assert!(!log.contains("canary") && !log.contains(&sid), "{log}");
    for part in good.split('.').skip(1) {
        assert!(!log.contains(part), "a part of a token: {log}");
    }
    assert!(log.lines().count() >= 2, "a start and a stop:\n{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
}
