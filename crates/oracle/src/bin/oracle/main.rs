//! `oracle`: breaks a running server in all the ways it must survive, and judges what was seen.
//!
//! It is started by `cargo xtask oracle`, which builds the server and installs the packages.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person")]

mod clients;
mod damage;
mod disk;
mod fast;
mod field;
mod node;
mod proxy;
mod publishers;
mod random;
mod recorder;
mod scenario;
mod server;
mod shapes;
mod table;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fanfare_oracle::{Line, judge, trace};

use crate::clients::Crowd;
use crate::field::Plan;
use crate::random::Random;
use crate::scenario::{Effort, Scenario};
use crate::server::Peer;
use crate::table::Row;

/// Breaks a server and judges whether it kept its promise.
#[derive(Debug, Parser)]
struct Options {
    /// The program of our server.
    #[arg(long, required_unless_present = "node")]
    fanfare: Option<PathBuf>,
    /// Judge the Node.js server instead.
    #[arg(long, conflicts_with = "fanfare")]
    node: bool,
    /// The folder with the scripts for Node.js.
    #[arg(long)]
    scripts: PathBuf,
    /// Where traces, logs and the table go.
    #[arg(long)]
    output: PathBuf,
    /// Only these scenarios.
    #[arg(long)]
    scenario: Vec<Scenario>,
    /// What the random numbers begin with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long things are broken, in seconds, in the scenarios that last.
    #[arg(long, default_value_t = 8)]
    duration: u64,
    /// How often the server is killed.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How many `socket.io-client`s, `EventSource`s and clients of ours.
    #[arg(long, value_delimiter = ',', default_values_t = [18, 4, 10])]
    clients: Vec<usize>,
    /// How many clients more there are when the server is asked to stop.
    #[arg(long, default_value_t = 300)]
    crowd: usize,
    /// Do not mount a small disk to fill, but limit the size of files.
    #[arg(long)]
    no_mount: bool,
    /// Judge the traces of an earlier run instead of running anything.
    #[arg(long)]
    judge: bool,
}

impl Options {
    fn peer(&self) -> Peer {
        match &self.fanfare {
            Some(program) => Peer::Fanfare(program.clone()),
            None => Peer::Node(self.scripts.join("server.mjs")),
        }
    }

    /// Where the files of a scenario go, without their extensions.
    fn output_of(&self, scenario: Scenario) -> PathBuf {
        let server = if self.node { "node" } else { "fanfare" };
        self.output.join(format!("{server}-{scenario:?}").to_lowercase())
    }

    fn plan(&self, scenario: Scenario) -> Plan {
        let peer = self.peer();
        let count = |at: usize| self.clients.get(at).copied().unwrap_or(0);
        // Node's server has no event streams.
        let streams = if peer.has_log() { count(1) } else { 0 };
        Plan {
            peer,
            crowd: Crowd { sockets: count(0), streams, fast: count(2), quiet: 0 },
            node_folder: self.scripts.clone(),
            output: self.output_of(scenario),
            flags: Vec::new(),
            padding: 0,
            data: None,
        }
    }

    /// What is to be run, in order.
    fn scenarios(&self) -> Vec<Scenario> {
        let asked = |it: &Scenario| self.scenario.is_empty() || self.scenario.contains(it);
        Scenario::ALL.into_iter().filter(asked).collect()
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let peer = options.peer();
    let mut rows = Vec::new();
    for scenario in options.scenarios() {
        if !scenario.fits(&peer) {
            println!("{scenario:?}: not for {}, which has no log", peer.name());
            continue;
        }
        let begin = Instant::now();
        let lines = if options.judge {
            read(&options.output_of(scenario)).map(|lines| (lines, Ok(())))
        } else {
            runtime.block_on(perform(options, scenario))
        };
        let row = match lines {
            Ok((lines, done)) => Row::of(&peer, scenario, &lines, done),
            Err(error) => Row::of(&peer, scenario, &[], Err(error)),
        };
        println!("{scenario:?} in {:.1} s: {}", begin.elapsed().as_secs_f64(), row.told());
        for sentence in row.witnesses() {
            println!("    {sentence}");
        }
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "no scenario was run");
    println!("\n{}", table::text(&rows));
    let path = options.output.join(if options.node { "node.json" } else { "fanfare.json" });
    serde_json::to_writer_pretty(File::create(&path)?, &rows)?;
    println!("traces, logs and the table as JSON: {}", options.output.display());
    // The reference is shown as it is; ours has promised.
    let broken: Vec<&str> = rows.iter().filter(|row| !row.is_kept).map(Row::fault).collect();
    ensure!(options.node || broken.is_empty(), "the promise was broken: {}", broken.join(", "));
    Ok(())
}

type Outcome = (Vec<Line>, Result<()>);

async fn perform(options: &Options, scenario: Scenario) -> Result<Outcome> {
    let effort = Effort {
        duration: Duration::from_secs(options.duration),
        kills: options.kills,
        crowd: options.crowd,
        mounts: !options.no_mount,
    };
    let random = Random::new(options.seed);
    let (lines, done) = scenario.run(options.plan(scenario), effort, random).await?;
    let path = options.output_of(scenario).with_extension("jsonl");
    trace::write(BufWriter::new(File::create(path)?), &lines)?;
    Ok((lines, done))
}

fn read(path: &Path) -> Result<Vec<Line>> {
    let path = path.with_extension("jsonl");
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    Ok(trace::read(std::io::BufReader::new(file))?)
}
