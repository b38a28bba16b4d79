//! A thread with a connection: jobs in, one transaction for those that wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::StoreError;

/// How many jobs may wait; further ones are refused.
const MAX_WAITING: usize = 4_096;

/// How many share a transaction at most: the first waits for the last.
const MAX_BATCH: usize = 256;

/// The way to the thread. It ends when the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Worker(SyncSender<Job>);

/// What a caller wants done, in two halves: the work, and the answer once it is committed.
pub(super) struct Job(Box<dyn FnOnce(&mut Part<'_>) -> Answer + Send>);

type Answer = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// The part of a transaction that one job has.
struct Part<'a>(&'a Transaction<'a>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Job {
    /// A job, and who hears how it went.
    pub(super) fn new<T, W, D>(work: W, done: D) -> Self
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) + Send + 'static,
    {
        Job(Box::new(move |part| {
            let result = part.run(work);
            Box::new(move |failure| match failure {
                Some(error) => done(Err(error.clone())),
                None => done(result),
            })
        }))
    }
}

impl Part<'_> {
    /// Does the work; what it changed is undone if it fails.
    fn run<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.0.execute_batch("SAVEPOINT part")?;
        let done = catch_unwind(AssertUnwindSafe(|| work(self.0)));
        let result = done.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic));
        let end = if result.is_ok() { "RELEASE part" } else { "ROLLBACK TO part; RELEASE part" };
        // A full disk may have undone the whole transaction already: then there is no savepoint.
        let ended = self.0.execute_batch(end);
        let value = result?;
        ended?;
        Ok(value)
    }
}

impl Worker {
    /// Starts a thread with a connection.
    ///
    /// # Errors
    ///
    /// [`StoreError::Thread`].
    pub(super) fn start(
        name: &str,
        connection: Connection,
        behavior: TransactionBehavior,
    ) -> Result<Self, StoreError> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(connection, behavior, &receiver))
            .map_err(|error| StoreError::Thread(error.to_string()))?;
        Ok(Worker(sender))
    }

    /// Hands a job over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`], [`StoreError::Closed`].
    pub(super) fn send(&self, job: Job) -> Result<(), StoreError> {
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// Hands a job over and waits for it, on a thread that may.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn wait<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        self.send(Job::new(work, move |result| drop(sender.send(result))))?;
        receiver.recv().map_err(|_| StoreError::Closed)?
    }
}

fn work(mut connection: Connection, behavior: TransactionBehavior, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let batch = std::iter::once(first).chain(jobs.try_iter().take(MAX_BATCH - 1));
        let batch: Vec<Job> = batch.collect();
        let mut answers = Vec::with_capacity(batch.len());
        let failure = commit(&mut connection, behavior, batch, &mut answers).err();
        if let Some(error) = &failure {
            tracing::warn!(%error, "what was to be kept was not");
        }
        for answer in answers {
            answer(failure.as_ref());
        }
    }
}

/// Does all jobs in one transaction. If it fails, none of them was done.
fn commit(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    batch: Vec<Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    // If it cannot begin, the jobs are dropped, and with them the ways to their callers, who are
    // told that the store is closed.
    let transaction = connection.transaction_with_behavior(behavior)?;
    for Job(job) in batch {
        answers.push(job(&mut Part(&transaction)));
    }
    transaction.commit()?;
    Ok(())
}
