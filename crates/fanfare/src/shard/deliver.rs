//! From an event to the bytes its receivers are sent.

use super::run::Run;
use super::session::{Session, Standing};
use super::{Asked, Broadcasting, OpenRun, Polled, Seat, SessionKey, Shard, SocketKey, State};
use crate::ack::{Answer, Waiting};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::emit::Flags;
use crate::transport::Written;
use socketio::Encoded;
use std::rc::Rc;
use std::sync::Arc;

impl State {
    /// Puts a session on the list of those that are flushed at the end of the tick.
    pub(crate) fn mark(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            mark(&mut self.dirty, key, session);
        }
    }

    /// No further event is joined to the open run. To be called before anything changes who the
    /// receivers of a target are.
    pub(crate) fn seal(&mut self) {
        self.open = None;
    }

    /// Queues a packet for one session, behind everything it already has. If it has at least
    /// `compress` bytes it is compressed, where that was agreed on.
    pub(crate) fn queue(&mut self, key: SessionKey, packet: Encoded, compress: Option<usize>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        detach(&mut self.open, key, session);
        let form = session.websocket().map(|link| link.form());
        session.outbox.push_packet(packet, compress, form);
        mark(&mut self.dirty, key, session);
    }

    /// Queues an Engine.IO packet that is no message.
    pub(crate) fn queue_control(&mut self, key: SessionKey, text: &str) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        detach(&mut self.open, key, session);
        let on_websocket = session.websocket().is_some();
        session.outbox.push_control(text, on_websocket);
        mark(&mut self.dirty, key, session);
    }

    /// Queues bytes for a session's WebSocket.
    pub(crate) fn queue_frames(&mut self, key: SessionKey, frames: &[u8]) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        detach(&mut self.open, key, session);
        session.outbox.push_frames(frames);
        mark(&mut self.dirty, key, session);
    }
}

fn mark(dirty: &mut Vec<SessionKey>, key: SessionKey, session: &mut Session) {
    if !session.dirty {
        session.dirty = true;
        dirty.push(key);
    }
}

/// If the open run comes last for this session, later events of it must come behind what is
/// about to be queued.
fn detach(open: &mut Option<OpenRun>, key: SessionKey, session: &mut Session) {
    if let Some(open) = open
        && session.outbox.close_run(&open.run)
    {
        open.detached.push(key);
    }
}

impl Shard {
    /// Delivers an event to its sockets on this shard.
    pub(crate) fn broadcast(self: &Rc<Self>, broadcast: &Arc<Broadcasting>, asked: Option<Asked>) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let reached = match state.extend_open_run(broadcast) {
            Some(reached) => reached,
            None => state.begin_run(broadcast, &self.io.inner().counters),
        };
        Counters::add(&self.io.inner().counters.events_delivered, reached as u64);
        if let Some(asked) = asked {
            state.expect_acks(broadcast, &asked);
        }
        if let Some(sequence) = broadcast.sequence {
            state.shown = sequence;
        }
        let overheard = broadcast.overheard.then(|| state.sockets_of(broadcast));
        drop(guard);
        if let Some(sockets) = overheard {
            let (handlers, event) = (broadcast.core.handlers.load(), broadcast.packet.event());
            for socket in &sockets {
                self.start(socket, || {
                    handlers.any_outgoing.iter().for_each(|listener| listener(socket, event));
                    None
                });
            }
        }
    }

    /// Sends a packet to one socket.
    pub(crate) fn send(&self, socket: SocketKey, packet: Encoded, flags: Flags) {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.sockets.get(socket) else { return };
        if !matches!(slot.standing, Standing::Connected(_)) {
            return;
        }
        let key = slot.socket.session_key();
        let counters = &self.io.inner().counters;
        if flags.volatile && !state.sessions.get(key).is_some_and(Session::is_writable) {
            Counters::add(&counters.volatile_dropped, 1);
            return;
        }
        Counters::add(&counters.events_delivered, 1);
        state.queue(key, packet, flags.threshold(&self.io));
    }

    /// Sends an event to one socket and remembers who waits for its ack.
    pub(crate) fn ask(&self, socket: SocketKey, packet: Encoded, id: u64, waiting: Waiting) {
        {
            let mut state = self.state.borrow_mut();
            let Some(slot) = state.sockets.get_mut(socket) else { return };
            slot.waiting.get_or_insert_default().insert(id, waiting);
        }
        self.send(socket, packet, Flags::default());
    }

    pub(crate) fn forget_ack(&self, socket: SocketKey, id: u64) {
        if let Some(slot) = self.state.borrow_mut().sockets.get_mut(socket) {
            drop(slot.take_waiting(id));
        }
    }

    /// Nobody waits for the acks of a broadcast any more.
    pub(crate) fn forget_asked(&self, namespace: u32, id: u64) {
        let mut guard = self.state.borrow_mut();
        let State { sockets, hubs, .. } = &mut *guard;
        let Some(hub) = hubs.get(&namespace) else { return };
        for (_, seat) in hub.everyone() {
            if let Some(slot) = seat.socket().and_then(|key| sockets.get_mut(key)) {
                drop(slot.take_waiting(id));
            }
        }
    }

    /// Writes to every session and stream that has something to send.
    pub(crate) fn flush(self: &Rc<Self>) {
        self.flush_streams();
        let mut dirty = std::mem::take(&mut self.state.borrow_mut().dirty);
        for key in dirty.drain(..) {
            self.flush_session(key);
        }
        let mut state = self.state.borrow_mut();
        state.seal(); // a run without receivers would keep its event
        if state.dirty.is_empty() {
            state.dirty = dirty; // its capacity is used again
        } else {
            // Closing a session may have given others something to send.
            self.wake();
        }
    }

    /// Writes what one session has to send, as far as its transport takes it.
    pub(crate) fn flush_session(self: &Rc<Self>, key: SessionKey) {
        let mut guard = self.state.borrow_mut();
        guard.seal(); // what is written now is not appended to
        let Some(session) = guard.sessions.get_mut(key) else { return };
        session.dirty = false;
        let written = if session.held > 0 { Written::Blocked } else { session.write() };
        let blocked = written == Written::Blocked;
        let too_much = blocked && session.outbox.exceeds(self.io.settings().outbox);
        if blocked && !std::mem::replace(&mut session.blocked, true) {
            guard.add_blocked(key);
        }
        drop(guard);
        match written {
            Written::Failed => self.transport_failed(key),
            Written::Blocked if too_much => self.close_session(key, DisconnectReason::SlowClient),
            Written::Blocked => {}
            Written::All => self.drained(key),
        }
    }
}

