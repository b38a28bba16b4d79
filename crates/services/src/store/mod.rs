//! Where services keep what outlives a restart: one SQLite file in the data directory.
//!
//! Rooms, messages, receipts, jobs, revocations: state that is asked for, as opposed to the event log,
//! which is what was said and in which order. One thread writes; whatever waits for it goes into
//! one transaction, each caller's part with a savepoint of its own, and is answered when that is
//! committed. Another thread reads. Commits are in the file (WAL, `synchronous=NORMAL`): they
//! survive the end of the process, and a loss of power up to the last ones.

mod worker;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use self::worker::{Job, Worker};
use crate::code::Code;
use crate::refusal::Refusal;

/// The file in the data directory.
const FILE_NAME: &str = "services.db";

/// How many statements a connection keeps compiled.
const CACHED_STATEMENTS: usize = 64;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Worker,
    reader: Worker,
}

/// Why something was not kept, or could not be read. The environment's fault, but for a bug.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened or brought to the form this version needs.
    #[error("{} cannot be used: {why}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// A thread could not be started.
    #[error("a thread for the store could not be started: {0}")]
    Thread(String),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// More waits than may wait.
    #[error("more waits for the store than may wait")]
    Busy,
    /// The thread is gone: the server ends.
    #[error("the store is closed")]
    Closed,
    /// What SQLite says.
    #[error("{0}")]
    Sqlite(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            _ => StoreError::Sqlite(error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Refusal::new(
                Code::StorageFull,
                "It was not done: the disk with the server's data is full.",
            ),
            StoreError::Busy => {
                Refusal::new(Code::Overloaded, "The server has more to keep than it can.")
            }
            error => {
                tracing::warn!(%error, "the store of the services does not work");
                let message = "The server's data cannot be read or written at the moment.";
                Refusal::new(Code::StorageUnavailable, message)
            }
        }
    }
}

impl Store {
    /// Opens the store in a directory, or one in memory that ends with the process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`], [`StoreError::Thread`].
    pub fn open(data: Option<&Path>) -> Result<Self, StoreError> {
        let path = data.map(|data| data.join(FILE_NAME));
        let shown = path.clone().unwrap_or_else(|| PathBuf::from("a store in memory"));
        let failed = |error: rusqlite::Error| StoreError::Open {
            path: shown.clone(),
            why: error.to_string(),
        };
        let writer = connect(path.as_deref(), false).map_err(failed)?;
        let writer = Worker::start("fanfare-store", writer, TransactionBehavior::Immediate)?;
        let reader = match &path {
            // One connection to a file is not in the other's way; in memory there is only one.
            Some(path) => {
                let reader = connect(Some(path), true).map_err(failed)?;
                Worker::start("fanfare-reads", reader, TransactionBehavior::Deferred)?
            }
            None => writer.clone(),
        };
        Ok(Store { writer, reader })
    }

    /// Brings a service's tables to the newest form: runs those of its steps that have not been run on
    /// this file. A step is never changed once it was released; a new form is a new step.
    ///
    /// Waits for the disk: to be called before clients are served.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sqlite`].
    pub fn migrate(
        &self,
        service: &'static str,
        steps: &'static [&'static str],
    ) -> Result<(), StoreError> {
        self.writer.wait(move |transaction| {
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS migrations \
                 (service TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID",
                [],
            )?;
            let done: i64 = transaction
                .query_row("SELECT steps FROM migrations WHERE service = ?1", [service], |row| {
                    row.get(0)
                })
                .or_else(|error| match error {
                    rusqlite::Error::QueryReturnedNoRows => Ok(0),
                    error => Err(error),
                })?;
            let done = usize::try_from(done).unwrap_or(usize::MAX);
            for step in steps.iter().skip(done) {
                transaction.execute_batch(step)?;
            }
            let steps = i64::try_from(steps.len().max(done)).unwrap_or(i64::MAX);
            transaction.execute("REPLACE INTO migrations VALUES (?1, ?2)", (service, steps))?;
            Ok(())
        })
    }

    /// Changes something, in a transaction that others share but that is undone for this caller
    /// alone if it fails. Done when it is committed.
    ///
    /// It runs on the store's thread: it must not take long, nor wait for anything.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed then.
    pub async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        run(&self.writer, change).await
    }

    /// The same, begun at once: several begin in the order of the calls, whoever awaits them.
    pub fn start_write<T, F>(
        &self,
        change: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        start(&self.writer, change)
    }

    /// Reads something that was committed.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn read<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        run(&self.reader, question).await
    }

    /// Changes something from a thread that may wait, before clients are served.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn write_now<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.writer.wait(change)
    }

    /// Reads something from a thread that may wait, before clients are served.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn read_now<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.reader.wait(question)
    }
}

