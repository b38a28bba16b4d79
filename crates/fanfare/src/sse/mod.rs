//! Server-sent events: streams that receive what is sent to rooms, over plain HTTP.
//!
//! A stream is a member of its namespace's hub like a socket, on the same shard as the connection
//! that carries it: it is shown what sockets are shown, in the same order, by the same broadcast.
//! It cannot send, is not among the sockets of its rooms, and answers no acks.
//!
//! Spec: WHATWG HTML, § 9.2 Server-sent events.

mod encode;
mod handover;
mod options;

pub(crate) use encode::{HEARTBEAT, encode_event, encode_notice, encode_retry};
pub(crate) use handover::Handover;
pub use options::StreamOptions;

use crate::Io;
use crate::emit::IntoRooms;
use crate::namespace::Namespace;
use crate::recovery::NotRecovered;
use crate::server::OnShard;
use crate::shard::{Op, Permit, StreamOpening};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use eventlog::Position;
use handover::Taken;
use http::{HeaderName, HeaderValue, header};
use hub::RoomNameError;
use hyper::body::{Body as HttpBody, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Not the name of a room.
    #[error(transparent)]
    Room(#[from] RoomNameError),
    /// More rooms than a socket may be in.
    #[error("a stream may have at most {limit} rooms")]
    TooManyRooms {
        /// [`Settings::max_rooms`](crate::Settings::max_rooms).
        limit: u32,
    },
    /// As many sessions and streams are open as there may be.
    #[error("the server has as many sessions and streams as it may have")]
    Full,
    /// The server is closing.
    #[error("the server is closing")]
    Closing,
    /// The namespace was made by a client, and its last socket is gone.
    #[error("the namespace does not exist any more")]
    NoNamespace,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The client went away.
    Left,
    /// It reads slower than it is written to.
    SlowClient,
    /// It was opened until now.
    Expired,
    /// Something in the log was not shown in its turn: the client comes back and gets it.
    LogGap,
    /// The server is going down.
    ShuttingDown,
}

impl StreamEnd {
    /// The reason in the counters.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::SlowClient => "slow client",
            Self::Expired => "expired",
            Self::LogGap => "log gap",
            Self::ShuttingDown => "server shutting down",
        }
    }
}

/// A stream of what is sent to some rooms, as the body of an answer.
///
/// The first event is `ready`, or `reset` if the client asked to go on where it was and cannot:
/// their data is a JSON object. The data of every other event is the JSON array of its arguments,
/// with `{"base64":"…"}` in the place of binary data.
///
/// Dropping it ends the stream. It is answered as it is from an axum handler
/// ([`IntoResponse`]), with the headers that keep proxies from holding it back.
#[derive(Debug)]
pub struct EventStream {
    io: Io,
    shard: u8,
    handover: Arc<Handover>,
    origin: Option<HeaderValue>,
    _permit: Permit,
}

/// In the extensions of an answer: the stream that is its body.
#[derive(Debug, Clone)]
pub(crate) struct Streaming(pub(crate) Arc<Handover>);

impl Namespace {
    /// A stream of what is sent to these rooms, and to everyone in the namespace, from now on; or
    /// from where the client was, if [`StreamOptions`] say so and the log has all that it missed.
    ///
    /// Who may read what is the caller's decision. A stream counts as a session.
    ///
    /// ```
    /// # use axum::{Router, http::Request, body::Body, response::IntoResponse, routing::get};
    /// # use fanfare::{Io, StreamOptions};
    /// # fn routes(io: Io) -> Router {
    /// Router::new().route("/news", get(async move |request: Request<Body>| {
    ///     let (head, _) = request.into_parts();
    ///     match io.main().stream("news", StreamOptions::of_request(&head)) {
    ///         Ok(stream) => stream.into_response(),
    ///         Err(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
    ///     }
    /// }))
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StreamError`].
    pub fn stream(
        &self,
        rooms: impl IntoRooms,
        options: StreamOptions,
    ) -> Result<EventStream, StreamError> {
        let StreamOptions { last_event_id, past_denied, expires_at, origin, shard } = options;
        let (io, rooms) = (self.io().clone(), rooms.into_rooms()?);
        let limit = io.settings().max_rooms;
        if rooms.len() > limit as usize {
            return Err(StreamError::TooManyRooms { limit });
        }
        let permit = Permit::take(&io).ok_or(StreamError::Full)?;
        if io.is_leaving() {
            return Err(StreamError::Closing);
        }
        let presence = Presence::enter(self).ok_or(StreamError::NoNamespace)?;
        let shard = shard.unwrap_or_else(|| io.next_shard());
        let handover = Arc::<Handover>::default();
        let opening = StreamOpening { presence, rooms, expires_at, handover: handover.clone() };
        let after = last_event_id.map(|id| match past_denied {
            true => Err(NotRecovered::Room),
            false => id.parse().map_err(|_| NotRecovered::Offset),
        });
        io.shard(shard).push(Op::run(move |shard| shard.open_stream(opening, after)));
        Ok(EventStream { io, shard, handover, origin, _permit: permit })
    }
}

/// Where a stream is to begin.
pub(crate) type StreamAfter = Result<Position, NotRecovered>;

/// Being in a namespace: it exists for as long.
#[derive(Debug)]
pub(crate) struct Presence(Namespace);

impl Presence {
    fn enter(namespace: &Namespace) -> Option<Presence> {
        let stays = namespace.io().stay(namespace.core());
        stays.then(|| Presence(namespace.clone()))
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.io().left(self.0.core());
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(key) = self.handover.leave() {
            let left = Op::run(move |shard| shard.end_stream(key, StreamEnd::Left));
            self.io.shard(self.shard).push(left);
        }
    }
}

/// Why a stream broke off: its client did not read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream was cut")]
pub struct StreamCut;

impl HttpBody for EventStream {
    type Data = Bytes;
    type Error = StreamCut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamCut>>> {
        match self.handover.take(cx) {
            Taken::Chunk(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Taken::End => Poll::Ready(None),
            Taken::Cut => Poll::Ready(Some(Err(StreamCut))),
            Taken::Nothing { ask } => {
                if let Some(key) = ask {
                    let drained = Op::run(move |shard| shard.stream_drained(key));
                    self.io.shard(self.shard).push(drained);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.handover.is_over()
    }
}

impl IntoResponse for EventStream {
    fn into_response(mut self) -> Response {
        let io = self.io.clone();
        let origin = self.origin.take();
        let streaming = Streaming(self.handover.clone());
        let mut answer = Response::new(Body::new(self));
        let fields: [(HeaderName, &str); 3] = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store, no-transform"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        for (name, value) in fields {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer.extensions_mut().insert(streaming);
        crate::http::with_cors(answer, io.settings().engine.cors.as_ref(), origin.as_ref())
    }
}

/// The shard that a request's connection lives on.
fn shard_of(extensions: &http::Extensions) -> Option<u8> {
    extensions.get::<OnShard>().map(|on| on.0)
}
