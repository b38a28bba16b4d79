//! The HTTP API: the routes of all services, and their description.
//!
//! A service has a function `routes`, which gives its handlers with what they say about themselves
//! (`#[utoipa::path]`); they are joined here. The description is served at
//! [`DESCRIPTION_PATH`].

use axum::Router;
use axum::routing::{any, get};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::refusal::{Refusal, json_response};
use crate::{Services, history, publish, sse};

/// Where the description is.
pub const DESCRIPTION_PATH: &str = "/v1/openapi.json";

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(info(
    title = "Fanfare",
    description = "The real-time tier of an application: publish, rooms, users, history, streams."
))]
struct Description;

/// All routes under `/v1`, and the description of them and of others.
pub(crate) fn router(services: &Services, others: Option<utoipa::openapi::OpenApi>) -> Router {
    let described: OpenApiRouter<Services> = OpenApiRouter::with_openapi(Description::openapi());
    let (routes, mut description) = described.split_for_parts();
    if let Some(others) = others {
        description.merge(others);
    }
    let (publish, history, sse) =
        (services.context.clone(), services.context.clone(), services.context.clone());
    routes
        .route(
            DESCRIPTION_PATH,
            get(async move || json_response(axum::http::StatusCode::OK, &description)),
        )
        .method_not_allowed_fallback(async || Refusal::method("another one"))
        .route(publish::PATH, any(async move |request| publish::answer(&publish, request).await))
        .route(
            history::PATH,
            any(async move |room, request| history::answer(&history, room, request).await),
        )
        .route(sse::PATH, any(async move |request| sse::answer(&sse, request).await))
        .with_state(services.clone())
}
