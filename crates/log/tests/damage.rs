//! Torn and flipped bytes at the offsets of a small log: it is opened as a prefix in a new life, or
//! opened whole, or refused with a reason and repaired to a prefix. Nothing wrong is served, and
//! nothing panics.
//!
//! Each run tries other offsets, a step apart; with `FANFARE_LOG_OFFSETS=all` it tries every one,
//! which takes minutes: `cargo test --release -p fanfare-log --test damage`.

#![cfg(test)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use eventlog::{
    Check, Durability, EpochChange, EventLog, OnDamage, OpenError, Position, Query, Record,
    Retention, Scope, Session, SessionKey, SessionRoom, Settings, SqliteLog, SqliteSettings,
    append_wait, repair, verify, wait,
};

const ROOMS: [&str; 4] = ["a", "b", "c", "trimmed"];
/// About how many offsets of each file are tried.
const OFFSETS: usize = 80;
/// Set to `all`, every offset is tried. Set to a number, the offsets of a run that printed it.
const WHICH: &str = "FANFARE_LOG_OFFSETS";
/// How many cases are tried at once.
const THREADS: usize = 2;

fn settings(directory: &Path) -> SqliteSettings {
    let retention =
        Retention { max_entries: 60, max_age: std::time::Duration::MAX, ..Retention::default() };
    SqliteSettings {
        log: Settings { retention, ..Settings::default() },
        recent_entries: 4,
        ..SqliteSettings::new(directory.join("log"))
    }
}

/// Everything that can be read of a log.
#[derive(Debug, PartialEq)]
struct Content {
    first: u64,
    entries: BTreeMap<u64, Record>,
    rooms: Vec<(Vec<u64>, u64)>,
    sessions: Vec<Session>,
}

/// Reads everything, or says that something could not be read.
fn content(log: &dyn EventLog) -> Result<Content, eventlog::ReadError> {
    let all = log.read(&Query::new(Scope::All))?;
    let entries: BTreeMap<u64, Record> =
        all.entries.iter().map(|e| (e.position.sequence, e.record.clone())).collect();
    let rooms = ROOMS.iter().map(|room| {
        let rooms = [Arc::from(*room)];
        let scope = Scope::Rooms { namespace: "/", rooms: &rooms, everyone: false };
        let page = log.read(&Query::new(scope))?;
        let found = page.entries.iter().map(|entry| entry.position.sequence).collect();
        Ok((found, log.watermark("/", room)?))
    });
    let rooms = rooms.collect::<Result<_, _>>()?;
    Ok(Content { first: log.first(), entries, rooms, sessions: log.sessions(None, 100)? })
}

fn record(at: u8) -> Record {
    let room = if at < 10 { "trimmed" } else { ROOMS[usize::from(at) % 3] };
    Record {
        namespace: "/".into(),
        rooms: [Arc::from(room)].into(),
        except: Arc::default(),
        name: "said".into(),
        payload: Bytes::from(format!("the payload of {at}").repeat(usize::from(at) % 5 * 4 + 1)),
        time_ms: at.into(),
        key: at.is_multiple_of(7).then(|| format!("key-{at}").into()),
    }
}

fn put_session(log: &SqliteLog, at: u8) {
    let session = Session {
        key: SessionKey([at; 32]),
        socket: "socket".into(),
        subject: None,
        namespace: "/".into(),
        rooms: vec![SessionRoom { name: "a".into(), since: at.into() }],
        start: log.head(),
        fence: at.into(),
        time_ms: at.into(),
        state: Bytes::new(),
    };
    wait(|done| log.put_session(session, done)).unwrap().unwrap();
}

/// A log with entries in rooms, trimmed ones, keys and sessions.
fn fill(log: &SqliteLog) {
    for at in 0..100_u8 {
        append_wait(log, vec![record(at)], Durability::Os).unwrap();
        if at % 20 == 0 {
            put_session(log, at);
        }
        if at % 50 == 49 {
            wait(|done| log.trim(0, done)).unwrap().unwrap();
        }
    }
}

/// In memory where there is such a disk: thousands of logs are opened, and each syncs.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A directory with a log, and what was in it.
struct Sample {
    directory: tempfile::TempDir,
    content: Content,
    head: Position,
}

impl Sample {
    /// As a process leaves it that ends.
    fn closed() -> Self {
        let directory = directory();
        let log = SqliteLog::open(settings(directory.path())).unwrap();
        fill(&log);
        let (content, head) = (content(&log).unwrap(), log.head());
        drop(log);
        Self { directory, content, head }
    }

