//! How the server says no: one shape over HTTP and in acks.

use std::time::SystemTime;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

/// When to try again what came at a bad moment, in seconds.
const RETRY_AFTER: &str = "1";

/// A refusal: a code for programs, a message for people, and details.
///
/// It never repeats what the peer sent, except names of fields that are ours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// In capitals, stable: programs may compare it.
    pub(crate) code: &'static str,
    /// What happened and what was expected, as one sentence.
    pub(crate) message: String,
    /// The same for programs; an object.
    pub(crate) details: Value,
}

impl Refusal {
    /// A refusal without details.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: json!({}) }
    }

    /// With details, an object.
    pub(crate) fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// What is sent: `{ok: false, error: {code, message, details, timestamp}}`, with the time as
    /// ISO 8601 in UTC.
    pub(crate) fn answer(&self, now: SystemTime) -> RefusalAnswer<'_> {
        let timestamp = humantime::format_rfc3339_millis(now).to_string();
        let error = ErrorAnswer {
            code: self.code,
            message: &self.message,
            details: &self.details,
            timestamp,
        };
        RefusalAnswer { ok: false, error }
    }
}

/// A refusal as it is sent, in this order.
#[derive(Debug, Serialize)]
pub(crate) struct RefusalAnswer<'a> {
    ok: bool,
    error: ErrorAnswer<'a>,
}

impl<'a> RefusalAnswer<'a> {
    /// The part that an `error` event has.
    pub(crate) fn error(&self) -> &ErrorAnswer<'a> {
        &self.error
    }
}

/// What a refusal says.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorAnswer<'a> {
    code: &'static str,
    message: &'a str,
    details: &'a Value,
    timestamp: String,
}

/// A refusal over HTTP, with the headers that belong to its status.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    refusal: Box<Refusal>,
    allowed: Option<&'static str>,
}

impl Refused {
    /// A refusal with a status.
    pub(crate) fn new(status: StatusCode, refusal: Refusal) -> Self {
        Self { status, refusal: Box::new(refusal), allowed: None }
    }

    /// A request with another method than those of the list, as the header `Allow` has it.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let message = format!("The method is not one of this path; expected {allowed}.");
        let refusal = Box::new(Refusal::new("METHOD_NOT_ALLOWED", message));
        Self { status: StatusCode::METHOD_NOT_ALLOWED, refusal, allowed: Some(allowed) }
    }

    fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => self.allowed.map(|methods| (header::ALLOW, methods)),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code) = (self.status, self.refusal.code);
        tracing::debug!(status = status.as_u16(), code, "a request was refused");
        let mut response = json_response(status, &self.refusal.answer(SystemTime::now()));
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// An answer in JSON that nobody may keep.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (status, headers, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON: a bug");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_refusal_has_code_message_details_and_the_time_in_utc() {
        let refusal = Refusal::new("INVALID_ROOM", "The name is empty.").with(json!({"max": 255}));
        let now = UNIX_EPOCH + Duration::from_millis(1_795_187_735_553);
        let text = serde_json::to_string(&refusal.answer(now)).unwrap();
        let expected = r#"{"ok":false,"error":{"code":"INVALID_ROOM","message":"The name is empty.","details":{"max":255},"timestamp":"2026-11-20T15:15:35.553Z"}}"#;
        assert_eq!(text, expected);
    }
}
