//! The results, as a table for people and as a file for programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::measure::Outcome;
use super::prepare::{NODE, OURS};
use super::scenario::{Goal, Row};

/// The columns of the table. The names of the two servers head the second and third.
const COLUMNS: [&str; 7] = ["", "", OURS, NODE, "node ÷ ours", "generator", "goal"];

/// Whether a goal was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Reached.
    Met,
    /// Not reached.
    Missed,
    /// One of the values it needs was not measured.
    Unknown,
}

impl Goal {
    /// Compares the medians with the goal.
    pub(super) fn verdict(self, ours: Option<f64>, node: Option<f64>) -> Verdict {
        let met = match (self, ours, node) {
            (Self::TimesLessThanNode(times), Some(ours), Some(node)) => ours * times <= node,
            (Self::AtMost(limit), Some(ours), _) => ours <= limit,
            _ => return Verdict::Unknown,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }

    fn words(self) -> String {
        match self {
            Self::TimesLessThanNode(times) => format!("≥ {times:.0}×"),
            Self::AtMost(limit) => format!("≤ {limit:.0}"),
        }
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Unknown => "not measured",
        }
    }
}

/// The table.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    for outcome in outcomes {
        let mut name = outcome.scenario.name.as_str();
        for row in &outcome.scenario.rows {
            lines.push(line(std::mem::take(&mut name), row, outcome));
        }
    }
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let filling = " ".repeat(width - cell.chars().count());
            let (before, after) = if column < 2 || column == 6 {
                ("", filling.as_str())
            } else {
                (filling.as_str(), "")
            };
            text.push_str(before);
            text.push_str(cell);
            text.push_str(after);
            text.push_str("  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn line(name: &str, row: &Row, outcome: &Outcome) -> [String; 7] {
    let ours = outcome.samples.median(OURS, row.metric);
    let node = outcome.samples.median(NODE, row.metric);
    let goal =
        row.goal.map(|goal| format!("{} {}", goal.words(), goal.verdict(ours, node).words()));
    [
        name.to_owned(),
        row.unit.to_owned(),
        number(ours),
        number(node),
        ratio(ours, node).map(|ratio| format!("{ratio:.1}×")).unwrap_or_default(),
        generator(row, outcome),
        goal.unwrap_or_default(),
    ]
}

/// What the generator itself used in the same unit, beside each server.
fn generator(row: &Row, outcome: &Outcome) -> String {
    let Some(unit) = row.metric.strip_prefix("server_us_per_") else { return String::new() };
    let metric = format!("generator_us_per_{unit}");
    let both = [OURS, NODE].map(|name| number(outcome.samples.median(name, &metric)));
    both.join(" / ")
}

fn ratio(ours: Option<f64>, node: Option<f64>) -> Option<f64> {
    ours.zip(node).filter(|(ours, _)| *ours > 0.0).map(|(ours, node)| node / ours)
}

/// Three significant digits or whole numbers, whichever is shorter to read.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// The goals that were missed, one sentence each.
pub(super) fn missed(outcomes: &[Outcome]) -> Vec<String> {
    let mut sentences = Vec::new();
    for outcome in outcomes {
        for row in &outcome.scenario.rows {
            let Some(goal) = row.goal else { continue };
            let ours = outcome.samples.median(OURS, row.metric);
            let node = outcome.samples.median(NODE, row.metric);
            if goal.verdict(ours, node) == Verdict::Missed {
                let got = match (goal, ratio(ours, node)) {
                    (Goal::TimesLessThanNode(_), Some(ratio)) => format!("{ratio:.1}×"),
                    _ => number(ours),
                };
                let name = &outcome.scenario.name;
                sentences.push(format!("{name}: {} {}, got {got}", row.unit, goal.words()));
            }
        }
    }
    sentences
}

/// Writes everything that was measured, every sample included, and returns where.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(outcomes: &[Outcome], mode: &str, root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("{mode}.json"));
    let results: Vec<Value> = outcomes.iter().map(result).collect();
    let document = json!({"mode": mode, "machine": machine(root), "results": results});
    fs::write(&path, format!("{document:#}\n")).with_context(|| path.display().to_string())?;
    Ok(path)
}

fn result(outcome: &Outcome) -> Value {
    let row = |row: &Row| {
        let ours = outcome.samples.median(OURS, row.metric);
        let node = outcome.samples.median(NODE, row.metric);
        json!({
            "metric": row.metric,
            "unit": row.unit,
            (OURS): ours,
            (NODE): node,
            "ratio": ratio(ours, node),
            "goal": row.goal.map(Goal::words),
            "verdict": row.goal.map(|goal| goal.verdict(ours, node).words()),
        })
    };
    json!({
        "scenario": outcome.scenario.name,
        "plan": outcome.scenario.plan,
        "rows": outcome.scenario.rows.iter().map(row).collect::<Vec<_>>(),
        "samples": {(OURS): outcome.samples.all(OURS), (NODE): outcome.samples.all(NODE)},
        "faults": outcome.faults,
    })
}

/// What one has to know to compare two files.
fn machine(root: &Path) -> Value {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().ok(),
        "kernel": said(Command::new("uname").arg("-sr")),
        "node": said(Command::new("node").arg("--version")),
        "commit": said(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root)),
        "unix_seconds": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    })
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_by_medians() {
        let (ratio, limit) = (Goal::TimesLessThanNode(20.0), Goal::AtMost(3000.0));
        for (goal, ours, node, verdict) in [
            (ratio, Some(0.1), Some(2.0), Verdict::Met),
            (ratio, Some(0.11), Some(2.0), Verdict::Missed),
            (ratio, Some(0.1), None, Verdict::Unknown),
            (limit, Some(3000.0), None, Verdict::Met),
            (limit, Some(3001.0), Some(1.0), Verdict::Missed),
            (limit, None, Some(1.0), Verdict::Unknown),
        ] {
            assert_eq!(goal.verdict(ours, node), verdict, "{goal:?} {ours:?} {node:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(None, "–"), (Some(0.1049), "0.105"), (Some(2.449), "2.45"), (Some(2999.6), "3000")]
        {
            assert_eq!(number(value), text);
        }
    }
}
