//! One connection on its shard: TLS if set, then HTTP until it is closed or upgraded.

use super::admission::Admission;
use super::admission::Place;
use super::clock::{Clock, Deadlines, Overdue};
use super::connections::HttpConnection;
use super::settings::ServerSettings;
use super::watch::{AnswerBody, OverTcp, RequestBody, Watch, Watched};
use super::{OnShard, Secure, strict};
use crate::Io;
use crate::sse::Streaming;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The least that hyper takes as the size of a buffer.
const MIN_BUFFER_BYTES: usize = 8 * 1024;
/// How much of a body or of answers is buffered, if heads are not allowed to be larger.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many headers hyper reads without allocating for them.
const USUAL_MAX_HEADERS: usize = 100;

/// What the connections of one listener have in common.
#[derive(Debug)]
pub(super) struct Serving {
    io: Io,
    router: TowerToHyperService<axum::Router>,
    settings: ServerSettings,
    deadlines: Deadlines,
    tls: Option<Arc<ServerConfig>>,
    http: Builder,
    closing: CancellationToken,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) address: SocketAddr,
    pub(super) place: Place,
    pub(super) connection: HttpConnection,
}

/// What a connection's requests are told about it.
#[derive(Debug)]
struct Origin {
    address: SocketAddr,
    shard: u8,
    secure: bool,
    admission: Arc<Admission>,
}

impl Serving {
    pub(super) fn new(
        io: Io,
        router: axum::Router,
        settings: ServerSettings,
        tls: Option<Arc<ServerConfig>>,
    ) -> Arc<Serving> {
        let mut http = Builder::new();
        let head = settings.max_header_bytes.max(MIN_BUFFER_BYTES);
        // Answers are flushed one by one: collecting those of pipelined requests has no limit.
        // A connection whose client closed its side is closed, parked poll or not.
        http.max_buf_size(head.max(BUFFER_BYTES)).max_header_size(head).half_close(false);
        // The clock has more deadlines than hyper and would come second.
        http.header_read_timeout(None);
        if settings.max_headers != USUAL_MAX_HEADERS {
            http.max_headers(settings.max_headers);
        }
        Arc::new(Serving {
            closing: io.http_connections().closing().clone(),
            io,
            router: TowerToHyperService::new(router),
            deadlines: Deadlines::new(&settings),
            settings,
            tls,
            http,
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Serves a connection on the runtime of the current thread, which is that of `shard`.
    pub(super) async fn run(self: Arc<Self>, shard: u8, arrival: Arrival) {
        let Arrival { stream, address, place, connection } = arrival;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be watched");
                return;
            }
        };
        let admission = place.admission().clone();
        let origin = Origin { address, shard, secure: self.is_tls(), admission };
        let served = match &self.tls {
            None => self.drive(stream, place, origin).await,
            Some(tls) => match self.encrypt(tls, stream).await {
                Some(stream) => self.drive(stream, place, origin).await,
                None => return,
            },
        };
        drop(connection);
        self.account(&served, address);
    }

    async fn encrypt(
        &self,
        tls: &Arc<ServerConfig>,
        stream: TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(tls.clone()).accept(stream);
        let handshake = tokio::time::timeout(self.settings.handshake_deadline, handshake);
        let handshake = tokio::select! {
            () = self.closing.cancelled() => return None,
            handshake = handshake => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                self.io.counters().rejected("tls_handshake");
            }
            Err(_) => self.io.counters().rejected("tls_handshake_deadline"),
        }
        None
    }

