//! Pages of other origins, beside the Socket.IO endpoint: the same setting, the same headers.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fanfare::Io;

/// The answer to a browser that asks whether a page may send a header of its own, such as
/// `Authorization`, with a `GET`. `None` if that is not what is asked, or no page of another origin is
/// served.
///
/// Spec: Fetch § 3.3.3. A page that reaches from the network to this machine is not let through
/// (`Access-Control-Request-Private-Network`): the header that allows it is never sent.
pub(crate) fn preflight(io: &Io, head: &Parts) -> Option<Response> {
    let asks = head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let cors =
        io.settings().engine.cors.as_ref().filter(|_| head.method == Method::OPTIONS && asks)?;
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in cors.preflight_headers(text(header::ORIGIN), asked) {
        let value = if name == "access-control-allow-methods" { "GET".into() } else { value };
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

/// Lets the page that asked read the answer, if `cors.origins` names its origin.
pub(crate) fn allow(io: &Io, request: &HeaderMap, mut response: Response) -> Response {
    let Some(cors) = &io.settings().engine.cors else { return response };
    let origin = request.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    for (name, value) in cors.headers(origin) {
        // Only what the settings hold, which were checked, or the origin that was sent.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
