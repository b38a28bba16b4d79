//! Choosing who gets an event, and sending it.

use crate::ack::{self, Unanswered};
use crate::emit::{EmitError, Flags, IntoArgs, IntoRooms};
use crate::namespace::{Namespace, NamespaceCore};
use crate::recorder::{Published, Wish};
use crate::shard::{Asked, Broadcasting, Op, Shard};
use crate::socket::RemoteSocket;
use eventlog::{AppendError, Durability};
use hub::{Room, RoomNameError, Target};
use smallvec::SmallVec;
use socketio::Args;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a broadcast waits for acks unless told otherwise: as long as Node's adapters wait.
const DEFAULT_ACK_DEADLINE: Duration = Duration::from_secs(5);

/// Done when every shard is.
type Done = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A choice of sockets in one namespace, and how to send to them.
///
/// Made by [`Io::to`](crate::Io::to), [`Namespace::to`], [`Socket::to`](crate::Socket::to) and
/// their relatives; refined by further calls; used by [`emit`](Self::emit) and the others. Without
/// `to`, every socket of the namespace is meant. A socket that is in several of the rooms gets the
/// event once.
///
/// A name that is no valid room is reported by the call that ends the chain.
#[derive(Debug, Clone)]
#[must_use = "a broadcast does nothing until something is emitted"]
pub struct Broadcast {
    namespace: Namespace,
    rooms: SmallVec<[Room; 1]>,
    except: SmallVec<[Room; 1]>,
    flags: Flags,
    /// Whether it is recorded, where its rooms are.
    kept: bool,
    wish: Wish,
    deadline: Duration,
    error: Option<BadTarget>,
}

#[derive(Debug, Clone)]
enum BadTarget {
    Name(RoomNameError),
    NoRooms,
}

