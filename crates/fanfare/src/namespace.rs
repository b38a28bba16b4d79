//! Namespaces: parts of the application that share connections but nothing else.

use crate::Io;
use crate::ack::Ack;
use crate::broadcast::Broadcast;
use crate::disconnect::Disconnect;
use crate::emit::{EmitError, IntoArgs, IntoRooms};
use crate::handler::{
    self, EventError, EventHandler, Listener, Middleware, OnConnect, OnDisconnect, OnError, Refused,
};
use crate::socket::{Expired, Socket};
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use hub::Room;
use socketio::{Args, EventName};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An event as a catch-all listener or a event middleware sees it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The event's name.
    pub name: EventName,
    /// Its arguments, undecoded.
    pub args: Args,
}

type RecoveryGuard = Box<
    dyn Fn(Socket, Vec<Room>) -> Pin<Box<dyn Future<Output = Result<(), Refused>>>> + Send + Sync,
>;
type ExpiredListener = Arc<dyn Fn(&Expired) + Send + Sync>;
type AnyListener = Arc<dyn Fn(&Socket, &Event) + Send + Sync>;
type EventMiddleware = Arc<dyn Fn(&Socket, &Event) -> Result<(), Refused> + Send + Sync>;

/// What the application does in a namespace.
#[derive(Default, Clone)]
pub(crate) struct Handlers {
    pub(crate) middlewares: Vec<Arc<Middleware>>,
    pub(crate) event_middlewares: Vec<EventMiddleware>,
    pub(crate) connect: Vec<Arc<OnConnect>>,
    pub(crate) disconnect: Vec<Arc<OnDisconnect>>,
    pub(crate) events: HashMap<Box<str>, Arc<Listener>>,
    pub(crate) error: Option<Arc<OnError>>,
    pub(crate) any: Vec<AnyListener>,
    pub(crate) any_outgoing: Vec<AnyListener>,
    pub(crate) recovery_guard: Option<Arc<RecoveryGuard>>,
    pub(crate) expired: Vec<ExpiredListener>,
    pub(crate) without_recovery: bool,
}

/// What a namespace is, apart from the server it belongs to.
pub(crate) struct NamespaceCore {
    pub(crate) name: socketio::Namespace,
    /// Never used twice in a process, so that what is meant for a namespace that was cleaned up
    /// does not reach one of the same name that came after it.
    pub(crate) id: u32,
    /// Made by a pattern or a function, and removed when its last socket is gone.
    pub(crate) dynamic: bool,
    pub(crate) handlers: Arc<ArcSwap<Handlers>>,
    /// The name as the log has it.
    pub(crate) log_name: Arc<str>,
    /// The server remembers, and recovery is not switched off for all.
    recovery: bool,
    ack_ids: AtomicU64,
}

impl fmt::Debug for NamespaceCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.name).field("id", &self.id).finish()
    }
}

impl NamespaceCore {
    pub(crate) fn new(
        name: socketio::Namespace,
        id: u32,
        dynamic: bool,
        handlers: Arc<ArcSwap<Handlers>>,
        recovery: bool,
    ) -> Arc<Self> {
        let (log_name, ack_ids) = (name.as_str().into(), AtomicU64::new(0));
        Arc::new(NamespaceCore { name, id, dynamic, handlers, log_name, recovery, ack_ids })
    }

    /// Whether sockets of this namespace can be brought back, and events carry an offset.
    pub(crate) fn recovers(&self) -> bool {
        self.recovery && !self.handlers.load().without_recovery
    }

    /// The counter for acks that clients are asked for: one per namespace, as in Node.
    pub(crate) fn next_ack_id(&self) -> u64 {
        self.ack_ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// A namespace of a server.
///
/// Cheap to clone. Listeners are registered once, for all sockets of the namespace; they run on
/// the thread that owns the socket, so they must not block: what takes long and does not await
/// belongs into `tokio::task::spawn_blocking`.
#[derive(Clone)]
pub struct Namespace {
    io: Io,
    core: Arc<NamespaceCore>,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl Namespace {
    pub(crate) fn new(io: Io, core: Arc<NamespaceCore>) -> Self {
        Namespace { io, core }
    }

    pub(crate) fn core(&self) -> &Arc<NamespaceCore> {
        &self.core
    }

    /// The server this namespace belongs to.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The name, beginning with a slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.core.name.as_str()
    }

    fn register(&self, change: impl Fn(&mut Handlers)) -> &Self {
        register(&self.core.handlers, change);
        self
    }

    /// Decides who may connect. Middlewares run in the order of registration, each after the one
    /// before it let the socket through; the first `Err` refuses the socket with a
    /// `connect_error` on the client.
    ///
    /// The socket is not connected yet: it can be given data and rooms, but not be emitted to.
    pub fn middleware<F, Fut>(&self, middleware: F) -> &Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refused>> + 'static,
    {
        let middleware: Arc<Middleware> =
            Arc::new(Box::new(move |socket| Box::pin(middleware(socket))));
        self.register(|handlers| handlers.middlewares.push(middleware.clone()))
    }

    /// Sees each event of each socket before its listener, and may refuse it: the listener then
    /// does not run, and the client is told: see [`on_error`](Self::on_error).
    ///
    /// It is not async, so that listeners always start in the order in which events arrived.
    pub fn event_middleware<F>(&self, middleware: F) -> &Self
    where
        F: Fn(&Socket, &Event) -> Result<(), Refused> + Send + Sync + 'static,
    {
        let middleware: EventMiddleware = Arc::new(middleware);
        self.register(|handlers| handlers.event_middlewares.push(middleware.clone()))
    }

    /// Runs for each socket that connected. It starts before any listener of that socket, and
    /// what it emits first follows the answer to the client's CONNECT.
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let handler: Arc<OnConnect> = Arc::new(Box::new(move |socket| Box::pin(handler(socket))));
        self.register(|handlers| handlers.connect.push(handler.clone()))
    }

    /// Runs for each socket that is gone, with the reason and the rooms it was in.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: Fn(Socket, Disconnect) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let handler: Arc<OnDisconnect> =
            Arc::new(Box::new(move |socket, end| Box::pin(handler(socket, end))));
        self.register(|handlers| handlers.disconnect.push(handler.clone()))
    }

