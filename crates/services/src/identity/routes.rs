//! `POST /v1/auth/revoke`.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Revoked;
use crate::Services;
use crate::code::Code;
use crate::context::Context;
use crate::http::{Answer, Json, Key, unfit};
use crate::refusal::Refusal;

/// The longest id of a token or login, in bytes.
const MAX_ID_BYTES: usize = 255;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(revoke))
}

/// What is revoked: exactly one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Revoke {
    /// A user: all tokens made until now, and all connections.
    user: Option<String>,
    /// One token, by its `jti`.
    token: Option<String>,
    /// A login, by the `sid` of its tokens.
    session: Option<String>,
    /// How long it is kept, in seconds; 30 days if not said. Longer than the tokens live.
    seconds: Option<u64>,
}

/// How many were closed.
#[derive(Debug, Serialize, ToSchema)]
struct Closed {
    closed: usize,
}

/// Takes tokens back: connections and streams by them are closed, and they open nothing any more, also
/// after a restart.
#[utoipa::path(
    post,
    path = "/v1/auth/revoke",
    tag = "identity",
    request_body = Revoke,
    responses((status = 200, body = Closed), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn revoke(
    _: Key,
    State(context): State<Context>,
    Json(revoke): Json<Revoke>,
) -> Result<Answer<Closed>, Refusal> {
    let not_one = || {
        let expected = "exactly one of `user`, `token` and `session`, with 1 to 255 bytes";
        unfit(Code::InvalidRequest, "", expected)
    };
    let revoked = match (revoke.user, revoke.token, revoke.session) {
        (Some(id), None, None) => Revoked::User(id),
        (None, Some(id), None) => Revoked::Token(id),
        (None, None, Some(id)) => Revoked::Session(id),
        _ => return Err(not_one()),
    };
    if !(1..=MAX_ID_BYTES).contains(&revoked.id().len()) {
        return Err(not_one());
    }
    let until = revoke.seconds.map(Duration::from_secs);
    let until = until.and_then(|time| SystemTime::now().checked_add(time));
    let closed = context.identity().revoke(revoked, until).await?;
    Ok(Answer(Closed { closed }))
}
