//! What is there now, for people who look after a server: its nodes, its largest rooms, some of its
//! sockets. Pages and samples, never everything.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use fanfare::{Namespace, RemoteSocket};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::caller::Author;
use crate::context::Context;
use crate::http::{Answer, Key, Query};
use crate::refusal::Refusal;

/// How many rooms or sockets are told if nothing is said, and at most.
const TOLD: usize = 50;
const MAX_TOLD: usize = 200;

/// How many rooms of a socket are told.
const MAX_ROOMS_TOLD: usize = 20;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(nodes)).routes(routes!(rooms)).routes(routes!(sockets))
}

/// A process that serves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NodeRecord {
    /// Its name: another one after each start.
    id: String,
    version: &'static str,
    /// Whether it is the one that answers.
    this: bool,
    #[schema(value_type = String)]
    started_at: Value,
    uptime_seconds: u64,
    /// Threads that serve connections.
    shards: usize,
    /// Whether it is stopping.
    stopping: bool,
    sessions: u64,
    sockets: u64,
    streams: u64,
    namespaces: Vec<NamespaceRecord>,
}

/// A namespace of a node.
#[derive(Debug, Serialize, ToSchema)]
struct NamespaceRecord {
    name: String,
    /// How many sockets are in it.
    sockets: usize,
    /// How many rooms there are; one on several threads counts on each.
    rooms: usize,
}

/// Those who serve.
#[derive(Debug, Serialize, ToSchema)]
struct Nodes {
    nodes: Vec<NodeRecord>,
}

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichRooms {
    /// The namespace; `/` if not said.
    #[serde(default = "crate::http::root")]
    namespace: String,
    /// Only those whose names contain this.
    #[serde(default)]
    contains: String,
    /// So many at most: 1 to 200, 50 if not said.
    limit: Option<usize>,
}

/// Which sockets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhichSockets {
    /// The namespace; `/` if not said.
    #[serde(default = "crate::http::root")]
    namespace: String,
    /// So many at most: 1 to 200, 50 if not said.
    limit: Option<usize>,
}

/// A room that somebody is in.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRoom {
    room: String,
    /// How many sockets are in it.
    sockets: usize,
}

/// The largest rooms.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRooms {
    /// The largest first.
    rooms: Vec<LiveRoom>,
    /// How many there are that match; one on several threads counts on each.
    matching: usize,
}

/// One of the sockets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LiveSocket {
    socket_id: String,
    /// Who it is.
    user: String,
    /// Where it came from, as far as the server knows.
    address: String,
    #[schema(value_type = String)]
    connected_at: Value,
    /// Some of its rooms, without its own.
    rooms: Vec<String>,
}

/// Some sockets.
#[derive(Debug, Serialize, ToSchema)]
struct LiveSockets {
    /// In no particular order.
    sockets: Vec<LiveSocket>,
    /// How many there are in all.
    total: usize,
}

/// The nodes of this server.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "server",
    responses((status = 200, body = Nodes), (status = 401)),
    security(("key" = []))
)]
async fn nodes(_: Key, State(context): State<Context>) -> Answer<Nodes> {
    let io = context.io();
    let counts = io.counters().counts();
    let mut namespaces = Vec::new();
    for namespace in io.namespaces() {
        let (sample, busiest) = (namespace.sample(0).await, namespace.busiest_rooms("", 0).await);
        let name = namespace.name().to_owned();
        namespaces.push(NamespaceRecord { name, sockets: sample.total, rooms: busiest.matching });
    }
    namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    let started = context.started_ms();
    Answer(Nodes {
        nodes: vec![NodeRecord {
            // Another one after each start, on each machine most likely another one.
            id: format!("{started:x}-{}", std::process::id()),
            version: env!("CARGO_PKG_VERSION"),
            this: true,
            started_at: crate::time::json(started),
            uptime_seconds: crate::time::now_ms().saturating_sub(started) / 1_000,
            shards: io.settings().shards,
            stopping: io.is_closing(),
            sessions: counts.sessions,
            sockets: counts.sockets,
            streams: counts.streams,
            namespaces,
        }],
    })
}

/// The rooms with the most sockets.
#[utoipa::path(
    get, path = "/v1/live/rooms", tag = "server", params(WhichRooms),
    responses((status = 200, body = LiveRooms), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn rooms(
    _: Key,
    State(context): State<Context>,
    Query(which): Query<WhichRooms>,
) -> Result<Answer<LiveRooms>, Refusal> {
    let namespace = context.any_namespace(&which.namespace)?;
    let found = namespace.busiest_rooms(&which.contains, told(which.limit)).await;
    let rooms = found.rooms.into_iter();
    let rooms = rooms.map(|(room, sockets)| LiveRoom { room: room.as_str().to_owned(), sockets });
    Ok(Answer(LiveRooms { rooms: rooms.collect(), matching: found.matching }))
}

/// Some of the sockets of a namespace: a sample, whose size is bounded.
#[utoipa::path(
    get, path = "/v1/live/sockets", tag = "server", params(WhichSockets),
    responses((status = 200, body = LiveSockets), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn sockets(
    _: Key,
    State(context): State<Context>,
    Query(which): Query<WhichSockets>,
) -> Result<Answer<LiveSockets>, Refusal> {
    let namespace: Namespace = context.any_namespace(&which.namespace)?;
    let sample = namespace.sample(told(which.limit)).await;
    let sockets = sample.sockets.iter().map(record).collect();
    Ok(Answer(LiveSockets { sockets, total: sample.total }))
}

fn told(limit: Option<usize>) -> usize {
    limit.unwrap_or(TOLD).clamp(1, MAX_TOLD)
}

fn record(socket: &RemoteSocket) -> LiveSocket {
    let own = socket.id().to_string();
    let of_handshake = |name: &str| socket.handshake().get(name).cloned();
    let issued = of_handshake("issued").and_then(|issued| issued.as_u64());
    let address = of_handshake("address").and_then(|it| it.as_str().map(str::to_owned));
    let rooms = socket.rooms().iter().map(|room| room.as_str().to_owned());
    let rooms = rooms.filter(|room| *room != own && !room.starts_with('$'));
    LiveSocket {
        user: Author::of_data(socket.data(), socket.id()).id,
        address: address.unwrap_or_default(),
        connected_at: issued.map_or(Value::Null, crate::time::json),
        rooms: rooms.take(MAX_ROOMS_TOLD).collect(),
        socket_id: own,
    }
}
