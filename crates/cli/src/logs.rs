//! The log: to the standard error output, pretty on a terminal and JSON otherwise. Beside it, traces.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::settings::{Log, LogFormat, LogLevel};
use crate::traces::Traces;

/// Starts logging for the rest of the process.
pub(crate) fn start(settings: &Log, traces: Option<&Traces>) {
    let terminal = io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none());
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_target(false).compact().boxed()
    };
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter(settings.level)))
        .with(traces.map(Traces::layer))
        .try_init();
}

/// Our own modules at the level that was asked for; libraries never below `info`, because their
/// details may hold headers, and so keys. Spans are for traces, not for lines.
fn filter(level: LogLevel) -> EnvFilter {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "info"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "info"),
    };
    EnvFilter::new(format!("{others},fanfare={ours},{}=off", services::spans::TARGET))
}
