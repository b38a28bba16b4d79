//! How busy a server is, and what it does when it runs out of memory.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{SessionKey, Shard};
use crate::disconnect::DisconnectReason;
use crate::io::Io;

/// Whose outbox is smaller is not cut for memory: it would free nothing to speak of.
const WORTH_CUTTING: usize = 64 * 1024;

/// What waits in a server at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// How long the slowest shard took to come to the question: while a listener holds it, nobody on
    /// it is served.
    pub lag: Duration,
    /// Sessions whose clients have not yet taken all that is for them. One that polls is among them
    /// between its requests.
    pub waiting_sessions: usize,
    /// Events that wait for them.
    pub waiting_events: usize,
    /// Bytes of these. Events for many are counted once for each, though they are in memory once.
    pub waiting_bytes: usize,
    /// The most that waits for one.
    pub largest_bytes: usize,
    /// Sessions that have more than half of what an outbox [may
    /// have](crate::OutboxLimits): they are cut next.
    pub slow_sessions: usize,
}

impl Load {
    fn and(self, other: Load) -> Load {
        Load {
            lag: self.lag.max(other.lag),
            waiting_sessions: self.waiting_sessions + other.waiting_sessions,
            waiting_events: self.waiting_events + other.waiting_events,
            waiting_bytes: self.waiting_bytes + other.waiting_bytes,
            largest_bytes: self.largest_bytes.max(other.largest_bytes),
            slow_sessions: self.slow_sessions + other.slow_sessions,
        }
    }
}

impl Io {
    /// Asks every shard what waits. It is done when the slowest has answered, and how long that took is
    /// counted in [`Counts::lag`](crate::Counts::lag).
    pub async fn load(&self) -> Load {
        let since = Instant::now();
        let sum = Arc::new(Mutex::new(Load::default()));
        self.run_on_all(|| {
            let sum = sum.clone();
            move |shard: &Rc<Shard>| {
                let lag = since.elapsed();
                shard.io.inner().counters.lag.observe(lag);
                let own = Load { lag, ..shard.load() };
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                *sum = sum.and(own);
            }
        })
        .await;
        *sum.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that memory is short, or no longer. While it is, nobody new is let in, volatile events are
    /// dropped, and at each call the slowest session of each shard is cut, if much waits for it: its
    /// client comes back and gets what it missed, when there is place.
    pub fn set_memory_short(&self, short: bool) {
        self.inner().memory_short.store(short, Ordering::Release);
        if short {
            // The future need not be awaited.
            drop(self.run_on_all(|| |shard: &Rc<Shard>| shard.cut_slowest()));
        }
    }

    /// Whether memory [is short](Self::set_memory_short).
    #[must_use]
    pub fn is_memory_short(&self) -> bool {
        self.inner().memory_short.load(Ordering::Acquire)
    }
}

impl Shard {
    /// What waits for the sessions of this shard.
    fn load(&self) -> Load {
        let limits = self.io.settings().outbox;
        let mut load = Load::default();
        self.state.borrow_mut().each_blocked(|_, backlog| {
            load.waiting_sessions += 1;
            load.waiting_events += backlog.events;
            load.waiting_bytes += backlog.bytes;
            load.largest_bytes = load.largest_bytes.max(backlog.bytes);
            let slow =
                backlog.events > limits.max_events / 2 || backlog.bytes > limits.max_bytes / 2;
            load.slow_sessions += usize::from(slow);
        });
        load
    }

    fn cut_slowest(self: &Rc<Self>) {
        let mut slowest: Option<(usize, SessionKey)> = None;
        self.state.borrow_mut().each_blocked(|key, backlog| {
            if slowest.is_none_or(|(bytes, _)| backlog.bytes > bytes) {
                slowest = Some((backlog.bytes, key));
            }
        });
        if let Some((bytes, key)) = slowest.filter(|(bytes, _)| *bytes >= WORTH_CUTTING) {
            tracing::warn!(bytes, "memory is short: the slowest client of a shard is cut");
            self.close_session(key, DisconnectReason::SlowClient);
        }
    }
}
