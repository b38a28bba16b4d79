//! The end of sockets and sessions.

use super::journal::Journal;
use super::members::all_rooms;
use super::session::{Session, Slot, Standing};
use super::{SessionKey, Shard, SocketKey};
use crate::counters::Counters;
use crate::disconnect::{Disconnect, DisconnectReason};
use crate::drain::Dice;
use crate::socket::Socket;
use engineio::Transport;
use std::rc::Rc;
use std::time::Instant;

/// A socket that was taken out of everything.
struct Removed {
    socket: Socket,
    rooms: Vec<hub::Room>,
    /// Whether it was connected, and not still on its way in.
    connected: bool,
    journal: Option<Box<Journal>>,
}

impl Shard {
    /// Disconnects a socket; with `close`, the client's whole connection.
    pub(crate) fn disconnect(self: &Rc<Self>, key: SocketKey, close: bool) {
        if !close {
            return self.leave_namespace(key, DisconnectReason::ServerNamespaceDisconnect);
        }
        let session = self.state.borrow().sockets.get(key).map(|slot| slot.socket.session_key());
        let Some(session) = session else { return };
        for socket in self.sockets_of_session(session) {
            self.leave_namespace(socket, DisconnectReason::ServerNamespaceDisconnect);
        }
        self.close_session(session, DisconnectReason::ForcedServerClose);
    }

    /// Makes a socket leave its namespace and tells the client.
    pub(crate) fn leave_namespace(self: &Rc<Self>, key: SocketKey, reason: DisconnectReason) {
        let Some(removed) = self.remove_socket(key) else { return };
        {
            let mut state = self.state.borrow_mut();
            let name = &removed.socket.core().name;
            let session_key = removed.socket.session_key();
            if let Some(session) = state.sessions.get_mut(session_key) {
                session.connection.left(name);
            }
            let packet = socketio::encode_disconnect(self.io.settings().parser, name);
            state.queue(session_key, packet, None);
        }
        self.wake();
        self.announce(removed, reason);
    }

    /// The client left a namespace.
    pub(crate) fn client_left(self: &Rc<Self>, key: SocketKey) {
        self.catch_up(); // what its listeners did before comes before
        if let Some(removed) = self.remove_socket(key) {
            self.announce(removed, DisconnectReason::ClientNamespaceDisconnect);
        }
    }

    /// Closes a session after what it still has to be sent was written, or after the time that it is
    /// given for that. Its sockets are gone at once.
    pub(crate) fn close_session(self: &Rc<Self>, key: SessionKey, reason: DisconnectReason) {
        self.end_sockets(key, reason);
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        if session.ending.is_some() {
            return;
        }
        session.ending = Some(reason);
        session.deaf = true;
        session.over_by = None;
        if reason.is_abrupt() {
            drop(state);
            return self.discard(key);
        }
        session.over_by = Instant::now().checked_add(self.io.settings().engine.close_timeout);
        state.mark(key);
        drop(state);
        self.arm(key);
        self.wake();
    }

    /// Ends a session whatever it still has to be sent: the broken connection tells its client.
    pub(super) fn discard(self: &Rc<Self>, key: SessionKey) {
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        session.outbox.clear();
        session.protocol.close(Instant::now(), &self.io.settings().engine, true);
        drop(state);
        self.drive(key);
    }

    /// Everything a session had to send is written.
    pub(crate) fn drained(self: &Rc<Self>, key: SessionKey) {
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        if session.ending.is_none() || !session.outbox.is_empty() {
            return;
        }
        session.over_by = None; // the protocol has its own deadline
        session.protocol.close(Instant::now(), &self.io.settings().engine, false);
        drop(state);
        self.drive(key);
    }

    /// Closes every session: the server is going down.
    pub(crate) fn close_all(self: &Rc<Self>) {
        self.close_part(1, Dice::default());
    }

