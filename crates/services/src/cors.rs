//! Pages of other origins, beside the Socket.IO endpoint: the same setting, the same headers.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use fanfare::Io;

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
