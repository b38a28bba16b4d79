//! Who may do what in a room: asked by sockets, streams and requests alike, decided here alone.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::answer::{Refusal, Refused};
use crate::api_key::KeyDigest;
use crate::rooms::{self, NotJoinable, ROOM_FORM};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody who has proved nothing: a browser, a phone.
    Client,
    /// Who has the API key.
    Backend,
}

impl Caller {
    /// Who sent a request. One with an `Authorization` that is wrong is refused, not taken for a
    /// client: it would wonder what is missing.
    ///
    /// # Errors
    ///
    /// A key that is not the one.
    pub(crate) fn of(headers: &HeaderMap, key: &KeyDigest) -> Result<Caller, Refused> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Ok(Caller::Client);
        }
        key.check(headers).map(|()| Caller::Backend)
    }

    /// Whether this caller may be in a room: receive what is sent to it, and read what was.
    ///
    /// # Errors
    ///
    /// What is said to one who may not.
    pub(crate) fn may_read(self, room: &str) -> Result<(), Denied> {
        let checked = match self {
            Caller::Client => rooms::check_joinable(room),
            Caller::Backend => rooms::check_name(room).map_err(NotJoinable::Name),
        };
        checked.map_err(Denied)
    }
}

/// Why somebody may not be in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied(NotJoinable);

impl Denied {
    /// What is said in an ack, about this field.
    pub(crate) fn refusal(self, field: &'static str) -> Refusal {
        match self.0 {
            NotJoinable::Name(why) => {
                Refusal::new("INVALID_ROOM", format!("This is no name of a room: {why}."))
                    .with(json!({ "field": field, "expected": ROOM_FORM }))
            }
            why => {
                let message =
                    format!("Clients do not join or leave this room by themselves: {why}.");
                Refusal::new("ROOM_NOT_JOINABLE", message).with(json!({ "field": field }))
            }
        }
    }

    /// What is answered to a request.
    pub(crate) fn refused(self, field: &'static str) -> Refused {
        let status = match self.0 {
            NotJoinable::Name(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        Refused::new(status, self.refusal(field))
    }
}
