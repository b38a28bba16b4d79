//! One client in one namespace.

use crate::Io;
use crate::ack::{self, AckError, Waiting};
use crate::broadcast::Broadcast;
use crate::emit::{EmitError, Flags, IntoArgs, IntoRooms};
use crate::handshake::Handshake;
use crate::namespace::{Handlers, Namespace, NamespaceCore};
use crate::shard::{Broadcasting, Op, SessionKey, SocketKey};
use bytes::Bytes;
use engineio::Transport;
use hub::{JoinError, Room, RoomNameError, SocketId, Target};
use serde::de::DeserializeOwned;
use serde_json::Value;
use socketio::Args;
use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Where a socket lives. It never moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) shard: u8,
    pub(crate) session: SessionKey,
    pub(crate) socket: SocketKey,
}

type Extensions = Vec<(TypeId, Arc<dyn Any + Send + Sync>)>;

pub(crate) struct SocketCore {
    id: SocketId,
    home: Home,
    namespace: Namespace,
    handshake: Arc<Handshake>,
    /// What the client gave as `auth`, as JSON text.
    auth: Option<Box<str>>,
    connected: AtomicBool,
    /// When its client last sent an event, in seconds after the connection's handshake; 0 if never.
    active: AtomicU32,
    recovery: Recovery,
    /// Made when first used: most sockets have none.
    kept: OnceLock<Box<Mutex<Kept>>>,
}

/// Whether a socket can be brought back, or was.
#[derive(Debug, Default)]
struct Recovery {
    recoverable: bool,
    recovered: bool,
    subject: OnceLock<Arc<str>>,
}

/// What the application keeps with a socket.
struct Kept {
    data: Value,
    extensions: Extensions,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { data: Value::Object(serde_json::Map::new()), extensions: Extensions::new() }
    }
}

/// One client in one namespace.
///
/// Cheap to clone, and usable from any thread. What is done to a socket is done in the order of
/// the calls: an event emitted before [`disconnect`](Self::disconnect) still goes out.
#[derive(Clone)]
pub struct Socket(Arc<SocketCore>);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", &self.namespace().name())
            .field("connected", &self.is_connected())
            .finish()
    }
}

impl Socket {
    pub(crate) fn new(
        id: SocketId,
        home: Home,
        namespace: Namespace,
        handshake: Arc<Handshake>,
        auth: Option<Box<str>>,
    ) -> Self {
        let (connected, kept) = (AtomicBool::new(false), OnceLock::new());
        let recovery = Recovery::default();
        let active = AtomicU32::new(0);
        let core =
            SocketCore { id, home, namespace, handshake, auth, connected, active, recovery, kept };
        Socket(Arc::new(core))
    }

    /// The same before anybody else has it, as one that can be brought back, or that is.
    pub(crate) fn with_recovery(
        mut self,
        recoverable: bool,
        session: Option<&eventlog::Session>,
    ) -> Self {
        if let Some(core) = Arc::get_mut(&mut self.0) {
            core.recovery.recoverable = recoverable;
            core.recovery.recovered = session.is_some();
            let data = session.and_then(|session| serde_json::from_slice(&session.state).ok());
            if let Some(data) = data {
                let kept = Kept { data, extensions: Extensions::new() };
                core.kept = OnceLock::from(Box::new(Mutex::new(kept)));
            }
        }
        self
    }

    pub(crate) fn home(&self) -> Home {
        self.0.home
    }

    /// Whether the client can get this socket back after it lost its connection.
    pub(crate) fn is_recoverable(&self) -> bool {
        self.0.recovery.recoverable
    }

    /// What of the application's is journalled with the socket: its data, as JSON.
    pub(crate) fn kept_state(&self) -> Bytes {
        let Some(kept) = self.0.kept.get() else { return Bytes::new() };
        let kept = lock(kept);
        if kept.data.as_object().is_some_and(serde_json::Map::is_empty) {
            return Bytes::new();
        }
        Bytes::from(kept.data.to_string())
    }

    /// The public id: 20 characters, new for each connection to a namespace. It names the
    /// socket's own room, and is not the secret that the transport uses.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The namespace the socket is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// The server.
    #[must_use]
    pub fn io(&self) -> &Io {
        self.0.namespace.io()
    }

