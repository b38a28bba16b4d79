//! `/sessions`: opening, joining, starting and ending.

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use services::{Code as RefusalCode, Refusal, json_response};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{From, Json, Problem, SessionPath};
use crate::Livepoll;
use crate::domain::{Code, ParticipantId};
use crate::error::Refused;
use crate::token::Seat;
use crate::view::{ParticipantView, SessionView};

/// How many participants a page has, unless told otherwise, and at most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<Livepoll> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(join))
        .routes(routes!(get))
        .routes(routes!(start))
        .routes(routes!(end))
        .routes(routes!(participants))
}

/// What a session is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSession {
    /// What it is about: 1 to 120 characters on one line.
    title: String,
}

/// A session that was opened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Opened {
    #[serde(flatten)]
    session: SessionView,
    /// What its presenter shows from here on. It is told only now.
    presenter_token: String,
}

/// Opens a session.
#[utoipa::path(
    post,
    path = "/sessions",
    tag = "live polling",
    request_body = NewSession,
    responses(
        (status = 201, description = "It is open; people can join.", body = Opened),
        (status = 400, description = "INVALID_TEXT, INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "RATE_LIMIT_EXCEEDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(livepoll): State<Livepoll>,
    From(address): From,
    Json(body): Json<NewSession>,
) -> Result<Response, Refused> {
    livepoll.limits().session(address)?;
    let session = livepoll.create_session(&body.title).await?;
    let presenter_token = livepoll.token(&Seat::presenter(&session))?;
    let location = HeaderValue::from_str(&format!("/sessions/{}", session.id));
    let opened = Opened { session: SessionView::of(&session), presenter_token };
    let mut response = json_response(StatusCode::CREATED, &opened);
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Who wants to join what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Join {
    /// The session's code; in either case, with spaces or a hyphen anywhere.
    #[schema(example = "K7P-2XW")]
    code: String,
    /// The name to be shown by: 1 to 40 characters on one line.
    display_name: String,
}

/// Somebody who joined.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Joined {
    /// The session.
    session_id: String,
    /// Who it is in the session.
    participant_id: String,
    /// What it shows from here on. It is told only now.
    token: String,
    /// The name in the form in which it is kept.
    display_name: String,
    /// The session.
    session: SessionView,
}

/// Joins a session by its code.
#[utoipa::path(
    post,
    path = "/sessions/join",
    tag = "live polling",
    request_body = Join,
    responses(
        (status = 201, description = "Joined.", body = Joined),
        (status = 400, description = "INVALID_CODE, INVALID_TEXT, INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "UNKNOWN_CODE", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "TOO_MANY", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "CODE_ENDED", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "RATE_LIMIT_EXCEEDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn join(
    State(livepoll): State<Livepoll>,
    From(address): From,
    Json(body): Json<Join>,
) -> Result<Response, Refused> {
    livepoll.limits().join(address)?;
    let joined = match Code::parse(&body.code) {
        Ok(code) => livepoll.join(code, &body.display_name).await,
        Err(error) => Err(error.into()),
    };
    if let Err(Refused::UnknownCode | Refused::EndedCode) = &joined {
        livepoll.limits().wrong_code(address);
    }
    let (session, participant) = joined?;
    let token = livepoll.token(&Seat::of(&participant))?;
    let joined = Joined {
        session_id: session.id.to_string(),
        participant_id: participant.id.to_string(),
        token,
        display_name: participant.display_name,
        session: SessionView::of(&session),
    };
    Ok(json_response(StatusCode::CREATED, &joined))
}

/// Says how a session stands.
#[utoipa::path(
    get,
    path = "/sessions/{id}",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "The session.", body = SessionView),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND, also if it is another session's token", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(id): SessionPath,
) -> Result<Response, Refused> {
    seat.check_sees(&id)?;
    let session = livepoll.session(&id).await?;
    Ok(json_response(StatusCode::OK, &SessionView::of(&session)))
}

/// Starts a session: polls can be opened.
#[utoipa::path(
    post,
    path = "/sessions/{id}/start",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "It has started.", body = SessionView),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "SESSION_ALREADY_STARTED, SESSION_ENDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn start(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(id): SessionPath,
) -> Result<Response, Refused> {
    seat.check_presents(&id)?;
    let session = livepoll.start_session(&id).await?;
    Ok(json_response(StatusCode::OK, &SessionView::of(&session)))
}

/// Ends a session, and with it its active polls.
#[utoipa::path(
    post,
    path = "/sessions/{id}/end",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "It has ended; its code is free for others.", body = SessionView),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "SESSION_NOT_STARTED, SESSION_ENDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn end(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(id): SessionPath,
) -> Result<Response, Refused> {
    seat.check_presents(&id)?;
    let session = livepoll.end_session(&id).await?;
    Ok(json_response(StatusCode::OK, &SessionView::of(&session)))
}

/// Which participants.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// The participant behind whom the page begins: `next` of the page before.
    after: Option<String>,
    /// How many, from 1 to 1000. Default: 100.
    limit: Option<u32>,
}

/// Some participants.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParticipantPage)]
struct Participants {
    /// In the order in which they joined.
    participants: Vec<ParticipantView>,
    /// How many there are in all.
    total: u64,
    /// How many of all are connected.
    connected: u64,
    /// `after` of the next page; null behind the last.
    next: Option<String>,
}

/// Lists who joined, page by page.
#[utoipa::path(
    get,
    path = "/sessions/{id}/participants",
    tag = "live polling",
    params(("id" = String, Path, description = "The session."), Pages),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "A page.", body = Participants),
        (status = 400, description = "INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn participants(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(id): SessionPath,
    page: Result<Query<Pages>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refused> {
    seat.check_sees(&id)?;
    let unfit = |field: &str, expected: &str| {
        let refusal = Refusal::field(RefusalCode::InvalidRequest, field, expected);
        Refused::Form(Box::new(refusal))
    };
    let Query(page) = page.map_err(|_| {
        let message = "Expected no parameters but `after`, an id, and `limit`, a whole number.";
        Refused::Form(Box::new(Refusal::new(RefusalCode::InvalidRequest, message)))
    })?;
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(unfit("limit", "a whole number from 1 to 1000"));
    }
    let after = page.after.map(|after| ParticipantId::parse(&after).ok_or(after));
    let after = after.transpose().map_err(|_| unfit("after", "the id of a participant"))?;
    let found = livepoll.participants(&id, after, limit).await?;
    let full = found.participants.len() >= limit as usize;
    let next = found.participants.last().filter(|_| full).map(|last| last.id.to_string());
    let participants = found.participants.iter().map(ParticipantView::of).collect();
    let (total, connected) = (found.total, found.connected);
    Ok(json_response(StatusCode::OK, &Participants { participants, total, connected, next }))
}
