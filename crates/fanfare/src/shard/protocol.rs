//! Driving a session's protocol: what came in, what it asks for, what is due.

use super::form::Wire;
use super::session::Session;
use super::{Due, Opening, Outbox, Polled, SessionKey, Shard};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::rate::Bucket;
use crate::transport::{Carrier, Link, ReadTask, Stream};
use engineio::{Output, Packet, Piece, PollAnswer, Sid, Transport, packet};
use socketio::{Connection, Version};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use websocket::deflate::Agreed;
use websocket::{Reader, Role, frame};

/// Beyond this the clock could overflow, whatever was set.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// A WebSocket that was accepted, on its way to its shard.
pub(crate) struct Arrival {
    pub(crate) carrier: Carrier,
    /// What came behind the HTTP request.
    pub(crate) early: bytes::Bytes,
    pub(crate) deflate: Option<Agreed>,
    pub(crate) base64: bool,
}

impl Shard {
    /// Opens a session on a WebSocket.
    pub(crate) fn open_websocket(self: &Rc<Self>, opening: Opening, arrival: Arrival) {
        let Some(stream) = self.register(arrival.carrier) else { return };
        let Some((sid, key)) = self.open_session(opening, Transport::Websocket) else { return };
        {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            let wire = Wire {
                revision: session.protocol.revision(),
                base64: arrival.base64,
                deflate: takes_all(arrival.deflate),
            };
            let link = Rc::new(Link::new(stream, wire.form(), false));
            session.link = Some(Rc::clone(&link));
            let open = session.protocol.open_packet(&sid, &self.io.settings().engine);
            state.queue_control(key, &open);
            if let Some(initial) = &self.io.settings().engine.initial_packet {
                state.queue_control(key, &packet::encode_text(initial));
            }
            let reader = Reader::new(Role::Server, arrival.deflate);
            let task = ReadTask::new(self, key, &link, reader, &arrival.early);
            tokio::task::spawn_local(task);
        }
        self.begin(key);
    }

    /// A WebSocket wants to take a polling session over.
    pub(crate) fn open_probe(self: &Rc<Self>, sid: &Sid, arrival: Arrival) {
        let Some(stream) = self.register(arrival.carrier) else { return };
        let Some(key) = self.session_by_sid(sid) else { return };
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        let wire = Wire {
            revision: session.protocol.revision(),
            base64: arrival.base64,
            deflate: takes_all(arrival.deflate),
        };
        session.probe_expected = None;
        let link = Rc::new(Link::new(stream, wire.form(), true));
        if let Err(refusal) =
            session.protocol.probe_opened(Instant::now(), &self.io.settings().engine)
        {
            tracing::debug!(%refusal, "an upgrade was refused");
            self.io.inner().counters.rejected("probe_refused");
            link.close(&frame::close_reply(None));
        } else {
            session.probe = Some(Rc::clone(&link));
        }
        let reader = Reader::new(Role::Server, arrival.deflate);
        tokio::task::spawn_local(ReadTask::new(self, key, &link, reader, &arrival.early));
        drop(state);
        self.drive(key);
    }

    fn register(&self, carrier: Carrier) -> Option<Stream> {
        Stream::new(carrier)
            .inspect_err(|error| tracing::warn!(%error, "a connection could not be taken over"))
            .ok()
    }

