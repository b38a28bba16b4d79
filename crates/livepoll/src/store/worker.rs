//! Tasks that own a connection each and do what is asked, one transaction after the other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{AnyConnection, ConnectOptions};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Dialect, StoreError, Target, schema};
use crate::error::Refused;

/// How many questions may wait; further ones are refused.
const MAX_WAITING: usize = 8_192;

/// How many changes share a transaction of SQLite at most: the first waits for the last.
const MAX_BATCH: usize = 256;

/// How many connections to PostgreSQL write, and how many read.
const POSTGRES_WRITERS: usize = 8;
const POSTGRES_READERS: usize = 4;

/// How many connections to SQLite read.
const SQLITE_READERS: usize = 2;

/// How often the journal of SQLite is brought into its file.
const TIDY_TURN: Duration = Duration::from_secs(1);

/// How long connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A connection within a transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    /// The connection.
    pub(crate) connection: AnyConnection,
    dialect: Dialect,
}

/// What is told to the caller once it is known whether it is committed.
type Answer = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// What a caller wants done: the work, which says whether it went well, and the answer.
pub(super) type Job = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, (bool, Answer)> + Send>;

/// A job, and who hears how it went.
pub(super) fn job<T, F>(work: F, told: oneshot::Sender<Result<T, Refused>>) -> Job
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Refused>> + Send + 'static,
{
    Box::new(move |tx| {
        async move {
            let done = AssertUnwindSafe(async { work(tx).await }).catch_unwind().await;
            let result = done.unwrap_or(Err(Refused::Store(StoreError::Bug)));
            let good = result.is_ok();
            let answer: Answer = Box::new(move |failure| {
                // Who does not wait any more is not told.
                let _ = told.send(match failure {
                    Some(error) => Err(Refused::Store(error.clone())),
                    None => result,
                });
            });
            (good, answer)
        }
        .boxed()
    })
}

impl Tx {
    /// What is appended to a `SELECT` so that nobody changes the row before this is committed, while
    /// others may read it for the same purpose. SQLite has one writer.
    pub(crate) const fn shared(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR SHARE",
        }
    }

    /// The same for who will change the row: nobody else gets it.
    pub(crate) const fn exclusive(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// Whether the connection answers.
    pub(super) async fn check(&mut self) -> Result<(), Refused> {
        Ok(self.run("SELECT 1").await?)
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(statement).execute(&mut self.connection).await?;
        Ok(())
    }
}

/// A kind of worker.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    target: Target,
    begin: &'static str,
    batch: usize,
}

impl Pool {
    /// Starts those who write.
    pub(super) async fn writers(target: &Target) -> Result<mpsc::Sender<Job>, StoreError> {
        let (count, begin, batch) = match target.dialect() {
            Dialect::Sqlite => (1, "BEGIN IMMEDIATE", MAX_BATCH),
            // Each on its own: what shares a transaction would share its locks.
            Dialect::Postgres => (POSTGRES_WRITERS, "BEGIN", 1),
        };
        Pool { target: target.clone(), begin, batch }.start(count).await
    }

