//! What a client that comes back is given: decided here, without I/O.

use eventlog::{Entry, Session};
use hub::SocketId;
use std::sync::Arc;

/// Why a client that asked for its session got a new one. The text names a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRecovered {
    /// Nobody has, or had not long ago, a session of this `pid`.
    #[error("recovery_pid_unknown")]
    UnknownPid,
    /// The `pid` is of another namespace.
    #[error("recovery_other_namespace")]
    Namespace,
    /// The offset is no position.
    #[error("recovery_offset_invalid")]
    Offset,
    /// The offset is of another life of the log, or after its end.
    #[error("recovery_epoch_changed")]
    Epoch,
    /// Something the client may have missed is no longer kept.
    #[error("recovery_trimmed")]
    Trimmed,
    /// More was missed than is replayed.
    #[error("recovery_too_much")]
    TooMuch,
    /// The client is somebody else now.
    #[error("recovery_other_subject")]
    Subject,
    /// It may not be in one of the rooms any more.
    #[error("recovery_room_refused")]
    Room,
    /// A later attempt took the session.
    #[error("recovery_overtaken")]
    Overtaken,
    /// The log could not be read or written.
    #[error("recovery_log_failed")]
    Log,
}

impl NotRecovered {
    /// The counter's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UnknownPid => "recovery_pid_unknown",
            Self::Namespace => "recovery_other_namespace",
            Self::Offset => "recovery_offset_invalid",
            Self::Epoch => "recovery_epoch_changed",
            Self::Trimmed => "recovery_trimmed",
            Self::TooMuch => "recovery_too_much",
            Self::Subject => "recovery_other_subject",
            Self::Room => "recovery_room_refused",
            Self::Overtaken => "recovery_overtaken",
            Self::Log => "recovery_log_failed",
        }
    }
}

/// What a client asks for when it comes back.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) pid: String,
    /// The last event it has seen; none before the first.
    pub(crate) offset: Option<String>,
}

/// Whether a session missed an entry, if it has seen everything up to the sequence `after`.
///
/// It did if the entry was meant for one of its rooms after it joined it, for its socket, or for
/// everyone, and no room it is in was excepted.
pub(crate) fn missed(session: &Session, after: u64, entry: &Entry) -> bool {
    let (sequence, record) = (entry.position.sequence, &entry.record);
    if sequence <= after || record.namespace != session.namespace {
        return false;
    }
    let since = |name: &Arc<str>| {
        let own = (*name == session.socket).then_some(session.start.sequence);
        let room = || session.rooms.iter().find(|room| room.name == *name).map(|room| room.since);
        own.or_else(room)
    };
    let meant = if record.rooms.is_empty() {
        sequence > session.start.sequence
    } else {
        record.rooms.iter().any(|name| since(name).is_some_and(|since| sequence > since))
    };
    meant && !record.except.iter().any(|name| since(name).is_some())
}

/// Names under which the log has what a session may have missed, and where that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Only entries after this sequence.
    pub(crate) from: u64,
    /// The rooms; the socket's own is the first of its span.
    pub(crate) rooms: Vec<Arc<str>>,
    /// Whether entries for everyone are meant too.
    pub(crate) everyone: bool,
}

impl Span {
    /// Both in one.
    pub(crate) fn joined(mut self, other: Span) -> Span {
        self.rooms.extend(other.rooms);
        let everyone = self.everyone || other.everyone;
        Span { from: self.from.min(other.from), everyone, ..self }
    }
}

/// What has to be read to know what a session missed after the sequence `after`: a room that was
/// joined later is read, and must be kept, from there only.
pub(crate) fn spans(session: &Session, after: u64) -> Vec<Span> {
    let start = session.start.sequence.max(after);
    let mut first = Span { from: start, rooms: vec![session.socket.clone()], everyone: true };
    let mut later: Vec<Span> = Vec::new();
    let mut rooms: Vec<(u64, &Arc<str>)> =
        session.rooms.iter().map(|room| (room.since.max(after), &room.name)).collect();
    rooms.sort_by_key(|(from, _)| *from);
    for (from, room) in rooms {
        match later.last_mut() {
            _ if from == first.from => first.rooms.push(room.clone()),
            Some(span) if span.from == from => span.rooms.push(room.clone()),
            _ => later.push(Span { from, rooms: vec![room.clone()], everyone: false }),
        }
    }
    later.insert(0, first);
    later
}

/// The id of the session's socket.
pub(crate) fn socket_id(session: &Session) -> Option<SocketId> {
    SocketId::parse(&session.socket).ok()
}
