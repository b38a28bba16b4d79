//! How much clients and backends may ask for in a time.
//!
//! Each connection and each user has a bucket of events, each user one of bytes, each API key one of
//! requests. What is beyond is refused with `RATE_LIMIT_EXCEEDED`, which says when to try again; who
//! goes on all the same is disconnected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fanfare::rate::{Rate, SharedBucket};
use fanfare::{Event, Namespace, Refused, Socket};
use serde_json::json;

use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::presence;
use crate::refusal::Refusal;

/// A rate and what may come at once; a rate of 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSetting {
    /// How many per second in the long run.
    pub per_second: u64,
    /// How many at once after a time of quiet.
    pub burst: u64,
}

impl RateSetting {
    fn rate(self) -> Option<Rate> {
        Rate::new(self.per_second, self.burst)
    }
}

/// The settings of limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitsSettings {
    /// Events of a connection. Default: 100 at once, 10 per second: more than a person makes, and a
    /// loop that has gone wild is stopped.
    pub events: RateSetting,
    /// Events of a user, on all devices together. Default: as of four busy connections.
    pub user_events: RateSetting,
    /// Updates of presence of a connection (`presence:update`), which are counted apart from its other
    /// events: of several the last is told. Default: 60 per second, as often as a screen shows
    /// something, and those of two seconds at once.
    pub presence: RateSetting,
    /// Bytes in the events of a user. Default: 1 MiB per second, 8 MiB at once.
    pub user_bytes: RateSetting,
    /// How many refusals a connection may gather until it is closed: they are forgotten at the rate of
    /// its events. Default: 100.
    pub refusals: u64,
    /// Events that clients send to one room, all together. Default: 1 000 at once, 200 per second: each
    /// is multiplied by those who are in it, and a person reads fewer.
    pub room_events: RateSetting,
    /// Requests with one API key. Default: 10 000 at once, 5 000 per second.
    pub api: RateSetting,
}

impl Default for LimitsSettings {
    fn default() -> Self {
        LimitsSettings {
            events: RateSetting { per_second: 10, burst: 100 },
            user_events: RateSetting { per_second: 40, burst: 400 },
            presence: RateSetting { per_second: 60, burst: 120 },
            user_bytes: RateSetting { per_second: 1 << 20, burst: 8 << 20 },
            refusals: 100,
            room_events: RateSetting { per_second: 200, burst: 1_000 },
            api: RateSetting { per_second: 5_000, burst: 10_000 },
        }
    }
}

/// How often a connection is told by an `error` event that it sends too much: once a second, a few times
/// at once. Acks are always answered.
const TOLD: RateSetting = RateSetting { per_second: 1, burst: 5 };

/// The limits of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Arc<Inner>);

/// By namespace and name.
type RoomBuckets = HashMap<(Arc<str>, Arc<str>), SharedBucket>;

#[derive(Debug)]
struct Inner {
    events: Option<Rate>,
    user_events: Option<Rate>,
    presence: Option<Rate>,
    user_bytes: Option<Rate>,
    refusals: Option<Rate>,
    told: Option<Rate>,
    room_events: Option<Rate>,
    api: Option<Rate>,
    /// The users that are connected: bounded by the connections.
    users: Mutex<HashMap<Arc<str>, Arc<User>>>,
    /// The rooms that clients sent to lately, by namespace and name: at most [`MAX_ROOMS`].
    rooms: Mutex<RoomBuckets>,
}

/// How many rooms are counted at once. When there are more, all begin anew: that costs a burst each, and
/// takes more events than a server is sent in the time that a bucket needs to fill.
const MAX_ROOMS: usize = 65_536;

/// What all devices of a user share.
#[derive(Debug, Default)]
struct User {
    events: SharedBucket,
    bytes: SharedBucket,
}

/// What a connection has taken; kept with its socket.
#[derive(Debug, Default)]
struct Taken {
    events: SharedBucket,
    presence: SharedBucket,
    refusals: SharedBucket,
    told: SharedBucket,
    user: Option<Arc<User>>,
}

