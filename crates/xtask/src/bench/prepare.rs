//! Builds what is measured and what measures, and looks at the machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::candidate::Candidate;
use crate::cargo::{self, project_root};
use crate::{node, process};

/// The name of our server in tables and files.
pub(super) const OURS: &str = "fanfare";

/// Its name when it records what is published.
pub(super) const RECORDING: &str = "recording";

/// The name of the reference server in tables and files.
pub(super) const NODE: &str = "node";

/// Descriptors that are no connections: libraries, listeners, the connections of the warm-up.
const SPARE_DESCRIPTORS: usize = 500;

/// Our server, built for speed.
///
/// # Errors
/// When it does not build.
pub(super) fn ours(shards: usize) -> Result<Candidate> {
    let program = build(&["-p", "fanfare", "--example", "bench_server"], "bench_server")?;
    let arguments = vec!["--shards".to_owned(), shards.to_string()];
    Ok(Candidate { name: OURS, program, arguments })
}

/// The same, recording what is published.
///
/// # Errors
/// As [`ours`].
pub(super) fn recording(shards: usize) -> Result<Candidate> {
    let mut candidate = ours(shards)?;
    candidate.name = RECORDING;
    candidate.arguments.push("--record".to_owned());
    Ok(candidate)
}

/// The reference server, its packages installed.
///
/// # Errors
/// When Node.js or its packages are missing and cannot be installed.
pub(super) fn node() -> Result<Candidate> {
    let folder = project_root()?.join("bench/peers/node");
    node::require(&format!(
        "for the server to compare with (or measure ours alone: \
         `cargo xtask bench --quick --only {OURS}`)"
    ))?;
    node::install(&folder)?;
    let script = folder.join("server.mjs");
    let arguments = vec![script.to_string_lossy().into_owned()];
    Ok(Candidate { name: NODE, program: "node".into(), arguments })
}

/// The load generator, built for speed.
///
/// # Errors
/// When it does not build.
pub(super) fn generator() -> Result<PathBuf> {
    build(&["-p", "fanfare-testkit", "--bin", "load"], "load")
}

/// Builds with the release profile and returns the program called `name`.
///
/// # Errors
/// When it does not build, or the build gives no such program.
pub(super) fn build(what: &[&str], name: &str) -> Result<PathBuf> {
    cargo::build(&[&["--quiet", "--release"], what].concat(), name)
}

/// Stops where CPU times cannot be counted or processes not be kept on a core.
///
/// # Errors
/// When the machine is not fit for measuring.
pub(super) fn check_machine() -> Result<()> {
    ensure!(
        Path::new("/proc/self/smaps_rollup").exists(),
        "measuring reads CPU times and memory from /proc: it needs Linux"
    );
    let taskset = process::output_of("taskset", &["--version"]);
    ensure!(taskset.is_some(), "taskset is missing; it is in the package util-linux");
    Ok(())
}

/// How many of `wanted` connections the limit of open files allows in one process.
pub(super) fn affordable_connections(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match open_files(&limits) {
        Some(limit) => wanted.min(limit.saturating_sub(SPARE_DESCRIPTORS)).max(1),
        None => wanted,
    }
}

/// The soft limit of open files; nothing when there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files("Max open files  unlimited  unlimited  files\n"), None);
    }

    #[test]
    fn the_reference_server_is_pinned_to_one_version() {
        let folder = project_root().unwrap().join("bench/peers/node");
        let manifest = fs::read_to_string(folder.join("package.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let version = manifest["dependencies"]["socket.io"].as_str().unwrap();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    }
}