    /// The HTTP request the client came with.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// What the client gave as `auth` when it connected to the namespace.
    ///
    /// # Errors
    ///
    /// When it is not of this type; a client that gave nothing counts as having given `{}`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.auth.as_deref().unwrap_or("{}"))
    }

    /// Whether the client came back to this socket: its id, rooms and data are those of before, and
    /// what it missed was sent. False for a new socket, which has to be put into its rooms.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.0.recovery.recovered
    }

    /// Who the client is, if a middleware has said so.
    #[must_use]
    pub fn subject(&self) -> Option<Arc<str>> {
        self.0.recovery.subject.get().cloned()
    }

    /// Says who the client is, as a middleware found out. A client gets its socket back only as
    /// the same subject. To be called in a middleware, once; later calls change nothing.
    pub fn set_subject(&self, subject: impl Into<Arc<str>>) {
        let _ = self.0.recovery.subject.set(subject.into());
    }

    /// Whether the socket is connected: false in a middleware, and once it is gone.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Release);
    }

    /// The client sent an event.
    pub(crate) fn is_active(&self) {
        let since = self.handshake().opened.elapsed().as_secs();
        self.0.active.store(u32::try_from(since).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How long ago the client sent its last event, or opened its connection if it has sent none; in
    /// whole seconds. Heartbeats and acks do not count.
    #[must_use]
    pub fn inactive_for(&self) -> Duration {
        let active = Duration::from_secs(self.0.active.load(Ordering::Relaxed).into());
        self.handshake().opened.elapsed().saturating_sub(active)
    }

    pub(crate) fn shard(&self) -> u8 {
        self.0.home.shard
    }

    pub(crate) fn session_key(&self) -> SessionKey {
        self.0.home.session
    }

    pub(crate) fn key(&self) -> SocketKey {
        self.0.home.socket
    }

    pub(crate) fn core(&self) -> &Arc<NamespaceCore> {
        self.0.namespace.core()
    }

    /// A listener that emits without end must hear of it.
    fn has_room(&self) -> Result<(), EmitError> {
        let has_room = self.io().shard(self.shard()).has_room();
        has_room.then_some(()).ok_or(EmitError::Overloaded)
    }

    pub(crate) fn push(&self, op: Op) {
        self.io().push(self.shard(), op);
    }

    /// Sends an event to this socket.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit_with(event, args, Flags::default())
    }

    /// Sends an event that is dropped if the client cannot take it at once.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub fn emit_volatile(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit_with(event, args, Flags { volatile: true, ..Flags::default() })
    }

    fn emit_with(&self, event: &str, args: impl IntoArgs, flags: Flags) -> Result<(), EmitError> {
        if !self.is_connected() {
            return Err(EmitError::NotConnected);
        }
        let args = args.into_args()?;
        if self.core().recovers() {
            // Through the log as any other; what this socket cannot be given again is not kept.
            let target = Target::room(self.id().room());
            let broadcast = Broadcasting::event(self.namespace(), target, event, args, flags)?;
            let kept = Broadcasting { kept: self.is_recoverable(), ..broadcast };
            return self.io().publish(kept, None);
        }
        self.has_room()?;
        let op = Op::emit(self, event, args, flags, None)?;
        self.push(op);
        Ok(())
    }

    /// Sends an event and waits for the client's answer, at most for `deadline`.
    ///
    /// The event is sent at once, also if the future is never polled.
    ///
    /// # Errors
    ///
    /// [`AckError`]: not sent, not answered in time, or disconnected meanwhile.
    pub fn emit_with_ack<A: IntoArgs>(
        &self,
        event: &str,
        args: A,
        deadline: Duration,
    ) -> impl Future<Output = Result<Args, AckError>> + Send + use<A> {
        // Made at once: who drops it unpolled stops waiting too.
        let asked = self.ask(event, args);
        let answer = asked.map(|(id, receiver)| ack::one(self, id, receiver, deadline));
        async move { answer?.await }
    }

    fn ask(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<(u64, oneshot::Receiver<Args>), EmitError> {
        if !self.is_connected() {
            return Err(EmitError::NotConnected);
        }
        self.has_room()?;
        let id = self.core().next_ack_id();
        let (sender, receiver) = oneshot::channel();
        let args = args.into_args()?;
        let waiting = Some((id, Waiting::One(sender)));
        self.push(Op::emit(self, event, args, Flags::default(), waiting)?);
        Ok((id, receiver))
    }

    pub(crate) fn send_ack(&self, id: u64, args: &Args) {
        self.push(Op::ack(self, id, args));
    }

    /// Joins rooms. Done in the order of the calls, before any event that is emitted later;
    /// await the future only to learn whether it was possible.
    ///
    /// # Errors
    ///
    /// When a name is not valid at once, and from the future: too many rooms.
    pub fn join<R: IntoRooms>(
        &self,
        rooms: R,
    ) -> Result<impl Future<Output = Result<(), JoinError>> + Send + use<R>, RoomNameError> {
        let rooms = rooms.into_rooms()?;
        let (sender, receiver) = oneshot::channel();
        self.push(Op::Join { socket: self.key(), rooms, done: sender });
        // The shard is gone only when the whole server is.
        Ok(async move { receiver.await.unwrap_or(Err(JoinError::UnknownMember)) })
    }

    /// Leaves a room. Done in the order of the calls.
    ///
    /// # Errors
    ///
    /// When the name is not valid.
    pub fn leave(&self, room: impl IntoRooms) -> Result<(), RoomNameError> {
        let rooms = room.into_rooms()?;
        self.push(Op::Leave { socket: self.key(), rooms });
        Ok(())
    }

    /// The rooms the socket is in, its own among them.
    pub fn rooms(&self) -> impl Future<Output = Vec<Room>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let key = self.key();
        // The caller may have gone away meanwhile.
        self.push(Op::run(move |shard| drop(sender.send(shard.rooms_of(key)))));
        async move { receiver.await.unwrap_or_default() }
    }

    /// The transport that carries the socket's messages now. `None` once it is gone.
    pub fn transport(&self) -> impl Future<Output = Option<Transport>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let key = self.key();
        // The caller may have gone away meanwhile.
        self.push(Op::run(move |shard| {
            let _ = sender.send(shard.transport_of(key));
        }));
        async move { receiver.await.ok().flatten() }
    }

    /// All other sockets of the namespace, to be narrowed.
    pub fn broadcast(&self) -> Broadcast {
        self.namespace().broadcast().except(self.id())
    }

    /// The other sockets in these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// All other sockets but those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Disconnects the socket from its namespace, after what was emitted before; with `close`,
    /// the whole connection and so the client's other namespaces too.
    pub fn disconnect(&self, close: bool) {
        self.push(Op::Disconnect { socket: self.key(), close });
    }

    /// A copy of the data kept with the socket: JSON that other nodes see in
    /// [`RemoteSocket::data`]. At first `{}`.
    #[must_use]
    pub fn data(&self) -> Value {
        self.0.kept.get().map_or_else(|| Kept::default().data, |kept| lock(kept).data.clone())
    }

    /// Replaces the data kept with the socket.
    pub fn set_data(&self, data: impl Into<Value>) {
        let data = data.into();
        self.kept().data = data;
        if self.is_recoverable() && self.is_connected() {
            let key = self.key();
            self.push(Op::run(move |shard| shard.journal(key)));
        }
    }

    /// Keeps a value of the application with the socket, one per type.
    pub fn insert<T: Any + Send + Sync>(&self, value: T) {
        let mut kept = self.kept();
        kept.extensions.retain(|(id, _)| *id != TypeId::of::<T>());
        kept.extensions.push((TypeId::of::<T>(), Arc::new(value)));
    }

    /// The value of this type that is kept with the socket.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let kept = lock(self.0.kept.get()?);
        let (_, value) = kept.extensions.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.clone().downcast().ok()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(self.0.kept.get_or_init(Box::default))
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket whose client did not come back in time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Expired {
    /// Its id.
    pub id: SocketId,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Who its client was, if that was said.
    pub subject: Option<Arc<str>>,
    /// The rooms it was in, but its own.
    pub rooms: Vec<Room>,
    /// The data kept with it.
    pub data: Value,
}

