//! `cargo xtask bench --livepoll`: all of a large session vote, on one node with SQLite, each with a
//! screen that shows the results.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::binary::Binary;
use super::measure::{Bench, median};

/// How many take part.
const PARTICIPANTS: usize = 2_000;

/// The pause between two results: what the server is set to unless told otherwise.
const INTERVAL_MS: u64 = 200;

/// Results come at most so much later than the pause, 95 times of 100.
const GOAL_MS: f64 = 100.0;

/// How often each scenario is run.
const ROUNDS: usize = 3;

/// What is shown of the generator's report.
const ROWS: [(&str, &str); 7] = [
    ("answer_p50_ms", "answer to a vote, ms, p50"),
    ("answer_p95_ms", "the same, p95"),
    ("results_p50_ms", "vote to results on the voter's screen, ms, p50"),
    ("results_p95_ms", "the same, p95"),
    (GOAL_ROW, "the same, p95, behind the pause of 200 ms"),
    ("server_us_per_vote", "CPU µs per vote, results to all screens included"),
    ("server_cores", "cores used"),
];

/// The row with the goal.
const GOAL_ROW: &str = "results_behind_interval_p95_ms";

/// A rate, and on how many polls all vote.
struct Scenario {
    name: &'static str,
    per_second: u32,
    polls: usize,
    has_goal: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "2000 vote within ten seconds", per_second: 200, polls: 1, has_goal: true },
    Scenario { name: "500 votes/s for 20 s", per_second: 500, polls: 5, has_goal: true },
    Scenario { name: "2000 vote within a second", per_second: 2_000, polls: 3, has_goal: false },
];

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or run, or a vote did not count once.
pub(super) fn run(bench: &Bench, filter: &str) -> Result<()> {
    let binary = Binary::build(&[("livepoll-enabled", "true")])?;
    let mut faults = Vec::new();
    let mut table = format!("{:<32}{:<52}{:>10}\n", "", "", "median");
    let chosen: Vec<_> = SCENARIOS.iter().filter(|it| it.name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no scenario of live polling has {filter:?} in its name");
    for scenario in chosen {
        println!("measuring: {}", scenario.name);
        let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            let (metrics, wrong) = once(bench, &binary, scenario)?;
            faults.extend(wrong.into_iter().map(|fault| format!("{}: {fault}", scenario.name)));
            for (metric, value) in metrics {
                samples.entry(metric).or_default().push(value);
            }
        }
        let mut name = scenario.name;
        for (metric, shown) in ROWS {
            let value = samples.get(metric).and_then(|samples| median(samples));
            let value = value.with_context(|| format!("the generator did not report {metric}"))?;
            let goal = match (metric == GOAL_ROW && scenario.has_goal, value <= GOAL_MS) {
                (false, _) => "",
                (true, true) => "  goal ≤ 100 met",
                (true, false) => "  GOAL MISSED: ≤ 100",
            };
            table.push_str(&format!("{name:<32}{shown:<52}{value:>10.1}{goal}\n"));
            name = "";
        }
    }
    println!("\n{table}");
    if !faults.is_empty() {
        bail!("votes did not count once, or were not shown:\n{}", faults.join("\n"));
    }
    Ok(())
}

/// One run against a fresh server.
fn once(
    bench: &Bench,
    binary: &Binary,
    scenario: &Scenario,
) -> Result<(BTreeMap<String, f64>, Vec<String>)> {
    let plan: Value = json!({"votes": {
        "participants": PARTICIPANTS, "per_second": scenario.per_second,
        "polls": scenario.polls, "interval_ms": INTERVAL_MS,
    }});
    let report = binary.generate(bench, &plan).with_context(|| scenario.name.to_owned())?;
    Ok((report.metrics, report.faults))
}
