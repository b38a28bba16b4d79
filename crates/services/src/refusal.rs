//! How the server says no: one shape over HTTP and in acks.

use std::time::SystemTime;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::code::Code;

/// When to try again what came at a bad moment, in seconds.
const RETRY_AFTER: u64 = 1;

/// A refusal: a code for programs, a message for people, and details.
///
/// It never repeats what the peer sent, except names of fields that are ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// What happened and what was expected, as one sentence.
    pub message: String,
    /// The same for programs; an object.
    pub details: Value,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: json!({}) }
    }

    /// To a request with another method than those of the list, as the header `Allow` has it.
    #[must_use]
    pub fn method(allowed: &'static str) -> Self {
        let message = format!("The method is not one of this path; expected {allowed}.");
        Self::new(Code::MethodNotAllowed, message).with(json!({ "allowed": allowed }))
    }

    /// About one field.
    #[must_use]
    pub fn field(code: Code, field: &str, expected: &str) -> Self {
        let message = format!("`{field}` is not what it should be; expected {expected}.");
        Self::new(code, message).with(json!({ "field": field, "expected": expected }))
    }

    /// With details, an object.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// As the answer to a client that may not connect: a `connect_error` whose `data` is the refusal.
    #[must_use]
    pub fn connect_error(&self) -> fanfare::Refused {
        let answer = self.answer(SystemTime::now());
        let refused = fanfare::Refused::new(self.message.clone());
        match serde_json::to_value(answer.error()) {
            Ok(data) => refused.with_data(data),
            Err(_) => refused, // it is made of texts
        }
    }

    /// The header that belongs to the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.code.status() {
            StatusCode::UNAUTHORIZED => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let wait = self.details.get("retryAfterMs").and_then(Value::as_u64);
                let seconds = wait.map_or(RETRY_AFTER, |millis| millis.div_ceil(1_000).max(1));
                Some((header::RETRY_AFTER, seconds.into()))
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                let allowed = self.details.get("allowed").and_then(Value::as_str)?;
                Some((header::ALLOW, HeaderValue::from_str(allowed).ok()?))
            }
            _ => None,
        }
    }

    /// What is sent: `{ok: false, error: {code, message, details, timestamp}}`, with the time as
    /// ISO 8601 in UTC.
    pub fn answer(&self, now: SystemTime) -> RefusalAnswer<'_> {
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
pub struct RefusalAnswer<'a> {
    ok: bool,
    error: ErrorAnswer<'a>,
}

impl<'a> RefusalAnswer<'a> {
    /// The part that an `error` event has.
    #[must_use]
    pub fn error(&self) -> &ErrorAnswer<'a> {
        &self.error
    }
}

/// What a refusal says.
#[derive(Debug, Serialize)]
pub struct ErrorAnswer<'a> {
    code: Code,
    message: &'a str,
    details: &'a Value,
    timestamp: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = (self.code.status(), self.code.as_str());
        tracing::debug!(status = status.as_u16(), code, "a request was refused");
        let mut response = json_response(status, &self.answer(SystemTime::now()));
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// An answer in JSON that nobody may keep.
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
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
        let refusal =
            Refusal::new(Code::InvalidMessage, "The name is empty.").with(json!({"max": 255}));
        let now = UNIX_EPOCH + Duration::from_millis(1_795_187_735_553);
        let text = serde_json::to_string(&refusal.answer(now)).unwrap();
        let expected = r#"{"ok":false,"error":{"code":"INVALID_MESSAGE","message":"The name is empty.","details":{"max":255},"timestamp":"2026-11-20T15:15:35.553Z"}}"#;
        assert_eq!(text, expected);
    }
}
