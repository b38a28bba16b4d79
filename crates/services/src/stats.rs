//! `GET /v1/stats`: what the server counts, and how its event log stands.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare::eventlog::{EventLog, Health};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::context::Context;
use crate::http::Key;
use crate::refusal::json_response;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The figures of this process since its start: for people and scripts; Prometheus has its own.
#[utoipa::path(
    get, path = "/v1/stats", tag = "server",
    responses((status = 200, description = "Counts by name"), (status = 401)),
    security(("key" = []))
)]
async fn show(_: Key, State(context): State<Context>) -> Response {
    let io = context.io();
    let mut figures = json!(io.counters().counts());
    if let (Some(log), Some(figures)) = (&io.settings().log, figures.as_object_mut()) {
        figures.insert("event_log".to_owned(), of_log(log.shared().as_ref()));
    }
    json_response(StatusCode::OK, &figures)
}

fn of_log(log: &dyn EventLog) -> Value {
    let stats = log.stats();
    let (health, reason) = match log.health() {
        Health::Ready => ("ready", None),
        Health::Refusing(refusal) => ("refusing", Some(refusal.to_string())),
        Health::Closed => ("closed", None),
    };
    json!({
        "health": health,
        "reason": reason,
        "head": log.head().to_string(),
        "entries": stats.entries,
        "bytes": stats.bytes,
        "sessions": stats.sessions,
        "queued_requests": stats.queued_requests,
        "queued_bytes": stats.queued_bytes,
    })
}
