//! Prints how many records a second the log on disk takes, by durability and batch size.
//!
//! `cargo run --release -p fanfare-log --example append_rate [directory]`: about ten seconds of
//! load on one file in the directory, which goes away at the end.

// A program that prints; the limits of the library's code do not apply to its few lines.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use eventlog::{Durability, EventLog, Query, Record, Scope, SqliteLog, SqliteSettings};

/// How long each case runs.
const CASE: Duration = Duration::from_millis(1500);

/// How many batches may wait for their answer at once.
const IN_FLIGHT: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = parent.join(format!("append-rate-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let outcome = run(&directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn run(directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let settings = SqliteSettings::new(directory.join("log"));
    let log = SqliteLog::open(settings.clone())?;
    println!("payload 100 bytes; {IN_FLIGHT} batches in flight");
    println!(
        "{:<12} {:>6} {:>6} {:>12} {:>9} {:>9} {:>9}",
        "durability", "batch", "rooms", "records/s", "p50 ms", "p99 ms", "worst ms"
    );
    let cases = [
        (Durability::Os, 1, 1),
        (Durability::Os, 64, 1),
        (Durability::Os, 64, 1000),
        (Durability::Os, 1024, 1000),
        (Durability::Disk, 64, 1),
    ];
    for (durability, batch, rooms) in cases {
        let (rate, waits) = case(&log, durability, batch, rooms)?;
        let [p50, p99, worst] = waits;
        println!(
            "{:<12} {batch:>6} {rooms:>6} {rate:>12.0} {p50:>9.1} {p99:>9.1} {worst:>9.1}",
            format!("{durability:?}")
        );
    }
    let head = log.head().sequence;
    let rooms: [Arc<str>; 2] = ["room-1".into(), "room-2".into()];
    let scope = Scope::Rooms { namespace: "/", rooms: &rooms, everyone: true };
    let begin = Instant::now();
    let page = log.read(&Query { limit: 300, ..Query::new(scope) })?;
    println!(
        "300 entries of 2 rooms from the store: {:?} ({})",
        begin.elapsed(),
        page.entries.len()
    );
    let begin = Instant::now();
    drop(log);
    println!("closing: {:?}", begin.elapsed());
    let begin = Instant::now();
    let log = SqliteLog::open(settings)?;
    println!("opening {head} entries with a full check: {:?}", begin.elapsed());
    drop(log);
    Ok(())
}

/// Records per second, and how long an answer took in milliseconds: half of them, all but one in a
/// hundred, all.
fn case(
    log: &SqliteLog,
    durability: Durability,
    batch: usize,
    rooms: usize,
) -> Result<(f64, [f64; 3]), Box<dyn std::error::Error>> {
    let rooms: Vec<Arc<[Arc<str>]>> =
        (0..rooms).map(|room| [Arc::from(format!("room-{room}"))].into()).collect();
    let mut rooms = rooms.iter().cycle();
    let (namespace, name): (Arc<str>, Arc<str>) = ("/".into(), "headline".into());
    let mut record = || Record {
        namespace: Arc::clone(&namespace),
        rooms: rooms.next().cloned().unwrap_or_default(),
        except: Arc::default(),
        name: Arc::clone(&name),
        payload: vec![b'x'; 100].into(),
        time_ms: 1,
        key: None,
    };
    let (sender, answers) = mpsc::channel();
    let begin = Instant::now();
    let (mut sent, mut waiting, mut waits) = (0_usize, 0, Vec::new());
    while begin.elapsed() < CASE || waiting > 0 {
        while waiting < IN_FLIGHT && begin.elapsed() < CASE {
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
    #[expect(clippy::cast_precision_loss)]
    let rate = sent as f64 / begin.elapsed().as_secs_f64();
    waits.sort_by(f64::total_cmp);
    let at = |part: usize| waits.get(waits.len() * part / 100).or(waits.last());
    Ok((rate, [50, 99, 100].map(|part| at(part).copied().unwrap_or_default())))
}
