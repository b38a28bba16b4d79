//! Opening a store: which life of the log it is, and whether it is whole.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::apply::Apply;
use super::check::{Problem, VerifyReport, check};
use super::mark::{BootId, Mark, MarkError, MarkFile};
use super::repair::{RepairReport, repair_locked};
use super::rooms::RoomCache;
use super::schema::{FORMAT, Kind, State, StoreError, connect, create, keep_journal, kind};
use super::settings::{Check, OnDamage, SqliteSettings};
use super::writer::checkpoint;
use crate::{Epoch, Refusal};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no file.
    #[error("there is no log at this path")]
    Missing,
    /// Another process has it open.
    #[error("another process has the log open")]
    Locked,
    /// The file is another program's: a SQLite store of its own, or none at all.
    #[error("the file is not an event log")]
    Foreign,
    /// The log was written by another version of this program, with other tables.
    #[error("the log has the format {found}, this version reads {FORMAT}")]
    Version {
        /// The format of the file.
        found: i32,
    },
    /// The log is not what was written. Repair it, or open it with [`OnDamage::Repair`].
    #[error("the log is damaged: {}", .0.first().map_or_else(String::new, ToString::to_string))]
    Damaged(Vec<Problem>),
    /// No space is left.
    #[error("the disk is full")]
    DiskFull,
    /// The file or its directory cannot be written.
    #[error("the log is read-only")]
    ReadOnly,
    /// Anything else the system or the store said.
    #[error("the log could not be opened: {0}")]
    Store(String),
}

impl OpenError {
    pub(super) fn of(fault: &StoreError) -> Self {
        if fault.is_damage() {
            return Self::Damaged(VerifyReport::broken(fault).problems);
        }
        match fault.refusal() {
            Refusal::DiskFull => Self::DiskFull,
            Refusal::ReadOnly => Self::ReadOnly,
            other => Self::Store(other.to_string()),
        }
    }

    // Taken by value to be given to `map_err`.
    #[expect(clippy::needless_pass_by_value)]
    pub(super) fn of_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Store(error.to_string()),
        }
    }

    pub(super) fn of_mark(error: MarkError) -> Self {
        match error {
            MarkError::Locked => Self::Locked,
            MarkError::Io(error) => Self::of_io(error),
        }
    }
}

/// Why the epoch is another than before. Positions handed out before are no longer resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EpochChange {
    /// The log is new.
    Created,
    /// The log was repaired just now.
    Repaired(RepairReport),
    /// Entries that were answered are gone: the end of the write-ahead log was lost.
    EndLost {
        /// The head that was answered.
        answered: u64,
        /// The head that is left.
        left: u64,
    },
    /// The machine restarted, and what was written last had not been synced for certain.
    UnsyncedRestart,
    /// The mark beside the store is missing, damaged or another's: what should be there is not
    /// known. So it is with a copy of the store alone.
    MarkUnknown,
}

impl std::fmt::Display for EpochChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Created => f.write_str("it is new"),
            Self::Repaired(report) => report.fmt(f),
            Self::EndLost { answered, left } => write!(
                f,
                "its end is lost: entries up to {answered} were answered, those up to {left} are left"
            ),
            Self::UnsyncedRestart => f.write_str(
                "the machine restarted before the last entries were synced, so they may be lost",
            ),
            Self::MarkUnknown => f.write_str(
                "the mark beside it is missing or not its own, so what should be there is unknown",
            ),
        }
    }
}

/// How a log was found when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Which life of the log it is now.
    pub epoch: Epoch,
    /// Why that is a new one; `None` when positions handed out before still hold.
    pub change: Option<EpochChange>,
    /// How many entries it has.
    pub entries: u64,
    /// How many sessions were dropped: because no session of an old epoch can be recovered, or
    /// because the journal lacked changes of some, which the disk did not take.
    pub sessions_dropped: u64,
}

/// A store that was checked and is of a known life.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) mark_file: MarkFile,
    pub(super) mark: Mark,
    pub(super) state: State,
    pub(super) report: OpenReport,
}

