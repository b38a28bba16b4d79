//! What polling requests ask of a session, on the session's shard.

use super::session::WaitingPoll;
use super::{Opening, SessionKey, Shard};
use bytes::Bytes;
use engineio::payload::{self, Packets, Payload, PayloadError};
use engineio::{Address, Piece, PostForm, Refusal, Sid, Transport, jsonp, packet};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a poll waits if it comes while the session moves to a WebSocket, so that the move is
/// noticed first if the client has made it: they came on two connections, read by two threads.
const MOVE_PATIENCE: Duration = Duration::from_millis(10);

/// How long a goodbye waits for the poll that may have been sent together with it, on another
/// connection: the poll is then answered as one that was pending.
const GOODBYE_PATIENCE: Duration = Duration::from_millis(20);

/// The answer to a GET.
#[derive(Debug)]
pub(crate) enum Polled {
    Payload(Payload),
    Refused(Refusal),
}

impl Shard {
    pub(crate) fn session_by_sid(&self, sid: &Sid) -> Option<SessionKey> {
        self.state.borrow().by_sid.get(sid).copied()
    }

    /// Opens a session by polling, and gives what the first request is answered with.
    pub(crate) fn open_polling(
        self: &Rc<Self>,
        opening: Opening,
        base64: bool,
    ) -> Option<(Sid, Payload)> {
        let revision = opening.revision;
        let (sid, key) = self.open_session(opening, Transport::Polling)?;
        let settings = &self.io.settings().engine;
        let open = {
            let mut state = self.state.borrow_mut();
            let session = state.sessions.get_mut(key)?;
            session.base64 = base64;
            session.protocol.open_packet(&sid, settings)
        };
        let initial = settings.initial_packet.as_ref().map(|text| packet::encode_text(text));
        let pieces: Vec<Piece<'_>> =
            std::iter::once(&open).chain(&initial).map(|text| Piece::Text(text)).collect();
        let payload = payload::encode(revision, !base64, &pieces);
        self.begin(key);
        Some((sid, payload))
    }

