//! Jobs as they are kept.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::time::{json, now_ms};

pub(super) const STEPS: &[&str] = &["CREATE TABLE jobs ( \
     namespace TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, \
     progress REAL NOT NULL, message TEXT, error TEXT, sequence INTEGER, version INTEGER NOT NULL, \
     time_ms INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY (namespace, id)) WITHOUT ROWID; \
     CREATE INDEX jobs_by_time ON jobs (namespace, time_ms); \
     CREATE INDEX jobs_ended ON jobs (ended, time_ms)"];

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits for its turn.
    #[serde(alias = "pending")]
    Queued,
    /// It is being done.
    #[serde(alias = "processing", alias = "active")]
    Running,
    /// It is done.
    #[serde(alias = "done", alias = "succeeded")]
    Completed,
    /// It could not be done.
    #[serde(alias = "error")]
    Failed,
    /// Nobody wants it any more.
    #[serde(alias = "canceled")]
    Cancelled,
}

impl JobStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "queued" => JobStatus::Queued,
            "running" => JobStatus::Running,
            "completed" => JobStatus::Completed,
            "cancelled" => JobStatus::Cancelled,
            _ => JobStatus::Failed,
        }
    }

    const fn is_end(self) -> bool {
        matches!(self, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
    }
}

/// What is said about a job; what is not there stays as it was.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JobUpdate {
    /// How it stands.
    pub status: JobStatus,
    /// How far it is, from 0 to 100. A job that is completed is at 100.
    pub progress: Option<f64>,
    /// A word for people.
    pub message: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// A word of the application about what kind of update it is; `progress` or the status if not said.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The worker's own count: an update that is not above the last one changes nothing.
    pub sequence: Option<u64>,
}

/// The last word about a job, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// What kind of update it was.
    #[serde(rename = "type")]
    pub kind: String,
    /// The job's id.
    pub job_id: String,
    /// How it stands.
    pub status: JobStatus,
    /// How far it is, from 0 to 100.
    pub progress: f64,
    /// A word for people.
    pub message: Option<String>,
    /// When it was said.
    #[schema(value_type = String)]
    pub timestamp: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// How many times something was said about it.
    pub version: u64,
}

pub(super) enum Outcome {
    Changed(Job),
    Stale(Job),
}

const COLUMNS: &str = "kind, id, status, progress, message, time_ms, error, version";

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let status: String = row.get(2)?;
    let (time, version): (i64, i64) = (row.get(5)?, row.get(7)?);
    Ok(Job {
        kind: row.get(0)?,
        job_id: row.get(1)?,
        status: JobStatus::of(&status),
        progress: row.get(3)?,
        message: row.get(4)?,
        timestamp: json(u64::try_from(time).unwrap_or(0)),
        error: row.get(6)?,
        version: u64::try_from(version).unwrap_or(0),
    })
}

pub(super) fn find(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
) -> rusqlite::Result<Option<Job>> {
    transaction
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE namespace = ?1 AND id = ?2"))?
        .query_row((namespace, id), job)
        .optional()
}

pub(super) fn update(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
    update: JobUpdate,
) -> rusqlite::Result<Outcome> {
    let known = find(transaction, namespace, id)?;
    let sequence = update.sequence.map(|it| i64::try_from(it).unwrap_or(i64::MAX));
    if let Some(known) = &known {
        let last: Option<i64> = transaction
            .prepare_cached("SELECT sequence FROM jobs WHERE namespace = ?1 AND id = ?2")?
            .query_row((namespace, id), |row| row.get(0))?;
        let stale = match (sequence, last) {
            (Some(sequence), Some(last)) => sequence <= last,
            // A job that is begun anew is queued first.
            _ => known.status.is_end() && update.status == JobStatus::Running,
        };
        if stale {
            return Ok(Outcome::Stale(known.clone()));
        }
    }
    let anew = update.status == JobStatus::Queued;
    let before = known.as_ref().filter(|_| !anew);
    let progress = match (update.status, update.progress) {
        (JobStatus::Completed, _) => 100.0,
        (_, Some(progress)) => progress,
        (_, None) => before.map_or(0.0, |job| job.progress),
    };
    let kind = update.kind.unwrap_or_else(|| {
        let word =
            if update.status == JobStatus::Running { "progress" } else { update.status.as_str() };
        word.to_owned()
    });
    let message = update.message.or_else(|| before.and_then(|job| job.message.clone()));
    let version = known.as_ref().map_or(0, |job| job.version) + 1;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "INSERT INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT DO UPDATE SET kind = excluded.kind, status = excluded.status, \
             progress = excluded.progress, message = excluded.message, error = excluded.error, \
             sequence = coalesce(excluded.sequence, sequence), version = excluded.version, \
             time_ms = excluded.time_ms, ended = excluded.ended",
        )?
        .execute(rusqlite::params![
            namespace,
            id,
            kind,
            update.status.as_str(),
            progress,
            message,
            update.error,
            sequence,
            signed(version),
            signed(now_ms()),
            update.status.is_end(),
        ])?;
    let job = find(transaction, namespace, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Outcome::Changed(job))
}

