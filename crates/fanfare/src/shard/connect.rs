//! A client enters a namespace.

use super::session::{Slot, Standing};
use super::{Op, Seat, SessionKey, Shard, SocketKey};
use crate::counters::Counters;
use crate::handler::Refused;
use crate::namespace::Namespace;
use crate::socket::{Home, Socket};
use futures_util::FutureExt;
use hub::{Hub, SocketId};
use socketio::{ConnectError, Encoded, Parser, Version};
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
    ) {
        let shard = self.clone();
        let mut entering = Box::pin(async move { shard.admit(session, &name, auth).await });
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
        let core = namespace.core().clone();
        let Some(socket) = self.reserve(session, namespace, auth) else {
            return self.io.left(&core);
        };
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
                self.refuse(session, name, &refused);
            }
            return;
        }
        self.catch_up();
        if self.settle(&socket) {
            for handler in &core.handlers.load_full().connect {
                self.start(&socket, || Some(handler(socket.clone())));
            }
        }
    }

    /// Does something behind everything that was asked of the shard before.
    pub(crate) fn in_order(&self, act: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        self.io.shard(self.index).push(Op::run(act));
    }

    /// Makes the socket, which is not connected yet. `None` if the session is gone.
    fn reserve(
        &self,
        session: SessionKey,
        namespace: Namespace,
        auth: Option<Box<str>>,
    ) -> Option<Socket> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let owner = state.sessions.get_mut(session)?;
        let mut random = [0; 12];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(%error, "the system has no random bytes");
            return None;
        }
        let id = SocketId::new(random, NEXT_SOCKET.fetch_add(1, Ordering::Relaxed));
        let handshake = owner.handshake.clone();
        let key = state.sockets.insert_with_key(|key| {
            let home = Home { shard: self.index, session, socket: key };
            let socket = Socket::new(id, home, namespace, handshake, auth);
            Slot { socket, standing: Standing::Entering(Vec::new()), waiting: None }
        });
        owner.sockets.push(key);
        state.sockets.get(key).map(|slot| slot.socket.clone())
    }

    /// Takes back a socket that was not let in. Says whether it was still there.
    fn release(&self, key: SocketKey) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.sockets.remove(key) else { return false };
        self.io.left(slot.socket.core());
        if let Some(session) = state.sessions.get_mut(slot.socket.session_key()) {
            session.sockets.retain(|socket| *socket != key);
        }
        true
    }

    /// Connects the socket. Says whether it was still there.
    fn settle(&self, socket: &Socket) -> bool {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let (key, session_key) = (socket.key(), socket.session_key());
        let Some(session) = state.sessions.get_mut(session_key) else { return false };
        let Some(slot) = state.sockets.get_mut(key) else { return false };
        let max_rooms = self.io.settings().max_rooms;
        let hub = state.hubs.entry(socket.core().id).or_insert_with(|| Hub::new(max_rooms));
        let seat = Seat { session: session_key, socket: key };
        let member = match hub.insert(socket.id(), seat) {
            Ok(member) => member,
            Err(error) => {
                tracing::error!(%error, "a new socket's id is in use");
                return false;
            }
        };
        let standing = std::mem::replace(&mut slot.standing, Standing::Connected(member));
        if let Standing::Entering(rooms) = standing {
            for room in &rooms {
                // The limit was checked when they were asked for.
                let _ = hub.join(member, room);
            }
        }
        session.connection.accepted(&socket.core().name);
        session.connect_by = None;
        let version = session.connection.version();
        let (parser, id) = (self.io.settings().parser, socket.id());
        let name = &socket.core().name;
        let answer = socketio::encode_connect(parser, version, name, id.as_str(), None);
        state.queue(session_key, answer, None);
        socket.set_connected(true);
        Counters::add(&self.io.inner().counters.sockets_connected, 1);
        drop(guard);
        self.wake();
        true
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
