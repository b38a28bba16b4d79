//! Webhooks: the application hears who connects and disconnects, and which rooms somebody is in.
//!
//! At least once: what is to be told stands in the store until the application has taken it, also over
//! a restart. Each has a generation that only grows, so that a late one cannot undo a newer. Several
//! go in one request, signed, in their order; the next request is not sent before one was taken.

mod queue;

use std::time::Duration;

use bytes::Bytes;
use fanfare::{Disconnect, Namespace, Socket};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

use self::queue::Waiting;
use crate::caller::Caller;
use crate::context::Context;
use crate::outgoing::Endpoint;
use crate::sign::{SigningKey, unique_id};
use crate::store::StoreError;
use crate::time;

/// How many go in one request.
const BATCH: u32 = 100;

/// How long to wait after a first refusal; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// And how long at most.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long the rooms of the last run may stay empty after a start until they are vacated.
const RETURN: Duration = Duration::from_secs(30);

/// What the application can hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookEvent {
    /// A client connected, or came back.
    #[serde(rename = "socket.connected")]
    Connected,
    /// A client is gone.
    #[serde(rename = "socket.disconnected")]
    Disconnected,
    /// Somebody is in a room that nobody was in.
    #[serde(rename = "room.occupied")]
    Occupied,
    /// Nobody is in it any more.
    #[serde(rename = "room.vacated")]
    Vacated,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [WebhookEvent; 4] =
        [Self::Connected, Self::Disconnected, Self::Occupied, Self::Vacated];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "socket.connected",
            Self::Disconnected => "socket.disconnected",
            Self::Occupied => "room.occupied",
            Self::Vacated => "room.vacated",
        }
    }
}

/// The settings of webhooks.
#[derive(Debug, Clone)]
pub struct WebhooksSettings {
    /// Where they are sent. Default: nowhere.
    pub url: Option<Endpoint>,
    /// What they are signed with.
    pub signing_key: Option<SigningKey>,
    /// Which are sent. Default: all.
    pub events: Vec<WebhookEvent>,
    /// How many may wait while the application takes none. Beyond, the oldest are dropped, and the
    /// application is told how many (`dropped`). Default: 100 000.
    pub max_waiting: u64,
}

impl Default for WebhooksSettings {
    fn default() -> Self {
        WebhooksSettings {
            url: None,
            signing_key: None,
            events: WebhookEvent::ALL.to_vec(),
            max_waiting: 100_000,
        }
    }
}

/// Webhooks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    context: Context,
    filled: Arc<Notify>,
}

impl Webhooks {
    /// `None` if nobody wants any.
    pub(crate) fn begin(context: &Context) -> Result<Option<Self>, StoreError> {
        if context.settings().webhooks.url.is_none() {
            return Ok(None);
        }
        context.store().migrate("webhooks", queue::STEPS)?;
        let webhooks = Webhooks { context: context.clone(), filled: Arc::default() };
        // Whoever was connected to the last run is not connected to this one.
        let started = json!({ "type": "server.started", "timestamp": time::now() });
        let left = context.store().write_now(move |transaction| {
            queue::push(transaction, &started)?;
            queue::occupied(transaction)
        })?;
        context.spawn(webhooks.clone().run());
        context.spawn(webhooks.clone().vacate(left));
        Ok(Some(webhooks))
    }

    fn wants(&self, event: WebhookEvent) -> bool {
        self.context.settings().webhooks.events.contains(&event)
    }

    /// Rooms of the last run that stayed empty.
    async fn vacate(self, rooms: Vec<(String, String)>) {
        tokio::time::sleep(RETURN).await;
        for (namespace, room) in rooms {
            let there = self.context.namespace(&namespace).map(|it| it.to(room.as_str()));
            let empty = match there {
                Ok(sockets) => sockets.fetch_sockets().await.is_ok_and(|it| it.is_empty()),
                Err(_) => true,
            };
            if empty {
                self.room(&namespace, &room, false);
            }
        }
    }

