//! `/v1/rooms`.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::registry::MAX_PAGE;
use super::{MemberRecord, NewRoom, RoomChange, RoomRecord, Rooms};
use crate::Services;
use crate::http::{Answer, In, Json, Key, Path, Query};
use crate::refusal::Refusal;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, change, remove))
        .routes(routes!(members))
}

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The namespace; `/` if not said.
    #[serde(default = "crate::http::root")]
    namespace: String,
    /// Only those whose ids come after this one.
    #[serde(default)]
    after: String,
    /// So many at most: 1 to 1 000, 100 if not said.
    limit: Option<u16>,
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneRoom)]
struct One {
    room: RoomRecord,
}

/// Some rooms.
#[derive(Debug, Serialize, ToSchema)]
struct Some_ {
    rooms: Vec<RoomRecord>,
    /// `after` for the next page, if there may be one.
    next: Option<String>,
}

/// Who is there.
#[derive(Debug, Serialize, ToSchema)]
struct Members {
    members: Vec<MemberRecord>,
}

/// Nothing more to say.
#[derive(Debug, Serialize, ToSchema)]
struct Done {}

/// Makes a room that is kept.
#[utoipa::path(
    post, path = "/v1/rooms", tag = "rooms", request_body = NewRoom,
    responses((status = 200, body = One), (status = 400), (status = 401), (status = 409)),
    security(("key" = []))
)]
async fn create(
    _: Key,
    State(rooms): State<Rooms>,
    Json(room): Json<NewRoom>,
) -> Result<Answer<One>, Refusal> {
    Ok(Answer(One { room: rooms.create(room, None).await? }))
}

/// The rooms of a namespace that were made.
#[utoipa::path(
    get, path = "/v1/rooms", tag = "rooms", params(Which),
    responses((status = 200, body = Some_), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn list(
    _: Key,
    State(rooms): State<Rooms>,
    Query(which): Query<Which>,
) -> Result<Answer<Some_>, Refusal> {
    rooms.context.namespace(&which.namespace)?;
    let limit = which.limit.unwrap_or(100).clamp(1, MAX_PAGE);
    let page = rooms.list(&which.namespace, &which.after, limit).await?;
    let next = page.last().filter(|_| page.len() == usize::from(limit));
    let next = next.map(|room| room.room_id.clone());
    Ok(Answer(Some_ { rooms: page, next }))
}

/// A room that was made.
#[utoipa::path(
    get, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path), In),
    responses((status = 200, body = One), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn show(
    _: Key,
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<One>, Refusal> {
    rooms.context.namespace(&at.namespace)?;
    Ok(Answer(One { room: rooms.find(&at.namespace, &room).await? }))
}

/// Changes a room's name or metadata; its members hear `room:updated`.
#[utoipa::path(
    patch, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path), In),
    request_body = RoomChange,
    responses((status = 200, body = One), (status = 400), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn change(
    _: Key,
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(at): Query<In>,
    Json(change): Json<RoomChange>,
) -> Result<Answer<One>, Refusal> {
    rooms.context.namespace(&at.namespace)?;
    Ok(Answer(One { room: rooms.change(&at.namespace, &room, change).await? }))
}

/// Removes a room; its members hear `room:deleted` and are taken out of it.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path), In),
    responses((status = 200, body = Done), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn remove(
    _: Key,
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Done>, Refusal> {
    rooms.delete(&at.namespace, &room).await?;
    Ok(Answer(Done {}))
}

/// Who is in a room now, with their devices.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/members", tag = "rooms", params(("room" = String, Path), In),
    responses((status = 200, body = Members), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn members(
    _: Key,
    State(rooms): State<Rooms>,
    Path(room): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Members>, Refusal> {
    Ok(Answer(Members { members: rooms.members(&at.namespace, &room).await? }))
}
