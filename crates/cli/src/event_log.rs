//! The event log as the settings have it: where it is, and how it is opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventlog::{
    Check, Durability, EpochChange, EventLog, MemoryLog, OnDamage, OpenError, OpenReport,
    Retention, SqliteLog, SqliteSettings,
};

use crate::settings::{
    self, EventLog as EventLogSettings, LogCheck, LogDurability, LogKind, Settings,
};

/// How many of the things that are wrong with a file are told at a start; `verify` tells more.
const TOLD_PROBLEMS: usize = 3;

/// The file of the log.
pub(crate) fn path(settings: &Settings, data: &Path) -> PathBuf {
    data.join(&settings.event_log.file)
}

/// Opens the log, and says in the server's log which life of it this is. `None` when it is off.
///
/// # Errors
///
/// What keeps it from being opened, and what to do about it.
pub(crate) fn open(
    settings: &Settings,
    data: &Path,
) -> Result<Option<Arc<dyn EventLog>>, LogError> {
    let EventLogSettings { kind, recorded, ephemeral, .. } = &settings.event_log;
    if *kind != LogKind::Off {
        tracing::info!(?recorded, ?ephemeral, "rooms that are remembered, and that are not");
    }
    match kind {
        LogKind::Off => {
            tracing::info!("no event log: a client that was away is not sent what it missed");
            Ok(None)
        }
        LogKind::Memory => {
            let log = MemoryLog::new(contents(settings)).map_err(|fault| {
                LogError::new(PathBuf::new(), OpenError::Store(fault.to_string()))
            })?;
            tracing::info!(epoch = %log.epoch(), "the event log is in memory");
            Ok(Some(Arc::new(log)))
        }
        LogKind::Disk => {
            let settings = on_disk(settings, data);
            let path = settings.path.clone();
            let log =
                SqliteLog::open(settings).map_err(|fault| LogError::new(path.clone(), fault))?;
            announce(&path, log.report());
            Ok(Some(Arc::new(log)))
        }
    }
}

fn on_disk(settings: &Settings, data: &Path) -> SqliteSettings {
    let from = &settings.event_log;
    SqliteSettings {
        log: contents(settings),
        durability: match from.durability {
            LogDurability::Os => Durability::Os,
            LogDurability::Disk => Durability::Disk,
        },
        check: match from.check {
            LogCheck::Full => Check::Full,
            LogCheck::Recent => Check::Recent,
        },
        on_damage: match from.on_damage {
            settings::OnDamage::Refuse => OnDamage::Refuse,
            settings::OnDamage::Repair => OnDamage::Repair,
        },
        recent_bytes: from.cache.0,
        ..SqliteSettings::new(path(settings, data))
    }
}

fn contents(settings: &Settings) -> eventlog::Settings {
    let from = &settings.event_log;
    eventlog::Settings {
        retention: Retention {
            max_age: from.max_age.0,
            max_entries: from.max_events,
            max_bytes: from.max_size.0,
        },
        max_sessions: from.max_sessions,
        ..eventlog::Settings::default()
    }
}

fn announce(path: &Path, report: &OpenReport) {
    let OpenReport { epoch, change, entries, sessions_dropped } = report;
    let file = path.display();
    match change {
        None => tracing::info!(%file, %epoch, entries, "the event log goes on"),
        Some(EpochChange::Created) => tracing::info!(%file, %epoch, "a new event log"),
        Some(reason) => tracing::warn!(
            %file, %epoch, entries, sessions_dropped, %reason,
            "the event log began a new epoch: clients that come back are told that they were not \
             recovered"
        ),
    }
}

/// Why a log cannot be opened, for the person who started the program.
#[derive(Debug)]
pub(crate) struct LogError {
    path: PathBuf,
    fault: OpenError,
}

impl LogError {
    pub(crate) fn new(path: PathBuf, fault: OpenError) -> Self {
        Self { path, fault }
    }
}

impl std::error::Error for LogError {}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            OpenError::Missing => write!(
                f,
                "there is no event log at {path}\n  a server makes it at its first start; name the \
                 server's data directory with --data, or its settings file with --config"
            ),
            OpenError::Locked => write!(
                f,
                "the event log {path} is open in another process (`fuser {path}.mark` names it)\n  \
                 a log has one server: stop the other one, or give this one its own directory with \
                 --data"
            ),
            OpenError::Foreign => write!(
                f,
                "{path} is not an event log of Fanfare; it was left as it is\n  move that file \
                 away, or name another one with event_log.file"
            ),
            OpenError::Version { .. } => write!(
                f,
                "the event log {path} is of another version: {}\n  start the version that wrote \
                 it; or move it away with its -wal, -shm and .mark, and a new one is begun",
                self.fault
            ),
            OpenError::Damaged(problems) => {
                writeln!(f, "the event log {path} is damaged:")?;
                for problem in problems.iter().take(TOLD_PROBLEMS) {
                    writeln!(f, "    {problem}")?;
                }
                write!(
                    f,
                    "  `fanfare log verify` says all that is wrong; `fanfare log repair` keeps what \
                     stands before it\n  (event_log.on_damage = \"repair\" does that at each start)"
                )
            }
            OpenError::DiskFull => write!(
                f,
                "the event log {path} cannot be opened: the disk is full\n  make room, or name \
                 another directory with --data"
            ),
            OpenError::ReadOnly => write!(
                f,
                "the event log {path} cannot be written\n  the file and its directory must be \
                 writable for this user; or name another directory with --data, or set \
                 event_log.kind to memory or off"
            ),
            fault => write!(
                f,
                "the event log {path}: {fault}\n  the settings are data and event_log.file"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use eventlog::Health;

    use super::*;
    use crate::settings::Inputs;

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        Inputs { environment, ..Inputs::default() }.load().unwrap().settings
    }

    #[test]
    fn the_defaults_of_the_binary_are_those_of_the_log() {
        let ours = on_disk(&settings(&[]), Path::new("/data"));
        assert_eq!(ours, SqliteSettings::new("/data/events.db"));
    }

    #[test]
    fn each_kind_is_opened_and_a_path_may_be_absolute() {
        let data = tempfile::tempdir().unwrap();
        let other = data.path().join("other.db");
        let absolute = ("FANFARE_EVENT_LOG_FILE", other.to_str().unwrap());
        let kind = |kind| ("FANFARE_EVENT_LOG_KIND", kind);
        assert!(open(&settings(&[kind("off")]), data.path()).unwrap().is_none());
        let log = open(&settings(&[kind("memory")]), data.path()).unwrap().unwrap();
        assert_eq!((log.strongest(), other.exists()), (Durability::Memory, false));
        let log = open(&settings(&[absolute]), data.path()).unwrap().unwrap();
        assert_eq!((log.strongest(), other.exists()), (Durability::Disk, true));
        assert_eq!((log.health(), log.stats().entries), (Health::Ready, 0));
        let again = open(&settings(&[absolute]), data.path()).err().unwrap().to_string();
        assert!(again.contains("another process") && again.contains("--data"), "{again}");
    }
}