    /// Closes a part of the sessions and streams, one of `parts`, chosen at random: the server is about
    /// to go down.
    pub(crate) fn close_part(self: &Rc<Self>, parts: usize, mut dice: Dice) {
        self.end_part_of_streams(parts, &mut dice);
        let (empty, open): (Vec<_>, Vec<_>) = {
            let state = self.state.borrow();
            // What already ends may still have something to be sent.
            let here = state.sessions.iter().filter(|(_, it)| it.ending.is_none());
            here.map(|(key, it)| (key, it.sockets.is_empty())).partition(|(_, empty)| *empty)
        };
        for (key, _) in empty {
            // Nobody is there to be told: it may never poll again.
            self.finish_session(key, DisconnectReason::ServerShuttingDown);
        }
        for (key, _) in dice.part(open, parts) {
            self.close_session(key, DisconnectReason::ServerShuttingDown);
        }
    }

    /// The protocol says that the session is over: forgets it.
    pub(crate) fn finish_session(self: &Rc<Self>, key: SessionKey, reason: DisconnectReason) {
        self.catch_up(); // what the listeners of its sockets did before comes before
        let ending = {
            let state = self.state.borrow();
            let Some(session) = state.sessions.get(key) else { return };
            session.ending
        };
        let reason = ending.unwrap_or(reason);
        self.end_sockets(key, reason);
        let session = {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.remove(key) else { return };
            state.by_sid.remove(&session.sid);
            if let Some((timer, _)) = &session.timer {
                state.timers.try_remove(timer);
            }
            session
        };
        let counters = &self.io.inner().counters;
        counters.closed(reason.as_str());
        if session.protocol.transport() == Transport::Websocket {
            Counters::add(&counters.closed_as_websocket, 1);
        }
        Self::let_go(&session, reason);
    }

    /// Ends what carries a session.
    fn let_go(session: &Session, reason: DisconnectReason) {
        let broken = reason.is_abrupt() || reason == DisconnectReason::PingTimeout;
        for link in session.link.iter().chain(&session.probe) {
            if broken {
                link.drop_now();
            } else {
                link.close(&websocket::frame::close_reply(None));
            }
        }
        // A polling request that still waits is answered when its sender is dropped.
    }

    fn end_sockets(self: &Rc<Self>, session: SessionKey, reason: DisconnectReason) {
        for key in self.sockets_of_session(session) {
            if let Some(removed) = self.remove_socket(key) {
                self.announce(removed, reason);
            }
        }
    }

    fn sockets_of_session(&self, session: SessionKey) -> Vec<SocketKey> {
        let state = self.state.borrow();
        state.sessions.get(session).map_or_else(Vec::new, |session| session.sockets.to_vec())
    }

    /// Takes a socket out of everything. Acks it owes will not come.
    fn remove_socket(&self, key: SocketKey) -> Option<Removed> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let Slot { socket, standing, waiting, mut journal, .. } = state.sockets.remove(key)?;
        if let Some(journal) = &mut journal {
            state.release(socket.session_key(), journal);
        }
        socket.set_connected(false);
        drop(waiting); // who waits for an ack finds the socket disconnected
        if let Some(session) = state.sessions.get_mut(socket.session_key()) {
            session.sockets.retain(|other| *other != key);
        }
        let id = socket.core().id;
        let mut rooms = Vec::new();
        let connected = if let Standing::Connected(member) = standing {
            if let Some(hub) = state.hubs.get_mut(&id) {
                rooms = all_rooms(hub, member, socket.id());
                hub.remove(member);
                if hub.is_empty() && socket.core().dynamic {
                    state.hubs.remove(&id);
                }
            }
            true
        } else {
            false
        };
        Some(Removed { socket, rooms, connected, journal })
    }

    /// Tells the application that a socket is gone.
    fn announce(
        self: &Rc<Self>,
        Removed { socket, rooms, connected, journal }: Removed,
        reason: DisconnectReason,
    ) {
        self.io.left(socket.core());
        if !connected {
            return;
        }
        if let Some(journal) = journal {
            self.give_up(&socket, &journal, reason);
        }
        Counters::add(&self.io.inner().counters.sockets_disconnected, 1);
        let handlers = socket.core().handlers.load_full();
        let end = Disconnect { reason, rooms };
        for handler in &handlers.disconnect {
            self.start(&socket, || Some(handler(socket.clone(), end.clone())));
        }
    }
}
