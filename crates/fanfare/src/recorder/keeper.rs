//! What has to be done from time to time: trimming the log, and giving up sessions.

use super::{Recorder, now_ms};
use crate::Io;
use crate::counters::Counters;
use crate::socket::Expired;
use eventlog::SessionKey;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sessions given up in one round: the application hears of each.
const MAX_EXPIRED: usize = 10_000;

/// Sessions read from the journal at once.
const PAGE: usize = 1_000;

/// The thread that looks after a server's memory.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Keeper {
    /// Finds the sessions of the process before this one, and starts the thread.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read, or the thread not be started.
    pub(crate) fn start(io: &Io, recorder: &Arc<Recorder>) -> std::io::Result<()> {
        recorder.find_sessions()?;
        let (io, recorder) = (io.clone(), recorder.clone());
        let thread = std::thread::Builder::new().name("fanfare-keeper".to_owned());
        thread.spawn(move || {
            while io.inner().keeper.waits() {
                recorder.look_after(&io);
            }
        })?;
        Ok(())
    }

    /// Waits for the next round. Says whether there is one.
    fn waits(&self) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, INTERVAL, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }

    pub(crate) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Recorder {
    /// Sessions that were journalled by the process before: their clients may come back from now
    /// on, whenever they were lost.
    fn find_sessions(&self) -> std::io::Result<()> {
        let (now, mut after) = (Instant::now(), None);
        loop {
            let page = self.log.sessions(after, PAGE).map_err(std::io::Error::other)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key);
            for session in &page {
                self.sessions.found(session.key, session.fence, now);
            }
        }
    }

    fn look_after(self: &Arc<Self>, io: &Io) {
        self.log.trim(
            now_ms(),
            Box::new(|trimmed| {
                if let Err(error) = trimmed {
                    tracing::debug!(%error, "the event log was not trimmed");
                }
            }),
        );
        self.look_after_stale();
        io.check_gap();
        // The future need not be awaited.
        drop(io.run_on_all(|| |shard| shard.look_after_journals()));
        let (window, max) = (self.recovery.window, self.recovery.max_waiting);
        for (key, fence) in self.sessions.expire(Instant::now(), window, max, MAX_EXPIRED) {
            self.expire(io, key, fence);
        }
    }

    /// Gives a session up for good.
    fn expire(&self, io: &Io, key: SessionKey, fence: u64) {
        let session = match self.log.session(key) {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(%error, "a session that expired could not be read");
                None
            }
        };
        self.remove(key, fence);
        Counters::add(&io.inner().counters.sessions_expired, 1);
        let Some((expired, handlers)) = session.and_then(|session| Expired::of(io, &session))
        else {
            return;
        };
        for handler in &handlers.expired {
            let run = || handler(&expired);
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                Counters::add(&io.inner().counters.handler_panics, 1);
                tracing::error!("a listener panicked; nothing else ends");
            }
        }
    }

    /// Removes a session from the journal.
    pub(crate) fn remove(&self, key: SessionKey, fence: u64) {
        self.sessions.forget(key);
        self.log.remove_session(
            key,
            fence,
            Box::new(|removed| {
                if let Err(error) = removed {
                    tracing::debug!(%error, "a session was not removed from the journal");
                }
            }),
        );
    }
}
