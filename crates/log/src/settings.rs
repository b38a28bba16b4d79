//! What a log keeps and remembers, whatever its form.

use std::time::Duration;

/// How long entries are kept: until the first of the three limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The age by [`Record::time_ms`](crate::Record::time_ms). Default: 24 hours, so that a phone
    /// that slept over night gets what it missed. An entry goes only after all before it.
    pub max_age: Duration,
    /// The number of entries. Default: 10 million.
    pub max_entries: u64,
    /// The bytes, as [`Record::cost_bytes`](crate::Record::cost_bytes) counts them. Default:
    /// 1 GiB; on disk about one and a half times that, with indexes.
    pub max_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(24 * 3600),
            max_entries: 10_000_000,
            max_bytes: 1 << 30,
        }
    }
}

/// What both forms of the log are set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long entries are kept.
    pub retention: Retention,
    /// How long an idempotency key is remembered. Default: 24 hours, longer than any sensible
    /// retry.
    pub key_age: Duration,
    /// The most idempotency keys that are remembered; the oldest go first. Default: 1 million.
    pub max_keys: u64,
    /// The most journalled sessions. Default: 1 million, above what one node serves.
    pub max_sessions: u64,
    /// The most rooms without an entry whose watermark is remembered one by one. When there are
    /// more, the oldest share one watermark, which is a little too high for some of them: a
    /// client of such a room may be told that it was not recovered although nothing was missed.
    /// Default: 262 144.
    pub max_idle_rooms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            key_age: Duration::from_secs(24 * 3600),
            max_keys: 1_000_000,
            max_sessions: 1_000_000,
            max_idle_rooms: 262_144,
        }
    }
}

/// Milliseconds of a duration, the largest number if they do not fit.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Retention {
    /// Whether the oldest entry goes, given what is kept with it.
    pub(crate) fn drops(&self, oldest_ms: u64, now_ms: u64, entries: u64, bytes: u64) -> bool {
        entries > self.max_entries
            || bytes > self.max_bytes
            || now_ms.saturating_sub(oldest_ms) > millis(self.max_age)
    }
}
