//! `cargo xtask check`, `test` and `ci`: the steps, in the order in which they tell most soonest.

use anyhow::Result;

use crate::cargo::cargo;
use crate::report::{Counts, Report};
use crate::{conformance, fuzz, node, oracle, process, web};

/// Formatting, lints and documentation.
///
/// # Errors
/// When something is not as it should be.
pub(crate) fn check() -> Result<()> {
    let mut report = Report::default();
    check_steps(&mut report);
    report.finish()
}

/// Every test.
///
/// # Errors
/// When a test fails.
pub(crate) fn test() -> Result<()> {
    let mut report = Report::default();
    test_steps(&mut report);
    report.finish()
}

/// Everything.
///
/// # Errors
/// When something is not as it should be.
pub(crate) fn ci() -> Result<()> {
    let mut report = Report::default();
    check_steps(&mut report);
    test_steps(&mut report);
    report.finish()
}

fn check_steps(report: &mut Report) {
    report.step("formatting", || single(&["fmt", "--all", "--", "--check"], ""));
    report.step("lints", || {
        single(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], "")
    });
    report
        .step("documentation", || single(&["doc", "--workspace", "--no-deps"], "--deny warnings"));
}

fn test_steps(report: &mut Report) {
    // First, so that the server is built with its pages once, and not again for them.
    if node::is_available() {
        report.step("pages (build)", || web::run().map(|()| Counts::one(true)));
    }
    report.step("Rust tests", || tests(&["--workspace", "--all-targets"]));
    report.step("documentation examples", || tests(&["--workspace", "--doc"]));
    report.step("conformance", || conformance::count(&conformance::Options::default()));
    match web::no_browser() {
        None => report.step("pages (Chromium)", web::count),
        Some(reason) => report.leave_out("pages (Chromium)", reason),
    }
    match conformance::no_autobahn() {
        None => report.step("WebSocket (Autobahn)", conformance::count_autobahn),
        Some(reason) => report.leave_out("WebSocket (Autobahn)", reason),
    }
    // A machine without Node.js has been told so by the conformance suites.
    report.step("promise (oracle)", || {
        oracle::run(&oracle::Options::default()).map(|()| Counts::one(true))
    });
    report.step("fuzz smoke", || fuzz::count(fuzz::SMOKE_SECONDS, None));
}

/// A cargo command that is one case: it succeeds or it does not.
fn single(arguments: &[&str], rustdoc_flags: &str) -> Result<Counts> {
    let mut command = cargo(arguments)?;
    if !rustdoc_flags.is_empty() {
        command.env("RUSTDOCFLAGS", rustdoc_flags);
    }
    process::run(&mut command)?;
    Ok(Counts::one(true))
}

/// `cargo test`, its cases counted. A test that does not build is a failed case.
fn tests(what: &[&str]) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut command = cargo(&["test", "--no-fail-fast"])?;
    let succeeded = process::watch(command.args(what), |line| {
        if line.starts_with("test result: ") {
            counts.add_line(line);
        }
    })?;
    if !succeeded && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}
