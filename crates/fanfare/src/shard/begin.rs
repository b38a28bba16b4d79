//! A socket begins in the past: it asked for what was sent before it connected, or before it joined.
//!
//! It is read and decided like what a client that comes back missed, for a session that would have
//! been in its rooms since then.

use super::catchup::Limits;
use super::session::Standing;
use super::{Op, Shard, SocketKey};
use crate::counters::Counters;
use crate::emit::Flags;
use crate::history::{Gap, MAX_HISTORY_BYTES, MAX_HISTORY_EVENTS, RecordedEvent};
use crate::recorder::Recorder;
use crate::recovery::NotRecovered;
use crate::replay::{Replay, Replayed};
use crate::socket::Socket;
use bytes::Bytes;
use eventlog::{
    Entry, MAX_SEQUENCE, Order, Position, Query, ReadError, Scope, Session, SessionRoom,
};
use futures_util::FutureExt;
use hub::{JoinError, Room};
use serde_json::json;
use socketio::Args;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The event that tells a client that it does not get what it missed.
const RESET: &str = "replay:reset";

/// How far back the last events of a room are looked for in memory.
const LOOK_BACK: u64 = 1_024;

/// Where a socket on its way in wants to begin.
#[derive(Default)]
pub(crate) struct Begin {
    from: Option<Position>,
    replays: Vec<(Room, Replay)>,
}

/// Where a socket begins, and what it is sent of the time before it connected.
#[derive(Default)]
pub(super) struct Beginning {
    /// The session that would have been there; none if nothing of the past was asked for.
    session: Option<Session>,
    pub(super) missed: Vec<Arc<Entry>>,
}

impl Shard {
    /// A socket on its way in begins after a position.
    pub(crate) fn begin_from(&self, key: SocketKey, position: Position) {
        self.note_begin(key, |begin| begin.from = Some(position));
    }

    /// A socket on its way in wants a part of the past of these rooms.
    pub(crate) fn ask_replay(&self, key: SocketKey, rooms: &[Room], replay: Replay) {
        self.note_begin(key, |begin| {
            begin.replays.retain(|(room, _)| !rooms.contains(room));
            begin.replays.extend(rooms.iter().map(|room| (room.clone(), replay)));
        });
    }

    fn note_begin(&self, key: SocketKey, note: impl FnOnce(&mut Begin)) {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.sockets.get_mut(key) else { return };
        if matches!(slot.standing, Standing::Entering(_)) {
            note(slot.begin.get_or_insert_default());
        }
    }

    /// Connects a new socket, whose client has `seen` everything up to there if it was here before,
    /// with what it wants of the past behind the answer to its CONNECT. Says
    /// whether it was still there.
    pub(super) async fn connect_new(
        self: &Rc<Self>,
        socket: &Socket,
        seen: Option<Position>,
    ) -> bool {
        self.catch_up();
        let begin = {
            let mut state = self.state.borrow_mut();
            state.sockets.get_mut(socket.key()).and_then(|slot| slot.begin.take())
        };
        let Some(begin) = begin else { return self.settle(socket, &Beginning::default()) };
        match self.past(socket, begin.behind(seen)).await {
            // Behind its last look nothing was awaited.
            Ok(beginning) => self.settle(socket, &beginning),
            Err(gap) => {
                self.catch_up();
                let settled = self.settle(socket, &Beginning::default());
                if settled {
                    self.tell_reset(socket, gap);
                }
                settled
            }
        }
    }

    /// What a socket on its way in is sent of the past.
    async fn past(self: &Rc<Self>, socket: &Socket, begin: Begin) -> Result<Beginning, Gap> {
        let Some(recorder) = self.io.inner().recorder.clone() else {
            // There is no past, so the last of it is nothing.
            let nothing = Beginning::default();
            return if begin.asks_position() { Err(Gap::NotRecorded) } else { Ok(nothing) };
        };
        let limits = Limits::of(&recorder);
        let rooms = self.rooms_of(socket.key());
        let mut past = Past::new(socket, &recorder);
        if let Some(from) = begin.from {
            past.begin_at(check(&recorder, from)?);
            rooms.iter().for_each(|room| past.add(room, from.sequence));
            return self.read(&recorder, past, limits).await;
        }
        for room in &rooms {
            let replay = begin.replays.iter().find(|(of, _)| of == room);
            let since = match replay {
                Some((_, replay)) => past.since(&recorder, room, *replay, limits).await?,
                None => MAX_SEQUENCE,
            };
            past.add(room, since);
        }
        self.read(&recorder, past, limits).await
    }

