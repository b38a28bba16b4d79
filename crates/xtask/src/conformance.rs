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
        None => suites.arg("--server").arg(server()?).arg("--binary").arg(binary()?),
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

/// Runs the quick part of the Autobahn cases and counts them.
///
/// # Errors
/// When the script cannot be run.
pub(crate) fn count_autobahn() -> Result<Counts> {
    let mut counts = Counts::default();
    let succeeded = process::watch(&mut autobahn(true)?, |line| {
        counts.passed += cases_of(line).unwrap_or(0);
    })?;
    // The script says which cases failed; that some did is what counts here.
    if !succeeded {
        counts = Counts::one(false);
    }
    Ok(counts)
}

/// Why the Autobahn cases cannot be run here, if so.
pub(crate) fn no_autobahn() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = "import lib2to3, venv, ensurepip";
    let missing = process::output_of(&python, &["-W", "ignore", "-c", imports]).is_none();
    missing.then(|| {
        format!(
            "`{python}` has no lib2to3 or no venv. Install them with `apt-get install python3-venv \
             python3-lib2to3`, or name another Python up to 3.12 with PYTHON"
        )
    })
}

/// 247 of `247 ran in 6 s: …`.
fn cases_of(line: &str) -> Option<u64> {
    line.split_once(" ran in ")?.0.parse().ok()
}

/// The Autobahn suite's own script.
fn autobahn(quick: bool) -> Result<Command> {
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

/// The binary, for what the library's server has not.
fn binary() -> Result<PathBuf> {
    cargo::build(&["--package", "fanfare-cli", "--bin", "fanfare"], "fanfare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_the_autobahn_script_is_read() {
        for (line, expected) in [
            ("247 ran in 6 s: behavior {'OK': 244}, close {'OK': 244}", Some(247)),
            ("7 cases", None),
            ("nobody ran in here", None),
        ] {
            assert_eq!(cases_of(line), expected, "{line}");
        }
    }
}
