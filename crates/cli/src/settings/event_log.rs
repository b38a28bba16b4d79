//! The settings of the event log.

use std::path::PathBuf;

use serde::Deserialize;

use super::kind::{Item, Kind};
use super::units::{Size, Span};
use super::{GB, seconds, table};

/// Ten years: whoever wants to keep events longer wants an archive.
const LONGEST: Span = seconds(3_650 * 86_400);

table::settings! {
    /// What is remembered of what was sent, so that those who were away get what they missed.
    struct EventLog at "event_log." {
        /// Where events are remembered: in a file that survives the end of the process, in memory,
        /// or not at all.
        kind: LogKind = Kind::Choice(&["disk", "memory", "off"]), Some("disk"),
            "what was sent is still there after a crash and after a deploy";
        /// The file, in the data directory unless the path is absolute. Beside it stand others with
        /// the endings `-wal`, `-shm` and `.mark`: they belong together.
        file: PathBuf = Kind::Path, Some("events.db"),
            "the data directory is what one backs up";
        /// How safe an event is before anybody sees it: `os` survives the death of the process, and
        /// a power cut but for the last milliseconds, of which clients are told; `disk` survives
        /// both.
        durability: LogDurability = Kind::Choice(&["os", "disk"]), Some("os"),
            "waiting for the disk costs milliseconds per event, and a killed process is the common fault";
        /// How long events are kept.
        max_age: Span = Kind::Duration { min: seconds(1), max: LONGEST }, Some("24h"),
            "a phone that slept over night gets what it missed";
        /// How many bytes of events are kept, names and payloads; the oldest go first. On disk it
        /// is about one and a half times as much.
        max_size: Size = Kind::Size { min: Size(1_000_000), max: Size(1_000 * GB) }, Some("1GiB"),
            "some millions of small events, and no surprise on a small disk";
        /// How many events are kept; the oldest go first.
        max_events: u64 = Kind::Count { min: 1, max: 1_000_000_000 }, Some("10000000"),
            "a start checks each of them, about a second per million";
        /// How many bytes of the newest events are in memory too, for those who come back soon.
        cache: Size = Kind::Size { min: Size(1_000), max: Size(GB) }, Some("16MiB"),
            "some ten thousand small events: a network that fails for seconds costs no disk";
        /// How many sessions are kept that may come back.
        max_sessions: u64 = Kind::Count { min: 1, max: 100_000_000 }, Some("1000000"),
            "above what one server has at once";
        /// How much of the file is checked at the start: all of it, or only its newest part.
        check: LogCheck = Kind::Choice(&["full", "recent"]), Some("full"),
            "nothing wrong is served later; a log of many millions may prefer a quick start";
        /// What is done if that finds damage: the server does not start, or the log is cut before
        /// the damage, with the damaged file kept beside it.
        on_damage: OnDamage = Kind::Choice(&["refuse", "repair"]), Some("refuse"),
            "cutting a log is an operator's decision";
        /// The rooms whose events are remembered: names with `*` for any characters. A pattern is
        /// meant for every namespace unless it begins with one and a `#`, as in `/game#chat:*`. An
        /// event for everyone has no room, and only `*` matches that.
        recorded: Vec<String> = Kind::List { of: Item::Rooms, at_least: 0 }, Some("*"),
            "what is forgotten by mistake cannot be brought back";
        /// The rooms whose events are not remembered, whatever else matches them.
        ephemeral: Vec<String> = Kind::List { of: Item::Rooms, at_least: 0 }, Some(""),
            "only the application knows what nobody needs later, such as cursors and typing";
    }
}

/// Where events are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogKind {
    /// In a file.
    Disk,
    /// In memory: gone with the process.
    Memory,
    /// Not at all.
    Off,
}

/// How safe an event is before anybody sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogDurability {
    /// Handed to the operating system.
    Os,
    /// Synced to the disk.
    Disk,
}

/// How much of the event log is checked at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogCheck {
    /// All of it.
    Full,
    /// The state and the newest entries.
    Recent,
}

/// What is done with a damaged event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnDamage {
    /// The server does not start.
    Refuse,
    /// It is cut before the damage.
    Repair,
}
