//! Faults that cannot be made from outside: a sync that fails, another boot of the machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::record::tests::record;
use crate::{Refusal, append_wait, wait};

fn settings(directory: &Path) -> SqliteSettings {
    SqliteSettings { boot: BootId::new([1; 16]), ..SqliteSettings::new(directory.join("log")) }
}

fn append(log: &SqliteLog, durability: Durability) -> Result<u64, AppendError> {
    append_wait(log, vec![record(&["a"], "x")], durability).map(|a| a[0].position.sequence)
}

/// The files as a killed process leaves them; what the system has not synced is there too.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
        }
    }
    to
}

fn until(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A log whose syncs fail while the switch is on, and how many syncs there were.
fn failing(directory: &Path) -> (SqliteLog, Arc<AtomicBool>, Arc<AtomicU64>) {
    let (failing, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (switch, count) = (Arc::clone(&failing), Arc::clone(&syncs));
    let sync = move |file: &std::fs::File| {
        count.fetch_add(1, Ordering::SeqCst);
        if switch.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5)); // EIO
        }
        file.sync_data()
    };
    let log = SqliteLog::open_with(settings(directory), Box::new(sync)).unwrap();
    (log, failing, syncs)
}

#[test]
fn a_sync_that_fails_is_never_acknowledged_and_the_log_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let (log, failing, _) = failing(directory.path());
    assert_eq!(append(&log, Durability::Disk), Ok(1));
    failing.store(true, Ordering::SeqCst);
    let answer = append(&log, Durability::Disk);
    assert!(matches!(answer, Err(AppendError::Unknown(Refusal::Sync(_)))), "{answer:?}");
    assert!(matches!(log.health(), Health::Refusing(Refusal::Sync(_))));
    let answer = append(&log, Durability::Os);
    assert!(matches!(answer, Err(AppendError::Refused(Refusal::Sync(_)))), "{answer:?}");
    assert_eq!(log.head().sequence, 1, "nobody sees what is not safe");
    assert_eq!(log.read(&Query::new(Scope::All)).unwrap().entries.len(), 1);
    failing.store(false, Ordering::SeqCst);
    until(|| log.health() == Health::Ready);
    assert_eq!(log.head().sequence, 2, "what was in doubt is safe now, and shown");
    assert_eq!(append(&log, Durability::Os), Ok(3));
    let epoch = log.epoch();
    drop(log);
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    assert_eq!((log.epoch(), log.head().sequence), (epoch, 3));
}

#[test]
fn a_group_sync_that_fails_stops_appends_until_it_works() {
    let directory = tempfile::tempdir().unwrap();
    let (log, failing, _) = failing(directory.path());
    failing.store(true, Ordering::SeqCst);
    assert_eq!(append(&log, Durability::Os), Ok(1), "the system has it");
    until(|| log.health() != Health::Ready);
    let answer = append(&log, Durability::Os);
    assert!(matches!(answer, Err(AppendError::Refused(Refusal::Sync(_)))), "{answer:?}");
    failing.store(false, Ordering::SeqCst);
    until(|| log.health() == Health::Ready);
    assert_eq!(append(&log, Durability::Os), Ok(2));
}

#[test]
fn the_class_os_is_synced_soon_and_in_groups() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _, syncs) = failing(directory.path());
    for _ in 0..50 {
        append(&log, Durability::Os).unwrap();
    }
    until(|| syncs.load(Ordering::SeqCst) > 0);
    log.close();
    assert!(syncs.load(Ordering::SeqCst) <= 51, "no sync without something to sync");
}

#[test]
fn the_epoch_changes_when_the_machine_restarted_with_an_unsynced_tail() {
    let (same, other) = (BootId::new([1; 16]), BootId::new([2; 16]));
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    assert_eq!(log.report().change, Some(EpochChange::Created));
    assert_eq!(append(&log, Durability::Os), Ok(1));
    let killed = copy(directory.path());
    let epoch = log.epoch();
    drop(log);
    let open = |directory: &Path, boot| {
        let log = SqliteLog::open(SqliteSettings { boot, ..settings(directory) }).unwrap();
        (log.epoch() == epoch, log.report().change.clone(), log.head().sequence)
    };
    assert_eq!(open(directory.path(), other), (true, None, 1), "it was closed");
    let lost_power = copy(killed.path());
    let change = Some(EpochChange::UnsyncedRestart);
    assert_eq!(open(lost_power.path(), other), (false, change, 1));
    assert_eq!(open(killed.path(), same), (true, None, 1), "only the process died");
}

