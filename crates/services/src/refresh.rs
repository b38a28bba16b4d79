//! A client brings a new token for its connection: it stays, in the rooms where the new token lets it be.

use fanfare::{Namespace, Socket};
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::context::Context;
use crate::listen::listen;
use crate::presence::Presence;
use crate::refusal::Refusal;
use crate::rooms::Rooms;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    token: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Refreshed {
    expires_at: Option<String>,
    /// The rooms in which it may not be any longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<String>,
}

/// Takes new tokens of the clients of a namespace.
pub(crate) fn serve(context: &Context, rooms: &Rooms, presence: &Presence, namespace: &Namespace) {
    let (context, rooms, presence) = (context.clone(), rooms.clone(), presence.clone());
    listen(namespace, "auth:refresh", move |socket: Socket, refresh: Refresh| {
        let (context, rooms, presence) = (context.clone(), rooms.clone(), presence.clone());
        async move {
            let before = Caller::of(&socket);
            let expires_at = context.identity().refresh(&socket, &refresh.token).await?;
            let left = rooms.leave_forbidden(&presence, &socket, &before).await;
            let expires_at =
                expires_at.map(|end| humantime::format_rfc3339_millis(end).to_string());
            Ok::<_, Refusal>(Refreshed { expires_at, left })
        }
    });
}
