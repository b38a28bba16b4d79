//! `cargo xtask conformance`: the real clients and the golden bytes, against our server or Node's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::cargo::{self, project_root};
use crate::report::Counts;
use crate::{node, process};

/// Which suites run, and against what.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Run against the Node.js reference server instead of ours.
    #[arg(long, value_parser = ["node"])]
    peer: Option<String>,
    /// Run the Autobahn WebSocket cases instead (needs Python).
    #[arg(long, conflicts_with_all = ["peer", "only", "grep"])]
    autobahn: bool,
    /// Fewer combinations of clients and transports; of Autobahn, the cases that take seconds.
    #[arg(long)]
    quick: bool,
    /// Only the files whose path contains this (`wire/`, `clients/`, `upgrade`).
    #[arg(long)]
    only: Option<String>,
    /// Only the cases whose name matches this regular expression.
    #[arg(long)]
    grep: Option<String>,
}

impl Options {
    /// Ours, with fewer combinations.
    pub(crate) fn quick() -> Self {
        Self { quick: true, ..Self::default() }
    }
}

/// Runs the suites.
///
/// # Errors
/// When a case fails, or something needed is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.autobahn {
        return process::run(&mut autobahn(options.quick)?);
    }
    let counts = count(options)?;
    ensure!(counts.failed == 0, "{} conformance cases failed", counts.failed);
    Ok(())
}

/// Runs the suites with the real clients and counts their cases.
///
/// # Errors
/// When something needed is missing or the suites do not run at all.
pub(crate) fn count(options: &Options) -> Result<Counts> {
    node::require("to run the real Socket.IO clients")?;
    let folder = project_root()?.join("conformance");
    node::install(&folder)?;
    let mut suites = Command::new("node");
    suites.arg("run.mjs").current_dir(&folder);
    match &options.peer {
        Some(peer) => suites.args(["--peer", peer]),
        None => suites.arg("--server").arg(server()?),
    };
    if options.quick {
        suites.arg("--quick");
    }
    for (flag, value) in [("--only", &options.only), ("--grep", &options.grep)] {
        if let Some(value) = value {
            suites.args([flag, value]);
        }
    }
    let mut counts = Counts::default();
    let succeeded = process::watch(&mut suites, |line| {
        if line.starts_with("conformance: ") {
            counts.add_line(line);
        }
    })?;
    // A run that breaks before its sum, or only for a server that died, has failed all the same.
    if !succeeded && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

/// The Autobahn suite's own script.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn autobahn(quick: bool) -> Result<Command> {
    let mut script = Command::new(project_root()?.join("conformance/autobahn/run.sh"));
    if quick {
        script.arg("--quick");
    }
    Ok(script)
}

/// The conformance server, which is an example of the library's public API.
fn server() -> Result<PathBuf> {
    cargo::build(&["--package", "fanfare", "--example", "conformance"], "conformance")
}
