//! What the writer, the keeper and the readers of one store share.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError, RwLock};

use super::keeper::Keeper;
use super::queue::Queue;
use super::read::Readers;
use super::settings::SqliteSettings;
use super::tail::Tail;
use crate::watch::Watchers;
use crate::{Health, Position, Refusal, Stats};

pub(super) struct Shared {
    pub(super) settings: SqliteSettings,
    pub(super) queue: Queue,
    pub(super) tail: RwLock<Tail>,
    pub(super) watchers: Watchers,
    pub(super) readers: Readers,
    pub(super) wal: Wal,
    pub(super) keeper: Keeper,
    pub(super) health: Mutex<Health>,
    /// What the watchers were called with last.
    pub(super) shown: Mutex<Option<Position>>,
    pub(super) stats: Mutex<Stats>,
    /// Changes of sessions that were not journalled.
    pub(super) journal_faults: AtomicU64,
    /// Up to which of them the journal was made good again.
    pub(super) journal_whole: AtomicU64,
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn refuse(&self, refusal: &Refusal) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *health == Health::Ready {
            tracing::error!(%refusal, "the event log takes nothing until this is over");
        }
        *health = Health::Refusing(refusal.clone());
    }

    pub(super) fn recovered(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *health != Health::Ready {
            tracing::info!("the event log takes records again");
            *health = Health::Ready;
        }
    }

    /// Notes a head that is about to be shown; whether it is another than before.
    pub(super) fn shown(&self, head: Position) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.replace(head) != Some(head)
    }
}

/// How a file is synced. Tests put faults here.
pub(super) type Sync = Box<dyn Fn(&File) -> io::Result<()> + Send + std::marker::Sync>;

/// The write-ahead log as a file, to sync it. SQLite's locks are on another file, so that closing
/// this one loses none of them.
pub(super) struct Wal {
    file: File,
    sync: Sync,
}

impl Wal {
    pub(super) fn open(store: &Path, sync: Sync) -> io::Result<Self> {
        let mut path = store.as_os_str().to_owned();
        path.push("-wal");
        Ok(Self { file: File::open(path)?, sync })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        (self.sync)(&self.file)
    }
}
