//! Whether the server lives, and whether it should be sent clients.
//!
//! `/health` says that it lives, cheaply. `/health/ready` looks at what it needs: each check is `healthy`,
//! `degraded` or `unhealthy`, and so is the whole, which is 503 when it is unhealthy or stopping.
//! Strangers hear the word alone; why is for who has the key, and for the address of the metrics.

use std::fmt::Display;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use eventlog::{EventLog, Health};
use fanfare::Io;
use livepoll::Livepoll;
use serde::Serialize;
use serde_json::{Map, Value, json};
use services::{Refusal, Services, json_response};

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// From which part of a limit on it is degraded.
const NEARLY: f64 = 0.9;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Healthy,
    Degraded,
    Unhealthy,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    status: Standing,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl Check {
    fn new(status: Standing, details: &Value) -> Self {
        Check { status, details: details.as_object().cloned().unwrap_or_default() }
    }
}

/// What is looked at.
pub(crate) struct Readiness {
    pub(crate) services: Services,
    pub(crate) livepoll: Option<Livepoll>,
    pub(crate) log: Option<Arc<dyn EventLog>>,
    pub(crate) max_connections: u64,
    pub(crate) redis: bool,
    /// How many bytes may be used, if that is known.
    pub(crate) memory: Option<u64>,
}

impl Readiness {
    fn io(&self) -> &Io {
        self.services.context().io()
    }

    async fn checks(&self) -> Vec<(&'static str, Check)> {
        let mut checks = vec![("connections", self.connections()), ("memory", self.memory())];
        if let Some(log) = &self.log {
            checks.push(("event_log", event_log(log.as_ref())));
        }
        checks.push(("storage", self.storage().await));
        if let Some(livepoll) = &self.livepoll {
            checks.push(("livepoll", answers(livepoll.check()).await));
        }
        if self.redis {
            checks.push(("redis", self.redis()));
        }
        checks
    }

    fn connections(&self) -> Check {
        let counts = self.io().counters().counts();
        let open = counts.sessions + counts.streams;
        let nearly = part(open, self.max_connections) >= NEARLY;
        let status = if nearly { Standing::Degraded } else { Standing::Healthy };
        Check::new(status, &json!({ "open": open, "limit": self.max_connections }))
    }

    /// Degraded is what sheds load: more clients would not be let in.
    fn memory(&self) -> Check {
        let short = self.io().is_memory_short();
        let status = if short { Standing::Degraded } else { Standing::Healthy };
        let used = Process::memory();
        Check::new(status, &json!({ "resident_bytes": used, "limit_bytes": self.memory }))
    }

    /// Without rooms and messages live events still flow.
    async fn storage(&self) -> Check {
        let asked =
            self.services.context().store().read(|it| it.query_row("SELECT 1", [], |_| Ok(())));
        answers(asked).await
    }

    fn redis(&self) -> Check {
        let connected = self.services.jobs().is_listening();
        let status = if connected { Standing::Healthy } else { Standing::Degraded };
        Check::new(status, &json!({ "connected": connected }))
    }
}

/// Whether a database answers; what does without it goes on.
async fn answers<E: Display>(asked: impl Future<Output = Result<(), E>>) -> Check {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => Check::new(Standing::Healthy, &json!({})),
        Ok(Err(error)) => Check::new(Standing::Degraded, &json!({ "reason": error.to_string() })),
        Err(_) => Check::new(Standing::Degraded, &json!({ "reason": "it does not answer" })),
    }
}

fn event_log(log: &dyn EventLog) -> Check {
    match log.health() {
        Health::Ready => {
            let stats = log.stats();
            Check::new(
                Standing::Healthy,
                &json!({ "entries": stats.entries, "bytes": stats.bytes, "queued_bytes": stats.queued_bytes }),
            )
        }
        // What is not recorded still flows; what is recorded is refused by name.
        Health::Refusing(why) => {
            Check::new(Standing::Degraded, &json!({ "reason": why.to_string() }))
        }
        Health::Closed => Check::new(Standing::Unhealthy, &json!({ "reason": "closed" })),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a part of a limit")]
fn part(of: u64, whole: u64) -> f64 {
    of as f64 / whole.max(1) as f64
}

/// The answer of `/health`.
pub(crate) fn alive(method: &Method, io: &Io) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Refusal::method("GET, HEAD").into_response();
    }
    if io.is_draining() {
        json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }))
    } else {
        json_response(StatusCode::OK, &json!({ "status": "ok" }))
    }
}

/// The answer of `/health/ready`.
pub(crate) async fn ready(readiness: &Readiness, with_details: bool) -> Response {
    let checks = readiness.checks().await;
    let worst = checks.iter().map(|(_, check)| check.status).max().unwrap_or(Standing::Healthy);
    let draining = readiness.io().is_draining();
    let status = if draining { json!("draining") } else { json!(worst) };
    let available = !draining && worst != Standing::Unhealthy;
    let code = if available { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut told = json!({ "status": status });
    if let (true, Some(told)) = (with_details, told.as_object_mut()) {
        let checks: Map<String, Value> =
            checks.into_iter().map(|(name, check)| (name.to_owned(), json!(check))).collect();
        told.insert("checks".to_owned(), checks.into());
    }
    json_response(code, &told)
}

/// What the system says of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Open files.
    pub(crate) files: u64,
    /// Processor time.
    pub(crate) processor: Duration,
}

impl Process {
    /// Bytes of memory, alone.
    pub(crate) fn memory() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// `None` where there is no `/proc`.
    pub(crate) fn now() -> Option<Self> {
        let memory = Self::memory()?;
        let files = fs::read_dir("/proc/self/fd").ok()?.count();
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name, which may have spaces: the state is field 3, the times are 14 and 15.
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
        // A hundred ticks per second on every Linux that this runs on.
        let processor = Duration::from_millis(ticks.saturating_mul(10));
        Some(Process { memory, files: u64::try_from(files).ok()?, processor })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let process = Process::now().unwrap();
        assert!(process.memory > 1_000_000 && process.files > 2);
    }
}
