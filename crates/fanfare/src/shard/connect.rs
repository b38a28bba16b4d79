//! A client enters a namespace.

use super::begin::Beginning;
use super::journal::new_journal;
use super::recover::Recovered;
use super::session::{Slot, Standing};
use super::{Op, Seat, SessionKey, Shard, SocketKey, State};
use crate::counters::Counters;
use crate::handler::{Refused, Task};
use crate::namespace::Namespace;
use crate::recovery::{self, Wanted};
use crate::socket::{Home, Socket};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use hub::SocketId;
use socketio::{ConnectError, Encoded, Parser, Version};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The counting part of socket ids: two sockets of one process never share it soon.
static NEXT_SOCKET: AtomicU32 = AtomicU32::new(0);

impl Shard {
    /// A client asks for a namespace.
    pub(crate) fn enter(
        self: &Rc<Self>,
        session: SessionKey,
        name: socketio::Namespace,
        auth: Option<Box<str>>,
        wanted: Option<Wanted>,
    ) {
        let shard = self.clone();
        let mut entering = Box::pin(async move { shard.admit(session, &name, auth, wanted).await });
        // Without middlewares that wait, the client is in before its next packet is read.
        if entering.as_mut().now_or_never().is_none() {
            tokio::task::spawn_local(entering);
        }
    }

    async fn admit(
        self: Rc<Self>,
        session: SessionKey,
        name: &socketio::Namespace,
        auth: Option<Box<str>>,
        wanted: Option<Wanted>,
    ) {
        let found = AssertUnwindSafe(self.io.enter(name, auth.as_deref())).catch_unwind().await;
        let namespace = match found {
            Ok(Some(namespace)) => namespace,
            Ok(None) => {
                self.io.inner().counters.rejected("namespace_unknown");
                return self.refuse_unknown(session, name);
            }
            Err(_) => {
                let counters = &self.io.inner().counters;
                Counters::add(&counters.handler_panics, 1);
                counters.rejected("namespace_refused");
                return self.refuse(session, name, &Refused::new("Internal error"));
            }
        };
        if let Some(socket) = self.connect(session, namespace, auth, wanted).await {
            self.welcome(&socket);
        }
    }

    /// Connects a client to a namespace: to its old socket, or to a new one. `None` if it was
    /// refused, or is gone.
    async fn connect(
        self: &Rc<Self>,
        session: SessionKey,
        namespace: Namespace,
        auth: Option<Box<str>>,
        wanted: Option<Wanted>,
    ) -> Option<Socket> {
        let seen = wanted.as_ref().and_then(|wanted| wanted.offset.as_ref()?.parse().ok());
        if let Some(wanted) = wanted.filter(|_| namespace.core().recovers()) {
            let counters = &self.io.inner().counters;
            match self.recover(session, &namespace, auth.clone(), &wanted).await {
                Ok(Recovered::Connected(socket)) => {
                    Counters::add(&counters.sessions_recovered, 1);
                    return Some(socket);
                }
                Ok(Recovered::Ended) => return None,
                Err(why) => {
                    tracing::debug!(%why, "a client was not given its session back");
                    counters.not_recovered(why.name());
                }
            }
        }
        let core = namespace.core().clone();
        let Some(socket) = self.reserve(session, namespace, auth, None) else {
            self.io.left(&core);
            return None;
        };
        if self.refused_by_middleware(session, &socket).await {
            return None;
        }
        self.connect_new(&socket, seen).await.then_some(socket)
    }

    /// Asks the middlewares whether a client may come in; tells it if not.
    pub(super) async fn refused_by_middleware(
        self: &Rc<Self>,
        session: SessionKey,
        socket: &Socket,
    ) -> bool {
        let core = socket.core();
        for middleware in &core.handlers.load_full().middlewares {
            let decision = AssertUnwindSafe(async { middleware(socket.clone()).await });
            let refused = match decision.catch_unwind().await {
                Ok(Ok(())) => continue,
                Ok(Err(refused)) => refused,
                Err(_) => {
                    Counters::add(&self.io.inner().counters.handler_panics, 1);
                    Refused::new("Internal error")
                }
            };
            self.io.inner().counters.rejected("namespace_refused");
            if self.release(socket.key()) {
                self.io.left(core);
                self.refuse(session, &core.name, &refused);
            }
            return true;
        }
        false
    }

    /// Runs what the application does for a socket that connected.
    fn welcome(self: &Rc<Self>, socket: &Socket) {
        let handlers = socket.core().handlers.load_full();
        // One more than there are, so that it is not over before the last was started.
        let unfinished = Rc::new(Cell::new(handlers.connect.len() + 1));
        for handler in &handlers.connect {
            let (shard, key, unfinished) = (self.clone(), socket.key(), unfinished.clone());
            self.start(socket, || {
                let handled = handler(socket.clone());
                Some(Box::pin(async move {
                    handled.await;
                    shard.welcomed(key, &unfinished);
                }) as Task)
            });
        }
        self.welcomed(socket.key(), &unfinished);
    }

    /// One of those who welcome a socket has finished. With the last one it can be brought back:
    /// before, a killed server would forget what they still had to do.
    fn welcomed(self: &Rc<Self>, key: SocketKey, unfinished: &Cell<usize>) {
        unfinished.set(unfinished.get().saturating_sub(1));
        if unfinished.get() == 0 {
            // Behind the rooms they asked for.
            self.in_order(move |shard| shard.journal_first(key));
        }
    }

