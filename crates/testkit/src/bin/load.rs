//! Runs one load scenario and prints its report as JSON.
//!
//! Takes one argument, the plan as JSON (see `fanfare_testkit::load::Plan`):
//! `load '{"target":{"port":3000,"pid":42},"scenario":{"idle":{"connections":1000,"settle_ms":1000}}}'`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::error::Error;
use std::process::ExitCode;

use fanfare_testkit::load::Plan;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let plan = std::env::args().nth(1).ok_or("give one argument, the plan as JSON")?;
    let plan: Plan = serde_json::from_str(&plan)?;
    println!("{}", serde_json::to_string(&plan.run()?)?);
    Ok(())
}
