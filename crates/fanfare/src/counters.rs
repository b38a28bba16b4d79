//! What a server counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Figures since the start of a server. All only grow, but for those that say "now".
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions opened.
    pub(crate) sessions_opened: AtomicU64,
    /// Of those, the ones that began with a WebSocket.
    pub(crate) opened_as_websocket: AtomicU64,
    /// Sessions that went over from polling to a WebSocket.
    pub(crate) upgraded: AtomicU64,
    /// Sessions closed that had a WebSocket.
    pub(crate) closed_as_websocket: AtomicU64,
    /// How long events took from being published to being written.
    pub(crate) latency: Latency,
    pub(crate) lag: Latency,
    /// Sessions closed.
    pub(crate) sessions_closed: AtomicU64,
    /// Sockets connected to a namespace.
    pub(crate) sockets_connected: AtomicU64,
    /// Sockets disconnected.
    pub(crate) sockets_disconnected: AtomicU64,
    /// Events received from clients.
    pub(crate) events_received: AtomicU64,
    /// Events handed to outboxes: one per receiver.
    pub(crate) events_delivered: AtomicU64,
    /// Volatile events dropped because the receiver could not take them at once.
    pub(crate) volatile_dropped: AtomicU64,
    /// Times a client sent faster than it is read.
    pub(crate) reads_held: AtomicU64,
    /// Panics of listeners and middlewares.
    pub(crate) handler_panics: AtomicU64,
    /// Events the log took.
    pub(crate) events_recorded: AtomicU64,
    /// Events the log did not take: they were sent to nobody.
    pub(crate) events_refused: AtomicU64,
    /// Events sent again to clients that came back.
    pub(crate) events_replayed: AtomicU64,
    /// Sessions that clients got back.
    pub(crate) sessions_recovered: AtomicU64,
    /// Sessions whose clients did not come back in time.
    pub(crate) sessions_expired: AtomicU64,
    /// Changes of sessions that the journal did not take.
    pub(crate) sessions_unjournalled: AtomicU64,
    /// How often something was in the log that had not been shown in its turn.
    pub(crate) log_gaps: AtomicU64,
    /// Streams of server-sent events opened.
    pub(crate) streams_opened: AtomicU64,
    /// Streams ended.
    streams_closed: AtomicU64,
    /// Why streams ended.
    streams_ended: Mutex<BTreeMap<&'static str, u64>>,
    /// Why clients that asked for their session got a new one.
    not_recovered: Mutex<BTreeMap<&'static str, u64>>,
    /// Why clients did not get what they asked for of the past.
    not_replayed: Mutex<BTreeMap<&'static str, u64>>,
    /// What was refused, by reason. The reasons are the program's own words, never a client's.
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    /// Why sessions were closed.
    closed: Mutex<BTreeMap<&'static str, u64>>,
    /// The exact causes behind those reasons.
    causes: Mutex<BTreeMap<&'static str, u64>>,
}

/// The upper ends of the classes of latencies, in seconds; beyond the last there is one more.
pub const LATENCY_BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// How long something took, in classes.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    classes: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Latency {
    pub(crate) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let class = LATENCY_BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(class) = self.classes.get(class.unwrap_or(LATENCY_BOUNDS.len())) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn counts(&self) -> LatencyCounts {
        let classes = self.classes.each_ref().map(|class| class.load(Ordering::Relaxed));
        let nanos = self.nanos.load(Ordering::Relaxed);
        LatencyCounts { classes, seconds: Duration::from_nanos(nanos).as_secs_f64() }
    }
}

