//! What clients ask of presence, and the documents that they edit together.

use std::sync::atomic::Ordering;
use std::time::Instant;

use fanfare::{Disconnect, Namespace, Socket};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::document::{Key, NotUpdated};
use super::{Presence, Status, UPDATE, room_of, status_room};
use crate::access::Right;
use crate::caller::Caller;
use crate::code::Code;
use crate::listen::{listen, tell};
use crate::refusal::Refusal;

/// The field of a socket's data that is there while its user is away from it.
const AWAY: &str = "away";

/// How many users' statuses may be asked for at once.
const MAX_USERS: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    document_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moved {
    document_id: String,
    #[serde(flatten)]
    state: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Said {
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Users {
    user_ids: Vec<String>,
}

/// Lets the clients of a namespace see each other.
pub(crate) fn serve(presence: &Presence, namespace: &Namespace) {
    let this = presence.clone();
    namespace.on_connect(move |socket: Socket| {
        let this = this.clone();
        async move { this.connected(&socket).await }
    });
    let this = presence.clone();
    namespace.on_disconnect(move |socket: Socket, end: Disconnect| {
        this.disconnected(&socket, &end);
        async {}
    });
    on(presence, namespace, "subscribe:presence", Presence::on_subscribe);
    on(presence, namespace, "unsubscribe:presence", Presence::on_unsubscribe);
    on(presence, namespace, UPDATE, Presence::on_update);
    on(presence, namespace, "user:status", Presence::on_status);
    on(presence, namespace, "subscribe:status", Presence::on_subscribe_status);
}

fn on<T, H, F>(presence: &Presence, namespace: &Namespace, event: &'static str, handler: H)
where
    T: serde::de::DeserializeOwned + 'static,
    H: Fn(Presence, Socket, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, Refusal>> + 'static,
{
    let presence = presence.clone();
    listen(namespace, event, move |socket, argument| handler(presence.clone(), socket, argument));
}

/// Keeps with a socket whether its user is away from it.
fn remember(socket: &Socket, away: bool) {
    let mut data = socket.data();
    let Some(fields) = data.as_object_mut().filter(|it| it.contains_key(AWAY) != away) else {
        return;
    };
    if away {
        fields.insert(AWAY.to_owned(), json!(true));
    } else {
        fields.remove(AWAY);
    }
    socket.set_data(data);
}

impl Presence {
    fn key(socket: &Socket, document: &str) -> Key {
        Key { namespace: socket.namespace().name().to_owned(), document: document.to_owned() }
    }

    /// A user is there; and a socket that came back is where it was, and hears what is true now.
    async fn connected(&self, socket: &Socket) {
        if let Some(user) = Caller::of(socket).user() {
            let key = (socket.namespace().name().to_owned(), user.id.to_string());
            // Who was away and lost the connection for a moment is away.
            let away = socket.recovered() && socket.data().get(AWAY).is_some();
            let changed = self.statuses().set(&key, socket.id(), away);
            if let Some(status) = changed {
                self.tell_status(&key, status);
            }
            if !socket.is_connected() {
                self.statuses().lose(&key, socket.id(), Instant::now());
            }
            self.changed.notify_one();
        }
        if !socket.recovered() {
            return;
        }
        for room in socket.rooms().await {
            if let Some(document) = room.as_str().strip_prefix("presence.") {
                self.look_at(socket, document);
                tell(socket, "presence:state", &self.told(socket, document));
            }
            if let Some(user) = room.as_str().strip_prefix("status.") {
                let status = self.status(socket.namespace().name(), user);
                tell(socket, "user:status", &super::status_told(user, status));
            }
        }
    }

    fn disconnected(&self, socket: &Socket, end: &Disconnect) {
        let (who, now) = (Caller::of(socket).author(socket), Instant::now());
        let seen = self.documents().seen_by(socket.id());
        for key in seen {
            if end.reason.is_recoverable() {
                self.documents().lose(&key, &who.id, socket.id(), now);
            } else {
                let told = self.documents().leave(&key, &who.id, socket.id(), now);
                if let Some(told) = told {
                    self.tell(&key, told, None);
                }
            }
        }
        if let Some(user) = Caller::of(socket).user() {
            let key = (socket.namespace().name().to_owned(), user.id.to_string());
            let changed = self.statuses().lose(&key, socket.id(), now);
            if let Some(status) = changed {
                self.tell_status(&key, status);
            }
        }
        self.changed.notify_one();
    }

    fn look_at(&self, socket: &Socket, document: &str) {
        let (key, now) = (Self::key(socket, document), Instant::now());
        let who = Caller::of(socket).author(socket);
        let told = self.documents().enter(&key, &who, socket.id(), now);
        if let Some(told) = told {
            self.tell(&key, told, Some(socket.id()));
        }
        // Gone meanwhile.
        if !socket.is_connected() {
            self.documents().lose(&key, &who.id, socket.id(), now);
        }
        self.changed.notify_one();
    }

    fn told(&self, socket: &Socket, document: &str) -> Value {
        let (users, count) = self.document(socket.namespace().name(), document);
        json!({ "documentId": document, "users": users, "count": count })
    }

    async fn on_subscribe(self, socket: Socket, named: Named) -> Result<Value, Refusal> {
        let room = room_of(&named.document_id, Code::InvalidMessage)?;
        self.context.allow(&socket, Right::Presence, &room, "documentId").await?;
        let invalid = |_| Refusal::new(Code::InvalidMessage, "The document's id is none.");
        let joined = socket.join(&room).map_err(invalid)?.await;
        joined.map_err(|error| crate::rooms::not_joined(&socket, &error))?;
        self.look_at(&socket, &named.document_id);
        let state = self.told(&socket, &named.document_id);
        tell(&socket, "presence:state", &state);
        // Who looked away while it still joined has looked away: that was nobody's then.
        let key = Self::key(&socket, &named.document_id);
        let coming = self.documents().coming(&key, socket.id());
        let is_in = socket.rooms().await.iter().any(|joined| joined.as_str() == room);
        // It may have looked away and at it again meanwhile: that is looked at by itself.
        let same = || self.documents().coming(&key, socket.id()) == coming;
        if !is_in && socket.is_connected() && same() {
            self.look_away(&socket, &named.document_id);
        }
        Ok(state)
    }

    async fn on_unsubscribe(self, socket: Socket, named: Named) -> Result<Value, Refusal> {
        let room = room_of(&named.document_id, Code::InvalidMessage)?;
        let invalid = |_| Refusal::new(Code::InvalidMessage, "The document's id is none.");
        socket.leave(room).map_err(invalid)?;
        self.look_away(&socket, &named.document_id);
        Ok(json!({}))
    }

    /// A socket has left the room of a document, in whatever way.
    pub(crate) fn look_away(&self, socket: &Socket, document: &str) {
        let (key, who) = (Self::key(socket, document), Caller::of(socket).author(socket));
        let told = self.documents().leave(&key, &who.id, socket.id(), Instant::now());
        if let Some(told) = told {
            // It may look at it again by now, and knows.
            self.tell(&key, told, Some(socket.id()));
        }
        self.changed.notify_one();
    }

    async fn on_update(self, socket: Socket, moved: Moved) -> Result<Value, Refusal> {
        let (key, who) =
            (Self::key(&socket, &moved.document_id), Caller::of(&socket).author(&socket));
        let updated = self.documents().update(&key, &who.id, moved.state, Instant::now());
        updated.map_err(|why| match why {
            NotUpdated::Absent => {
                let message =
                    "Only who looks at the document may say where it is; subscribe first.";
                Refusal::new(Code::PermissionDenied, message).with(json!({ "field": "documentId" }))
            }
            NotUpdated::TooLarge => {
                let max = self.settings().max_state_bytes;
                let expected =
                    format!("a state of at most {max} bytes of JSON, all fields together");
                Refusal::field(Code::InvalidMessage, "state", &expected)
            }
        })?;
        self.updates.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Ok(json!({}))
    }

    async fn on_status(self, socket: Socket, said: Said) -> Result<Value, Refusal> {
        let caller = Caller::of(&socket);
        let Some(user) = caller.user() else {
            let message = "A guest has no status; connect with a token.";
            return Err(Refusal::new(Code::AuthRequired, message));
        };
        let away = match said.status {
            Status::Online => false,
            Status::Away => true,
            Status::Offline => {
                let expected = "online or away; who is offline is not connected";
                return Err(Refusal::field(Code::InvalidMessage, "status", expected));
            }
        };
        remember(&socket, away);
        let key = (socket.namespace().name().to_owned(), user.id.to_string());
        let changed = self.statuses().set(&key, socket.id(), away);
        if let Some(status) = changed {
            self.tell_status(&key, status);
        }
        Ok(json!({ "status": self.statuses().of(&key) }))
    }

    async fn on_subscribe_status(self, socket: Socket, users: Users) -> Result<Value, Refusal> {
        if !(1..=MAX_USERS).contains(&users.user_ids.len()) {
            let expected = format!("a list of 1 to {MAX_USERS} ids of users");
            return Err(Refusal::field(Code::InvalidMessage, "userIds", &expected));
        }
        let mut rooms = Vec::new();
        for user in &users.user_ids {
            let room = status_room(user, Code::InvalidMessage)?;
            self.context.allow(&socket, Right::Presence, &room, "userIds").await?;
            rooms.push(room);
        }
        let invalid = |_| Refusal::new(Code::InvalidMessage, "An id of a user is none.");
        let joined = socket.join(rooms).map_err(invalid)?.await;
        joined.map_err(|error| crate::rooms::not_joined(&socket, &error))?;
        let namespace = socket.namespace().name();
        let statuses: Map<String, Value> = users
            .user_ids
            .into_iter()
            .map(|user| {
                let status = json!(self.status(namespace, &user));
                (user, status)
            })
            .collect();
        Ok(json!({ "statuses": statuses }))
    }
}
