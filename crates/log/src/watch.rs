//! Who is told that there is something new to read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use crate::{Done, MAX_WATCHERS, Position, Watcher};

#[derive(Default)]
pub(crate) struct Watchers(RwLock<Vec<Watcher>>);

impl Watchers {
    pub(crate) fn add(&self, watcher: Watcher) -> bool {
        let mut watchers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if watchers.len() >= MAX_WATCHERS {
            return false;
        }
        watchers.push(watcher);
        true
    }

    pub(crate) fn call(&self, head: Position) {
        for watcher in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            guarded(|| watcher(head));
        }
    }
}

/// Answers through a callback.
pub(crate) fn answer<T>(done: Done<T>, value: T) {
    guarded(|| done(value));
}

/// A panic of a caller's callback ends that callback, not the thread that writes for all.
fn guarded(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        tracing::error!("a callback of the event log panicked");
    }
}