    /// Serves HTTP until the connection ends, is upgraded or is overdue.
    async fn drive<S>(&self, stream: S, place: Place, origin: Origin) -> Served
    where
        S: OverTcp + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let watch = Arc::new(Watch::default());
        let stream = TokioIo::new(Watched::new(stream, watch.clone(), place));
        let service = service_fn(|request| self.answer(request, &origin, &watch));
        let mut http = pin!(self.http.serve_connection(stream, service).with_upgrades());
        let mut closing = pin!(self.closing.cancelled());
        let (mut ending, mut finishing) = (false, false);
        let mut clock = Clock::new(self.deadlines, Instant::now());
        let mut alarm = pin!(tokio::time::sleep(self.settings.header_deadline));
        poll_fn(|cx| {
            if !ending && closing.as_mut().poll(cx).is_ready() {
                ending = true;
                clock.call_last(Instant::now());
            }
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                return Poll::Ready(Served::Done(result));
            }
            if ending && !finishing && !watch.notes().is_without_request() {
                finishing = true;
                http.as_mut().graceful_shutdown();
                if let Poll::Ready(result) = http.as_mut().poll(cx) {
                    return Poll::Ready(Served::Done(result));
                }
            }
            loop {
                let next = match clock.look(watch.notes(), Instant::now()) {
                    Ok(Some(next)) => next,
                    Ok(None) => return Poll::Pending,
                    Err(overdue) => {
                        if overdue.is_stall() {
                            watch.abort();
                            // For the stream to notice.
                            let _ = http.as_mut().poll(cx);
                        }
                        if overdue == Overdue::Linger {
                            watch.leave();
                            // It knows why it said goodbye.
                            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                                return Poll::Ready(Served::Done(result));
                            }
                        }
                        return Poll::Ready(Served::Overdue(overdue));
                    }
                };
                // An alarm that rings early costs a look; one that is moved for each request
                // costs more.
                if next < alarm.deadline() || alarm.is_elapsed() {
                    alarm.as_mut().reset(next);
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        origin: &Origin,
        watch: &Arc<Watch>,
    ) -> Result<http::Response<AnswerBody>, Infallible> {
        let (mut head, body) = request.into_parts();
        watch.request_began(!body.is_end_stream());
        let wants_upgrade = head.headers.contains_key(http::header::UPGRADE);
        let mut response = match strict::check(&head, watch.found.take()) {
            Err(violation) => {
                tracing::debug!(address = %origin.address, "a request was refused: {violation}");
                self.io.counters().rejected(violation.name());
                violation.answer()
            }
            Ok(()) => {
                let (peer, port) = (origin.address.ip(), origin.address.port());
                let client = origin.admission.proxies.client(peer, &head.headers);
                head.extensions.insert(ConnectInfo(SocketAddr::new(client, port)));
                head.extensions.insert(OnShard(origin.shard));
                if origin.secure {
                    head.extensions.insert(Secure);
                }
                if let Some(newcomer) = origin.admission.newcomer(client) {
                    head.extensions.insert(newcomer);
                }
                let body = RequestBody::new(body, watch.clone());
                self.router.call(Request::from_parts(head, body)).await?
            }
        };
        if wants_upgrade && response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            // What the client sends next is not HTTP.
            let close = http::HeaderValue::from_static("close");
            response.headers_mut().insert(http::header::CONNECTION, close);
        }
        if let Some(Streaming(handover)) = response.extensions_mut().remove() {
            let watch = watch.clone();
            handover.set_cut(move || watch.abort());
        }
        Ok(response.map(|body| AnswerBody::new(body, watch.clone())))
    }

    fn account(&self, served: &Served, address: SocketAddr) {
        let reason = match served {
            Served::Done(Ok(())) => None,
            Served::Overdue(overdue) => overdue.name(),
            Served::Done(Err(error)) => {
                tracing::debug!(%address, %error, "a connection failed");
                match error {
                    error if error.is_parse_too_large() => Some("http_head_too_large"),
                    error if error.is_parse() => Some("http_malformed"),
                    // The client went away, which is its right.
                    _ => None,
                }
            }
        };
        if let Some(reason) = reason {
            self.io.counters().rejected(reason);
        }
    }
}

/// How a connection ended.
#[derive(Debug)]
enum Served {
    Done(hyper::Result<()>),
    Overdue(Overdue),
}
