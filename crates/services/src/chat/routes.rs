//! Messages, notifications and announcements over HTTP.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use fanfare::eventlog::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::MAX_OFFSET;
use super::{
    Chat, Draft, Editor, MAX_MESSAGES, Message, MessageKind, MessageQuery, Receipt, Unread,
};
use crate::Services;
use crate::caller::Author;
use crate::code::Code;
use crate::http::{Answer, In, Json, Key, Path, Query, RetryKey};
use crate::names;
use crate::refusal::Refusal;

/// The longest name of an author, in bytes: as in tokens.
const MAX_NAME_BYTES: usize = 255;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list, send))
        .routes(routes!(edit, delete))
        .routes(routes!(receipts))
        .routes(routes!(unread))
        .routes(routes!(notify))
        .routes(routes!(announce))
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The namespace; `/` if not said.
    #[serde(default = "crate::http::root")]
    namespace: String,
    /// Only older ones than this message.
    before: Option<String>,
    /// Only newer ones than this message, oldest first.
    after: Option<String>,
    /// So many are passed over; at most 10 000.
    #[serde(default)]
    offset: u32,
    /// So many at most: 1 to 200, 50 if not said.
    limit: Option<u32>,
}

/// A message of a backend.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sent {
    /// As whom; `backend` if not said.
    user: Option<As>,
    content: String,
    #[serde(default, rename = "type")]
    kind: MessageKind,
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Makes a second try safe.
    client_id: Option<String>,
}

/// Who is said to have sent it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct As {
    id: String,
    name: Option<String>,
}

/// What is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Edited {
    content: String,
}

/// For whom, and what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Notified {
    /// The ids of the users, 1 to 1 000.
    users: Vec<String>,
    /// What they get: any JSON.
    notification: Value,
}

/// What everybody is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Announced {
    /// What they get: any JSON.
    announcement: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct Messages {
    messages: Vec<Message>,
    /// Whether there may be more.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneMessage)]
struct One {
    message: Message,
    /// Where it stands in the event log.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Receipts {
    receipts: Vec<Receipt>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rooms {
    rooms: Vec<Unread>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessagePublished)]
struct Published {
    position: Option<String>,
    /// The `Idempotency-Key` was known: nothing was sent now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
}

impl Published {
    fn of((repeated, position): (bool, Option<Position>)) -> Self {
        Published { position: position.map(|position| position.to_string()), repeated }
    }
}

/// The messages of a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/messages", tag = "chat", params(("room" = String, Path), Which),
    responses((status = 200, body = Messages), (status = 400), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn list(
    _: Key,
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Query(which): Query<Which>,
) -> Result<Answer<Messages>, Refusal> {
    let Which { namespace, before, after, offset, limit } = which;
    chat.context.namespace(&namespace)?;
    let limit = limit.unwrap_or(50);
    if limit == 0 || limit > MAX_MESSAGES {
        let expected = format!("a whole number from 1 to {MAX_MESSAGES}");
        return Err(Refusal::field(Code::InvalidRequest, "limit", &expected));
    }
    if offset > MAX_OFFSET {
        let expected = format!("a whole number up to {MAX_OFFSET}; beyond it, `before`");
        return Err(Refusal::field(Code::InvalidRequest, "offset", &expected));
    }
    let query = MessageQuery { before, after, offset, limit };
    let messages = chat.messages(&namespace, &room, query).await?;
    let more = messages.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Answer(Messages { messages, more }))
}

/// Somebody who could have sent it.
fn author(user: As) -> Result<Author, Refusal> {
    if names::check_name(&names::room_of_user(&user.id)).is_err() || user.id.is_empty() {
        let expected = "the id of a user: 1 to 250 visible ASCII characters, without * and #";
        return Err(Refusal::field(Code::InvalidRequest, "user.id", expected));
    }
    if user.name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        let expected = format!("at most {MAX_NAME_BYTES} bytes of text");
        return Err(Refusal::field(Code::InvalidRequest, "user.name", &expected));
    }
    Ok(Author { id: user.id, name: user.name })
}

