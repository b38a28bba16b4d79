//! Who asks: the one thing every door finds out first.

use std::sync::Arc;
use std::time::SystemTime;

use fanfare::{Socket, SocketId};
use serde_json::Value;

use crate::access::Grants;

/// Who asks for something, by whatever door.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Somebody who has proved nothing: a browser, a phone.
    Guest(Arc<Guest>),
    /// Somebody whose token holds.
    User(Arc<User>),
    /// Who has an API key.
    Backend,
}

/// What a client that proved nothing says of itself. It is shown, and never believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Guest {
    /// The name it wants to be shown by.
    pub name: Option<String>,
    /// The address it gave.
    pub email: Option<String>,
}

/// Somebody whose token holds.
#[derive(Debug, Clone)]
pub struct User {
    /// Who it is: the subject of the token. Never begins with `guest:`.
    pub id: Arc<str>,
    /// The name to show, if the token has one.
    pub name: Option<String>,
    /// The token's own id (`jti`), by which it can be revoked.
    pub token_id: Option<String>,
    /// The login the token belongs to (`sid`), by which it can be revoked.
    pub session: Option<String>,
    /// When the token was made, if it says so.
    pub issued_at: Option<SystemTime>,
    /// Until when the token holds, by the wall clock.
    pub expires_at: Option<SystemTime>,
    /// Whether it may edit and delete what others wrote.
    pub moderator: bool,
    /// What the token allows in rooms, beyond what everybody may.
    pub grants: Grants,
}

/// Who wrote or did something, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Author {
    /// The user's id, `guest:<socket id>`, or `backend`.
    pub id: String,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Author {
    /// Who a socket elsewhere belongs to, by the data that is kept with it.
    #[must_use]
    pub fn of_data(data: &Value, socket: SocketId) -> Author {
        let text = |value: &Value, field| value.get(field)?.as_str().map(str::to_owned);
        let user = data
            .get("user")
            .and_then(|user| Some(Author { id: text(user, "id")?, name: text(user, "name") }));
        user.unwrap_or_else(|| Author {
            id: format!("guest:{socket}"),
            name: data.get("guest").and_then(|guest| text(guest, "name")),
        })
    }
}

impl Caller {
    /// Who a socket belongs to. A socket that no middleware has looked at is a guest's.
    #[must_use]
    pub fn of(socket: &Socket) -> Caller {
        let known = socket.extension::<Caller>();
        known.map_or_else(|| Caller::Guest(Arc::default()), |caller| Caller::clone(&caller))
    }

    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Caller::User(user) => Some(user),
            Caller::Guest(_) | Caller::Backend => None,
        }
    }

    /// Whether it has an API key.
    #[must_use]
    pub fn is_backend(&self) -> bool {
        matches!(self, Caller::Backend)
    }

    /// How others see the caller behind this socket.
    #[must_use]
    pub fn author(&self, socket: &Socket) -> Author {
        match self {
            Caller::User(user) => Author { id: user.id.to_string(), name: user.name.clone() },
            Caller::Guest(guest) => {
                Author { id: format!("guest:{}", socket.id()), name: guest.name.clone() }
            }
            Caller::Backend => Author { id: "backend".to_owned(), name: None },
        }
    }
}
