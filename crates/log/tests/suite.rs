//! One suite for both forms of the log: what [`eventlog::EventLog`] promises holds for each.

#![cfg(test)]

#[path = "suite/promises.rs"]
mod promises;
#[path = "suite/support.rs"]
mod support;

use eventlog::{EventLog, MemoryLog, Settings, SqliteLog, SqliteSettings};
use support::Form;

/// The log in memory.
struct Memory;

impl Form for Memory {
    fn open(&self, settings: Settings) -> Box<dyn EventLog> {
        Box::new(MemoryLog::new(settings).unwrap())
    }
}

/// The log on disk; with a tail of a few entries, so that most reads go to the store.
struct Disk {
    directory: tempfile::TempDir,
    recent_entries: usize,
}

impl Form for Disk {
    fn open(&self, settings: Settings) -> Box<dyn EventLog> {
        let settings = SqliteSettings {
            log: settings,
            recent_entries: self.recent_entries,
            ..SqliteSettings::new(self.directory.path().join("log"))
        };
        Box::new(SqliteLog::open(settings).unwrap())
    }
}

fn disk(recent_entries: usize) -> Disk {
    Disk { directory: tempfile::tempdir().unwrap(), recent_entries }
}

macro_rules! suite {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { super::promises::$promise(&super::Memory); })*
        }
        mod disk {
            $(#[test] fn $promise() { super::promises::$promise(&super::disk(2)); })*
        }
        mod disk_with_a_tail {
            $(#[test] fn $promise() { super::promises::$promise(&super::disk(10_000)); })*
        }
    };
}

suite! {
    positions_count_from_one_without_a_hole
    a_batch_is_all_or_nothing
    a_record_comes_back_as_it_was
    rooms_of_two_namespaces_are_two_rooms
    pages_have_limits_and_say_whether_there_is_more
    the_last_value_of_a_room_is_one_entry
    positions_of_another_life_are_refused
    retention_keeps_what_it_says
    a_quiet_room_stays_complete
    idle_rooms_share_a_watermark_when_they_are_many
    a_known_key_appends_nothing
    keys_are_forgotten_by_age_and_number
    sessions_are_journalled_and_fenced
    the_journal_is_bounded
    a_reset_is_another_life
    watchers_hear_of_each_head
    concurrent_appends_keep_batches_together
    a_stronger_durability_than_offered_is_refused
}
