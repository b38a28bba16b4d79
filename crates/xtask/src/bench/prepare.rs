//! Builds what is measured and what measures, and looks at the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::candidate::Candidate;

/// The name of our server in tables and files.
pub(super) const OURS: &str = "fanfare";

/// The name of the reference server in tables and files.
pub(super) const NODE: &str = "node";

/// Descriptors that are no connections: libraries, listeners, the connections of the warm-up.
const SPARE_DESCRIPTORS: usize = 500;

/// The folder that holds the whole project.
///
/// # Errors
/// Never in a checkout.
pub(super) fn project_root() -> Result<&'static Path> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).context("the automation does not lie in crates/xtask")
}

/// Our server, built for speed.
///
/// # Errors
/// When it does not build.
pub(super) fn ours(shards: usize) -> Result<Candidate> {
    let program = build(&["-p", "fanfare", "--example", "bench_server"], "bench_server")?;
    let arguments = vec!["--shards".to_owned(), shards.to_string()];
    Ok(Candidate { name: OURS, program, arguments })
}

/// The reference server, its packages installed.
///
/// # Errors
/// When Node.js or its packages are missing and cannot be installed.
pub(super) fn node() -> Result<Candidate> {
    let folder = project_root()?.join("bench/peers/node");
    let node_runs = succeeds(Command::new("node").arg("--version"));
    ensure!(
        node_runs,
        "Node.js is missing, and with it the server to compare with. Install it \
         (https://nodejs.org, or `apt-get install nodejs npm`), or measure ours alone with \
         `cargo xtask bench --quick --only {OURS}`"
    );
    if installed_version(&folder) != wanted_version(&folder)? {
        let status = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .status()
            .context("npm is missing: it installs the server to compare with")?;
        ensure!(status.success(), "npm could not install the packages of {}", folder.display());
    }
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
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--message-format=json-render-diagnostics"])
        .args(what)
        .current_dir(project_root()?)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo could not build {name}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| text_at(message, "/target/name") == Some(name))
        .find_map(|message| text_at(&message, "/executable").map(PathBuf::from))
        .with_context(|| format!("cargo built no program called {name}"))
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
    if !succeeds(Command::new("taskset").arg("--version")) {
        bail!("taskset is missing; it is in the package util-linux");
    }
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

fn text_at<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer)?.as_str()
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn wanted_version(folder: &Path) -> Result<Option<String>> {
    let path = folder.join("package.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest: Value = serde_json::from_str(&text)?;
    Ok(text_at(&manifest, "/dependencies/socket.io").map(str::to_owned))
}

fn installed_version(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("node_modules/socket.io/package.json")).ok()?;
    let manifest: Value = serde_json::from_str(&text).ok()?;
    text_at(&manifest, "/version").map(str::to_owned)
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
        let version = wanted_version(&folder).unwrap().unwrap();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    }
}
