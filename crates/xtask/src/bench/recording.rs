//! `cargo xtask bench --recording`: what it costs to remember, beside our server without its log.

use serde_json::json;

use super::measure::Outcome;
use super::prepare::{OURS, RECORDING};
use super::scenario::{Mode, Row, Scenario};

/// A recorded broadcast to a thousand receivers costs at most so many times as much as another.
const AT_MOST_TIMES: f64 = 1.5;

/// While a thousand clients recover, another client waits at most so long, 99 times of 100.
const AT_MOST_MS: f64 = 50.0;

/// What is measured against both.
pub(super) fn scenarios(mode: Mode, connections: usize) -> Vec<Scenario> {
    let mut scenarios = mode.scenarios(connections);
    scenarios.push(storm());
    scenarios
}

/// A thousand clients come back at once, each for 300 events. A server without a log has nothing
/// to give: there the row stays empty.
fn storm() -> Scenario {
    let row = |metric, unit| Row { metric, unit, goal: None };
    Scenario {
        name: "1000 clients come back, 300 events each".to_owned(),
        plan: json!({"storm": {
            "clients": 1000, "missed": 300, "payload_bytes": 100, "per_second": 100,
        }}),
        rows: vec![
            row("p99_ms", "latency ms of another client, p99"),
            row("max_ms", "the same, longest"),
            row("storm_seconds", "seconds until all were back"),
            row("server_us_per_recovery", "CPU µs per recovery"),
        ],
    }
}

impl Scenario {
    /// Whether it needs a log.
    pub(super) fn needs_log(&self) -> bool {
        self.plan.get("storm").is_some()
    }
}

/// The table, with the goals.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![["", "", OURS, RECORDING, "times", "goal"].map(str::to_owned)];
    for outcome in outcomes {
        let mut name = outcome.scenario.name.as_str();
        for row in &outcome.scenario.rows {
            lines.push(line(std::mem::take(&mut name), row, outcome));
        }
    }
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn line(name: &str, row: &Row, outcome: &Outcome) -> [String; 6] {
    let plain = outcome.samples.median(OURS, row.metric);
    let recorded = outcome.samples.median(RECORDING, row.metric);
    let times = plain.zip(recorded).filter(|(plain, _)| *plain > 0.0).map(|(a, b)| b / a);
    let verdict =
        |met: bool, goal: String| format!("{goal} {}", if met { "met" } else { "MISSED" });
    let thousand = outcome.scenario.name.starts_with("1000 members");
    let goal = match (row.metric, times, recorded) {
        ("server_us_per_delivery", Some(times), _) if thousand => {
            verdict(times <= AT_MOST_TIMES, format!("≤ {AT_MOST_TIMES}×"))
        }
        ("p99_ms", _, Some(ms)) if outcome.scenario.needs_log() => {
            verdict(ms <= AT_MOST_MS, format!("≤ {AT_MOST_MS}"))
        }
        _ => String::new(),
    };
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |it| format!("{it:.3}"));
    [
        name.to_owned(),
        row.unit.to_owned(),
        number(plain),
        number(recorded),
        times.map(|times| format!("{times:.2}×")).unwrap_or_default(),
        goal,
    ]
}
