//! Where sessions, polls and votes are kept: SQLite, or PostgreSQL for several nodes.
//!
//! Everything is asked of a few tasks that own a connection each ([`worker`]); the statements are
//! the same for both databases. For SQLite one task writes, and all that waits for it shares a
//! transaction, each part with a savepoint of its own: thousands of votes in a second are a few
//! dozen commits. Commits are in the file (WAL, `synchronous=NORMAL`): they survive the end of the
//! process.

mod outbox;
mod participants;
mod polls;
mod row;
mod schema;
mod sessions;
mod target;
mod votes;
mod worker;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

pub(crate) use outbox::{Moment, Pending};
pub(crate) use participants::{ParticipantPage, Seen};
pub(crate) use target::Target;
pub use target::{DatabaseUrl, DatabaseUrlError};
pub(crate) use votes::Cast;
pub(crate) use worker::Tx;

use self::worker::{Job, Pool};
use crate::domain::Millis;
use crate::error::Refused;

/// Which database it is, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    writers: mpsc::Sender<Job>,
    readers: mpsc::Sender<Job>,
    dialect: Dialect,
}

/// Why something was not kept, or could not be read. The environment's fault, but for a bug.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or does not take this.
    #[error("the database does not work: {0}")]
    Unavailable(String),
    /// The disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// More waits than may wait.
    #[error("more waits for the database than may wait")]
    Busy,
    /// It ended before it answered.
    #[error("the database ended before it answered")]
    Closed,
    /// A bug.
    #[error("a bug: what was asked of the database panicked")]
    Bug,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        // SQLITE_FULL; PostgreSQL's `disk_full`.
        if code.is_some_and(|code| code == "13" || code == "53100") {
            return StoreError::Full;
        }
        StoreError::Unavailable(error.to_string())
    }
}

impl Database {
    /// Opens it and brings its tables to the form this version needs. The tasks run on the current
    /// runtime, until the last clone is gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn open(target: &Target) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        schema::migrate(target).await?;
        let dialect = target.dialect();
        let writers = Pool::writers(target).await?;
        Pool::tidy(target, &writers).await?;
        // What is only in memory has one connection.
        let readers = match target {
            Target::Memory => writers.clone(),
            Target::File(_) | Target::Postgres(_) => Pool::readers(target).await?,
        };
        Ok(Database { writers, readers, dialect })
    }

    /// Which one it is.
    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it answers.
    ///
    /// # Errors
    ///
    /// [`Refused::Store`].
    pub(crate) async fn check(&self) -> Result<(), Refused> {
        self.read(|tx| tx.check().boxed()).await
    }

    /// Changes something. Done when it is committed; undone, for this caller alone, if it fails.
    ///
    /// # Errors
    ///
    /// What the change refused, or [`Refused::Store`]; nothing was changed then, unless the connection
    /// broke at the very end.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Refused>> + Send + 'static,
    {
        ask(&self.writers, change).await
    }

    /// Reads something that was committed.
    ///
    /// # Errors
    ///
    /// What the question refused, or [`Refused::Store`].
    pub(crate) async fn read<T, F>(&self, question: F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Refused>> + Send + 'static,
    {
        ask(&self.readers, question).await
    }
}

async fn ask<T, F>(pool: &mpsc::Sender<Job>, work: F) -> Result<T, Refused>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Refused>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    pool.try_send(worker::job(work, sender)).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => StoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
    })?;
    receiver.await.unwrap_or(Err(Refused::Store(StoreError::Closed)))
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Refused::Store(error.into())
    }
}

/// A time or a number for a column.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time or a number from a column.
pub(crate) fn number(column: i64) -> Millis {
    u64::try_from(column).unwrap_or_default()
}

#[cfg(test)]
mod tests;
