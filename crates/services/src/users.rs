//! Users, sockets and rooms as a backend sees them: who is online, ending connections, figures.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use fanfare::{RemoteSocket, SocketId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::caller::Author;
use crate::code::Code;
use crate::context::Context;
use crate::http::{Answer, In, Json, JsonOrNothing, Key, Path, Query};
use crate::names;
use crate::refusal::Refusal;

/// How many sockets are listed at most.
const MAX_LISTED: usize = 1_000;

/// The longest reason that a client is told, in bytes.
const MAX_REASON_BYTES: usize = 255;

/// The longest time that a cleanup asks for, in minutes: a year.
const MAX_MINUTES: u64 = 525_600;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(disconnect_user))
        .routes(routes!(disconnect_socket))
        .routes(routes!(cleanup))
        .routes(routes!(room_stats))
}

/// One connection of somebody.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SocketRecord {
    socket_id: String,
    namespace: String,
    #[schema(value_type = String)]
    connected_at: Value,
    rooms: Vec<String>,
}

/// A user, as far as the server knows one.
#[derive(Debug, Serialize, ToSchema)]
struct UserRecord {
    id: String,
    /// Whether at least one device is connected.
    online: bool,
    sockets: Vec<SocketRecord>,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ending {
    /// What the client is told in the event `disconnecting:reason`, before it is closed.
    reason: Option<String>,
}

/// How long they have been quiet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Quiet {
    /// Those who have sent no event for so many minutes.
    minutes: u64,
}

/// How many were closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserClosed)]
struct Closed {
    closed: usize,
}

/// A room in figures.
#[derive(Debug, Serialize, ToSchema)]
struct RoomStats {
    room: String,
    /// How many sockets are in it.
    sockets: usize,
    /// How many users they belong to; guests count by their sockets.
    users: usize,
}

fn record(namespace: &str, socket: &RemoteSocket) -> SocketRecord {
    let issued = socket.handshake().get("issued").and_then(Value::as_u64);
    let own = socket.id().to_string();
    let rooms = socket.rooms().iter().map(|room| room.as_str().to_owned());
    SocketRecord {
        socket_id: own.clone(),
        namespace: namespace.to_owned(),
        connected_at: issued.map_or(Value::Null, crate::time::json),
        rooms: rooms.filter(|room| *room != own && !room.starts_with('$')).collect(),
    }
}

/// The room of a user.
///
/// # Errors
///
/// The same answer as for a user that is not there: what is none is nobody.
fn room_of(id: &str) -> Result<String, Refusal> {
    let room = names::room_of_user(id);
    if names::check_name(&room).is_err() {
        return Err(Refusal::field(Code::InvalidRequest, "id", names::ROOM_FORM));
    }
    Ok(room)
}

impl Context {
    async fn sockets_in(&self, room: &str) -> Vec<(String, RemoteSocket)> {
        let mut found = Vec::new();
        for namespace in self.namespaces() {
            let sockets = namespace.to(room).fetch_sockets().await.unwrap_or_default();
            found.extend(sockets.into_iter().map(|socket| (namespace.name().to_owned(), socket)));
        }
        found
    }

    /// Ends the connections of a room's sockets, in all namespaces; they hear why.
    async fn end_all(&self, room: &str, ending: Ending) -> Result<usize, Refusal> {
        let fits = |reason: &String| reason.len() <= MAX_REASON_BYTES;
        if !ending.reason.as_ref().is_none_or(fits) {
            let expected = format!("at most {MAX_REASON_BYTES} bytes");
            return Err(Refusal::field(Code::InvalidRequest, "reason", &expected));
        }
        let count = self.sockets_in(room).await.len();
        for namespace in self.namespaces() {
            if let Some(reason) = &ending.reason {
                let told = namespace.to(room).unrecorded();
                if let Err(error) =
                    told.emit("disconnecting:reason", (json!({ "reason": reason }),))
                {
                    tracing::debug!(%error, "clients could not be told why they are closed");
                }
            }
            if let Ok(done) = namespace.to(room).disconnect_sockets(true) {
                done.await;
            }
        }
        tracing::info!(count, "connections were ended over the API");
        Ok(count)
    }

    /// Whether a user is connected, and by which sockets.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`] for an id that can be nobody's.
    pub async fn is_online(&self, user: &str) -> Result<bool, Refusal> {
        Ok(!self.sockets_in(&room_of(user)?).await.is_empty())
    }

