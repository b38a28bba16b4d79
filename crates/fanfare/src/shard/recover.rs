//! A client comes back: its socket, its rooms, and what it missed.
//!
//! Nothing of the session changes until it is certain that all that was missed can be sent. Then,
//! without anything in between, the socket is registered, what it missed is queued, and the answer
//! to its CONNECT behind that: what is shown later follows.

use super::journal::Journal;
use super::run::Run;
use super::session::Standing;
use super::{Broadcasting, Op, Seat, SessionKey, Shard, State};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::namespace::Namespace;
use crate::recorder::{Recorder, event_of, pid_key};
use crate::recovery::{self, NotRecovered, Wanted};
use crate::socket::{Home, Socket};
use eventlog::{Entry, EventLog, Page, Position, Query, ReadError, Scope, Session};
use hub::{Hub, Room};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// How often what was missed is read again because more came meanwhile.
const MAX_READS: usize = 16;

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
        self.turn().await;
        let mut missed = Missed { after: claim.after, entries: Vec::new(), bytes: 0 };
        for _ in 0..MAX_READS {
            self.catch_up();
            let shown = self.state.borrow().shown;
            if shown < claim.after.sequence {
                // The client has seen more than this shard has shown: that is in its inbox.
                tokio::task::yield_now().await;
                continue;
            }
            let bounds = Bounds::new(recorder, &missed, shown);
            let recent = read(&*recorder.log, &claim.session, &bounds, true).map_err(failed)?;
            match recent.filter(|page| page.complete) {
                Some(page) => {
                    missed.add(&claim, page, &bounds)?;
                    self.settle_recovered(recorder, socket, &claim)?;
                    self.replay(socket, &missed.entries, pid);
                    return Ok(());
                }
                None => {
                    let page = read_old(recorder, &claim.session, bounds).await?;
                    missed.add(&claim, page, &bounds)?;
                }
            }
        }
        Err(NotRecovered::TooMuch)
    }

    /// Waits until it is this client's turn.
    async fn turn(self: &Rc<Self>) {
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
        let seat = Seat { session: session_key, socket: key };
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

    /// Queues what was missed, and the answer to CONNECT behind it.
    fn replay(&self, socket: &Socket, missed: &[Arc<Entry>], pid: &str) {
        let mut state = self.state.borrow_mut();
        state.replay(socket, missed);
        self.answer_connected(&mut state, socket, Some(pid));
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

impl Recorder {
    /// Reads from the log, on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn EventLog) -> T + Send + 'static,
    ) -> Result<T, NotRecovered> {
        let permit = self.reads.acquire().await;
        let log = self.log.clone();
        let done = tokio::task::spawn_blocking(move || read(&*log)).await;
        drop(permit);
        done.map_err(|_| NotRecovered::Log)
    }

    /// Done when all that was asked of the log before is.
    pub(crate) async fn settled(self: &Arc<Self>) {
        let (sender, receiver) = oneshot::channel();
        self.behind(move || {
            let _ = sender.send(()); // whoever waited may be gone
        });
        let _ = receiver.await; // a closed log has done all it will
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
    let session = read_session(recorder, key).await?;
    if *session.namespace != *namespace.name() {
        return Err(NotRecovered::Namespace);
    }
    if recovery::socket_id(&session).is_none() {
        return Err(NotRecovered::Log);
    }
    let after = match &wanted.offset {
        Some(offset) => offset.parse::<Position>().map_err(|_| NotRecovered::Offset)?,
        None => session.start,
    };
    let head = recorder.log.head();
    if after.epoch != head.epoch || after.sequence > head.sequence {
        return Err(NotRecovered::Epoch);
    }
    Ok(Claim { session, fence, after })
}

async fn read_session(
    recorder: &Arc<Recorder>,
    key: eventlog::SessionKey,
) -> Result<Session, NotRecovered> {
    let found = recorder.read(move |log| log.session(key)).await?.map_err(failed)?;
    if let Some(session) = found {
        return Ok(session);
    }
    // It may be on its way.
    recorder.settled().await;
    let found = recorder.read(move |log| log.session(key)).await?.map_err(failed)?;
    found.ok_or(NotRecovered::UnknownPid)
}

/// What is read, and how much of it.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    after: Position,
    /// The last one.
    until: Position,
    limit: usize,
    max_bytes: u64,
}

impl Bounds {
    fn new(recorder: &Recorder, missed: &Missed, shown: u64) -> Self {
        let recovery = &recorder.recovery;
        Bounds {
            after: missed.after,
            until: Position { sequence: shown, ..missed.after },
            limit: recovery.max_events.saturating_sub(missed.entries.len()),
            max_bytes: (recovery.max_bytes as u64).saturating_sub(missed.bytes),
        }
    }
}

/// What was found so far.
struct Missed {
    /// Everything up to here was looked at.
    after: Position,
    entries: Vec<Arc<Entry>>,
    bytes: u64,
}

impl Missed {
    fn add(&mut self, claim: &Claim, page: Page, bounds: &Bounds) -> Result<(), NotRecovered> {
        let after = claim.after.sequence;
        for entry in page.entries {
            if recovery::missed(&claim.session, after, &entry) {
                self.bytes += entry.record.cost_bytes();
                self.entries.push(entry);
            }
        }
        if page.more || self.bytes > bounds.max_bytes {
            return Err(NotRecovered::TooMuch);
        }
        self.after = bounds.until;
        Ok(())
    }
}

/// Reads what may have been missed; `None` if memory alone does not have it.
fn read(
    log: &dyn EventLog,
    session: &Session,
    bounds: &Bounds,
    recent: bool,
) -> Result<Option<Page>, ReadError> {
    let rooms = recovery::rooms_of(session);
    let scope = Scope::Rooms { namespace: &session.namespace, rooms: &rooms, everyone: true };
    let query = Query {
        before: Some(Position { sequence: bounds.until.sequence + 1, ..bounds.until }),
        limit: bounds.limit,
        max_bytes: bounds.max_bytes,
        ..Query::after(scope, bounds.after)
    };
    if recent { log.read_recent(&query) } else { log.read(&query).map(Some) }
}

/// The same from the disk, on a thread that may wait for it.
async fn read_old(
    recorder: &Arc<Recorder>,
    session: &Session,
    bounds: Bounds,
) -> Result<Page, NotRecovered> {
    let session = session.clone();
    let read = recorder.read(move |log| {
        let Some(page) = read(log, &session, &bounds, false).map_err(failed)? else {
            return Err(NotRecovered::Log);
        };
        // Of a room that was joined later than that, less must be kept.
        let mut needed = recovery::needed_from(&session, bounds.after.sequence);
        let kept = page.complete
            || needed.try_fold(true, |kept, (room, from)| {
                let trimmed = log.watermark(&session.namespace, room).map_err(failed)?;
                Ok(kept && trimmed <= from)
            })?;
        if kept { Ok(page) } else { Err(NotRecovered::Trimmed) }
    });
    read.await?
}

fn failed(error: ReadError) -> NotRecovered {
    match error {
        ReadError::Epoch { .. } | ReadError::Ahead => NotRecovered::Epoch,
        error => {
            tracing::warn!(%error, "the event log could not be read for a client that came back");
            NotRecovered::Log
        }
    }
}

/// Runs that were replayed lately: those who were away together share them.
#[derive(Default)]
pub(super) struct Replays(VecDeque<Replay>);

struct Replay {
    namespace: u32,
    sequences: Vec<u64>,
    run: Rc<Run>,
}

/// How many are kept: 16 of 256 KiB at most.
const MAX_REPLAYS: usize = 16;

impl Replays {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A run that ends like the beginning of what is missed: it, and from where.
    fn find(&self, namespace: u32, missed: &[u64]) -> Option<(Rc<Run>, usize, usize)> {
        self.0.iter().find_map(|replay| {
            let from = replay.sequences.binary_search(missed.first()?).ok()?;
            let rest = replay.sequences.get(from..)?;
            let same = replay.namespace == namespace && missed.get(..rest.len()) == Some(rest);
            same.then(|| (replay.run.clone(), from, rest.len()))
        })
    }

    fn add(&mut self, namespace: u32, sequences: Vec<u64>, run: Rc<Run>) {
        self.0.push_front(Replay { namespace, sequences, run });
        self.0.truncate(MAX_REPLAYS);
    }
}

impl State {
    /// Queues what a socket missed.
    fn replay(&mut self, socket: &Socket, missed: &[Arc<Entry>]) {
        let namespace = socket.core().id;
        let sequences: Vec<u64> = missed.iter().map(|entry| entry.position.sequence).collect();
        let mut at = 0;
        while let Some(rest) = sequences.get(at..).filter(|rest| !rest.is_empty()) {
            let (run, from, count) = match self.replays.find(namespace, rest) {
                Some(found) => found,
                None => {
                    let (run, count) = run_of(socket.namespace(), missed.get(at..).unwrap_or(&[]));
                    let Some(run) = run else {
                        at += count;
                        continue;
                    };
                    let its = rest.get(..count).unwrap_or_default().to_vec();
                    self.replays.add(namespace, its, run.clone());
                    (run, 0, count)
                }
            };
            if let Some(session) = self.sessions.get_mut(socket.session_key()) {
                session.outbox.push_run(&run, u32::try_from(from).unwrap_or(0));
            }
            at += count;
        }
        self.mark(socket.session_key());
    }
}

/// A run of the first of these entries, and how many it has; how many to pass over if there is
/// nothing to send.
fn run_of(namespace: &Namespace, entries: &[Arc<Entry>]) -> (Option<Rc<Run>>, usize) {
    let event = |entry: &Entry| {
        let (event, position) = (event_of(entry)?, entry.position);
        let offset = position.to_string().into();
        Some(Arc::new(Broadcasting::recorded(namespace, event, position.sequence, offset)))
    };
    let mut run: Option<Run> = None;
    let mut count = 0;
    for entry in entries {
        let Some(event) = event(entry) else {
            tracing::error!(position = %entry.position, "a recorded event cannot be read");
            if run.is_none() {
                return (None, 1);
            }
            break;
        };
        match &run {
            Some(open) if !open.has_room(&event) => break,
            Some(open) => open.append(event),
            None => run = Some(Run::new(event)),
        }
        count += 1;
    }
    (run.map(Rc::new), count.max(1))
}
