//! `cargo xtask bench --log`: what the event log takes, alone.

use std::process::Command;

use anyhow::Result;

use super::prepare;
use crate::process;

/// Runs the log's own program on the disk that builds are on, and shows what it prints.
///
/// # Errors
/// When it does not build or run.
pub(super) fn run() -> Result<()> {
    let program =
        prepare::build(&["-p", "fanfare-log", "--example", "append_rate"], "append_rate")?;
    // `/tmp` may be memory, which syncs for nothing; beside the program is a disk.
    let folder = program.parent().map(std::path::Path::to_owned).unwrap_or_default();
    process::run(Command::new(&program).arg(folder))
}