    /// Starts those who read: what they read is of one moment.
    pub(super) async fn readers(target: &Target) -> Result<mpsc::Sender<Job>, StoreError> {
        let (count, begin) = match target.dialect() {
            Dialect::Sqlite => (SQLITE_READERS, "BEGIN"),
            Dialect::Postgres => {
                (POSTGRES_READERS, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
        };
        Pool { target: target.clone(), begin, batch: 1 }.start(count).await
    }

    /// Starts the one who brings what was committed from the journal of a file into the file.
    pub(super) async fn tidy(
        target: &Target,
        writers: &mpsc::Sender<Job>,
    ) -> Result<(), StoreError> {
        let Target::File(_) = target else { return Ok(()) };
        let pool = Pool { target: target.clone(), begin: "", batch: 1 };
        let (mut tx, writers) = (Some(pool.connect().await?), writers.downgrade());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TIDY_TURN).await;
                // All who could write are gone.
                let Some(_) = writers.upgrade() else { return };
                if let Some(connected) = &mut tx
                    && connected.run("PRAGMA wal_checkpoint(PASSIVE)").await.is_err()
                {
                    tx = None;
                }
                if tx.is_none() {
                    // If it fails, the next turn tries again; who writes says that the disk is broken.
                    tx = pool.connect().await.ok();
                }
            }
        });
        Ok(())
    }

    async fn start(self, count: usize) -> Result<mpsc::Sender<Job>, StoreError> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..count {
            let tx = self.connect().await?;
            tokio::spawn(self.clone().work(Some(tx), Arc::clone(&receiver)));
        }
        Ok(sender)
    }

    async fn connect(&self) -> Result<Tx, StoreError> {
        let options = self.target.options()?;
        let connecting = tokio::time::timeout(CONNECT_DEADLINE, options.connect()).await;
        let late = |_| StoreError::Unavailable("connecting took too long".to_owned());
        let mut tx = Tx { connection: connecting.map_err(late)??, dialect: self.target.dialect() };
        match &self.target {
            Target::Memory => schema::run(&mut tx.connection, tx.dialect).await?,
            // Survives the end of the process; a loss of power may take the last commits. The disk is
            // waited for by the one who tidies, not by those who vote.
            Target::File(_) => {
                tx.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL").await?;
                tx.run("PRAGMA wal_autocheckpoint=16384").await?; // 64 MiB, should nobody tidy
            }
            Target::Postgres(_) => {
                tx.run("SET statement_timeout = '10s'; SET lock_timeout = '5s'").await?;
            }
        }
        Ok(tx)
    }

    async fn work(self, mut tx: Option<Tx>, jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
        let mut batch = Vec::with_capacity(self.batch);
        loop {
            let count = jobs.lock().await.recv_many(&mut batch, self.batch).await;
            if count == 0 {
                return;
            }
            let mut answers = Vec::with_capacity(count);
            let failure = self.transact(&mut tx, &mut batch, &mut answers).await.err();
            if let Some(error) = &failure {
                tracing::warn!(%error, "the database of live polling does not work");
                // A connection that failed may be broken; in memory it is all there is.
                if self.target != Target::Memory {
                    tx = None;
                }
            }
            // Those that were not begun hear that it ended before it answered.
            batch.clear();
            answers.into_iter().for_each(|answer: Answer| answer(failure.as_ref()));
        }
    }

    /// Does all jobs in one transaction. If that fails, none of them was done.
    async fn transact(
        &self,
        tx: &mut Option<Tx>,
        batch: &mut Vec<Job>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), StoreError> {
        let tx = self.begin(tx).await?;
        let shared = batch.len() > 1;
        let mut good = true;
        for job in batch.drain(..) {
            if shared {
                tx.run("SAVEPOINT part").await?;
            }
            let answer;
            (good, answer) = job(tx).await;
            answers.push(answer);
            match (shared, good) {
                (true, true) => tx.run("RELEASE part").await?,
                (true, false) => tx.run("ROLLBACK TO part; RELEASE part").await?,
                (false, _) => {}
            }
        }
        if shared || good { tx.run("COMMIT").await } else { tx.run("ROLLBACK").await }
    }

    /// Begins a transaction, on a new connection if the old one is gone or broken.
    async fn begin<'t>(&self, tx: &'t mut Option<Tx>) -> Result<&'t mut Tx, StoreError> {
        if let Some(connected) = tx
            && let Err(error) = connected.run(self.begin).await
        {
            if self.target == Target::Memory {
                return Err(error);
            }
            tracing::debug!(%error, "a connection to the database is gone");
            *tx = None;
        }
        match tx {
            Some(tx) => Ok(tx),
            None => {
                let tx = tx.insert(self.connect().await?);
                tx.run(self.begin).await?;
                Ok(tx)
            }
        }
    }
}
