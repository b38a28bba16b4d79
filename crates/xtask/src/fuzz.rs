//! `cargo xtask fuzz`: every target for a while. cargo-fuzz wants nightly for the compiler's flags;
//! `RUSTC_BOOTSTRAP` lets the stable one take them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, project_root};
use crate::process;
use crate::report::Counts;

/// How long each target runs in `cargo xtask test`, in seconds: enough to notice a broken target and
/// to replay every seed.
pub(crate) const SMOKE_SECONDS: u32 = 5;

/// The memory a target may use, in MiB: the parsers promise bounded memory.
const MEMORY_LIMIT_MIB: u32 = 512;

/// How long a single input may take, in seconds: the parsers promise bounded work.
const INPUT_DEADLINE_SECONDS: u32 = 5;

/// Which targets run, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only the targets whose name contains this.
    #[arg(long)]
    target: Option<String>,
}

/// Runs the targets.
///
/// # Errors
/// When a target finds something, or cargo-fuzz cannot be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let counts = count(options.seconds, options.target.as_deref())?;
    ensure!(counts.failed == 0, "{} fuzz targets failed", counts.failed);
    Ok(())
}

/// Runs the targets and counts those that found nothing.
///
/// # Errors
/// When cargo-fuzz cannot be had, or there is no target to run.
pub(crate) fn count(seconds: u32, only: Option<&str>) -> Result<Counts> {
    let folder = project_root()?.join("fuzz");
    let targets = targets(&folder, only)?;
    require_cargo_fuzz()?;
    let mut counts = Counts::default();
    for target in &targets {
        let outcome = process::run(&mut fuzz(&folder, target, seconds)?);
        if let Err(error) = &outcome {
            eprintln!("{target}: {error:#}");
        }
        let one = Counts::one(outcome.is_ok());
        counts.passed += one.passed;
        counts.failed += one.failed;
    }
    Ok(counts)
}

/// The names of the programs in `fuzz/fuzz_targets`, in order.
fn targets(folder: &Path, only: Option<&str>) -> Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let entries =
        fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.retain(|name| only.is_none_or(|only| name.contains(only)));
    names.sort();
    ensure!(!names.is_empty(), "no fuzz target to run in {}", sources.display());
    Ok(names)
}

/// The corpus grows beside the sources; `fuzz/seeds/<target>` is what is kept in the repository.
fn fuzz(folder: &Path, target: &str, seconds: u32) -> Result<Command> {
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", target])?;
    command.env("RUSTC_BOOTSTRAP", "1").arg(corpus);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command.arg("--");
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-rss_limit_mb={MEMORY_LIMIT_MIB}"));
    command.arg(format!("-timeout={INPUT_DEADLINE_SECONDS}"));
    // The words of the format, which random bytes rarely hit upon.
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command.arg("-verbosity=0");
    Ok(command)
}

fn require_cargo_fuzz() -> Result<()> {
    if process::output_of("cargo-fuzz", &["--version"]).is_some() {
        return Ok(());
    }
    println!("installing cargo-fuzz");
    process::run(&mut cargo(&["install", "--locked", "--quiet", "cargo-fuzz"])?)
        .context("cargo-fuzz cannot be installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_targets_is_an_error() {
        let error = targets(Path::new(env!("CARGO_MANIFEST_DIR")), None).unwrap_err();
        assert!(error.to_string().contains("fuzz_targets"), "{error}");
    }

    #[test]
    fn a_target_runs_for_its_time_within_its_memory_and_with_its_words() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        let shown = process::shown(&fuzz(&folder, "frame", 7).unwrap());
        assert!(!shown.contains("-dict="), "{shown}");
        fs::create_dir_all(folder.join("dictionaries")).unwrap();
        fs::write(folder.join("dictionaries/frame.dict"), "").unwrap();
        let shown = process::shown(&fuzz(&folder, "frame", 7).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        for part in [
            "fuzz run --sanitizer none frame",
            "-max_total_time=7",
            "-rss_limit_mb=512",
            "dictionaries/frame.dict",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