    /// Makes a session.
    pub(crate) fn open_session(
        &self,
        opening: Opening,
        transport: Transport,
    ) -> Option<(Sid, SessionKey)> {
        if self.io.is_leaving() {
            return None; // it came behind the call that closes the last sessions
        }
        let Opening { revision, handshake, permit } = opening;
        let mut random = [0; 15];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(%error, "the system has no random bytes");
            return None;
        }
        let (now, sid) = (Instant::now(), Sid::new(random, self.index));
        let version = if revision == engineio::Revision::V3 { Version::V2 } else { Version::V5 };
        let settings = self.io.settings();
        let session = Session {
            sid,
            protocol: engineio::Session::new(now, revision, transport, &settings.engine),
            connection: Connection::new(Arc::clone(&self.io.inner().socketio), version),
            link: None,
            probe: None,
            poll: None,
            outbox: Outbox::default(),
            sockets: smallvec::SmallVec::new(),
            handshake,
            dirty: false,
            blocked: false,
            held: 0,
            deaf: false,
            ending: None,
            base64: false,
            probe_expected: None,
            running: 0,
            posted: Bucket::default(),
            held_until: None,
            post_waits: None,
            timer: None,
            over_by: Some(now + settings.connect_timeout.min(MAX_CONNECT_TIMEOUT)),
            _permit: permit,
        };
        let mut state = self.state.borrow_mut();
        let key = state.sessions.insert(session);
        state.by_sid.insert(sid, key);
        let counters = &self.io.inner().counters;
        Counters::add(&counters.sessions_opened, 1);
        if transport == Transport::Websocket {
            Counters::add(&counters.opened_as_websocket, 1);
        }
        Some((sid, key))
    }

    /// What happens once a session is open: clients of version 2 are in `/` without asking.
    pub(crate) fn begin(self: &Rc<Self>, key: SessionKey) {
        let asked = {
            let mut state = self.state.borrow_mut();
            state.sessions.get_mut(key).and_then(|session| session.connection.open())
        };
        if let Some(asked) = asked {
            self.act(key, asked);
        }
        self.arm(key);
        self.wake();
    }

    /// A text message came on a WebSocket.
    pub(crate) fn text_message(
        self: &Rc<Self>,
        key: SessionKey,
        link: &Rc<Link>,
        text: &str,
        now: Instant,
    ) {
        let Some(revision) = self.revision_of(key) else { return };
        self.packet(key, link, packet::decode_text(revision, text), now);
    }

    /// A binary message came on a WebSocket.
    pub(crate) fn binary_message(
        self: &Rc<Self>,
        key: SessionKey,
        link: &Rc<Link>,
        data: &[u8],
        now: Instant,
    ) {
        let Some(revision) = self.revision_of(key) else { return };
        self.packet(key, link, packet::decode_binary(revision, data), now);
    }

    fn revision_of(&self, key: SessionKey) -> Option<engineio::Revision> {
        self.state.borrow().sessions.get(key).map(|session| session.protocol.revision())
    }

    fn packet(
        self: &Rc<Self>,
        key: SessionKey,
        link: &Rc<Link>,
        packet: Result<Packet<'_>, packet::PacketError>,
        now: Instant,
    ) {
        let message = {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            let settings = &self.io.settings().engine;
            if let Err(error) = &packet {
                self.io.inner().counters.rejected(error.name());
            }
            match (packet, link.is_probing()) {
                (Ok(packet), false) => session.protocol.handle_packet(now, settings, packet),
                (Err(_), false) => {
                    session.protocol.parse_error();
                    None
                }
                (Ok(packet), true) => {
                    session.protocol.handle_probe_packet(now, settings, &packet);
                    None
                }
                (Err(_), true) => {
                    session.protocol.probe_error();
                    None
                }
            }
        };
        if let Some(message) = message {
            self.receive(key, message);
        }
        self.drive(key);
    }

    /// Answers a ping of the WebSocket protocol.
    pub(crate) fn pong(&self, key: SessionKey, link: &Link, pong: &[u8]) {
        if link.is_probing() {
            return link.send(pong);
        }
        self.state.borrow_mut().queue_frames(key, pong);
        self.wake();
    }

    /// A WebSocket has ended: the client's doing if `clean`, else it failed.
    pub(crate) fn connection_ended(self: &Rc<Self>, key: SessionKey, link: &Rc<Link>, clean: bool) {
        {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            let is =
                |other: &Option<Rc<Link>>| other.as_ref().is_some_and(|it| Rc::ptr_eq(it, link));
            if is(&session.probe) {
                session.probe = None;
                session.protocol.probe_closed();
            } else if is(&session.link) && clean {
                session.protocol.transport_closed();
            } else if is(&session.link) {
                session.protocol.transport_error();
            }
        }
        self.drive(key);
    }

    /// Writing to a session's WebSocket failed.
    pub(crate) fn transport_failed(self: &Rc<Self>, key: SessionKey) {
        {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            session.protocol.transport_error();
            if let Some(link) = &session.link {
                link.drop_now();
            }
        }
        self.drive(key);
    }

    /// The client has read: writes on.
    pub(crate) fn write_on(self: &Rc<Self>, key: SessionKey, link: &Link) {
        if !link.is_probing() {
            self.flush_session(key);
        }
    }

    /// Whether so many listeners of a session are unfinished that nothing more is read.
    pub(crate) fn is_busy(&self, key: SessionKey) -> bool {
        let limit = self.io.settings().max_running_handlers;
        self.state.borrow().sessions.get(key).is_some_and(|session| session.running >= limit)
    }

    /// The same, to be awaited. `None` when more may be read.
    pub(crate) fn until_free(&self, key: SessionKey) -> Option<oneshot::Receiver<()>> {
        let limit = self.io.settings().max_running_handlers;
        let mut state = self.state.borrow_mut();
        let session = state.sessions.get_mut(key).filter(|session| session.running >= limit)?;
        let (sender, receiver) = oneshot::channel();
        session.post_waits = Some(sender);
        Some(receiver)
    }

    /// A session's timer fired.
    pub(crate) fn session_due(self: &Rc<Self>, key: SessionKey, now: Instant) {
        let (overdue, ends) = {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            session.timer = None;
            self.excuse(session, now);
            session.protocol.handle_deadline(now, &self.io.settings().engine);
            (session.over_by.is_some_and(|by| by <= now), session.ending.is_some())
        };
        if overdue && ends {
            self.discard(key);
        } else if overdue {
            self.io.inner().counters.rejected("connect_timeout");
            self.close_session(key, DisconnectReason::ForcedClose);
        }
        self.drive(key);
        self.arm(key);
    }

    /// Does what the protocol asks for.
    pub(crate) fn drive(self: &Rc<Self>, key: SessionKey) {
        loop {
            let mut state = self.state.borrow_mut();
            state.seal(); // a poll may be answered with what the open run has
            let Some(session) = state.sessions.get_mut(key) else { return };
            let Some(output) = session.protocol.next_output() else { break };
            match output {
                Output::Send(control) => {
                    state.queue_control(key, control.as_str());
                    self.wake();
                }
                Output::SendProbe => {
                    if let Some(probe) = &session.probe {
                        probe.send(&frame::text(Output::PROBE_PONG));
                    }
                }
                Output::AnswerPoll(answer) => session.answer_poll(answer),
                Output::CloseProbe => {
                    if let Some(probe) = session.probe.take() {
                        probe.close(&frame::close_reply(None));
                    }
                }
                Output::Switched => {
                    Counters::add(&self.io.inner().counters.upgraded, 1);
                    session.switch();
                    state.mark(key);
                    self.wake();
                }
                Output::Closed(reason) => {
                    let cause = session.protocol.close_cause().map_or("closed", |it| it.name());
                    tracing::debug!(cause, "a session ended");
                    drop(state);
                    self.io.inner().counters.cause(cause);
                    return self.finish_session(key, reason.into());
                }
            }
        }
        self.arm(key);
    }

    /// Sees to it that the session's timer fires in time. A timer that fires too early costs
    /// less than moving it with every heartbeat.
    pub(super) fn arm(&self, key: SessionKey) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let Some(session) = state.sessions.get_mut(key) else { return };
        let Some(deadline) = session.deadline() else { return };
        match &session.timer {
            Some((_, at)) if *at <= deadline => {}
            Some((timer, _)) => {
                state.timers.reset_at(timer, deadline.into());
                if let Some((_, at)) = &mut session.timer {
                    *at = deadline;
                }
            }
            None => {
                let timer = state.timers.insert_at(Due::Session(key), deadline.into());
                session.timer = Some((timer, deadline));
            }
        }
    }
}

/// Whether a client takes every compressed frame: one that asked for a smaller window would need
/// frames of its own, and gets plain ones.
fn takes_all(deflate: Option<Agreed>) -> bool {
    deflate.is_some_and(|agreed| agreed.takes(usize::MAX))
}

impl Session {
    /// Answers the pending poll: with what is queued, and what the protocol adds.
    fn answer_poll(&mut self, answer: PollAnswer) {
        let Some(waiting) = self.poll.take() else { return };
        let mut outbox = Outbox::default();
        if answer.takes_messages() && self.held == 0 {
            std::mem::swap(&mut outbox, &mut self.outbox);
        }
        if outbox.is_empty() || answer != PollAnswer::Noop {
            for piece in answer.pieces() {
                if let Piece::Text(text) = piece {
                    outbox.push_control(text, false);
                }
            }
        }
        let payload = outbox.take_payload(self.protocol.revision(), waiting.base64);
        // Nobody reads it if the poll was given up in this moment.
        let _ = waiting.reply.send(Polled::Payload(payload));
    }

    /// Moves to the WebSocket that probed.
    fn switch(&mut self) {
        self.link = self.probe.take();
        if let Some(link) = &self.link {
            link.promote();
            self.outbox.bind(link.form());
        }
    }
}