    /// Does something behind everything that was asked of the shard before.
    pub(crate) fn in_order(&self, act: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        self.io.shard(self.index).push(Op::run(act));
    }

    /// Makes the socket, which is not connected yet: the one of a session that comes back, or a
    /// new one. `None` if the client is gone.
    pub(super) fn reserve(
        &self,
        session: SessionKey,
        namespace: Namespace,
        auth: Option<Box<str>>,
        recovered: Option<&eventlog::Session>,
    ) -> Option<Socket> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let owner = state.sessions.get_mut(session)?;
        let id = match recovered.and_then(recovery::socket_id) {
            Some(id) => id,
            None => new_id()?,
        };
        let handshake = owner.handshake.clone();
        let recoverable = namespace.core().recovers() && owner.connection.version() != Version::V2;
        let key = state.sockets.insert_with_key(|key| {
            let home = Home { shard: self.index, session, socket: key };
            let socket = Socket::new(id, home, namespace, handshake, auth);
            let socket = socket.with_recovery(recoverable, recovered);
            let standing = Standing::Entering(Vec::new());
            Slot { socket, standing, waiting: None, begin: None, journal: None }
        });
        owner.sockets.push(key);
        state.sockets.get(key).map(|slot| slot.socket.clone())
    }

    /// Takes back a socket that was not let in. Says whether it was still there: if not, it was
    /// ended with its session.
    pub(super) fn release(&self, key: SocketKey) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.sockets.remove(key) else { return false };
        if let Some(session) = state.sessions.get_mut(slot.socket.session_key()) {
            session.sockets.retain(|socket| *socket != key);
        }
        true
    }

    /// Connects the socket, behind what it missed. Says whether it was still there.
    pub(super) fn settle(&self, socket: &Socket, beginning: &Beginning) -> bool {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let (key, session_key) = (socket.key(), socket.session_key());
        if !state.sessions.contains_key(session_key) || !state.sockets.contains_key(key) {
            return false;
        }
        let hub = state.hub(socket.core().id, self.io.settings().max_rooms);
        let seat = Seat::Socket { session: session_key, socket: key };
        let member = match hub.insert(socket.id(), seat) {
            Ok(member) => member,
            Err(error) => {
                tracing::error!(%error, "a new socket's id is in use");
                return false;
            }
        };
        let Some(slot) = state.sockets.get_mut(key) else { return false };
        let standing = std::mem::replace(&mut slot.standing, Standing::Connected(member));
        if let Some(hub) = state.hubs.get_mut(&socket.core().id) {
            for room in standing.rooms() {
                // The limit was checked when they were asked for.
                let _ = hub.join(member, room);
            }
        }
        let pid = self.new_pid(socket);
        if let (Some(pid), Some(recorder)) = (&pid, &self.io.inner().recorder) {
            let journal = new_journal(recorder, state.shown, (standing.rooms(), beginning), pid);
            if let Some(slot) = state.sockets.get_mut(key) {
                slot.journal = Some(Box::new(journal));
            }
        }
        self.answer_connected(state, socket, pid.as_deref());
        state.replay(socket.namespace(), session_key, &beginning.missed);
        drop(guard);
        self.wake();
        true
    }

    /// Tells the client that it is connected.
    pub(super) fn answer_connected(&self, state: &mut State, socket: &Socket, pid: Option<&str>) {
        let (session_key, name) = (socket.session_key(), &socket.core().name);
        let Some(session) = state.sessions.get_mut(session_key) else { return };
        session.connection.accepted(name);
        session.over_by = None;
        let version = session.connection.version();
        let (parser, id) = (self.io.settings().parser, socket.id());
        let answer = socketio::encode_connect(parser, version, name, id.as_str(), pid);
        state.queue(session_key, answer, None);
        socket.set_connected(true);
        Counters::add(&self.io.inner().counters.sockets_connected, 1);
    }

    /// The secret by which a client gets its socket back. 192 bits: it cannot be guessed.
    fn new_pid(&self, socket: &Socket) -> Option<String> {
        if !socket.is_recoverable() {
            return None;
        }
        let random: [u8; 24] = random()?;
        Some(URL_SAFE_NO_PAD.encode(random))
    }

    fn refuse(self: &Rc<Self>, key: SessionKey, name: &socketio::Namespace, refused: &Refused) {
        let data = refused.data.as_ref().map(ToString::to_string);
        let error = ConnectError { message: &refused.message, data: data.as_deref() };
        self.answer_refused(key, name, |parser, version| {
            socketio::encode_connect_error(parser, version, name, &error)
        });
    }

    fn refuse_unknown(self: &Rc<Self>, key: SessionKey, name: &socketio::Namespace) {
        self.answer_refused(key, name, |parser, _| {
            socketio::encode_invalid_namespace(parser, name)
        });
    }

    fn answer_refused(
        self: &Rc<Self>,
        key: SessionKey,
        name: &socketio::Namespace,
        encode: impl FnOnce(Parser, Version) -> Encoded,
    ) {
        self.catch_up();
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        session.connection.refused(name);
        let packet = encode(self.io.settings().parser, session.connection.version());
        state.queue(key, packet, None);
        drop(state);
        self.wake();
    }
}

/// An id that nothing else has in a hub.
pub(super) fn new_id() -> Option<SocketId> {
    Some(SocketId::new(random()?, NEXT_SOCKET.fetch_add(1, Ordering::Relaxed)))
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut random = [0; N];
    match getrandom::fill(&mut random) {
        Ok(()) => Some(random),
        Err(error) => {
            tracing::error!(%error, "the system has no random bytes");
            None
        }
    }
}
