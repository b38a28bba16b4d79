//! From an HTTP request to a WebSocket on a shard.

use super::{Incoming, answer, on_session};
use crate::server::{Reclaimed, reclaim};
use crate::shard::{Arrival, Op, Opening, Shard};
use crate::transport::{Carried, Carrier};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use engineio::Address;
use http::{HeaderValue, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use websocket::deflate::Settings as DeflateSettings;
use websocket::handshake::{Accept, RequestLine, accept};

/// Opens a session on a WebSocket.
pub(super) fn open(incoming: Incoming, opening: Opening, base64: bool) -> Response {
    let shard = incoming.on_shard.unwrap_or_else(|| incoming.io.next_shard());
    switch(incoming, shard, base64, move |shard, arrival| shard.open_websocket(opening, arrival))
}

/// Opens a WebSocket for a session that polls.
pub(super) async fn probe(incoming: Incoming, address: Address) -> Response {
    let admitted =
        on_session(&incoming.io, &address, |shard, address| shard.expect_probe(address)).await;
    if let Err(refusal) = admitted {
        return incoming.refuse(&refusal);
    }
    let sid = address.sid;
    let base64 = !address.accepts_binary;
    switch(incoming, sid.shard(), base64, move |shard, arrival| shard.open_probe(&sid, arrival))
}

/// Answers 101 and hands the connection to a shard.
fn switch(
    mut incoming: Incoming,
    shard: u8,
    base64: bool,
    arrive: impl FnOnce(&Rc<Shard>, Arrival) + Send + 'static,
) -> Response {
    let accepted = match judge(&incoming) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            incoming.io.inner().counters.rejected(refusal.name());
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let mut answer = answer::closing(status, refusal.to_string());
            for (name, value) in refusal.fields() {
                answer.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            return answer;
        }
    };
    let Some(upgrade) = incoming.request.extensions_mut().remove::<OnUpgrade>() else {
        let message = "this server cannot upgrade connections".to_owned();
        return answer::closing(StatusCode::NOT_IMPLEMENTED, message);
    };
    let on_shard = incoming.on_shard == Some(shard);
    let (io, deflate) = (incoming.io, accepted.deflate);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let Some((carrier, early)) = take_apart(upgraded, on_shard) else { return };
                let arrival = Arrival { carrier, early, deflate, base64 };
                io.shard(shard).push(Op::run(move |shard| arrive(shard, arrival)));
            }
            Err(error) => tracing::debug!(%error, "a client went away during its upgrade"),
        }
    });
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in accepted.fields() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn judge(incoming: &Incoming) -> Result<Accept, websocket::handshake::Refusal> {
    let request = &incoming.request;
    let version = match request.version() {
        Version::HTTP_11 => (1, 1),
        Version::HTTP_2 => (2, 0),
        _ => (1, 0),
    };
    let line = RequestLine { method: request.method().as_str(), version };
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let compression = incoming.io.settings().message_compression;
    let deflate = compression
        .map(|threshold_bytes| DeflateSettings { threshold_bytes, ..DeflateSettings::default() });
    accept(line, fields, deflate.as_ref())
}

/// Takes the raw connection out of the HTTP machinery: a plain socket if it is one.
///
/// A socket that stays with its runtime is used as it is, another one is registered anew.
fn take_apart(upgraded: Upgraded, on_shard: bool) -> Option<(Carrier, Bytes)> {
    let (reclaimed, early, place) = reclaim(upgraded);
    let stream = match reclaimed {
        Reclaimed::Tcp(stream) if on_shard => Carried::Registered(stream),
        Reclaimed::Tcp(stream) => {
            let stream = stream.into_std().inspect_err(|error| {
                tracing::warn!(%error, "a connection could not be moved to its shard");
            });
            Carried::Tcp(stream.ok()?)
        }
        Reclaimed::Tls(stream) => Carried::Other(stream),
        Reclaimed::Other(upgraded) => Carried::Other(Box::new(TokioIo::new(upgraded))),
    };
    Some((Carrier { stream, place }, early))
}
