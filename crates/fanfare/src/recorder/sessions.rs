//! Which sessions can be brought back, and who holds each.

use crate::socket::Home;
use eventlog::SessionKey;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a `pid` is known by: only its client has the text.
pub(crate) fn pid_key(pid: &str) -> SessionKey {
    SessionKey(Sha256::digest(pid.as_bytes()).into())
}

/// The sessions of this node, held or waiting for their client.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_key: HashMap<SessionKey, Holding>,
    /// Those without a holder, in the order in which they lost it. Some have one again.
    left: VecDeque<(Instant, SessionKey)>,
    waiting: usize,
}

struct Holding {
    /// Rises with each attempt to take the session: of two, only the later one gets it.
    fence: u64,
    holder: Option<Home>,
    left_at: Option<Instant>,
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, held by this socket.
    pub(crate) fn open(&self, key: SessionKey, fence: u64, holder: Home) {
        let holding = Holding { fence, holder: Some(holder), left_at: None };
        self.known().by_key.insert(key, holding);
    }

    /// Who holds a session.
    pub(crate) fn holder(&self, key: SessionKey) -> Option<Home> {
        self.known().by_key.get(&key)?.holder
    }

    /// A session that was found in the journal: its client may come.
    pub(crate) fn found(&self, key: SessionKey, fence: u64, now: Instant) {
        let mut known = self.known();
        known.by_key.insert(key, Holding { fence, holder: None, left_at: Some(now) });
        known.left.push_back((now, key));
        known.waiting += 1;
    }

    /// Begins to take a session, and gives the fence to settle with. Until then it stays what it
    /// is.
    pub(crate) fn attempt(&self, key: SessionKey) -> Option<u64> {
        let mut known = self.known();
        let holding = known.by_key.get_mut(&key)?;
        holding.fence += 1;
        Some(holding.fence)
    }

    /// Who has to give a session up for this attempt. `None` if a later one was begun.
    pub(crate) fn in_the_way(&self, key: SessionKey, fence: u64) -> Option<Option<Home>> {
        let known = self.known();
        let holding = known.by_key.get(&key)?;
        (holding.fence == fence).then_some(holding.holder)
    }

    /// Takes a session, unless a later attempt was begun or somebody still holds it.
    pub(crate) fn settle(&self, key: SessionKey, fence: u64, holder: Home) -> bool {
        let mut guard = self.known();
        let known = &mut *guard;
        let Some(holding) = known.by_key.get_mut(&key) else { return false };
        if holding.fence != fence || holding.holder.is_some() {
            return false;
        }
        holding.holder = Some(holder);
        holding.left_at = None;
        known.waiting = known.waiting.saturating_sub(1);
        true
    }

    /// The holder is gone; its client may come back. Says whether it was the holder.
    pub(crate) fn leave(&self, key: SessionKey, holder: Home, now: Instant) -> bool {
        let mut guard = self.known();
        let known = &mut *guard;
        let Some(holding) = known.by_key.get_mut(&key) else { return false };
        if holding.holder != Some(holder) {
            return false;
        }
        holding.holder = None;
        holding.left_at = Some(now);
        known.left.push_back((now, key));
        known.waiting += 1;
        true
    }

    /// The session cannot be brought back any more.
    pub(crate) fn forget(&self, key: SessionKey) {
        let mut known = self.known();
        if known.by_key.remove(&key).is_some_and(|holding| holding.holder.is_none()) {
            known.waiting = known.waiting.saturating_sub(1);
        }
    }

    /// The sessions whose client did not come within `window`, and the oldest if more than `max`
    /// wait: they are forgotten here. At most `limit` at once; each with its fence.
    pub(crate) fn expire(
        &self,
        now: Instant,
        window: Duration,
        max: usize,
        limit: usize,
    ) -> Vec<(SessionKey, u64)> {
        let mut guard = self.known();
        let known = &mut *guard;
        let mut expired = Vec::new();
        while let Some((at, key)) = known.left.front().copied() {
            let stale = known.by_key.get(&key).is_none_or(|it| it.left_at != Some(at));
            if !stale {
                let due = now.saturating_duration_since(at) >= window || known.waiting > max;
                if !due || expired.len() >= limit {
                    break;
                }
                if let Some(holding) = known.by_key.remove(&key) {
                    expired.push((key, holding.fence));
                }
                known.waiting = known.waiting.saturating_sub(1);
            }
            known.left.pop_front();
        }
        expired
    }
}
