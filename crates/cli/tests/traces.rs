#![cfg(test)]
//! Traces of the running binary, at a collector that keeps what it is sent.

mod support;

use serde_json::json;
use support::{Running, fanfare};
use testkit::{Client, Options, Request, http_get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A collector: its address, and the body of each request that it gets.
async fn collector() -> (String, UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
                loop {
                    let count = stream.read(&mut buffer).await.unwrap_or(0);
                    bytes.extend_from_slice(&buffer[..count]);
                    while let Some((body, end)) = request_of(&bytes) {
                        sender.send(body).unwrap();
                        bytes.drain(..end);
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                    if count == 0 {
                        return;
                    }
                }
            });
        }
    });
    (address, receiver)
}

/// The body of the first request, and where it ends.
fn request_of(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    assert!(text.starts_with("post /v1/traces "), "{text}");
    assert!(text.contains("content-type: application/x-protobuf"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let end = head + length.trim().parse::<usize>().unwrap();
    Some((bytes.get(head..end)?.to_vec(), end))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn requests_and_events_are_spans_and_go_on_with_a_callers_trace() {
    let (endpoint, mut came) = collector().await;
    let data = tempfile::tempdir().unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data.path()).env("FANFARE_TRACES_ENDPOINT", endpoint);
    command.env("FANFARE_TRACES_PERCENT", "0").env("OTEL_BSP_SCHEDULE_DELAY", "50");
    command.env_remove("OTEL_SERVICE_NAME");
    let server = Running::spawn(command, data.path());

    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    client
        .emit_with_ack("typing", [json!({"roomId": "canary-room", "isTyping": true})])
        .await
        .unwrap();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (path, body) in [
        ("/v1/publish", r#"{"event":"x","rooms":["canary-room"]}"#),
        ("/v1/rooms", r#"{"roomId":"canary-room"}"#),
    ] {
        let request = Request::new("POST", &format!("{}{path}", server.url()))
            .header("Authorization", &format!("Bearer {}", server.key()))
            .header("Content-Type", "application/json")
            .header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))
            .body(body);
        let answer = request.send().await.unwrap();
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    }
    let mut all = Vec::new();
    while !holds(&all, b"POST /v1/rooms") || !holds(&all, b"POST /v1/publish") {
        all.extend(came.recv().await.unwrap());
    }
    let id: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&trace[2 * at..][..2], 16).unwrap()).collect();
    assert!(
        holds(&all, &id) && holds(&all, b"fanfare") && holds(&all, b"http.response.status_code")
    );
    // Nobody decided about these, and none of a hundred are to be sent.
    assert!(!holds(&all, b"typing"));
    for secret in ["canary-room", &server.key(), client.engine_sid()] {
        assert!(!holds(&all, secret.as_bytes()), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_sent_and_the_last_before_the_end() {
    let (endpoint, mut came) = collector().await;
    let server = Running::start(&["--traces-endpoint", &endpoint]);
    let client = Client::connect(server.url(), Options::default()).await.unwrap();
    let typing = json!({"roomId": "r", "isTyping": true});
    client.emit_with_ack("typing", [typing]).await.unwrap();
    http_get(&format!("{}/v1/rooms/canary-room/history?limit=1", server.url())).await.unwrap();
    client.disconnect().await.unwrap();
    server.signal("TERM");
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    let mut all = Vec::new();
    while let Ok(body) = came.try_recv() {
        all.extend(body);
    }
    for name in ["typing", "GET /v1/rooms/{room}/history"] {
        assert!(holds(&all, name.as_bytes()), "{name}");
    }
    assert!(!holds(&all, b"canary-room"));
}