#[test]
fn with_the_class_disk_the_epoch_survives_a_power_cut() {
    let directory = tempfile::tempdir().unwrap();
    let disk = |directory: &Path, boot| {
        let durability = Durability::Disk;
        let settings = SqliteSettings { durability, boot, ..settings(directory) };
        SqliteLog::open(settings).unwrap()
    };
    let log = disk(directory.path(), BootId::new([1; 16]));
    assert_eq!(append(&log, Durability::Os), Ok(1), "asked for less, got more");
    wait(|done| log.trim(1, done)).unwrap().unwrap();
    let cut = copy(directory.path());
    let again = disk(cut.path(), BootId::new([2; 16]));
    assert_eq!((again.epoch(), &again.report().change), (log.epoch(), &None));
}

#[test]
fn a_store_without_its_mark_is_another_life() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    append(&log, Durability::Os).unwrap();
    let epoch = log.epoch();
    drop(log);
    std::fs::remove_file(directory.path().join("log.mark")).unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    assert_ne!(log.epoch(), epoch);
    assert_eq!((&log.report().change, log.head().sequence), (&Some(EpochChange::MarkUnknown), 1));
}

#[test]
fn a_mark_without_its_store_is_another_life() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    append(&log, Durability::Os).unwrap();
    let epoch = log.epoch();
    drop(log);
    std::fs::remove_file(directory.path().join("log")).unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    assert_ne!(log.epoch(), epoch);
    let lost = EpochChange::EndLost { answered: 1, left: 0 };
    assert_eq!((&log.report().change, log.head().sequence), (&Some(lost), 0));
}

/// Found by fuzzing: all entries were in the write-ahead log, and that was gone, too.
#[test]
fn an_empty_store_without_its_mark_is_another_life() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    append(&log, Durability::Os).unwrap();
    let (epoch, left) = (log.epoch(), copy(directory.path()));
    for part in ["log-wal", "log.mark"] {
        std::fs::remove_file(left.path().join(part)).unwrap();
    }
    let log = SqliteLog::open(settings(left.path())).unwrap();
    assert_ne!(log.epoch(), epoch);
    assert_eq!((&log.report().change, log.head().sequence), (&Some(EpochChange::MarkUnknown), 0));
}

#[test]
fn one_process_at_a_time_has_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    let path = directory.path().join("log");
    assert!(matches!(SqliteLog::open(settings(directory.path())), Err(OpenError::Locked)));
    assert!(matches!(repair(&path), Err(OpenError::Locked)));
    append(&log, Durability::Os).unwrap();
    assert_eq!(verify(&path).unwrap().problems, [], "a look is allowed");
    let view = SqliteView::open(&path).unwrap();
    let overview = view.overview().unwrap();
    assert_eq!((overview.entries, overview.head, overview.is_open), (1, 1, true));
    assert_eq!((overview.oldest_ms, overview.newest_ms), (Some(1), Some(1)));
    assert_eq!(view.read(&Query::new(Scope::All)), log.read(&Query::new(Scope::All)));
    append(&log, Durability::Os).unwrap();
    assert_eq!(view.read(&Query::new(Scope::All)).unwrap().entries.len(), 2, "as it is now");
    drop(log);
    assert!(!is_open(&path).unwrap());
    assert!(SqliteLog::open(settings(directory.path())).is_ok());
}

#[test]
fn another_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    assert!(matches!(SqliteLog::open(settings(directory.path())), Err(OpenError::Foreign)));
    assert!(matches!(repair(&path), Err(OpenError::Foreign)));
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 10_000]);
    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (id)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteLog::open(settings(directory.path())), Err(OpenError::Foreign)));
    assert!(matches!(verify(&path), Err(OpenError::Foreign)));
    assert!(matches!(repair(&path), Err(OpenError::Foreign)));
    assert_eq!(std::fs::read(&path).unwrap(), before, "not even its header");
    assert!(matches!(repair(&directory.path().join("none")), Err(OpenError::Missing)));
}

#[cfg(unix)]
#[test]
fn a_new_log_is_for_its_user_alone_and_an_old_one_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let rights = || {
        let files = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
        files.map(|it| it.metadata().unwrap().permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    append(&log, Durability::Os).unwrap();
    assert_eq!(rights(), [0o600; 4], "the log, what SQLite puts beside it, and the mark");
    drop(log);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let shared = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(file.unwrap().path(), shared).unwrap();
    }
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    append(&log, Durability::Os).unwrap();
    assert_eq!(rights(), [0o640; 4]);
}