pub(super) fn page(
    transaction: &Transaction<'_>,
    namespace: &str,
    status: Option<JobStatus>,
    limit: u16,
    offset: u32,
) -> rusqlite::Result<Vec<Job>> {
    let mut rows = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM jobs WHERE namespace = ?1 AND (?2 IS NULL OR status = ?2) \
         ORDER BY time_ms DESC LIMIT ?3 OFFSET ?4"
    ))?;
    let rows = rows.query_map((namespace, status.map(JobStatus::as_str), limit, offset), job)?;
    rows.collect()
}

pub(super) fn remove(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
) -> rusqlite::Result<bool> {
    let removed =
        transaction.execute("DELETE FROM jobs WHERE namespace = ?1 AND id = ?2", (namespace, id));
    removed.map(|count| count > 0)
}

/// Drops jobs that ended long ago, and, if there are too many, those that ended first; at most so many
/// at a time.
pub(super) fn trim(
    transaction: &Transaction<'_>,
    kept: Duration,
    max: u64,
) -> rusqlite::Result<()> {
    const AT_A_TIME: i64 = 256;
    let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    let oldest = i64::try_from(now_ms().saturating_sub(kept)).unwrap_or(0);
    let count: i64 = transaction.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))?;
    let surplus = count.saturating_sub(i64::try_from(max).unwrap_or(i64::MAX)).clamp(0, AT_A_TIME);
    transaction.execute(
        "DELETE FROM jobs WHERE (namespace, id) IN ( \
             SELECT namespace, id FROM jobs WHERE ended = 1 AND time_ms < ?1 \
             ORDER BY time_ms LIMIT ?2)",
        (oldest, AT_A_TIME),
    )?;
    transaction.execute(
        "DELETE FROM jobs WHERE (namespace, id) IN ( \
             SELECT namespace, id FROM jobs WHERE ended = 1 ORDER BY time_ms LIMIT ?1)",
        [surplus],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn say(status: JobStatus, progress: Option<f64>, sequence: Option<u64>) -> JobUpdate {
        JobUpdate { status, progress, message: None, error: None, kind: None, sequence }
    }

    #[tokio::test]
    async fn what_is_late_changes_nothing() {
        use JobStatus::{Completed, Failed, Queued, Running};
        let store = Store::open(None).unwrap();
        store.migrate("jobs", STEPS).unwrap();
        for (update, changed, status, progress) in [
            (say(Queued, None, None), true, Queued, 0.0),
            (say(Running, Some(10.0), None), true, Running, 10.0),
            (say(Running, None, None), true, Running, 10.0),
            (say(Completed, None, None), true, Completed, 100.0),
            (say(Running, Some(50.0), None), false, Completed, 100.0),
            (say(Queued, None, Some(5)), true, Queued, 0.0),
            (say(Running, Some(20.0), Some(6)), true, Running, 20.0),
            (say(Running, Some(10.0), Some(6)), false, Running, 20.0),
            (say(Failed, None, Some(7)), true, Failed, 20.0),
            (say(Running, Some(30.0), Some(6)), false, Failed, 20.0),
            (say(Running, Some(0.0), Some(8)), true, Running, 0.0),
        ] {
            let outcome = store.write(move |it| super::update(it, "/", "j", update)).await.unwrap();
            let (job, was_changed) = match outcome {
                Outcome::Changed(job) => (job, true),
                Outcome::Stale(job) => (job, false),
            };
            assert_eq!((was_changed, job.status, job.progress), (changed, status, progress));
        }
    }

    #[tokio::test]
    async fn only_jobs_that_ended_are_dropped() {
        let store = Store::open(None).unwrap();
        store.migrate("jobs", STEPS).unwrap();
        let left = store
            .write(|it| {
                for index in 0..20 {
                    let status =
                        if index % 2 == 0 { JobStatus::Running } else { JobStatus::Completed };
                    update(it, "/", &format!("j{index}"), say(status, None, None))?;
                }
                trim(it, Duration::from_secs(60), 12)?;
                let some = page(it, "/", None, 100, 0)?;
                trim(it, Duration::from_secs(60), 0)?;
                Ok((some.len(), page(it, "/", None, 100, 0)?.len()))
            })
            .await
            .unwrap();
        assert_eq!(left, (12, 10));
    }
}
