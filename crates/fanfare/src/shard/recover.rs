//! A client comes back: its socket, its rooms, and what it missed.
//!
//! Nothing of the session changes until it is certain that all that was missed can be sent. Then,
//! without anything in between, the socket is registered, what it missed is queued, and the answer
//! to its CONNECT behind that: what is shown later follows.

use super::catchup::{Limits, failed};
use super::journal::Journal;
use super::session::Standing;
use super::{Op, Seat, SessionKey, Shard, State};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::namespace::Namespace;
use crate::recorder::{Recorder, pid_key};
use crate::recovery::{self, NotRecovered, Wanted};
use crate::socket::{Home, Socket};
use eventlog::{Entry, Position, Session};
use hub::{Hub, Room};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Recoveries a shard makes in one tick: a thousand clients that come back at once let others
/// have their turn.
const PER_TICK: usize = 8;

/// How a recovery ended, if not in failure.
pub(super) enum Recovered {
    /// The socket is connected.
    Connected(Socket),
    /// A middleware refused the client, and it was told so; or it is gone.
    Ended,
}

/// What a client asked for, as far as it is known to be right.
struct Claim {
    session: Session,
    fence: u64,
    /// What the client has seen.
    after: Position,
}

/// Who waits for a turn to recover.
#[derive(Default)]
pub(super) struct Turns {
    taken: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl Shard {
    /// Brings a session back, if all that its client missed can be sent.
    pub(super) async fn recover(
        self: &Rc<Self>,
        key: SessionKey,
        namespace: &Namespace,
        auth: Option<Box<str>>,
        wanted: &Wanted,
    ) -> Result<Recovered, NotRecovered> {
        let Some(recorder) = self.io.inner().recorder.clone() else {
            return Err(NotRecovered::UnknownPid);
        };
        let claim = claim(&recorder, namespace, wanted).await?;
        let Some(socket) = self.reserve(key, namespace.clone(), auth, Some(&claim.session)) else {
            self.io.left(namespace.core());
            return Ok(Recovered::Ended);
        };
        if self.refused_by_middleware(key, &socket).await {
            return Ok(Recovered::Ended);
        }
        match self.bring_back(&recorder, &socket, claim, &wanted.pid).await {
            Ok(()) => Ok(Recovered::Connected(socket)),
            Err(why) if self.release(socket.key()) => Err(why),
            Err(_) => Ok(Recovered::Ended), // it is gone, with its session
        }
    }

    async fn bring_back(
        self: &Rc<Self>,
        recorder: &Arc<Recorder>,
        socket: &Socket,
        mut claim: Claim,
        pid: &str,
    ) -> Result<(), NotRecovered> {
        if socket.subject() != claim.session.subject {
            return Err(NotRecovered::Subject);
        }
        let guard = socket.core().handlers.load().recovery_guard.clone();
        if let Some(guard) = guard {
            let rooms = claim.rooms().map(|(room, _)| room).collect();
            guard(socket.clone(), rooms).await.map_err(|_| NotRecovered::Room)?;
        }
        let key = claim.session.key;
        let in_the_way = recorder.sessions.in_the_way(key, claim.fence);
        if let Some(holder) = in_the_way.ok_or(NotRecovered::Overtaken)? {
            self.take_over(holder).await;
            claim.session = read_session(recorder, key).await?;
        }
        let limits = Limits::of(recorder);
        let missed = self.missed(recorder, &claim.session, claim.after, limits).await?;
        self.settle_recovered(recorder, socket, &claim)?;
        self.replay(socket, &missed, pid);
        Ok(())
    }

    /// Waits until it is this client's turn to read what it missed.
    pub(super) async fn turn(self: &Rc<Self>) {
        let waits = {
            let mut turns = self.turns.borrow_mut();
            turns.taken += 1;
            (turns.taken > PER_TICK).then(|| {
                let (sender, receiver) = oneshot::channel();
                turns.waiting.push_back(sender);
                receiver
            })
        };
        if let Some(turn) = waits {
            self.wake();
            // The sender is dropped only with the shard.
            let _ = turn.await;
        }
    }

    /// A tick begins: the next may recover.
    pub(super) fn next_turns(&self) {
        let mut turns = self.turns.borrow_mut();
        let next = turns.waiting.len().min(PER_TICK);
        turns.taken = next;
        for turn in turns.waiting.drain(..next) {
            let _ = turn.send(()); // it may be gone
        }
        if !turns.waiting.is_empty() {
            self.wake();
        }
    }

    /// Closes the connection that still holds a session: its client is here.
    async fn take_over(&self, holder: Home) {
        let (sender, receiver) = oneshot::channel();
        self.io.shard(holder.shard).push(Op::run(move |shard| {
            shard.close_session(holder.session, DisconnectReason::TakenOver);
            let _ = sender.send(()); // the client that waits may be gone too
        }));
        // It fails only if that shard has ended, and the holder with it.
        let _ = receiver.await;
        if let Some(recorder) = &self.io.inner().recorder {
            recorder.settled().await;
        }
    }

    /// Registers a socket that comes back, if it is still the one that is to.
    fn settle_recovered(
        self: &Rc<Self>,
        recorder: &Arc<Recorder>,
        socket: &Socket,
        claim: &Claim,
    ) -> Result<(), NotRecovered> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let (key, session_key, home) = (socket.key(), socket.session_key(), socket.home());
        let shown = state.shown;
        let max_rooms = self.io.settings().max_rooms;
        let State { sockets, hubs, .. } = state;
        // A socket that is gone again has no place any more.
        let Some(slot) = sockets.get_mut(key) else { return Err(NotRecovered::Overtaken) };
        if !recorder.sessions.settle(claim.session.key, claim.fence, home) {
            return Err(NotRecovered::Overtaken);
        }
        let hub = hubs.entry(socket.core().id).or_insert_with(|| Hub::new(max_rooms));
        let seat = Seat::Socket { session: session_key, socket: key };
        let Ok(member) = hub.insert(socket.id(), seat) else {
            recorder.sessions.leave(claim.session.key, home, Instant::now());
            return Err(NotRecovered::Overtaken);
        };
        let standing = std::mem::replace(&mut slot.standing, Standing::Connected(member));
        let mut rooms: Vec<(Room, u64)> = claim.rooms().collect();
        for room in standing.rooms() {
            if rooms.iter().all(|(known, _)| known != room) {
                rooms.push((room.clone(), shown));
            }
        }
        for (room, _) in &rooms {
            // The limit held when they were joined, or asked for.
            let _ = hub.join(member, room);
        }
        let session = &claim.session;
        let journal = Journal::written(session.key, claim.fence, session.start, rooms);
        slot.journal = Some(Box::new(journal));
        Ok(())
    }

