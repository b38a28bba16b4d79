//! `cargo xtask bench`: what a delivery, an acknowledgement and an idle connection cost, beside the
//! reference server in the same run.
//!
//! Server and generator stay on a core each; the servers take turns; medians are shown. It fails on
//! loss and disorder, never on a clock: a missed goal is printed.

#![expect(clippy::print_stdout, reason = "the results are this program's output")]

mod binary;
mod candidate;
mod instructions;
mod livepoll;
mod log;
mod measure;
mod prepare;
mod recording;
mod report;
mod scenario;
mod sessions;

use std::thread;

use anyhow::{Result, bail, ensure};

use self::candidate::{Candidate, Cores};
use self::measure::{Bench, Outcome};
use self::scenario::Mode;

/// How many idle connections are held, if the limit of open files allows.
const IDLE_CONNECTIONS: usize = 10_000;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Two short rounds of the essential scenarios (about two minutes).
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Large rooms, large events and latencies too.
    #[arg(long)]
    full: bool,
    /// Count instructions of our server under callgrind and compare with bench/instructions.json.
    #[arg(long, conflicts_with_all = ["quick", "full", "only", "filter"])]
    instructions: bool,
    /// Write the counted instructions to the file instead of failing when they grew.
    #[arg(long, requires = "instructions")]
    accept: bool,
    /// Measure what the event log takes, by durability and batch (half a minute).
    #[arg(long, conflicts_with_all = ["quick", "full", "only", "filter", "instructions"])]
    log: bool,
    /// Measure what recording costs: our server with and without its log, and a thousand clients
    /// that come back at once (two minutes).
    #[arg(long, conflicts_with_all = ["quick", "full", "only", "instructions"])]
    recording: bool,
    /// Measure live polling: 2 000 participants who vote, on one node with SQLite (three minutes).
    #[arg(long, conflicts_with_all = ["quick", "full", "only", "instructions", "recording", "shards"])]
    livepoll: bool,
    /// Measure session rooms: 2 000 who are in one, 1 000 who all hear a broadcast (two minutes).
    #[arg(long, conflicts_with_all = ["quick", "full", "only", "instructions", "recording", "shards", "livepoll"])]
    sessions: bool,
    /// Measure one server alone.
    #[arg(long, value_parser = [prepare::OURS, prepare::NODE])]
    only: Option<String>,
    /// Threads our server delivers on. More than one needs as many cores, and one for the generator.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Only the scenarios whose name contains this.
    #[arg(long)]
    filter: Option<String>,
}

impl Options {
    fn mode(&self) -> Mode {
        match (self.quick, self.full) {
            (true, _) => Mode::Quick,
            (_, true) => Mode::Full,
            _ => Mode::Standard,
        }
    }

    fn candidates(&self) -> Result<Vec<Candidate>> {
        if self.livepoll || self.sessions {
            return Ok(Vec::new());
        }
        if self.recording {
            return Ok(vec![prepare::ours(self.shards)?, prepare::recording(self.shards)?]);
        }
        let only = self.only.as_deref();
        let mut candidates = Vec::new();
        if only != Some(prepare::NODE) {
            candidates.push(prepare::ours(self.shards)?);
        }
        if only != Some(prepare::OURS) {
            candidates.push(prepare::node()?);
        }
        Ok(candidates)
    }
}

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or run, or a server lost or reordered an event.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.log {
        return log::run();
    }
    prepare::check_machine()?;
    if options.instructions {
        return instructions::run(options.accept);
    }
    let mode = options.mode();
    let available = thread::available_parallelism()?.get();
    let (server_cores, generator_core) = Cores::shared_out(available, options.shards);
    let bench = Bench {
        candidates: options.candidates()?,
        generator: prepare::generator()?,
        server_cores,
        generator_core,
    };
    println!(
        "server on core {}, generator on core {}",
        bench.server_cores.0, bench.generator_core.0
    );
    let connections = prepare::affordable_connections(IDLE_CONNECTIONS);
    if connections < IDLE_CONNECTIONS {
        println!("only {connections} idle connections: raise the limit of open files (ulimit -n)");
    }
    let filter = options.filter.as_deref().unwrap_or_default();
    if options.livepoll {
        return livepoll::run(&bench, filter);
    }
    if options.sessions {
        return sessions::run(&bench, filter);
    }
    let mut outcomes = Vec::new();
    let scenarios = match options.recording {
        true => recording::scenarios(mode, connections),
        false => mode.scenarios(connections),
    };
    for scenario in scenarios {
        if scenario.name.contains(filter) {
            println!("measuring: {}", scenario.name);
            outcomes.push(bench.run(scenario, mode.rounds())?);
        }
    }
    ensure!(!outcomes.is_empty(), "no scenario of this mode has {filter:?} in its name");
    if options.recording {
        println!("\n{}", recording::table(&outcomes));
        return faultless(outcomes);
    }
    println!("\n{}", report::table(&outcomes));
    for sentence in report::missed(&outcomes) {
        println!("GOAL MISSED: {sentence}");
    }
    // A part must not pass for the whole.
    let whole = options.only.is_none() && options.filter.is_none();
    let name = if whole { mode.name().to_owned() } else { format!("{}-part", mode.name()) };
    let path = report::write(&outcomes, &name, crate::cargo::project_root()?)?;
    println!("every sample: {}", path.display());
    faultless(outcomes)
}

fn faultless(outcomes: Vec<Outcome>) -> Result<()> {
    let faults: Vec<String> = outcomes.into_iter().flat_map(|outcome| outcome.faults).collect();
    if !faults.is_empty() {
        bail!("events were lost or out of order:\n{}", faults.join("\n"));
    }
    Ok(())
}
