//! Jobs: what the application does in the background, and how far it is. The last word about each is
//! kept and told at once to who asks.

mod redis;
mod routes;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare::{Namespace, Socket};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::store::Outcome;
use crate::access::Right;
use crate::code::Code;
use crate::context::Context;
use crate::listen::listen;
use crate::names;
use crate::outbox::Told;
use crate::refusal::Refusal;
use crate::store::StoreError;

pub(crate) use self::routes::routes;
pub use self::store::{Job, JobStatus, JobUpdate};

/// The prefix of the rooms of jobs.
pub(crate) const ROOM_PREFIX: &str = "jobs.";

/// The longest message or error of a job, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// The settings of jobs.
#[derive(Debug, Clone)]
pub struct JobsSettings {
    /// Whether a job can be subscribed to that nobody has said anything about. Default: yes; a client
    /// often asks before the worker has begun.
    pub unknown_allowed: bool,
    /// How long the last word about a job that has ended is kept. Default: 7 days.
    pub kept: Duration,
    /// How many jobs are kept; the oldest that have ended go first. Default: 1 000 000.
    pub max_jobs: u64,
    /// Where updates come in over Redis, on the channel `job-updates`. Default: nowhere.
    pub redis: Option<RedisUrl>,
}

impl Default for JobsSettings {
    fn default() -> Self {
        JobsSettings {
            unknown_allowed: true,
            kept: Duration::from_secs(7 * 86_400),
            max_jobs: 1_000_000,
            redis: None,
        }
    }
}

/// The address of a Redis, which may have a password in it: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

/// Why a text is no address of a Redis. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no address of a Redis ({0})")]
pub struct RedisUrlError(String);

impl RedisUrl {
    /// The address, with its password if there is one, for the one place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
        if !known.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(RedisUrlError(
                "it begins with none of redis://, rediss://, unix://".into(),
            ));
        }
        match ::redis::IntoConnectionInfo::into_connection_info(text) {
            Ok(_) => Ok(RedisUrl(text.to_owned())),
            Err(error) => Err(RedisUrlError(error.category().to_owned())),
        }
    }
}

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisUrl")
    }
}

/// Jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs {
    context: Context,
    listening: Arc<AtomicBool>,
}

/// What became of an update.
#[derive(Debug, Clone, Serialize)]
pub struct Updated {
    /// The job as it is now.
    pub job: Job,
    /// The update was older than what is known, and nothing was changed.
    pub stale: bool,
}

impl Jobs {
    pub(crate) fn begin(context: &Context) -> Result<Self, StoreError> {
        context.store().migrate("jobs", store::STEPS)?;
        let jobs = Jobs { context: context.clone(), listening: Arc::default() };
        if let Some(url) = &jobs.settings().redis {
            context.spawn(redis::listen(jobs.clone(), url.0.clone()));
        }
        Ok(jobs)
    }

