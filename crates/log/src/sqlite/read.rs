//! Reading pages from the store.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::session_of;
use super::codec::{decode_record, decode_session};
use super::rooms::RoomRow;
use super::schema::{State, StoreError, open_reader, signed, unsigned};
use super::tail::Tail;
use crate::query::{Bounds, PageFill, merge};
use crate::{Entry, Order, Page, Position, Query, ReadError, Session, SessionKey};

/// The most connections that are kept for reading. More readers open one and close it again.
const MAX_IDLE_READERS: usize = 4;

/// The most sessions of one page.
const MAX_PAGE_SESSIONS: usize = 10_000;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens those that are kept, at once: how many files a server has open does not depend on who
    /// reads.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let open = |_| {
            let connection = open_reader(&path)?;
            State::load(&connection)?; // only a read opens all of its files
            Ok(connection)
        };
        let idle = (0..MAX_IDLE_READERS).map(open).collect::<Result<_, StoreError>>()?;
        Ok(Self { path, idle: Mutex::new(idle) })
    }

    /// Closes the connections that are kept.
    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let answer = read(&mut connection)?; // after an error the connection is not kept
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE_READERS {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// A page of what is published.
    pub(super) fn page(&self, query: &Query<'_>, tail: &RwLock<Tail>) -> Result<Page, ReadError> {
        let read = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            // The snapshot is taken under the lock, so that it is of the published epoch; trims
            // after it do not matter to it.
            let tail = tail.read().unwrap_or_else(PoisonError::into_inner);
            let state = State::load(&transaction)?;
            let head = tail.position();
            drop(tail);
            let bounds = match query.bounds(head.epoch, head.sequence) {
                Ok(bounds) => bounds,
                Err(fault) => return Ok(Err(fault)),
            };
            let snapshot = Snapshot { connection: &transaction, state, head };
            snapshot.page(query, &bounds).map(Ok)
        };
        self.with(read).map_err(|fault| read_error(&fault)).flatten()
    }

    pub(super) fn watermark(&self, namespace: &str, room: &str) -> Result<u64, ReadError> {
        let read = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let row = RoomRow::find(&transaction, namespace, room)?;
            row.map_or_else(|| Ok(State::load(&transaction)?.floor), |row| Ok(row.trimmed))
        };
        self.with(read).map_err(|fault| read_error(&fault))
    }

    pub(super) fn session(&self, key: SessionKey) -> Result<Option<Session>, ReadError> {
        self.with(|connection| session_of(connection, key)).map_err(|fault| read_error(&fault))
    }

    pub(super) fn sessions(
        &self,
        after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<Session>, ReadError> {
        let read = |connection: &mut Connection| {
            let sql = "SELECT key, body FROM sessions WHERE key > ?1 \
                       ORDER BY key LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let limit = signed(limit.min(MAX_PAGE_SESSIONS) as u64);
            // Every key is after the empty one.
            let after = after.as_ref().map_or(&[][..], |key| &key.0);
            let mut rows = statement.query(params![after, limit])?;
            let mut sessions = Vec::new();
            while let Some(row) = rows.next()? {
                let (key, body): ([u8; 32], Vec<u8>) = (row.get(0)?, row.get(1)?);
                let session = decode_session(SessionKey(key), &body);
                sessions.push(session.map_err(|_| StoreError::Damaged("a session"))?);
            }
            Ok(sessions)
        };
        self.with(read).map_err(|fault| read_error(&fault))
    }
}

pub(super) fn read_error(fault: &StoreError) -> ReadError {
    match fault {
        StoreError::Entry(sequence) => ReadError::Damaged(*sequence),
        other => ReadError::Store(other.to_string()),
    }
}

/// The store at one moment, read up to the published head.
pub(super) struct Snapshot<'a> {
    pub(super) connection: &'a Connection,
    pub(super) state: State,
    pub(super) head: Position,
}

