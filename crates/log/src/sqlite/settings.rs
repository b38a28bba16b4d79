//! What a log on disk is set to.

use std::path::PathBuf;
use std::time::Duration;

use super::BootId;
use crate::{Durability, Settings};

/// How much is checked when a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// Everything: each record, the index of rooms against the records, sessions, keys, and the
    /// pages of the file. The default: about a second per million entries, and then nothing wrong
    /// can be served.
    #[default]
    Full,
    /// The state and the last 4 096 entries, in milliseconds. For logs so large that a full check
    /// takes too long; a damaged record is still found when it is read.
    Recent,
}

/// What is done with a damaged log when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// It is not opened, and the error says what is wrong. The default: cutting a log is an
    /// operator's decision.
    #[default]
    Refuse,
    /// It is repaired as by [`repair`](crate::repair): cut at the first wrong record, with a new
    /// epoch. The damaged file is kept beside it.
    Repair,
}

/// What a log on disk is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The file. Beside it stand `-wal` and `-shm` of SQLite and the `.mark`; a copy without all
    /// of them is another life of the log.
    pub path: PathBuf,
    /// What it keeps and remembers.
    pub log: Settings,
    /// The least durability of anything: appends that ask for less, sessions and trims. Default:
    /// [`Durability::Os`]. With [`Durability::Disk`] the epoch survives a power cut.
    pub durability: Durability,
    /// How long what was answered without a sync waits for one, together with what comes
    /// meanwhile. Default: 5 ms: a power cut loses about that much, at 200 syncs a second at most.
    pub sync_interval: Duration,
    /// The most entries held in memory for those who come back soon. Default: 16 384.
    pub recent_entries: usize,
    /// The most bytes of them. Default: 16 MiB.
    pub recent_bytes: u64,
    /// The largest size of the store, in bytes; beyond, appends are refused as on a full disk.
    /// Default: none, the disk's end.
    pub max_file_bytes: Option<u64>,
    /// How much is checked at the start.
    pub check: Check,
    /// What is done when that finds something.
    pub on_damage: OnDamage,
    /// Which boot of the machine this is. Default: what the kernel says.
    pub boot: BootId,
}

impl SqliteSettings {
    /// The defaults, for a file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            log: Settings::default(),
            durability: Durability::Os,
            sync_interval: Duration::from_millis(5),
            recent_entries: 16_384,
            recent_bytes: 16 << 20,
            max_file_bytes: None,
            check: Check::Full,
            on_damage: OnDamage::Refuse,
            boot: BootId::of_this_machine(),
        }
    }
}
