//! Pages of other origins: those that `cors.origins` names may ask, and read the answers.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Livepoll;

/// Answers browsers that ask whether a page may ask, and says on all answers which pages may read them.
pub(super) async fn allow(
    State(livepoll): State<Livepoll>,
    request: Request,
    next: Next,
) -> Response {
    let Some(cors) = &livepoll.context().io().settings().engine.cors else {
        return next.run(request).await;
    };
    let origin = text(request.headers(), &header::ORIGIN).map(str::to_owned);
    let asks_first = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && asks_first {
        let wanted = text(request.headers(), &header::ACCESS_CONTROL_REQUEST_HEADERS);
        let mut response = StatusCode::NO_CONTENT.into_response();
        add(&mut response, cors.preflight_headers(origin.as_deref(), wanted));
        return response;
    }
    let mut response = next.run(request).await;
    add(&mut response, cors.headers(origin.as_deref()));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn add(response: &mut Response, headers: Vec<fanfare::engineio::cors::Header<'_>>) {
    for (name, value) in headers {
        // Only what the settings hold, which were checked, or what was sent.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
}
