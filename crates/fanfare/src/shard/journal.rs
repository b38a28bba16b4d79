//! Journalling what must be known of a socket to bring it back.
//!
//! A socket is journalled once the listeners of its connection have finished, and whenever it
//! joins or leaves a room after that. While such a change is on its way to the log, the session is
//! *held*: nothing is written to its client, which so never learns of anything that a killed
//! server would have forgotten.

use super::begin::Beginning;
use super::session::{Slot, Standing};
use super::{Op, SessionKey, Shard, SocketKey, State};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::recorder::{Recorder, now_ms, pid_key};
use crate::socket::Socket;
use eventlog::{Position, SessionError, SessionKey as Key, SessionRoom};
use hub::{JoinError, Room};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Who waits for a change to be journalled.
pub(crate) type Joined = oneshot::Sender<Result<(), JoinError>>;

/// What is journalled of a socket.
pub(crate) struct Journal {
    pub(crate) key: Key,
    pub(crate) fence: u64,
    /// Where the log was when it connected.
    pub(crate) start: Position,
    /// Its rooms but its own, and the sequence after which each is its.
    pub(crate) rooms: Vec<(Room, u64)>,
    pub(crate) stage: Stage,
    /// Something changed since the last write was begun.
    changed: bool,
    /// The session is held for this socket.
    holds: bool,
    /// Who waits for the write that is on its way.
    told: Vec<Joined>,
    /// Who waits for the one after it.
    told_next: Vec<Joined>,
}

/// How far the journalling of a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The listeners of its connection have not finished: it cannot be brought back yet.
    Connecting,
    /// What is known is journalled.
    Written,
    /// A write is on its way.
    Writing,
    /// The journal did not take it: tried again, and not brought back until then.
    Failed,
}

impl Journal {
    pub(crate) fn new(key: Key, fence: u64, start: Position, rooms: Vec<(Room, u64)>) -> Self {
        Journal {
            key,
            fence,
            start,
            rooms,
            stage: Stage::Connecting,
            changed: false,
            holds: false,
            told: Vec::new(),
            told_next: Vec::new(),
        }
    }

    /// The same, of a session that came back: it is in the journal already.
    pub(super) fn written(key: Key, fence: u64, start: Position, rooms: Vec<(Room, u64)>) -> Self {
        Journal { stage: Stage::Written, ..Journal::new(key, fence, start, rooms) }
    }

    /// What the log keeps.
    pub(crate) fn session(&self, socket: &Socket) -> eventlog::Session {
        let rooms = self.rooms.iter();
        let rooms = rooms.map(|(room, since)| SessionRoom { name: room.shared(), since: *since });
        eventlog::Session {
            key: self.key,
            socket: socket.id().as_str().into(),
            subject: socket.subject(),
            namespace: socket.core().log_name.clone(),
            rooms: rooms.collect(),
            start: self.start,
            fence: self.fence,
            time_ms: now_ms(),
            state: socket.kept_state(),
        }
    }
}

impl State {
    fn journal(&mut self, key: SocketKey) -> Option<&mut Journal> {
        self.sockets.get_mut(key)?.journal.as_deref_mut()
    }

    /// Nothing more is written to a session until its sockets' changes are journalled.
    fn hold(&mut self, key: SocketKey) {
        let Some(slot) = self.sockets.get_mut(key) else { return };
        let session = slot.socket.session_key();
        let Some(journal) = &mut slot.journal else { return };
        if !std::mem::replace(&mut journal.holds, true)
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.held += 1;
        }
    }

    /// What was held back is written at the end of the tick.
    pub(super) fn release(&mut self, session: SessionKey, journal: &mut Journal) {
        if std::mem::replace(&mut journal.holds, false) {
            if let Some(session) = self.sessions.get_mut(session) {
                session.held = session.held.saturating_sub(1);
            }
            self.mark(session);
        }
    }

    /// Notes what a socket joined, in what will be journalled.
    pub(super) fn note_joined(&mut self, key: SocketKey, rooms: &[Room]) {
        let since = self.shown;
        let Some(journal) = self.journal(key) else { return };
        for room in rooms {
            if journal.rooms.iter().all(|(known, _)| known != room) {
                journal.rooms.push((room.clone(), since));
                journal.changed = true;
            }
        }
    }

    pub(super) fn note_left(&mut self, key: SocketKey, rooms: &[Room]) {
        let Some(journal) = self.journal(key) else { return };
        let before = journal.rooms.len();
        journal.rooms.retain(|(known, _)| !rooms.contains(known));
        journal.changed |= journal.rooms.len() != before;
    }
}

impl Shard {
    /// The rooms of a socket changed: holds its session until that is journalled, and tells.
    pub(super) fn journal_rooms(self: &Rc<Self>, key: SocketKey, told: Option<Joined>) {
        let mut state = self.state.borrow_mut();
        let Some(journal) = state.journal(key) else {
            return tell(told);
        };
        let known = journal.stage == Stage::Written && !journal.changed;
        if known || journal.stage == Stage::Connecting {
            // Written already; or with all else, when the listeners of the connection have
            // finished.
            return tell(told);
        }
        journal.told_next.extend(told);
        state.hold(key);
        drop(state);
        self.journal(key);
    }

    /// The listeners of a socket's connection have finished: from now on it can be brought back.
    pub(super) fn journal_first(self: &Rc<Self>, key: SocketKey) {
        if let Some(journal) = self.state.borrow_mut().journal(key)
            && journal.stage == Stage::Connecting
        {
            journal.stage = Stage::Written;
        }
        // Of one that came back, the holder is noted.
        self.journal(key);
    }

