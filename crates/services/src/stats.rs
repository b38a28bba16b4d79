//! What the server counts, for who has the key: figures tell an attacker what works.

use axum::extract::State;
use fanfare::eventlog::{EventLog, Health};
use fanfare::{Counts, Load};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::context::Context;
use crate::http::{Answer, Key};
use crate::refusal::Refusal;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(show))
}

/// All figures. Those of connections, events, recoveries, refusals and closings have the names that
/// the library counts them by, and only grow but for those that say now.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    counts: Counts,
    /// What waits at this moment.
    load: LoadStats,
    /// How the event log stands, if there is one.
    event_log: Option<LogStats>,
}

/// What waits at one moment.
#[derive(Debug, Serialize, ToSchema)]
struct LoadStats {
    /// How long the busiest thread took to answer, in seconds.
    lag_seconds: f64,
    /// Sessions whose clients have not yet taken all that is for them.
    waiting_sessions: usize,
    /// Events that wait for them.
    waiting_events: usize,
    /// Bytes of these.
    waiting_bytes: usize,
    /// The most that waits for one.
    largest_bytes: usize,
    /// Sessions that are near to be cut for slowness.
    slow_sessions: usize,
    /// Nobody new is let in, because memory is short.
    memory_short: bool,
}

impl LoadStats {
    fn new(load: &Load, memory_short: bool) -> Self {
        LoadStats {
            lag_seconds: load.lag.as_secs_f64(),
            waiting_sessions: load.waiting_sessions,
            waiting_events: load.waiting_events,
            waiting_bytes: load.waiting_bytes,
            largest_bytes: load.largest_bytes,
            slow_sessions: load.slow_sessions,
            memory_short,
        }
    }
}

/// How the event log stands.
#[derive(Debug, Serialize, ToSchema)]
struct LogStats {
    /// `ready`, `refusing` (see `reason`), `closed`.
    health: &'static str,
    reason: Option<String>,
    /// The newest position.
    head: String,
    entries: u64,
    bytes: u64,
    /// Sessions of clients that may come back.
    sessions: u64,
    queued_requests: u64,
    queued_bytes: u64,
}

impl LogStats {
    fn of(log: &dyn EventLog) -> Self {
        let stats = log.stats();
        let (health, reason) = match log.health() {
            Health::Ready => ("ready", None),
            Health::Refusing(refusal) => ("refusing", Some(refusal.to_string())),
            Health::Closed => ("closed", None),
        };
        LogStats {
            health,
            reason,
            head: log.head().to_string(),
            entries: stats.entries,
            bytes: stats.bytes,
            sessions: stats.sessions,
            queued_requests: stats.queued_requests,
            queued_bytes: stats.queued_bytes,
        }
    }
}

/// What the server counts, what waits, and how its event log stands.
#[utoipa::path(
    get, path = "/v1/stats", tag = "server",
    responses((status = 200, description = "All figures.", body = Stats)),
    security(("key" = []))
)]
async fn show(_: Key, State(context): State<Context>) -> Result<Answer<Stats>, Refusal> {
    let io = context.io();
    let load = io.load().await;
    Ok(Answer(Stats {
        counts: io.counters().counts(),
        load: LoadStats::new(&load, io.is_memory_short()),
        event_log: io.settings().log.as_ref().map(|log| LogStats::of(&**log)),
    }))
}
