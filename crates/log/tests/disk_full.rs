//! A disk that is full: appends answer an error, reading goes on, and the log resumes by itself.

#![cfg(test)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::{
    AppendError, Durability, EventLog, Health, Query, Record, Refusal, Retention, Scope, Settings,
    SqliteLog, SqliteSettings, append_wait, wait,
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
