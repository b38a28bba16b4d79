//! Streams of server-sent events: members of hubs that have no session.

use super::catchup::Limits;
use super::connect::{new_id, random};
use super::recover::check_position;
use super::run::Run;
use super::{Due, Outbox, Seat, Shard, State};
use crate::counters::Counters;
use crate::drain::Dice;
use crate::recovery::NotRecovered;
use crate::sse::{self, Handover, Presence, StreamAfter, StreamEnd};
use eventlog::{Entry, Position, Session, SessionKey, SessionRoom};
use futures_util::FutureExt;
use hub::{Hub, Member, Room};
use serde_json::json;
use slotmap::SlotMap;
use smallvec::SmallVec;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::time::delay_queue;

slotmap::new_key_type! {
    /// A stream on its shard. Never used twice.
    pub(crate) struct StreamKey;
}

/// What a stream begins with.
#[derive(Debug)]
pub(crate) struct StreamOpening {
    pub(crate) presence: Presence,
    pub(crate) rooms: SmallVec<[Room; 1]>,
    pub(crate) expires_at: Option<Instant>,
    pub(crate) handover: Arc<Handover>,
}

/// How it began.
enum Began {
    /// From now on.
    Fresh,
    /// Where its client was, with all that it missed.
    Resumed(Position),
    /// From now on, though its client wanted more.
    Reset(NotRecovered),
}

/// A stream.
struct Stream {
    member: Member,
    presence: Presence,
    outbox: Outbox,
    handover: Arc<Handover>,
    dirty: bool,
    /// Its connection did not take all there was.
    blocked: bool,
    /// It has left its hub, and ends when its outbox is empty.
    ending: bool,
    wrote_at: Instant,
    expires_at: Option<Instant>,
    timer: Option<delay_queue::Key>,
}

/// The streams of a shard.
#[derive(Default)]
pub(super) struct Streams {
    open: SlotMap<StreamKey, Stream>,
    /// Those that have something to send.
    dirty: Vec<StreamKey>,
}

impl Streams {
    /// Gives a stream a run. Says whether it takes it: what is volatile only if it can be sent now.
    pub(super) fn push_run(&mut self, key: StreamKey, run: &Rc<Run>, volatile: bool) -> bool {
        let Some(stream) = self.open.get_mut(key) else { return true };
        if volatile && stream.blocked {
            return false;
        }
        stream.outbox.push_run(run, 0);
        mark(&mut self.dirty, key, stream);
        true
    }

    fn mark(&mut self, key: StreamKey) {
        if let Some(stream) = self.open.get_mut(key) {
            mark(&mut self.dirty, key, stream);
        }
    }
}

fn mark(dirty: &mut Vec<StreamKey>, key: StreamKey, stream: &mut Stream) {
    if !std::mem::replace(&mut stream.dirty, true) {
        dirty.push(key);
    }
}

impl Shard {
    /// Opens a stream: from now on, or where its client was.
    pub(crate) fn open_stream(self: &Rc<Self>, opening: StreamOpening, after: Option<StreamAfter>) {
        let Some(after) = after else {
            return self.settle_stream(opening, &Began::Fresh, &[]);
        };
        let shard = self.clone();
        let mut resuming = Box::pin(async move { shard.resume(opening, after).await });
        // What is in memory is read at once.
        if resuming.as_mut().now_or_never().is_none() {
            tokio::task::spawn_local(resuming);
        }
    }

    async fn resume(self: Rc<Self>, opening: StreamOpening, after: StreamAfter) {
        // Nothing is awaited between reading and settling: what is live follows without a seam.
        match self.missed_by_stream(&opening, after).await {
            Ok((after, missed)) => {
                self.settle_stream(opening, &Began::Resumed(after), &missed);
            }
            Err(why) => {
                tracing::debug!(%why, "a stream could not go on where it was");
                self.io.inner().counters.not_recovered(why.name());
                self.settle_stream(opening, &Began::Reset(why), &[]);
            }
        }
    }

    async fn missed_by_stream(
        self: &Rc<Self>,
        opening: &StreamOpening,
        after: StreamAfter,
    ) -> Result<(Position, Vec<Arc<Entry>>), NotRecovered> {
        let after = after?;
        let recorder = self.io.inner().recorder.clone().ok_or(NotRecovered::NotRecorded)?;
        check_position(&recorder, after)?;
        let session = session_of(opening, after);
        let missed = self.missed(&recorder, &session, after, Limits::of(&recorder)).await?;
        Ok((after, missed))
    }

