//! A process that appends is killed with SIGKILL at random points, 20 times or as often as
//! `FANFARE_LOG_ROUNDS` says; some of them while it opens what the one before left. Each time the
//! log is opened again, what was acknowledged is there, in the same life of the log, without a hole.

#![cfg(test)]

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventlog::{
    Durability, EventLog, Position, Query, Record, Retention, Scope, Session, SessionKey, Settings,
    SqliteLog, SqliteSettings, append_wait, verify, wait,
};

const DEFAULT_ROUNDS: u64 = 20;
/// How often a process is killed.
const ROUNDS: &str = "FANFARE_LOG_ROUNDS";
/// A process that is killed while it opens lives for so long at most: longer than that takes.
const OPENING_MICROS: u64 = 40_000;
/// Where the child finds the log. Set for the child alone.
const CHILD: &str = "FANFARE_LOG_CHILD";
/// Repeats a run whose seed was printed.
const SEED: &str = "FANFARE_LOG_SEED";
/// The child ends by itself after so many batches, should its parent be gone.
const MAX_BATCHES: u64 = 20_000;

fn open(path: &Path) -> SqliteLog {
    let retention = Retention { max_entries: 3000, max_age: Duration::MAX, ..Retention::default() };
    let log = Settings { retention, ..Settings::default() };
    SqliteLog::open(SqliteSettings { log, ..SqliteSettings::new(path) }).unwrap()
}

/// Small random numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Not a test of its own: the process that is killed. Does nothing without its variable.
#[test]
fn child() {
    let Ok(argument) = std::env::var(CHILD) else { return };
    let (seed, path) = argument.split_once(':').unwrap();
    let mut random = Random(seed.parse().unwrap());
    let log = Arc::new(open(Path::new(path)));
    let output = Arc::new(Mutex::new(std::io::stdout()));
    for batch in 0..MAX_BATCHES {
        let payloads: Vec<String> =
            (0..=random.below(64)).map(|at| format!("{seed}-{batch}-{at}")).collect();
        let records = payloads.iter().map(|payload| record(payload, random.below(10))).collect();
        let durability = if random.below(50) == 0 { Durability::Disk } else { Durability::Os };
        if random.below(4) == 0 {
            // Acknowledged on the writer's thread, while more is asked for.
            let output = Arc::clone(&output);
            log.append(
                records,
                durability,
                Box::new(move |answer| {
                    let positions = answer.unwrap().into_iter().map(|a| a.position);
                    acknowledge(&output, positions.zip(&payloads));
                }),
            );
        } else {
            let answer = append_wait(&*log, records, durability).unwrap();
            acknowledge(&output, answer.iter().map(|a| a.position).zip(&payloads));
        }
        match random.below(20) {
            0 => drop(wait(|done| log.trim(0, done)).unwrap().unwrap()),
            1..4 => {
                let session = session(&*log, random.below(5).try_into().unwrap(), batch);
                wait(|done| log.put_session(session.clone(), done)).unwrap().unwrap();
                let mut output = output.lock().unwrap();
                writeln!(output, "session {} {}", session.key.0[0], session.fence).unwrap();
            }
            _ => {}
        }
    }
}

fn acknowledge<'a>(
    output: &Mutex<std::io::Stdout>,
    lines: impl Iterator<Item = (Position, &'a String)>,
) {
    let text: String = lines.map(|(at, payload)| format!("ack {at} {payload}\n")).collect();
    let mut output = output.lock().unwrap();
    output.write_all(text.as_bytes()).unwrap();
    output.flush().unwrap();
}

fn record(payload: &str, room: u64) -> Record {
    Record {
        namespace: "/".into(),
        rooms: [Arc::from(format!("room-{room}"))].into(),
        except: Arc::default(),
        name: "said".into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        time_ms: 1,
        key: Some(payload.into()),
    }
}

fn session(log: &dyn EventLog, key: u8, batch: u64) -> Session {
    let head = log.head();
    Session {
        key: SessionKey([key; 32]),
        socket: "socket".into(),
        subject: None,
        namespace: "/".into(),
        rooms: Vec::new(),
        start: head,
        fence: head.sequence,
        time_ms: batch,
        state: Bytes::new(),
    }
}

/// What the child acknowledged.
#[derive(Default)]
struct Acknowledged {
    entries: HashMap<u64, String>,
    fences: HashMap<u8, u64>,
}

/// Starts a child, reads so many acknowledgements, kills it, reads what it had said until then.
fn kill_after(path: &Path, seed: u64, lines: u64, known: &mut Acknowledged, log_epoch: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{seed}:{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    if lines == 0 {
        std::thread::sleep(Duration::from_micros(Random(seed).below(OPENING_MICROS)));
        child.kill().unwrap();
    }
    let (mut seen, mut line) = (0, String::new());
    while output.read_line(&mut line).unwrap() > 0 {
        // The last line may have been cut.
        let whole = line.strip_suffix('\n').map(String::from);
        line.clear();
        let Some(whole) = whole else { break };
        let mut words = whole.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("ack"), Some(position), Some(payload)) => {
                let position: Position = position.parse().unwrap();
                assert_eq!(position.epoch.0, log_epoch, "the child is in the same life");
                known.entries.insert(position.sequence, payload.into());
                seen += 1;
            }
            (Some("session"), Some(key), Some(fence)) => {
                known.fences.insert(key.parse().unwrap(), fence.parse().unwrap());
            }
            _ => {}
        }
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child said {seen} of {lines}");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let epoch = open(&path).epoch();
    let mut known = Acknowledged::default();
    let rounds = std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(DEFAULT_ROUNDS) {
        let (child_seed, lines) = (random.below(u64::MAX), random.below(3000) + 1);
        let lines = if random.below(4) == 0 { 0 } else { lines };
        println!("round {round}: seed {child_seed}, killed after {lines}");
        kill_after(&path, child_seed, lines, &mut known, epoch.0);
        if round % 2 == 1 {
            continue; // the next child finds the log as this one left it
        }
        let log = open(&path);
        assert_eq!((log.epoch(), &log.report().change), (epoch, &None));
        check(&log, &known);
    }
    let log = open(&path);
    check(&log, &known);
    drop(log);
    let report = verify(&path).unwrap();
    assert!(report.problems.is_empty() && report.epoch == Some(epoch), "{report:?}");
}

fn check(log: &SqliteLog, known: &Acknowledged) {
    let (first, head) = (log.first(), log.head().sequence);
    let answered = known.entries.keys().max().copied().unwrap_or(0);
    assert!(head >= answered, "{head} is behind {answered}");
    let mut expected = first;
    let mut after = Position { sequence: first - 1, ..log.head() };
    loop {
        let page = log.read(&Query::after(Scope::All, after)).unwrap();
        for entry in &page.entries {
            assert_eq!(entry.position.sequence, expected, "no hole");
            if let Some(payload) = known.entries.get(&expected) {
                assert_eq!(entry.record.payload, payload.as_bytes());
            }
            expected += 1;
            after = entry.position;
        }
        if !page.more {
            break;
        }
    }
    assert_eq!(expected, head + 1);
    for (key, fence) in &known.fences {
        let session = log.session(SessionKey([*key; 32])).unwrap().unwrap();
        assert!(session.fence >= *fence);
    }
}