    /// A room has somebody in it, or nobody any more.
    pub(crate) fn room(&self, namespace: &str, room: &str, is_occupied: bool) {
        let event = if is_occupied { WebhookEvent::Occupied } else { WebhookEvent::Vacated };
        if !self.wants(event) {
            return;
        }
        let told = json!({
            "type": event,
            "namespace": namespace,
            "room": room,
            "timestamp": time::now(),
        });
        let (namespace, room) = (namespace.to_owned(), room.to_owned());
        self.push(told, move |transaction| {
            queue::set_occupied(transaction, &namespace, &room, is_occupied)
        });
    }

    fn socket(&self, event: WebhookEvent, socket: &Socket, more: &Value) {
        if !self.wants(event) {
            return;
        }
        let user = Caller::of(socket).author(socket);
        let mut told = json!({
            "type": event,
            "namespace": socket.namespace().name(),
            "socketId": socket.id().to_string(),
            "user": user,
            "timestamp": time::now(),
        });
        if let (Some(told), Some(more)) = (told.as_object_mut(), more.as_object()) {
            told.extend(more.clone());
        }
        self.push(told, |_| Ok(()));
    }

    fn push<F>(&self, told: Value, change: F)
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    {
        let (store, filled) = (self.context.store().clone(), self.filled.clone());
        let max = self.context.settings().webhooks.max_waiting;
        // In the order of the calls: the store's queue is entered here, not by the task.
        let written = store.start_write(move |transaction| {
            change(transaction)?;
            queue::push(transaction, &told)?;
            queue::trim(transaction, max)
        });
        self.context.spawn(async move {
            match written.await {
                Ok(()) => filled.notify_one(),
                Err(error) => tracing::warn!(%error, "a webhook could not be kept, and is lost"),
            }
        });
    }

    /// Sends what waits, for as long as it is run.
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            let filled = self.filled.notified();
            match self.send_some().await {
                Ok(0) => {
                    filled.await;
                }
                Ok(_) => wait = FIRST_WAIT,
                Err(why) => {
                    tracing::warn!(why, "the application took no webhooks; they wait");
                    // Not all servers at the same moment.
                    tokio::time::sleep(wait.mul_f64(0.75 + 0.5 * random())).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    async fn send_some(&self) -> Result<usize, String> {
        let settings = &self.context.settings().webhooks;
        let Some(url) = &settings.url else { return Ok(0) };
        let read = self.context.store().read(|it| queue::read(it, BATCH)).await;
        let Waiting { events, last, dropped } = read.map_err(|error| error.to_string())?;
        let Some(last) = last else { return Ok(0) };
        let count = events.len();
        let body = json!({ "events": events, "dropped": dropped });
        let body = Bytes::from(body.to_string());
        let headers = settings.signing_key.as_ref().map(|key| key.headers(&unique_id(), &body));
        let answered = self.context.outgoing().post(url, headers.unwrap_or_default(), body).await;
        let status = answered.map_err(|error| error.to_string())?.status;
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let taken = self.context.store().write(move |it| queue::take(it, last, dropped)).await;
        taken.map_err(|error| error.to_string())?;
        Ok(count)
    }
}

/// Between 0 and 1.
fn random() -> f64 {
    let mut byte = [0];
    // Without randomness all wait equally long.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// Tells of the sockets of a namespace.
pub(crate) fn serve(webhooks: &Webhooks, namespace: &Namespace) {
    let this = webhooks.clone();
    namespace.on_connect(move |socket: Socket| {
        let recovered = socket.recovered();
        this.socket(WebhookEvent::Connected, &socket, &json!({ "recovered": recovered }));
        async {}
    });
    let this = webhooks.clone();
    namespace.on_disconnect(move |socket: Socket, end: Disconnect| {
        let more = json!({ "reason": end.reason.as_str() });
        this.socket(WebhookEvent::Disconnected, &socket, &more);
        async {}
    });
}