    /// As a process leaves it that is killed: everything is in the write-ahead log alone. Two
    /// commits, so that it is small.
    fn killed() -> Self {
        let (live, directory) = (directory(), directory());
        let log = SqliteLog::open(settings(live.path())).unwrap();
        append_wait(&log, (0..20).map(record).collect(), Durability::Os).unwrap();
        put_session(&log, 1);
        copy(live.path(), directory.path());
        Self { directory, content: content(&log).unwrap(), head: log.head() }
    }

    fn copy(&self) -> tempfile::TempDir {
        let directory = directory();
        copy(self.directory.path(), directory.path());
        directory
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.path().join(name)).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// What must hold of a damaged copy, however it is opened.
fn survives(sample: &Sample, directory: &Path, case: &str) -> &'static str {
    let settings = settings(directory);
    match SqliteLog::open(settings.clone()) {
        Ok(log) => {
            honest(sample, &log, case);
            if log.report().change.is_none() { "whole" } else { "prefix" }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let again = SqliteSettings { on_damage: OnDamage::Repair, ..settings.clone() };
            let log = match SqliteLog::open(again) {
                Ok(log) => log,
                // A changed number of the format looks like another version's log, which is left as
                // it is.
                Err(OpenError::Version { found }) => {
                    assert!(
                        found != 1
                            && matches!(repair(&settings.path), Err(OpenError::Version { .. }))
                    );
                    return "another version";
                }
                Err(_) => {
                    repair(&settings.path).unwrap_or_else(|fault| panic!("{case}: {fault}"));
                    SqliteLog::open(settings).unwrap_or_else(|fault| panic!("{case}: {fault}"))
                }
            };
            honest(sample, &log, case);
            assert_ne!(log.epoch(), sample.head.epoch, "{case}: {error}");
            "repaired"
        }
    }
}

/// The same life with the same content, or another life with a prefix of it.
fn honest(sample: &Sample, log: &SqliteLog, case: &str) {
    let found = content(log).unwrap_or_else(|fault| panic!("{case}: {fault}"));
    let want = &sample.content;
    if log.epoch() == sample.head.epoch {
        assert_eq!((log.head(), &found), (sample.head, want), "{case}");
    } else {
        let head = log.head().sequence;
        assert!(found.entries.is_empty() || found.first <= want.first, "{case}");
        assert!(head <= sample.head.sequence, "{case}");
        for (sequence, record) in &found.entries {
            let original = want.entries.get(sequence);
            assert!(original.is_none_or(|original| original == record), "{case}");
        }
        let count = found.entries.len() as u64;
        assert_eq!(count, head + 1 - found.first, "{case}: no hole");
        assert!(found.sessions.is_empty(), "{case}: no session of another life");
    }
    let more = append_wait(log, vec![want.entries[&want.first].clone()], Durability::Os);
    assert!(!matches!(more, Err(eventlog::AppendError::Closed)), "{case}");
}

/// The offsets of a file that are tried: a step apart from a random one on, or all.
fn offsets(bytes: usize) -> Vec<usize> {
    let which = std::env::var(WHICH).unwrap_or_default();
    if which == "all" {
        return (0..bytes).collect();
    }
    let random = || usize::try_from(RandomState::new().hash_one(0) >> 40).unwrap();
    let seed = which.parse().unwrap_or_else(|_| random());
    println!("{WHICH}={seed}");
    // An odd step meets every field of pages and frames in time.
    let step = (bytes / OFFSETS).max(1) | 1;
    (seed % step..bytes).step_by(step).collect()
}

/// Damages one file of a sample at its offsets; counts the outcomes.
fn damage(
    sample: &Sample,
    name: &str,
    change: impl Fn(&mut Vec<u8>, usize) + Sync,
) -> BTreeMap<&'static str, usize> {
    damage_at(sample, name, &offsets(sample.file(name).len()), change)
}

