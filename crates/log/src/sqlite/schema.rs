//! The tables, how a connection is set up, and the one row that says where the log stands.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::codec::checksum;
use crate::{Epoch, MAX_SEQUENCE, Refusal, Stats};

/// Written into the header of the file ("fanf"), so that another program's store is not touched.
pub(super) const APPLICATION_ID: i32 = 0x6661_6e66;
/// The version of the tables below.
pub(super) const FORMAT: i32 = 1;

/// After so many pages the writer itself moves the write-ahead log into the store: 64 MiB. The
/// keeper does it earlier whenever the writer leaves it the time.
const WRITER_CHECKPOINT_PAGES: u32 = 16_384;

/// The largest value that is read, in bytes: above the largest body. What a damaged page calls
/// larger is not even allocated.
const MAX_VALUE_BYTES: i32 = 24 << 20;

/// The largest number of a state that is believed: half of what a sequence can be, so that there is
/// always place for more. At a million entries a second it lasts 145 000 years.
const MAX_STATE_NUMBER: u64 = MAX_SEQUENCE / 2;

const TABLES: &str = "
    CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL) STRICT;
    CREATE TABLE entries (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
        trimmed INTEGER NOT NULL, idle INTEGER, sum INTEGER NOT NULL,
        UNIQUE (namespace, name)
    ) STRICT;
    CREATE INDEX rooms_idle ON rooms (idle) WHERE idle IS NOT NULL;
    CREATE TABLE room_entries (
        room INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (room, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE keys (
        namespace TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL,
        time_ms INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (namespace, key)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX keys_sequence ON keys (sequence);
    CREATE TABLE sessions (key BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB) STRICT;
";

/// Why the store could not be used: what SQLite said, or what is not as it was written.
#[derive(Debug)]
pub(super) enum StoreError {
    Sqlite(rusqlite::Error),
    /// An entry is not what was written.
    Entry(u64),
    /// Readers were in the way.
    Busy,
    /// Something else is not what was written.
    Damaged(&'static str),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Entry(sequence) => write!(f, "the entry {sequence} is not what was written"),
            Self::Busy => f.write_str("readers kept the log from being moved into the store"),
            Self::Damaged(what) => write!(f, "{what} is not what was written"),
        }
    }
}

impl StoreError {
    /// The header does not say that the file is a log, though it was one.
    pub(super) const HEADER: Self = Self::Damaged("the header of the file");

    /// Why the log refuses because of it.
    pub(super) fn refusal(&self) -> Refusal {
        let error = match self {
            Self::Sqlite(error) => error,
            Self::Busy => return Refusal::Store(self.to_string()),
            Self::Entry(_) | Self::Damaged(_) => return Refusal::Damaged(self.to_string()),
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Refusal::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Refusal::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Refusal::Damaged(error.to_string())
            }
            _ => Refusal::Store(error.to_string()),
        }
    }

    /// Whether the file is no store of SQLite.
    pub(super) fn is_no_store(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        error.sqlite_error_code() == Some(ErrorCode::NotADatabase)
    }

    /// Whether the content is at fault rather than the disk.
    pub(super) fn is_damage(&self) -> bool {
        // A value of another type, or text that is not UTF-8, was not written so.
        let foreign = |error: &rusqlite::Error| {
            error.sqlite_error_code().is_none()
                && !matches!(error, rusqlite::Error::QueryReturnedNoRows)
        };
        match self {
            Self::Sqlite(error) => foreign(error) || matches!(self.refusal(), Refusal::Damaged(_)),
            Self::Busy => false,
            Self::Entry(_) | Self::Damaged(_) => true,
        }
    }
}

/// Where the log stands: one row, rewritten by each transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) epoch: Epoch,
    /// How many transactions there were.
    pub(super) commits: u64,
    /// The first kept entry; one after the head when there is none.
    pub(super) first: u64,
    pub(super) head: u64,
    /// The bytes of the kept entries, as retention counts them.
    pub(super) bytes: u64,
    /// The watermark of every room that has no row.
    pub(super) floor: u64,
    pub(super) keys: u64,
    pub(super) sessions: u64,
    /// How many rooms have a row but no entry.
    pub(super) idle_rooms: u64,
}

impl State {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            commits: 0,
            first: 1,
            head: 0,
            bytes: 0,
            floor: 0,
            keys: 0,
            sessions: 0,
            idle_rooms: 0,
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            entries: self.entries(),
            bytes: self.bytes,
            sessions: self.sessions,
            keys: self.keys,
            ..Stats::default()
        }
    }

    pub(super) fn entries(&self) -> u64 {
        (self.head + 1).saturating_sub(self.first)
    }

    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut statement = connection.prepare_cached("SELECT body FROM state WHERE id = 1")?;
        let body: Vec<u8> = match statement.query_row([], |row| row.get(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                return Err(StoreError::Damaged("the state"));
            }
            other => other?,
        };
        Self::decode(&body).ok_or(StoreError::Damaged("the state"))
    }

    pub(super) fn store(&self, connection: &Connection) -> Result<(), StoreError> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO state (id, body) VALUES (1, ?1)")?
            .execute(params![self.encode()])?;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [
            self.epoch.0,
            self.commits,
            self.first,
            self.head,
            self.bytes,
            self.floor,
            self.keys,
            self.sessions,
            self.idle_rooms,
        ];
        let mut body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let sum = u64::from(checksum(&[&body]));
        body.extend_from_slice(&sum.to_le_bytes());
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (content, sum) = body.split_last_chunk::<8>()?;
        if u64::from_le_bytes(*sum) != u64::from(checksum(&[content])) {
            return None;
        }
        let (numbers, []) = content.as_chunks::<8>() else { return None };
        let [epoch, commits, first, head, bytes, floor, keys, sessions, idle_rooms] = numbers
        else {
            return None;
        };
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let state = Self {
            epoch: Epoch(number(epoch)),
            commits: number(commits),
            first: number(first),
            head: number(head),
            bytes: number(bytes),
            floor: number(floor),
            keys: number(keys),
            sessions: number(sessions),
            idle_rooms: number(idle_rooms),
        };
        let fits = numbers.iter().skip(1).all(|count| number(count) <= MAX_STATE_NUMBER);
        (fits && state.first <= state.head + 1).then_some(state)
    }
}

