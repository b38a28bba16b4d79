//! The operations on a shard's sockets.

use super::form::SharedPacket;
use super::{Shard, SocketKey};
use crate::Io;
use crate::ack::{Answer, Waiting};
use crate::emit::{EmitError, Flags};
use crate::namespace::{Event, Namespace, NamespaceCore};
use crate::socket::Socket;
use hub::{JoinError, Room, Target};
use smallvec::SmallVec;
use socketio::{Args, Encoded, EventName};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// An event on its way to many sockets: encoded once for all shards.
#[derive(Debug)]
pub(crate) struct Broadcasting {
    pub(crate) core: Arc<NamespaceCore>,
    pub(crate) target: Target,
    pub(crate) packet: SharedPacket,
    pub(crate) volatile: bool,
    /// Each receiver is asked for an ack: nothing else is joined to it.
    pub(crate) asks: bool,
    /// It may be recorded.
    pub(crate) kept: bool,
    /// Somebody listens to what goes out.
    pub(crate) overheard: bool,
    /// When it was published.
    pub(crate) since: Instant,
    /// Where it stands in the log, if it is recorded.
    pub(crate) sequence: Option<u64>,
}

/// Where the acks of a broadcast go.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: u64,
    pub(crate) sender: mpsc::UnboundedSender<Answer>,
}

impl Broadcasting {
    /// An event for the sockets of `target`.
    pub(crate) fn event(
        namespace: &Namespace,
        target: Target,
        name: &str,
        args: Args,
        flags: Flags,
    ) -> Result<Self, EmitError> {
        let name = EventName::new(name)?;
        Ok(Self::new(namespace, target, Event { name, args }, None, flags))
    }

    /// The same, asking each of them for an ack.
    pub(crate) fn ask(
        namespace: &Namespace,
        target: Target,
        name: &str,
        args: Args,
        ack: u64,
    ) -> Result<Self, EmitError> {
        let event = Event { name: EventName::new(name)?, args };
        Ok(Self::new(namespace, target, event, Some(ack), Flags::default()))
    }

    fn new(
        namespace: &Namespace,
        target: Target,
        event: Event,
        ack: Option<u64>,
        flags: Flags,
    ) -> Self {
        let core = namespace.core().clone();
        let (io, name) = (namespace.io(), core.name.clone());
        let compress = flags.threshold(io);
        Broadcasting {
            target,
            packet: SharedPacket::new(io.settings().parser, name, event, ack, compress),
            volatile: flags.volatile,
            asks: ack.is_some(),
            kept: true,
            overheard: !core.handlers.load().any_outgoing.is_empty(),
            since: Instant::now(),
            sequence: None,
            core,
        }
    }

    /// An event as it was recorded, for one that comes back or begins in the past.
    pub(crate) fn recorded(
        namespace: &Namespace,
        event: Event,
        sequence: u64,
        offset: Arc<str>,
    ) -> Self {
        let mut replayed = Self::new(namespace, Target::all(), event, None, Flags::default());
        if namespace.core().recovers() {
            replayed.packet.set_offset(offset.clone());
        }
        replayed.packet.set_reached(offset);
        Broadcasting { sequence: Some(sequence), ..replayed }
    }

    /// Whether it goes into the log first.
    pub(crate) fn is_recorded(&self, io: &Io) -> bool {
        self.kept && !self.volatile && !self.asks && io.records(&self.core, &self.target)
    }

    /// Whether `next` may be joined to this one: the same receivers, in any case.
    pub(crate) fn joins(&self, next: &Broadcasting) -> bool {
        let plain = |it: &Broadcasting| !it.volatile && !it.asks && !it.overheard;
        plain(self) && plain(next) && self.core.id == next.core.id && self.target == next.target
    }
}

fn encode(namespace: &Namespace, name: &EventName, args: &Args, ack: Option<u64>) -> Encoded {
    let event =
        socketio::Event { namespace: &namespace.core().name, name, args, ack, offset: None };
    socketio::encode_event(namespace.io().settings().parser, &event)
}

/// What a closure does on a shard.
type Act = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// Something to be done on a shard.
pub(crate) enum Op {
    /// An event for many, and where their acks go. That is not kept with the event: when the last
    /// receiver is gone, whoever waits is to notice, also while the event is still in an outbox.
    Broadcast(Arc<Broadcasting>, Option<Asked>),
    /// A packet for one socket.
    Packet {
        socket: SocketKey,
        packet: Encoded,
        flags: Flags,
    },
    /// An event for one socket that is asked for an ack.
    Ask {
        socket: SocketKey,
        packet: Encoded,
        id: u64,
        waiting: Waiting,
    },
    /// Nobody waits for this ack any more.
    ForgetAck {
        socket: SocketKey,
        id: u64,
    },
    Join {
        socket: SocketKey,
        rooms: SmallVec<[Room; 1]>,
        done: oneshot::Sender<Result<(), JoinError>>,
    },
    Leave {
        socket: SocketKey,
        rooms: SmallVec<[Room; 1]>,
    },
    Disconnect {
        socket: SocketKey,
        close: bool,
    },
    /// Anything rarer.
    Run(Act),
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Broadcast(..) => "Broadcast",
            Op::Packet { .. } => "Packet",
            Op::Ask { .. } => "Ask",
            Op::ForgetAck { .. } => "ForgetAck",
            Op::Join { .. } => "Join",
            Op::Leave { .. } => "Leave",
            Op::Disconnect { .. } => "Disconnect",
            Op::Run(_) => "Run",
        })
    }
}

impl Op {
    pub(crate) fn run(run: impl FnOnce(&Rc<Shard>) + Send + 'static) -> Op {
        Op::Run(Box::new(run))
    }

    /// An event for one socket, with an ack if `waiting` says who waits for it.
    pub(crate) fn emit(
        socket: &Socket,
        name: &str,
        args: Args,
        flags: Flags,
        waiting: Option<(u64, Waiting)>,
    ) -> Result<Op, EmitError> {
        let name = EventName::new(name)?;
        let id = waiting.as_ref().map(|(id, _)| *id);
        let packet = encode(socket.namespace(), &name, &args, id);
        let key = socket.key();
        let op = match waiting {
            Some((id, waiting)) => Op::Ask { socket: key, packet, id, waiting },
            None => Op::Packet { socket: key, packet, flags },
        };
        if socket.core().handlers.load().any_outgoing.is_empty() {
            return Ok(op);
        }
        Ok(op.overheard(socket.clone(), Event { name, args }))
    }

    /// Shows the event to those who listen to what goes out: on the socket's shard, as for a
    /// broadcast, where a panic ends this socket alone.
    fn overheard(self, socket: Socket, event: Event) -> Op {
        Op::run(move |shard| {
            shard.apply(self);
            let handlers = socket.core().handlers.load();
            shard.start(&socket, || {
                handlers.any_outgoing.iter().for_each(|listener| listener(&socket, &event));
                None
            });
        })
    }

    /// The answer to an event.
    pub(crate) fn ack(socket: &Socket, id: u64, args: &Args) -> Op {
        let parser = socket.io().settings().parser;
        let packet = socketio::encode_ack(parser, &socket.core().name, id, args);
        Op::Packet { socket: socket.key(), packet, flags: Flags::default() }
    }
}
