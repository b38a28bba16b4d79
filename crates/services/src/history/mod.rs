//! The history of a room: `GET /v1/rooms/{room}/history`, and the event `history` of clients.

mod page;
mod question;
mod socket;

use std::time::Instant;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use fanfare::{Gap, History, HistoryError, HistoryQuery, Namespace};
use serde_json::json;

use self::page::Page;
use self::question::{Question, Wait};
use crate::access::{Place, Right};
use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::cors;
use crate::names::ROOM_FORM;
use crate::refusal::{Refusal, json_response};

pub(crate) use self::page::Event;
pub(crate) use self::question::{POSITION_FORM, position};
pub(crate) use self::socket::serve;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/v1/rooms/{room}/history";

/// What was sent to a room, in pages; with `wait` it is held until something comes.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/history", tag = "history",
    params(
        ("room" = String, Path),
        ("after" = Option<String>, Query, description = "Only what came after this position"),
        ("before" = Option<String>, Query, description = "Only what came before this position"),
        ("limit" = Option<u16>, Query, description = "1 to 1 000; 100 if not said"),
        ("order" = Option<String>, Query, description = "asc or desc"),
        ("namespace" = Option<String>, Query, description = "The namespace; / if not said"),
        ("wait" = Option<String>, Query, description = "How long to wait for something: at most 60s"),
    ),
    responses((status = 200), (status = 400), (status = 401), (status = 403), (status = 404), (status = 410), (status = 503)),
    security((), ("key" = []), ("token" = []))
)]
pub(crate) async fn answer(
    context: &Context,
    room: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Response {
    let (head, _) = request.into_parts();
    if let Some(answer) = cors::preflight(context.io(), &head) {
        return answer;
    }
    let answer = match page_of(context, room.ok(), &head).await {
        Ok((room, page)) => json_response(StatusCode::OK, &Page::of(&room, &page)),
        Err(refusal) => refusal.into_response(),
    };
    cors::allow(context.io(), &head.headers, answer)
}

async fn page_of(
    context: &Context,
    room: Option<Path<String>>,
    head: &Parts,
) -> Result<(String, History), Refusal> {
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(Refusal::method("GET, HEAD"));
    }
    let caller = context.caller(head).await?;
    // Decoded once, by the router, and what was decoded is what is checked.
    let Path(room) = room.ok_or_else(not_utf8)?;
    let question = Question::of_query(head.uri.query().unwrap_or_default());
    let named = question.as_ref().map_or("/", |question| &question.namespace);
    let place = Place { namespace: named, room: &room };
    let checked = context.access().check(&caller, Right::History, place).await;
    checked.map_err(|denied| denied.refusal("room"))?;
    let question = question?;
    let namespace = match caller {
        Caller::Backend => context.any_namespace(&question.namespace)?,
        _ => context.namespace(&question.namespace)?.clone(),
    };
    let page = read(&namespace, &room, question.query, question.wait).await;
    Ok((room, page.map_err(Missing::refusal)?))
}

fn not_utf8() -> Refusal {
    let refusal = Refusal::new(Code::InvalidMessage, "This is no name of a room: it is not UTF-8.");
    let details = json!({ "field": "room", "expected": ROOM_FORM });
    refusal.with(details)
}

/// A page of a room's history. If there is nothing yet, it waits for something to come.
///
/// # Errors
///
/// Why there is none: never a page with a hole in it.
async fn read(
    namespace: &Namespace,
    room: &str,
    query: HistoryQuery,
    wait: Wait,
) -> Result<History, Missing> {
    let settings = namespace.io().settings();
    if settings.log.is_none() || !settings.recording.records(namespace.name(), room) {
        return Err(Missing::NotRecorded);
    }
    let begun = Instant::now();
    let mut page = namespace.history(room, query).await?;
    if let Wait(Some(wait)) = wait
        && page.events.is_empty()
        && page.complete
        && namespace.wait_beyond(room, page.head, begun + wait).await?
    {
        page = namespace.history(room, query).await?;
    }
    if query.after.is_some() && !page.complete {
        return Err(Missing::Gone { why: Gap::Trimmed, head: page.head.to_string() });
    }
    Ok(page)
}

/// Why there is no page.
#[derive(Debug)]
enum Missing {
    /// Nothing is recorded, or not in this room.
    NotRecorded,
    /// What came after the position cannot all be told.
    Gone { why: Gap, head: String },
    /// Too many wait.
    Busy,
    /// The environment's fault.
    Unreadable,
}

impl From<HistoryError> for Missing {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::NotRecorded => Missing::NotRecorded,
            HistoryError::Gone { why, head } => Missing::Gone { why, head: head.to_string() },
            HistoryError::Busy => Missing::Busy,
            error => {
                tracing::warn!(%error, "the history of a room could not be read");
                Missing::Unreadable
            }
        }
    }
}

impl Missing {
    fn refusal(self) -> Refusal {
        match self {
            Missing::NotRecorded => Refusal::new(
                Code::NoHistory,
                "Events of this room are not recorded; see the settings of the event log.",
            ),
            Missing::Gone { why, head } => {
                let message = format!(
                    "What came after the position cannot all be told: {why}. Take the current \
                     state from elsewhere, and go on from `head`."
                );
                Refusal::new(Code::PositionGone, message)
                    .with(json!({ "field": "after", "reason": why.as_str(), "head": head }))
            }
            Missing::Busy => {
                Refusal::new(Code::Overloaded, "Too many wait for new events; try again later.")
            }
            Missing::Unreadable => {
                Refusal::new(Code::LogUnavailable, "The event log cannot be read at the moment.")
            }
        }
    }
}
