//! Whether a store is what was written.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use rusqlite::Connection;

use super::OpenError;
use super::codec::{decode_record, decode_session};
use super::mark::peek;
use super::open::identify;
use super::rooms::RoomCache;
use super::schema::{State, StoreError, check_tables, key_sum, open_viewer, signed, unsigned};
use crate::record::EVERYONE;
use crate::{Epoch, SessionKey};

/// The most problems that are listed; the first is what counts.
pub const MAX_PROBLEMS: usize = 20;

/// How many entries a check of the recent end reads.
const RECENT_ENTRIES: u64 = 4096;

/// Something in a store that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The entry it concerns, if it is one.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "entry {sequence}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Which life of the log, if that can be read.
    pub epoch: Option<Epoch>,
    /// The first kept sequence.
    pub first: u64,
    /// The last sequence.
    pub head: u64,
    /// How many entries were read and right.
    pub entries: u64,
    /// The bytes of the kept entries, as retention counts them.
    pub bytes: u64,
    /// The journalled sessions.
    pub sessions: u64,
    /// The remembered idempotency keys.
    pub keys: u64,
    /// What is wrong, the first 20. Nothing: the log is whole.
    pub problems: Vec<Problem>,
}

/// Checks a log without changing it, also while a server writes it.
///
/// # Errors
///
/// When the file cannot be opened at all; what is wrong inside is in the report.
pub fn verify(path: &Path) -> Result<VerifyReport, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    let mark = peek(path);
    let connection = match identify(open_viewer(path), mark.is_some()) {
        Ok((connection, false)) => connection,
        Ok(_) if mark.is_some() => return Ok(VerifyReport::broken(&StoreError::HEADER)),
        Ok(_) => return Err(OpenError::Foreign),
        Err(OpenError::Damaged(problems)) => {
            return Ok(VerifyReport { problems, ..VerifyReport::default() });
        }
        Err(fault) => return Err(fault),
    };
    let mut report = check(&connection, true);
    // The mark is written after the store: read later, a whole pair may be apart by what came
    // between, but never by a store that is behind an older mark.
    if let (Some(mark), Some(_), Ok(state)) = (mark, report.epoch, State::load(&connection))
        && state.epoch == mark.epoch
        && state.commits < mark.commits
    {
        report.problem(None, format!("the end is lost: entries up to {} were answered", mark.head));
    }
    Ok(report)
}

impl VerifyReport {
    fn problem(&mut self, sequence: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { sequence, what: what.into() });
        }
    }

    pub(super) fn broken(fault: &StoreError) -> Self {
        let mut report = Self::default();
        report.fault(fault);
        report
    }

    fn fault(&mut self, fault: &StoreError) {
        match fault {
            StoreError::Entry(sequence) => {
                self.problem(Some(*sequence), "it is not what was written");
            }
            other => self.problem(None, other.to_string()),
        }
    }
}

/// Checks a store at one moment.
pub(super) fn check(connection: &Connection, full: bool) -> VerifyReport {
    match connection.unchecked_transaction() {
        Ok(transaction) => check_snapshot(&transaction, full),
        Err(fault) => VerifyReport::broken(&fault.into()),
    }
}

fn check_snapshot(connection: &Connection, full: bool) -> VerifyReport {
    let state = match check_tables(connection).and_then(|()| State::load(connection)) {
        Ok(state) => state,
        Err(fault) => return VerifyReport::broken(&fault),
    };
    let mut report = VerifyReport {
        epoch: Some(state.epoch),
        first: state.first,
        head: state.head,
        entries: 0,
        bytes: state.bytes,
        sessions: state.sessions,
        keys: state.keys,
        problems: Vec::new(),
    };
    let from = if full {
        state.first
    } else {
        state.first.max((state.head + 1).saturating_sub(RECENT_ENTRIES))
    };
    let index = match entries(connection, &state, from, &mut report) {
        Ok(index) => index,
        Err(fault) => {
            report.fault(&fault);
            return report;
        }
    };
    if full {
        let parts = [
            rooms(connection, &state),
            // Where entries are wrong, what is summed up from them tells nothing new.
            index.map_or(Ok(()), |index| room_index(connection, &index)),
            keys(connection, &state),
            sessions(connection, &state),
            pages(connection, &mut report),
        ];
        for fault in parts.into_iter().filter_map(Result::err) {
            report.fault(&fault);
        }
    }
    report
}

/// A sum over what names what, in any order.
#[derive(Default, PartialEq, Eq)]
struct IndexSum {
    count: u64,
    sum: u64,
}

