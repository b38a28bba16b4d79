//! The binary's HTTP side and its namespaces, on top of the library's public API.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use eventlog::{EventLog, Health};
use fanfare::Io;
use serde_json::json;

use crate::answer::{Refusal, Refused, json_response};
use crate::api_key::KeyDigest;
use crate::bundle::{self, ClientBundle};
use crate::history::{self, Histories};
use crate::publish::{self, Publisher};
use crate::replay::{self, Replays};
use crate::settings::Settings;
use crate::sse::{self, Streams};
use crate::{event_log, room_events};

/// The path of the health check.
const HEALTH_PATH: &str = "/health";

/// The path of the server's figures.
const STATS_PATH: &str = "/v1/stats";

/// Sets up the namespaces and joins the library's routes with ours.
///
/// # Errors
///
/// A namespace's name, or a pattern of rooms, that the library does not take.
pub(crate) fn router(
    io: &Io,
    settings: &Settings,
    key: KeyDigest,
    log: Option<Arc<dyn EventLog>>,
) -> anyhow::Result<Router> {
    let mut publisher = Publisher {
        key: key.clone(),
        namespaces: HashMap::new(),
        max_body_bytes: usize::try_from(settings.max_payload.0).unwrap_or(usize::MAX),
        body_timeout: settings.http.body_timeout.0,
    };
    let replays = Replays::of(settings)?;
    for name in &settings.namespaces {
        let namespace = io.of(name)?;
        replay::serve(&namespace, &replays);
        room_events::serve(&namespace, &replays);
        history::serve(&namespace);
        publisher.namespaces.insert(name.clone(), namespace);
    }
    let histories = Histories::new(key.clone(), publisher.namespaces.clone());
    let streams = Streams::new(key.clone(), publisher.namespaces.clone());
    let publisher = Arc::new(publisher);
    let (io_of_health, io_of_stats) = (io.clone(), io.clone());
    let log_of_health = log.clone();
    let mut router = io
        .router()
        .route(publish::PATH, any(async move |request| publisher.answer(request).await))
        .route(history::PATH, histories.route(io))
        .route(sse::PATH, streams.route(io))
        .route(
            HEALTH_PATH,
            any(async move |method| {
                let records =
                    log_of_health.as_ref().is_none_or(|log| log.health() == Health::Ready);
                health(&method, io_of_health.is_closing(), records)
            }),
        )
        .route(
            STATS_PATH,
            any(async move |method: Method, headers: HeaderMap| {
                let refused = refused(&key, &method, &headers);
                refused.unwrap_or_else(|| stats(&io_of_stats, log.as_deref()))
            }),
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

/// `ok`, `degraded` while the event log takes nothing, or `draining` while the server stops: only
/// then a load balancer sends nobody here any more.
fn health(method: &Method, draining: bool, records: bool) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Refused::method("GET, HEAD").into_response();
    }
    if draining {
        json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }))
    } else if records {
        json_response(StatusCode::OK, &json!({ "status": "ok" }))
    } else {
        json_response(StatusCode::OK, &json!({ "status": "degraded", "event_log": "refusing" }))
    }
}

/// The answer to who may not see figures: they tell an attacker what works.
fn refused(key: &KeyDigest, method: &Method, headers: &HeaderMap) -> Option<Response> {
    if method != Method::GET && method != Method::HEAD {
        return Some(Refused::method("GET, HEAD").into_response());
    }
    key.check(headers).err().map(IntoResponse::into_response)
}

/// What the server counts, and how its event log stands.
fn stats(io: &Io, log: Option<&dyn EventLog>) -> Response {
    let mut figures = json!(io.counters().counts());
    if let (Some(log), Some(figures)) = (log, figures.as_object_mut()) {
        figures.insert("event_log".to_owned(), event_log::figures(log));
    }
    json_response(StatusCode::OK, &figures)
}

async fn not_found() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, Refusal::new("NOT_FOUND", "There is nothing at this path."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stops_says_that_it_is_draining() {
        for (method, draining, records, expected) in [
            (Method::GET, false, true, StatusCode::OK),
            (Method::HEAD, false, true, StatusCode::OK),
            (Method::GET, false, false, StatusCode::OK),
            (Method::GET, true, true, StatusCode::SERVICE_UNAVAILABLE),
            (Method::POST, false, true, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let status = health(&method, draining, records).status();
            assert_eq!(status, expected, "{method} {draining} {records}");
        }
    }
}
