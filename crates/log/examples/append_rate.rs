//! Prints how many records a second each form of the log takes, and what one costs.
//!
//! `cargo xtask bench --log`, or `cargo run --release -p fanfare-log --example append_rate
//! [directory]`: half a minute of load on files in the directory, which go away at the end.

// A program that prints; the limits of the library's code do not apply to its few lines.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use eventlog::{
    Durability, EventLog, MemoryLog, Query, Record, Scope, Settings, SqliteLog, SqliteSettings,
};

/// How long each case runs.
const CASE: Duration = Duration::from_millis(1500);

const PAYLOAD_BYTES: usize = 100;

/// Records of one append, and how many appends wait for their answer at once: a lone publish, many
/// publishes by many, and what a server's tick gathers.
const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 256), (64, 16), (512, 8)];

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("append-rate-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    machine(&directory);
    let outcome = run(&directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "{:<8} {:>6} {:>9} {:>6} {:>10} {:>7} {:>7} {:>8} {:>8} {:>9}",
        "class",
        "batch",
        "in flight",
        "rooms",
        "records/s",
        "cpu us",
        "writer",
        "p50 ms",
        "p99 ms",
        "worst ms"
    );
    let memory = MemoryLog::new(Settings::default())?;
    cases("memory", &memory, Durability::Memory)?;
    drop(memory);
    for (class, durability) in [("os", Durability::Os), ("disk", Durability::Disk)] {
        let settings = SqliteSettings { durability, ..SqliteSettings::new(directory.join(class)) };
        let log = SqliteLog::open(settings.clone())?;
        cases(class, &log, durability)?;
        if durability == Durability::Os {
            reading(&log)?;
            reopening(log, settings)?;
        }
    }
    Ok(())
}

/// What of the machine the figures depend on.
fn machine(directory: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, mounts) = (read("/proc/cpuinfo"), read("/proc/mounts"));
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let disk = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
        directory.starts_with(point).then_some((point.len(), device, kind))
    });
    let (_, device, kind) = disk.max().unwrap_or((0, "unknown", "unknown"));
    println!(
        "{}, {} cores, Linux {}, {kind} on {device}; payload {PAYLOAD_BYTES} bytes",
        model.map_or("unknown processor", |(_, model)| model),
        std::thread::available_parallelism().map_or(0, usize::from),
        read("/proc/sys/kernel/osrelease").trim(),
    );
}

fn cases(class: &str, log: &dyn EventLog, durability: Durability) -> Result<(), Box<dyn Error>> {
    for (batch, in_flight) in SHAPES {
        for rooms in [1, 1000] {
            let sample = case(log, durability, (batch, in_flight), rooms)?;
            let Sample { rate, cpu_us, writer_us, waits: [p50, p99, worst] } = sample;
            println!(
                "{class:<8} {batch:>6} {in_flight:>9} {rooms:>6} {rate:>10.0} {cpu_us:>7.2} \
                 {writer_us:>7.2} {p50:>8.2} {p99:>8.2} {worst:>9.1}"
            );
        }
    }
    Ok(())
}

struct Sample {
    /// Records per second.
    rate: f64,
    /// CPU time of the process per record, in microseconds: with making the records.
    cpu_us: f64,
    /// Of that, the log's own threads.
    writer_us: f64,
    /// How long an answer took, in milliseconds: half of them, all but one in a hundred, all.
    waits: [f64; 3],
}

#[expect(clippy::cast_precision_loss)]
fn case(
    log: &dyn EventLog,
    durability: Durability,
    (batch, in_flight): (usize, usize),
    rooms: usize,
) -> Result<Sample, Box<dyn Error>> {
    let rooms: Vec<Arc<[Arc<str>]>> =
        (0..rooms).map(|room| [Arc::from(format!("room-{room}"))].into()).collect();
    let mut rooms = rooms.iter().cycle();
    let (namespace, name): (Arc<str>, Arc<str>) = ("/".into(), "headline".into());
    let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut record = || Record {
        namespace: Arc::clone(&namespace),
        rooms: rooms.next().cloned().unwrap_or_default(),
        except: Arc::default(),
        name: Arc::clone(&name),
        payload: payload.clone(),
        time_ms: 1,
        key: None,
    };
    let (sender, answers) = mpsc::channel();
    let (begin, before) = (Instant::now(), cpu());
    let (mut sent, mut waiting, mut waits) = (0_usize, 0, Vec::new());
    while begin.elapsed() < CASE || waiting > 0 {
        while waiting < in_flight && begin.elapsed() < CASE {
            let (sender, asked) = (sender.clone(), Instant::now());
            let records = (0..batch).map(|_| record()).collect();
            let done = move |answer: Result<Vec<_>, _>| {
                // The receiver lives until every answer came.
                let _ = sender.send(answer.map(|_| asked.elapsed()));
            };
            log.append(records, durability, Box::new(done));
            waiting += 1;
            sent += batch;
        }
        waits.push(answers.recv()??.as_secs_f64() * 1000.0);
        waiting -= 1;
    }
    let (elapsed, after) = (begin.elapsed(), cpu());
    let each = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1000.0 / sent as f64;
    waits.sort_by(f64::total_cmp);
    let at = |part: usize| waits.get(waits.len() * part / 100).or(waits.last()).copied();
    Ok(Sample {
        rate: sent as f64 / elapsed.as_secs_f64(),
        cpu_us: each(before.all, after.all),
        writer_us: each(before.log, after.log),
        waits: [50, 99, 100].map(|part| at(part).unwrap_or_default()),
    })
}

/// CPU time so far in nanoseconds: of all threads, and of the log's. Zero where there is no `/proc`.
#[derive(Default)]
struct Cpu {
    all: u64,
    log: u64,
}

fn cpu() -> Cpu {
    let mut cpu = Cpu::default();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return cpu };
    for thread in threads.flatten() {
        let read = |name| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let spent = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        cpu.all += spent;
        if read("comm").starts_with("log-") {
            cpu.log += spent;
        }
    }
    cpu
}

/// What somebody costs who comes back after a while.
fn reading(log: &dyn EventLog) -> Result<(), Box<dyn Error>> {
    let rooms: [Arc<str>; 2] = ["room-1".into(), "room-2".into()];
    let scope = Scope::Rooms { namespace: "/", rooms: &rooms, everyone: true };
    let begin = Instant::now();
    let page = log.read(&Query { limit: 300, ..Query::new(scope) })?;
    println!("reading {} old entries of 2 rooms: {:.1?}", page.entries.len(), begin.elapsed());
    Ok(())
}

fn reopening(log: SqliteLog, settings: SqliteSettings) -> Result<(), Box<dyn Error>> {
    let head = log.head().sequence;
    let begin = Instant::now();
    drop(log);
    println!("closing: {:.1?}", begin.elapsed());
    let begin = Instant::now();
    drop(SqliteLog::open(settings)?);
    println!("opening {head} entries with a full check: {:.1?}", begin.elapsed());
    Ok(())
}