/// Latencies in classes: how many were at most each of [`LATENCY_BOUNDS`], and above the one before.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[non_exhaustive]
pub struct LatencyCounts {
    /// How many there were of each class; the last is beyond all bounds.
    pub classes: [u64; LATENCY_BOUNDS.len() + 1],
    /// Their sum.
    pub seconds: f64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Sessions open now.
    pub sessions: u64,
    /// Sockets connected now.
    pub sockets: u64,
    /// Sessions opened so far.
    pub sessions_opened: u64,
    /// Sessions open now that have a WebSocket; the others poll.
    pub websockets: u64,
    /// Sessions opened so far that began with a WebSocket.
    pub opened_as_websocket: u64,
    /// Sessions that went over from polling to a WebSocket so far.
    pub upgraded: u64,
    /// How long events took from being published to being written, the oldest of each turn of a shard.
    pub latency: LatencyCounts,
    /// How long shards took to come to a question, each time [`Io::load`](crate::Io::load) asked.
    pub lag: LatencyCounts,
    /// Sockets connected so far.
    pub sockets_connected: u64,
    /// Events received from clients.
    pub events_received: u64,
    /// Events handed to outboxes: one per receiver.
    pub events_delivered: u64,
    /// Volatile events dropped because the receiver could not take them at once.
    pub volatile_dropped: u64,
    /// Times a client sent faster than it is read, and was not read from for a moment.
    pub reads_held: u64,
    /// Panics of listeners and middlewares.
    pub handler_panics: u64,
    /// Events the log took.
    pub events_recorded: u64,
    /// Events the log did not take: they were sent to nobody.
    pub events_refused: u64,
    /// Events sent again to clients that came back.
    pub events_replayed: u64,
    /// Sessions that clients got back.
    pub sessions_recovered: u64,
    /// Sessions whose clients did not come back in time.
    pub sessions_expired: u64,
    /// Changes of sessions that the journal did not take.
    pub sessions_unjournalled: u64,
    /// How often something was in the log that had not been shown in its turn.
    pub log_gaps: u64,
    /// Streams of server-sent events open now.
    pub streams: u64,
    /// Streams opened so far.
    pub streams_opened: u64,
    /// Streams ended, by reason.
    pub streams_ended: BTreeMap<&'static str, u64>,
    /// Clients that asked for their session and got a new one, by reason.
    pub not_recovered: BTreeMap<&'static str, u64>,
    /// Clients that asked for a part of the past and did not get it, by reason.
    pub not_replayed: BTreeMap<&'static str, u64>,
    /// Requests, packets and frames refused, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Sessions closed, by reason.
    pub closed: BTreeMap<&'static str, u64>,
    /// The exact causes, as the transport saw them.
    pub causes: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts something refused. The application counts its own refusals beside the server's; the
    /// reasons are words of the program, never of a client, so that they stay few.
    pub fn rejected(&self, reason: &'static str) {
        count(&self.rejected, reason);
    }

    /// Counts a client that did not get its session back.
    pub(crate) fn not_recovered(&self, reason: &'static str) {
        count(&self.not_recovered, reason);
    }

    /// Counts a client that did not get what it asked for of the past.
    pub(crate) fn not_replayed(&self, reason: &'static str) {
        count(&self.not_replayed, reason);
    }

    /// Counts a closed session.
    pub(crate) fn closed(&self, reason: &'static str) {
        Self::add(&self.sessions_closed, 1);
        count(&self.closed, reason);
    }

    /// Counts a stream that ended.
    pub(crate) fn stream_closed(&self, reason: &'static str) {
        Self::add(&self.streams_closed, 1);
        count(&self.streams_ended, reason);
    }

    /// Counts the exact cause of a session's end.
    pub(crate) fn cause(&self, cause: &'static str) {
        count(&self.causes, cause);
    }

    /// The figures as they are now. Taken one after the other: they may differ by what happened
    /// in between.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let copy = |map: &Mutex<BTreeMap<&'static str, u64>>| {
            map.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        Counts {
            sessions: load(&self.sessions_opened).saturating_sub(load(&self.sessions_closed)),
            sockets: load(&self.sockets_connected).saturating_sub(load(&self.sockets_disconnected)),
            sessions_opened: load(&self.sessions_opened),
            websockets: (load(&self.opened_as_websocket) + load(&self.upgraded))
                .saturating_sub(load(&self.closed_as_websocket)),
            opened_as_websocket: load(&self.opened_as_websocket),
            upgraded: load(&self.upgraded),
            latency: self.latency.counts(),
            lag: self.lag.counts(),
            sockets_connected: load(&self.sockets_connected),
            events_received: load(&self.events_received),
            events_delivered: load(&self.events_delivered),
            volatile_dropped: load(&self.volatile_dropped),
            reads_held: load(&self.reads_held),
            handler_panics: load(&self.handler_panics),
            events_recorded: load(&self.events_recorded),
            events_refused: load(&self.events_refused),
            events_replayed: load(&self.events_replayed),
            sessions_recovered: load(&self.sessions_recovered),
            sessions_expired: load(&self.sessions_expired),
            sessions_unjournalled: load(&self.sessions_unjournalled),
            log_gaps: load(&self.log_gaps),
            streams: load(&self.streams_opened).saturating_sub(load(&self.streams_closed)),
            streams_opened: load(&self.streams_opened),
            streams_ended: copy(&self.streams_ended),
            not_recovered: copy(&self.not_recovered),
            not_replayed: copy(&self.not_replayed),
            rejected: copy(&self.rejected),
            closed: copy(&self.closed),
            causes: copy(&self.causes),
        }
    }
}

fn count(map: &Mutex<BTreeMap<&'static str, u64>>, reason: &'static str) {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    *map.entry(reason).or_default() += 1;
}