    /// Queues the answer to CONNECT, and what was missed behind it.
    ///
    /// Node sends it the other way round. But clients keep what comes before the answer, also when
    /// the connection is lost before the answer comes; sent once more to the next connection, it
    /// would reach the application twice.
    fn replay(&self, socket: &Socket, missed: &[Arc<Entry>], pid: &str) {
        let mut state = self.state.borrow_mut();
        self.answer_connected(&mut state, socket, Some(pid));
        state.replay(socket.namespace(), socket.session_key(), missed);
        drop(state);
        Counters::add(&self.io.inner().counters.events_replayed, missed.len() as u64);
        self.wake();
    }
}

impl Claim {
    fn rooms(&self) -> impl Iterator<Item = (Room, u64)> + '_ {
        let rooms = self.session.rooms.iter();
        rooms.filter_map(|room| Some((Room::new(&room.name).ok()?, room.since)))
    }
}

/// What a `pid` and an offset stand for.
async fn claim(
    recorder: &Arc<Recorder>,
    namespace: &Namespace,
    wanted: &Wanted,
) -> Result<Claim, NotRecovered> {
    let key = pid_key(&wanted.pid);
    let fence = recorder.sessions.attempt(key).ok_or(NotRecovered::UnknownPid)?;
    if recorder.is_stale(key) {
        return Err(NotRecovered::Stale);
    }
    let session = read_session(recorder, key).await?;
    if *session.namespace != *namespace.name() {
        return Err(NotRecovered::Namespace);
    }
    if recovery::socket_id(&session).is_none() {
        return Err(NotRecovered::Log);
    }
    let after = match &wanted.offset {
        Some(offset) => offset.parse::<Position>().map_err(|_| NotRecovered::Offset)?,
        None => recovery::beginning(&session),
    };
    check_position(recorder, after)?;
    Ok(Claim { session, fence, after })
}

/// Whether a position is of this life of the log, and not beyond its end.
pub(super) fn check_position(recorder: &Recorder, at: Position) -> Result<(), NotRecovered> {
    let head = recorder.log.head();
    let known = at.epoch == head.epoch && at.sequence <= head.sequence;
    if known { Ok(()) } else { Err(NotRecovered::Epoch) }
}

async fn read_session(
    recorder: &Arc<Recorder>,
    key: eventlog::SessionKey,
) -> Result<Session, NotRecovered> {
    let found = recorder.read(move |log| log.session(key)).await.map_err(failed)?;
    if let Some(session) = found {
        return Ok(session);
    }
    // It may be on its way.
    recorder.settled().await;
    let found = recorder.read(move |log| log.session(key)).await.map_err(failed)?;
    found.ok_or(NotRecovered::UnknownPid)
}
