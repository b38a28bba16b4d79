//! What a connection is waiting for: noted where bytes and bodies pass, judged by the clock.
//!
//! hyper has one timer, for heads, that also runs while a connection is idle between two requests,
//! and none for answers that are not taken. So each of its connections reads and writes through a
//! [`Watched`] stream that only takes notes; the deadlines are in [`clock`](super::clock). After an
//! upgrade the wrapper is taken off, and nothing of this is left.

use super::admission::Place;
use super::head::{Found, HeadScan};
use axum::body::Body as AnyBody;
use bytes::Bytes;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much of a request that is not wanted is read, so that its sender reads the answer instead
/// of finding the connection reset.
const MAX_DISCARDED_BYTES: usize = 8 << 20;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// A request's head is awaited, or in part there.
    Head = 0,
    /// A request is being answered.
    Answer = 1,
    /// Nothing came since the last answer.
    Idle = 2,
    /// The answer is written; what still comes is thrown away.
    Linger = 3,
}

/// The notes about one connection. Written and read by its task only; atomic because hyper wants
/// streams that could be sent.
#[derive(Debug, Default)]
pub(super) struct Watch {
    phase: AtomicU8,
    /// Counts changes of the phase, so that going round to the same one is seen.
    changes: AtomicU32,
    read: AtomicU64,
    written: AtomicU64,
    /// Something is to be written, and the network takes nothing.
    blocked: AtomicBool,
    /// The body of a request is awaited by who answers it.
    body_awaited: AtomicBool,
    /// The body of a request has not ended.
    body_open: AtomicBool,
    /// The connection is to be cut without ceremony.
    aborted: AtomicBool,
    /// What the client still sends is waited for no longer.
    leaving: AtomicBool,
    pub(super) found: Found,
}

/// The notes at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notes {
    pub(super) phase: Phase,
    pub(super) changes: u32,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) blocked: bool,
    pub(super) body_awaited: bool,
}

impl Notes {
    /// Whether no part of a request is there that was not answered.
    pub(super) fn is_without_request(&self) -> bool {
        self.phase == Phase::Idle || (self.phase == Phase::Head && self.read == 0)
    }
}

impl Watch {
    pub(super) fn notes(&self) -> Notes {
        Notes {
            phase: self.phase(),
            changes: self.changes.load(Relaxed),
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            body_awaited: self.body_awaited.load(Relaxed),
        }
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Head,
            1 => Phase::Answer,
            2 => Phase::Idle,
            _ => Phase::Linger,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        self.changes.fetch_add(1, Relaxed);
    }

    /// A request's head is complete.
    pub(super) fn request_began(&self, has_body: bool) {
        self.body_open.store(has_body, Relaxed);
        self.enter(Phase::Answer);
    }

    /// From now on reading and writing fail, and closing discards what was not sent.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Relaxed);
    }

    /// From now on closing does not wait for the client.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Whether the client may still be sending what nobody will read.
    fn is_unread(&self) -> bool {
        match self.phase() {
            Phase::Head => self.read.load(Relaxed) > 0,
            Phase::Answer | Phase::Idle => self.body_open.load(Relaxed),
            Phase::Linger => true,
        }
    }
}

/// A stream that rests on a TCP connection.
pub(crate) trait OverTcp {
    /// The connection.
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream that takes notes.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    place: Place,
    scan: HeadScan,
    discarded: usize,
}

impl<S: OverTcp> Watched<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>, place: Place) -> Self {
        Watched { stream, watch, place, scan: HeadScan::default(), discarded: 0 }
    }

    pub(super) fn into_parts(self) -> (S, Place) {
        (self.stream, self.place)
    }

    fn check(&self) -> io::Result<()> {
        if !self.watch.aborted.load(Relaxed) {
            return Ok(());
        }
        // What waits in the system for a client that does not take it is given up too.
        let _ = socket2::SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO));
        Err(io::ErrorKind::TimedOut.into())
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.watch.blocked.store(result.is_pending(), Relaxed);
        if let Poll::Ready(Ok(count)) = result {
            self.watch.written.fetch_add(count as u64, Relaxed);
        }
        result
    }
}

impl<S: OverTcp + AsyncRead + Unpin> Watched<S> {
    /// Reads and forgets until the client is done.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; 4096];
        while !self.watch.leaving.load(Relaxed) && self.discarded < MAX_DISCARDED_BYTES {
            let mut buffer = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: OverTcp + AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        this.watch.read.fetch_add(new.len() as u64, Relaxed);
        if new.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if this.watch.phase() == Phase::Idle {
            this.watch.enter(Phase::Head);
            this.scan = HeadScan::default();
        }
        if this.watch.phase() == Phase::Head {
            this.scan.feed(new, &this.watch.found);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: OverTcp + AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch.blocked.store(result.is_pending(), Relaxed);
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        if this.watch.phase() != Phase::Linger {
            let result = Pin::new(&mut this.stream).poll_shutdown(cx);
            this.watch.blocked.store(result.is_pending(), Relaxed);
            ready!(result)?;
            if !this.watch.is_unread() {
                return Poll::Ready(Ok(()));
            }
            this.watch.enter(Phase::Linger);
        }
        ready!(this.poll_discard(cx));
        Poll::Ready(Ok(()))
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Incoming,
    watch: Arc<Watch>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, watch: Arc<Watch>) -> Self {
        RequestBody { body, watch }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.watch.body_awaited.store(frame.is_pending(), Relaxed);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.watch.body_open.store(false, Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.watch.body_awaited.store(false, Relaxed);
    }
}

/// The body of an answer. When it is dropped the answer is complete, or given up.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: AnyBody,
    watch: Arc<Watch>,
}

impl AnswerBody {
    pub(super) fn new(body: AnyBody, watch: Arc<Watch>) -> Self {
        AnswerBody { body, watch }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.watch.enter(Phase::Idle);
    }
}
