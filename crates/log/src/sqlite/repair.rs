//! Cutting a damaged log at its first wrong record.

use std::path::{Path, PathBuf};

use super::OpenError;
use super::apply::Apply;
use super::codec::decode_record;
use super::mark::{BootId, Mark, MarkFile};
use super::open::identify;
use super::rooms::RoomCache;
use super::schema::{State, StoreError, check_table, create, open_damaged, open_writer, unsigned};
use super::writer::checkpoint;
use crate::{Epoch, Record, Settings};

/// After so many records a repair commits what it saved.
const REPAIR_STEP: usize = 4096;

/// What a repair kept and what it lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// The new epoch. Every client that comes back is told that it was not recovered.
    pub epoch: Epoch,
    /// The first kept sequence.
    pub first: u64,
    /// The last kept sequence: the log was cut behind it.
    pub head: u64,
    /// The last sequence that is known to have been there. What is between is lost.
    pub lost_up_to: u64,
    /// Why it was cut where it was; `None` when every record was right.
    pub reason: Option<String>,
    /// The sessions that were dropped, if they could be counted: no session of an old epoch can
    /// be recovered.
    pub sessions_dropped: u64,
    /// Where the log as it was found is kept.
    pub damaged: PathBuf,
}

impl std::fmt::Display for RepairReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it was repaired: ")?;
        match self.lost_up_to.saturating_sub(self.head) {
            0 => f.write_str("no entry is lost")?,
            1 => write!(f, "the entry {} is lost", self.lost_up_to)?,
            _ => write!(f, "the entries {} to {} are lost", self.head + 1, self.lost_up_to)?,
        }
        write!(f, "; it is kept as it was in {}", self.damaged.display())
    }
}

/// Repairs a log that no process has open: keeps the records before the first wrong one, begins a
/// new epoch, and keeps the file as it was found beside it. The index of rooms and the keys are
/// built anew from the records.
///
/// # Errors
///
/// When another process has the log open, the file is not a log or one of another version, or a
/// file cannot be read or written. The log is then as it was.
pub fn repair(path: &Path) -> Result<RepairReport, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    let mut mark = MarkFile::open(path).map_err(OpenError::of_mark)?;
    let is_marked = mark.read().map_err(OpenError::of_io)?.is_some();
    match identify(open_damaged(path), is_marked) {
        Err(fault @ (OpenError::Version { .. } | OpenError::Foreign)) => Err(fault),
        // Whatever else is wrong, nothing is lost: the file is kept beside what can be saved.
        _ => repair_locked(path, &mut mark),
    }
}

pub(super) fn repair_locked(path: &Path, file: &mut MarkFile) -> Result<RepairReport, OpenError> {
    let epoch = Epoch::random().map_err(|fault| OpenError::Store(fault.to_string()))?;
    let mark = file.read().map_err(OpenError::of_io)?;
    let target = beside(path, ".repair");
    remove(&target)?;
    let mut saved = Saved::new(&target, epoch).map_err(|fault| OpenError::of(&fault))?;
    let (known, reason) = salvage(path, &mut saved);
    saved.commit().map_err(|fault| OpenError::of(&fault))?;
    let state = saved.finish().map_err(|fault| OpenError::of(&fault))?;
    let damaged = beside(path, &format!(".damaged-{:016x}", epoch.0));
    let known_head = known.map_or(0, |known| known.head).max(mark.map_or(0, |mark| mark.head));
    let lost_up_to = known_head.max(state.head);
    swap(path, &target, &damaged)?;
    let (commits, head) = (state.commits, state.head);
    let boot = BootId::of_this_machine();
    let mark = Mark { epoch, commits, head, unsynced: false, stale: false, boot };
    file.write(&mark).and_then(|()| file.sync()).map_err(OpenError::of_io)?;
    Ok(RepairReport {
        epoch,
        first: state.first,
        head: state.head,
        lost_up_to,
        reason,
        sessions_dropped: known.map_or(0, |known| known.sessions),
        damaged,
    })
}

