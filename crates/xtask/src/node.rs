//! Node.js: is it there, is it new enough, are its packages installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The oldest version, major and minor, that builds the pages; the test runner's `run()` is stable from 20.0
/// on.
const OLDEST: (u32, u32) = (20, 19);

/// Where a copy of the lock file says which packages are installed.
const STAMP: &str = "node_modules/.installed-lock.json";

/// Whether a fit Node.js and npm are there.
pub(crate) fn is_available() -> bool {
    require("").is_ok()
}

/// Stops with the command that installs Node.js when it is missing or too old.
///
/// # Errors
/// When it is; `purpose` says what for.
pub(crate) fn require(purpose: &str) -> Result<()> {
    let (major, minor) = OLDEST;
    let advice = format!(
        "Node.js {major}.{minor} or later with npm is needed {purpose}.\n\
         Install it: `apt-get install nodejs npm` (Debian 13, Ubuntu 25.04 or later), \
         `brew install node`, or https://nodejs.org/en/download"
    );
    let Some(version) = process::output_of("node", &["--version"]) else {
        bail!("Node.js is missing: there is no `node` in PATH. {advice}");
    };
    if parsed(&version).is_none_or(|version| version < OLDEST) {
        bail!("Node.js is too old: this is {version}. {advice}");
    }
    if process::output_of("npm", &["--version"]).is_none() {
        bail!("npm is missing: there is no `npm` in PATH. {advice}");
    }
    Ok(())
}

/// Installs the packages a folder's lock file names, unless they are there already.
///
/// # Errors
/// When npm fails.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("no package-lock.json in {}", folder.display()))?;
    let stamp = folder.join(STAMP);
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing the npm packages of {}", folder.display());
    let mut npm = Command::new("npm");
    process::run(
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder),
    )?;
    fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
}

/// 20 and 19 of `v20.19.2`.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read() {
        for (version, expected) in [
            ("v20.20.2", Some((20, 20))),
            ("v8.0.0", Some((8, 0))),
            ("v22", None),
            ("20.1.0", None),
            ("", None),
        ] {
            assert_eq!(parsed(version), expected, "{version}");
        }
    }
}
