//! The settings of what is measured: figures and traces.

use std::net::SocketAddr;

use super::kind::Kind;
use super::table;

table::settings! {
    /// Figures for Prometheus (`/metrics`) and the details of readiness, on an address of their own.
    struct Metrics at "metrics." {
        /// Whether they are served.
        enabled: bool = Kind::Switch, Some("true"),
            "whoever runs a server wants to see it";
        /// Where. If the default is taken by another server, there are none. Who reaches it may read them: it asks for no key.
        listen: SocketAddr = Kind::Address, Some("127.0.0.1:9464"),
            "the port that exporters use, and nobody outside the machine";
    }
}

table::settings! {
    /// Traces for an OpenTelemetry collector: requests of backends, and events that services answer.
    struct Traces at "traces." {
        /// Where they are sent, by OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. None when unset.
        /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say whose they are.
        endpoint: Option<String> = Kind::Url, None,
            "who collects none pays nothing for them";
        /// How many of a hundred are sent, of those that no caller has decided about in `traceparent`.
        percent: u64 = Kind::Count { min: 0, max: 100 }, Some("100"),
            "a server that is tried out shows all; a busy one needs few";
    }
}
