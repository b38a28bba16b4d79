//! `cargo xtask bench --instructions`: how many instructions our server spends per unit of work.
//!
//! Time depends on the machine and on who else uses it; instructions hardly do. Our server runs under
//! callgrind with a fixed amount of work, once with little and once with more of it: the difference,
//! divided by the units it bought, leaves start-up and everything else out. Only user space is
//! counted. The result is compared with a file in the repository, so that what must not regress is
//! seen before it is felt.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::candidate::{Candidate, Cores};
use super::measure::Bench;
use super::prepare;

/// By how much a count may grow before it counts as a regression. Two runs of the same program differ
/// by less than one per cent; how often the server's loop wakes up is what differs.
const TOLERANCE: f64 = 0.05;

/// Connections in the room, and clients of the round trips.
const MEMBERS: u64 = 100;

/// Work that is counted: what it is called, what is done less and more, and what that buys.
struct Work {
    name: &'static str,
    less: Load,
    more: Load,
    units: u64,
}

/// One amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Load {
    /// Members connect and join, then publishes with so many under way.
    Room { members: u64, window: u64, publishes: u64 },
    /// Each of the clients does so many round trips.
    Echo { round_trips: u64 },
}

/// The file in the repository.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    /// The compiler it was counted with: another one may give other counts.
    rustc: String,
    /// Instructions per unit of work.
    instructions: BTreeMap<String, u64>,
}

/// All that is counted.
fn all_work() -> Vec<Work> {
    let room = |members, window, publishes| Load::Room { members, window, publishes };
    let delivery = |name, window, less, more| Work {
        name,
        less: room(MEMBERS, window, less),
        more: room(MEMBERS, window, more),
        units: (more - less) * MEMBERS,
    };
    vec![
        Work {
            name: "connection",
            less: room(MEMBERS, 1, 20),
            more: room(2 * MEMBERS, 1, 20),
            units: MEMBERS,
        },
        delivery("delivery, window 1", 1, 20, 220),
        delivery("delivery, window 32", 32, 64, 1088),
        Work {
            name: "ack round trip",
            less: Load::Echo { round_trips: 5 },
            more: Load::Echo { round_trips: 105 },
            units: 100 * MEMBERS,
        },
    ]
}

impl Load {
    fn plan(self) -> Value {
        match self {
            Self::Room { members, window, publishes } => json!({"counted": {
                "members": members, "window": window, "payload_bytes": 100, "publishes": publishes,
            }}),
            Self::Echo { round_trips } => {
                json!({"counted_echo": {"clients": MEMBERS, "round_trips": round_trips}})
            }
        }
    }
}

/// Counts, prints, and compares with the file; with `accept` the file is written instead.
///
/// # Errors
/// When something cannot be built or run, a server lost an event, or a count grew beyond the
/// tolerance.
pub(super) fn run(accept: bool) -> Result<()> {
    let found = Command::new("valgrind").arg("--version").output();
    ensure!(found.is_ok(), "valgrind is missing; it counts the instructions");
    let root = crate::cargo::project_root()?;
    let counter = Counter::new(root)?;
    let mut counts: BTreeMap<Load, u64> = BTreeMap::new();
    let mut instructions = BTreeMap::new();
    for work in all_work() {
        println!("counting: {}", work.name);
        let [less, more] = [work.less, work.more].map(|load| -> Result<u64> {
            match counts.get(&load) {
                Some(count) => Ok(*count),
                None => {
                    let count = counter.count(load).with_context(|| work.name.to_owned())?;
                    counts.insert(load, count);
                    Ok(count)
                }
            }
        });
        instructions.insert(work.name.to_owned(), more?.saturating_sub(less?) / work.units);
    }
    let now = Baseline { rustc: rustc_version()?, instructions };
    let path = root.join("bench/instructions.json");
    if let Ok(text) = fs::read_to_string(&path) {
        let verdict = compare(&serde_json::from_str(&text)?, &now);
        if !accept {
            return verdict;
        }
    }
    ensure!(
        accept,
        "{} is missing; `cargo xtask bench --instructions --accept` makes it",
        path.display()
    );
    let text = format!("{}\n", serde_json::to_string_pretty(&now)?);
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("written: {}", path.display());
    Ok(())
}

