//! The HTTP side: handshakes, polling, and the way to a WebSocket.

mod answer;
mod body;
mod poll;
mod upgrade;

pub(crate) use answer::with_cors;

use crate::Io;
use crate::handshake::Handshake;
use crate::server::{Newcomer, OnShard, Secure};
use crate::shard::{Op, Opening, Permit};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::any;
use engineio::{Action, Refusal, route};
use http::{HeaderMap, HeaderValue, header};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::oneshot;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

impl Io {
    /// The routes that clients use, to be merged into the application's router: one port serves
    /// both.
    ///
    /// ```
    /// # use axum::{Router, routing::get};
    /// # fn mount(io: fanfare::Io) -> Router {
    /// Router::new().route("/", get(|| async { "my page" })).merge(io.router())
    /// # }
    /// ```
    ///
    /// For the client's address to be known, serve the router with axum's
    /// `into_make_service_with_connect_info::<SocketAddr>()`, or by a [`Server`](crate::Server),
    /// which also brings deadlines and limits.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        let path = &self.settings().path;
        let io = self.clone();
        let serve = any(move |request: Request| {
            let io = io.clone();
            async move { serve(io, request).await }
        });
        let routes = axum::Router::new()
            .route(&format!("{path}/"), serve.clone())
            .route(&format!("{path}/{{*rest}}"), serve);
        match self.settings().engine.compression_threshold_bytes {
            None => routes,
            Some(threshold) => {
                let threshold = u64::try_from(threshold).unwrap_or(u64::MAX);
                let layer = CompressionLayer::new().compress_when(SizeAbove::new(threshold));
                routes.layer(layer)
            }
        }
    }
}

/// A request, taken apart.
pub(super) struct Incoming {
    pub(super) io: Io,
    pub(super) request: Request,
    /// The HTTP connection lives on this shard.
    pub(super) on_shard: Option<u8>,
    pub(super) upgrade: bool,
}

impl Incoming {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The answer to a request that is not served, and a mark in the counters.
    fn refuse(&self, refusal: &Refusal) -> Response {
        let guessing = *refusal == Refusal::UnknownSession && !self.may_try();
        let refusal = if guessing { &Refusal::TooManyAttempts } else { refusal };
        self.io.inner().counters.rejected(refusal.name());
        let answer =
            if self.upgrade { answer::refused_upgrade(refusal) } else { answer::refused(refusal) };
        self.with_cors(answer)
    }

    /// Whether the client's address may open a session, or guess at one, once more.
    fn may_try(&self) -> bool {
        self.request.extensions().get::<Newcomer>().is_none_or(Newcomer::may_try)
    }

    fn with_cors(&self, mut answer: Response) -> Response {
        let origin = self.headers().get(header::ORIGIN);
        let agent = self.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        if agent.is_some_and(engineio::response::breaks_without_xss_header) {
            let off = HeaderValue::from_static("0");
            answer.headers_mut().insert(header::X_XSS_PROTECTION, off);
        }
        with_cors(answer, self.io.settings().engine.cors.as_ref(), origin)
    }
}

async fn serve(io: Io, request: Request) -> Response {
    let on_shard = request.extensions().get::<OnShard>().map(|on| on.0);
    let upgrade = is_upgrade(request.headers());
    let incoming = Incoming { io, request, on_shard, upgrade };
    let parsed = engineio::Request {
        method: incoming.request.method().as_str(),
        query: incoming.request.uri().query().unwrap_or_default(),
        upgrade,
        origin: incoming.headers().get(header::ORIGIN).map(|value| value.as_bytes()),
        content_type: incoming.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes()),
    };
    let action = match route(&parsed, &incoming.io.settings().engine) {
        Ok(action) => action,
        Err(refusal) => return incoming.refuse(&refusal),
    };
    match action {
        Action::Preflight => answer::preflight(&incoming),
        Action::Open(opening) => open(incoming, opening).await,
        Action::Poll(address) => poll::get(incoming, address).await,
        Action::Post(address, form) => poll::post(incoming, address, form).await,
        Action::Upgrade(address) => upgrade::probe(incoming, address).await,
        Action::Unsupported(address) => {
            let refusal = on_session(&incoming.io, &address, |shard, address| shard.check(address));
            let refusal = refusal.await.err().unwrap_or(Refusal::MethodNotAllowed);
            incoming.refuse(&refusal)
        }
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens a session.
async fn open(incoming: Incoming, opening: engineio::Opening) -> Response {
    if !incoming.may_try() {
        return incoming.refuse(&Refusal::TooManyAttempts);
    }
    let io = incoming.io.clone();
    let handshake = Arc::new(describe(&incoming.request));
    if let Err(message) = io.allows(&handshake).await {
        return incoming.refuse(&Refusal::Forbidden(message.map(String::into_boxed_str)));
    }
    let accepted = match opening.accept(&io.settings().engine) {
        Ok(accepted) => accepted,
        Err(refusal) => return incoming.refuse(&refusal),
    };
    if io.is_leaving() {
        io.inner().counters.rejected("stopping");
        return incoming.with_cors(answer::stopping());
    }
    let permit = Permit::take(&io);
    let Some(permit) = permit else {
        io.inner().counters.rejected("server_full");
        return incoming.with_cors(answer::unavailable());
    };
    let opening = Opening { revision: accepted.revision, handshake, permit };
    let base64 = !accepted.accepts_binary || accepted.jsonp.is_some();
    if accepted.transport == engineio::Transport::Websocket {
        return upgrade::open(incoming, opening, base64);
    }
    let (reply, opened) = oneshot::channel();
    let shard = incoming.on_shard.unwrap_or_else(|| io.next_shard());
    io.shard(shard).push(Op::run(move |shard| {
        // Without a receiver the session is reaped like any other that is never polled.
        let _ = reply.send(shard.open_polling(opening, base64));
    }));
    let Ok(Some((sid, payload))) = opened.await else {
        return incoming.with_cors(answer::unavailable());
    };
    let mut answer = answer::payload(payload, accepted.jsonp.as_ref());
    if let Some(cookie) = &io.settings().engine.cookie
        && let Ok(value) = cookie.header_value(&sid).parse()
    {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    incoming.with_cors(answer)
}

fn describe(request: &Request) -> Handshake {
    let extensions = request.extensions();
    let mut handshake = Handshake::new(request.uri(), request.headers(), SystemTime::now());
    handshake.address =
        extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    handshake.secure = extensions.get::<Secure>().is_some();
    handshake
}

/// Asks a session's shard.
async fn on_session<R: Send + 'static>(
    io: &Io,
    address: &engineio::Address,
    ask: impl FnOnce(&std::rc::Rc<crate::shard::Shard>, &engineio::Address) -> Result<R, Refusal>
    + Send
    + 'static,
) -> Result<R, Refusal> {
    let index = address.sid.shard();
    if !io.has_shard(index) {
        return Err(Refusal::UnknownSession);
    }
    let (reply, answer) = oneshot::channel();
    let address = *address;
    io.shard(index).push(Op::run(move |shard| {
        // The request may have been given up meanwhile.
        let _ = reply.send(ask(shard, &address));
    }));
    answer.await.unwrap_or(Err(Refusal::UnknownSession))
}

/// An answer without a body.
fn empty(status: http::StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
