//! Runs the scenarios, alternating the servers, and keeps every sample.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::candidate::{Candidate, Cores, Running};
use super::prepare::RECORDING;
use super::scenario::Scenario;

/// What measures, and where.
#[derive(Debug)]
pub(super) struct Bench {
    /// The servers under test, in the order in which they take turns.
    pub(super) candidates: Vec<Candidate>,
    /// The load generator.
    pub(super) generator: PathBuf,
    /// The cores of the server.
    pub(super) server_cores: Cores,
    /// The core of the generator.
    pub(super) generator_core: Cores,
}

/// Samples of every metric, by server.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<(&'static str, String), Vec<f64>>);

/// What the generator reports of one run.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    /// Measured values by name.
    pub(super) metrics: BTreeMap<String, f64>,
    /// Loss and disorder, one sentence each.
    pub(super) faults: Vec<String>,
}

/// The outcome of one scenario.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was run.
    pub(super) scenario: Scenario,
    /// What was measured.
    pub(super) samples: Samples,
    /// Loss and disorder, with the server's name.
    pub(super) faults: Vec<String>,
}

impl Bench {
    /// Runs one scenario `rounds` times against each server, taking turns: what else happens on the
    /// machine then hits all of them alike. Each run has a fresh server.
    ///
    /// # Errors
    /// When a server or the generator fails. Loss and disorder are kept in the outcome instead.
    pub(super) fn run(&self, scenario: Scenario, rounds: usize) -> Result<Outcome> {
        let mut samples = Samples::default();
        let mut faults = Vec::new();
        for _ in 0..rounds {
            let able = |it: &&Candidate| !scenario.needs_log() || it.name == RECORDING;
            for candidate in self.candidates.iter().filter(able) {
                let report = self
                    .run_once(&scenario, candidate)
                    .with_context(|| format!("{}, {}", scenario.name, candidate.name))?;
                for (metric, value) in report.metrics {
                    samples.0.entry((candidate.name, metric)).or_default().push(value);
                }
                let named = report.faults.into_iter();
                faults.extend(
                    named.map(|fault| format!("{}: {}: {fault}", candidate.name, scenario.name)),
                );
            }
        }
        Ok(Outcome { scenario, samples, faults })
    }

    fn run_once(&self, scenario: &Scenario, candidate: &Candidate) -> Result<Report> {
        let server = candidate.start(&self.server_cores)?;
        self.generate(&scenario.plan, &server)
    }

    /// Has the generator do what `scenario` says, against a running server.
    ///
    /// # Errors
    /// When the generator cannot finish.
    pub(super) fn generate(&self, scenario: &Value, server: &Running) -> Result<Report> {
        let plan = json!({"target": server.ready, "scenario": scenario});
        let output = self
            .generator_core
            .command(&self.generator)
            .arg(plan.to_string())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run the generator")?;
        ensure!(output.status.success(), "the generator could not finish");
        serde_json::from_slice(&output.stdout).context("the generator's report is not readable")
    }
}

impl Samples {
    /// All samples of one metric of one server.
    pub(super) fn of(&self, candidate: &'static str, metric: &str) -> &[f64] {
        self.0.get(&(candidate, metric.to_owned())).map(Vec::as_slice).unwrap_or_default()
    }

    /// The median of one metric of one server.
    pub(super) fn median(&self, candidate: &'static str, metric: &str) -> Option<f64> {
        median(self.of(candidate, metric))
    }

    /// All metrics of one server with their samples.
    pub(super) fn all(&self, candidate: &'static str) -> BTreeMap<&str, &[f64]> {
        let own = self.0.iter().filter(|((name, _), _)| *name == candidate);
        own.map(|((_, metric), samples)| (metric.as_str(), samples.as_slice())).collect()
    }
}

/// The middle value; between the two middle ones when their number is even.
pub(super) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (samples, middle) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(samples), middle, "{samples:?}");
        }
    }
}
