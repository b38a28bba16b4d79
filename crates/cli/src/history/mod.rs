//! The history of a room: `GET /v1/rooms/{room}/history`, and the event `history` of clients.

mod page;
mod question;
mod socket;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use fanfare::{Gap, History, HistoryError, HistoryQuery, Io, Namespace};
use serde_json::json;

use self::page::Page;
use self::question::{Question, Wait};
use crate::access::Caller;
use crate::answer::{Refusal, Refused, json_response};
use crate::api_key::KeyDigest;
use crate::cors;
use crate::rooms::ROOM_FORM;

pub(crate) use self::page::Event;
pub(crate) use self::question::{POSITION_FORM, position};
pub(crate) use self::socket::serve;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/v1/rooms/{room}/history";

/// The endpoint and what it needs.
pub(crate) struct Histories {
    key: KeyDigest,
    /// The namespaces that are served, by name.
    namespaces: HashMap<String, Namespace>,
}

impl Histories {
    /// The histories of these namespaces.
    pub(crate) fn new(key: KeyDigest, namespaces: HashMap<String, Namespace>) -> Self {
        Self { key, namespaces }
    }

    /// What answers at the path.
    pub(crate) fn route(self, io: &Io) -> MethodRouter {
        let (histories, io) = (Arc::new(self), io.clone());
        any(async move |room: Result<Path<String>, PathRejection>, request: Request<Body>| {
            let (head, _) = request.into_parts();
            let answer = histories.answer(room.ok(), &head).await;
            cors::allow(&io, &head.headers, answer)
        })
    }

    async fn answer(&self, room: Option<Path<String>>, head: &Parts) -> Response {
        let answered = async {
            if head.method != Method::GET && head.method != Method::HEAD {
                return Err(Refused::method("GET, HEAD"));
            }
            let caller = Caller::of(&head.headers, &self.key)?;
            // Decoded once, by the router, and what was decoded is what is checked.
            let Path(room) = room.ok_or_else(not_utf8)?;
            caller.may_read(&room).map_err(|denied| denied.refused("room"))?;
            let question = Question::of_query(head.uri.query().unwrap_or_default());
            let question =
                question.map_err(|refusal| Refused::new(StatusCode::BAD_REQUEST, refusal))?;
            let namespace = self.namespace(&question)?;
            let page = read(namespace, &room, question.query, question.wait).await;
            let page = page.map_err(Missing::refused)?;
            Ok(json_response(StatusCode::OK, &Page::of(&room, &page)))
        };
        answered.await.unwrap_or_else(IntoResponse::into_response)
    }

    fn namespace(&self, question: &Question) -> Result<&Namespace, Refused> {
        self.namespaces.get(&question.namespace).ok_or_else(|| {
            let message = "This server does not serve the namespace.";
            let details =
                json!({ "field": "namespace", "expected": "one of the setting `namespaces`" });
            let refusal = Refusal::new("UNKNOWN_NAMESPACE", message).with(details);
            Refused::new(StatusCode::BAD_REQUEST, refusal)
        })
    }
}

fn not_utf8() -> Refused {
    let refusal = Refusal::new("INVALID_ROOM", "This is no name of a room: it is not UTF-8.");
    let details = json!({ "field": "room", "expected": ROOM_FORM });
    Refused::new(StatusCode::BAD_REQUEST, refusal.with(details))
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
    fn status(&self) -> StatusCode {
        match self {
            Missing::NotRecorded => StatusCode::NOT_FOUND,
            Missing::Gone { .. } => StatusCode::GONE,
            Missing::Busy | Missing::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn refusal(self) -> Refusal {
        match self {
            Missing::NotRecorded => Refusal::new(
                "NO_HISTORY",
                "Events of this room are not recorded; see the settings of the event log.",
            ),
            Missing::Gone { why, head } => {
                let message = format!(
                    "What came after the position cannot all be told: {why}. Take the current \
                     state from elsewhere, and go on from `head`."
                );
                Refusal::new("POSITION_GONE", message)
                    .with(json!({ "field": "after", "reason": why.as_str(), "head": head }))
            }
            Missing::Busy => {
                Refusal::new("OVERLOADED", "Too many wait for new events; try again later.")
            }
            Missing::Unreadable => {
                Refusal::new("LOG_UNAVAILABLE", "The event log cannot be read at the moment.")
            }
        }
    }

    fn refused(self) -> Refused {
        Refused::new(self.status(), self.refusal())
    }
}