#[test]
fn the_log_of_another_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    drop(SqliteLog::open(settings(directory.path())).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    drop(newer);
    let repairing = SqliteSettings { on_damage: OnDamage::Repair, ..settings(directory.path()) };
    let faults = [
        SqliteLog::open(settings(directory.path())).err(),
        SqliteLog::open(repairing).err(),
        verify(&path).err(),
        repair(&path).err(),
        SqliteView::open(&path).err(),
    ];
    for fault in faults {
        assert!(matches!(fault, Some(OpenError::Version { found: 2 })), "{fault:?}");
    }
}

/// A view of the name of a table would be asked in its place, and could answer without an end.
#[test]
fn a_view_in_the_place_of_a_table_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    drop(SqliteLog::open(settings(directory.path())).unwrap());
    let forger = rusqlite::Connection::open(&path).unwrap();
    let endless = "DROP TABLE entries; CREATE VIEW entries AS WITH RECURSIVE n(sequence) AS \
                   (SELECT 1 UNION ALL SELECT sequence + 1 FROM n) SELECT sequence, x'00' AS body \
                   FROM n";
    forger.execute_batch(endless).unwrap();
    drop(forger);
    assert!(matches!(SqliteLog::open(settings(directory.path())), Err(OpenError::Damaged(_))));
    assert!(matches!(SqliteView::open(&path), Err(OpenError::Damaged(_))));
    assert_eq!(verify(&path).unwrap().problems.len(), 1);
    assert_eq!(repair(&path).unwrap().head, 0);
    assert_eq!(verify(&path).unwrap().problems, []);
}

#[test]
fn a_closed_log_answers_what_waits_and_refuses_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(settings(directory.path())).unwrap();
    let (sender, answers) = std::sync::mpsc::channel();
    for _ in 0..100 {
        let sender = sender.clone();
        let done = Box::new(move |answer: Result<Vec<Appended>, _>| {
            sender.send(answer.is_ok()).unwrap();
        });
        log.append(vec![record(&["a"], "x")], Durability::Os, done);
    }
    log.close();
    drop(sender);
    assert_eq!(answers.iter().filter(|ok| *ok).count(), 100);
    assert_eq!(append(&log, Durability::Os), Err(AppendError::Closed));
    assert_eq!(log.health(), Health::Closed);
    assert_eq!(log.head().sequence, 100);
}

#[test]
fn a_read_only_store_says_so_and_reading_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open::open(&settings(directory.path())).unwrap();
    opened.connection.pragma_update(None, "query_only", true).unwrap();
    let fault = schema::State::store(&opened.state, &opened.connection).unwrap_err();
    assert_eq!(fault.refusal(), Refusal::ReadOnly);
    assert!(schema::State::load(&opened.connection).is_ok());
}

fn session(fence: u64) -> Session {
    Session {
        key: SessionKey([7; 32]),
        socket: "s".into(),
        subject: None,
        namespace: "/".into(),
        rooms: Vec::new(),
        start: Position { epoch: Epoch(1), sequence: 0 },
        fence,
        time_ms: 1,
        state: bytes::Bytes::new(),
    }
}

fn put(log: &SqliteLog, fence: u64) -> Result<(), SessionError> {
    wait(|done| log.put_session(session(fence), done)).unwrap()
}

/// A change of a session that the disk did not take: what is journalled may not be what its client
/// was told, so a killed process leaves a log that gives no session back. Entries and the epoch
/// stay. Once the log was told that all is journalled again, sessions stay too.
#[test]
fn a_journal_that_lacks_changes_is_not_believed_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (log, failing, _) = failing(directory.path());
    assert_eq!(append(&log, Durability::Os), Ok(1));
    assert_eq!(put(&log, 1), Ok(()));
    let whole = copy(directory.path());
    failing.store(true, Ordering::SeqCst);
    until(|| append(&log, Durability::Disk).is_err());
    assert!(put(&log, 2).is_err());
    assert!(log.journal_faults() > 0);
    let lacking = copy(directory.path());
    failing.store(false, Ordering::SeqCst);
    until(|| put(&log, 2).is_ok());
    log.journal_is_whole(log.journal_faults());
    until(|| mark::peek(&settings(directory.path()).path).is_some_and(|mark| !mark.stale));
    let mended = copy(directory.path());
    for (files, sessions) in [(&whole, 1), (&lacking, 0), (&mended, 1)] {
        let again = SqliteLog::open(settings(files.path())).unwrap();
        assert_eq!((again.report().change.clone(), again.epoch()), (None, log.epoch()));
        assert_eq!(again.report().sessions_dropped, 1 - sessions);
        assert_eq!(again.stats().sessions, sessions);
        assert!(again.head().sequence >= 1);
        again.close();
        // Said once: what was dropped cannot be wrong any more.
        drop(again);
        let again = SqliteLog::open(settings(files.path())).unwrap();
        assert_eq!(again.report().sessions_dropped, 0);
    }
}
