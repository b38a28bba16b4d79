//! A shard: one thread, its connections, and all that is known of them.
//!
//! A connection lives on one shard from its first packet to its last. Everything about it, its
//! session, its sockets, their rooms and what waits to be sent, is owned by that shard's thread
//! and needs no lock. Other threads reach it through the shard's [`Inbox`].
//!
//! One loop drives a shard. Each time it is woken, after the other ready tasks had their turn, it
//! does what is in the inbox, in order, and then writes to every session that has something to
//! send: that is a *tick*. What a tick has for one room is joined and written with one call per
//! receiver.

mod begin;
mod catchup;
mod closing;
mod connect;
mod deliver;
mod form;
mod hold;
mod inbox;
mod journal;
mod load;
mod look;
mod members;
mod ops;
mod outbox;
mod polling;
mod protocol;
mod receive;
mod recover;
mod replay;
mod run;
mod session;
mod streams;
mod tasks;

pub(crate) use form::Form;
pub(crate) use inbox::Inbox;
pub use load::Load;
pub use look::{Busiest, Sample};
pub(crate) use ops::{Asked, Broadcasting, Op};
pub(crate) use outbox::Outbox;
pub(crate) use polling::Polled;
pub(crate) use protocol::Arrival;
pub(crate) use session::{Opening, Permit, SessionKey, SocketKey};
pub(crate) use streams::{StreamKey, StreamOpening};

use crate::Io;
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::rate::Rate;
use engineio::Sid;
use hashbrown::HashMap;
use hub::Hub;
use outbox::Backlog;
use recover::Turns;
use replay::Replays;
use run::Run;
use session::{Session, Slot};
use slotmap::SlotMap;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use streams::Streams;
use tokio_util::time::DelayQueue;

/// Where a member of a hub is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seat {
    Socket { session: SessionKey, socket: SocketKey },
    Stream(StreamKey),
}

impl Seat {
    /// The socket, if it is one: streams only listen.
    fn socket(self) -> Option<SocketKey> {
        match self {
            Seat::Socket { socket, .. } => Some(socket),
            Seat::Stream(_) => None,
        }
    }
}

/// Whose deadline a timer is.
#[derive(Debug, Clone, Copy)]
enum Due {
    Session(SessionKey),
    Stream(StreamKey),
}

/// What a shard knows. Borrowed for short, never while code of the application runs.
pub(crate) struct State {
    sessions: SlotMap<SessionKey, Session>,
    by_sid: HashMap<Sid, SessionKey>,
    sockets: SlotMap<SocketKey, Slot>,
    streams: Streams,
    /// By the namespace's id.
    hubs: HashMap<u32, Hub<Seat>>,
    /// Sessions that have something to send.
    dirty: Vec<SessionKey>,
    /// Sessions that did not take everything when they were written to last.
    blocked: Vec<SessionKey>,
    open: Option<OpenRun>,
    timers: DelayQueue<Due>,
    /// How far the log is shown to this shard's sockets.
    shown: u64,
    /// Sockets whose changes the journal did not take.
    unjournalled: Vec<SocketKey>,
    replays: Replays,
}

/// The run that further events may still be joined to.
struct OpenRun {
    run: Rc<Run>,
    /// The first event: what decides whether another one has the same receivers.
    first: Arc<Broadcasting>,
    receivers: usize,
    /// Receivers for whom something else came in between.
    detached: Vec<SessionKey>,
}

/// One thread's connections.
pub(crate) struct Shard {
    pub(crate) io: Io,
    pub(crate) index: u8,
    state: RefCell<State>,
    /// What connections read into, one after the other.
    pub(crate) read_buffer: RefCell<Box<[u8]>>,
    pub(crate) frame_limits: websocket::Limits,
    /// How fast one client is read, if there is a limit.
    pub(crate) read_rate: Option<Rate>,
    catching_up: Cell<bool>,
    /// An empty list whose capacity is used again.
    spare: Cell<Vec<Op>>,
    stopped: Cell<bool>,
    turns: RefCell<Turns>,
    /// When the first event of those that this tick delivers was published.
    oldest: Cell<Option<Instant>>,
}

/// Bytes one read may take: a burst of small messages, or a good part of a large one.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How long a thread that read the disk waits for more of it: many readers come together or not at
/// all.
const READERS_STAY: Duration = Duration::from_secs(1);

impl State {
    /// The sockets of a namespace.
    fn hub(&mut self, namespace: u32, max_rooms: u32) -> &mut Hub<Seat> {
        self.hubs.entry(namespace).or_insert_with(|| Hub::new(max_rooms))
    }

    /// Remembers a session that did not take everything.
    fn add_blocked(&mut self, key: SessionKey) {
        // Those that have ended since are forgotten when somebody looks, which need not happen.
        if self.blocked.len() >= 64 + 2 * self.sessions.len() {
            self.each_blocked(|_, _| {});
        }
        self.blocked.push(key);
    }

    /// Looks at each session that still has something to send, and forgets the others of the list.
    pub(crate) fn each_blocked(&mut self, mut look: impl FnMut(SessionKey, Backlog)) {
        self.seal();
        let State { sessions, blocked, .. } = self;
        blocked.retain(|key| {
            let Some(session) = sessions.get_mut(*key) else { return false };
            session.blocked = !session.outbox.is_empty();
            if session.blocked {
                look(*key, session.outbox.backlog());
            }
            session.blocked
        });
    }
}