impl Snapshot<'_> {
    pub(super) fn page(&self, query: &Query<'_>, bounds: &Bounds) -> Result<Page, StoreError> {
        let first = self.state.first.max(bounds.after.saturating_add(1));
        let mut fill = PageFill::new(bounds);
        let complete = match query.index_rooms() {
            None => {
                self.span(&mut fill, (first, bounds.last), query.order)?;
                bounds.after.saturating_add(1) >= self.state.first
            }
            Some((namespace, rooms)) => {
                let mut sequences = Vec::new();
                let mut complete = true;
                for room in rooms {
                    let row = RoomRow::find(self.connection, namespace, room)?;
                    let trimmed = row.map_or(self.state.floor, |row| row.trimmed);
                    complete &= trimmed <= bounds.after;
                    if let Some(row) = row {
                        self.sequences(row.id, (first, bounds), query.order, &mut sequences)?;
                    }
                }
                self.picked(&mut fill, merge(sequences, query.order, bounds.limit), query)?;
                complete
            }
        };
        Ok(Page { entries: fill.entries, more: fill.more, complete, head: self.head })
    }

    /// All entries of a span.
    pub(super) fn span(
        &self,
        fill: &mut PageFill,
        (first, last): (u64, u64),
        order: Order,
    ) -> Result<(), StoreError> {
        let sql = match order {
            Order::OldestFirst => {
                "SELECT sequence, body FROM entries WHERE sequence BETWEEN ?1 AND ?2 \
                 ORDER BY sequence"
            }
            Order::NewestFirst => {
                "SELECT sequence, body FROM entries WHERE sequence BETWEEN ?1 AND ?2 \
                 ORDER BY sequence DESC"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![signed(first), signed(last)])?;
        let span = first..last.saturating_add(1);
        let mut expected: Box<dyn Iterator<Item = u64>> = match order {
            Order::OldestFirst => Box::new(span),
            Order::NewestFirst => Box::new(span.rev()),
        };
        for expected in &mut expected {
            let row = rows.next()?.ok_or(StoreError::Entry(expected))?;
            if unsigned(row.get(0)?)? != expected {
                return Err(StoreError::Entry(expected));
            }
            let body = row.get_ref(1)?.as_blob().map_err(|_| StoreError::Entry(expected))?;
            if !fill.push(self.entry(expected, body)?) {
                break;
            }
        }
        Ok(())
    }

    fn sequences(
        &self,
        room: i64,
        (first, bounds): (u64, &Bounds),
        order: Order,
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let sql = match order {
            Order::OldestFirst => {
                "SELECT sequence FROM room_entries WHERE room = ?1 \
                 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence LIMIT ?4"
            }
            Order::NewestFirst => {
                "SELECT sequence FROM room_entries WHERE room = ?1 \
                 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence DESC LIMIT ?4"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let (last, limit) = (signed(bounds.last), signed(bounds.limit as u64 + 1));
        let mut rows = statement.query(params![room, signed(first), last, limit])?;
        while let Some(row) = rows.next()? {
            found.push(unsigned(row.get(0)?)?);
        }
        Ok(())
    }

    /// The entries of given sequences.
    fn picked(
        &self,
        fill: &mut PageFill,
        sequences: Vec<u64>,
        query: &Query<'_>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT body FROM entries WHERE sequence = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        for sequence in sequences {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
            let body = statement.query_row([signed(sequence)], read).optional()?;
            let body = body.ok_or(StoreError::Entry(sequence))?;
            let entry = self.entry(sequence, &body)?;
            if !query.wants(&entry) {
                return Err(StoreError::Damaged("the index of rooms"));
            }
            if !fill.push(entry) {
                break;
            }
        }
        Ok(())
    }

    fn entry(&self, sequence: u64, body: &[u8]) -> Result<Arc<Entry>, StoreError> {
        let record = decode_record(sequence, body).map_err(|_| StoreError::Entry(sequence))?;
        let position = Position { epoch: self.head.epoch, sequence };
        Ok(Arc::new(Entry { position, record }))
    }
}