/// Reads what is right, from the beginning up to the first thing that is not. Answers where the
/// log said it stood, and why it ended early.
fn salvage(path: &Path, saved: &mut Saved) -> (Option<State>, Option<String>) {
    let read = |saved: &mut Saved, known: &mut Option<State>| -> Result<(), StoreError> {
        let connection = open_damaged(path)?;
        check_table(&connection, "entries")?;
        *known = State::load(&connection).ok();
        let mut statement =
            connection.prepare("SELECT sequence, body FROM entries ORDER BY sequence")?;
        let mut rows = statement.query([])?;
        let mut expected = None;
        while let Some(row) = rows.next()? {
            let sequence = unsigned(row.get(0)?)?;
            let expected = expected.insert(match expected {
                // Where it begins, the state knows better than the first row that is left.
                None => known.map_or(sequence, |known| known.first),
                Some(before) => before + 1,
            });
            if sequence != *expected {
                return Err(StoreError::Entry(*expected));
            }
            let body = row.get_ref(1)?.as_blob().map_err(|_| StoreError::Entry(sequence))?;
            let record = decode_record(sequence, body).map_err(|_| StoreError::Entry(sequence))?;
            saved.push(sequence, record)?;
        }
        Ok(())
    };
    let mut known = None;
    let reason = read(saved, &mut known).err().map(|fault| fault.to_string());
    (known, reason)
}

/// The new store, filled in order.
struct Saved {
    connection: rusqlite::Connection,
    state: State,
    rooms: RoomCache,
    waiting: Vec<Record>,
}

impl Saved {
    fn new(path: &Path, epoch: Epoch) -> Result<Self, StoreError> {
        let mut connection = open_writer(path)?;
        let state = State::new(epoch);
        create(&mut connection, &state)?;
        Ok(Self { connection, state, rooms: RoomCache::default(), waiting: Vec::new() })
    }

    fn push(&mut self, sequence: u64, record: Record) -> Result<(), StoreError> {
        if self.state.head == 0 && self.waiting.is_empty() {
            // What was trimmed before stays trimmed, for every room.
            self.state.first = sequence;
            self.state.head = sequence.saturating_sub(1);
            self.state.floor = self.state.head;
        }
        self.waiting.push(record);
        if self.waiting.len() >= REPAIR_STEP { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        // Nothing is forgotten here: the next trim applies the settings of whoever opens it. A
        // key that was used again after its time is remembered by its last record.
        let settings = Settings {
            key_age: std::time::Duration::MAX,
            max_keys: u64::MAX,
            ..Settings::default()
        };
        let mut apply = Apply::new(&transaction, &settings, self.state, &mut self.rooms);
        for record in self.waiting.drain(..) {
            apply.insert(record)?;
        }
        let (state, _) = apply.finish()?;
        transaction.commit()?;
        self.state = state;
        Ok(())
    }

    /// Everything synced into the one file.
    fn finish(self) -> Result<State, StoreError> {
        checkpoint(&self.connection)?;
        self.connection.close().map_err(|(_, fault)| fault)?;
        Ok(self.state)
    }
}

/// The file beside a store with an ending of its own.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// The endings of the files that belong to one store.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

fn remove(path: &Path) -> Result<(), OpenError> {
    for part in PARTS {
        match std::fs::remove_file(beside(path, part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::of_io(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts the damaged store aside and the repaired one in its place. Killed in between, the next
/// start finds a mark of another epoch.
fn swap(path: &Path, repaired: &Path, damaged: &Path) -> Result<(), OpenError> {
    for part in PARTS {
        let from = beside(path, part);
        if from.exists() {
            std::fs::rename(from, beside(damaged, part)).map_err(OpenError::of_io)?;
        }
    }
    std::fs::rename(repaired, path).map_err(OpenError::of_io)?;
    super::open::sync_directory(path).map_err(OpenError::of_io)
}
