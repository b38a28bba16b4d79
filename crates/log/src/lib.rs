//! One ordered event log: append, positions, replay, history and the session journal.
//!
//! An [`EventLog`] gives each [`Record`] a [`Position`] and keeps it for a while. All namespaces
//! share one sequence, so one position says what a receiver has seen of everything. There are two
//! forms: [`MemoryLog`], gone with its process, and [`SqliteLog`], which survives `kill -9` and,
//! where asked for, a power cut.
//!
//! What a log promises:
//!
//! - What was answered is there, at the [`Durability`] that was asked for, or the [`Epoch`]
//!   changes; a position of another epoch is never resumed.
//! - Sequences have no hole: entries stand from the first kept one to the head.
//! - Nothing is read that is not the head's or before, nor that differs from what was written:
//!   each stored record has a checksum.
//! - [`Page::complete`] says whether all that came after a position is still there, per room: a
//!   quiet room stays recoverable however much is trimmed elsewhere.
//!
//! ```
//! use std::sync::Arc;
//! use eventlog::{Durability, EventLog, MemoryLog, Query, Record, Scope, Settings};
//!
//! let log = MemoryLog::new(Settings::default())?;
//! let room: Arc<str> = "news".into();
//! let record = Record {
//!     namespace: "/".into(),
//!     rooms: [Arc::clone(&room)].into(),
//!     except: Arc::default(),
//!     name: "headline".into(),
//!     payload: r#"["it works"]"#.into(),
//!     time_ms: 1_700_000_000_000,
//!     key: None,
//! };
//! let before = log.head();
//! let appended = eventlog::append_wait(&log, vec![record], Durability::Memory)?;
//! let scope = Scope::Rooms { namespace: "/", rooms: &[room], everyone: true };
//! let page = log.read(&Query::after(scope, before))?;
//! assert!(page.complete && page.entries[0].position == appended[0].position);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append;
mod index;
mod memory;
mod position;
mod query;
mod record;
mod session;
mod settings;
mod sqlite;
mod watch;

use std::sync::Arc;
use std::sync::mpsc;

pub use append::{
    AppendError, Appended, Done, Durability, Health, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Refusal,
};
pub use memory::MemoryLog;
pub use position::{Epoch, MAX_POSITION_BYTES, MAX_SEQUENCE, Position, PositionError};
pub use query::{
    MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, MAX_QUERY_ROOMS, Order, Page, Query, ReadError, Scope,
};
pub use record::{Entry, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_RECORD_ROOMS, Record, RecordError};
pub use session::{
    MAX_SESSION_ROOMS, MAX_SESSION_STATE_BYTES, Session, SessionError, SessionKey, SessionRoom,
};
pub use settings::{Retention, Settings};
pub use sqlite::{
    BootId, Check, EpochChange, MAX_PROBLEMS, OnDamage, OpenError, OpenReport, Overview, Problem,
    RepairReport, SqliteLog, SqliteSettings, SqliteView, VerifyReport, is_open, repair, verify,
};

/// Is called with the new head after each group of entries became readable, and after a reset; on
/// the thread that wrote: it must be quick and must not block, nor add a watcher.
pub type Watcher = Arc<dyn Fn(Position) + Send + Sync>;

/// How much a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// The kept entries.
    pub entries: u64,
    /// Their bytes, as [`Record::cost_bytes`] counts them.
    pub bytes: u64,
    /// The journalled sessions.
    pub sessions: u64,
    /// The remembered idempotency keys.
    pub keys: u64,
    /// The requests that wait for the writer.
    pub queued_requests: u64,
    /// About the bytes of them.
    pub queued_bytes: u64,
}

/// The most watchers of one log: one per shard of a large machine.
pub const MAX_WATCHERS: usize = 256;

/// One ordered log of events, and the journal of sessions beside it.
///
/// Changes are answered through a callback, so that a server waits without a thread; they take
/// effect in the order they were asked for. Reads answer at once: from memory in
/// [`read_recent`](Self::read_recent), else by reading the disk on the calling thread.
pub trait EventLog: Send + Sync {
    /// Appends records, all or none, in this order and without others between them. `done` gets
    /// one answer per record once they are as safe as asked and can be read.
    fn append(
        &self,
        records: Vec<Record>,
        durability: Durability,
        done: Done<Result<Vec<Appended>, AppendError>>,
    );