impl Limits {
    pub(crate) fn new(settings: &LimitsSettings) -> Self {
        let LimitsSettings {
            events,
            user_events,
            presence,
            user_bytes,
            refusals,
            room_events,
            api,
        } = *settings;
        let forgotten = RateSetting { per_second: events.per_second.max(1), burst: refusals };
        Limits(Arc::new(Inner {
            events: events.rate(),
            user_events: user_events.rate(),
            presence: presence.rate(),
            user_bytes: user_bytes.rate(),
            refusals: forgotten.rate(),
            told: TOLD.rate(),
            room_events: room_events.rate(),
            api: api.rate(),
            users: Mutex::default(),
            rooms: Mutex::default(),
        }))
    }

    /// Counts a request with an API key.
    ///
    /// # Errors
    ///
    /// [`Code::RateLimitExceeded`].
    pub(crate) fn request(&self, key: &SharedBucket) -> Result<(), Refusal> {
        let Some(rate) = &self.0.api else { return Ok(()) };
        rate.charge_shared(key, 1, Instant::now()).map_err(|wait| {
            too_much("More requests come with this key than the limit allows.", wait)
        })
    }

    /// Counts an event that a client sends to a room.
    ///
    /// # Errors
    ///
    /// [`Code::RateLimitExceeded`].
    pub(crate) fn to_room(&self, namespace: &str, room: &str) -> Result<(), Refusal> {
        let Some(rate) = &self.0.room_events else { return Ok(()) };
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= MAX_ROOMS {
            rooms.clear();
        }
        let bucket = rooms.entry((namespace.into(), room.into())).or_default();
        rate.charge_shared(bucket, 1, Instant::now()).map_err(|wait| {
            too_much("More events come to this room than the limit allows.", wait)
                .with(json!({ "retryAfterMs": millis(wait), "scope": "room" }))
        })
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<User>>> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, socket: &Socket) {
        let user = Caller::of(socket)
            .user()
            .map(|user| self.users().entry(user.id.clone()).or_default().clone());
        socket.insert(Taken { user, ..Taken::default() });
    }

    fn end(&self, socket: &Socket) {
        let Caller::User(user) = Caller::of(socket) else { return };
        let mut users = self.users();
        // The table's, and this socket's.
        if users.get(&user.id).is_some_and(|shared| Arc::strong_count(shared) <= 2) {
            users.remove(&user.id);
        }
    }

    /// Counts an event.
    fn check(&self, socket: &Socket, event: &Event) -> Result<(), Refused> {
        let Some(taken) = socket.extension::<Taken>() else { return Ok(()) };
        let now = Instant::now();
        let charge = |rate: &Option<Rate>, bucket: &SharedBucket, units| match rate {
            Some(rate) => rate.charge_shared(bucket, units, now),
            None => Ok(()),
        };
        let is_presence = &*event.name == presence::UPDATE;
        let own = match is_presence {
            true => charge(&self.0.presence, &taken.presence, 1),
            false => charge(&self.0.events, &taken.events, 1),
        };
        let allowed = own.and_then(|()| match &taken.user {
            Some(user) => {
                let bytes = u64::try_from(event.args.byte_len()).unwrap_or(u64::MAX);
                if !is_presence {
                    charge(&self.0.user_events, &user.events, 1)?;
                }
                charge(&self.0.user_bytes, &user.bytes, bytes.max(1))
            }
            None => Ok(()),
        });
        let Err(wait) = allowed else { return Ok(()) };
        let refusal = too_much("More events come than the limit allows.", wait);
        if charge(&self.0.refusals, &taken.refusals, 1).is_err() {
            socket.disconnect(true);
        }
        Err(refusal.connect_error())
    }

    /// Whether a connection may be told by an `error` event once more.
    pub(crate) fn may_tell(&self, socket: &Socket) -> bool {
        let taken = socket.extension::<Taken>();
        match (&self.0.told, taken) {
            (Some(rate), Some(taken)) => rate.take_shared(&taken.told, Instant::now()),
            _ => true,
        }
    }
}

fn too_much(message: &str, wait: Duration) -> Refusal {
    Refusal::new(Code::RateLimitExceeded, message).with(json!({ "retryAfterMs": millis(wait) }))
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Counts the events of a namespace's sockets.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let limits = context.limits().clone();
    namespace.middleware(move |socket: Socket| {
        limits.begin(&socket);
        async { Ok(()) }
    });
    let limits = context.limits().clone();
    namespace.on_disconnect(move |socket: Socket, _| {
        limits.end(&socket);
        async {}
    });
    let limits = context.limits().clone();
    namespace.event_middleware(move |socket: &Socket, event: &Event| limits.check(socket, event));
}