impl Broadcast {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Broadcast {
            namespace,
            rooms: SmallVec::new(),
            except: SmallVec::new(),
            flags: Flags::default(),
            kept: true,
            wish: Wish::default(),
            deadline: DEFAULT_ACK_DEADLINE,
            error: None,
        }
    }

    /// Adds rooms whose sockets are meant.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        match rooms.into_rooms() {
            // No room at all must never widen to everyone.
            Ok(rooms) if rooms.is_empty() => self.error = Some(BadTarget::NoRooms),
            Ok(rooms) => self.rooms.extend(rooms),
            Err(error) => self.error = Some(BadTarget::Name(error)),
        }
        self
    }

    /// The same as [`to`](Self::to), as in Node's API.
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Adds rooms whose sockets are not meant, whatever other rooms they are in.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        match rooms.into_rooms() {
            Ok(rooms) => self.except.extend(rooms),
            Err(error) => self.error = Some(BadTarget::Name(error)),
        }
        self
    }

    /// Drops the event for sockets that cannot take it at once, instead of keeping it for them.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Does not record the event: it is sent to who is connected, and nobody gets it later. For what is
    /// true only now, such as who is there. Unlike a volatile event it waits for slow clients.
    pub fn unrecorded(mut self) -> Self {
        self.kept = false;
        self
    }

    /// Whether the event may be compressed, where compression is on. Default: it may.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// Only sockets of this node are meant.
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// Makes a retry of [`publish`](Self::publish) safe: of several events with the same key in
    /// one namespace only the first is sent, and all have its position. 1 to 255 bytes, remembered
    /// for as long as the log is set to.
    pub fn idempotency_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.wish.key = Some(key.into());
        self
    }

    /// How safe the event must be before [`publish`](Self::publish) is done. Default: as the log
    /// is set, `os` on a disk.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.wish.durability = Some(durability);
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits. Default: 5 s.
    pub fn timeout(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends an event.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub fn emit(self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        let target = self.target()?;
        let args = args.into_args()?;
        let broadcast = Broadcasting::event(&self.namespace, target, event, args, self.flags)?;
        let broadcast = Broadcasting { kept: self.kept, ..broadcast };
        self.namespace.io().publish(broadcast, None)
    }

    /// Sends an event, and waits until it is recorded: as safe as wished, and on its way to its
    /// sockets. One that is not recorded is sent at once.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then, unless it is [`EmitError::Log`] and says that this is
    /// unknown. With an [`idempotency_key`](Self::idempotency_key) it can be sent again safely.
    pub async fn publish(self, event: &str, args: impl IntoArgs) -> Result<Published, EmitError> {
        let target = self.target()?;
        let args = args.into_args()?;
        let broadcast = Broadcasting::event(&self.namespace, target, event, args, self.flags)?;
        let broadcast = Broadcasting { kept: self.kept, ..broadcast };
        let io = self.namespace.io();
        if broadcast.is_recorded(io) {
            let told = io.record(broadcast, self.wish)?;
            let published = told.await.unwrap_or(Err(AppendError::Closed));
            return published.map_err(EmitError::from);
        }
        if self.wish.key.is_some() {
            return Err(EmitError::NotRecorded);
        }
        io.publish(broadcast, None)?;
        Ok(Published { position: None, repeated: false })
    }

    /// Sends an event and collects one answer from each socket that got it.
    ///
    /// # Errors
    ///
    /// `Err` when the event could not be sent; the inner `Err` when some sockets did not answer
    /// within the deadline or disconnected first, with the answers that came.
    pub async fn emit_with_ack(
        self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<Result<Vec<Args>, Unanswered>, EmitError> {
        let target = self.target()?;
        let args = args.into_args()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let asked = Asked { id: self.namespace.next_ack_id(), sender };
        let broadcast = Broadcasting::ask(&self.namespace, target, event, args, asked.id)?;
        let shards = self.namespace.io().shard_count();
        let mut forget = ack::ForgetAll::new(&self.namespace, asked.id);
        // What is left of what was asked is with the shards.
        self.namespace.io().publish(broadcast, Some(asked))?;
        let answers = ack::many(receiver, shards, self.deadline).await;
        forget.answered = answers.is_ok();
        Ok(answers)
    }

    /// The sockets that are meant, with what is known of them.
    ///
    /// # Errors
    ///
    /// When a room's name is not valid.
    pub async fn fetch_sockets(self) -> Result<Vec<RemoteSocket>, EmitError> {
        let target = self.target()?;
        let namespace = &self.namespace;
        let mut receivers = Vec::new();
        for index in namespace.io().shard_indices() {
            let (sender, receiver) = oneshot::channel();
            let (target, core) = (target.clone(), namespace.core().clone());
            namespace.io().push(
                index,
                Op::run(move |shard| {
                    // The caller may have gone away meanwhile.
                    let _ = sender.send(shard.describe(&core, &target));
                }),
            );
            receivers.push(receiver);
        }
        let mut sockets = Vec::new();
        for receiver in receivers {
            // A shard that is gone has no sockets.
            sockets.extend(receiver.await.unwrap_or_default());
        }
        Ok(sockets
            .into_iter()
            .map(|description| RemoteSocket::new(namespace.clone(), description))
            .collect())
    }

    /// Makes the sockets that are meant join rooms.
    ///
    /// # Errors
    ///
    /// When a room's name is not valid.
    pub fn sockets_join<R: IntoRooms>(
        self,
        rooms: R,
    ) -> Result<impl Future<Output = ()> + Send + use<R>, EmitError> {
        let rooms = rooms.into_rooms()?;
        self.on_each_shard(move |shard, core, target| shard.join_targets(core, target, &rooms))
    }

    /// Makes the sockets that are meant leave rooms.
    ///
    /// # Errors
    ///
    /// When a room's name is not valid.
    pub fn sockets_leave<R: IntoRooms>(
        self,
        rooms: R,
    ) -> Result<impl Future<Output = ()> + Send + use<R>, EmitError> {
        let rooms = rooms.into_rooms()?;
        self.on_each_shard(move |shard, core, target| shard.leave_targets(core, target, &rooms))
    }

    /// Disconnects the sockets that are meant from the namespace; with `close`, their whole
    /// connections.
    ///
    /// # Errors
    ///
    /// When a room's name is not valid.
    pub fn disconnect_sockets(
        self,
        close: bool,
    ) -> Result<impl Future<Output = ()> + Send + use<>, EmitError> {
        self.on_each_shard(move |shard, core, target| {
            shard.disconnect_targets(core, target, close);
        })
    }

    /// Disconnects those of the sockets that are meant whose clients have sent no event for a time; see
    /// [`Socket::inactive_for`](crate::Socket::inactive_for). How many they were. With `close`, their
    /// connections are closed: of those only that are as quiet in all other namespaces.
    ///
    /// # Errors
    ///
    /// When a room's name is not valid.
    pub fn disconnect_inactive(
        self,
        time: Duration,
        close: bool,
    ) -> Result<impl Future<Output = usize> + Send + use<>, EmitError> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let done = self.on_each_shard(move |shard, core, target| {
            let some = shard.disconnect_inactive(core, target, time, close);
            counted.fetch_add(some, Ordering::Relaxed);
        })?;
        Ok(async move {
            done.await;
            count.load(Ordering::Relaxed)
        })
    }

    /// Does something with the sockets that are meant, on each shard, in order with all else.
    fn on_each_shard(
        &self,
        act: impl Fn(&Rc<Shard>, &NamespaceCore, &Target) + Clone + Send + 'static,
    ) -> Result<Done, EmitError> {
        let (core, target) = (self.namespace.core().clone(), Arc::new(self.target()?));
        let done = self.namespace.io().run_on_all_in_order(move || {
            let (act, core, target) = (act.clone(), core.clone(), target.clone());
            move |shard: &Rc<Shard>| act(shard, &core, &target)
        });
        Ok(Box::pin(done))
    }

    fn target(&self) -> Result<Target, EmitError> {
        match &self.error {
            Some(BadTarget::Name(error)) => return Err((*error).into()),
            Some(BadTarget::NoRooms) => return Err(EmitError::NoRooms),
            None => {}
        }
        let target = Target::rooms(self.rooms.iter().cloned()).unwrap_or_else(Target::all);
        Ok(self.except.iter().cloned().fold(target, Target::except))
    }
}
