//! How a test client connects.

use std::time::Duration;

use serde_json::Value;

use crate::dial::{DEFAULT_DEADLINE, Dial};

/// The way packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// WebSocket from the start.
    #[default]
    WebSocket,
    /// Long polling for ever.
    Polling,
    /// Long polling first, then WebSocket: what browsers do. The namespace is joined by polling.
    Upgrade,
}

/// How a test client connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// The way packets travel. Default: WebSocket.
    pub transport: Transport,
    /// The path of the endpoint. Default: `/socket.io/`.
    pub path: String,
    /// Additional parameters of the query, not encoded.
    pub query: Vec<(String, String)>,
    /// Additional headers of each request.
    pub headers: Vec<(String, String)>,
    /// The namespace, with its slash. Default: `/`.
    pub namespace: String,
    /// The payload of the CONNECT packet: an object.
    pub auth: Option<Value>,
    /// A session to resume: sent with `auth`.
    pub resume: Option<Resume>,
    /// How long anything is waited for. Default: [`DEFAULT_DEADLINE`].
    pub deadline: Duration,
    /// Properties of the TCP connections.
    pub dial: Dial,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            path: "/socket.io/".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            namespace: "/".to_owned(),
            auth: None,
            resume: None,
            deadline: DEFAULT_DEADLINE,
            dial: Dial::default(),
        }
    }
}

impl Options {
    /// The defaults with another transport.
    #[must_use]
    pub fn over(transport: Transport) -> Self {
        Self { transport, ..Self::default() }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Sets the payload of the CONNECT packet.
    #[must_use]
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header to each request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a client brings to get back what it missed.
///
/// Spec: Socket.IO § Connection state recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The session's private id.
    pub pid: String,
    /// The offset of the last event that was received, if any was.
    pub offset: Option<String>,
}

impl Options {
    /// The payload of the CONNECT packet: `auth` over the session to resume, as the real client
    /// merges them.
    pub(crate) fn connect_payload(&self) -> Option<Value> {
        let Some(resume) = &self.resume else { return self.auth.clone() };
        let mut payload = serde_json::Map::new();
        payload.insert("pid".to_owned(), resume.pid.clone().into());
        if let Some(offset) = &resume.offset {
            payload.insert("offset".to_owned(), offset.clone().into());
        }
        match &self.auth {
            Some(Value::Object(auth)) => payload.extend(auth.clone()),
            Some(other) => return Some(other.clone()),
            None => {}
        }
        Some(Value::Object(payload))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_connect_payload_is_auth_over_the_session_to_resume() {
        let resume = |offset: Option<&str>| {
            Some(Resume { pid: "p".into(), offset: offset.map(ToOwned::to_owned) })
        };
        let cases = [
            (None, None, None),
            (Some(json!({"t": 1})), None, Some(json!({"t": 1}))),
            (None, resume(None), Some(json!({"pid": "p"}))),
            (None, resume(Some("o")), Some(json!({"pid": "p", "offset": "o"}))),
            (Some(json!({"pid": "x"})), resume(None), Some(json!({"pid": "x"}))),
        ];
        for (auth, resume, want) in cases {
            let options = Options { auth, resume, ..Options::default() };
            assert_eq!(options.connect_payload(), want);
        }
    }
}