    /// A GET waits for something to be sent.
    pub(crate) fn poll(self: &Rc<Self>, address: Address, reply: oneshot::Sender<Polled>) {
        self.session_overdue(&address.sid);
        if !self.waits_for_move(&address.sid) {
            return self.open_poll(&address, reply);
        }
        // What the client sent on the WebSocket before is heard before.
        let shard = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(MOVE_PATIENCE).await;
            let given_up = reply.is_closed();
            shard.open_poll(&address, reply);
            if given_up {
                shard.poll_aborted(&address.sid);
            }
        });
    }

    /// Whether a poll that comes now may have been overtaken by the news that the session has
    /// moved to a WebSocket. With something to send it is answered at once.
    fn waits_for_move(&self, sid: &Sid) -> bool {
        let Some(key) = self.session_by_sid(sid) else { return false };
        let state = self.state.borrow();
        let session = state.sessions.get(key);
        session.is_some_and(|it| it.outbox.is_empty() && it.is_moving(Instant::now()))
    }

    /// Does what is due for a session, so that a request is not served by one whose time is up.
    fn session_overdue(self: &Rc<Self>, sid: &Sid) {
        let Some(key) = self.session_by_sid(sid) else { return };
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            let now = Instant::now();
            self.excuse(session, now);
            session.protocol.handle_deadline(now, &self.io.settings().engine);
        }
        self.drive(key);
    }

    fn open_poll(self: &Rc<Self>, address: &Address, reply: oneshot::Sender<Polled>) {
        let opened = self.with_admitted(address, |session| {
            session.protocol.poll_opened()?;
            Ok(())
        });
        let key = self.session_by_sid(&address.sid);
        match (opened, key) {
            (Ok(()), Some(key)) => {
                let mut state = self.state.borrow_mut();
                if let Some(session) = state.sessions.get_mut(key) {
                    // What the handshake said holds on; a script takes nothing but text.
                    let base64 =
                        session.base64 || !address.accepts_binary || address.jsonp.is_some();
                    session.poll = Some(WaitingPoll { reply, base64 });
                }
                state.mark(key);
                drop(state);
                self.drive(key);
                self.wake();
            }
            (Err(refusal), key) => {
                // The client may be gone already.
                let _ = reply.send(Polled::Refused(refusal));
                if let Some(key) = key {
                    self.drive(key);
                }
            }
            (Ok(()), None) => {}
        }
    }

    /// The client dropped the GET that waited.
    pub(crate) fn poll_aborted(self: &Rc<Self>, sid: &Sid) {
        let Some(key) = self.session_by_sid(sid) else { return };
        {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            // Another one may wait by now: then this one was answered.
            if session.poll.as_ref().is_some_and(|poll| !poll.reply.is_closed()) {
                return;
            }
            session.poll = None;
            session.protocol.poll_aborted();
        }
        self.drive(key);
    }

    /// The client dropped the GET when its answer was ready: what that brought is lost.
    pub(crate) fn answer_lost(self: &Rc<Self>, sid: &Sid) {
        let Some(key) = self.session_by_sid(sid) else { return };
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            session.protocol.transport_error();
        }
        self.drive(key);
    }

    /// Whether the request may go on to its session; nothing is changed.
    pub(crate) fn check(&self, address: &Address) -> Result<(), Refusal> {
        self.with_admitted(address, |_| Ok(()))
    }

    /// Whether a WebSocket may be opened for a session, which then expects it.
    pub(crate) fn expect_probe(&self, address: &Address) -> Result<(), Refusal> {
        self.with_admitted(address, |session| {
            session.probe_expected = Some(Instant::now());
            Ok(())
        })
    }

    fn with_admitted<R>(
        &self,
        address: &Address,
        act: impl FnOnce(&mut super::session::Session) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let key = self.session_by_sid(&address.sid).ok_or(Refusal::UnknownSession)?;
        let mut state = self.state.borrow_mut();
        let session = state.sessions.get_mut(key).ok_or(Refusal::UnknownSession)?;
        session.protocol.admit(address)?;
        act(session)
    }

    /// The head of a POST has come. Its body may be read after the time that this returns.
    pub(crate) fn post_opened(
        self: &Rc<Self>,
        address: &Address,
        form: PostForm,
    ) -> Result<Duration, Refusal> {
        let opened = self.with_admitted(address, |session| {
            session.protocol.post_opened(form)?;
            Ok(self.hold_post(session, Instant::now()))
        });
        if opened.is_err() {
            self.drive_sid(&address.sid);
        }
        opened
    }

    /// The body of a POST is complete.
    ///
    /// As long as too many listeners are unfinished, it is read no further and not answered.
    pub(crate) async fn post_received(
        self: &Rc<Self>,
        address: &Address,
        form: PostForm,
        body: &Bytes,
    ) -> Result<(), Refusal> {
        if is_goodbye(body) && !self.is_poll_pending(&address.sid) {
            tokio::time::sleep(GOODBYE_PATIENCE).await;
        }
        self.with_admitted(address, |session| {
            self.post_read(session, body.len());
            session.protocol.post_received()
        })?;
        let key = self.session_by_sid(&address.sid).ok_or(Refusal::UnknownSession)?;
        let read = self.read_packets(key, address, form, body).await;
        // What is not UTF-8 is refused, and counted there.
        if let Err(error) = read
            && error != PayloadError::InvalidUtf8
        {
            self.io.inner().counters.rejected(error.name());
        }
        {
            let mut state = self.state.borrow_mut();
            if let Some(session) = state.sessions.get_mut(key) {
                session.protocol.post_finished();
                if read.is_err() {
                    session.protocol.parse_error();
                }
            }
        }
        self.drive(key);
        match read {
            Err(PayloadError::InvalidUtf8) => Err(Refusal::InvalidUtf8),
            // As the reference server: the request was read, its session ends.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn is_poll_pending(&self, sid: &Sid) -> bool {
        let Some(key) = self.session_by_sid(sid) else { return false };
        let state = self.state.borrow();
        state.sessions.get(key).is_some_and(|session| session.protocol.is_poll_pending())
    }

    async fn read_packets(
        self: &Rc<Self>,
        key: SessionKey,
        address: &Address,
        form: PostForm,
        body: &Bytes,
    ) -> Result<(), PayloadError> {
        let settings = &self.io.settings().engine;
        let decoded;
        let packets = match form {
            PostForm::Binary => Packets::binary(body, settings),
            PostForm::Text => Packets::text(address.revision, payload::text(body)?, settings),
            PostForm::Jsonp => {
                // A form without a payload brings nothing, as in the reference server.
                let Some(payload) = jsonp::decode_body(body)? else { return Ok(()) };
                decoded = payload;
                Packets::text(address.revision, &decoded, settings)
            }
        };
        let now = Instant::now();
        for packet in packets {
            let packet = packet?;
            let message = {
                let mut state = self.state.borrow_mut();
                let Some(session) = state.sessions.get_mut(key) else { return Ok(()) };
                session.protocol.handle_packet(now, settings, packet)
            };
            if let Some(message) = message {
                self.receive(key, message);
            }
            self.drive(key);
            while let Some(free) = self.until_free(key) {
                // Dropped when enough listeners have finished, or the session has.
                let _ = free.await;
            }
        }
        Ok(())
    }

    /// The body of a POST was too large: the session lives on.
    pub(crate) fn post_refused(&self, sid: &Sid) {
        let Some(key) = self.session_by_sid(sid) else { return };
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            self.post_read(session, self.io.settings().engine.max_payload_bytes);
            session.protocol.post_finished();
        }
    }

    /// The client dropped a POST before its end.
    pub(crate) fn post_aborted(self: &Rc<Self>, sid: &Sid) {
        let Some(key) = self.session_by_sid(sid) else { return };
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            session.protocol.post_aborted();
        }
        self.drive(key);
    }

    fn drive_sid(self: &Rc<Self>, sid: &Sid) {
        if let Some(key) = self.session_by_sid(sid) {
            self.drive(key);
        }
    }
}

/// Whether a body is a close packet and nothing else, in either revision.
fn is_goodbye(body: &[u8]) -> bool {
    matches!(body, b"1" | b"1:1")
}
