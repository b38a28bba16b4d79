//! A session and the sockets on it, as their shard keeps them.

use super::begin::Begin;
use super::journal::Journal;
use super::outbox::Outbox;
use crate::Io;
use crate::ack::Waiting;
use crate::disconnect::DisconnectReason;
use crate::handshake::Handshake;
use crate::rate::Bucket;
use crate::socket::Socket;
use crate::transport::Link;
use engineio::{Revision, Sid, Transport};
use hashbrown::HashMap;
use hub::{Member, Room};
use smallvec::SmallVec;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::time::delay_queue;

slotmap::new_key_type! {
    /// A session on its shard. Never used twice.
    pub(crate) struct SessionKey;
    /// A socket on its shard. Never used twice.
    pub(crate) struct SocketKey;
}

/// The right to open one session; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Io);

impl Permit {
    /// `None` when as many sessions are open as there may be, or memory is short.
    pub(crate) fn take(io: &Io) -> Option<Permit> {
        let open = io.inner().sessions.fetch_add(1, Ordering::AcqRel);
        let permit = Permit(io.clone()); // gives it back if there are too many
        (open < io.settings().max_sessions && !io.is_memory_short()).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inner().sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a session begins with.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) revision: Revision,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) permit: Permit,
}

/// A polling request that waits for something to be sent.
pub(crate) struct WaitingPoll {
    pub(crate) reply: oneshot::Sender<super::Polled>,
    /// The client cannot take binary.
    pub(crate) base64: bool,
}

/// How long a granted WebSocket may take to reach its shard.
const PROBE_ARRIVAL: Duration = Duration::from_secs(1);

/// One Engine.IO session: a client's connection, whatever carries it.
pub(crate) struct Session {
    pub(crate) sid: Sid,
    pub(crate) protocol: engineio::Session,
    pub(crate) connection: socketio::Connection,
    /// The WebSocket, once there is one.
    pub(crate) link: Option<Rc<Link>>,
    /// The WebSocket the session is about to move to.
    pub(crate) probe: Option<Rc<Link>>,
    /// The polling request that waits for something to be sent.
    pub(crate) poll: Option<WaitingPoll>,
    pub(crate) outbox: Outbox,
    pub(crate) sockets: SmallVec<[SocketKey; 1]>,
    pub(crate) handshake: Arc<Handshake>,
    /// In the shard's list of sessions with something to send.
    pub(crate) dirty: bool,
    /// In the shard's list of sessions that did not take everything.
    pub(crate) blocked: bool,
    /// How many of its sockets have changes on their way to the journal: nothing is written to
    /// the client until they are there.
    pub(crate) held: u32,
    /// Nothing that the client still sends is of interest.
    pub(crate) deaf: bool,
    /// The server closes the session, once its outbox is empty.
    pub(crate) ending: Option<DisconnectReason>,
    /// The client opened the session by polling and cannot take binary.
    pub(crate) base64: bool,
    /// A WebSocket that wants to take over was granted then, and is on its way here.
    pub(crate) probe_expected: Option<Instant>,
    /// Listeners of this session that have not finished.
    pub(crate) running: u32,
    /// What was posted lately.
    pub(crate) posted: Bucket,
    /// Until then the client was not read from, or will not be.
    pub(crate) held_until: Option<Instant>,
    /// A POST that is read no further until fewer listeners are unfinished: dropped then.
    pub(crate) post_waits: Option<oneshot::Sender<()>>,
    pub(crate) timer: Option<(delay_queue::Key, Instant)>,
    /// When the session is over if it has joined no namespace, or, of one that ends, if it has not
    /// taken what it still is to be sent.
    pub(crate) over_by: Option<Instant>,
    pub(crate) _permit: Permit,
}

impl Session {
    /// The WebSocket, if that is what carries messages now.
    pub(crate) fn websocket(&self) -> Option<&Rc<Link>> {
        self.link.as_ref().filter(|_| self.protocol.transport() == Transport::Websocket)
    }

    /// Whether what is sent now leaves now.
    pub(crate) fn is_writable(&self) -> bool {
        self.websocket().map_or(self.poll.is_some(), |link| !link.is_blocked())
    }

    /// Whether the client is moving to a WebSocket, as far as is known.
    pub(crate) fn is_moving(&self, now: Instant) -> bool {
        let expected = self.probe_expected;
        self.protocol.is_upgrading()
            || expected.is_some_and(|at| now.saturating_duration_since(at) < PROBE_ARRIVAL)
    }

    /// When something has to be done, whatever happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let protocol = self.protocol.deadline();
        match (protocol, self.over_by) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// One socket, connected or on its way.
pub(crate) struct Slot {
    pub(crate) socket: Socket,
    pub(crate) standing: Standing,
    /// Acks the client owes. Few sockets have any.
    pub(crate) waiting: Option<Box<HashMap<u64, Waiting>>>,
    /// Where it begins, until it is connected, if it wants to begin in the past.
    pub(crate) begin: Option<Box<Begin>>,
    /// What brings it back, if anything does.
    pub(crate) journal: Option<Box<Journal>>,
}

impl Slot {
    /// Who waits for this ack; nobody does any more.
    pub(crate) fn take_waiting(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.as_mut()?;
        let taken = waiting.remove(&id);
        if waiting.is_empty() {
            self.waiting = None;
        }
        taken
    }
}

/// How far a socket is.
pub(crate) enum Standing {
    /// Middlewares decide; rooms it was put in are joined when it connects.
    Entering(Vec<Room>),
    Connected(Member),
}
