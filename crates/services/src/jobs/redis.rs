//! Updates of jobs that workers publish on the Redis channel `job-updates`: JSON with `jobId` and the
//! fields of an update.
//!
//! Redis keeps nothing of what it publishes: what comes while the connection is lost is lost, which is
//! why workers that can should use HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;

use super::{JobStatus, JobUpdate, Jobs};

/// The channel.
const CHANNEL: &str = "job-updates";

/// How long to wait before connecting anew.
const AGAIN: Duration = Duration::from_secs(1);

/// The largest message that is read, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// An update as workers send it; further fields are theirs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    job_id: String,
    #[serde(default = "crate::http::root")]
    namespace: String,
    status: JobStatus,
    progress: Option<f64>,
    message: Option<String>,
    error: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    sequence: Option<u64>,
}

/// Listens for as long as it is run.
pub(super) async fn listen(jobs: Jobs, url: String) {
    loop {
        match connect(&url).await {
            Ok(mut messages) => {
                jobs.listening.store(true, Ordering::Relaxed);
                tracing::info!(channel = CHANNEL, "listening on Redis for updates of jobs");
                while let Some(message) = messages.next().await {
                    take(&jobs, message.get_payload_bytes()).await;
                }
                jobs.listening.store(false, Ordering::Relaxed);
                tracing::warn!("the connection to Redis is lost; updates of jobs may be too");
            }
            // The address may hold a password: only the kind of error is told.
            Err(error) => tracing::warn!(why = error.category(), "Redis cannot be reached"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect(url: &str) -> redis::RedisResult<redis::aio::PubSubStream> {
    let mut messages = redis::Client::open(url)?.get_async_pubsub().await?;
    messages.subscribe(CHANNEL).await?;
    Ok(messages.into_on_message())
}

async fn take(jobs: &Jobs, payload: &[u8]) {
    if payload.len() > MAX_MESSAGE_BYTES {
        tracing::warn!(bytes = payload.len(), "an update of a job is too large");
        return;
    }
    let message: Message = match serde_json::from_slice(payload) {
        Ok(message) => message,
        Err(error) => {
            let expected = crate::http::expected(&error.to_string());
            tracing::warn!(expected, "what came from Redis is no update of a job");
            return;
        }
    };
    let Message { job_id, namespace, status, progress, message, error, kind, sequence } = message;
    let update = JobUpdate { status, progress, message, error, kind, sequence };
    if let Err(refusal) = jobs.update(&namespace, &job_id, update).await {
        tracing::warn!(code = refusal.code.as_str(), "an update of a job from Redis was refused");
    }
}
