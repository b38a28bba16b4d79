//! What polling requests ask of a session, on the session's shard.

use super::session::WaitingPoll;
use super::{Opening, SessionKey, Shard};
use bytes::Bytes;
use engineio::payload::{self, Packets, Payload, PayloadError};
use engineio::{Address, Piece, PostForm, Refusal, Sid, Transport, jsonp, packet};
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::oneshot;

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
            let state = self.state.borrow();
            state.sessions.get(key)?.protocol.open_packet(&sid, settings)
        };
        let initial = settings.initial_packet.as_ref().map(|text| packet::encode_text(text));
        let pieces: Vec<Piece<'_>> =
            std::iter::once(&open).chain(&initial).map(|text| Piece::Text(text)).collect();
        let payload = payload::encode(revision, !base64, &pieces);
        self.begin(key);
        Some((sid, payload))
    }

    /// A GET waits for something to be sent.
    pub(crate) fn poll(
        self: &Rc<Self>,
        address: &Address,
        reply: oneshot::Sender<Polled>,
    ) -> Option<SessionKey> {
        let opened = self.with_admitted(address, |session| {
            session.protocol.poll_opened()?;
            Ok(())
        });
        let key = self.session_by_sid(&address.sid);
        match (opened, key) {
            (Ok(()), Some(key)) => {
                let mut state = self.state.borrow_mut();
                if let Some(session) = state.sessions.get_mut(key) {
                    let base64 = !address.accepts_binary;
                    session.poll = Some(WaitingPoll { reply, base64 });
                }
                state.mark(key);
                drop(state);
                self.drive(key);
                self.wake();
                Some(key)
            }
            (Err(refusal), key) => {
                // The client may be gone already.
                let _ = reply.send(Polled::Refused(refusal));
                if let Some(key) = key {
                    self.drive(key);
                }
                None
            }
            (Ok(()), None) => None,
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

    /// The head of a POST has come.
    pub(crate) fn post_opened(
        self: &Rc<Self>,
        address: &Address,
        form: PostForm,
    ) -> Result<(), Refusal> {
        let opened = self.with_admitted(address, |session| session.protocol.post_opened(form));
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
        self.with_admitted(address, |session| session.protocol.post_received())?;
        let key = self.session_by_sid(&address.sid).ok_or(Refusal::UnknownSession)?;
        let read = self.read_packets(key, address, form, body).await;
        if let Err(error) = &read {
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
                decoded = jsonp::decode_body(body)?.unwrap_or_default();
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
