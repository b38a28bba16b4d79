//! Figures for Prometheus, on an address of their own: who may reach that may read them.
//!
//! Nothing is counted here. When it is asked, the counters of the server and of the services are read; no
//! label has a word of a client, so that their number is fixed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use eventlog::{EventLog, Health};
use fanfare::{Counts, LATENCY_BOUNDS, LatencyCounts, Load};
use livepoll::Livepoll;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use services::{Code, Refusal, Services, Undelivered};
use tokio::net::TcpListener;

use crate::health::{Readiness, ready};
use crate::watch::Watch;

/// What is read.
#[derive(Clone)]
pub(crate) struct Figures {
    pub(crate) services: Services,
    pub(crate) livepoll: Option<Livepoll>,
    pub(crate) log: Option<Arc<dyn EventLog>>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) watch: Watch,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

/// Where they are served if nothing is said.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// How long the store may take to say what waits in it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes the address. That another server on this machine has the default one is no fault.
///
/// # Errors
///
/// When an address that was asked for is in use.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
    let bound = TcpListener::bind(address).await;
    if let (Err(error), DEFAULT) = (&bound, address) {
        tracing::warn!(%error, %address, "no metrics: set metrics.listen, or metrics.enabled to false");
        return Ok(None);
    }
    bound.map(Some).with_context(|| {
        format!(
            "the metrics cannot be served at {address}\n  the setting is metrics.listen \
             (--metrics-listen 127.0.0.1:0 takes a free port, metrics.enabled = false none)"
        )
    })
}

/// Serves the figures, for as long as it is run.
///
/// # Errors
///
/// When connections can no longer be accepted.
pub(crate) async fn serve(listener: TcpListener, figures: Figures) -> std::io::Result<()> {
    let own = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", any(metrics))
        .route("/health/ready", any(readiness))
        .fallback(async || Refusal::new(Code::NotFound, "There is /metrics and /health/ready."))
        .layer(from_fn(move |request: Request, next: Next| async move {
            match check(own, request.method(), request.headers()) {
                Ok(()) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            }
        }))
        .with_state(figures);
    axum::serve(listener, router).await
}

/// A page that has its own name lead here is not answered.
fn check(own: SocketAddr, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::method("GET, HEAD"));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_address = name.parse::<IpAddr>().is_ok();
    let one = headers.get_all(header::HOST).iter().count() == 1;
    // Names are for addresses that others reach on purpose.
    if !own.ip().is_loopback() || one && (is_address || name == "localhost") {
        return Ok(());
    }
    let message =
        "The header Host is none of this address; expected localhost or the address itself.";
    Err(Refusal::new(Code::PermissionDenied, message))
}

async fn readiness(State(figures): State<Figures>) -> Response {
    ready(&figures.readiness, true).await
}

async fn metrics(State(figures): State<Figures>) -> Response {
    let asked = tokio::time::timeout(PATIENCE, figures.services.undelivered()).await;
    let undelivered = asked.ok().and_then(Result::ok);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Now { figures, undelivered }));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text)
                .into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written: a bug");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The figures of this moment.
#[derive(Debug)]
struct Now {
    figures: Figures,
    /// Unless the store does not answer.
    undelivered: Option<Undelivered>,
}

/// Pairs of a label's name and value.
type Labels = Vec<(&'static str, &'static str)>;

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let context = self.figures.services.context();
        let counts = context.io().counters().counts();
        let to = &mut encoder;
        connections(to, &counts)?;
        messages(to, &counts)?;
        load(to, &counts, &self.figures.watch.load(), context.io().is_memory_short())?;
        recovery(to, &counts)?;
        reasons(to, "realtime_rejected", "Refused, by reason", &counts.rejected)?;
        reasons(to, "realtime_sessions_closed", "Sessions closed, by reason", &counts.closed)?;
        let updates = self.figures.services.presence().updates();
        counter(to, "realtime_presence_updates", "Updates of presence from clients", updates)?;
        let auth = context.identity().outcomes();
        labelled(to, "realtime_auth", "Tokens checked, by outcome", "outcome", &auth)?;
        if let Some(undelivered) = self.undelivered {
            let help = "Events of kept changes that the event log has not taken yet";
            gauge(to, "realtime_undelivered_events", help, undelivered.events)?;
            let help = "Calls of the application that it has not taken yet";
            gauge(to, "realtime_undelivered_webhooks", help, undelivered.webhooks)?;
        }
        if let Some(log) = &self.figures.log {
            event_log(to, log.as_ref())?;
        }
        if let Some(livepoll) = &self.figures.livepoll {
            polls(to, &livepoll.counts())?;
        }
        process(to)
    }
}

