//! The log on disk: a SQLite store in WAL mode, with one writer that commits in groups.
//!
//! A request goes into the queue; the writer takes what is waiting, does it in one transaction,
//! writes the mark, syncs if the class `disk` was asked for, makes the entries readable, calls the
//! watchers and answers. The keeper syncs the rest every few milliseconds. Readers have
//! connections of their own, and the last entries are in memory.

mod apply;
mod check;
mod codec;
mod keeper;
mod mark;
mod open;
mod queue;
mod read;
mod repair;
mod rooms;
mod schema;
mod settings;
mod shared;
mod tail;
mod trim;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

pub use check::{MAX_PROBLEMS, Problem, VerifyReport, verify};
pub use mark::BootId;
pub use open::{EpochChange, OpenError, OpenReport};
pub use repair::{RepairReport, repair};
pub use settings::{Check, OnDamage, SqliteSettings};
pub use view::{Overview, SqliteView, is_open};

use crate::append::check_batch;
use crate::query::PageFill;
use crate::watch::Watchers;
use crate::{
    AppendError, Appended, Done, Durability, Epoch, EventLog, Health, Order, Page, Position, Query,
    ReadError, Record, Scope, Session, SessionError, SessionKey, Stats, Watcher,
};
use keeper::Keeper;
use queue::{Answer, Queue, Request, Work};
use read::Readers;
use rooms::RoomCache;
use schema::{StoreError, open_writer};
use shared::{Shared, Wal};
use tail::Tail;
use writer::Writer;

/// The log on disk.
///
/// It survives `kill -9` with all it answered, and a power cut with all it answered in the class
/// `disk`. Closing it (or dropping it) answers what is waiting and syncs; only then does the epoch
/// survive a power cut for sure.
pub struct SqliteLog {
    shared: Arc<Shared>,
    report: OpenReport,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

impl SqliteLog {
    /// Opens a log, and creates it if it is not there.
    ///
    /// # Errors
    ///
    /// When another process has it open, it is damaged, or the file cannot be read and written.
    pub fn open(settings: SqliteSettings) -> Result<Self, OpenError> {
        // `fdatasync` is enough: it brings the length along that the data needs.
        Self::open_with(settings, Box::new(std::fs::File::sync_data))
    }

    fn open_with(settings: SqliteSettings, sync: shared::Sync) -> Result<Self, OpenError> {
        let opened = open::open(&settings)?;
        let path = settings.path.clone();
        let of = |fault: StoreError| OpenError::of(&fault);
        let wal = Wal::open(&path, sync).map_err(OpenError::of_io)?;
        let moving = open_writer(&path).map_err(of)?;
        let head = Position { epoch: opened.state.epoch, sequence: opened.state.head };
        let recent = (settings.recent_entries, settings.recent_bytes);
        let mut tail = Tail::new(head, opened.state.first, recent);
        preload(&mut tail, &opened).map_err(of)?;
        let boot = settings.boot;
        let shared = Arc::new(Shared {
            settings,
            queue: Queue::default(),
            tail: RwLock::new(tail),
            watchers: Watchers::default(),
            readers: Readers::open(path).map_err(of)?,
            wal,
            keeper: Keeper::default(),
            health: Mutex::new(Health::Ready),
            shown: Mutex::new(Some(head)),
            stats: Mutex::new(opened.state.stats()),
            journal_faults: AtomicU64::new(0),
            journal_whole: AtomicU64::new(0),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            connection: opened.connection,
            mark_file: opened.mark_file,
            mark: opened.mark,
            state: opened.state,
            rooms: RoomCache::default(),
            boot,
            unpublished: Vec::new(),
            in_doubt: None,
        };
        let threads = start(&shared, writer, moving)?;
        let threads = Mutex::new(Some(threads));
        Ok(Self { shared, report: opened.report, threads })
    }

    /// How the log was found when it was opened, and why its epoch is new if it is.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Takes nothing more, answers what is waiting, syncs and closes. Waits for it. Reading what
    /// is in memory goes on.
    pub fn close(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        self.shared.queue.close();
        self.shared.keeper.close();
        self.shared.readers.close();
        for thread in [threads.keeper, threads.writer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the event log panicked");
            }
        }
    }

    fn ask(&self, work: Work, answer: Answer, bytes: u64) {
        let journal = matches!(work, Work::Put(_) | Work::Remove(..));
        if !self.shared.queue.push(Request { work, answer, bytes }) && journal {
            self.shared.journal_faults.fetch_add(1, Ordering::AcqRel);
            self.shared.queue.wake();
        }
    }