    /// Makes a stream a member of its hub, and queues how it begins.
    fn settle_stream(&self, opening: StreamOpening, began: &Began, missed: &[Arc<Entry>]) {
        let StreamOpening { presence, rooms, expires_at, handover } = opening;
        if self.io.is_leaving() {
            return handover.finish();
        }
        let Some(id) = new_id() else { return handover.cut() };
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let reached = self.reached(state);
        let runs = state.replays.runs(presence.namespace(), missed);
        let (core, max_rooms) = (presence.namespace().core().id, self.io.settings().max_rooms);
        let hub = state.hubs.entry(core).or_insert_with(|| Hub::new(max_rooms));
        let inserted = state.streams.open.try_insert_with_key(|key| {
            if !handover.register(key) {
                return Err(()); // its client is gone
            }
            let member = hub.insert(id, Seat::Stream(key)).map_err(|_| ())?;
            for room in &rooms {
                // There are not more than the limit allows.
                let _ = hub.join(member, room);
            }
            let mut outbox = Outbox::default();
            outbox.push_frames(&self.greeting(began, reached));
            runs.iter().for_each(|(run, from)| outbox.push_replay(run, *from));
            Ok(Stream {
                member,
                presence,
                outbox,
                handover,
                dirty: false,
                blocked: false,
                ending: false,
                wrote_at: Instant::now(),
                expires_at,
                timer: None,
            })
        });
        let Ok(key) = inserted else { return };
        state.streams.mark(key);
        state.arm_stream(key, self.heartbeat());
        drop(guard);
        let counters = &self.io.inner().counters;
        Counters::add(&counters.streams_opened, 1);
        Counters::add(&counters.events_replayed, missed.len() as u64);
        self.wake();
    }

    /// How far the log was shown to this shard's members, if there is one.
    fn reached(&self, state: &State) -> Option<Position> {
        let recorder = self.io.inner().recorder.as_ref()?;
        Some(Position { epoch: recorder.log.epoch(), sequence: state.shown })
    }

    /// What a stream begins with: from where on it has everything.
    fn greeting(&self, began: &Began, reached: Option<Position>) -> Vec<u8> {
        let head = reached.map(|head| head.to_string());
        let (id, name, data) = match began {
            Began::Fresh => (head.clone(), "ready", json!({ "position": head, "resumed": false })),
            Began::Resumed(after) => {
                let after = after.to_string();
                let data = json!({ "position": after, "resumed": true });
                (Some(after), "ready", data)
            }
            Began::Reset(why) => {
                (head.clone(), "reset", json!({ "reason": why.word(), "head": head }))
            }
        };
        let mut greeting = sse::encode_retry(self.retry()).into_bytes();
        greeting.extend_from_slice(&sse::encode_notice(id.as_deref(), name, &data));
        greeting
    }

    /// When a client is to come back: not all at the same time.
    fn retry(&self) -> Duration {
        let streams = &self.io.settings().streams;
        let span = streams.retry_max.saturating_sub(streams.retry_min);
        let share = random::<2>().map_or(0, u16::from_be_bytes);
        streams.retry_min + span * u32::from(share) / u32::from(u16::MAX)
    }

    fn heartbeat(&self) -> Duration {
        self.io.settings().streams.heartbeat
    }

    /// Its connection has taken what was handed over, and there was more.
    pub(crate) fn stream_drained(&self, key: StreamKey) {
        self.state.borrow_mut().streams.mark(key);
    }

    /// Hands every stream over what it has to be sent.
    pub(super) fn flush_streams(self: &Rc<Self>) {
        let mut guard = self.state.borrow_mut();
        if guard.streams.dirty.is_empty() {
            return;
        }
        guard.seal(); // what is handed over now is not appended to
        let mut dirty = std::mem::take(&mut guard.streams.dirty);
        let (now, mut ended) = (Instant::now(), Vec::new());
        for key in dirty.drain(..) {
            let Some(stream) = guard.streams.open.get_mut(key) else { continue };
            match stream.flush(now, &self.io) {
                Flushed::Going => {}
                Flushed::Slow => ended.push((key, Some(StreamEnd::SlowClient))),
                Flushed::Done => ended.push((key, None)),
            }
        }
        guard.streams.dirty = dirty; // its capacity is used again
        drop(guard);
        for (key, why) in ended {
            match why {
                Some(why) => self.end_stream(key, why),
                None => self.remove_stream(key),
            }
        }
    }

    /// A stream's timer has fired.
    pub(super) fn stream_due(self: &Rc<Self>, key: StreamKey, now: Instant) {
        let heartbeat = self.heartbeat();
        let mut guard = self.state.borrow_mut();
        let Some(stream) = guard.streams.open.get_mut(key) else { return };
        stream.timer = None;
        if stream.ending {
            return;
        }
        if stream.expires_at.is_some_and(|at| at <= now) {
            drop(guard);
            return self.end_stream(key, StreamEnd::Expired);
        }
        if stream.wrote_at + heartbeat <= now {
            stream.wrote_at = now;
            // Who has something to read needs no sign of life.
            if stream.outbox.is_empty() && stream.handover.is_empty() {
                stream.outbox.push_frames(sse::HEARTBEAT);
                guard.streams.mark(key);
            }
        }
        guard.arm_stream(key, heartbeat);
    }

