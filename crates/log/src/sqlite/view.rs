//! Looking at a log without owning it: for tools, also while a server writes it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::OpenError;
use super::mark::{is_held, peek};
use super::open::identify;
use super::read::{Snapshot, read_error};
use super::schema::{State, StoreError, check_tables, open_viewer};
use crate::{Epoch, Order, Page, Position, Query, ReadError, Scope};

/// How a log stands, without a check of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The first kept sequence; one after the head when nothing is kept.
    pub first: u64,
    /// The last sequence.
    pub head: u64,
    /// The kept entries.
    pub entries: u64,
    /// Their bytes, as [`Record::cost_bytes`](crate::Record::cost_bytes) counts them.
    pub bytes: u64,
    /// The journalled sessions.
    pub sessions: u64,
    /// The remembered idempotency keys.
    pub keys: u64,
    /// When the oldest kept entry was published, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<u64>,
    /// When the newest was.
    pub newest_ms: Option<u64>,
    /// The bytes of the store and its write-ahead log on the disk.
    pub file_bytes: u64,
    /// Whether a process has it open.
    pub is_open: bool,
}

/// Whether a process has a log open.
///
/// # Errors
///
/// When the mark beside the log cannot be read.
pub fn is_open(path: &Path) -> Result<bool, OpenError> {
    is_held(path).map_err(OpenError::of_io)
}

/// A log that is only read. Nothing is locked or changed, and nothing is held while nothing is
/// asked: each answer is of the moment it was asked for.
pub struct SqliteView {
    path: PathBuf,
    connection: Connection,
}

impl SqliteView {
    /// Looks at a file.
    ///
    /// # Errors
    ///
    /// When there is no log, or its tables are not as they were written.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let of = |fault: StoreError| OpenError::of(&fault);
        if !path.exists() {
            return Err(OpenError::Missing);
        }
        let is_marked = peek(path).is_some();
        let connection = match identify(open_viewer(path), is_marked)? {
            (connection, false) => connection,
            _ if is_marked => return Err(of(StoreError::HEADER)),
            _ => return Err(OpenError::Foreign),
        };
        check_tables(&connection).map_err(of)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// How the log stands.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or its first or last entry is damaged.
    pub fn overview(&self) -> Result<Overview, ReadError> {
        let state = self.snapshot(|snapshot| {
            let state = snapshot.state;
            let time = |order: Order| -> Result<Option<u64>, StoreError> {
                let query = Query { limit: 1, order, ..Query::new(Scope::All) };
                let Ok(bounds) = query.bounds(state.epoch, state.head) else { return Ok(None) };
                let page = snapshot.page(&query, &bounds)?;
                Ok(page.entries.first().map(|entry| entry.record.time_ms))
            };
            Ok((state, time(Order::OldestFirst)?, time(Order::NewestFirst)?))
        });
        let (state, oldest_ms, newest_ms) = state.map_err(|fault| read_error(&fault))?;
        let size = |ending: &str| {
            let mut path = self.path.as_os_str().to_owned();
            path.push(ending);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        Ok(Overview {
            epoch: state.epoch,
            first: state.first,
            head: state.head,
            entries: state.entries(),
            bytes: state.bytes,
            sessions: state.sessions,
            keys: state.keys,
            oldest_ms,
            newest_ms,
            file_bytes: size("") + size("-wal"),
            is_open: is_held(&self.path).map_err(|error| ReadError::Store(error.to_string()))?,
        })
    }

    /// Reads a page, as [`EventLog::read`](crate::EventLog::read) does.
    ///
    /// # Errors
    ///
    /// As for that.
    pub fn read(&self, query: &Query<'_>) -> Result<Page, ReadError> {
        let page = self.snapshot(|snapshot| {
            match query.bounds(snapshot.state.epoch, snapshot.state.head) {
                Ok(bounds) => snapshot.page(query, &bounds).map(Ok),
                Err(fault) => Ok(Err(fault)),
            }
        });
        page.map_err(|fault| read_error(&fault)).flatten()
    }

    fn snapshot<T>(
        &self,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let state = State::load(&transaction)?;
        let head = Position { epoch: state.epoch, sequence: state.head };
        read(&Snapshot { connection: &transaction, state, head })
    }
}
