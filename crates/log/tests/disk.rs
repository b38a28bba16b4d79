//! A disk that is full or cannot be written: appends answer an error, reading goes on, and the log
//! resumes by itself.

#![cfg(test)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::{
    AppendError, Durability, EventLog, Health, OpenError, Query, Record, Refusal, Retention, Scope,
    Settings, SqliteLog, SqliteSettings, SqliteView, append_wait, repair, verify, wait,
};

fn record() -> Record {
    Record {
        namespace: "/".into(),
        rooms: [Arc::from("a")].into(),
        except: Arc::default(),
        name: "said".into(),
        payload: vec![b'x'; 4000].into(),
        time_ms: 1,
        key: None,
    }
}

fn append(log: &SqliteLog) -> Result<(), AppendError> {
    append_wait(log, vec![record()], Durability::Os).map(drop)
}

/// Appends until the log refuses; answers how many it took.
fn fill(log: &SqliteLog) -> u64 {
    let mut taken = 0;
    loop {
        match append(log) {
            Ok(()) => taken += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Refused(Refusal::DiskFull));
                return taken;
            }
        }
        assert!(taken < 10_000, "the disk never was full");
    }
}

fn count(log: &SqliteLog) -> usize {
    log.read(&Query::new(Scope::All)).unwrap().entries.len()
}

/// Waits until the log says it is ready again, without asking anything of it.
fn resumes(log: &SqliteLog) {
    let begin = Instant::now();
    while log.health() != Health::Ready {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", log.health());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_size_limit_is_a_full_disk_until_something_is_trimmed() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { max_entries: 10, ..Retention::default() };
    let settings = SqliteSettings {
        log: Settings { retention, ..Settings::default() },
        max_file_bytes: Some(1 << 20),
        recent_entries: 4,
        ..SqliteSettings::new(directory.path().join("log"))
    };
    let log = SqliteLog::open(settings).unwrap();
    let taken = fill(&log);
    assert!(taken > 100, "{taken} records of 4 KB in 1 MiB");
    assert_eq!(log.health(), Health::Refusing(Refusal::DiskFull));
    assert_eq!((log.head().sequence, count(&log) as u64), (taken, taken), "reading goes on");
    assert_eq!(append(&log), Err(AppendError::Refused(Refusal::DiskFull)));
    let trimmed = wait(|done| log.trim(1, done)).unwrap().unwrap();
    assert_eq!(trimmed, taken - 10);
    resumes(&log);
    append(&log).unwrap();
    assert_eq!((log.head().sequence, count(&log)), (taken + 1, 11), "no sequence was lost");
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(directory.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(self.path());
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_over_when_another_file_goes() {
    let Some(disk) = SmallDisk::mount(6 << 20) else {
        println!("not shown here: mounting a small disk is not allowed");
        return;
    };
    let other = disk.path().join("other");
    std::fs::write(&other, vec![0; 3 << 20]).unwrap();
    let log = SqliteLog::open(SqliteSettings::new(disk.path().join("log"))).unwrap();
    let epoch = log.epoch();
    let taken = fill(&log);
    assert_eq!(log.health(), Health::Refusing(Refusal::DiskFull));
    assert_eq!(count(&log) as u64, taken, "reading goes on");
    std::fs::remove_file(other).unwrap();
    resumes(&log);
    append(&log).unwrap();
    assert_eq!(log.head().sequence, taken + 1);
    drop(log);
    let log = SqliteLog::open(SqliteSettings::new(disk.path().join("log"))).unwrap();
    assert_eq!((log.epoch(), count(&log) as u64), (epoch, taken + 1));
}

#[test]
fn a_log_on_a_read_only_disk_is_not_opened_but_can_be_looked_at() {
    let Some(disk) = SmallDisk::mount(6 << 20) else {
        println!("not shown here: mounting a small disk is not allowed");
        return;
    };
    let path = disk.path().join("log with ? and #");
    let log = SqliteLog::open(SqliteSettings::new(&path)).unwrap();
    append(&log).unwrap();
    drop(log);
    disk.make_read_only();
    let opened = SqliteLog::open(SqliteSettings::new(&path)).err();
    assert!(matches!(opened, Some(OpenError::ReadOnly)), "{opened:?}");
    assert!(matches!(repair(&path), Err(OpenError::ReadOnly)));
    let missing = SqliteLog::open(SqliteSettings::new(disk.path().join("new"))).err();
    assert!(matches!(missing, Some(OpenError::ReadOnly)), "{missing:?}");
    assert_eq!(verify(&path).unwrap().problems, []);
    let view = SqliteView::open(&path).unwrap();
    assert_eq!((view.overview().unwrap().entries, view.overview().unwrap().is_open), (1, false));
    assert_eq!(view.read(&Query::new(Scope::All)).unwrap().entries.len(), 1);
}

/// Files that nobody may write, not even who has them open, as on a disk that an operator protects.
struct Protected<'a>(&'a Path);

impl<'a> Protected<'a> {
    /// `None` where that is not allowed, or the file system knows no such thing.
    fn new(path: &'a Path) -> Option<Self> {
        Self::change("+i", path).then_some(Self(path))
    }

    fn change(how: &str, path: &Path) -> bool {
        let output = Command::new("chattr").arg(how).arg(path).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Protected<'_> {
    fn drop(&mut self) {
        Self::change("-i", self.0);
    }
}

#[test]
fn a_file_that_cannot_be_written_any_more_is_over_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(SqliteSettings::new(directory.path().join("log"))).unwrap();
    append(&log).unwrap();
    for (number, part) in ["log-wal", "log.mark"].into_iter().enumerate() {
        let path = directory.path().join(part);
        let Some(protected) = Protected::new(&path) else {
            println!("not shown here: files cannot be protected (chattr +i)");
            return;
        };
        let answer = append(&log);
        let refused = matches!(answer, Err(AppendError::Refused(_) | AppendError::Unknown(_)));
        assert!(refused, "{part}: {answer:?}");
        assert!(matches!(log.health(), Health::Refusing(_)), "{part}");
        assert!(count(&log) > number, "{part}: reading goes on");
        drop(protected);
        resumes(&log);
        append(&log).unwrap();
    }
    let (epoch, head) = (log.epoch(), log.head().sequence);
    drop(log);
    let log = SqliteLog::open(SqliteSettings::new(directory.path().join("log"))).unwrap();
    assert_eq!((log.epoch(), log.head().sequence, count(&log) as u64), (epoch, head, head));
}