/// The checksum of a room's row.
pub(super) fn room_sum(namespace: &str, name: &str, id: i64, trimmed: u64, idle: bool) -> i64 {
    let (id, trimmed) = (id.to_le_bytes(), trimmed.to_le_bytes());
    let length = (namespace.len() as u64).to_le_bytes();
    let parts = [&length[..], namespace.as_bytes(), name.as_bytes(), &id, &trimmed];
    i64::from(checksum(&parts)) << 1 | i64::from(idle)
}

/// The checksum of a key's row.
pub(super) fn key_sum(namespace: &str, key: &str, sequence: u64, time_ms: u64) -> i64 {
    let length = (namespace.len() as u64).to_le_bytes();
    let (sequence, time_ms) = (sequence.to_le_bytes(), time_ms.to_le_bytes());
    i64::from(checksum(&[&length, namespace.as_bytes(), key.as_bytes(), &sequence, &time_ms]))
}

/// A sequence or time as SQLite holds it. Both were checked to fit when they came in.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored number that must not be negative.
pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged("a number"))
}

/// The connection that writes; creates the file if it is not there, not the tables.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    keep_journal(&connection)?;
    Ok(connection)
}

/// A connection that may write and has not touched the file yet: it may be another program's.
/// Creates the file if it is not there.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    create_private(path);
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Creates the file if it is not there, for its user alone: events are nobody else's business. What
/// SQLite puts beside it gets the same rights, and a file that is there keeps those it was given.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Where it cannot be, SQLite cannot either and says why.
    let _ = options.open(path);
}

/// A connection to a damaged store. It finds the write-ahead log even if `-shm` is gone, and leaves
/// it where it is at its end.
pub(super) fn open_damaged(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Makes a connection write as ours do.
pub(super) fn keep_journal(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is a write; the keeper and the class `disk` sync the write-ahead log themselves.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WRITER_CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(())
}

/// A connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// A connection that reads a log that may be on a read-only disk. SQLite would make files beside
/// it; where it cannot, and nobody else has, nobody writes it either.
pub(super) fn open_viewer(path: &Path) -> Result<Connection, StoreError> {
    let plain = open_reader(path).and_then(|connection| kind(&connection).map(|_| connection));
    let cannot = |fault: &StoreError| {
        let StoreError::Sqlite(error) = fault else { return false };
        error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
    };
    let Some(name) = path.to_str().filter(|_| plain.as_ref().is_err_and(cannot)) else {
        return plain;
    };
    if Path::new(&format!("{name}-wal")).exists() {
        return plain;
    }
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -16_384)?; // 16 MiB
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Whether the file is a log of ours, is new, or is something else.
pub(super) enum Kind {
    New,
    Log,
    /// A log whose tables are of another version.
    Version(i32),
    Foreign,
}

pub(super) fn kind(connection: &Connection) -> Result<Kind, StoreError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (pragma("application_id")?, pragma("user_version")?, tables) {
        (APPLICATION_ID, FORMAT, _) => Kind::Log,
        (APPLICATION_ID, other, _) => Kind::Version(other),
        (0, 0, 0) => Kind::New,
        _ => Kind::Foreign,
    })
}

/// Whether the tables are ours, to the letter. Only then does a query of ours do what it says: a
/// view of the same name could be anything.
pub(super) fn check_tables(connection: &Connection) -> Result<(), StoreError> {
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(TABLES)?;
    if tables(connection, None)? == tables(&ours, None)? {
        Ok(())
    } else {
        Err(StoreError::Damaged("the list of tables"))
    }
}

/// Whether one table is ours, whatever the others are.
pub(super) fn check_table(connection: &Connection, name: &str) -> Result<(), StoreError> {
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(TABLES)?;
    if tables(connection, Some(name))? == tables(&ours, Some(name))? {
        Ok(())
    } else {
        Err(StoreError::Damaged("the list of tables"))
    }
}

/// Type, name, table and definition of all there is, or of one name. One more than ours is enough
/// to know that they are not ours.
fn tables(connection: &Connection, name: Option<&str>) -> Result<Vec<[String; 4]>, StoreError> {
    let sql = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema \
               WHERE ?1 IS NULL OR name = ?1 ORDER BY type, name LIMIT 32";
    let mut statement = connection.prepare(sql)?;
    let rows =
        statement.query_map([name], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
    rows?.map(|row| row.map_err(StoreError::from)).collect()
}

/// Makes the tables of a new log, in one transaction.
pub(super) fn create(connection: &mut Connection, state: &State) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    state.store(&transaction)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(())
}
