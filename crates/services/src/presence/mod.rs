//! Presence: who looks at a document, where their cursors are, and whether users are there at all.

mod colour;
mod document;
mod events;
mod routes;
mod status;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fanfare::{Broadcast, Namespace, SocketId};
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::document::{Documents, Key, Rules, Told};
use self::status::{Statuses, UserKey};
use crate::code::Code;
use crate::context::Context;
use crate::names;
use crate::refusal::Refusal;

pub use self::document::Present;
pub(crate) use self::events::serve;
pub(crate) use self::routes::routes;
pub use self::status::Status;

/// What a client says of itself in a document, and what the others are told of it.
pub(crate) const UPDATE: &str = "presence:update";

/// The settings of presence.
#[derive(Debug, Clone)]
pub struct PresenceSettings {
    /// How long somebody who lost the connection is still there. Default: 10 s, so that a reconnect is
    /// not seen.
    pub grace: Duration,
    /// How many updates a document has in a second at most: of each user the latest. Default: 20, as
    /// smooth as a hand moves.
    pub updates_per_second: u32,
    /// In documents with more users than this only their number is told. Default: 200.
    pub crowd: usize,
    /// The largest state of a user, in bytes of JSON. Default: 4 KiB.
    pub max_state_bytes: usize,
}

impl Default for PresenceSettings {
    fn default() -> Self {
        PresenceSettings {
            grace: Duration::from_secs(10),
            updates_per_second: 20,
            crowd: 200,
            max_state_bytes: 4 << 10,
        }
    }
}

/// Presence. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Presence {
    context: Context,
    documents: Arc<Mutex<Documents>>,
    statuses: Arc<Mutex<Statuses>>,
    changed: Arc<Notify>,
    updates: Arc<AtomicU64>,
}

impl Presence {
    pub(crate) fn begin(context: &Context) -> Self {
        let settings = &context.settings().presence;
        let rules = Rules {
            grace: settings.grace,
            interval: Duration::from_secs(1) / settings.updates_per_second.max(1),
            crowd: settings.crowd,
            max_state_bytes: settings.max_state_bytes,
        };
        let presence = Presence {
            context: context.clone(),
            documents: Arc::new(Mutex::new(Documents::new(rules))),
            statuses: Arc::new(Mutex::new(Statuses::new(settings.grace))),
            changed: Arc::default(),
            updates: Arc::default(),
        };
        context.spawn(presence.clone().mind());
        presence
    }

    /// Who looks at a document, and how many they are; in a crowd nobody is named.
    #[must_use]
    pub fn document(&self, namespace: &str, document: &str) -> (Vec<Present>, usize) {
        let (namespace, document) = (namespace.to_owned(), document.to_owned());
        self.documents().state(&Key { namespace, document })
    }

    /// Whether a user is there.
    #[must_use]
    pub fn status(&self, namespace: &str, user: &str) -> Status {
        self.statuses().of(&(namespace.to_owned(), user.to_owned()))
    }

    /// How many updates clients have sent.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates.load(Ordering::Relaxed)
    }

    fn settings(&self) -> &PresenceSettings {
        &self.context.settings().presence
    }

    fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn statuses(&self) -> MutexGuard<'_, Statuses> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who look at a document; not the device it came from.
    fn tell(&self, key: &Key, told: Told, except: Option<SocketId>) {
        let Ok(namespace) = self.context.namespace(&key.namespace) else { return };
        let document = &key.document;
        match told {
            Told::Joined(user) => {
                let argument = json!({ "documentId": document, "user": user });
                emit(namespace, key, "presence:user-joined", &argument, except);
            }
            Told::Left(user) => {
                let argument = json!({ "documentId": document, "userId": user });
                emit(namespace, key, "presence:user-left", &argument, except);
            }
            Told::Count(count) => {
                let argument = json!({ "documentId": document, "count": count });
                emit(namespace, key, "presence:count", &argument, except);
            }
            Told::Settled(users) => {
                for user in users {
                    let argument = json!({ "documentId": document, "user": user });
                    emit(namespace, key, UPDATE, &argument, except);
                }
            }
            Told::Moving(users) => {
                let Ok(room) = room_of(document, Code::InvalidMessage) else { return };
                for user in users {
                    let argument = json!({ "documentId": document, "user": user });
                    send(namespace.to(room.as_str()).volatile(), UPDATE, &argument);
                }
            }
        }
    }

    fn tell_status(&self, (namespace, user): &UserKey, status: Status) {
        let Ok(namespace) = self.context.namespace(namespace) else { return };
        let Ok(room) = status_room(user, Code::InvalidMessage) else { return };
        let told = (status_told(user, status),);
        if let Err(error) = namespace.to(room).unrecorded().emit("user:status", told) {
            tracing::debug!(%error, "the status of a user could not be told");
        }
    }

    /// Minds what time brings, for as long as it is run.
    async fn mind(self) {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let told = self.documents().expire(now);
            for (key, told) in told {
                self.tell(&key, told, None);
            }
            let offline = self.statuses().expire(now);
            for user in offline {
                self.tell_status(&user, Status::Offline);
            }
            let next = [self.documents().deadline(), self.statuses().deadline()];
            match next.into_iter().flatten().min() {
                Some(next) => {
                    let _ = tokio::time::timeout_at(next.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }
}

fn status_told(user: &str, status: Status) -> Value {
    json!({ "userId": user, "status": status, "timestamp": crate::time::now() })
}

/// Never kept: what is true now is told again to who comes back.
fn emit(namespace: &Namespace, key: &Key, event: &str, argument: &Value, except: Option<SocketId>) {
    let Ok(room) = room_of(&key.document, Code::InvalidMessage) else { return };
    let mut told = namespace.to(room).unrecorded();
    if let Some(device) = except {
        told = told.except(device);
    }
    send(told, event, argument);
}

fn send(told: Broadcast, event: &str, argument: &Value) {
    if let Err(error) = told.emit(event, (argument,)) {
        tracing::debug!(%error, event, "presence could not be told");
    }
}

/// The room of those who look at a document.
fn room_of(document: &str, code: Code) -> Result<String, Refusal> {
    prefixed("presence.", document, code, "documentId")
}

/// The room of those who want to know whether a user is there.
fn status_room(user: &str, code: Code) -> Result<String, Refusal> {
    prefixed("status.", user, code, "userIds")
}

fn prefixed(prefix: &str, id: &str, code: Code, field: &str) -> Result<String, Refusal> {
    let room = format!("{prefix}{id}");
    if id.is_empty() || names::check_name(&room).is_err() {
        let expected = "1 to 240 visible ASCII characters, without * and #";
        return Err(Refusal::field(code, field, expected));
    }
    Ok(room)
}
