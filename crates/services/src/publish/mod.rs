//! `POST /v1/publish`: a backend sends an event to rooms, users or everyone.

mod request;

use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fanfare::eventlog::{self, AppendError};
use fanfare::{EmitError, Published};
use futures_util::future::join_all;
use serde_json::{Value, json};

use self::request::{Publish, Recipients};
use crate::code::Code;
use crate::context::Context;
use crate::http;
use crate::refusal::{Refusal, json_response};

/// The body of a publish, for the description; [`request`] reads it, and is stricter.
#[derive(Debug, utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct PublishBody {
    /// The event's name, such as `task.created` or `task:created`: 1 to 255 bytes.
    event: String,
    /// Its arguments.
    args: Option<Vec<Value>>,
    /// The rooms that get it: 1 to 1 000. Exactly one of `rooms`, `users`, `sockets` and `all`.
    rooms: Option<Vec<String>>,
    /// The users whose devices get it.
    users: Option<Vec<String>>,
    /// The ids of the sockets that get it.
    sockets: Option<Vec<String>>,
    /// `true`: everybody in the namespace.
    all: Option<bool>,
    /// Rooms (and `user:<id>`, and ids of sockets) that do not get it.
    except: Option<Vec<String>>,
    /// The namespace; `/` if not said.
    namespace: Option<String>,
    /// Whether it may be dropped for who cannot take it at once.
    volatile: Option<bool>,
}

/// What is answered.
#[derive(Debug, utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct PublishedBody {
    ok: bool,
    /// Where it stands in the event log, if it is recorded.
    position: Option<String>,
    /// The `Idempotency-Key` was known: nothing was sent now.
    repeated: Option<bool>,
}

/// The body of a batch.
#[derive(Debug, utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct BatchBody {
    /// 1 to 1 000 events.
    events: Vec<PublishBody>,
}

/// The answer to a batch.
#[derive(Debug, utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct BatchAnswer {
    /// Whether all were sent.
    ok: bool,
    /// An answer for each event, in their order.
    results: Vec<PublishedBody>,
}

/// The path of the endpoint.
pub const PATH: &str = "/v1/publish";

/// The path for several at once.
pub(crate) const BATCH_PATH: &str = "/v1/publish/batch";

/// Sends an event to rooms, users, sockets or everybody.
#[utoipa::path(
    post, path = "/v1/publish", tag = "publish", request_body = PublishBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe: 1 to 255 visible ASCII characters")),
    responses((status = 200, description = "It is recorded and on its way", body = PublishedBody), (status = 400), (status = 401), (status = 413), (status = 415), (status = 503), (status = 507)),
    security(("key" = []))
)]
pub(crate) async fn answer(context: &Context, request: Request<Body>) -> Response {
    match publish(context, request).await {
        Ok(published) => json_response(StatusCode::OK, &told(published)),
        Err(refusal) => refusal.into_response(),
    }
}

async fn publish(context: &Context, request: Request<Body>) -> Result<Published, Refusal> {
    let (body, key) = read(context, request).await?;
    emit(context, request::parse(&body)?, key).await
}

/// Sends several events in their order. Each is sent or refused by itself: `results` has an answer for
/// each. With an `Idempotency-Key` a retry of the whole is safe: each event is known by its place.
#[utoipa::path(
    post, path = "/v1/publish/batch", tag = "publish", request_body = BatchBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe: 1 to 250 visible ASCII characters")),
    responses((status = 200, description = "An answer for each event", body = BatchAnswer), (status = 400), (status = 401), (status = 413), (status = 415)),
    security(("key" = []))
)]
pub(crate) async fn answer_batch(context: &Context, request: Request<Body>) -> Response {
    let published = async {
        let (body, key) = read(context, request).await?;
        let events = request::parse_batch(&body)?;
        let published = events.into_iter().enumerate().map(|(index, event)| {
            // A retry of the whole finds each event by its place.
            let key = key.as_ref().map(|key| format!("{key}:{index}"));
            async move { emit(context, event?, key).await }
        });
        // They enter the log in this order: each does with its first step.
        Ok(join_all(published).await)
    };
    match published.await {
        Ok(results) => {
            let now = SystemTime::now();
            let told = |result: &Result<Published, Refusal>| match result {
                Ok(published) => told(*published),
                Err(refusal) => json!(refusal.answer(now)),
            };
            let ok = results.iter().all(Result::is_ok);
            let results: Vec<Value> = results.iter().map(told).collect();
            json_response(StatusCode::OK, &json!({ "ok": ok, "results": results }))
        }
        Err(refusal) => Refusal::into_response(refusal),
    }
}

/// The checks in the order of what they cost, and so that nothing is read for, or told to,
/// somebody without the key.
async fn read(
    context: &Context,
    request: Request<Body>,
) -> Result<(Bytes, Option<String>), Refusal> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    context.check_key(&head.headers)?;
    check_query(&head)?;
    let key = idempotency_key(&head.headers)?;
    let body = http::read(context, &head.headers, body).await?;
    Ok((body, key))
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
///
/// # Errors
///
/// [`Code::InvalidRequest`].
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
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
