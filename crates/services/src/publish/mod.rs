//! `POST /v1/publish`: a backend sends an event to rooms, users or everyone.

mod request;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use fanfare::eventlog::{self, AppendError};
use fanfare::{EmitError, Published};
use serde_json::{Value, json};

use self::request::{Publish, Recipients};
use crate::code::Code;
use crate::context::Context;
use crate::http;
use crate::refusal::{Refusal, json_response};

/// The path of the endpoint.
pub const PATH: &str = "/v1/publish";

/// Answers a request.
pub(crate) async fn answer(context: &Context, request: Request<Body>) -> Response {
    match publish(context, request).await {
        Ok(published) => json_response(StatusCode::OK, &told(published)),
        Err(refusal) => refusal.into_response(),
    }
}

/// The checks in the order of what they cost, and so that nothing is read for, or told to,
/// somebody without the key.
async fn publish(context: &Context, request: Request<Body>) -> Result<Published, Refusal> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    context.check_key(&head.headers)?;
    check_query(&head)?;
    let key = idempotency_key(&head.headers)?;
    let body = http::read(context, &head.headers, body).await?;
    emit(context, request::parse(&body)?, key).await
}

async fn emit(
    context: &Context,
    publish: Publish,
    key: Option<String>,
) -> Result<Published, Refusal> {
    let namespace = context.namespace(&publish.namespace)?;
    if namespace.io().is_closing() {
        return Err(unavailable(Code::Stopping, "The server is stopping; try another one."));
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

/// The position of a recorded event is told, as clients get it.
fn told(published: Published) -> Value {
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
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    match key {
        Some(key) if values.next().is_none() => Ok(Some(key.to_owned())),
        _ => {
            let message = "The Idempotency-Key is not one; expected one header of 1 to 255 \
                           visible ASCII characters.";
            Err(Refusal::new(Code::InvalidRequest, message))
        }
    }
}

/// A query is where keys end up in logs: there is none to use.
fn check_query(head: &Parts) -> Result<(), Refusal> {
    if head.uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    let message = "Nothing is read from the query; expected the event in the body and the key in \
                   the Authorization header.";
    Err(Refusal::new(Code::InvalidRequest, message))
}

/// What is said when the library does not send an event.
pub(crate) fn not_emitted(error: EmitError) -> Refusal {
    match error {
        EmitError::Overloaded => unavailable(
            Code::Overloaded,
            "The server has more to deliver than it can; try again later.",
        ),
        EmitError::NotRecorded => {
            let message = "An Idempotency-Key needs an event that is recorded, and this one is \
                           not: it is volatile, or its rooms are ephemeral.";
            Refusal::new(Code::NotRecorded, message)
        }
        EmitError::Log(error) => not_appended(&error),
        // The rest was checked before; what the library refuses all the same is the caller's.
        error => Refusal::new(Code::InvalidRequest, format!("The event cannot be sent: {error}")),
    }
}

/// Why the log did not take an event. Whatever is not certain is no success.
fn not_appended(error: &AppendError) -> Refusal {
    match error {
        AppendError::Refused(eventlog::Refusal::DiskFull) => {
            let message = "The event was not sent: the disk with the event log is full.";
            Refusal::new(Code::LogFull, message)
        }
        AppendError::Unknown(_) => unavailable(
            Code::LogUncertain,
            "Whether the event is recorded is unknown; send it again with the same \
             Idempotency-Key, or not at all.",
        ),
        AppendError::Record { fault, .. } => {
            Refusal::new(Code::InvalidRequest, format!("The event: {fault}."))
        }
        error => unavailable(Code::LogUnavailable, &format!("The event was not sent: {error}.")),
    }
}

fn unavailable(code: Code, message: &str) -> Refusal {
    Refusal::new(code, message)
}
