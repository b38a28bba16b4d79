//! `cargo xtask serve`: from a checkout to a running server in one command.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::{bundle, cargo, node, process, web};

/// The address when no other is asked for.
const LISTEN: &str = "127.0.0.1:3000";

/// Whether live polling is served.
const LIVEPOLL: &str = "FANFARE_LIVEPOLL_ENABLED";

/// How to build and start the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build without optimisation: quicker to build, slower to run.
    #[arg(long)]
    dev: bool,
    /// More arguments for `fanfare serve`, after `--`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds what is needed and runs the server until it ends.
///
/// # Errors
/// When something does not build, or the server fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    if node::is_available() {
        bundle::run()?;
        web::run()?;
    } else {
        let kept = if bundle::is_present()? && web::is_present()? {
            "stay as they were made before"
        } else {
            "are left out: the pages, and /socket.io/socket.io.js"
        };
        println!(
            "Without Node.js the parts made with npm {kept}.\nClients that bring their own \
             socket.io-client need nothing more. To have them, install Node.js (`apt-get install \
             nodejs npm`) and start again."
        );
    }
    let mut what = vec!["--package", "fanfare-cli", "--bin", "fanfare"];
    if !options.dev {
        what.push("--release");
    }
    let program = cargo::build(&what, "fanfare")?;
    let mut server = Command::new(program);
    server.arg("serve");
    if !options.arguments.iter().any(|argument| argument.starts_with("--listen")) {
        server.args(["--listen", LISTEN]);
    }
    // Whoever tries it finds it. A server for others says so itself.
    if env::var_os(LIVEPOLL).is_none() {
        server.env(LIVEPOLL, "true");
    }
    replace_by(server.args(&options.arguments))
}

/// Becomes the server: a signal meant for one meets the other, and Ctrl-C waits for an orderly end.
#[cfg(unix)]
fn replace_by(server: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;

    use anyhow::Context;

    let error = server.exec();
    Err(error).with_context(|| format!("cannot run {}", process::shown(server)))
}

#[cfg(not(unix))]
fn replace_by(server: &mut Command) -> Result<()> {
    process::run(server)
}
