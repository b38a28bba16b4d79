//! What handlers of the HTTP API take and give: a key, a body that fits, an answer.
//!
//! Bodies are JSON, of a bounded size, in a bounded time, without fields that mean nothing.

use std::error::Error;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRef, FromRequest, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

use crate::code::Code;
use crate::context::Context;
use crate::refusal::{Refusal, json_response};

/// A request that has an API key. To be a handler's first argument: nothing is read for, or told
/// to, somebody without it.
#[derive(Debug)]
pub(crate) struct Key;

impl<S> FromRequestParts<S> for Key
where
    Context: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Context::from_ref(state).check_key(&head.headers).map(|()| Key)
    }
}

/// A part of the path, decoded.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = axum::extract::Path::<T>::from_request_parts(head, state).await;
        let refusal = |_| unfit(Code::InvalidRequest, "path", "an id as UTF-8, percent-encoded");
        read.map(|path| Path(path.0)).map_err(refusal)
    }
}

/// The parameters of a query as a value.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let read = axum::extract::Query::<T>::from_request_parts(head, state).await;
        read.map(|query| Query(query.0)).map_err(|rejection| {
            let error = rejection.source().map(ToString::to_string).unwrap_or_default();
            unfit(Code::InvalidRequest, "", &expected(&error))
        })
    }
}

/// In which namespace.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[allow(unused_qualifications, reason = "what the macro writes")]
pub(crate) struct In {
    /// The namespace; `/` if not said.
    #[serde(default = "root")]
    pub(crate) namespace: String,
}

/// The main namespace.
pub(crate) fn root() -> String {
    "/".to_owned()
}

/// What makes a retry safe: the header `Idempotency-Key`, if there is one.
#[derive(Debug)]
pub(crate) struct RetryKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for RetryKey {
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refusal> {
        crate::publish::idempotency_key(&head.headers).map(RetryKey)
    }
}

/// A good answer: `{ok: true, …}`, which nobody may keep.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &Done { ok: true, rest: self.0 })
    }
}

/// Something that went well, over HTTP and in acks.
#[derive(Debug, Serialize)]
pub(crate) struct Done<R> {
    pub(crate) ok: bool,
    #[serde(flatten)]
    pub(crate) rest: R,
}

/// The body of a request as a value. The handler's other arguments come first: whoever has no key
/// is refused before a byte of the body is read.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    Context: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let body = read(&Context::from_ref(state), &head.headers, body).await?;
        parse(&body).map(Json)
    }
}

/// The same where every field may be missing: no body at all is one without fields.
#[derive(Debug)]
pub(crate) struct JsonOrNothing<T>(pub(crate) T);

impl<T, S> FromRequest<S> for JsonOrNothing<T>
where
    T: DeserializeOwned + Default,
    Context: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Refusal> {
        if request.body().size_hint().exact() == Some(0) {
            return Ok(JsonOrNothing(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(value)| JsonOrNothing(value))
    }
}

/// Reads a body of the right type as a value, for handlers outside of this crate.
///
/// # Errors
///
/// [`Code::UnsupportedMediaType`], [`Code::PayloadTooLarge`], [`Code::RequestTimeout`],
/// [`Code::InvalidRequest`].
pub async fn json_body<T: DeserializeOwned>(
    context: &Context,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refusal> {
    parse(&read(context, headers, body).await?)
}

/// Reads a body of the right type.
///
/// # Errors
///
/// [`Code::UnsupportedMediaType`], [`Code::PayloadTooLarge`], [`Code::RequestTimeout`],
/// [`Code::InvalidRequest`].
pub(crate) async fn read(
    context: &Context,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Refusal> {
    check_encoding(headers)?;
    let max = context.settings().max_body_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > max as u64) {
        return Err(too_large(max));
    }
    let whole = Limited::new(body, max).collect();
    match tokio::time::timeout(context.settings().body_deadline, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large(max)),
        Ok(Err(_)) => Err(Refusal::new(Code::InvalidRequest, "The body did not arrive whole.")),
        Err(_) => Err(Refusal::new(Code::RequestTimeout, "The body took too long to arrive.")),
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, format!("The body has more than {max} bytes."))
        .with(json!({ "max_bytes": max }))
}

/// Only `application/json`, which no page of another origin can send unasked, and uncompressed,
/// so that a small body cannot become a large one.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |message: &str| {
        Err(Refusal::new(Code::UnsupportedMediaType, message)
            .with(json!({ "expected": "Content-Type: application/json, no Content-Encoding" })))
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return unsupported("The body is compressed; expected it as it is.");
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.unwrap_or("").split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        unsupported("The body is not JSON by its type; expected Content-Type: application/json.")
    }
}

/// Reads JSON, and says of what does not fit where it is and what was expected there.
///
/// # Errors
///
/// [`Code::InvalidRequest`].
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // Serde would also read the fields of a struct from a list, by their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(unfit(Code::InvalidRequest, "", "an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json);
    let value = read.map_err(|error| {
        let path = error.path().to_string();
        unfit(Code::InvalidRequest, &path, &expected(&error.into_inner().to_string()))
    })?;
    match json.end() {
        Ok(()) => Ok(value),
        Err(_) => Err(unfit(Code::InvalidRequest, "", "nothing behind the object")),
    }
}

/// What serde expected, without what it found: that was the caller's, and is not repeated.
pub(crate) fn expected(error: &str) -> String {
    let error = error.split(" at line ").next().unwrap_or(error);
    if let Some((_, expected)) = error.rsplit_once("expected ") {
        return plain(expected).to_owned();
    }
    match error.strip_prefix("missing field ") {
        Some(field) => format!("the field {field}"),
        None => "JSON of the form that is described in the API".to_owned(),
    }
}

/// What Rust calls a thing, as those who send JSON call it.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        it if it.starts_with("struct ") => "an object",
        it => it,
    }
}

/// About a value that does not fit, and where it is; the path has only names of fields.
pub(crate) fn unfit(code: Code, path: &str, expected: &str) -> Refusal {
    // Of JSON that ends too early the path is `?`.
    let at = if matches!(path, "" | "." | "?") { "." } else { path };
    let message = match at {
        "." => format!("This is not what it should be; expected {expected}."),
        field => format!("`{field}` is not what it should be; expected {expected}."),
    };
    Refusal::new(code, message).with(json!({ "field": at, "expected": expected }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "id")]
        _id: String,
        #[serde(default)]
        _inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "count")]
        _count: u8,
    }

    #[test]
    fn what_does_not_fit_is_named_and_not_repeated() {
        for (body, field, expected) in [
            (r#"{"id":7}"#, "id", "a string"),
            (r#"{}"#, ".", "the field `id`"),
            (r#"{"id":"a","secret":1}"#, "secret", "`id` or `_inner`"),
            (r#"{"id":"a","_inner":[{"count":-1}]}"#, "_inner[0].count", "a whole number"),
            (r#"{"id":"a"} x"#, ".", "nothing behind the object"),
            (r#"["a"]"#, ".", "an object"),
            ("", ".", "JSON of the form that is described in the API"),
            ("\"hush\"", ".", "an object"),
            ("{", ".", "JSON of the form that is described in the API"),
            (r#"{"id":"a","_inner":1}"#, "_inner", "a list"),
        ] {
            let refusal = parse::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidRequest, "{body}");
            assert_eq!(refusal.details["field"], field, "{body}");
            assert_eq!(refusal.details["expected"], expected, "{body}");
            assert!(!refusal.message.contains("hush"), "{body}");
        }
    }
}
