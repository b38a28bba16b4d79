//! The binary itself under load, with its event log on the disk, as it is run in earnest.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::candidate::Candidate;
use super::measure::{Bench, Report};
use super::prepare;
use crate::cargo::project_root;

/// The binary, built for speed, and how it is started.
pub(super) struct Binary {
    program: PathBuf,
    flags: Vec<String>,
}

impl Binary {
    /// Builds it. The flags are names and values of settings.
    ///
    /// # Errors
    /// When it does not build.
    pub(super) fn build(flags: &[(&str, &str)]) -> Result<Self> {
        let program = prepare::build(&["-p", "fanfare-cli", "--bin", "fanfare"], "fanfare")?;
        let flags = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
        Ok(Self { program, flags })
    }

    /// Has the generator do something against a fresh server.
    ///
    /// # Errors
    /// When the server cannot be started, or the generator cannot finish.
    pub(super) fn generate(&self, bench: &Bench, scenario: &Value) -> Result<Report> {
        let data = Folder::new()?;
        let mut arguments =
            ["serve", "--listen", "127.0.0.1:0", "--log-level", "error"].map(String::from).to_vec();
        arguments.push("--metrics-enabled=false".to_owned());
        arguments.push(format!("--data={}", data.0.display()));
        arguments.extend(self.flags.iter().cloned());
        let program = self.program.clone();
        let candidate = Candidate { name: prepare::OURS, program, arguments };
        let server = candidate.start(&bench.server_cores)?;
        bench.generate(scenario, &server)
    }
}

/// A data directory on the disk that builds are on: `/tmp` may be memory. Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = project_root()?.join("target/bench");
        let folder = folder.join(format!("data-{}", std::process::id()));
        // What an earlier round left if it could not be removed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in a folder for what can be thrown away.
        let _ = fs::remove_dir_all(&self.0);
    }
}