fn connections(to: &mut DescriptorEncoder<'_>, counts: &Counts) -> fmt::Result {
    let polling = counts.sessions.saturating_sub(counts.websockets);
    let name = "realtime_active_connections";
    let active = [("polling", polling), ("websocket", counts.websockets), ("sse", counts.streams)];
    gauges(to, name, "Connections open now", "transport", &active)?;
    let opened_polling = counts.sessions_opened.saturating_sub(counts.opened_as_websocket);
    let refused: u64 = counts.rejected.values().sum();
    let all: [(Labels, u64); 4] = [
        (vec![("transport", "polling"), ("status", "opened")], opened_polling),
        (vec![("transport", "websocket"), ("status", "opened")], counts.opened_as_websocket),
        (vec![("transport", "sse"), ("status", "opened")], counts.streams_opened),
        (vec![("transport", "any"), ("status", "refused")], refused),
    ];
    counters(to, "realtime_connections", "Connections so far", &all)?;
    counter(to, "realtime_upgrades", "Sessions that went over to WebSocket", counts.upgraded)?;
    gauge(to, "realtime_sockets", "Sockets connected to namespaces now", counts.sockets)
}

fn messages(to: &mut DescriptorEncoder<'_>, counts: &Counts) -> fmt::Result {
    let sent = counts.events_delivered;
    counter(to, "realtime_messages_sent", "Events handed to receivers", sent)?;
    counter(to, "realtime_messages_received", "Events from clients", counts.events_received)?;
    let dropped = [("volatile", counts.volatile_dropped), ("log_refused", counts.events_refused)];
    labelled(to, "realtime_messages_dropped", "Events not sent, by reason", "reason", &dropped)?;
    counter(to, "realtime_reads_held", "Times a client was read slower", counts.reads_held)?;
    counter(to, "realtime_handler_panics", "Panics of listeners", counts.handler_panics)?;
    let help = "From being published to being written, the oldest event of each turn";
    histogram(to, "realtime_message_latency_seconds", help, &counts.latency)
}

/// What waits, as it was seen last.
fn load(
    to: &mut DescriptorEncoder<'_>,
    counts: &Counts,
    load: &Load,
    memory_short: bool,
) -> fmt::Result {
    let help = "How long threads took to come to a question, asked once a second";
    histogram(to, "realtime_thread_lag_seconds", help, &counts.lag)?;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    for (name, help, value) in [
        ("sessions", "Sessions that have not taken all that is for them", load.waiting_sessions),
        ("events", "Events that wait for sessions", load.waiting_events),
        ("bytes", "Bytes of the events that wait for sessions", load.waiting_bytes),
        ("largest_bytes", "The most bytes that wait for one session", load.largest_bytes),
        ("slow_sessions", "Sessions near to be cut for slowness", load.slow_sessions),
    ] {
        gauge(to, &format!("realtime_outbox_{name}"), help, number(value))?;
    }
    let help = "1 while load is shed because memory is short";
    gauge(to, "realtime_memory_short", help, memory_short.into())
}

