//! `cargo xtask oracle`: a running server is killed, cut off and starved, and judged by what its
//! publishers and clients saw; ours or Node's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cargo::{self, project_root, target_directory};
use crate::{node, process};

/// What is broken, and how much.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Judge the Node.js reference server instead of ours.
    #[arg(long, value_parser = ["node"])]
    peer: Option<String>,
    /// Only this scenario: clean, drop, jitter, kill, drain, slow, disk-full, full-kill or
    /// damage. May be given several times.
    #[arg(long)]
    scenario: Vec<String>,
    /// What the random numbers begin with.
    #[arg(long)]
    seed: Option<u64>,
    /// How long things are broken, in seconds, in the scenarios that last.
    #[arg(long)]
    duration: Option<u64>,
    /// How often the server is killed.
    #[arg(long)]
    kills: Option<u32>,
    /// How many clients more there are when the server is asked to stop; 300 if not given.
    #[arg(long)]
    crowd: Option<u64>,
    /// Judge the traces of the last run again instead of running anything.
    #[arg(long)]
    judge: bool,
    /// Build ours without debug assertions and with optimisation.
    #[arg(long)]
    release: bool,
}

/// Builds what is needed and runs the scenarios.
///
/// # Errors
/// When something needed is missing, or our server broke its promise.
pub(crate) fn run(options: &Options) -> Result<()> {
    node::require("to run the real clients")?;
    let folder = project_root()?.join("conformance");
    node::install(&folder)?;
    let mut command = Command::new(build(options, "fanfare-oracle", "oracle")?);
    command.arg("--scripts").arg(folder.join("oracle"));
    command.arg("--output").arg(target_directory()?.join("oracle"));
    match &options.peer {
        Some(_) => command.arg("--node"),
        None => command.arg("--fanfare").arg(build(options, "fanfare-cli", "fanfare")?),
    };
    for scenario in &options.scenario {
        command.args(["--scenario", scenario]);
    }
    let numbers = [
        ("--seed", options.seed),
        ("--duration", options.duration),
        ("--kills", options.kills.map(u64::from)),
        ("--crowd", options.crowd),
    ];
    for (flag, number) in numbers {
        if let Some(number) = number {
            command.args([flag, &number.to_string()]);
        }
    }
    if options.judge {
        command.arg("--judge");
    }
    process::run(&mut command)
}

fn build(options: &Options, package: &str, name: &str) -> Result<PathBuf> {
    let mut what = vec!["--package", package, "--bin", name];
    if options.release {
        what.push("--release");
    }
    cargo::build(&what, name)
}
