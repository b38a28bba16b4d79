//! The server: namespaces, shards, and what reaches all of them.

use crate::broadcast::Broadcast;
use crate::counters::Counters;
use crate::drain::{End, Stage};
use crate::emit::{EmitError, IntoArgs, IntoRooms};
use crate::handshake::Handshake;
use crate::namespace::{DynamicNamespace, Handlers, Namespace, NamespaceCore};
use crate::publish::Order;
use crate::recorder::{Keeper, Recorder};
use crate::registry::{Decide, Matcher, Registry};
use crate::server::HttpConnections;
use crate::settings::Settings;
use crate::shard::{self, Inbox, Op, Shard};
use crate::waiting::Waiting;
use arc_swap::{ArcSwap, ArcSwapOption};
use socketio::NamespaceError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A real-time server for Socket.IO clients.
///
/// Cheap to clone. It owns threads, one per core unless set otherwise, and each connection lives
/// on one of them. It is given requests by [`router`](Self::router) on the application's own HTTP
/// server, or by a [`Server`](crate::Server), which listens by itself.
///
/// The threads end with [`close`](Self::close) only, not when the last clone is dropped: a server
/// whose sockets are held by nobody still serves them.
///
/// The methods that send are those of the main namespace, `/`.
#[derive(Clone)]
pub struct Io(Arc<Inner>);

pub(crate) struct Inner {
    settings: Settings,
    /// What of the settings a Socket.IO connection needs.
    pub(crate) socketio: Arc<socketio::Settings>,
    inboxes: Inboxes,
    /// The namespace `/`: asked for so often that it has a place of its own.
    main: Arc<NamespaceCore>,
    registry: Registry,
    /// The log and who can be brought back, if anything is recorded.
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) keeper: Keeper,
    pub(crate) order: Order,
    /// Who waits for something new in a room.
    pub(crate) waiting: Waiting,
    next_shard: AtomicUsize,
    /// Sessions that are open or being opened, on all shards.
    pub(crate) sessions: AtomicUsize,
    pub(crate) counters: Counters,
    /// What the application thinks of a client before it has a session.
    allow: ArcSwapOption<Allow>,
    http: HttpConnections,
    pub(crate) end: End,
    pub(crate) memory_short: AtomicBool,
    /// Cancelled when everything has ended.
    pub(crate) closed: CancellationToken,
}

/// The way to each shard. There is at least one.
struct Inboxes {
    first: Arc<Inbox>,
    others: Box<[Arc<Inbox>]>,
}

impl Inboxes {
    fn new(count: usize) -> Self {
        let others = (1..count).map(|_| Arc::default()).collect();
        Inboxes { first: Arc::default(), others }
    }

    fn get(&self, index: u8) -> Option<&Arc<Inbox>> {
        match usize::from(index).checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(other),
        }
    }

    fn len(&self) -> usize {
        1 + self.others.len()
    }

    fn all(&self) -> Arc<[Arc<Inbox>]> {
        std::iter::once(&self.first).chain(&self.others).cloned().collect()
    }
}

/// Decides whether a client may open a session; `Err` may carry a message for it.
type Allow = Box<
    dyn Fn(Arc<Handshake>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>
        + Send
        + Sync,
>;

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("shards", &self.0.inboxes.len()).finish_non_exhaustive()
    }
}

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A thread could not be started.
    #[error("a thread for connections could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// More shards than a session id can name.
    #[error("{0} shards were asked for; 1 to 64 are possible")]
    Shards(usize),
    /// A setting of the transport that cannot work.
    #[error(transparent)]
    Engine(#[from] engineio::SettingsError),
    /// Streams that are written to all the time.
    #[error("streams.heartbeat is 0: expected a time")]
    NoHeartbeat,
    /// With no listener running nothing would ever be read.
    #[error("max_running_handlers is 0: expected at least 1")]
    NoHandlers,
    /// The sessions in the log's journal could not be read, or the thread that looks after them
    /// not be started.
    #[error("the sessions in the event log could not be read: {0}")]
    Journal(std::io::Error),
    /// The path does not begin with a slash, or has a query.
    #[error("the path {0:?} is not one: it begins with a slash and has no query")]
    Path(String),
}