pub(super) fn open(settings: &SqliteSettings) -> Result<Opened, OpenError> {
    let path = &settings.path;
    let mut mark_file = MarkFile::open(path).map_err(OpenError::of_mark)?;
    let mut repaired = None;
    let is_marked = mark_file.read().map_err(OpenError::of_io)?.is_some();
    let (mut connection, is_new) = match open_whole(path, settings.check, is_marked) {
        Err(OpenError::Damaged(problems)) if settings.on_damage == OnDamage::Repair => {
            tracing::error!(problem = ?problems.first(), "the event log is damaged; repairing it");
            repaired = Some(repair_locked(path, &mut mark_file)?);
            open_whole(path, settings.check, true)?
        }
        other => other?,
    };
    let of = |fault: StoreError| OpenError::of(&fault);
    if let Some(bytes) = settings.max_file_bytes {
        let page: u64 = pragma(&connection, "page_size").map_err(of)?;
        let pages = i64::try_from(bytes / page.max(1)).unwrap_or(i64::MAX);
        connection.pragma_update(None, "max_page_count", pages).map_err(|e| of(e.into()))?;
    }
    let mark = mark_file.read().map_err(OpenError::of_io)?;
    let mut state = State::load(&connection).map_err(of)?;
    let mut sessions_dropped = repaired.as_ref().map_or(0, |report| report.sessions_dropped);
    let change = match repaired {
        Some(report) => Some(EpochChange::Repaired(report)),
        None => {
            let change = epoch_change(&state, is_new, mark, settings.boot);
            if change.as_ref().is_some_and(|change| *change != EpochChange::Created) {
                (state, sessions_dropped) = renew(&mut connection, state, true).map_err(of)?;
            } else if mark.is_some_and(|mark| mark.stale) {
                // What is journalled may not be what clients were told; positions still hold.
                (state, sessions_dropped) = renew(&mut connection, state, false).map_err(of)?;
            }
            change
        }
    };
    // Whatever an earlier process left unsynced is synced from here on.
    checkpoint(&connection).map_err(of)?;
    sync_directory(path).map_err(OpenError::of_io)?;
    let mark = Mark {
        epoch: state.epoch,
        commits: state.commits,
        head: state.head,
        unsynced: false,
        stale: false,
        boot: settings.boot,
    };
    mark_file.write(&mark).and_then(|()| mark_file.sync()).map_err(OpenError::of_io)?;
    let entries = state.entries();
    let report = OpenReport { epoch: state.epoch, change, entries, sessions_dropped };
    Ok(Opened { connection, mark_file, mark, state, report })
}

/// Opens the file, makes the tables of a new one, checks those of an old one; says whether it is new.
fn open_whole(
    path: &Path,
    check_how: Check,
    is_marked: bool,
) -> Result<(Connection, bool), OpenError> {
    let of = |fault: StoreError| OpenError::of(&fault);
    // Asked before anything is set: a store of another program is left as it is.
    let (mut connection, is_new) = identify(connect(path), is_marked)?;
    keep_journal(&connection).map_err(of)?;
    if is_new {
        let epoch = Epoch::random().map_err(|fault| OpenError::Store(fault.to_string()))?;
        create(&mut connection, &State::new(epoch)).map_err(of)?;
    } else {
        let report = check(&connection, check_how == Check::Full);
        if !report.problems.is_empty() {
            return Err(OpenError::Damaged(report.problems));
        }
    }
    Ok((connection, is_new))
}

/// Lets a connection to a log pass, or to a file that is to become one, and says whether it is new.
/// What does not look like a log was one if its mark stands beside it.
pub(super) fn identify(
    connection: Result<Connection, StoreError>,
    is_marked: bool,
) -> Result<(Connection, bool), OpenError> {
    match connection.and_then(|connection| Ok((kind(&connection)?, connection))) {
        Ok((Kind::Log, connection)) => Ok((connection, false)),
        Ok((Kind::New, connection)) => Ok((connection, true)),
        Ok((Kind::Version(found), _)) => Err(OpenError::Version { found }),
        Ok((Kind::Foreign, _)) if is_marked => Err(OpenError::of(&StoreError::HEADER)),
        Ok((Kind::Foreign, _)) => Err(OpenError::Foreign),
        Err(fault) if fault.is_no_store() && !is_marked => Err(OpenError::Foreign),
        Err(fault) => Err(OpenError::of(&fault)),
    }
}

/// Whether positions handed out before still hold.
fn epoch_change(
    state: &State,
    is_new: bool,
    mark: Option<Mark>,
    boot: BootId,
) -> Option<EpochChange> {
    // Without a mark, even a store in which nothing stands may have lost all that was answered.
    let Some(mark) = mark else {
        return Some(if is_new { EpochChange::Created } else { EpochChange::MarkUnknown });
    };
    // A store that was made just now beside an old mark has lost everything.
    let is_its = mark.epoch == state.epoch || state.commits == 0;
    if is_its && state.commits < mark.commits {
        return Some(EpochChange::EndLost { answered: mark.head, left: state.head });
    }
    if mark.epoch != state.epoch {
        return Some(EpochChange::MarkUnknown);
    }
    mark.lost_power(boot).then_some(EpochChange::UnsyncedRestart)
}

/// Begins a new life with the same entries.
fn renew(
    connection: &mut Connection,
    state: State,
    anew: bool,
) -> Result<(State, u64), StoreError> {
    let random = || Epoch::random().map_err(|_| StoreError::Damaged("the randomness"));
    let epoch = if anew { random()? } else { state.epoch };
    let transaction = connection.transaction()?;
    let settings = crate::Settings::default();
    let mut rooms = RoomCache::default();
    let mut apply = Apply::new(&transaction, &settings, state, &mut rooms);
    let dropped = apply.renew(epoch)?;
    let (state, _) = apply.finish()?;
    transaction.commit()?;
    Ok((state, dropped))
}

fn pragma(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Makes the names of new files last.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