    fn tail(&self) -> std::sync::RwLockReadGuard<'_, Tail> {
        self.shared.tail.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn start(
    shared: &Arc<Shared>,
    writer: Writer,
    moving: rusqlite::Connection,
) -> Result<Threads, OpenError> {
    let named = |name: &str| std::thread::Builder::new().name(name.into());
    let keeper = Arc::clone(shared);
    let keeper = named("log-keeper").spawn(move || Keeper::run(&keeper, &moving));
    let keeper = keeper.map_err(OpenError::of_io)?;
    match named("log-writer").spawn(move || writer.run()) {
        Ok(writer) => Ok(Threads { writer, keeper }),
        Err(error) => {
            shared.keeper.close();
            Err(OpenError::of_io(error))
        }
    }
}

/// Puts the last entries into memory: they are what most of those who come back have missed.
fn preload(tail: &mut Tail, opened: &open::Opened) -> Result<(), StoreError> {
    let recent = opened.state.head.saturating_sub(PRELOADED_ENTRIES) + 1;
    let after = recent.max(opened.state.first).saturating_sub(1);
    let query = Query::new(Scope::All);
    let Ok(bounds) = query.bounds(opened.state.epoch, opened.state.head) else { return Ok(()) };
    let mut fill = PageFill::new(&bounds);
    let head = tail.position();
    let snapshot = read::Snapshot { connection: &opened.connection, state: opened.state, head };
    // Newest first, so that a page that fills up is the end of the log.
    snapshot.span(&mut fill, (after + 1, head.sequence), Order::NewestFirst)?;
    fill.entries.reverse();
    tail.publish(fill.entries, head, opened.state.first);
    Ok(())
}

/// How many entries are read into memory at the start.
const PRELOADED_ENTRIES: u64 = 4096;

impl EventLog for SqliteLog {
    fn append(
        &self,
        records: Vec<Record>,
        durability: Durability,
        done: Done<Result<Vec<Appended>, AppendError>>,
    ) {
        match check_batch(&records, durability, self.strongest()) {
            Ok(_) if records.is_empty() => done(Ok(Vec::new())),
            Ok(bytes) => {
                let answer = Answer::Append(done, Vec::new());
                self.ask(Work::Append(records, durability), answer, bytes);
            }
            Err(fault) => done(Err(fault)),
        }
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, ReadError> {
        if let Some(page) = self.read_recent(query)? {
            return Ok(page);
        }
        self.shared.readers.page(query, &self.shared.tail)
    }

    fn read_recent(&self, query: &Query<'_>) -> Result<Option<Page>, ReadError> {
        self.tail().read(query)
    }

    fn head(&self) -> Position {
        self.tail().position()
    }

    fn first(&self) -> u64 {
        self.tail().first
    }

    fn watch(&self, watcher: Watcher) -> bool {
        self.shared.watchers.add(watcher)
    }

    fn watermark(&self, namespace: &str, room: &str) -> Result<u64, ReadError> {
        self.shared.readers.watermark(namespace, room)
    }

    fn trim(&self, now_ms: u64, done: Done<Result<u64, AppendError>>) {
        self.ask(Work::Trim { now_ms, trimmed: 0 }, Answer::Trim(done, 0), 0);
    }

    fn reset(&self, done: Done<Result<Epoch, AppendError>>) {
        self.ask(Work::Reset, Answer::Reset(done, None), 0);
    }

    fn close(&self) {
        Self::close(self);
    }

    fn journal_faults(&self) -> u64 {
        self.shared.journal_faults.load(Ordering::Acquire)
    }

    fn journal_is_whole(&self, faults: u64) {
        self.shared.journal_whole.fetch_max(faults, Ordering::AcqRel);
        self.shared.queue.wake();
    }

    fn put_session(&self, session: Session, done: Done<Result<(), SessionError>>) {
        if let Err(fault) = session.check() {
            return done(Err(fault));
        }
        let rooms: usize = session.rooms.iter().map(|room| room.name.len() + 32).sum();
        let bytes = (rooms + session.state.len()) as u64;
        self.ask(Work::Put(Box::new(session)), Answer::Put(done, Ok(())), bytes);
    }

    fn remove_session(&self, key: SessionKey, fence: u64, done: Done<Result<bool, SessionError>>) {
        self.ask(Work::Remove(key, fence), Answer::Remove(done, Ok(false)), 0);
    }

    fn session(&self, key: SessionKey) -> Result<Option<Session>, ReadError> {
        self.shared.readers.session(key)
    }

    fn sessions(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<Session>, ReadError> {
        self.shared.readers.sessions(after, limit)
    }

    fn strongest(&self) -> Durability {
        Durability::Disk
    }

    fn health(&self) -> Health {
        if self.shared.queue.is_closed() { Health::Closed } else { self.shared.health() }
    }

    fn stats(&self) -> Stats {
        let (queued_requests, queued_bytes) = self.shared.queue.waits();
        let stats = *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner);
        Stats { queued_requests, queued_bytes, ..stats }
    }
}