impl Expired {
    /// What is told of a journalled session, and to whom.
    pub(crate) fn of(io: &Io, session: &eventlog::Session) -> Option<(Expired, Arc<Handlers>)> {
        let core = io.find(&session.namespace)?;
        let rooms = session.rooms.iter().filter_map(|room| Room::new(&room.name).ok());
        let expired = Expired {
            id: SocketId::parse(&session.socket).ok()?,
            namespace: session.namespace.clone(),
            subject: session.subject.clone(),
            rooms: rooms.collect(),
            data: serde_json::from_slice(&session.state).unwrap_or(Kept::default().data),
        };
        Some((expired, core.handlers.load_full()))
    }
}

/// What a node tells about one of its sockets.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) id: SocketId,
    pub(crate) handshake: Value,
    pub(crate) rooms: Vec<Room>,
    pub(crate) data: Value,
}

/// A socket somewhere in the cluster, as it was when it was asked for.
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    namespace: Namespace,
    description: Description,
}

impl RemoteSocket {
    pub(crate) fn new(namespace: Namespace, description: Description) -> Self {
        RemoteSocket { namespace, description }
    }

    /// The socket's id.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.description.id
    }

    /// The handshake as JSON: headers, query, address, auth and so on.
    #[must_use]
    pub fn handshake(&self) -> &Value {
        &self.description.handshake
    }

    /// The rooms it was in, its own among them.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.description.rooms
    }

    /// The data kept with it.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.description.data
    }

    /// This socket as a target: emit to it, make it join or leave rooms, disconnect it.
    pub fn target(&self) -> Broadcast {
        self.namespace.to(self.id())
    }
}
