//! The mark: a small file beside the store that says how far the store must be.
//!
//! SQLite drops the end of a write-ahead log whose checksum is wrong, in silence, and would count
//! the same sequences again. The mark is written after each commit and read at start: a store that
//! has fewer commits than its mark has lost some. It also remembers on which boot of the machine
//! something was written without a sync.
//!
//! It is one write of 64 bytes in place: it needs no space, and a killed process cannot tear it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::codec::checksum;
use crate::Epoch;

const MAGIC: [u8; 8] = *b"fanmark1";
const MARK_BYTES: usize = 64;

/// Which boot of the machine this is.
///
/// What was written but not synced survives the death of the process, not that of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(Option<[u8; 16]>);

impl BootId {
    /// The kernel's boot id. Where there is none, no two boots are the same, so that each restart
    /// with an unsynced tail counts as one of the machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits = text.bytes().filter_map(|digit| char::from(digit).to_digit(16));
        let number = digits.fold(0_u128, |number, digit| number << 4 | u128::from(digit));
        Self((number != 0).then(|| number.to_be_bytes()))
    }

    /// A given boot, for tests.
    #[must_use]
    pub fn new(id: [u8; 16]) -> Self {
        Self(Some(id))
    }
}

/// What the mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) epoch: Epoch,
    /// How many transactions the store must have at least.
    pub(super) commits: u64,
    /// The head after the last of them.
    pub(super) head: u64,
    /// Whether something was answered before it was synced, in this life of the process.
    pub(super) unsynced: bool,
    /// Whether the journal of sessions lacks changes that could not be written.
    pub(super) stale: bool,
    pub(super) boot: BootId,
}

/// The bits of the mark's flags.
const UNSYNCED: u64 = 1;
const STALE: u64 = 2;

impl Mark {
    fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = Vec::with_capacity(MARK_BYTES);
        bytes.extend_from_slice(&MAGIC);
        let flag = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
        let flags = flag(self.unsynced, UNSYNCED) | flag(self.stale, STALE);
        for number in [self.epoch.0, self.commits, self.head, flags] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.boot.0.unwrap_or_default());
        let sum = u64::from(checksum(&[&bytes]));
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.try_into().unwrap_or([0; MARK_BYTES]) // 8 + 4 * 8 + 16 + 8
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(MARK_BYTES - 8)?;
        let sum = u64::from_le_bytes(sum.try_into().ok()?);
        let (magic, content) = content.split_first_chunk::<8>()?;
        if *magic != MAGIC || sum != u64::from(checksum(&[magic, content])) {
            return None;
        }
        let (numbers, boot) = content.as_chunks::<8>();
        debug_assert!(boot.is_empty());
        let [epoch, commits, head, flags, one, two] = numbers else { return None };
        let boot = [*one, *two].concat().try_into().unwrap_or_default();
        Some(Self {
            epoch: Epoch(u64::from_le_bytes(*epoch)),
            commits: u64::from_le_bytes(*commits),
            head: u64::from_le_bytes(*head),
            unsynced: u64::from_le_bytes(*flags) & UNSYNCED != 0,
            stale: u64::from_le_bytes(*flags) & STALE != 0,
            boot: BootId((boot != [0; 16]).then_some(boot)),
        })
    }

    /// Whether the machine restarted after something was left unsynced.
    pub(super) fn lost_power(&self, boot: BootId) -> bool {
        self.unsynced && (self.boot != boot || boot.0.is_none())
    }
}

/// A tool that looks whether a log is open holds the lock for an instant: it is asked for again.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The file, locked for as long as it is open: one process at a time owns a log.
pub(super) struct MarkFile(File);

/// Why the file could not be had.
pub(super) enum MarkError {
    Locked,
    Io(io::Error),
}

impl MarkFile {
    pub(super) fn path(store: &Path) -> PathBuf {
        let mut path = store.as_os_str().to_owned();
        path.push(".mark");
        path.into()
    }

    /// Opens and locks it, and creates it if it is not there.
    pub(super) fn open(store: &Path) -> Result<Self, MarkError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(Self::path(store)).map_err(MarkError::Io)?;
        let mut tries = LOCK_TRIES;
        loop {
            tries -= 1;
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if tries == 0 => return Err(MarkError::Locked),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(MarkError::Io(error)),
            }
        }
    }

    /// What it says; `None` if that is not a mark.
    pub(super) fn read(&mut self) -> io::Result<Option<Mark>> {
        let mut bytes = Vec::with_capacity(MARK_BYTES + 1);
        self.0.seek(SeekFrom::Start(0))?;
        (&mut self.0).take(MARK_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(if bytes.len() == MARK_BYTES { Mark::decode(&bytes) } else { None })
    }

    pub(super) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&mark.encode())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// What the mark beside a store says, without a lock: for tools that only read.
pub(super) fn peek(store: &Path) -> Option<Mark> {
    let bytes = std::fs::read(MarkFile::path(store)).ok()?;
    if bytes.len() == MARK_BYTES { Mark::decode(&bytes) } else { None }
}

/// Whether a process has the log of this store open.
pub(super) fn is_held(store: &Path) -> io::Result<bool> {
    let file = match File::open(MarkFile::path(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    // Shared, so that two who look do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_any_changed_bit_is_found() {
        let boot = BootId::new([7; 16]);
        let (unsynced, stale) = (true, true);
        let mark = Mark { epoch: Epoch(1), commits: 2, head: 3, unsynced, stale, boot };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for bit in 0..MARK_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn an_unknown_boot_is_never_the_same_boot() {
        let (unsynced, stale) = (true, false);
        let mark = |boot| Mark { epoch: Epoch(1), commits: 0, head: 0, unsynced, stale, boot };
        let (one, two, unknown) = (BootId::new([1; 16]), BootId::new([2; 16]), BootId(None));
        assert!(!mark(one).lost_power(one));
        assert!(mark(one).lost_power(two));
        assert!(mark(unknown).lost_power(unknown));
        assert!(!Mark { unsynced: false, ..mark(one) }.lost_power(two));
    }
}