fn recovery(to: &mut DescriptorEncoder<'_>, counts: &Counts) -> fmt::Result {
    let mut outcomes: BTreeMap<&'static str, u64> = counts.not_recovered.clone();
    outcomes.insert("recovered", counts.sessions_recovered);
    let help = "Clients that came back, by outcome";
    labelled(to, "realtime_recoveries", help, "outcome", &pairs(&outcomes))?;
    counter(to, "realtime_messages_replayed", "Events sent again", counts.events_replayed)?;
    let expired = counts.sessions_expired;
    counter(to, "realtime_sessions_expired", "Sessions nobody came back for", expired)?;
    reasons(to, "realtime_streams_ended", "Streams ended, by reason", &counts.streams_ended)
}

fn polls(to: &mut DescriptorEncoder<'_>, counts: &livepoll::Counts) -> fmt::Result {
    for (name, help, value) in [
        ("sessions", "Sessions of live polling opened", counts.sessions),
        ("joins", "Participants who joined", counts.joins),
        ("votes", "Votes taken", counts.votes),
        ("events", "Events of live polling published", counts.events),
        ("results", "Results told", counts.results),
    ] {
        counter(to, &format!("realtime_livepoll_{name}"), help, value)?;
    }
    let help = "Requests of live polling refused, by code";
    labelled(to, "realtime_livepoll_refused", help, "code", &pairs(&counts.refused))?;
    let help = "Participants connected now";
    gauge(to, "realtime_livepoll_connected", help, counts.connected)?;
    let help = "Events of live polling that could not be published yet";
    gauge(to, "realtime_livepoll_waiting", help, counts.waiting)
}

fn event_log(to: &mut DescriptorEncoder<'_>, log: &dyn EventLog) -> fmt::Result {
    let stats = log.stats();
    let ready = u64::from(log.health() == Health::Ready);
    gauge(to, "realtime_log_ready", "1 if the event log takes events", ready)?;
    gauge(to, "realtime_log_entries", "Events in the log", stats.entries)?;
    gauge(to, "realtime_log_bytes", "Bytes of the log", stats.bytes)?;
    gauge(to, "realtime_log_sessions", "Sessions in the journal", stats.sessions)?;
    gauge(to, "realtime_log_queue_bytes", "Bytes that wait for the log", stats.queued_bytes)?;
    gauge(to, "realtime_log_head", "The log's newest sequence", log.head().sequence)
}

/// Spec: the names and units of Prometheus' own process metrics.
fn process(to: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Some(process) = crate::health::Process::now() else { return Ok(()) };
    gauge(to, "process_resident_memory_bytes", "Memory in use", process.memory)?;
    gauge(to, "process_open_fds", "Open files", process.files)?;
    let family = to.encode_descriptor("process_cpu_seconds", "Processor time", None, COUNTER)?;
    ConstCounter::new(process.processor.as_secs_f64()).encode(family)
}

const COUNTER: MetricType = MetricType::Counter;
const GAUGE: MetricType = MetricType::Gauge;
const HISTOGRAM: MetricType = MetricType::Histogram;

fn pairs(map: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    map.iter().map(|(name, count)| (*name, *count)).collect()
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let family = to.encode_descriptor(name, help, None, COUNTER)?;
    ConstCounter::new(value).encode(family)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let family = to.encode_descriptor(name, help, None, GAUGE)?;
    ConstGauge::new(value).encode(family)
}

fn histogram(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: &LatencyCounts,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, HISTOGRAM)?;
    let bounds = LATENCY_BOUNDS.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts.classes).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    family.encode_histogram::<[(&str, &str); 0]>(counts.seconds, count, &buckets, None)
}

fn counters(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(Labels, u64)],
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, COUNTER)?;
    for (labels, value) in values {
        ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

fn labelled(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&'static str, u64)],
) -> fmt::Result {
    let values: Vec<(Labels, u64)> =
        values.iter().map(|(value, count)| (vec![(label, *value)], *count)).collect();
    counters(to, name, help, &values)
}

fn gauges(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&'static str, u64)],
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, GAUGE)?;
    for (value, count) in values {
        ConstGauge::new(*count).encode(family.encode_family(&vec![(label, *value)])?)?;
    }
    Ok(())
}

fn reasons(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &BTreeMap<&'static str, u64>,
) -> fmt::Result {
    labelled(to, name, help, "reason", &pairs(values))
}