fn damage_at(
    sample: &Sample,
    name: &str,
    offsets: &[usize],
    change: impl Fn(&mut Vec<u8>, usize) + Sync,
) -> BTreeMap<&'static str, usize> {
    let bytes = sample.file(name);
    let outcomes = Mutex::new(BTreeMap::new());
    let try_at = |offset: usize| {
        let directory = sample.copy();
        let mut bytes = bytes.clone();
        change(&mut bytes, offset);
        std::fs::write(directory.path().join(name), bytes).unwrap();
        let case = format!("{name} at {offset}");
        let outcome = survives(sample, directory.path(), &case);
        *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
    };
    std::thread::scope(|scope| {
        for share in offsets.chunks(offsets.len().div_ceil(THREADS).max(1)) {
            scope.spawn(|| share.iter().copied().for_each(try_at));
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    println!("{name}, {} offsets of {} bytes: {outcomes:?}", offsets.len(), bytes.len());
    outcomes
}

// The same shape as `tear`, which needs the vector.
#[expect(clippy::ptr_arg)]
fn flip(bytes: &mut Vec<u8>, offset: usize) {
    bytes[offset] ^= 1 << (offset % 8);
}

fn tear(bytes: &mut Vec<u8>, offset: usize) {
    bytes.truncate(offset);
}

#[test]
fn a_flipped_bit_in_the_store_is_found() {
    let outcomes = damage(&Sample::closed(), "log", flip);
    assert!(outcomes.contains_key("repaired"));
}

#[test]
fn a_torn_store_is_found() {
    let outcomes = damage(&Sample::closed(), "log", tear);
    assert!(!outcomes.contains_key("whole"));
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_another_life() {
    let outcomes = damage(&Sample::killed(), "log-wal", flip);
    assert!(outcomes.contains_key("prefix"));
}

#[test]
fn a_torn_write_ahead_log_is_another_life() {
    let outcomes = damage(&Sample::killed(), "log-wal", tear);
    assert!(!outcomes.contains_key("whole"));
}

#[test]
fn a_changed_mark_is_another_life() {
    for change in [flip, tear] {
        let outcomes = damage(&Sample::closed(), "log.mark", change);
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), [&"prefix"]);
    }
}

#[test]
fn a_page_of_zeros_is_found() {
    let zero = |bytes: &mut Vec<u8>, page: usize| bytes[page..page + 4096].fill(0);
    let sample = Sample::closed();
    let pages: Vec<usize> = (0..sample.file("log").len()).step_by(4096).collect();
    let outcomes = damage_at(&sample, "log", &pages, zero);
    assert!(!outcomes.contains_key("prefix"));
}

/// Where the bytes of a payload are in the store.
fn find(sample: &Sample, payload: &str) -> usize {
    let bytes = sample.file("log");
    bytes.windows(payload.len()).position(|window| window == payload.as_bytes()).unwrap()
}

#[test]
fn a_repair_cuts_at_the_first_wrong_record_and_says_what_is_lost() {
    let sample = Sample::closed();
    let path: PathBuf = sample.directory.path().join("log");
    let mut bytes = sample.file("log");
    for payload in ["the payload of 80", "the payload of 90"] {
        let offset = find(&sample, payload);
        bytes[offset] ^= 1;
    }
    std::fs::write(&path, bytes).unwrap();

    let report = verify(&path).unwrap();
    assert_eq!((report.first, report.head), (41, 100));
    let wrong: Vec<_> = report.problems.iter().map(|problem| problem.sequence).collect();
    assert_eq!((wrong, report.entries), (vec![Some(81), Some(91)], 58));
    let refused = SqliteLog::open(settings(sample.directory.path())).err();
    assert!(matches!(refused, Some(OpenError::Damaged(problems)) if problems == report.problems));

    let repaired = repair(&path).unwrap();
    assert_eq!((repaired.first, repaired.head, repaired.lost_up_to), (41, 80, 100));
    assert_eq!(repaired.sessions_dropped, 5);
    assert!(repaired.damaged.exists() && repaired.reason.is_some());
    assert!(verify(&path).unwrap().problems.is_empty());
    let log = SqliteLog::open(settings(sample.directory.path())).unwrap();
    assert_eq!((log.epoch(), &log.report().change), (repaired.epoch, &None));
    assert_eq!(log.watermark("/", "trimmed"), Ok(40), "what was trimmed stays trimmed");
    let known = Record { time_ms: 77, ..sample.content.entries[&78].clone() };
    let answer = append_wait(&log, vec![known], Durability::Os).unwrap();
    assert_eq!((answer[0].position.sequence, answer[0].known), (78, true), "keys are kept");
}

#[test]
fn a_record_that_goes_wrong_later_is_not_served() {
    let sample = Sample::closed();
    let path = sample.directory.path().join("log");
    let offset = find(&sample, "the payload of 60");
    let mut bytes = sample.file("log");
    bytes[offset] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    // A check of the recent end alone would see it here; so few entries are all recent.
    let settings = SqliteSettings { check: Check::Recent, ..settings(sample.directory.path()) };
    assert!(matches!(SqliteLog::open(settings.clone()), Err(OpenError::Damaged(_))));
    let log = SqliteLog::open(SqliteSettings { on_damage: OnDamage::Repair, ..settings }).unwrap();
    assert!(
        matches!(&log.report().change, Some(EpochChange::Repaired(report)) if report.head == 60)
    );
}
