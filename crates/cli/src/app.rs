//! The binary's HTTP side and its namespaces, on top of the library's public API.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::routing::any;
use livepoll::Livepoll;
use services::{Code, Refusal, Services};

use crate::bundle::{self, ClientBundle};
use crate::health::{self, Readiness};
use crate::settings::Settings;
use crate::traces;
use crate::web;

/// The path of the health check.
pub(crate) const HEALTH_PATH: &str = "/health";

/// The path of the look at everything the server needs.
pub(crate) const READY_PATH: &str = "/health/ready";

/// Joins the routes of the library and of the services with ours.
pub(crate) fn router(
    (services, livepoll): (&Services, Option<&Livepoll>),
    settings: &Settings,
    readiness: Arc<Readiness>,
) -> Router {
    let io = services.context().io();
    let io_of_health = io.clone();
    let of_ready = services.context().clone();
    let mut router = io
        .router()
        .merge(interface(services, livepoll).layer(from_fn(traces::request)))
        .route(HEALTH_PATH, any(async move |method: Method| health::alive(&method, &io_of_health)))
        .route(
            READY_PATH,
            any(async move |method: Method, headers: HeaderMap| {
                if method != Method::GET && method != Method::HEAD {
                    return Refusal::method("GET, HEAD").into_response();
                }
                health::ready(&readiness, of_ready.check_key(&headers).is_ok()).await
            }),
        );
    if settings.serve_client {
        router = with_bundle(router, &settings.path);
    }
    services.guard(router.merge(web::router(settings)).fallback(not_found))
}

/// The HTTP API, and its description.
fn interface(services: &Services, livepoll: Option<&Livepoll>) -> Router {
    match livepoll.map(Livepoll::routes) {
        Some((routes, description)) => services.router_describing(description).merge(routes),
        None => services.router(),
    }
}

/// Adds a route for each file of the client bundle: they are more specific than the endpoint's.
fn with_bundle(mut router: Router, path: &str) -> Router {
    let bundle = Arc::new(ClientBundle::new());
    for name in bundle::file_names() {
        let bundle = Arc::clone(&bundle);
        let answer = async move |request: Request<Body>| {
            bundle.answer(request.method(), name, request.headers()).await
        };
        router = router.route(&format!("{}/{name}", path.trim_end_matches('/')), any(answer));
    }
    router
}

async fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "There is nothing at this path.")
}