/// Sends a message to a room, as a backend or in the name of a user.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/messages", tag = "chat", params(("room" = String, Path), In),
    request_body = Sent,
    responses((status = 200, body = One), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn send(
    _: Key,
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Query(at): Query<In>,
    Json(sent): Json<Sent>,
) -> Result<Answer<One>, Refusal> {
    let user = match sent.user {
        Some(user) => author(user)?,
        None => Author { id: "backend".to_owned(), name: None },
    };
    let Sent { content, kind, metadata, client_id, .. } = sent;
    let draft = Draft { kind, content, metadata, client_id };
    let (message, position, _) = chat.send(&at.namespace, &room, user, draft).await?;
    Ok(Answer(One { message, position: position.map(|position| position.to_string()) }))
}

/// Changes what a message says; the room hears `message:updated`.
#[utoipa::path(
    patch, path = "/v1/messages/{id}", tag = "chat", params(("id" = String, Path)),
    request_body = Edited,
    responses((status = 200, body = One), (status = 400), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn edit(
    _: Key,
    State(chat): State<Chat>,
    Path(id): Path<String>,
    Json(edited): Json<Edited>,
) -> Result<Answer<One>, Refusal> {
    let message = chat.edit(&id, &edited.content, Editor::Moderator).await?;
    Ok(Answer(One { message, position: None }))
}

/// Deletes a message; the room hears `message:deleted`.
#[utoipa::path(
    delete, path = "/v1/messages/{id}", tag = "chat", params(("id" = String, Path)),
    responses((status = 200, body = One), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn delete(
    _: Key,
    State(chat): State<Chat>,
    Path(id): Path<String>,
) -> Result<Answer<One>, Refusal> {
    let message = chat.delete(&id, Editor::Moderator).await?;
    Ok(Answer(One { message, position: None }))
}

/// How far everybody has read in a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/receipts", tag = "chat", params(("room" = String, Path), In),
    responses((status = 200, body = Receipts), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn receipts(
    _: Key,
    State(chat): State<Chat>,
    Path(room): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Receipts>, Refusal> {
    chat.context.namespace(&at.namespace)?;
    Ok(Answer(Receipts { receipts: chat.receipts(&at.namespace, &room).await? }))
}

/// What a user has not read, in the rooms in which it has read something.
#[utoipa::path(
    get, path = "/v1/users/{id}/unread", tag = "chat", params(("id" = String, Path), In),
    responses((status = 200, body = Rooms), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn unread(
    _: Key,
    State(chat): State<Chat>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Rooms>, Refusal> {
    chat.context.namespace(&at.namespace)?;
    Ok(Answer(Rooms { rooms: chat.unread(&at.namespace, &id).await? }))
}

/// Sends users an event `notification`.
#[utoipa::path(
    post, path = "/v1/notifications", tag = "chat",
    params(In, ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe: 1 to 255 visible ASCII characters")),
    request_body = Notified,
    responses((status = 200, body = Published), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn notify(
    _: Key,
    State(chat): State<Chat>,
    Query(at): Query<In>,
    RetryKey(key): RetryKey,
    Json(notified): Json<Notified>,
) -> Result<Answer<Published>, Refusal> {
    let Notified { users, notification } = notified;
    let sent = chat.notify(&at.namespace, &users, &notification, key.as_deref()).await?;
    Ok(Answer(Published::of(sent)))
}

/// Sends everybody in the namespace an event `system:announcement`.
#[utoipa::path(
    post, path = "/v1/announcements", tag = "chat",
    params(In, ("Idempotency-Key" = Option<String>, Header, description = "Makes a retry safe: 1 to 255 visible ASCII characters")),
    request_body = Announced,
    responses((status = 200, body = Published), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn announce(
    _: Key,
    State(chat): State<Chat>,
    Query(at): Query<In>,
    RetryKey(key): RetryKey,
    Json(announced): Json<Announced>,
) -> Result<Answer<Published>, Refusal> {
    let sent = chat.announce(&at.namespace, &announced.announcement, key.as_deref()).await?;
    Ok(Answer(Published::of(sent)))
}
