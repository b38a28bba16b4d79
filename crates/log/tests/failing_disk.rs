//! A disk that answers EIO, to everything the process asks of it: syncs of the write-ahead log, of
//! the store in a checkpoint and of the mark; or writes. Nothing is acknowledged that is not safe,
//! nobody sees it, the log resumes by itself, and a kill at the end loses nothing that was
//! acknowledged.
//!
//! The faults are libfiu's, so it must be there: `apt-get install fiu-utils`.

#![cfg(test)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use eventlog::{
    Durability, EventLog, Query, Record, Scope, SqliteLog, SqliteSettings, append_wait, verify,
};

/// Where the child finds the log. Set for the child alone.
const CHILD: &str = "FANFARE_LOG_FAILING_CHILD";

fn record(payload: &str) -> Record {
    Record {
        namespace: "/".into(),
        rooms: ["a".into()].into(),
        except: Default::default(),
        name: "said".into(),
        payload: payload.to_owned().into(),
        time_ms: 1,
        key: None,
    }
}

/// Not a test of its own: the process whose disk fails. It does what its input says, and ends with
/// it. Does nothing without its variable.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let log = SqliteLog::open(SqliteSettings::new(path)).unwrap();
    println!("\nready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some((class @ ("os" | "disk"), payload)) => {
                let class = if class == "os" { Durability::Os } else { Durability::Disk };
                match append_wait(&log, vec![record(payload)], class) {
                    Ok(appended) => println!("ok {}", appended[0].position.sequence),
                    Err(error) => println!("{error:?}"),
                }
            }
            _ => println!("{} {:?}", log.head().sequence, log.health()),
        }
    }
}

/// The child, and the way to make its disk fail.
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    control: std::path::PathBuf,
}

impl Process {
    /// `None` where libfiu is missing.
    fn start(directory: &Path) -> Option<Self> {
        let control = directory.join("fiu");
        let mut child = Command::new("fiu-run")
            .arg("-x")
            .arg("-f")
            .arg(&control)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        while output.next().expect("the child lives").unwrap() != "ready" {}
        Some(Self { child, input, output, control })
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.output.next().expect("the child lives").unwrap()
    }

    /// Lets calls fail with EIO, or work again.
    fn disk(&self, order: &str) {
        let mut control = Command::new("fiu-ctrl");
        control.arg("-f").arg(&self.control).args(["-c", order]).arg(self.child.id().to_string());
        assert!(control.status().unwrap().success());
    }

    fn resumes(&mut self) {
        let begin = Instant::now();
        while !self.ask("health").ends_with("Ready") {
            assert!(begin.elapsed() < Duration::from_secs(30), "{}", self.ask("health"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The payloads of a log after its process was killed.
fn left(directory: &Path) -> Vec<String> {
    let path = directory.join("log");
    assert_eq!(verify(&path).unwrap().problems, []);
    let log = SqliteLog::open(SqliteSettings::new(path)).unwrap();
    assert_eq!(log.report().change, None, "the same life");
    let page = log.read(&Query::new(Scope::All)).unwrap();
    let payload = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    page.entries.iter().map(|entry| payload(&entry.record.payload)).collect()
}

const NOT_SHOWN: &str = "not shown here: libfiu is missing (apt-get install fiu-utils)";

#[test]
fn syncs_that_fail_are_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut process) = Process::start(directory.path()) else {
        return println!("{NOT_SHOWN}");
    };
    assert_eq!(process.ask("disk a"), "ok 1");
    process.disk("enable name=posix/io/sync/*,failinfo=5");
    let answer = process.ask("disk b");
    assert!(answer.starts_with("Unknown(Sync(") && answer.contains("os error 5"), "{answer}");
    assert!(process.ask("health").starts_with("1 Refusing(Sync("), "nobody sees it");
    let answer = process.ask("os c");
    assert!(answer.starts_with("Refused(Sync("), "{answer}");
    // Only the write-ahead log syncs again: what is in doubt must get into the store, too.
    process.disk("disable name=posix/io/sync/*");
    process.resumes();
    assert_eq!(process.ask("os d"), "ok 3", "what was in doubt is safe, and shown");
    drop(process);
    assert_eq!(left(directory.path()), ["a", "b", "d"]);
}

#[test]
fn writes_that_fail_are_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut process) = Process::start(directory.path()) else {
        return println!("{NOT_SHOWN}");
    };
    assert_eq!(process.ask("os a"), "ok 1");
    process.disk("enable name=posix/io/rw/pwrite*,failinfo=5");
    let answer = process.ask("os b");
    assert!(answer.starts_with("Refused(") || answer.starts_with("Unknown("), "{answer}");
    let may_show_up = answer.starts_with("Unknown(");
    assert!(process.ask("health").starts_with("1 Refusing("), "nobody sees it");
    process.disk("disable name=posix/io/rw/pwrite*");
    process.resumes();
    let answer = process.ask("disk c");
    assert!(answer == "ok 2" || (may_show_up && answer == "ok 3"), "{answer}");
    drop(process);
    let left = left(directory.path());
    assert!(left == ["a", "c"] || (may_show_up && left == ["a", "b", "c"]), "{left:?}");
}