impl IndexSum {
    fn add(&mut self, namespace: &str, room: &str, sequence: u64) {
        let mut hasher = DefaultHasher::new();
        (namespace, room, sequence).hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Reads the entries, and goes on behind one that is wrong. Answers what they name, if all are right.
fn entries(
    connection: &Connection,
    state: &State,
    from: u64,
    report: &mut VerifyReport,
) -> Result<Option<IndexSum>, StoreError> {
    let mut index = IndexSum::default();
    let mut bytes = 0;
    let sql = "SELECT sequence, body FROM entries WHERE sequence >= ?1 ORDER BY sequence";
    let mut statement = connection.prepare(sql)?;
    let from_all = if from == state.first { i64::MIN } else { signed(from) };
    let mut rows = statement.query([from_all])?;
    let mut expected = from;
    while let Some(row) = rows.next()? {
        let sequence = unsigned(row.get(0)?)?;
        if sequence != expected {
            report.fault(&StoreError::Entry(expected));
        }
        expected = sequence.saturating_add(1);
        let record = row.get_ref(1)?.as_blob().ok();
        let Some(record) = record.and_then(|body| decode_record(sequence, body).ok()) else {
            report.fault(&StoreError::Entry(sequence));
            continue;
        };
        for room in record.index_rooms() {
            index.add(&record.namespace, room, sequence);
        }
        bytes += record.cost_bytes();
        report.entries += 1;
    }
    if expected != state.head + 1 {
        report.fault(&StoreError::Entry(expected));
    }
    if !report.problems.is_empty() {
        return Ok(None);
    }
    if from == state.first && bytes != state.bytes {
        return Err(StoreError::Damaged("the number of bytes"));
    }
    Ok(Some(index))
}

fn rooms(connection: &Connection, state: &State) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare("SELECT id, trimmed, idle, sum, namespace, name FROM rooms")?;
    let mut rows = statement.query([])?;
    let mut idle = 0;
    while let Some(row) = rows.next()? {
        let room = RoomCache::from_columns(row)?;
        if room.trimmed >= state.first {
            return Err(StoreError::Damaged("the watermark of a room"));
        }
        idle += u64::from(room.idle);
    }
    if idle == state.idle_rooms { Ok(()) } else { Err(StoreError::Damaged("the number of rooms")) }
}

fn room_index(connection: &Connection, want: &IndexSum) -> Result<(), StoreError> {
    let sql = "SELECT r.namespace, r.name, e.sequence, r.idle FROM room_entries e \
               LEFT JOIN rooms r ON r.id = e.room";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut index = IndexSum::default();
    let damaged = StoreError::Damaged("the index of rooms");
    while let Some(row) = rows.next()? {
        let (namespace, room) = (row.get_ref(0)?, row.get_ref(1)?);
        let (Ok(namespace), Ok(room)) = (namespace.as_str(), room.as_str()) else {
            return Err(damaged);
        };
        if row.get::<_, Option<i64>>(3)?.is_some() {
            return Err(damaged);
        }
        debug_assert!(room == EVERYONE || !room.is_empty());
        index.add(namespace, room, unsigned(row.get(2)?)?);
    }
    if index == *want { Ok(()) } else { Err(damaged) }
}

fn keys(connection: &Connection, state: &State) -> Result<(), StoreError> {
    let mut statement =
        connection.prepare("SELECT namespace, key, sequence, time_ms, sum FROM keys")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let (namespace, key): (String, String) = (row.get(0)?, row.get(1)?);
        let (sequence, time_ms) = (unsigned(row.get(2)?)?, unsigned(row.get(3)?)?);
        if row.get::<_, i64>(4)? != key_sum(&namespace, &key, sequence, time_ms) {
            return Err(StoreError::Damaged("an idempotency key"));
        }
        count += 1;
    }
    if count == state.keys { Ok(()) } else { Err(StoreError::Damaged("the number of keys")) }
}

fn sessions(connection: &Connection, state: &State) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT key, body FROM sessions")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let (key, body): ([u8; 32], Vec<u8>) = (row.get(0)?, row.get(1)?);
        decode_session(SessionKey(key), &body).map_err(|_| StoreError::Damaged("a session"))?;
        count += 1;
    }
    if count == state.sessions {
        Ok(())
    } else {
        Err(StoreError::Damaged("the number of sessions"))
    }
}

/// What SQLite itself finds wrong with the pages and the indexes.
fn pages(connection: &Connection, report: &mut VerifyReport) -> Result<(), StoreError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(5)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            report.problem(None, line.trim());
        }
    }
    Ok(())
}