impl Shard {
    /// Makes the shard's loop run once more: something was put into an outbox.
    pub(crate) fn wake(&self) {
        self.io.shard(self.index).wake();
    }

    /// Ends the thread. Sessions that are still open are cut.
    pub(crate) fn stop(self: &Rc<Self>) {
        let keys: Vec<SessionKey> = self.state.borrow().sessions.keys().collect();
        for key in keys {
            self.finish_session(key, DisconnectReason::ServerShuttingDown);
        }
        self.cut_streams();
        if let Some(recorder) = &self.io.inner().recorder {
            recorder.hand_over();
        }
        self.stopped.set(true);
        self.wake();
    }

    /// One tick: operations, deadlines, writing.
    fn tick(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.io.shard(self.index).listen(cx.waker());
        self.next_turns();
        self.catch_up();
        self.expire(cx);
        if let Some(recorder) = &self.io.inner().recorder {
            recorder.hand_over();
        }
        self.flush();
        if let Some(oldest) = self.oldest.take() {
            self.io.inner().counters.latency.observe(oldest.elapsed());
        }
        if self.stopped.get() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does what was asked of the shard so far. To be called before a client is told something
    /// that must come behind it; does nothing if that is being done at this moment.
    pub(crate) fn catch_up(self: &Rc<Self>) {
        if self.catching_up.replace(true) {
            return;
        }
        let mut ops = self.io.shard(self.index).take(self.spare.take());
        for op in ops.drain(..) {
            // Code of the application runs guarded; what it left to be dropped here does not.
            if catch_unwind(AssertUnwindSafe(|| self.apply(op))).is_err() {
                Counters::add(&self.io.inner().counters.handler_panics, 1);
                tracing::error!("an operation panicked; the shard goes on");
            }
        }
        self.spare.set(ops);
        self.catching_up.set(false);
    }

    fn apply(self: &Rc<Self>, op: Op) {
        match op {
            Op::Broadcast(broadcast, asked) => {
                let oldest =
                    self.oldest.get().map_or(broadcast.since, |it| it.min(broadcast.since));
                self.oldest.set(Some(oldest));
                self.broadcast(&broadcast, asked);
            }
            Op::Packet { socket, packet, flags } => self.send(socket, packet, flags),
            Op::Ask { socket, packet, id, waiting } => self.ask(socket, packet, id, waiting),
            Op::ForgetAck { socket, id } => self.forget_ack(socket, id),
            Op::Join { socket, rooms, done } => self.join(socket, &rooms, Some(done)),
            Op::Leave { socket, rooms } => self.leave(socket, &rooms),
            Op::Disconnect { socket, close } => self.disconnect(socket, close),
            Op::Run(run) => run(self),
        }
    }

    /// Handles what is due.
    fn expire(self: &Rc<Self>, cx: &mut Context<'_>) {
        loop {
            let expired = self.state.borrow_mut().timers.poll_expired(cx);
            let Poll::Ready(Some(expired)) = expired else { return };
            match expired.into_inner() {
                Due::Session(key) => self.session_due(key, Instant::now()),
                Due::Stream(key) => self.stream_due(key, Instant::now()),
            }
        }
    }
}

/// Starts a shard's thread, and waits until it has its runtime.
pub(crate) fn start(io: &Io, index: u8) -> std::io::Result<()> {
    let io = io.clone();
    let (started, outcome) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("fanfare-{index}"));
    thread.spawn(move || {
        if let Some(recorder) = &io.inner().recorder {
            recorder.settle_on(index);
        }
        // Dropped last, and also if the thread panics.
        let _end = End(io.shard(index).clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(READERS_STAY)
            .build_local(tokio::runtime::LocalOptions::default());
        // The one that waits is gone only if it panicked.
        match runtime {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(run(io, index));
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread ended at once")))
}

/// The end of a shard's thread: nobody waits for it any more.
struct End(Arc<Inbox>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn run(io: Io, index: u8) {
    let state = State {
        sessions: SlotMap::with_key(),
        by_sid: HashMap::new(),
        sockets: SlotMap::with_key(),
        streams: Streams::default(),
        hubs: HashMap::new(),
        dirty: Vec::new(),
        blocked: Vec::new(),
        open: None,
        timers: DelayQueue::new(),
        shown: io.shown_at_start(),
        unjournalled: Vec::new(),
        replays: Replays::default(),
    };
    let frame_limits = websocket::Limits {
        max_message_bytes: io.settings().engine.max_payload_bytes,
        ..websocket::Limits::default()
    };
    let shard = Rc::new(Shard {
        read_rate: io.settings().read_rate.rate(),
        io,
        index,
        state: RefCell::new(state),
        read_buffer: RefCell::new(vec![0; READ_BUFFER_BYTES].into_boxed_slice()),
        frame_limits,
        catching_up: Cell::new(false),
        spare: Cell::default(),
        stopped: Cell::new(false),
        turns: RefCell::default(),
        oldest: Cell::default(),
    });
    std::future::poll_fn(|cx| shard.tick(cx)).await;
}
