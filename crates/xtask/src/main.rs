//! All automation of the project: `cargo xtask <task>`.
//!
//! It needs Rust and nothing else; what a task wants beside it (Node.js, Python, cargo-fuzz) is
//! looked for when the task runs, and named with the command that installs it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these programs talk to a person")]

mod bench;
mod bundle;
mod cargo;
mod conformance;
mod fuzz;
mod node;
mod oracle;
mod process;
mod report;
mod serve;
mod suite;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// All automation of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Builds the server and starts it on 127.0.0.1:3000.
    Serve(serve::Options),
    /// Formatting, lints and documentation.
    Check,
    /// Every test: Rust, examples, conformance with the real clients, a short fuzz run.
    Test,
    /// What the continuous integration runs: `check`, then `test`.
    Ci,
    /// The real Socket.IO clients and the golden bytes, against our server or the reference.
    Conformance(conformance::Options),
    /// Kills, cuts and starves a running server, and judges whether it kept its promise.
    Oracle(oracle::Options),
    /// Measures the cost of deliveries, acknowledgements and idle connections, beside Node.js.
    Bench(bench::Options),
    /// Fetches the browser's client from npm, for the next build of the server to embed.
    Bundle,
    /// Builds the pages of `web/`, for the next build of the server to embed.
    Web(WebOptions),
    /// Feeds the parsers what no peer should send.
    Fuzz(fuzz::Options),
}

/// What is done with the pages.
#[derive(Debug, clap::Args)]
struct WebOptions {
    /// Build the server too, and test them in Chromium.
    #[arg(long)]
    test: bool,
}

impl Task {
    fn run(&self) -> Result<()> {
        match self {
            Self::Serve(options) => serve::run(options),
            Self::Check => suite::check(),
            Self::Test => suite::test(),
            Self::Ci => suite::ci(),
            Self::Conformance(options) => conformance::run(options),
            Self::Oracle(options) => oracle::run(options),
            Self::Bench(options) => bench::run(options),
            Self::Bundle => bundle::run(),
            Self::Web(WebOptions { test: true }) => web::test(),
            Self::Web(_) => web::run(),
            Self::Fuzz(options) => fuzz::run(options),
        }
    }
}

fn main() -> ExitCode {
    match Task::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
