//! What is kept and told: a change in the store and the events about it, both or neither.
//!
//! The events stand in the same transaction as the change. One task publishes them, in the order of the
//! transactions, and takes them out when they are in the event log. A server that was killed in
//! between publishes them when it starts again; each has an idempotency key, so that nobody gets one
//! twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare::eventlog::Position;
use fanfare::{Args, Broadcast, EmitError, Namespace};
use futures_util::future::join_all;
use rusqlite::{OptionalExtension, Transaction};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

use crate::code::Code;
use crate::refusal::Refusal;
use crate::sign::unique_id;
use crate::store::{Store, StoreError};
use crate::time::now_ms;

const STEPS: &[&str] = &["CREATE TABLE outbox ( \
     seq INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, rooms TEXT NOT NULL, \
     event TEXT NOT NULL, args TEXT NOT NULL, id TEXT); \
     CREATE TABLE outbox_name (name TEXT NOT NULL); \
     CREATE TABLE positions ( \
     id TEXT PRIMARY KEY, position TEXT NOT NULL, time_ms INTEGER NOT NULL) WITHOUT ROWID; \
     CREATE INDEX positions_by_time ON positions (time_ms)"];

/// How long the position of an event is found by the event's id: longer than most logs keep events.
const POSITIONS_KEPT_MS: u64 = 7 * 86_400_000;

/// How many events are published at once.
const BATCH: usize = 256;

/// How long a caller waits for its events to be published. They are, even if it has gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// After what time a publish that was refused is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// An event that belongs to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    namespace: String,
    /// Everybody in the namespace if empty.
    rooms: Vec<String>,
    event: &'static str,
    args: String,
    id: Option<String>,
}

impl Told {
    /// An event with one argument.
    pub(crate) fn new(
        namespace: &str,
        rooms: Vec<String>,
        event: &'static str,
        argument: &impl Serialize,
    ) -> Self {
        // Structs of texts and numbers, and JSON that came as such.
        let args = serde_json::to_string(&(argument,)).unwrap_or_else(|_| "[]".to_owned());
        Told { namespace: namespace.to_owned(), rooms, event, args, id: None }
    }

    /// With an id, by which its position is found later.
    pub(crate) fn with_id(mut self, id: String) -> Self {
        self.id = Some(id);
        self
    }
}

/// The outbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    store: Store,
    waiting: Arc<Mutex<Waiting>>,
    filled: Arc<Notify>,
    /// No two files have the same: it is part of the idempotency keys.
    name: Arc<str>,
}

impl Outbox {
    pub(crate) fn open(store: &Store) -> Result<Self, StoreError> {
        store.migrate("outbox", STEPS)?;
        let fresh = unique_id();
        let name: String = store.write_now(move |transaction| {
            transaction.execute(
                "INSERT INTO outbox_name SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM outbox_name)",
                [&fresh],
            )?;
            transaction.query_row("SELECT name FROM outbox_name", [], |row| row.get(0))
        })?;
        let (waiting, filled) = (Arc::default(), Arc::default());
        Ok(Outbox { store: store.clone(), waiting, filled, name: name.into() })
    }

