//! How one talks to the servers under test: their HTTP answers, and what they mean.
//!
//! Everything that is particular to a server's HTTP stands here, so that it is changed here alone.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::{Error, Request};

/// The key of the HTTP API under test.
pub(crate) const API_KEY: &str = "oracle-oracle-oracle-oracle-oracle";

/// The name of every event that is published.
const EVENT: &str = "said";

/// The room of everybody, in traces: the server knows it as `all`.
pub(crate) const EVERYBODY: &str = "*";

/// How long a publisher waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many entries of a history are asked for at a time.
const PAGE: usize = 500;

/// The most pages of one room: far above what a run publishes.
const MAX_PAGES: usize = 10_000;

/// An event to be published.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) except: Vec<String>,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    /// Bytes that make it larger.
    pub(crate) padding: usize,
}

/// What the answer to a publish means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is recorded, there.
    Acked(Option<String>),
    /// It is certainly not recorded.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Publishes an event.
pub(crate) async fn publish(url: &str, event: &Event) -> Published {
    let body = body(event);
    let mut request = authorised("POST", &format!("{url}/v1/publish"))
        .header("Content-Type", "application/json")
        .body(body.to_string());
    if let Some(key) = &event.key {
        request = request.header("Idempotency-Key", key);
    }
    match request.send_within(PATIENCE).await {
        Ok(answer) => meaning(answer.status, &answer.body),
        Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => Published::Refused,
        Err(_) => Published::Unknown,
    }
}

fn body(event: &Event) -> Value {
    let mut args = vec![json!(event.id)];
    if event.padding > 0 {
        args.push(json!({ "padding": "x".repeat(event.padding) }));
    }
    let except = &event.except;
    if event.rooms.iter().any(|room| room == EVERYBODY) {
        json!({ "event": EVENT, "args": args, "except": except, "all": true })
    } else {
        json!({ "event": EVENT, "args": args, "except": except, "rooms": event.rooms })
    }
}

/// What an answer means. A refusal says so: the log is full (507), or refuses for now (503), unless
/// its code says that this is not certain.
fn meaning(status: u16, body: &[u8]) -> Published {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_uncertain = body.pointer("/error/code") == Some(&json!("LOG_UNCERTAIN"));
    match status {
        200..300 => {
            let position = body.get("position").and_then(Value::as_str);
            Published::Acked(position.map(str::to_owned))
        }
        400..500 | 503 | 507 if !is_uncertain => Published::Refused,
        _ => Published::Unknown,
    }
}

/// Reads a room's history to its end: ids and positions, in order.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn history(url: &str, room: &str) -> Result<Vec<(String, String)>> {
    let mut entries = Vec::new();
    let mut after = String::new();
    for _ in 0..MAX_PAGES {
        let address = format!("{url}/v1/rooms/{room}/history?limit={PAGE}&order=asc{after}");
        let answer = authorised("GET", &address).send().await?;
        ensure!(answer.status == 200, "{address}: {} {}", answer.status, answer.text());
        let page: Value = serde_json::from_slice(&answer.body)?;
        let events = page.get("events").and_then(Value::as_array);
        for event in events.with_context(|| format!("no events in {page}"))? {
            entries.push(entry(event).with_context(|| format!("no event: {event}"))?);
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(entries),
        }
    }
    bail!("the history of {room} has more than {MAX_PAGES} pages");
}

fn entry(event: &Value) -> Option<(String, String)> {
    let id = event.get("args")?.get(0)?.as_str()?;
    let position = event.get("position")?.as_str()?;
    Some((id.to_owned(), position.to_owned()))
}

fn authorised(method: &str, url: &str) -> Request {
    Request::new(method, url).header("Authorization", &format!("Bearer {API_KEY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_for_what_they_say_and_doubted_otherwise() {
        for (status, body, expected) in [
            (200, r#"{"ok":true,"position":"p"}"#, Published::Acked(Some("p".into()))),
            (200, r#"{"ok":true}"#, Published::Acked(None)),
            (200, r#"{"ok":true,"position":null}"#, Published::Acked(None)),
            (400, "", Published::Refused),
            (503, r#"{"ok":false,"error":{"code":"OVERLOADED"}}"#, Published::Refused),
            (503, r#"{"ok":false,"error":{"code":"LOG_UNCERTAIN"}}"#, Published::Unknown),
            (507, "", Published::Refused),
            (500, "", Published::Unknown),
            (502, "", Published::Unknown),
        ] {
            assert_eq!(meaning(status, body.as_bytes()), expected, "{status} {body}");
        }
    }
}