    /// Ends the connections of a user, who hears the reason as `disconnecting:reason`: how many there
    /// were.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`].
    pub async fn disconnect_user(
        &self,
        user: &str,
        reason: Option<String>,
    ) -> Result<usize, Refusal> {
        self.end_all(&room_of(user)?, Ending { reason }).await
    }

    /// Ends the connections whose clients have sent no event for a time: how many there were.
    pub async fn cleanup(&self, time: Duration) -> usize {
        let mut closed = 0;
        for namespace in self.namespaces() {
            if let Ok(ended) = namespace.broadcast().disconnect_inactive(time, true) {
                closed += ended.await;
            }
        }
        tracing::info!(closed, "inactive connections were ended");
        closed
    }
}

/// Whether a user is online, and by which sockets; at most 1 000 are listed.
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = UserRecord), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn show(
    _: Key,
    State(context): State<Context>,
    Path(id): Path<String>,
) -> Result<Answer<UserRecord>, Refusal> {
    let found = context.sockets_in(&room_of(&id)?).await;
    let online = !found.is_empty();
    let listed = found.iter().take(MAX_LISTED);
    let sockets = listed.map(|(namespace, socket)| record(namespace, socket)).collect();
    Ok(Answer(UserRecord { id, online, sockets }))
}

/// Ends all connections of a user.
#[utoipa::path(
    post, path = "/v1/users/{id}/disconnect", tag = "users", params(("id" = String, Path)),
    request_body = Option<Ending>,
    responses((status = 200, body = Closed), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn disconnect_user(
    _: Key,
    State(context): State<Context>,
    Path(id): Path<String>,
    JsonOrNothing(ending): JsonOrNothing<Ending>,
) -> Result<Answer<Closed>, Refusal> {
    Ok(Answer(Closed { closed: context.end_all(&room_of(&id)?, ending).await? }))
}

/// Ends the connection of a socket.
#[utoipa::path(
    post, path = "/v1/sockets/{id}/disconnect", tag = "users", params(("id" = String, Path)),
    request_body = Option<Ending>,
    responses((status = 200, body = Closed), (status = 400), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn disconnect_socket(
    _: Key,
    State(context): State<Context>,
    Path(id): Path<String>,
    JsonOrNothing(ending): JsonOrNothing<Ending>,
) -> Result<Answer<Closed>, Refusal> {
    let unknown = || Refusal::new(Code::ChannelNotFound, "There is no such socket.");
    SocketId::parse(&id).map_err(|_| unknown())?;
    let closed = context.end_all(&id, ending).await?;
    if closed == 0 { Err(unknown()) } else { Ok(Answer(Closed { closed })) }
}

/// Ends the connections whose clients have sent no event for some minutes.
#[utoipa::path(
    post, path = "/v1/cleanup", tag = "users", request_body = Quiet,
    responses((status = 200, body = Closed), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn cleanup(
    _: Key,
    State(context): State<Context>,
    Json(quiet): Json<Quiet>,
) -> Result<Answer<Closed>, Refusal> {
    if quiet.minutes == 0 || quiet.minutes > MAX_MINUTES {
        let expected = format!("a whole number from 1 to {MAX_MINUTES}");
        return Err(Refusal::field(Code::InvalidRequest, "minutes", &expected));
    }
    let closed = context.cleanup(Duration::from_secs(quiet.minutes * 60)).await;
    Ok(Answer(Closed { closed }))
}

/// How many sockets and users are in a room.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/stats", tag = "rooms", params(("room" = String, Path), In),
    responses((status = 200, body = RoomStats), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn room_stats(
    _: Key,
    State(context): State<Context>,
    Path(room): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<RoomStats>, Refusal> {
    let invalid = |_| Refusal::field(Code::InvalidRequest, "room", names::ROOM_FORM);
    names::check_name(&room).map_err(invalid)?;
    let sockets = context.namespace(&at.namespace)?.to(room.as_str()).fetch_sockets().await;
    let sockets = sockets.unwrap_or_default();
    let users: BTreeMap<String, ()> =
        sockets.iter().map(|it| (Author::of_data(it.data(), it.id()).id, ())).collect();
    Ok(Answer(RoomStats { room, sockets: sockets.len(), users: users.len() }))
}
