//! The server's own figures, and the HTTP API by which they and events travel: over one connection
//! that is kept, so that asking changes nothing that is counted.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::{Answer, Framing, take_answer};

/// How long the API may take to answer: far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    pub(crate) sessions: u64,
    pub(crate) sockets: u64,
    pub(crate) streams: u64,
    pub(crate) rooms: u64,
    pub(crate) reads_held: u64,
    pub(crate) handler_panics: u64,
    pub(crate) rejected: BTreeMap<String, u64>,
    pub(crate) causes: BTreeMap<String, u64>,
}

impl Stats {
    /// What moved among the refusals since `before`.
    pub(crate) fn rejected_since(&self, before: &Self) -> BTreeMap<String, u64> {
        moved(&self.rejected, &before.rejected)
    }

    /// What moved among the causes of sessions' ends since `before`.
    pub(crate) fn causes_since(&self, before: &Self) -> BTreeMap<String, u64> {
        moved(&self.causes, &before.causes)
    }
}

fn moved(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let difference = |(name, count): (&String, &u64)| {
        let difference = count - before.get(name).copied().unwrap_or(0);
        (difference > 0).then(|| (name.clone(), difference))
    };
    now.iter().filter_map(difference).collect()
}

/// A connection to the HTTP API.
#[derive(Debug)]
pub(crate) struct Api {
    host: String,
    key: String,
    stream: Option<TcpStream>,
    input: BytesMut,
}

impl Api {
    pub(crate) fn new(host: &str, key: &str) -> Self {
        let (host, key) = (host.to_owned(), key.to_owned());
        Self { host, key, stream: None, input: BytesMut::new() }
    }

    /// Reads the server's figures.
    pub(crate) async fn stats(&mut self) -> Result<Stats, String> {
        let answer = self.call("GET", "/v1/stats", "").await?;
        if answer.status != 200 {
            return Err(format!("/v1/stats is answered {}: {}", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("/v1/stats: {error}"))
    }

    /// Publishes an event with these arguments, in JSON, to a room.
    pub(crate) async fn publish(
        &mut self,
        event: &str,
        room: &str,
        args: &str,
    ) -> Result<(), String> {
        let body = format!(r#"{{"event":"{event}","args":[{args}],"rooms":["{room}"]}}"#);
        let answer = self.call("POST", "/v1/publish", &body).await?;
        if answer.status == 200 { Ok(()) } else { Err(format!("publish: {answer:?}")) }
    }

    /// One request. A kept connection may have been closed meanwhile; then a new one is made.
    async fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        let kept = self.stream.is_some();
        let called = tokio::time::timeout(PATIENCE, self.exchange(method, path, body));
        match called.await.map_err(|_| format!("{method} {path}: no answer"))? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.stream = None;
                if !kept {
                    return Err(format!("{method} {path}: {error}"));
                }
                let called = tokio::time::timeout(PATIENCE, self.exchange(method, path, body));
                let called = called.await.map_err(|_| format!("{method} {path}: no answer"))?;
                called.map_err(|error| format!("{method} {path}: {error}"))
            }
        }
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.key,
            body.len(),
        );
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                self.input.clear();
                let stream = TcpStream::connect(&self.host).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(request.as_bytes()).await?;
        loop {
            let answer =
                take_answer(&mut self.input, Framing::default()).map_err(io::Error::other)?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
            if stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