    /// Listens for an event. A second listener for the same event replaces the first.
    ///
    /// Listeners of one socket start in the order in which its events arrived. Each runs until
    /// its first await at once; from there on listeners of one socket may overlap.
    ///
    /// If the arguments that came do not fit those the listener wants, it is not started, and the
    /// client is told: see [`on_error`](Self::on_error).
    pub fn on<M>(&self, event: &str, handler: impl EventHandler<M>) -> &Self {
        let listener = Arc::new(handler::listener(handler));
        self.register(|handlers| {
            handlers.events.insert(event.into(), listener.clone());
        })
    }

    /// Runs for each event that was refused by a middleware or whose arguments do not fit its
    /// listener, with the ack that can tell the client.
    ///
    /// Without it the client gets `{code, message, details}`: as `{ok: false, error}` in the ack
    /// if it asked for one, else as an `error` event. The code is `PERMISSION_DENIED` or
    /// `INVALID_MESSAGE`.
    pub fn on_error(
        &self,
        handler: impl Fn(&Socket, &Event, &EventError, Ack) + Send + Sync + 'static,
    ) -> &Self {
        let handler: Arc<OnError> = Arc::new(Box::new(handler));
        self.register(|handlers| handlers.error = Some(handler.clone()))
    }

    /// Sees every event of every socket, before its listener.
    pub fn on_any(&self, listener: impl Fn(&Socket, &Event) + Send + Sync + 'static) -> &Self {
        let listener: AnyListener = Arc::new(listener);
        self.register(|handlers| handlers.any.push(listener.clone()))
    }

    /// Sees every event that is sent to a socket, once per receiver. This costs a call for each
    /// receiver of a broadcast: meant for debugging.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Event) + Send + Sync + 'static,
    ) -> &Self {
        let listener: AnyListener = Arc::new(listener);
        self.register(|handlers| handlers.any_outgoing.push(listener.clone()))
    }

    /// Decides whether a client that comes back may still be in the rooms it was in. It runs after
    /// the middlewares, which decide whether it may come in at all; on `Err` the client gets a new
    /// socket and is told that it was not recovered. A later call replaces it.
    pub fn recovery_guard<F, Fut>(&self, guard: F) -> &Self
    where
        F: Fn(Socket, Vec<Room>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refused>> + 'static,
    {
        let guard: Arc<RecoveryGuard> =
            Arc::new(Box::new(move |socket, rooms| Box::pin(guard(socket, rooms))));
        self.register(|handlers| handlers.recovery_guard = Some(guard.clone()))
    }

    /// Hears of each socket whose client did not come back in time: only now it is gone for good.
    /// It runs on a thread of its own and must not block for long.
    ///
    /// Not called for a namespace that a client made and that was removed since.
    pub fn on_expired(&self, listener: impl Fn(&Expired) + Send + Sync + 'static) -> &Self {
        let listener: ExpiredListener = Arc::new(listener);
        self.register(|handlers| handlers.expired.push(listener.clone()))
    }

    /// Switches connection state recovery off for this namespace: a client that comes back gets a
    /// new socket, and events carry no offset. To be called before clients connect.
    pub fn without_recovery(&self) -> &Self {
        self.register(|handlers| handlers.without_recovery = true)
    }

    /// All sockets of the namespace, to be narrowed.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(self.clone())
    }

    /// The sockets in these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// All sockets but those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.broadcast().except(rooms)
    }

    /// Sends an event to every socket of the namespace.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.broadcast().emit(event, args)
    }

    pub(crate) fn next_ack_id(&self) -> u64 {
        self.core.next_ack_id()
    }
}

/// Namespaces made on demand, all with the same listeners.
///
/// Made by [`Io::of_matching`] and [`Io::of_dynamic`]. A client that connects to a name that
/// matches makes the namespace; when its last socket is gone, it is removed.
#[derive(Clone)]
pub struct DynamicNamespace {
    /// Carries the listeners; no socket is ever in it.
    template: Namespace,
}

impl fmt::Debug for DynamicNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamicNamespace")
    }
}

impl DynamicNamespace {
    pub(crate) fn new(template: Namespace) -> Self {
        DynamicNamespace { template }
    }

    /// Where listeners are registered for all namespaces of this kind, present and to come.
    #[must_use]
    pub fn each(&self) -> &Namespace {
        &self.template
    }

    /// The namespaces of this kind that exist now.
    #[must_use]
    pub fn children(&self) -> Vec<Namespace> {
        self.template.io.children_of(&self.template.core.handlers)
    }

    /// Sends an event to every socket in every namespace of this kind.
    ///
    /// # Errors
    ///
    /// [`EmitError`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        let args = args.into_args()?;
        self.children().iter().try_for_each(|child| child.emit(event, &args))
    }
}

pub(crate) fn register(handlers: &ArcSwap<Handlers>, change: impl Fn(&mut Handlers)) {
    handlers.rcu(|current| {
        let mut changed = Handlers::clone(current);
        change(&mut changed);
        changed
    });
}