/// How often a closing server looks whether its connections have ended.
const DRAIN_CHECK: Duration = Duration::from_millis(10);

/// The most shards there can be.
const MAX_SHARDS: usize = 64;

impl Io {
    /// A server with these settings.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn new(mut settings: Settings) -> Result<Io, BuildError> {
        let count = settings.shards;
        if count == 0 || count > MAX_SHARDS {
            return Err(BuildError::Shards(count));
        }
        settings.engine.check()?;
        if settings.max_running_handlers == 0 {
            return Err(BuildError::NoHandlers);
        }
        if settings.streams.heartbeat.is_zero() {
            return Err(BuildError::NoHeartbeat);
        }
        let path = settings.path.trim_end_matches('/');
        if !path.starts_with('/') || path.contains(['?', '#', '{', '}', '*']) {
            return Err(BuildError::Path(settings.path));
        }
        settings.path = path.to_owned();
        let recovery = settings.log.is_some() && settings.recovery.enabled;
        let root = socketio::Namespace::root();
        let main = NamespaceCore::new(root, 0, false, Arc::default(), recovery);
        let inboxes = Inboxes::new(count);
        let recorder = settings.log.as_ref();
        let recorder = recorder.map(|log| Recorder::new(log, inboxes.all(), settings.recovery));
        let order = Order::default();
        if let Some(recorder) = &recorder {
            order.begin(recorder.log.head());
        }
        let io = Io(Arc::new(Inner {
            socketio: Arc::new(settings.socketio()),
            settings,
            inboxes,
            registry: Registry::new(&main, recovery),
            main,
            recorder: recorder.map(Arc::new),
            keeper: Keeper::default(),
            order,
            waiting: Waiting::default(),
            next_shard: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            counters: Counters::default(),
            allow: ArcSwapOption::empty(),
            http: HttpConnections::default(),
            end: End::default(),
            memory_short: AtomicBool::new(false),
            closed: CancellationToken::new(),
        }));
        for index in io.shard_indices() {
            shard::start(&io, index)?;
        }
        if let Some(recorder) = &io.0.recorder {
            Keeper::start(&io, recorder).map_err(BuildError::Journal)?;
        }
        Ok(io)
    }

    /// A server with the default settings, each of which can be changed first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let io = fanfare::Io::with(|settings| settings.engine.ping_interval = Duration::from_secs(5))?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn with(change: impl FnOnce(&mut Settings)) -> Result<Io, BuildError> {
        let mut settings = Settings::default();
        change(&mut settings);
        Io::new(settings)
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The connections of this server's own listeners that are not upgraded.
    pub(crate) fn http_connections(&self) -> &HttpConnections {
        &self.0.http
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn shard(&self, index: u8) -> &Arc<Inbox> {
        // Indices come from `shard_indices`, or were checked by `has_shard`.
        self.0.inboxes.get(index).unwrap_or(&self.0.inboxes.first)
    }

    pub(crate) fn has_shard(&self, index: u8) -> bool {
        self.0.inboxes.get(index).is_some()
    }

    /// Runs a future on a shard's thread.
    pub(crate) fn spawn_on<Fut>(&self, index: u8, start: impl FnOnce() -> Fut + Send + 'static)
    where
        Fut: Future<Output = ()> + 'static,
    {
        self.shard(index).push(Op::run(move |_| drop(tokio::task::spawn_local(start()))));
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.0.inboxes.len()
    }

    pub(crate) fn shard_indices(&self) -> impl Iterator<Item = u8> + use<> {
        0..u8::try_from(self.0.inboxes.len()).unwrap_or(u8::MAX)
    }

    /// The shard for the next connection: in turn, which keeps them even.
    pub(crate) fn next_shard(&self) -> u8 {
        let next = self.0.next_shard.fetch_add(1, Ordering::Relaxed) % self.0.inboxes.len();
        u8::try_from(next).unwrap_or(0)
    }

    /// A namespace that exists now.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<NamespaceCore>> {
        self.0.registry.find(name)
    }

    /// Where the log was when the server started: what is in it by then is not shown.
    pub(crate) fn shown_at_start(&self) -> u64 {
        self.0.order.sequence()
    }

    /// Whether every shard can take another broadcast.
    pub(crate) fn has_room(&self) -> bool {
        self.shard_indices().all(|index| self.shard(index).has_room())
    }

    /// Runs something on each shard, in order with what was done before. Done when the future is,
    /// which need not be awaited.
    pub(crate) fn run_on_all<E, F>(&self, each: E) -> impl Future<Output = ()> + Send + use<E, F>
    where
        E: Fn() -> F,
        F: FnOnce(&Rc<Shard>) + Send + 'static,
    {
        self.each_shard(each, &|index, op| self.shard(index).push(op))
    }

    /// The same, behind what this thread published before.
    pub(crate) fn run_on_all_in_order<E, F>(
        &self,
        each: E,
    ) -> impl Future<Output = ()> + Send + use<E, F>
    where
        E: Fn() -> F,
        F: FnOnce(&Rc<Shard>) + Send + 'static,
    {
        self.each_shard(each, &|index, op| self.push(index, op))
    }

    fn each_shard<E, F>(
        &self,
        each: E,
        push: &dyn Fn(u8, Op),
    ) -> impl Future<Output = ()> + Send + use<E, F>
    where
        E: Fn() -> F,
        F: FnOnce(&Rc<Shard>) + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        for index in self.shard_indices() {
            let (run, sender) = (each(), sender.clone());
            let op = Op::run(move |shard| {
                run(shard);
                drop(sender);
            });
            push(index, op);
        }
        drop(sender);
        // Nothing is ever sent: the channel closes when the last shard is done.
        async move {
            receiver.recv().await;
        }
    }

    /// A namespace; it is made if it does not exist.
    ///
    /// One that a client made by a pattern or a function shares its listeners with all of its
    /// kind: what is registered on it is registered for all.
    ///
    /// # Errors
    ///
    /// When the name does not begin with a slash, or has more than 256 bytes.
    pub fn of(&self, name: &str) -> Result<Namespace, NamespaceError> {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let core = self.0.registry.of(&socketio::Namespace::new(&name)?);
        Ok(Namespace::new(self.clone(), core))
    }

    /// The main namespace, `/`: where a client is that names none.
    #[must_use]
    pub fn main(&self) -> Namespace {
        Namespace::new(self.clone(), self.0.main.clone())
    }

    /// Namespaces whose whole name matches a pattern, made when a client connects to them.
    pub fn of_matching(&self, pattern: regex::Regex) -> DynamicNamespace {
        self.add_dynamic(Matcher::Pattern(pattern))
    }

    /// Namespaces that a function allows, by their name and the client's `auth`; made when a
    /// client connects to them.
    pub fn of_dynamic<F, Fut>(&self, decide: F) -> DynamicNamespace
    where
        F: Fn(String, serde_json::Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let decide: Decide = Box::new(move |name, auth| Box::pin(decide(name, auth)));
        self.add_dynamic(Matcher::Decide(decide))
    }

    fn add_dynamic(&self, matcher: Matcher) -> DynamicNamespace {
        let template = self.0.registry.add_dynamic(matcher);
        DynamicNamespace::new(Namespace::new(self.clone(), template))
    }

    /// The namespaces that exist now.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.collect(|_| true)
    }

    pub(crate) fn children_of(&self, handlers: &Arc<ArcSwap<Handlers>>) -> Vec<Namespace> {
        self.collect(|core| Arc::ptr_eq(&core.handlers, handlers))
    }

    fn collect(&self, wanted: impl Fn(&NamespaceCore) -> bool) -> Vec<Namespace> {
        let cores = self.0.registry.cores(wanted).into_iter();
        cores.map(|core| Namespace::new(self.clone(), core)).collect()
    }

    /// The namespace a client asks for, if there is one. It counts as used until
    /// [`left`](Self::left) is called.
    pub(crate) async fn enter(
        &self,
        name: &socketio::Namespace,
        auth: Option<&str>,
    ) -> Option<Namespace> {
        let core = self.0.registry.enter(name, auth).await?;
        Some(Namespace::new(self.clone(), core))
    }

    /// Counts one more that is in the namespace, if it still exists.
    pub(crate) fn stay(&self, core: &NamespaceCore) -> bool {
        self.0.registry.stay(core)
    }

    /// A socket is no longer in the namespace, or never came in.
    pub(crate) fn left(&self, core: &NamespaceCore) {
        self.0.registry.left(core);
    }

    /// Decides who may open a session, before anything else is done for a client. `Err` is
    /// answered with 403 (400 to a WebSocket) and its text, or `Forbidden` if that is empty.
    ///
    /// It is not asked again when a session moves to a WebSocket. A later call replaces it.
    pub fn allow_request<F, Fut>(&self, decide: F)
    where
        F: Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let allow: Allow = Box::new(move |handshake| Box::pin(decide(handshake)));
        self.0.allow.store(Some(Arc::new(allow)));
    }

    pub(crate) async fn allows(&self, handshake: &Arc<Handshake>) -> Result<(), Option<String>> {
        let Some(allow) = self.0.allow.load_full() else { return Ok(()) };
        let decision = allow(handshake.clone()).await;
        decision.map_err(|message| Some(message).filter(|message| !message.is_empty()))
    }

    /// All sockets of the main namespace, to be narrowed.
    pub fn broadcast(&self) -> Broadcast {
        self.main().broadcast()
    }

    /// The sockets of the main namespace in these rooms.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        self.main().to(rooms)
    }

    /// All sockets of the main namespace but those in these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        self.main().except(rooms)
    }

    /// Sends an event to every socket of the main namespace.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.main().emit(event, args)
    }

    /// Whether everything is being closed: [`close`](Self::close) was called, or
    /// [`drain`](Self::drain) has taken leave of all clients.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.end.has_begun(Stage::Closing)
    }

    /// Done when what was published has been shown.
    pub(crate) async fn show_all(&self) {
        if let Some(recorder) = &self.0.recorder {
            let handed_over = recorder.clone();
            self.run_on_all(|| {
                let recorder = handed_over.clone();
                move |_| recorder.hand_over()
            })
            .await;
            recorder.settled().await;
        }
    }

    /// Closes every connection, after what was already emitted was written, and ends the threads.
    ///
    /// Sockets disconnect with the reason "server shutting down"; new ones are refused. What has
    /// not been written after `grace` is given up.
    pub async fn close(&self, grace: Duration) {
        if !self.0.end.begin(Stage::Closing) {
            return self.0.closed.cancelled().await; // somebody else closes it
        }
        self.0.waiting.close();
        self.show_all().await;
        self.run_on_all(|| |shard| shard.close_all()).await;
        let drained = async {
            // Clients that poll come once more to be told; then nobody has a reason to come.
            while self.0.sessions.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
            self.0.http.begin_closing();
            while self.0.http.open() > 0 {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        let in_time = tokio::time::timeout(grace, drained).await.is_ok();
        self.0.http.begin_closing();
        if !in_time {
            tracing::warn!("some connections did not take everything before the deadline");
        }
        self.run_on_all(|| |shard| shard.stop()).await;
        if let Some(recorder) = self.0.recorder.clone() {
            self.0.keeper.stop();
            // It waits for the disk.
            let closed = tokio::task::spawn_blocking(move || recorder.log.close()).await;
            if closed.is_err() {
                tracing::error!("the event log could not be closed in order");
            }
        }
        self.0.registry.forget_handlers();
        self.0.closed.cancel();
    }
}
