//! All automation.

mod bench;

use clap::Parser;

/// All automation of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Measures the cost of deliveries, acknowledgements and idle connections, beside Node.js.
    Bench(bench::Options),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Bench(options) => bench::run(&options),
    }
}
