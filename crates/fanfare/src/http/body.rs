//! Reading the body of a POST: bounded in bytes and in time.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use std::time::Duration;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// More bytes than are taken. Said before they are read, where the length is announced.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection broke.
    Broken,
    /// It is encoded in some way; we take bodies as they are.
    Encoded,
}

/// Reads a body of at most `limit` bytes within `deadline`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, BodyFault> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(BodyFault::Encoded);
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|it| it > limit) {
        return Err(BodyFault::TooLarge);
    }
    tokio::time::timeout(deadline, collect(body, limit)).await.unwrap_or(Err(BodyFault::TooSlow))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyFault> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else { continue };
        let read = first.as_ref().map_or(0, Bytes::len).max(rest.len());
        if read + data.len() > limit {
            return Err(BodyFault::TooLarge);
        }
        // Most bodies come in one piece, which is then not copied.
        match first.take() {
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(piece) => {
                rest.extend_from_slice(&piece);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}
