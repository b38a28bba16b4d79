//! The table: one row per fault, what was promised beside what was seen.

use std::collections::BTreeMap;

use anyhow::Result;
use fanfare_oracle::{Figures, Line, Verdict};
use serde::Serialize;

use crate::judge;
use crate::scenario::Scenario;
use crate::server::Peer;

/// The most pessimism that keeps the promise, in percent of the reconnects.
const MAX_PESSIMISM: f64 = 1.0;

/// How many witnesses of each check are printed.
const TOLD_WITNESSES: usize = 5;

/// One fault.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    server: &'static str,
    fault: &'static str,
    /// Whether the promise was kept.
    pub(crate) is_kept: bool,
    /// What went wrong beside what was seen.
    failure: Option<String>,
    pessimism_percent: f64,
    verdict: Verdict,
}

impl Row {
    /// Judges a trace. A run in which something else went wrong has kept no promise either.
    pub(crate) fn of(peer: &Peer, scenario: Scenario, lines: &[Line], done: Result<()>) -> Self {
        let verdict = judge(lines);
        let strict: Vec<Line> =
            lines.iter().filter(|line| !scenario.may_be_told(&line.who)).cloned().collect();
        let kept = verdict.is_clean() && is_unnoticed(judge(&strict).figures);
        Self {
            server: peer.name(),
            fault: scenario.fault(),
            is_kept: kept && done.is_ok(),
            failure: done.err().map(|error| format!("{error:#}")),
            pessimism_percent: verdict.figures.pessimism_percent(),
            verdict,
        }
    }

    /// The fault.
    pub(crate) fn fault(&self) -> &str {
        self.fault
    }

    /// The outcome in a few words.
    pub(crate) fn told(&self) -> String {
        match &self.failure {
            Some(failure) => format!("FAILED: {failure}"),
            None if self.is_kept => "kept".to_owned(),
            None => format!("BROKEN {:?}", self.verdict.counts),
        }
    }

    /// What was found, as sentences, the first of each check. The file has more.
    pub(crate) fn witnesses(&self) -> impl Iterator<Item = String> {
        let mut told = BTreeMap::new();
        self.verdict.witnesses.iter().filter_map(move |witness| {
            let count = told.entry(witness.check).or_insert(0);
            *count += 1;
            (*count <= TOLD_WITNESSES).then(|| witness.to_string())
        })
    }

    fn cells(&self) -> [String; 10] {
        let it = self.verdict.figures;
        let promise = match &self.failure {
            Some(_) => "FAILED",
            None if self.is_kept => "kept",
            None => "BROKEN",
        };
        [
            self.server.to_owned(),
            self.fault.to_owned(),
            it.acked.to_string(),
            it.lost_told.to_string(),
            it.lost_silently.to_string(),
            it.duplicates.to_string(),
            it.disordered.to_string(),
            format!("{} of {}", it.recovered, it.reconnects),
            format!("{:.2}", self.pessimism_percent),
            promise.to_owned(),
        ]
    }
}

/// Whether nobody noticed anything.
fn is_unnoticed(figures: Figures) -> bool {
    figures.lost_told == 0
        && figures.recovered == figures.reconnects
        && figures.pessimism_percent() < MAX_PESSIMISM
}

/// The table in Markdown, its columns aligned.
pub(crate) fn text(rows: &[Row]) -> String {
    let head = [
        "server",
        "fault",
        "acked",
        "lost, client told",
        "lost silently",
        "duplicates",
        "different order",
        "recovered",
        "pessimism %",
        "promise",
    ]
    .map(str::to_owned);
    let cells: Vec<[String; 10]> =
        std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max()
    };
    let widths: Vec<usize> = (0..10).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 10]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join(" | ");
    let mut lines = cells.iter().map(line);
    let first = lines.next().unwrap_or_default();
    format!("{first}| {rule} |\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use fanfare_oracle::What;

    use super::*;

    fn lines(who: &str, recovered: bool) -> Vec<Line> {
        let line = |at, what| Line { at, who: who.to_owned(), what };
        vec![
            line(1, What::Connect { id: "s".into(), recovered: false }),
            line(2, What::Disconnect { reason: "cut".into() }),
            line(3, What::Connect { id: "s".into(), recovered }),
        ]
    }

    #[test]
    fn the_promise_is_broken_by_whoever_had_to_be_told_and_may_not() {
        let peer = Peer::Fanfare(PathBuf::new());
        for (scenario, who, recovered, kept) in [
            (Scenario::Drop, "fast0", true, true),
            (Scenario::Drop, "fast0", false, false),
            (Scenario::Slow, "fast0", false, false),
            (Scenario::Slow, "slow0", false, true),
            (Scenario::Damage, "fast0", false, true),
        ] {
            let row = Row::of(&peer, scenario, &lines(who, recovered), Ok(()));
            assert_eq!(row.is_kept, kept, "{scenario:?} {who} {recovered}");
        }
    }

    #[test]
    fn the_table_has_a_row_per_fault_and_a_failure_is_one() {
        let peer = Peer::Node(PathBuf::new());
        let rows = [
            Row::of(&peer, Scenario::Kill, &lines("a", false), Ok(())),
            Row::of(&peer, Scenario::Slow, &[], Err(anyhow::anyhow!("broken"))),
        ];
        let text = text(&rows);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("| 0 of 1 ") && text.contains("| 100.00 "), "{text}");
        assert!(text.lines().last().unwrap().contains("FAILED"), "{text}");
    }
}
