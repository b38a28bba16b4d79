//! The thread that syncs in groups what was answered without a sync, and moves the write-ahead
//! log into the store while the writer goes on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::shared::Shared;

/// So often the write-ahead log is moved into the store while there is traffic: it holds a second
/// of it then, and a start reads no more than that.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Todo {
    commits: u64,
    closing: bool,
    failure: Option<String>,
}

#[derive(Default)]
pub(super) struct Keeper {
    todo: Mutex<Todo>,
    came: Condvar,
}

impl Keeper {
    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was committed without a sync.
    pub(super) fn note_commit(&self) {
        let mut todo = self.todo();
        todo.commits += 1;
        if todo.commits == 1 {
            drop(todo);
            self.came.notify_one();
        }
    }

    /// What the last sync failed with, once.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.todo().failure.take()
    }

    pub(super) fn close(&self) {
        self.todo().closing = true;
        self.came.notify_all();
    }

    /// Syncs until it is told to close.
    pub(super) fn run(shared: &Arc<Shared>, connection: &Connection) {
        let keeper = &shared.keeper;
        let mut checkpointed = Instant::now();
        while keeper.wait(shared.settings.sync_interval) {
            if let Err(error) = shared.wal.sync() {
                shared.refuse(&crate::Refusal::Sync(error.to_string()));
                keeper.todo().failure = Some(error.to_string());
                shared.queue.wake();
                continue;
            }
            if checkpointed.elapsed() >= CHECKPOINT_INTERVAL {
                checkpointed = Instant::now();
                // It moves what it can without waiting for anybody; the rest is for the next time.
                let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = moved {
                    tracing::warn!(%error, "the write-ahead log could not be moved into the store");
                }
            }
        }
    }

    /// Waits for a commit, then for a group of them; false when it is to close.
    fn wait(&self, group: Duration) -> bool {
        let mut todo = self.todo();
        while todo.commits == 0 && !todo.closing {
            todo = self.came.wait(todo).unwrap_or_else(PoisonError::into_inner);
        }
        let closing = |todo: &mut Todo| !todo.closing;
        let result = self.came.wait_timeout_while(todo, group, closing);
        let (mut todo, _) = result.unwrap_or_else(PoisonError::into_inner);
        todo.commits = 0;
        !todo.closing
    }
}
