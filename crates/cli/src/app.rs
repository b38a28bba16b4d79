//! The binary's HTTP side and its namespaces, on top of the library's public API.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fanfare::Io;
use serde_json::json;

use crate::answer::{Refusal, Refused, json_response};
use crate::api_key::KeyDigest;
use crate::bundle::{self, ClientBundle};
use crate::publish::{self, Publisher};
use crate::room_events;
use crate::settings::Settings;

/// The path of the health check.
const HEALTH_PATH: &str = "/health";

/// The path of the server's figures.
const STATS_PATH: &str = "/v1/stats";

/// Sets up the namespaces and joins the library's routes with ours.
///
/// # Errors
///
/// A namespace's name that the library does not take.
pub(crate) fn router(io: &Io, settings: &Settings, key: KeyDigest) -> anyhow::Result<Router> {
    let mut publisher = Publisher {
        key: key.clone(),
        namespaces: HashMap::new(),
        max_body_bytes: usize::try_from(settings.max_payload.0).unwrap_or(usize::MAX),
        body_timeout: settings.http.body_timeout.0,
    };
    for name in &settings.namespaces {
        let namespace = io.of(name)?;
        room_events::serve(&namespace);
        publisher.namespaces.insert(name.clone(), namespace);
    }
    let publisher = Arc::new(publisher);
    let (io_of_health, io_of_stats) = (io.clone(), io.clone());
    let mut router = io
        .router()
        .route(publish::PATH, any(async move |request| publisher.answer(request).await))
        .route(HEALTH_PATH, any(async move |method| health(&method, io_of_health.is_closing())))
        .route(
            STATS_PATH,
            any(async move |method, headers| stats(&io_of_stats, &key, &method, &headers)),
        );
    if settings.serve_client {
        router = with_bundle(router, &settings.path);
    }
    Ok(router.fallback(not_found))
}

/// Adds a route for each file of the client bundle: they are more specific than the endpoint's.
fn with_bundle(mut router: Router, path: &str) -> Router {
    let bundle = Arc::new(ClientBundle::default());
    for name in bundle::file_names() {
        let bundle = Arc::clone(&bundle);
        let answer = async move |request: Request<Body>| {
            bundle.answer(request.method(), name, request.headers()).await
        };
        router = router.route(&format!("{}/{name}", path.trim_end_matches('/')), any(answer));
    }
    router
}

/// `ok`, or `draining` while the server stops: then a load balancer sends nobody here any more.
fn health(method: &Method, draining: bool) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Refused::method("GET, HEAD").into_response();
    }
    if draining {
        json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }))
    } else {
        json_response(StatusCode::OK, &json!({ "status": "ok" }))
    }
}

/// What the server counts, for who has the key: the figures tell an attacker what works.
fn stats(io: &Io, key: &KeyDigest, method: &Method, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Refused::method("GET, HEAD").into_response();
    }
    match key.check(headers) {
        Ok(()) => json_response(StatusCode::OK, &json!(io.counters().counts())),
        Err(refused) => refused.into_response(),
    }
}

async fn not_found() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, Refusal::new("NOT_FOUND", "There is nothing at this path."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stops_says_that_it_is_draining() {
        for (method, draining, expected) in [
            (Method::GET, false, StatusCode::OK),
            (Method::HEAD, false, StatusCode::OK),
            (Method::GET, true, StatusCode::SERVICE_UNAVAILABLE),
            (Method::POST, false, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            assert_eq!(health(&method, draining).status(), expected, "{method} {draining}");
        }
    }
}