async fn run<T, F>(worker: &Worker, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    start(worker, work).await
}

fn start<T, F>(
    worker: &Worker,
    work: F,
) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let sent = worker.send(Job::new(work, move |result| drop(sender.send(result))));
    async move {
        sent?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }
}

fn connect(path: Option<&Path>, reads: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match path {
        Some(path) => Connection::open_with_flags(path, flags)?,
        None => Connection::open_in_memory()?,
    };
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "query_only", reads)?;
    #[cfg(unix)]
    if let Some(path) = path {
        keep_private(path);
    }
    Ok(connection)
}

/// Messages are nobody else's business. A file system without permissions is let be.
#[cfg(unix)]
fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    if let Err(error) = std::fs::set_permissions(path, private) {
        tracing::warn!(%error, path = %path.display(), "other users may read the server's data");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &[
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "ALTER TABLE notes ADD COLUMN kind TEXT",
    ];

    async fn insert(store: &Store, text: &'static str) -> Result<i64, StoreError> {
        store
            .write(move |transaction| {
                transaction.execute("INSERT INTO notes (text) VALUES (?1)", [text])?;
                Ok(transaction.last_insert_rowid())
            })
            .await
    }

    async fn count(store: &Store) -> i64 {
        let count = |transaction: &Transaction<'_>| {
            transaction.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        };
        store.read(count).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(Some(data.path())).unwrap();
        store.migrate("notes", &STEPS[..1]).unwrap();
        insert(&store, "a").await.unwrap();
        drop(store);
        let store = Store::open(Some(data.path())).unwrap();
        store.migrate("notes", STEPS).unwrap();
        store.migrate("notes", STEPS).unwrap();
        insert(&store, "b").await.unwrap();
        assert_eq!(count(&store).await, 2);
    }

    #[tokio::test]
    async fn one_failure_undoes_nothing_of_others() {
        let store = Store::open(None).unwrap();
        store.migrate("notes", STEPS).unwrap();
        let writes = (0..50).map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |transaction| {
                        let text = format!("note {index}");
                        transaction.execute("INSERT INTO notes (text) VALUES (?1)", [&text])?;
                        // Every second one fails after it has already written.
                        let again = if index % 2 == 0 { &*text } else { "" };
                        if !again.is_empty() {
                            transaction.execute("INSERT INTO notes (text) VALUES (?1)", [again])?;
                        }
                        Ok(())
                    })
                    .await
            })
        });
        let mut failed = 0;
        for write in writes.collect::<Vec<_>>() {
            failed += usize::from(write.await.unwrap().is_err());
        }
        assert_eq!((failed, count(&store).await), (25, 25));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_one_caller() {
        let store = Store::open(None).unwrap();
        store.migrate("notes", STEPS).unwrap();
        let panics = store.write(|_| -> rusqlite::Result<()> { panic!("a bug") }).await;
        assert!(panics.is_err());
        insert(&store, "still here").await.unwrap();
        assert_eq!(count(&store).await, 1);
    }

    #[tokio::test]
    async fn readers_do_not_write() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(Some(data.path())).unwrap();
        store.migrate("notes", STEPS).unwrap();
        let written = store.read(|it| it.execute("DELETE FROM notes", [])).await;
        assert!(matches!(written, Err(StoreError::Sqlite(_))), "{written:?}");
    }
}
