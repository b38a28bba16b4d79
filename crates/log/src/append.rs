//! How an append is asked for and answered.

use crate::{Position, Record, RecordError};

/// How safe an entry must be before its append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// In the memory of this process: lost with it. On a log on disk it is the same as `Os`.
    Memory,
    /// Handed to the operating system: survives `kill -9`. Synced in groups every few
    /// milliseconds; a power cut may lose the last group, and the epoch changes then. The
    /// default: 20 times cheaper than `Disk`, and a killed process is the common fault.
    #[default]
    Os,
    /// Synced to the disk: survives a power cut.
    Disk,
}

/// The answer for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where it stands.
    pub position: Position,
    /// Whether it stood there already: its idempotency key was known, nothing was appended.
    pub known: bool,
}

/// Why the log takes nothing at the moment. Each cause ends by itself when its reason does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No space is left, or the size limit of the file is reached.
    #[error("the disk is full")]
    DiskFull,
    /// The file or its file system cannot be written.
    #[error("the log is read-only")]
    ReadOnly,
    /// What was written could not be synced.
    #[error("the log could not be synced: {0}")]
    Sync(String),
    /// A part of the file is not what was written. Only a repair ends this.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// Anything else the store said.
    #[error("the log could not be written: {0}")]
    Store(String),
}

/// Why records were not appended. A batch is appended as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A record exceeds a limit. The caller's fault.
    #[error("record {index} of the batch: {fault}")]
    Record {
        /// Which record of the batch, from 0.
        index: usize,
        /// What is wrong with it.
        fault: RecordError,
    },
    /// More than [`MAX_BATCH_RECORDS`] or [`MAX_BATCH_BYTES`]. The caller's fault.
    #[error("the batch has more than {MAX_BATCH_RECORDS} records or {MAX_BATCH_BYTES} bytes")]
    BatchTooLarge,
    /// A stronger durability than this log offers. The caller's fault.
    #[error("the log does not offer {asked:?}, its strongest is {offered:?}")]
    NotOffered {
        /// What was asked for.
        asked: Durability,
        /// The strongest there is.
        offered: Durability,
    },
    /// The queue is full: the disk is slower than what is published. Nothing was appended; try
    /// again after a moment.
    #[error("the log's queue is full")]
    Busy,
    /// The log takes nothing at the moment; nothing was appended.
    #[error("{0}")]
    Refused(Refusal),
    /// The records were written, but whether they stay is unknown. They may show up later: only
    /// an idempotency key makes a retry safe.
    #[error("whether the records were appended is unknown: {0}")]
    Unknown(Refusal),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Whether the log takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does not, for this reason. It tries again by itself.
    Refusing(Refusal),
    /// It was closed.
    Closed,
}

/// Is called once with the answer, on the thread that wrote: it must be quick, and must neither block
/// nor ask the log for another change. Answers come in the order in which the changes were asked
/// for, but for what is refused before it is queued.
///
/// A batch without a record changes nothing: it is answered when all before it were.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// The most records of one batch.
pub const MAX_BATCH_RECORDS: usize = 65_536;

/// The most bytes of one batch, as [`Record::cost_bytes`] counts them: 64 MiB.
pub const MAX_BATCH_BYTES: u64 = 64 << 20;

/// Whether a batch is within the limits and the durability on offer; answers its bytes.
pub(crate) fn check_batch(
    records: &[Record],
    asked: Durability,
    offered: Durability,
) -> Result<u64, AppendError> {
    if asked > offered {
        return Err(AppendError::NotOffered { asked, offered });
    }
    if records.len() > MAX_BATCH_RECORDS {
        return Err(AppendError::BatchTooLarge);
    }
    let mut bytes = 0;
    for (index, record) in records.iter().enumerate() {
        record.check().map_err(|fault| AppendError::Record { index, fault })?;
        bytes += record.cost_bytes();
    }
    if bytes > MAX_BATCH_BYTES {
        return Err(AppendError::BatchTooLarge);
    }
    Ok(bytes)
}