/// Prints both counts, and fails when one grew too much.
fn compare(baseline: &Baseline, now: &Baseline) -> Result<()> {
    if baseline.rustc != now.rustc {
        println!("the file was counted with {}, this is {}", baseline.rustc, now.rustc);
    }
    println!("\n{:<22}{:>10}{:>10}{:>9}", "instructions per", "before", "now", "");
    let mut grown = Vec::new();
    for (name, count) in &now.instructions {
        let before = baseline.instructions.get(name).copied();
        let change = before.map(|before| change(before, *count));
        let before = before.map_or("–".to_owned(), |before| before.to_string());
        let percent = change.map(|change| format!("{:+.1} %", change * 100.0)).unwrap_or_default();
        println!("{name:<22}{before:>10}{count:>10}{percent:>9}");
        if change.is_some_and(|change| change > TOLERANCE) {
            grown.push(format!("{name} ({percent})"));
        }
    }
    if !grown.is_empty() {
        bail!(
            "more instructions than before: {}. If that is worth it, accept it with \
             `cargo xtask bench --instructions --accept` and say why in the commit",
            grown.join(", ")
        );
    }
    Ok(())
}

/// How much more `now` is, as a part of `before`.
#[expect(clippy::cast_precision_loss, reason = "counts of instructions per unit are small")]
fn change(before: u64, now: u64) -> f64 {
    now as f64 / before.max(1) as f64 - 1.0
}

/// Runs our server under callgrind.
struct Counter {
    server: Candidate,
    bench: Bench,
    output: PathBuf,
}

impl Counter {
    fn new(root: &Path) -> Result<Self> {
        let folder = root.join("target/bench");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let server = prepare::ours(1)?;
        let available = std::thread::available_parallelism()?.get();
        let (server_cores, generator_core) = Cores::shared_out(available, 1);
        let generator = prepare::generator()?;
        let bench = Bench { candidates: Vec::new(), generator, server_cores, generator_core };
        Ok(Self { server, bench, output: folder.join("callgrind.out") })
    }

    /// Instructions of a whole run of the server with this load.
    fn count(&self, load: Load) -> Result<u64> {
        let mut arguments = vec![
            "--quiet".to_owned(),
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", self.output.display()),
            format!("--log-file={}.log", self.output.display()),
            self.server.program.to_string_lossy().into_owned(),
        ];
        arguments.extend(self.server.arguments.iter().cloned());
        let candidate = Candidate { name: self.server.name, program: "valgrind".into(), arguments };
        let server = candidate.start(&self.bench.server_cores)?;
        let report = self.bench.generate(&load.plan(), &server)?;
        ensure!(report.faults.is_empty(), "the server broke its word: {:?}", report.faults);
        server.end()?;
        let text = fs::read_to_string(&self.output).context("callgrind wrote no result")?;
        total(&text).context("callgrind's result has no total")
    }
}

/// The last line of a callgrind file.
fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

fn rustc_version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("cannot run rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_line_of_its_kind() {
        assert_eq!(total("events: Ir\nsummary: 7\ntotals: 12345\n"), Some(12_345));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn only_growth_beyond_the_tolerance_fails() {
        let counted = |count| Baseline {
            rustc: "rustc".to_owned(),
            instructions: BTreeMap::from([("delivery".to_owned(), count)]),
        };
        for (now, passes) in [(1000, true), (1049, true), (1051, false), (10, true)] {
            assert_eq!(compare(&counted(1000), &counted(now)).is_ok(), passes, "{now}");
        }
    }

    #[test]
    fn more_work_is_more_than_less_work() {
        for work in all_work() {
            assert!(work.more > work.less && work.units > 0, "{}", work.name);
        }
    }
}
