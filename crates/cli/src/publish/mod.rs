//! `POST /v1/publish`: a backend sends an event to rooms, users or everyone.

mod request;

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fanfare::eventlog::{self, AppendError};
use fanfare::{EmitError, Namespace, Published};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use self::request::{Publish, Recipients};
use crate::answer::{Refusal, Refused, json_response};
use crate::api_key::KeyDigest;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/v1/publish";

/// The endpoint and what it needs.
pub(crate) struct Publisher {
    /// The key that is asked for.
    pub(crate) key: KeyDigest,
    /// The namespaces that are served, by name.
    pub(crate) namespaces: HashMap<String, Namespace>,
    /// The largest body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// How long a body may take to arrive.
    pub(crate) body_timeout: Duration,
}

impl Publisher {
    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        match self.publish(request).await {
            Ok(published) => json_response(StatusCode::OK, &answer(published)),
            Err(refused) => refused.into_response(),
        }
    }

    /// The checks in the order of what they cost, and so that nothing is read for, or told to,
    /// somebody without the key.
    async fn publish(&self, request: Request<Body>) -> Result<Published, Refused> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refused::method("POST"));
        }
        self.key.check(&head.headers)?;
        check_query(&head)?;
        check_encoding(&head.headers)?;
        let key = idempotency_key(&head.headers)?;
        let body = self.read(&head.headers, body).await?;
        let publish = request::parse(&body)
            .map_err(|refusal| Refused::new(StatusCode::BAD_REQUEST, refusal))?;
        self.emit(publish, key).await
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > self.max_body_bytes as u64) {
            return Err(self.too_large());
        }
        let whole = Limited::new(body, self.max_body_bytes).collect();
        match tokio::time::timeout(self.body_timeout, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(self.too_large())
            }
            Ok(Err(_)) => {
                let refusal = Refusal::new("INVALID_REQUEST", "The body did not arrive whole.");
                Err(Refused::new(StatusCode::BAD_REQUEST, refusal))
            }
            Err(_) => {
                let refusal = Refusal::new("REQUEST_TIMEOUT", "The body took too long to arrive.");
                Err(Refused::new(StatusCode::REQUEST_TIMEOUT, refusal))
            }
        }
    }

    fn too_large(&self) -> Refused {
        let max = self.max_body_bytes;
        let refusal =
            Refusal::new("PAYLOAD_TOO_LARGE", format!("The body has more than {max} bytes."));
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, refusal.with(json!({ "max_bytes": max })))
    }

    async fn emit(&self, publish: Publish, key: Option<String>) -> Result<Published, Refused> {
        let Some(namespace) = self.namespaces.get(&publish.namespace) else {
            let refusal = Refusal::new(
                "UNKNOWN_NAMESPACE",
                "This server does not serve the namespace.",
            )
            .with(json!({ "field": "namespace", "expected": "one of the setting `namespaces`" }));
            return Err(Refused::new(StatusCode::BAD_REQUEST, refusal));
        };
        if namespace.io().is_closing() {
            return Err(unavailable("STOPPING", "The server is stopping; try another one."));
        }
        let mut broadcast = namespace.broadcast();
        if let Recipients::Rooms(rooms) = publish.to {
            broadcast = broadcast.to(rooms);
        }
        if !publish.except.is_empty() {
            broadcast = broadcast.except(publish.except);
        }
        if publish.volatile {
            broadcast = broadcast.volatile();
        }
        if let Some(key) = key {
            broadcast = broadcast.idempotency_key(key);
        }
        broadcast.publish(&publish.event, publish.args).await.map_err(not_emitted)
    }
}

/// The position of a recorded event is told, as clients get it.
fn answer(published: Published) -> Value {
    let position = published.position.map(|position| position.to_string());
    let mut answer = json!({ "ok": true, "position": position });
    if published.repeated
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("repeated".to_owned(), true.into());
    }
    answer
}

/// The longest `Idempotency-Key`, in bytes: what the log keeps.
const MAX_KEY_BYTES: usize = 255;

/// What makes a retry safe: the value of `Idempotency-Key`, if there is one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    match key {
        Some(key) if values.next().is_none() => Ok(Some(key.to_owned())),
        _ => {
            let message = "The Idempotency-Key is not one; expected one header of 1 to 255 \
                           visible ASCII characters.";
            Err(Refused::new(StatusCode::BAD_REQUEST, Refusal::new("INVALID_REQUEST", message)))
        }
    }
}

/// A query is where keys end up in logs: there is none to use.
fn check_query(head: &Parts) -> Result<(), Refused> {
    if head.uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    let message = "Nothing is read from the query; expected the event in the body and the key in \
                   the Authorization header.";
    Err(Refused::new(StatusCode::BAD_REQUEST, Refusal::new("INVALID_REQUEST", message)))
}

/// Only `application/json`, which no page of another origin can send unasked, and uncompressed,
/// so that a small body cannot become a large one.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refused> {
    let unsupported = |message: &str| {
        let refusal = Refusal::new("UNSUPPORTED_MEDIA_TYPE", message)
            .with(json!({ "expected": "Content-Type: application/json, no Content-Encoding" }));
        Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal))
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return unsupported("The body is compressed; expected it as it is.");
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.unwrap_or("").split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        unsupported("The body is not JSON by its type; expected Content-Type: application/json.")
    }
}

fn not_emitted(error: EmitError) -> Refused {
    match error {
        EmitError::Overloaded => unavailable(
            "OVERLOADED",
            "The server has more to deliver than it can; try again later.",
        ),
        EmitError::NotRecorded => {
            let message = "An Idempotency-Key needs an event that is recorded, and this one is \
                           not: it is volatile, or its rooms are ephemeral.";
            Refused::new(StatusCode::BAD_REQUEST, Refusal::new("NOT_RECORDED", message))
        }
        EmitError::Log(error) => not_appended(&error),
        // The rest was checked before; what the library refuses all the same is the caller's.
        error => {
            let refusal =
                Refusal::new("INVALID_REQUEST", format!("The event cannot be sent: {error}"));
            Refused::new(StatusCode::BAD_REQUEST, refusal)
        }
    }
}

/// Why the log did not take an event. Whatever is not certain is no success.
fn not_appended(error: &AppendError) -> Refused {
    match error {
        AppendError::Refused(eventlog::Refusal::DiskFull) => {
            let message = "The event was not sent: the disk with the event log is full.";
            let refusal = Refusal::new("LOG_FULL", message);
            Refused::new(StatusCode::INSUFFICIENT_STORAGE, refusal)
        }
        AppendError::Unknown(_) => unavailable(
            "LOG_UNCERTAIN",
            "Whether the event is recorded is unknown; send it again with the same \
             Idempotency-Key, or not at all.",
        ),
        AppendError::Record { fault, .. } => {
            let refusal = Refusal::new("INVALID_REQUEST", format!("The event: {fault}."));
            Refused::new(StatusCode::BAD_REQUEST, refusal)
        }
        error => unavailable("LOG_UNAVAILABLE", &format!("The event was not sent: {error}.")),
    }
}

fn unavailable(code: &'static str, message: &str) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, Refusal::new(code, message))
}
