//! `cargo xtask bench --sessions`: a backend tells thousands something, through the binary and its event
//! log on the disk, and when the last of them has heard it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::binary::Binary;
use super::measure::{Bench, median};

/// The key of the HTTP API, of a server on loopback that lives for a moment.
const KEY: &str = "the-key-of-a-server-that-is-measured";

/// How often each scenario is run.
const ROUNDS: usize = 3;

/// What is shown of the generator's report.
const ROWS: [(&str, &str); 6] = [
    ("p50_ms", "from due to heard, ms, p50"),
    ("p95_ms", "the same, p95"),
    ("p99_ms", "the same, p99"),
    ("slowest_broadcast_ms", "until the last of all has heard it, slowest event"),
    ("server_us_per_delivery", "CPU µs per delivery"),
    ("server_cores", "cores used"),
];

/// Who is told what, and a row with the most that it may be.
struct Scenario {
    name: &'static str,
    members: usize,
    per_second: u32,
    events: usize,
    to_all: bool,
    goal: Option<(&'static str, f64)>,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "2000 in a session, 10 events/s",
        members: 2_000,
        per_second: 10,
        events: 200,
        to_all: false,
        goal: Some(("p95_ms", 100.0)),
    },
    Scenario {
        name: "2000 in a session, 100 events/s",
        members: 2_000,
        per_second: 100,
        events: 1_000,
        to_all: false,
        goal: None,
    },
    Scenario {
        name: "1000 connected, a broadcast",
        members: 1_000,
        per_second: 2,
        events: 20,
        to_all: true,
        goal: Some(("slowest_broadcast_ms", 1_000.0)),
    },
];

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or run, or an event was lost or out of order.
pub(super) fn run(bench: &Bench, filter: &str) -> Result<()> {
    let binary = Binary::build(&[("api-key", KEY)])?;
    let mut faults = Vec::new();
    let mut table = format!("{:<34}{:<52}{:>10}\n", "", "", "median");
    let chosen: Vec<_> = SCENARIOS.iter().filter(|it| it.name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no scenario of sessions has {filter:?} in its name");
    for scenario in chosen {
        println!("measuring: {}", scenario.name);
        let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            let report = binary.generate(bench, &scenario.plan());
            let report = report.with_context(|| scenario.name.to_owned())?;
            let named = report.faults.into_iter();
            faults.extend(named.map(|fault| format!("{}: {fault}", scenario.name)));
            for (metric, value) in report.metrics {
                samples.entry(metric).or_default().push(value);
            }
        }
        let mut name = scenario.name;
        for (metric, shown) in ROWS {
            let value = samples.get(metric).and_then(|samples| median(samples));
            let value = value.with_context(|| format!("the generator did not report {metric}"))?;
            let goal = match scenario.goal.filter(|(of, _)| *of == metric) {
                None => String::new(),
                Some((_, most)) if value <= most => format!("  goal ≤ {most} met"),
                Some((_, most)) => format!("  GOAL MISSED: ≤ {most}"),
            };
            table.push_str(&format!("{name:<34}{shown:<52}{value:>10.2}{goal}\n"));
            name = "";
        }
    }
    println!("\n{table}");
    if !faults.is_empty() {
        bail!("events were lost or out of order:\n{}", faults.join("\n"));
    }
    Ok(())
}

impl Scenario {
    fn plan(&self) -> Value {
        json!({"session": {
            "members": self.members, "per_second": self.per_second, "events": self.events,
            "payload_bytes": 200, "to_all": self.to_all, "key": KEY,
        }})
    }
}
