//! `cargo xtask bundle`: the browser's client, from npm into the folder the server's build embeds.

use std::fs;

use anyhow::{Context, Result};

use crate::cargo::{project_root, target_directory};
use crate::node;

/// Where the build of the server looks, inside the target directory.
const FOLDER: &str = "client-bundle";

/// The file without which there is no client.
const MAIN: &str = "socket.io.js";

/// Whether the next build finds a client, fetched now or before.
///
/// # Errors
/// Never in a checkout.
pub(crate) fn is_present() -> Result<bool> {
    Ok(target_directory()?.join(FOLDER).join(MAIN).exists())
}

/// Copies the published files of `socket.io-client`.
///
/// # Errors
/// When Node.js is missing, npm fails, or a file cannot be copied.
pub(crate) fn run() -> Result<()> {
    node::require("to fetch the client that the server offers to browsers")?;
    let package = project_root()?.join("crates/cli/client");
    node::install(&package)?;
    let from = package.join("node_modules/socket.io-client/dist");
    let to = target_directory()?.join(FOLDER);
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let (source, copy) = (entry.path(), to.join(entry.file_name()));
            let content = fs::read(&source)?;
            // An unchanged file keeps its time, so that the server is not built again for it.
            if fs::read(&copy).is_ok_and(|present| present == content) {
                continue;
            }
            fs::write(&copy, content)
                .with_context(|| format!("cannot write {}", copy.display()))?;
        }
    }
    println!("the client for browsers lies in {}", to.display());
    Ok(())
}
