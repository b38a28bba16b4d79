//! The server's memory: what is published goes into the log first, and is shown from there.

mod batch;
mod keeper;
mod payload;
mod sessions;
mod stale;

pub(crate) use keeper::Keeper;
pub(crate) use sessions::{Sessions, pid_key};

use self::stale::Stale;
use crate::namespace::Event;
use crate::settings::RecoverySettings;
use crate::shard::{Broadcasting, Inbox};
use bytes::Bytes;
use eventlog::{
    AppendError, Appended, Durability, Entry, EventLog, Health, Position, ReadError, Record,
};
use hub::Room;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, oneshot};

/// The event log a server records in, and recovers from.
///
/// Made of any [`EventLog`]: [`MemoryLog`](eventlog::MemoryLog) for tests and for what need not
/// survive the process, [`SqliteLog`](eventlog::SqliteLog) for what must.
#[derive(Clone)]
pub struct Log(pub(crate) Arc<dyn EventLog>);

impl Log {
    /// A log to be given to a server.
    pub fn new(log: impl EventLog + 'static) -> Self {
        Log(Arc::new(log))
    }
}

impl From<Arc<dyn EventLog>> for Log {
    fn from(log: Arc<dyn EventLog>) -> Self {
        Log(log)
    }
}

impl std::ops::Deref for Log {
    type Target = dyn EventLog;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("head", &self.0.head()).finish_non_exhaustive()
    }
}

/// What became of an event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it stands in the log. `None` if it is not recorded.
    pub position: Option<Position>,
    /// Its idempotency key was known: the position is that of the first, and nothing was sent now.
    pub repeated: bool,
}

/// How an event is to be recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) key: Option<Arc<str>>,
    pub(crate) durability: Option<Durability>,
}

/// A server's log and the sessions it can bring back.
pub(crate) struct Recorder {
    /// Another for each recorder of the process.
    number: u64,
    pub(crate) log: Arc<dyn EventLog>,
    durability: Durability,
    /// What was given to the log and is not shown yet, by the threads that gave it: one place for
    /// each shard's, behind one for all others.
    pending: Box<[AtomicUsize]>,
    pending_bytes: AtomicU64,
    /// The shards, to be woken when their thread has something for the log.
    inboxes: Arc<[Arc<Inbox>]>,
    pub(crate) sessions: Sessions,
    pub(super) stale: Stale,
    pub(crate) recovery: RecoverySettings,
    /// Who may read from the disk now.
    reads: Arc<Semaphore>,
}

/// Reads from the disk at the same time: more of them only wait for each other, and take the
/// processor from those who are connected.
const MAX_READS: usize = 4;

impl Recorder {
    pub(crate) fn new(log: &Log, inboxes: Arc<[Arc<Inbox>]>, recovery: RecoverySettings) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let log = log.0.clone();
        Recorder {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            // What a log does not offer is not asked of it.
            durability: log.strongest().min(Durability::Os),
            log,
            pending: (0..=inboxes.len()).map(|_| AtomicUsize::new(0)).collect(),
            pending_bytes: AtomicU64::new(0),
            inboxes,
            sessions: Sessions::default(),
            stale: Stale::default(),
            recovery,
            reads: Arc::new(Semaphore::new(MAX_READS)),
        }
    }

    /// Does something when all that this thread gave to the log before is shown.
    pub(crate) fn behind(self: &Arc<Self>, act: impl FnOnce() + Send + 'static) {
        let pending = self.begin(0);
        self.give_act(Box::new(move || {
            act();
            drop(pending);
        }));
    }

    /// Appends an event; `done` is told how it went, in log order and on the log's thread.
    ///
    /// # Errors
    ///
    /// What is not within the limits of the log.
    pub(crate) fn append(
        self: &Arc<Self>,
        broadcast: Broadcasting,
        wish: Wish,
        done: impl FnOnce(Broadcasting, Result<Appended, AppendError>) + Send + 'static,
    ) -> Result<(), AppendError> {
        let record = record(&broadcast, wish.key);
        record.check().map_err(|fault| AppendError::Record { index: 0, fault })?;
        let (durability, offered) =
            (wish.durability.unwrap_or(self.durability), self.log.strongest());
        if durability > offered {
            return Err(AppendError::NotOffered { asked: durability, offered });
        }
        let pending = self.begin(record.cost_bytes());
        self.give(
            record,
            durability,
            Box::new(move |appended| {
                done(broadcast, appended);
                drop(pending);
            }),
        );
        Ok(())
    }

    /// Reads from the log, on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn EventLog) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        // It is never closed.
        let permit = self.reads.clone().acquire_owned().await.ok();
        let log = self.log.clone();
        let done = tokio::task::spawn_blocking(move || {
            let answer = read(&*log);
            drop(permit); // also when nobody waits for it any more
            answer
        });
        let failed = |_| ReadError::Store("the thread that read it has ended".to_owned());
        done.await.map_err(failed)?
    }

    /// Done when all that was asked of the log before is.
    pub(crate) async fn settled(self: &Arc<Self>) {
        let (sender, receiver) = oneshot::channel();
        self.behind(move || {
            let _ = sender.send(()); // whoever waited may be gone
        });
        let _ = receiver.await; // a closed log has done all it will
    }

    /// Why nothing can be recorded at the moment.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        match self.log.health() {
            Health::Ready => None,
            Health::Refusing(refusal) => Some(AppendError::Refused(refusal)),
            Health::Closed => Some(AppendError::Closed),
        }
    }
}

fn record(broadcast: &Broadcasting, key: Option<Arc<str>>) -> Record {
    let names = |rooms: &[Room]| rooms.iter().map(Room::shared).collect();
    let Event { name, args } = broadcast.packet.event();
    Record {
        namespace: broadcast.core.log_name.clone(),
        rooms: names(broadcast.target.room_names()),
        except: names(broadcast.target.except_names()),
        name: name.as_str().into(),
        payload: payload::encode(args),
        time_ms: now_ms(),
        key,
    }
}

/// The event that was recorded. `None` if the entry was not made by this program.
pub(crate) fn event_of(entry: &Entry) -> Option<Event> {
    let name = socketio::EventName::new(&entry.record.name).ok()?;
    Some(Event { name, args: payload::decode(&entry.record.payload)? })
}

/// The arguments of a recorded event, as JSON text: `[…]`, with
/// `{"_placeholder":true,"num":n}` where there is binary data, and that data.
///
/// `None` if the payload is not one that [`Io`](crate::Io) wrote.
#[must_use]
pub fn recorded_args(payload: &Bytes) -> Option<(String, Vec<Bytes>)> {
    payload::split(payload)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
