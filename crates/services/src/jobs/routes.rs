//! `/v1/jobs`.

#![allow(unused_qualifications, reason = "what the macro for parameters writes")]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Job, JobStatus, JobUpdate, Jobs};
use crate::Services;
use crate::code::Code;
use crate::http::{Answer, In, Json, Key, Path, Query};
use crate::refusal::Refusal;

/// The most jobs of a page, and the most that are passed over.
const MAX_PAGE: u16 = 1_000;
const MAX_OFFSET: u32 = 100_000;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(update, show, remove)).routes(routes!(list))
}

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The namespace; `/` if not said.
    #[serde(default = "crate::http::root")]
    namespace: String,
    /// Only those that stand so.
    status: Option<JobStatus>,
    /// So many at most: 1 to 1 000, 100 if not said.
    limit: Option<u16>,
    /// So many are passed over.
    #[serde(default)]
    offset: u32,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneJob)]
struct One {
    job: Job,
    /// The update was older than what is known, and changed nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
}

/// Some jobs.
#[derive(Debug, Serialize, ToSchema)]
struct JobList {
    jobs: Vec<Job>,
}

/// Nothing more to say.
#[derive(Debug, Serialize, ToSchema)]
struct Done {}

/// Says how a job stands; those who asked hear `job:update`.
#[utoipa::path(
    put, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path), In),
    request_body = JobUpdate,
    responses((status = 200, body = One), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn update(
    _: Key,
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(at): Query<In>,
    Json(update): Json<JobUpdate>,
) -> Result<Answer<One>, Refusal> {
    let updated = jobs.update(&at.namespace, &id, update).await?;
    Ok(Answer(One { job: updated.job, stale: updated.stale }))
}

/// The last word about a job.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path), In),
    responses((status = 200, body = One), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn show(
    _: Key,
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<One>, Refusal> {
    jobs.context.namespace(&at.namespace)?;
    Ok(Answer(One { job: jobs.find(&at.namespace, &id).await?, stale: false }))
}

/// Forgets a job.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path), In),
    responses((status = 200, body = Done), (status = 401), (status = 404)),
    security(("key" = []))
)]
async fn remove(
    _: Key,
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(at): Query<In>,
) -> Result<Answer<Done>, Refusal> {
    jobs.context.namespace(&at.namespace)?;
    jobs.remove(&at.namespace, &id).await?;
    Ok(Answer(Done {}))
}

/// The jobs of a namespace, the latest word first.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", params(Which),
    responses((status = 200, body = JobList), (status = 400), (status = 401)),
    security(("key" = []))
)]
async fn list(
    _: Key,
    State(jobs): State<Jobs>,
    Query(which): Query<Which>,
) -> Result<Answer<JobList>, Refusal> {
    jobs.context.namespace(&which.namespace)?;
    let limit = which.limit.unwrap_or(100);
    if limit == 0 || limit > MAX_PAGE {
        let expected = format!("a whole number from 1 to {MAX_PAGE}");
        return Err(Refusal::field(Code::InvalidRequest, "limit", &expected));
    }
    if which.offset > MAX_OFFSET {
        let expected = format!("a whole number up to {MAX_OFFSET}");
        return Err(Refusal::field(Code::InvalidRequest, "offset", &expected));
    }
    let jobs = jobs.list(&which.namespace, which.status, limit, which.offset).await?;
    Ok(Answer(JobList { jobs }))
}