impl Session {
    fn write(&mut self) -> Written {
        if let Some(link) = self.websocket().cloned() {
            return link.write(&mut self.outbox);
        }
        if self.outbox.is_empty() {
            return Written::All;
        }
        let Some(waiting) = self.poll.take() else { return Written::Blocked };
        let payload = self.outbox.take_payload(self.protocol.revision(), waiting.base64);
        if waiting.reply.send(Polled::Payload(payload)).is_err() {
            // Given up in this moment: what was taken for it is lost, so the session ends.
            self.protocol.poll_aborted();
            return Written::Failed;
        }
        self.protocol.poll_answered();
        Written::All
    }
}

impl State {
    /// Joins an event to the open run, if it has the same receivers.
    fn extend_open_run(&mut self, broadcast: &Arc<Broadcasting>) -> Option<usize> {
        let open = self.open.as_mut()?;
        let index = open.run.len();
        if !open.run.has_room(broadcast) || !open.first.joins(broadcast) {
            return None;
        }
        open.run.append(Arc::clone(broadcast));
        for key in std::mem::take(&mut open.detached) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.outbox.push_run(&open.run, u32::try_from(index).unwrap_or(u32::MAX));
                mark(&mut self.dirty, key, session);
            }
        }
        Some(open.receivers)
    }

    /// Gives each receiver a reference to a new run.
    fn begin_run(&mut self, broadcast: &Arc<Broadcasting>, counters: &Counters) -> usize {
        self.seal();
        let State { sessions, streams, hubs, dirty, open, .. } = self;
        let Some(hub) = hubs.get_mut(&broadcast.core.id) else { return 0 };
        let run = Rc::new(Run::new(Arc::clone(broadcast)));
        let mut dropped = 0;
        let meant = hub.for_each_target(&broadcast.target, |_, seat| {
            let session = match seat {
                Seat::Socket { session, .. } => session,
                Seat::Stream(key) => {
                    let taken = streams.push_run(key, &run, broadcast.volatile);
                    return dropped += usize::from(!taken);
                }
            };
            let (key, Some(session)) = (session, sessions.get_mut(session)) else { return };
            if broadcast.volatile && !session.is_writable() {
                dropped += 1;
                return;
            }
            session.outbox.push_run(&run, 0);
            mark(dirty, key, session);
        });
        Counters::add(&counters.volatile_dropped, dropped as u64);
        let (first, detached) = (Arc::clone(broadcast), Vec::new());
        *open = Some(OpenRun { run, first, receivers: meant, detached });
        meant - dropped
    }

    fn expect_acks(&mut self, broadcast: &Broadcasting, asked: &Asked) {
        let State { sockets, hubs, .. } = self;
        let mut count = 0;
        if let Some(hub) = hubs.get_mut(&broadcast.core.id) {
            hub.for_each_target(&broadcast.target, |_, seat| {
                let slot = seat.socket().and_then(|key| sockets.get_mut(key));
                let Some(slot) = slot else { return };
                let waiting = Waiting::Many(asked.sender.clone());
                slot.waiting.get_or_insert_default().insert(asked.id, waiting);
                count += 1;
            });
        }
        // The caller may have stopped waiting.
        let _ = asked.sender.send(Answer::Asked(count));
    }

    fn sockets_of(&mut self, broadcast: &Broadcasting) -> Vec<crate::Socket> {
        let State { sockets, hubs, .. } = self;
        let mut found = Vec::new();
        if let Some(hub) = hubs.get_mut(&broadcast.core.id) {
            hub.for_each_target(&broadcast.target, |_, seat| {
                let slot = seat.socket().and_then(|key| sockets.get(key));
                found.extend(slot.map(|slot| slot.socket.clone()));
            });
        }
        found
    }
}
