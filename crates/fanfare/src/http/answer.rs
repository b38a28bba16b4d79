//! HTTP answers, byte for byte what clients of the reference server get.

use super::{Incoming, empty};
use axum::body::Body;
use axum::response::Response;
use engineio::cors::Header;
use engineio::jsonp::JsonpIndex;
use engineio::payload::{self, Payload};
use engineio::{Cors, Refusal};
use http::{HeaderValue, StatusCode, header};

/// When an address that opened too many sessions may open the next one: the limit is per second.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// A payload for a poll.
pub(super) fn payload(payload: Payload, jsonp: Option<&JsonpIndex>) -> Response {
    let (content_type, body) = match (jsonp, payload) {
        (Some(index), Payload::Text(text)) => {
            ("text/javascript; charset=UTF-8", Body::from(index.wrap(&text)))
        }
        (_, payload) => (payload.content_type(), Body::from(payload.into_bytes())),
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer to a POST that was taken.
pub(super) fn posted() -> Response {
    let mut answer = Response::new(Body::from(payload::POST_OK));
    let content_type = HeaderValue::from_static(payload::POST_CONTENT_TYPE);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A refusal.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = refusal.body();
    let mut answer = empty(status);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static(Refusal::ALLOWED_METHODS));
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(header::RETRY_AFTER, SOON);
    }
    if !body.is_empty() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        *answer.body_mut() = Body::from(body.into_owned());
    }
    answer
}

/// A refusal of an upgrade: the connection is closed after it.
pub(super) fn refused_upgrade(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.upgrade_status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = closing(status, refusal.message().to_owned());
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(header::RETRY_AFTER, SOON);
    }
    answer
}

/// A text, after which the connection is closed.
pub(super) fn closing(status: StatusCode, message: String) -> Response {
    let mut answer = Response::new(Body::from(message));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

/// No more sessions are taken, for now.
pub(super) fn unavailable() -> Response {
    let mut answer = empty(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

/// The server takes leave of its clients. The connection ends too, so that the next request of a proxy
/// finds another server.
pub(super) fn stopping() -> Response {
    let mut answer = unavailable();
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *answer.body_mut() = Body::from(
        r#"{"code":"STOPPING","message":"This server is stopping; connect again in a moment."}"#,
    );
    answer
}

/// The answer to a browser's question before a request from another origin.
pub(super) fn preflight(incoming: &Incoming) -> Response {
    let Some(cors) = &incoming.io.settings().engine.cors else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let text = |name| incoming.headers().get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN);
    let requested = text(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let mut answer = empty(StatusCode::NO_CONTENT);
    add(&mut answer, cors.preflight_headers(origin, requested));
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}

/// Adds what pages of other origins need to read the answer.
pub(crate) fn with_cors(
    mut answer: Response,
    cors: Option<&Cors>,
    origin: Option<&HeaderValue>,
) -> Response {
    if let Some(cors) = cors {
        add(&mut answer, cors.headers(origin.and_then(|value| value.to_str().ok())));
    }
    answer
}

fn add(answer: &mut Response, headers: Vec<Header<'_>>) {
    for (name, value) in headers {
        // What a client reflected may be no header value: then it gets none.
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().append(name, value);
        }
    }
}
