//! Who may do what in a room: asked by sockets, streams and requests alike, decided here alone.

use serde_json::json;

use crate::caller::Caller;
use crate::code::Code;
use crate::names::{self, NotJoinable, ROOM_FORM};
use crate::refusal::Refusal;

/// What somebody wants to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Be in it: receive what is sent to it from now on.
    Join,
    /// Send something to those in it.
    Publish,
    /// Read what was sent to it.
    History,
    /// See who is in it.
    Presence,
}

/// A room somebody wants something of.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The room.
    pub room: &'a str,
}

/// The rules. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {}

impl Access {
    /// Decides whether a caller has a right in a room. This is the only place where it is decided.
    ///
    /// # Errors
    ///
    /// What is said to one who has not.
    #[allow(clippy::unused_async, reason = "rules that ask the application are about to come")]
    pub async fn check(
        &self,
        caller: &Caller,
        right: Right,
        place: Place<'_>,
    ) -> Result<(), Denied> {
        let _ = right;
        let checked = match caller {
            Caller::Backend => names::check_name(place.room).map_err(NotJoinable::Name),
            Caller::User(user) if names::user_of(place.room) == Some(&user.id) => Ok(()),
            Caller::User(_) | Caller::Guest(_) => names::check_joinable(place.room),
        };
        checked.map_err(Denied)
    }
}

/// Why somebody has not a right in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied(NotJoinable);

impl From<NotJoinable> for Denied {
    fn from(why: NotJoinable) -> Self {
        Denied(why)
    }
}

impl Denied {
    /// What is said, about this field.
    #[must_use]
    pub fn refusal(self, field: &'static str) -> Refusal {
        match self.0 {
            NotJoinable::Name(why) => {
                let message = format!("This is no name of a room: {why}.");
                Refusal::new(Code::InvalidMessage, message)
                    .with(json!({ "field": field, "expected": ROOM_FORM }))
            }
            why => {
                let message =
                    format!("Clients do not join or leave this room by themselves: {why}.");
                Refusal::new(Code::PermissionDenied, message).with(json!({ "field": field }))
            }
        }
    }
}
