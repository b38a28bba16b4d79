//! The one way of an event to its sockets, whoever sent it: recorded first, then shown.

use crate::Io;
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::emit::EmitError;
use crate::namespace::NamespaceCore;
use crate::recorder::{Published, Wish};
use crate::shard::{Asked, Broadcasting, Op};
use crate::sse::StreamEnd;
use eventlog::{AppendError, Appended, Position};
use hub::{Room, SocketId, Target};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What is shown, in one order on every shard.
#[derive(Debug, Default)]
pub(crate) struct Order(Mutex<Shown>);

/// How far the log is shown.
#[derive(Debug, Default)]
struct Shown {
    position: Option<Position>,
    /// The same, as clients get it.
    text: Option<Arc<str>>,
    /// The log was ahead of this when it was looked at last, with nothing on its way.
    ahead: bool,
}

impl Shown {
    fn is_at(&mut self, position: Position) {
        self.position = Some(position);
        self.text = Some(position.to_string().into());
        self.ahead = false;
    }
}

impl Order {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the log is shown.
    pub(crate) fn sequence(&self) -> u64 {
        self.shown().position.map_or(0, |position| position.sequence)
    }

    /// Where showing begins: what is in the log already was shown by an earlier process.
    pub(crate) fn begin(&self, head: Position) {
        self.shown().is_at(head);
    }
}

impl Io {
    /// Whether what is sent there is recorded.
    pub(crate) fn records(&self, core: &NamespaceCore, target: &Target) -> bool {
        let rooms = target.room_names();
        self.inner().recorder.is_some()
            && (core.recovers() || rooms.iter().all(|room| !is_socket(room)))
            && self
                .settings()
                .recording
                .records_any(core.name.as_str(), rooms.iter().map(Room::as_str))
    }

    /// Sends an event to the sockets it is meant for.
    pub(crate) fn publish(
        &self,
        broadcast: Broadcasting,
        asked: Option<Asked>,
    ) -> Result<(), EmitError> {
        if broadcast.is_recorded(self) {
            let mut told = self.record(broadcast, Wish::default())?;
            // What the log refuses at once, whoever publishes hears of.
            return match told.try_recv() {
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(_)) | Err(_) => Ok(()),
            };
        }
        if !self.has_room() {
            return Err(EmitError::Overloaded);
        }
        if broadcast.volatile && self.is_memory_short() {
            Counters::add(&self.inner().counters.volatile_dropped, 1);
            return Ok(());
        }
        match &self.inner().recorder {
            Some(recorder) if recorder.is_behind() => {
                let io = self.clone();
                recorder.behind(move || io.show(broadcast, asked.as_ref(), None));
            }
            _ => self.show(broadcast, asked.as_ref(), None),
        }
        Ok(())
    }

    /// Sends an event that is recorded. The answer comes when it is as safe as wished.
    pub(crate) fn record(
        &self,
        broadcast: Broadcasting,
        wish: Wish,
    ) -> Result<oneshot::Receiver<Result<Published, AppendError>>, EmitError> {
        let Some(recorder) = &self.inner().recorder else { return Err(EmitError::NotRecorded) };
        if !self.has_room() || !recorder.has_room() {
            return Err(EmitError::Overloaded);
        }
        if let Some(error) = recorder.refusal() {
            Counters::add(&self.inner().counters.events_refused, 1);
            return Err(error.into());
        }
        let (sender, receiver) = oneshot::channel();
        let io = self.clone();
        recorder.append(broadcast, wish, move |broadcast, appended| {
            let published = io.appended(broadcast, appended);
            // An emit does not wait for it.
            let _ = sender.send(published);
        })?;
        Ok(receiver)
    }

    /// The log has answered: on its thread, in its order.
    fn appended(
        &self,
        broadcast: Broadcasting,
        appended: Result<Appended, AppendError>,
    ) -> Result<Published, AppendError> {
        match appended {
            Ok(Appended { position, known: repeated }) => {
                if !repeated {
                    Counters::add(&self.inner().counters.events_recorded, 1);
                    self.show(broadcast, None, Some(position));
                }
                Ok(Published { position: Some(position), repeated })
            }
            Err(error) => {
                Counters::add(&self.inner().counters.events_refused, 1);
                tracing::debug!(%error, "an event was not recorded");
                Err(error)
            }
        }
    }

    /// Hands an event to every shard. With a position it comes from the log, in log order.
    fn show(&self, mut broadcast: Broadcasting, asked: Option<&Asked>, position: Option<Position>) {
        let mut shown = self.inner().order.shown();
        if let Some(position) = position {
            let before = shown.position.replace(position);
            let follows = before.is_none_or(|before| {
                before.epoch == position.epoch && before.sequence + 1 == position.sequence
            });
            shown.is_at(position);
            broadcast.sequence = Some(position.sequence);
            let rooms = broadcast.target.room_names();
            self.inner().waiting.came(&broadcast.core.log_name, rooms);
            if !follows {
                self.gap();
            }
        }
        if let Some(text) = &shown.text {
            broadcast.packet.set_reached(text.clone());
            if !broadcast.asks && broadcast.core.recovers() {
                broadcast.packet.set_offset(text.clone());
            }
        }
        let broadcast = Arc::new(broadcast);
        for index in self.shard_indices() {
            let op = Op::Broadcast(Arc::clone(&broadcast), asked.cloned());
            match position {
                // The shards are woken when all that the log answered at once is there.
                Some(_) => drop(self.shard(index).add(op)),
                None => self.shard(index).push(op),
            }
        }
    }

    /// Something is in the log that was not shown in its turn: those who are connected would miss
    /// it. They are cut, so that they come back and get it, or are told.
    fn gap(&self) {
        tracing::warn!(
            "the log has events that were not shown: connections that could miss them are closed"
        );
        Counters::add(&self.inner().counters.log_gaps, 1);
        // The future need not be awaited.
        drop(self.run_on_all(|| {
            |shard| {
                shard.cut_recoverable(DisconnectReason::LogGap);
                shard.end_streams(StreamEnd::LogGap);
            }
        }));
    }

    /// Looks whether the log is ahead of what is shown, though nothing is on its way: so it is
    /// when what failed at first was there all the same.
    pub(crate) fn check_gap(&self) {
        let Some(recorder) = &self.inner().recorder else { return };
        let head = recorder.log.head();
        let mut shown = self.inner().order.shown();
        if shown.position == Some(head) || !recorder.is_quiet() {
            shown.ahead = false;
            return;
        }
        // Seen twice in a row: it is not just about to be shown.
        if std::mem::replace(&mut shown.ahead, true) {
            shown.is_at(head);
            let sequence = head.sequence;
            drop(self.run_on_all(|| move |shard| shard.skip_to(sequence)));
            self.gap();
        }
    }

    /// Asks something of a shard, behind what this thread published before.
    pub(crate) fn push(&self, index: u8, op: Op) {
        match &self.inner().recorder {
            Some(recorder) if recorder.is_behind() => {
                let io = self.clone();
                recorder.behind(move || io.shard(index).push(op));
            }
            _ => self.shard(index).push(op),
        }
    }
}

/// Whether a room's name is that of a socket.
fn is_socket(room: &Room) -> bool {
    SocketId::parse(room.as_str()).is_ok()
}