    /// Changes something and tells of it. Done when it is kept and the events are in the log: then
    /// the position of the last one, if it is recorded.
    ///
    /// # Errors
    ///
    /// As of the store, and nothing was done; or [`Code::LogUnavailable`]: it is kept, and the events
    /// follow when the log takes them.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<(T, Option<Position>), Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<(T, Vec<Told>)> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.clone();
        let written = self.store.write(move |transaction| {
            let (value, told) = change(transaction)?;
            let mut last = None;
            for event in &told {
                last = Some(insert(transaction, event)?);
            }
            if let Some(seq) = last {
                lock(&waiting).insert(seq, sender);
            }
            Ok((value, last.is_some()))
        });
        let (value, tells) = written.await?;
        if !tells {
            return Ok((value, None));
        }
        self.filled.notify_one();
        match tokio::time::timeout(PATIENCE, receiver).await {
            Ok(Ok(position)) => Ok((value, position)),
            _ => {
                let message = "It is kept, but the event log takes nothing at the moment: others \
                               hear of it as soon as it does.";
                Err(Refusal::new(Code::LogUnavailable, message).with(json!({ "kept": true })))
            }
        }
    }

    /// Tells of something; with an id, once: whether it was told before, and its position.
    ///
    /// # Errors
    ///
    /// As of [`write`](Self::write).
    pub(crate) async fn tell_once(
        &self,
        told: Told,
        id: Option<String>,
    ) -> Result<(bool, Option<Position>), Refusal> {
        let Some(id) = id else {
            return self.write(move |_| Ok((false, vec![told]))).await;
        };
        let of = id.clone();
        let written = self.write(move |transaction| match is_told(transaction, &of)? {
            true => Ok((true, Vec::new())),
            false => Ok((false, vec![told.with_id(of)])),
        });
        match written.await? {
            (true, _) => Ok((true, self.position(&id).await?)),
            fresh => Ok(fresh),
        }
    }

    /// Where an event with an id stands in the log, if it is known.
    pub(crate) async fn position(&self, id: &str) -> Result<Option<Position>, StoreError> {
        let id = id.to_owned();
        let found: Option<String> = self
            .store
            .read(move |transaction| {
                transaction
                    .prepare_cached("SELECT position FROM positions WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))
                    .optional()
            })
            .await?;
        Ok(found.and_then(|position| position.parse().ok()))
    }

    /// Publishes what is in it, for as long as it is run.
    pub(crate) async fn run(self, namespaces: HashMap<String, Namespace>) {
        loop {
            let filled = self.filled.notified();
            match self.publish_some(&namespaces).await {
                Ok(0) => filled.await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "events of the services wait for the disk");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn publish_some(
        &self,
        namespaces: &HashMap<String, Namespace>,
    ) -> Result<usize, StoreError> {
        let rows = self.store.read(read).await?;
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(0) };
        let count = rows.len();
        let published = rows.iter().map(|row| self.publish(row, namespaces.get(&row.namespace)));
        // They enter the log in this order: each does with its first step.
        let positions = join_all(published).await;
        let named: Vec<(String, String)> = rows
            .iter()
            .zip(&positions)
            .filter_map(|(row, position)| Some((row.id.clone()?, (*position)?.to_string())))
            .collect();
        let taken = self.store.write(move |transaction| take(transaction, last, &named));
        // Before the answers: who was answered is not told of it again.
        taken.await?;
        let mut waiting = lock(&self.waiting);
        for (row, position) in rows.iter().zip(positions) {
            if let Some(sender) = waiting.remove(&row.seq) {
                // Who does not wait any more does not hear it.
                let _ = sender.send(position);
            }
        }
        Ok(count)
    }

    async fn publish(&self, row: &Row, namespace: Option<&Namespace>) -> Option<Position> {
        // A namespace that is not served any more has nobody who could hear.
        let namespace = namespace?;
        let args = Args::from_json(&row.args, Vec::new()).ok()?;
        let mut keyed = true;
        loop {
            let broadcast = target(namespace, &row.rooms);
            let broadcast = if keyed {
                broadcast.idempotency_key(format!("outbox:{}:{}", self.name, row.seq))
            } else {
                broadcast
            };
            match broadcast.publish(&row.event, args.clone()).await {
                Ok(published) => return published.position,
                Err(EmitError::NotRecorded) if keyed => keyed = false,
                Err(error @ (EmitError::Overloaded | EmitError::Log(_))) => {
                    tracing::debug!(%error, "an event of the services waits for the event log");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    tracing::error!(%error, event = row.event, "an event cannot be sent: a bug");
                    return None;
                }
            }
        }
    }
}

fn target(namespace: &Namespace, rooms: &[String]) -> Broadcast {
    if rooms.is_empty() { namespace.broadcast() } else { namespace.to(rooms.to_vec()) }
}

/// An event as it is kept.
struct Row {
    seq: i64,
    namespace: String,
    rooms: Vec<String>,
    event: String,
    args: String,
    id: Option<String>,
}

/// Takes out what was published, and keeps where events with an id stand.
fn take(
    transaction: &Transaction<'_>,
    last: i64,
    named: &[(String, String)],
) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM outbox WHERE seq <= ?1")?.execute([last])?;
    if named.is_empty() {
        return Ok(());
    }
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let now = now_ms();
    let mut keep = transaction.prepare_cached("REPLACE INTO positions VALUES (?1, ?2, ?3)")?;
    for (id, position) in named {
        keep.execute((id, position, signed(now)))?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM positions WHERE id IN \
             (SELECT id FROM positions WHERE time_ms < ?1 ORDER BY time_ms LIMIT 1000)",
        )?
        .execute([signed(now.saturating_sub(POSITIONS_KEPT_MS))])?;
    Ok(())
}

/// Whether an event with an id was told, or is about to be.
fn is_told(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM positions WHERE id = ?1) \
               OR EXISTS (SELECT 1 FROM outbox WHERE id = ?1)";
    transaction.prepare_cached(sql)?.query_row([id], |row| row.get(0))
}

fn insert(transaction: &Transaction<'_>, told: &Told) -> rusqlite::Result<i64> {
    // Names of rooms have no line breaks.
    let rooms = told.rooms.join("\n");
    transaction
        .prepare_cached(
            "INSERT INTO outbox (namespace, rooms, event, args, id) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((&told.namespace, rooms, told.event, &told.args, &told.id))?;
    Ok(transaction.last_insert_rowid())
}

fn read(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<Row>> {
    let mut rows = transaction.prepare_cached(
        "SELECT seq, namespace, rooms, event, args, id FROM outbox ORDER BY seq LIMIT ?1",
    )?;
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let rows = rows.query_map([limit], |row| {
        let rooms: String = row.get(2)?;
        Ok(Row {
            seq: row.get(0)?,
            namespace: row.get(1)?,
            rooms: rooms.lines().map(str::to_owned).collect(),
            event: row.get(3)?,
            args: row.get(4)?,
            id: row.get(5)?,
        })
    })?;
    rows.collect()
}

type Waiting = HashMap<i64, oneshot::Sender<Option<Position>>>;

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
