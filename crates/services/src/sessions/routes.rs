//! `/v1/sessions`.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Envelope, Participant, Sessions};
use crate::Services;
use crate::http::{Answer, In, Json, Key, Path, Query};
use crate::refusal::Refusal;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(publish)).routes(routes!(participants))
}

/// What a session is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Told {
    /// What kind of event it is.
    event_type: String,
    /// The event itself: any JSON.
    #[serde(default)]
    payload: Value,
}

/// What was told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPublished)]
struct Published {
    event: Envelope,
    /// Where it stands in the event log.
    position: Option<String>,
}

/// Who takes part.
#[derive(Debug, Serialize, ToSchema)]
struct Participants {
    participants: Vec<Participant>,
}

/// Tells a session something: its clients hear `event` with the envelope.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/events", tag = "sessions", params(("id" = String, Path), In),
    request_body = Told,
    responses((status = 200, body = Published), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn publish(
    _: Key,
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
    Query(at): Query<In>,
    Json(told): Json<Told>,
) -> Result<Answer<Published>, Refusal> {
    let told = sessions.publish(&at.namespace, &id, &told.event_type, told.payload).await?;
    let (event, position) = told;
    Ok(Answer(Published { event, position: position.map(|position| position.to_string()) }))
}

/// Who takes part in a session, or lately has, and when each has shown itself last.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/participants", tag = "sessions",
    params(("id" = String, Path), In),
    responses((status = 200, body = Participants), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn participants(
    _: Key,
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Participants>, Refusal> {
    sessions.context.namespace(&at.namespace)?;
    Ok(Answer(Participants { participants: sessions.participants(&at.namespace, &id) }))
}
