//! Sessions whose last change the journal did not take: what it has of them is not what their clients
//! were told, so they are not brought back until they are journalled again, or removed.

use super::Recorder;
use eventlog::{SessionError, SessionKey};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which they are. Not more than there are sockets, and sessions that wait.
#[derive(Default)]
pub(crate) struct Stale {
    sessions: Mutex<HashMap<SessionKey, Entry>>,
    /// The log does not know yet that none is left.
    told: AtomicBool,
}

struct Entry {
    fence: u64,
    /// Its socket is gone: nobody will journal it again.
    orphan: bool,
}

impl Stale {
    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// The journal has answered a change of a session.
    pub(crate) fn wrote(&self, key: SessionKey, fence: u64, written: &Result<(), SessionError>) {
        match written {
            Ok(()) => drop(self.stale.sessions().remove(&key)),
            // Its client is elsewhere by now, and journalled from there.
            Err(SessionError::Fenced(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "a session was not journalled");
                self.stale.sessions().insert(key, Entry { fence, orphan: false });
                self.stale.told.store(true, Ordering::Release);
                self.sessions.forget(key);
            }
        }
    }

    /// Whether what the journal has of a session is not what it should have.
    pub(crate) fn is_stale(&self, key: SessionKey) -> bool {
        self.stale.sessions().contains_key(&key)
    }

    /// The socket of a session is gone.
    pub(crate) fn abandon(&self, key: SessionKey) {
        if let Some(entry) = self.stale.sessions().get_mut(&key) {
            entry.orphan = true;
        }
    }

    /// Removes what nobody will journal again, and tells the log when nothing is left.
    pub(super) fn look_after_stale(self: &Arc<Self>) {
        let faults = self.log.journal_faults();
        let (orphans, left) = {
            let sessions = self.stale.sessions();
            let orphans = sessions.iter().filter(|(_, entry)| entry.orphan);
            let orphans: Vec<_> = orphans.map(|(key, entry)| (*key, entry.fence)).collect();
            (orphans, sessions.len())
        };
        for (key, fence) in orphans {
            let recorder = self.clone();
            let removed = move |removed: Result<bool, SessionError>| {
                if !matches!(removed, Err(SessionError::Log(_))) {
                    recorder.stale.sessions().remove(&key);
                }
            };
            self.log.remove_session(key, fence, Box::new(removed));
        }
        if left == 0 && self.stale.told.swap(false, Ordering::AcqRel) {
            self.log.journal_is_whole(faults);
        }
    }
}
