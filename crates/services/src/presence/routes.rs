//! `/v1/presence` and the status of users.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Presence, Present, Status};
use crate::Services;
use crate::http::{Answer, In, Key, Path, Query};
use crate::refusal::Refusal;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(document)).routes(routes!(status))
}

/// Who looks at a document.
#[derive(Debug, Serialize, ToSchema)]
struct Users {
    /// In a crowd nobody is named.
    users: Vec<Present>,
    count: usize,
}

/// Whether a user is there.
#[derive(Debug, Serialize, ToSchema)]
struct UserStatus {
    status: Status,
}

/// Who looks at a document, and what they say of themselves.
#[utoipa::path(
    get, path = "/v1/presence/{id}", tag = "presence", params(("id" = String, Path), In),
    responses((status = 200, body = Users), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn document(
    _: Key,
    State(presence): State<Presence>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Users>, Refusal> {
    presence.context.namespace(&at.namespace)?;
    let (users, count) = presence.document(&at.namespace, &id);
    Ok(Answer(Users { users, count }))
}

/// Whether a user is online, away or offline.
#[utoipa::path(
    get, path = "/v1/users/{id}/status", tag = "presence", params(("id" = String, Path), In),
    responses((status = 200, body = UserStatus), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn status(
    _: Key,
    State(presence): State<Presence>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<UserStatus>, Refusal> {
    presence.context.namespace(&at.namespace)?;
    Ok(Answer(UserStatus { status: presence.status(&at.namespace, &id) }))
}
