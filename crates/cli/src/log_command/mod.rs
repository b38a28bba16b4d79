//! `fanfare log`: looking at the event log, checking it, repairing it, writing it out.

mod export;
mod overview;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use eventlog::{OpenError, ReadError, RepairReport, VerifyReport};
use serde_json::{Value, json};

pub(crate) use self::export::Selection;

use crate::event_log::{self, LogError};
use crate::print;
use crate::settings::Inputs;

/// What is to be done with the log.
#[derive(Debug)]
pub(crate) enum Action {
    /// Say how it stands.
    Info {
        /// As JSON.
        json: bool,
    },
    /// Read all of it and say what is wrong.
    Verify {
        /// As JSON.
        json: bool,
    },
    /// Cut it before the first thing that is wrong.
    Repair {
        /// As JSON.
        json: bool,
    },
    /// Write its entries as lines of JSON.
    Export(Selection),
}

/// Does it: the exit code.
///
/// # Errors
///
/// Settings that cannot be used, or a log that cannot be read or written.
pub(crate) fn run(inputs: Inputs, action: &Action) -> anyhow::Result<ExitCode> {
    let settings = inputs.load()?.settings;
    let data = std::path::absolute(&settings.data)
        .with_context(|| format!("the data directory {}", settings.data.display()))?;
    let path = event_log::path(&settings, &data);
    match action {
        Action::Info { json } => overview::run(&path, *json),
        Action::Verify { json } => verify(&path, *json),
        Action::Repair { json } => repair(&path, *json),
        Action::Export(selection) => export::run(&path, selection),
    }
}

/// Exit code 1 when something is wrong, so that a script can tell.
fn verify(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = eventlog::verify(path).map_err(of(path))?;
    let is_whole = report.problems.is_empty();
    if json {
        print(&format!("{:#}\n", findings(path, &report)))?;
    } else {
        print(&told(path, &report))?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(path: &Path, report: &VerifyReport) -> String {
    let path = path.display();
    if report.problems.is_empty() {
        let VerifyReport { entries, sessions, keys, .. } = report;
        return format!(
            "the event log {path} is whole\n  {entries} entries{}, {sessions} sessions, {keys} \
             keys\n",
            span(report.first, report.head)
        );
    }
    let mut text = format!("the event log {path} is damaged\n");
    for problem in &report.problems {
        text.push_str(&format!("  {problem}\n"));
    }
    if report.problems.len() >= eventlog::MAX_PROBLEMS {
        text.push_str("  there may be more\n");
    }
    text + "`fanfare log repair` keeps what stands before the first damage\n"
}

fn findings(path: &Path, report: &VerifyReport) -> Value {
    let problems = report.problems.iter();
    json!({
        "file": path.display().to_string(),
        "epoch": report.epoch.map(|epoch| epoch.to_string()),
        "first": report.first,
        "head": report.head,
        "entries": report.entries,
        "bytes": report.bytes,
        "sessions": report.sessions,
        "keys": report.keys,
        "problems": problems
            .map(|problem| json!({ "sequence": problem.sequence, "what": problem.what }))
            .collect::<Vec<_>>(),
    })
}

/// A log that is whole is left as it is: each repair makes every client begin anew.
fn repair(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    if eventlog::is_open(path).map_err(of(path))? {
        return Err(LogError::new(path.to_owned(), OpenError::Locked).into());
    }
    let found = eventlog::verify(path).map_err(of(path))?;
    if found.problems.is_empty() {
        let text = if json {
            format!("{:#}\n", json!({ "file": path.display().to_string(), "repaired": false }))
        } else {
            format!("{}nothing was changed\n", told(path, &found))
        };
        return print(&text).map(|()| ExitCode::SUCCESS);
    }
    let report = eventlog::repair(path).map_err(of(path))?;
    let text = if json { done_as_json(path, &report) } else { done(path, &report) };
    print(&text).map(|()| ExitCode::SUCCESS)
}

fn done(path: &Path, report: &RepairReport) -> String {
    let kept = (report.head + 1).saturating_sub(report.first);
    let lost = report.lost_up_to.saturating_sub(report.head);
    let reason = report.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "repaired the event log {}\n  \
         kept       {kept} entries{}\n  \
         lost       {lost} entries{}{}\n  \
         dropped    {} sessions: clients that come back are told that they were not recovered\n  \
         epoch      {}\n  \
         as it was  {}\n",
        path.display(),
        span(report.first, report.head),
        span(report.head + 1, report.lost_up_to),
        reason.unwrap_or_default(),
        report.sessions_dropped,
        report.epoch,
        report.damaged.display()
    )
}

fn done_as_json(path: &Path, report: &RepairReport) -> String {
    let report = json!({
        "file": path.display().to_string(),
        "repaired": true,
        "epoch": report.epoch.to_string(),
        "first": report.first,
        "head": report.head,
        "lost_up_to": report.lost_up_to,
        "reason": report.reason,
        "sessions_dropped": report.sessions_dropped,
        "damaged": report.damaged.display().to_string(),
    });
    format!("{report:#}\n")
}

/// ` (41 to 100)`, or nothing when there is nothing.
fn span(first: u64, last: u64) -> String {
    if first > last || last == 0 { String::new() } else { format!(" ({first} to {last})") }
}

fn of(path: &Path) -> impl FnOnce(OpenError) -> LogError {
    let path: PathBuf = path.to_owned();
    |fault| LogError::new(path, fault)
}

/// A log that was opened and cannot be read.
fn unreadable(path: &Path, fault: &ReadError) -> anyhow::Error {
    let hint = match fault {
        ReadError::Damaged(_) => "\n  `fanfare log verify` says all that is wrong",
        _ => "",
    };
    anyhow::anyhow!("the event log {}: {fault}{hint}", path.display())
}