    async fn read(
        self: &Rc<Self>,
        recorder: &Arc<Recorder>,
        past: Past,
        limits: Limits,
    ) -> Result<Beginning, Gap> {
        let sinces = past.session.rooms.iter().map(|room| room.since);
        let first = sinces.min().unwrap_or(MAX_SEQUENCE).min(past.session.start.sequence);
        if first == MAX_SEQUENCE {
            return Ok(Beginning::default()); // nothing is asked for
        }
        let after = Position { sequence: first, ..past.head };
        let missed = self.missed(recorder, &past.session, after, limits).await?;
        Counters::add(&self.io.inner().counters.events_replayed, missed.len() as u64);
        Ok(Beginning { session: Some(past.session), missed })
    }

    /// The socket has connected without what it asked for: that is the first it is told.
    fn tell_reset(self: &Rc<Self>, socket: &Socket, gap: Gap) {
        self.io.inner().counters.not_replayed(gap.as_str());
        tracing::debug!(%gap, "a client did not get what it asked for of the past");
        let head = self.io.inner().recorder.as_ref().map(|it| it.log.head().to_string());
        let args = Args::of(&(json!({ "reason": gap.as_str(), "head": head }),));
        // Not through the log: it may be what has failed.
        let told = args.map(|args| Op::emit(socket, RESET, args, Flags::default(), None));
        match told {
            Ok(Ok(op)) => self.apply(op),
            _ => tracing::error!("a client could not be told that its past is gone: a bug"),
        }
    }

    /// A connected socket joins rooms and is given a part of their past.
    pub(crate) fn join_late(
        self: &Rc<Self>,
        socket: Socket,
        rooms: impl AsRef<[Room]> + 'static,
        replay: Replay,
        told: oneshot::Sender<Result<Replayed, JoinError>>,
    ) {
        let shard = self.clone();
        let mut joining = Box::pin(async move {
            let joined = shard.join_with_past(&socket, rooms.as_ref(), replay).await;
            let _ = told.send(joined); // whoever asked may be gone
        });
        // What memory has is had at once.
        if joining.as_mut().now_or_never().is_none() {
            tokio::task::spawn_local(joining);
        }
    }

    async fn join_with_past(
        self: &Rc<Self>,
        socket: &Socket,
        rooms: &[Room],
        replay: Replay,
    ) -> Result<Replayed, JoinError> {
        if !socket.is_connected() {
            return Err(JoinError::UnknownMember);
        }
        let recorder = self.io.inner().recorder.clone();
        let missed = match &recorder {
            Some(recorder) => self.past_of(socket, recorder, rooms, replay).await,
            None if matches!(replay, Replay::After(_)) => Err(Gap::NotRecorded),
            None => Ok(Vec::new()),
        };
        // Behind its last look nothing was awaited: from here on the socket is sent what comes.
        let shown = self.state.borrow().shown;
        let head = recorder.map(|it| Position { sequence: shown, ..it.log.head() });
        let (sender, joined) = oneshot::channel();
        self.join(socket.key(), rooms, Some(sender));
        joined.await.unwrap_or(Err(JoinError::UnknownMember))?;
        Ok(match missed {
            Ok(missed) => {
                let events = missed.iter().filter_map(|entry| RecordedEvent::of(entry)).collect();
                Replayed { events, head, gap: None }
            }
            Err(gap) => {
                self.io.inner().counters.not_replayed(gap.as_str());
                Replayed { events: Vec::new(), head, gap: Some(gap) }
            }
        })
    }

    /// The past of rooms that a connected socket joins.
    async fn past_of(
        self: &Rc<Self>,
        socket: &Socket,
        recorder: &Arc<Recorder>,
        rooms: &[Room],
        replay: Replay,
    ) -> Result<Vec<Arc<Entry>>, Gap> {
        let limits = Limits { max_events: MAX_HISTORY_EVENTS, max_bytes: MAX_HISTORY_BYTES };
        let mut past = Past::new(socket, recorder);
        for room in rooms {
            let since = past.since(recorder, room, replay, limits).await?;
            past.add(room, since);
        }
        // The others only say what it is excepted from.
        for room in self.rooms_of(socket.key()).iter().filter(|room| !rooms.contains(room)) {
            past.add(room, MAX_SEQUENCE);
        }
        let Beginning { session, mut missed } = self.read(recorder, past, limits).await?;
        if let Some(Session { socket, rooms, .. }) = &session {
            let is_in =
                |name: &Arc<str>| socket == name || rooms.iter().any(|room| room.name == *name);
            missed.retain(|entry| !entry.record.except.iter().any(is_in));
        }
        Ok(missed)
    }
}

