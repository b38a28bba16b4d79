//! `cargo xtask web`: the pages of `web/`, built by npm into the folder the server's build embeds.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{project_root, target_directory};
use crate::report::Counts;
use crate::{cargo, node, process};

/// Where the build of the server looks, inside the target directory.
const FOLDER: &str = "web";

/// Says which sources the pages were built from. Beside the folder: what is in it is embedded.
const STAMP: &str = "web.stamp";

/// The file without which there are no pages.
const MAIN: &str = "index.html";

/// What the pages are made of, in `web/`.
const SOURCES: [&str; 6] =
    ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src"];

/// Whether the next build finds pages, built now or before.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn is_present() -> Result<bool> {
    Ok(target_directory()?.join(FOLDER).join(MAIN).exists())
}

/// Builds the pages, unless they are there already.
///
/// # Errors
/// When Node.js is missing, npm fails, or the pages do not build.
pub(crate) fn run() -> Result<()> {
    node::require("to build the pages that the server shows")?;
    let web = project_root()?.join("web");
    let target = target_directory()?;
    let (folder, stamp) = (target.join(FOLDER), target.join(STAMP));
    let sources = sources(&web)?;
    if is_present()? && fs::read_to_string(&stamp).is_ok_and(|built| built == sources) {
        return Ok(());
    }
    node::install(&web)?;
    process::run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&web))?;
    let built = web.join("dist");
    let kept = copy(&built, &folder)?;
    remove_others(&folder, &kept)?;
    fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))?;
    println!("the pages lie in {}", folder.display());
    Ok(())
}

/// Runs the pages' own tests in a browser, against the binary, and counts them.
///
/// # Errors
/// When something needed is missing or the tests do not run at all.
pub(crate) fn count() -> Result<Counts> {
    run()?;
    let web = project_root()?.join("web");
    node::install(&web)?;
    let binary = cargo::build(&["--package", "fanfare-cli", "--bin", "fanfare"], "fanfare")?;
    let mut suite = Command::new("node");
    suite.arg("test/run.mjs").arg("--binary").arg(binary).current_dir(&web);
    let mut counts = Counts::default();
    let succeeded = process::watch(&mut suite, |line| {
        if line.starts_with("web: ") {
            counts.add_line(line);
        }
    })?;
    if !succeeded && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

/// Runs the tests.
///
/// # Errors
/// When one fails, or something needed is missing.
pub(crate) fn test() -> Result<()> {
    let counts = count()?;
    ensure!(counts.failed == 0, "{} tests of the pages failed", counts.failed);
    Ok(())
}

/// Why the tests cannot be run here, if so.
pub(crate) fn no_browser() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut candidates = named.as_deref().into_iter().chain(names);
    let missing = candidates.all(|name| process::output_of(name, &["--version"]).is_none());
    missing.then(|| {
        "there is no Chromium. Install it with `apt-get install chromium`, or name one with CHROMIUM"
            .to_owned()
    })
}

/// A text that changes when a source does.
fn sources(web: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for name in SOURCES {
        hash(&web.join(name), &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.hash(hasher);
    if path.is_dir() {
        for entry in entries(path)? {
            hash(&entry, hasher)?;
        }
    } else {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        content.hash(hasher);
    }
    Ok(())
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in read {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found)
}

/// Copies a folder: the paths of what is in the copy then.
fn copy(from: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut kept = Vec::new();
    for source in entries(from)? {
        let Some(name) = source.file_name() else { continue };
        let target = to.join(name);
        if source.is_dir() {
            kept.extend(copy(&source, &target)?);
        } else {
            let content = fs::read(&source)?;
            // An unchanged file keeps its time, so that the server is not built again for it.
            if !fs::read(&target).is_ok_and(|present| present == content) {
                fs::write(&target, content)
                    .with_context(|| format!("cannot write {}", target.display()))?;
            }
        }
        kept.push(target);
    }
    Ok(kept)
}

/// Removes what an earlier build left behind.
fn remove_others(folder: &Path, kept: &[PathBuf]) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_noticed() {
        let web = project_root().unwrap().join("web");
        assert_eq!(sources(&web).unwrap(), sources(&web).unwrap());
        let folder = tempfile::tempdir().unwrap();
        for name in SOURCES {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let before = sources(folder.path()).unwrap();
        fs::write(folder.path().join("index.html"), "other").unwrap();
        assert_ne!(sources(folder.path()).unwrap(), before);
    }

    #[test]
    fn a_copy_has_what_the_original_has_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("assets")).unwrap();
        fs::create_dir_all(to.path().join("assets")).unwrap();
        fs::write(from.path().join("assets/new.js"), "new").unwrap();
        fs::write(to.path().join("assets/old.js"), "old").unwrap();
        let kept = copy(from.path(), to.path()).unwrap();
        remove_others(to.path(), &kept).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("assets/new.js")).unwrap(), "new");
        assert!(!to.path().join("assets/old.js").exists());
    }
}