    /// Whether updates come in over Redis.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    fn settings(&self) -> &JobsSettings {
        &self.context.settings().jobs
    }

    /// Keeps what is said about a job and tells those who asked (`job:update`). An update with a
    /// sequence that is not above the last one, or one without that says a job which has ended still
    /// runs, changes nothing.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`], [`Code::UnknownNamespace`], those of the store and the log.
    pub async fn update(
        &self,
        namespace: &str,
        id: &str,
        update: JobUpdate,
    ) -> Result<Updated, Refusal> {
        let room = room_of(id, Code::InvalidRequest, "id")?;
        check(&update)?;
        self.context.namespace(namespace)?;
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        let settings = self.settings();
        let (kept, max) = (settings.kept, settings.max_jobs);
        let written = self.context.outbox().write(move |transaction| {
            let outcome = store::update(transaction, &namespace, &id, update)?;
            let told = match &outcome {
                Outcome::Changed(job) => {
                    if job.version % 64 == 1 {
                        store::trim(transaction, kept, max)?;
                    }
                    vec![Told::new(&namespace, vec![room], "job:update", job)]
                }
                Outcome::Stale(_) => Vec::new(),
            };
            Ok((outcome, told))
        });
        Ok(match written.await?.0 {
            Outcome::Changed(job) => Updated { job, stale: false },
            Outcome::Stale(job) => Updated { job, stale: true },
        })
    }

    /// The last word about a job.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store.
    pub async fn find(&self, namespace: &str, id: &str) -> Result<Job, Refusal> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        let found = self.context.store().read(move |it| store::find(it, &namespace, &id));
        found.await?.ok_or_else(unknown)
    }

    /// The jobs of a namespace, those first of which something was said last.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn list(
        &self,
        namespace: &str,
        status: Option<JobStatus>,
        limit: u16,
        offset: u32,
    ) -> Result<Vec<Job>, Refusal> {
        let namespace = namespace.to_owned();
        let page = move |it: &rusqlite::Transaction<'_>| {
            store::page(it, &namespace, status, limit, offset)
        };
        Ok(self.context.store().read(page).await?)
    }

    /// Forgets a job.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store.
    pub async fn remove(&self, namespace: &str, id: &str) -> Result<(), Refusal> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        let removed = self.context.store().write(move |it| store::remove(it, &namespace, &id));
        if removed.await? { Ok(()) } else { Err(unknown()) }
    }

    /// Joins the room and sends the current status, in the order of the updates: behind every one that
    /// was kept before, ahead of every one that is kept later.
    async fn subscribe(&self, socket: &Socket, id: String) -> Result<Value, Refusal> {
        let room = room_of(&id, Code::InvalidMessage, "jobId")?;
        self.context.allow(socket, Right::Join, &room, "jobId").await?;
        let namespace = socket.namespace().name().to_owned();
        if !self.settings().unknown_allowed {
            self.find(&namespace, &id).await?;
        }
        let invalid = |_| Refusal::field(Code::InvalidMessage, "jobId", names::ROOM_FORM);
        let joined = socket.join(room).map_err(invalid)?.await;
        joined.map_err(|error| crate::rooms::not_joined(socket, &error))?;
        let own = socket.id().to_string();
        let written = self.context.outbox().write(move |transaction| {
            let job = store::find(transaction, &namespace, &id)?;
            let told =
                job.iter().map(|job| Told::new(&namespace, vec![own.clone()], "job:update", job));
            let told = told.collect();
            Ok((job, told))
        });
        Ok(json!({ "job": written.await?.0 }))
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::ChannelNotFound, "There is no such job.").with(json!({ "field": "jobId" }))
}

/// The room of a job.
///
/// # Errors
///
/// `code`, if the id cannot be a part of a room's name.
fn room_of(id: &str, code: Code, field: &str) -> Result<String, Refusal> {
    let room = format!("{ROOM_PREFIX}{id}");
    if id.is_empty() || names::check_name(&room).is_err() {
        let expected = "1 to 250 visible ASCII characters, without * and #";
        return Err(Refusal::field(code, field, expected));
    }
    Ok(room)
}

fn check(update: &JobUpdate) -> Result<(), Refusal> {
    let invalid =
        |field, expected: &str| Err(Refusal::field(Code::InvalidRequest, field, expected));
    if update.progress.is_some_and(|progress| !(0.0..=100.0).contains(&progress)) {
        return invalid("progress", "a number from 0 to 100");
    }
    let texts = [("message", &update.message), ("error", &update.error), ("type", &update.kind)];
    for (field, text) in texts {
        if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return invalid(field, &format!("at most {MAX_TEXT_BYTES} bytes of text"));
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    job_id: String,
}

/// Lets the clients of a namespace follow jobs.
pub(crate) fn serve(jobs: &Jobs, namespace: &Namespace) {
    let this = jobs.clone();
    listen(namespace, "subscribe:job", move |socket: Socket, named: Named| {
        let this = this.clone();
        async move { this.subscribe(&socket, named.job_id).await }
    });
    listen(namespace, "unsubscribe:job", |socket: Socket, named: Named| async move {
        let room = room_of(&named.job_id, Code::InvalidMessage, "jobId")?;
        let invalid = |_| Refusal::field(Code::InvalidMessage, "jobId", names::ROOM_FORM);
        socket.leave(room).map_err(invalid)?;
        Ok(json!({}))
    });
}