    /// Ends a stream: it leaves its hub at once. What it still has to be sent is sent, unless its
    /// client does not read or is gone.
    pub(crate) fn end_stream(self: &Rc<Self>, key: StreamKey, why: StreamEnd) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let Some(stream) = state.streams.open.get_mut(key) else { return };
        let already = std::mem::replace(&mut stream.ending, true);
        if !already {
            self.io.inner().counters.stream_closed(why.as_str());
            let (member, namespace) = (stream.member, stream.presence.namespace().core());
            let (id, dynamic) = (namespace.id, namespace.dynamic);
            if let Some(timer) = stream.timer.take() {
                state.timers.try_remove(&timer);
            }
            state.seal();
            if let Some(hub) = state.hubs.get_mut(&id) {
                hub.remove(member);
                if hub.is_empty() && dynamic {
                    state.hubs.remove(&id);
                }
            }
        }
        let Some(stream) = state.streams.open.get_mut(key) else { return };
        match why {
            StreamEnd::Left => {}
            StreamEnd::SlowClient => stream.handover.cut(),
            StreamEnd::Expired | StreamEnd::LogGap | StreamEnd::ShuttingDown => {
                stream.outbox.push_frames(sse::encode_retry(self.retry()).as_bytes());
                state.streams.mark(key);
                drop(guard);
                return self.wake();
            }
        }
        drop(guard);
        self.remove_stream(key);
    }

    /// Forgets a stream that has left its hub.
    fn remove_stream(&self, key: StreamKey) {
        let stream = self.state.borrow_mut().streams.open.remove(key);
        drop(stream); // with nothing borrowed: its namespace may go with it
    }

    /// Forgets every stream: the shard ends.
    pub(super) fn cut_streams(self: &Rc<Self>) {
        for key in self.streams() {
            self.end_stream(key, StreamEnd::ShuttingDown);
        }
        self.flush_streams();
        for key in self.streams() {
            let state = self.state.borrow();
            if let Some(stream) = state.streams.open.get(key) {
                stream.handover.cut();
            }
            drop(state);
            self.remove_stream(key);
        }
    }

    /// Ends every stream.
    pub(crate) fn end_streams(self: &Rc<Self>, why: StreamEnd) {
        for key in self.streams() {
            self.end_stream(key, why);
        }
    }

    /// Ends a part of the streams.
    pub(super) fn end_part_of_streams(self: &Rc<Self>, parts: usize, dice: &mut Dice) {
        let open: Vec<StreamKey> = {
            let state = self.state.borrow();
            state.streams.open.iter().filter(|(_, it)| !it.ending).map(|(key, _)| key).collect()
        };
        for key in dice.part(open, parts) {
            self.end_stream(key, StreamEnd::ShuttingDown);
        }
    }

    fn streams(&self) -> Vec<StreamKey> {
        self.state.borrow().streams.open.keys().collect()
    }
}

impl State {
    /// Sets a stream's timer to what comes first.
    fn arm_stream(&mut self, key: StreamKey, heartbeat: Duration) {
        let Some(stream) = self.streams.open.get_mut(key) else { return };
        let beat = stream.wrote_at + heartbeat;
        let at = stream.expires_at.map_or(beat, |expires| beat.min(expires));
        stream.timer = Some(self.timers.insert_at(Due::Stream(key), at.into()));
    }
}

/// How a stream stands after it was flushed.
enum Flushed {
    Going,
    /// More waits than may.
    Slow,
    /// It was ending, and all is handed over.
    Done,
}

impl Stream {
    fn flush(&mut self, now: Instant, io: &crate::Io) -> Flushed {
        self.dirty = false;
        self.wrote_at = now;
        self.blocked = !self.handover.fill(|| self.outbox.take_chunk());
        if !self.blocked {
            if !self.ending {
                return Flushed::Going;
            }
            self.handover.finish();
            return Flushed::Done;
        }
        if self.outbox.exceeds(io.settings().outbox) {
            return Flushed::Slow;
        }
        Flushed::Going
    }
}

/// A stream as the decision what was missed sees it: in all its rooms from where its client was.
fn session_of(opening: &StreamOpening, after: Position) -> Session {
    let rooms = opening.rooms.iter();
    let rooms = rooms.map(|room| SessionRoom { name: room.shared(), since: after.sequence });
    Session {
        key: SessionKey([0; 32]),
        socket: NO_SOCKET.into(),
        subject: None,
        namespace: opening.presence.namespace().core().log_name.clone(),
        rooms: rooms.collect(),
        start: after,
        fence: 0,
        time_ms: 0,
        state: bytes::Bytes::new(),
    }
}

/// No event is sent to a room of this name: names have no control characters.
const NO_SOCKET: &str = "\n";
