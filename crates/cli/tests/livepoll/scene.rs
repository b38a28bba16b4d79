//! A server with sessions in all states, and requests to it.

use serde_json::{Value, json};
use testkit::{Request, Response};

use crate::support::Running;

/// The setting that every test needs.
pub(crate) const ON: &str = "--livepoll-enabled=true";

/// A server with live polling.
pub(crate) fn server(flags: &[&str]) -> Running {
    Running::start(&[&[ON], flags].concat())
}

/// Sends a request, with a token if there is one.
pub(crate) async fn send(
    server: &Running,
    (method, path): (&str, &str),
    token: Option<&str>,
    body: Option<&[u8]>,
) -> Response {
    let mut request = Request::new(method, &format!("{}{path}", server.url()));
    if let Some(token) = token {
        request = request.header("Authorization", &format!("Bearer {token}"));
    }
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(body.to_vec());
    }
    request.send().await.unwrap()
}

/// The status and the body of what is answered.
pub(crate) async fn ask(
    server: &Running,
    (method, path): (&str, &str),
    token: Option<&str>,
    body: Option<&Value>,
) -> (u16, Value) {
    let body = body.map(|body| body.to_string().into_bytes());
    let response = send(server, (method, path), token, body.as_deref()).await;
    (response.status, serde_json::from_slice(&response.body).unwrap_or_default())
}

/// The same, of what succeeds.
pub(crate) async fn done(
    server: &Running,
    request: (&str, &str),
    token: Option<&str>,
    body: Option<&Value>,
) -> Value {
    let (status, answer) = ask(server, request, token, body).await;
    assert!(status < 300, "{request:?}: {status} {answer}");
    answer
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}

/// A session, as its presenter has it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) token: String,
}

impl Session {
    /// One that was opened.
    pub(crate) async fn open(server: &Running) -> Self {
        let made = done(server, ("POST", "/sessions"), None, Some(&json!({ "title": "T" }))).await;
        let [id, code, token] = ["id", "code", "presenterToken"].map(|field| text(&made, field));
        Session { id, code, token }
    }

    /// One that was started.
    pub(crate) async fn started(server: &Running) -> Self {
        let session = Session::open(server).await;
        session.step(server, "start").await;
        session
    }

    /// Starts or ends it.
    pub(crate) async fn step(&self, server: &Running, step: &str) {
        let path = format!("/sessions/{}/{step}", self.id);
        done(server, ("POST", &path), Some(&self.token), None).await;
    }

    /// The token of somebody who joins.
    pub(crate) async fn join(&self, server: &Running, name: &str) -> String {
        let body = json!({ "code": self.code, "displayName": name });
        text(&done(server, ("POST", "/sessions/join"), None, Some(&body)).await, "token")
    }

    /// A poll, brought as far as these steps.
    pub(crate) async fn poll(&self, server: &Running, draft: Value, steps: &[&str]) -> String {
        let path = format!("/sessions/{}/polls", self.id);
        let poll = done(server, ("POST", &path), Some(&self.token), Some(&draft)).await;
        let id = text(&poll, "id");
        for step in steps {
            let path = format!("/polls/{id}/{step}");
            done(server, ("POST", &path), Some(&self.token), None).await;
        }
        id
    }

    /// The results of a poll.
    pub(crate) async fn results(&self, server: &Running, poll: &str) -> Value {
        done(server, ("GET", &format!("/polls/{poll}/results")), Some(&self.token), None).await
    }
}