    /// Writes what is known of a socket, after a write that is on its way.
    pub(crate) fn journal(self: &Rc<Self>, key: SocketKey) {
        let Some(recorder) = &self.io.inner().recorder else { return };
        let mut guard = self.state.borrow_mut();
        let Some(Slot { socket, journal: Some(journal), .. }) = guard.sockets.get_mut(key) else {
            return;
        };
        match journal.stage {
            Stage::Connecting => return,
            Stage::Writing => {
                journal.changed = true;
                return;
            }
            Stage::Written | Stage::Failed => {}
        }
        journal.stage = Stage::Writing;
        journal.changed = false;
        journal.told = std::mem::take(&mut journal.told_next);
        let (session, home) = (journal.session(socket), socket.home());
        if recorder.sessions.holder(journal.key) != Some(home) {
            recorder.sessions.open(journal.key, journal.fence, home);
        }
        drop(guard);
        self.put(recorder, key, session);
    }

    fn put(&self, recorder: &Arc<Recorder>, key: SocketKey, session: eventlog::Session) {
        let (io, index) = (self.io.clone(), self.index);
        let (known, fence, noting) = (session.key, session.fence, recorder.clone());
        recorder.log.put_session(
            session,
            Box::new(move |written| {
                noting.wrote(known, fence, &written);
                io.shard(index).push(Op::run(move |shard| {
                    if !shard.journalled(key, written) {
                        noting.abandon(known); // its socket is gone
                    }
                }));
            }),
        );
    }

    /// The log has answered a write. Says whether the socket is still there.
    fn journalled(self: &Rc<Self>, key: SocketKey, written: Result<(), SessionError>) -> bool {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let Some(slot) = state.sockets.get_mut(key) else { return false };
        let session = slot.socket.session_key();
        let Some(mut journal) = slot.journal.take() else { return false };
        let mut failed = None;
        journal.stage = match written {
            Ok(()) => Stage::Written,
            Err(error) => {
                failed = Some(error);
                Stage::Failed
            }
        };
        // The room was joined, whatever became of the journal.
        tell(journal.told.drain(..));
        let again = journal.changed && failed.is_none();
        if !again {
            tell(journal.told_next.drain(..));
            state.release(session, &mut journal);
        }
        if let Some(slot) = state.sockets.get_mut(key) {
            slot.journal = Some(journal);
        }
        drop(guard);
        if let Some(error) = failed {
            self.not_journalled(key, &error);
        }
        if again {
            self.journal(key);
        }
        self.wake();
        true
    }

    fn not_journalled(&self, socket: SocketKey, error: &SessionError) {
        if matches!(error, SessionError::Fenced(_)) {
            return; // its client is elsewhere by now
        }
        Counters::add(&self.io.inner().counters.sessions_unjournalled, 1);
        self.state.borrow_mut().unjournalled.push(socket);
    }

    /// Tries again what the journal did not take.
    pub(crate) fn look_after_journals(self: &Rc<Self>) {
        let unjournalled = {
            let mut state = self.state.borrow_mut();
            state.replays.clear(); // who comes now comes for something else
            std::mem::take(&mut state.unjournalled)
        };
        for key in unjournalled {
            self.journal(key);
        }
    }

    /// A socket is gone: says whether its client may come back for it.
    pub(super) fn give_up(&self, socket: &Socket, journal: &Journal, reason: DisconnectReason) {
        let Some(recorder) = &self.io.inner().recorder else { return };
        if journal.stage == Stage::Connecting {
            return;
        }
        recorder.abandon(journal.key);
        if reason.is_recoverable() {
            recorder.sessions.leave(journal.key, socket.home(), Instant::now());
        } else if recorder.sessions.holder(journal.key) == Some(socket.home()) {
            recorder.remove(journal.key, journal.fence);
        }
    }

    /// Closes every session that has a socket which could be brought back.
    pub(crate) fn cut_recoverable(self: &Rc<Self>, reason: DisconnectReason) {
        let sessions: Vec<SessionKey> = {
            let state = self.state.borrow();
            let slots = state.sockets.values().filter(|slot| slot.journal.is_some());
            slots.map(|slot| slot.socket.session_key()).collect()
        };
        for key in sessions {
            self.close_session(key, reason);
        }
    }

    /// What is in the log up to here is not shown to those who are connected.
    pub(crate) fn skip_to(&self, sequence: u64) {
        self.state.borrow_mut().shown = sequence;
    }
}

/// What is known of a socket that connects now, when all up to `shown` is shown: the rooms it was
/// given on its way in, and where it begins. If its connection is lost before it was sent what it
/// begins with, it comes back to that.
pub(super) fn new_journal(
    recorder: &Recorder,
    shown: u64,
    (rooms, beginning): (&[Room], &Beginning),
    pid: &str,
) -> Journal {
    let start = Position { epoch: recorder.log.epoch(), sequence: beginning.start(shown) };
    let rooms = rooms.iter().map(|room| (room.clone(), beginning.since(room, shown))).collect();
    Journal::new(pid_key(pid), 1, start, rooms)
}

/// Tells those who wait, if they still do.
fn tell(told: impl IntoIterator<Item = Joined>) {
    for told in told {
        let _ = told.send(Ok(()));
    }
}

impl Standing {
    /// The rooms a socket was given on its way in.
    pub(super) fn rooms(&self) -> &[Room] {
        match self {
            Standing::Entering(rooms) => rooms,
            Standing::Connected(_) => &[],
        }
    }
}
