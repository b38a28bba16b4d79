//! The binary `fanfare`: settings, composition, subcommands.

mod api_key;
mod app;
mod banner;
mod bundle;
mod doctor;
mod embedded;
mod event_log;
mod flags;
mod health;
mod health_command;
mod library;
mod log_command;
mod logs;
mod metrics;
mod probe;
mod serve;
mod settings;
mod stop;
mod token_command;
mod traces;
mod watch;
mod web;

use std::io::{self, Write};
use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

use crate::flags::Job;
use crate::settings::{Inputs, Problems};
use crate::traces::Traces;

/// Set up in `.cargo/config.toml`: what is free goes back to the system after a second.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The exit code for a command line or settings that cannot be used, as `clap` and most programs
/// have it.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let job = match flags::job() {
        Ok(job) => job,
        // Also the answer to `--help`, which is no error.
        Err(answer) => answer.exit(),
    };
    match run(job) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "fanfare: {error:#}");
            ExitCode::from(if error.is::<Problems>() { UNUSABLE } else { 1 })
        }
    }
}

fn run(job: Job) -> anyhow::Result<ExitCode> {
    match job {
        Job::ConfigDocs => print(&settings::as_markdown())?,
        Job::Config { inputs, json } => config(inputs, json)?,
        Job::Log { inputs, action } => return log_command::run(inputs, &action),
        Job::Token { inputs, action } => return token_command::run(inputs, action),
        Job::Health { inputs, question } => return health_command::run(inputs, &question),
        Job::Doctor { inputs, asked } => return doctor::run(inputs, &asked),
        Job::Serve(inputs) => {
            let effective = inputs.load()?;
            let traces = Traces::begin(&effective.settings.traces)?;
            logs::start(&effective.settings.log, traces.as_ref());
            serve::run(&effective)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn config(inputs: Inputs, json: bool) -> anyhow::Result<()> {
    let effective = inputs.load()?;
    if json {
        print(&format!("{:#}\n", settings::as_json(&effective)))
    } else {
        print(&settings::as_toml(&effective))
    }
}

/// Prints; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
