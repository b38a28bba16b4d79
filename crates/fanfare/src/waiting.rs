//! Who waits for something new in a room, without a socket.

use crate::Io;
use hashbrown::HashMap;
use hub::Room;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The most who may wait at the same time for something new in a room: each holds a connection.
pub const MAX_WAITING: usize = 10_000;

/// A room of a namespace.
type Key = (Arc<str>, Room);

/// Those who wait.
#[derive(Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    closed: AtomicBool,
    rooms: Mutex<HashMap<Key, SmallVec<[Arc<Notify>; 1]>>>,
}

impl Waiting {
    fn rooms(&self) -> MutexGuard<'_, HashMap<Key, SmallVec<[Arc<Notify>; 1]>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something recorded is shown to these rooms. Costs nothing while nobody waits.
    pub(crate) fn came(&self, namespace: &Arc<str>, rooms: &[Room]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut waiting = self.rooms();
        for room in rooms {
            // Each is told once; whoever wants more waits again.
            let told = waiting.remove(&(namespace.clone(), room.clone())).unwrap_or_default();
            told.iter().for_each(|waiter| waiter.notify_one());
        }
    }

    /// Nothing more comes: the server closes.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let told = std::mem::take(&mut *self.rooms());
        told.values().flatten().for_each(|waiter| waiter.notify_one());
    }
}

/// One that waits, until it is dropped.
pub(crate) struct Waiter {
    io: Io,
    keys: SmallVec<[Key; 1]>,
    told: Arc<Notify>,
}

impl Waiter {
    /// From now on it is told. `None` if too many wait.
    pub(crate) fn of(io: &Io, namespace: &Arc<str>, rooms: &[Room]) -> Option<Waiter> {
        let keys = rooms.iter().map(|room| (namespace.clone(), room.clone())).collect();
        let waiting = &io.inner().waiting;
        let before = waiting.count.fetch_add(1, Ordering::AcqRel);
        // Counted out again when it is dropped.
        let waiter = Waiter { io: io.clone(), keys, told: Arc::default() };
        if before >= MAX_WAITING {
            return None;
        }
        let mut rooms = waiting.rooms();
        for key in &waiter.keys {
            rooms.entry(key.clone()).or_default().push(waiter.told.clone());
        }
        drop(rooms);
        Some(waiter)
    }

    /// Waits until something came, or, with `false`, nothing will any more.
    pub(crate) async fn came(&mut self) -> bool {
        let closed = || self.io.inner().waiting.closed.load(Ordering::Acquire);
        if !closed() {
            self.told.notified().await;
        }
        !closed()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waiting = &self.io.inner().waiting;
        let mut rooms = waiting.rooms();
        for key in &self.keys {
            if let Some(waiters) = rooms.get_mut(key) {
                waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.told));
                if waiters.is_empty() {
                    rooms.remove(key);
                }
            }
        }
        drop(rooms);
        waiting.count.fetch_sub(1, Ordering::AcqRel);
    }
}
