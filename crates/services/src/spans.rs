//! What becomes a span of a trace, if traces are collected.
//!
//! A span costs next to nothing while nobody collects its target. Names and fields are the program's own
//! words, never a client's.

/// The target of all spans that are made for traces: they are no lines of a log.
pub const TARGET: &str = "fanfare_spans";

/// An event of a client that a service answers.
pub(crate) fn event(name: &'static str) -> tracing::Span {
    tracing::info_span!(target: TARGET, "event", otel.name = name, otel.kind = "server")
}

/// A request to the application.
pub(crate) fn outgoing() -> tracing::Span {
    tracing::info_span!(target: TARGET, "ask the application", otel.kind = "client")
}