    /// Reads a page. May read the disk: milliseconds, so not on a thread that serves sockets.
    ///
    /// # Errors
    ///
    /// When a position is not of this life of the log, a limit is exceeded, or the store cannot
    /// be read.
    fn read(&self, query: &Query<'_>) -> Result<Page, ReadError>;

    /// Reads a page if memory has all of it, without touching the disk; `None` if it has not.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    fn read_recent(&self, query: &Query<'_>) -> Result<Option<Page>, ReadError>;

    /// The position of the last entry that can be read; sequence 0 when there was none yet.
    fn head(&self) -> Position;

    /// Which life of the log this is.
    fn epoch(&self) -> Epoch {
        self.head().epoch
    }

    /// The first sequence that is still kept; one after the head when nothing is.
    fn first(&self) -> u64;

    /// Calls `watcher` whenever there is something new to read. False when there are
    /// [`MAX_WATCHERS`] already.
    fn watch(&self, watcher: Watcher) -> bool;

    /// The sequence up to which entries of a room may have been trimmed; 0 when none were.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn watermark(&self, namespace: &str, room: &str) -> Result<u64, ReadError>;

    /// Removes what the retention no longer keeps at `now_ms`; answers how many entries. Large
    /// amounts go in steps between which others' appends are served. A server calls it every
    /// second or so.
    fn trim(&self, now_ms: u64, done: Done<Result<u64, AppendError>>);

    /// Forgets everything, entries, sessions and keys, and begins a new epoch.
    fn reset(&self, done: Done<Result<Epoch, AppendError>>);

    /// Journals a session as it is now, in place of what was journalled under its key.
    fn put_session(&self, session: Session, done: Done<Result<(), SessionError>>);

    /// Removes a session that can no longer be recovered; answers whether it was there. A stale
    /// holder, whose fence is lower than the journalled one, removes nothing.
    fn remove_session(&self, key: SessionKey, fence: u64, done: Done<Result<bool, SessionError>>);

    /// The journalled session of a key.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or the session is not what was written.
    fn session(&self, key: SessionKey) -> Result<Option<Session>, ReadError>;

    /// Journalled sessions in the order of their keys, after one, `limit` at most: for the sweep
    /// after a restart and for removing those that were not seen for long.
    ///
    /// # Errors
    ///
    /// As for [`session`](Self::session).
    fn sessions(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<Session>, ReadError>;

    /// The strongest durability it offers.
    fn strongest(&self) -> Durability;

    /// Whether it takes records, and if not, why. It resumes by itself.
    fn health(&self) -> Health;

    /// How much it holds, for metrics. Quick.
    fn stats(&self) -> Stats;

    /// How many changes of sessions were asked for and not journalled, because the store did not
    /// take them. While there are more than [`journal_is_whole`](Self::journal_is_whole) was told,
    /// a log on disk drops all sessions when it is opened again: what it has of them may not be
    /// what clients were told.
    fn journal_faults(&self) -> u64;

    /// Up to this many faults were made good: each session they were about is journalled as it is
    /// now, or removed.
    fn journal_is_whole(&self, faults: u64);

    /// Takes nothing more, answers what is waiting, and ends in order. Waits for it. What is in
    /// memory can still be read.
    fn close(&self);
}

/// Appends and waits for the answer: for tools, tests and threads of their own.
///
/// # Errors
///
/// As [`EventLog::append`] answers.
pub fn append_wait(
    log: &dyn EventLog,
    records: Vec<Record>,
    durability: Durability,
) -> Result<Vec<Appended>, AppendError> {
    wait(|done| log.append(records, durability, done)).unwrap_or(Err(AppendError::Closed))
}

/// Asks through a callback and waits for its answer; `None` if the log dropped the callback.
pub fn wait<T: Send + 'static>(ask: impl FnOnce(Done<T>)) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    ask(Box::new(move |answer| {
        // The receiver waits below for as long as the callback lives.
        let _ = sender.send(answer);
    }));
    receiver.recv().ok()
}