impl Beginning {
    /// The sequence after which a room is the socket's, if that is before it connected at `shown`.
    pub(super) fn since(&self, room: &Room, shown: u64) -> u64 {
        let rooms = self.session.iter().flat_map(|session| &session.rooms);
        let found = rooms.filter(|known| *known.name == *room.as_str()).map(|known| known.since);
        found.min().unwrap_or(shown).min(shown)
    }

    /// The same for what is sent to everyone, and to the socket.
    pub(super) fn start(&self, shown: u64) -> u64 {
        let start = self.session.as_ref().map(|session| session.start.sequence);
        start.unwrap_or(shown).min(shown)
    }
}

impl Begin {
    /// The same, without what was seen already: the query of a client that connects again is that of
    /// its first time.
    fn behind(mut self, seen: Option<Position>) -> Self {
        if let (Some(from), Some(seen)) = (&mut self.from, seen)
            && seen.epoch == from.epoch
        {
            from.sequence = from.sequence.max(seen.sequence);
        }
        self
    }

    /// Whether somebody asked for what came after a position, which is promised whole.
    fn asks_position(&self) -> bool {
        let after = |replay: &Replay| matches!(replay, Replay::After(_));
        self.from.is_some() || self.replays.iter().any(|(_, replay)| after(replay))
    }
}

/// A session that would have been there before.
struct Past {
    session: Session,
    head: Position,
}

impl Past {
    /// One that is in no room, and begins after everything.
    fn new(socket: &Socket, recorder: &Recorder) -> Self {
        let head = recorder.log.head();
        let session = Session {
            key: eventlog::SessionKey([0; 32]),
            socket: socket.id().as_str().into(),
            subject: None,
            namespace: socket.core().log_name.clone(),
            rooms: Vec::new(),
            start: Position { sequence: MAX_SEQUENCE, ..head },
            fence: 0,
            time_ms: 0,
            state: Bytes::new(),
        };
        Past { session, head }
    }

    fn begin_at(&mut self, position: Position) {
        self.session.start = position;
    }

    fn add(&mut self, room: &Room, since: u64) {
        self.session.rooms.push(SessionRoom { name: room.shared(), since });
    }

    /// The sequence after which the past of a room begins.
    async fn since(
        &self,
        recorder: &Arc<Recorder>,
        room: &Room,
        replay: Replay,
        limits: Limits,
    ) -> Result<u64, Gap> {
        let count = match replay {
            Replay::After(position) => return Ok(check(recorder, position)?.sequence),
            Replay::LastValue => 1,
            Replay::Last(count) => count.min(limits.max_events),
        };
        if count == 0 {
            return Ok(MAX_SEQUENCE);
        }
        let last = Last {
            namespace: self.session.namespace.clone(),
            room: room.shared(),
            count,
            max_bytes: limits.max_bytes,
        };
        let look_back =
            Position { sequence: self.head.sequence.saturating_sub(LOOK_BACK), ..self.head };
        let recent = recorder.log.read_recent(&last.query(Some(look_back)));
        let entries = match recent.map_err(|_| Gap::Log)? {
            Some(page) if page.entries.len() == count || page.more => page.entries,
            _ => recorder.read(move |log| log.read(&last.query(None))).await?.entries,
        };
        Ok(entries.last().map_or(MAX_SEQUENCE, |oldest| oldest.position.sequence - 1))
    }
}

/// The last events of a room.
struct Last {
    namespace: Arc<str>,
    room: Arc<str>,
    count: usize,
    max_bytes: u64,
}

impl Last {
    fn query(&self, after: Option<Position>) -> Query<'_> {
        let rooms = std::slice::from_ref(&self.room);
        let scope = Scope::Rooms { namespace: &self.namespace, rooms, everyone: false };
        let (order, max_bytes) = (Order::NewestFirst, self.max_bytes);
        Query { after, order, max_bytes, ..Query::last(scope, self.count) }
    }
}

/// Whether the log gave this position out in its present life.
fn check(recorder: &Recorder, position: Position) -> Result<Position, Gap> {
    let head = recorder.log.head();
    if position.epoch != head.epoch {
        return Err(Gap::Epoch);
    }
    if position.sequence > head.sequence { Err(Gap::Ahead) } else { Ok(position) }
}

impl From<NotRecovered> for Gap {
    fn from(why: NotRecovered) -> Self {
        match why {
            NotRecovered::Epoch => Gap::Epoch,
            NotRecovered::Trimmed => Gap::Trimmed,
            NotRecovered::TooMuch => Gap::TooMuch,
            _ => Gap::Log,
        }
    }
}

impl From<ReadError> for Gap {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Epoch { .. } => Gap::Epoch,
            ReadError::Ahead => Gap::Ahead,
            error => {
                tracing::warn!(%error, "the event log could not be read for a client that joins");
                Gap::Log
            }
        }
    }
}
