//! What a client that comes back is given: decided here, without I/O.

use eventlog::{Entry, Position, Session};
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
    /// What the journal has of the session is not its last state.
    #[error("recovery_journal_stale")]
    Stale,
    /// A later attempt took the session.
    #[error("recovery_overtaken")]
    Overtaken,
    /// The log could not be read or written.
    #[error("recovery_log_failed")]
    Log,
    /// Nothing is recorded.
    #[error("recovery_not_recorded")]
    NotRecorded,
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
            Self::Stale => "recovery_journal_stale",
            Self::Overtaken => "recovery_overtaken",
            Self::Log => "recovery_log_failed",
            Self::NotRecorded => "recovery_not_recorded",
        }
    }
}

impl NotRecovered {
    /// What a stream's client is told.
    pub(crate) fn word(self) -> &'static str {
        self.name().trim_start_matches("recovery_")
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
/// everyone, and excepted no room it was in by then. Of a room that it has left nothing is known
/// any more: what was sent to it is not missed, and whom it was to except is forgotten.
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
    let excepted = |name| since(name).is_some_and(|since| sequence > since);
    meant && !record.except.iter().any(excepted)
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

/// Where a client that has seen no event yet begins: where the first of its rooms does, if the past
/// of that was asked for, or where it connected.
pub(crate) fn beginning(session: &Session) -> Position {
    let rooms = session.rooms.iter().map(|room| room.since);
    let first = rooms.chain([session.start.sequence]).min().unwrap_or(session.start.sequence);
    Position { sequence: first, ..session.start }
}

/// The id of the session's socket.
pub(crate) fn socket_id(session: &Session) -> Option<SocketId> {
    SocketId::parse(&session.socket).ok()
}

#[cfg(test)]
mod tests {
    //! The decision against a plain model, which keeps for each client what it would have received
    //! if it had never been away.

    use super::*;
    use bytes::Bytes;
    use eventlog::{Epoch, Record, SessionKey, SessionRoom};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const CLIENTS: usize = 3;

    /// What happens, in order. Rooms and clients by their numbers.
    #[derive(Debug, Clone)]
    enum Step {
        Connect(usize),
        Join(usize, usize),
        Leave(usize, usize),
        Publish { to: Vec<Name>, except: Vec<Name>, elsewhere: bool },
    }

    /// What an event may be sent to.
    #[derive(Debug, Clone, Copy)]
    enum Name {
        Room(usize),
        Own(usize),
    }

    impl Name {
        fn text(self) -> Arc<str> {
            match self {
                Name::Room(room) => format!("room {room}").into(),
                Name::Own(client) => format!("client {client}").into(),
            }
        }
    }

    fn name() -> impl Strategy<Value = Name> {
        prop_oneof![(0..3_usize).prop_map(Name::Room), (0..CLIENTS).prop_map(Name::Own)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let names = |most| prop::collection::vec(name(), 0..most);
        let publish = (names(3), names(2), prop::bool::weighted(0.1));
        prop_oneof![
            1 => (0..CLIENTS).prop_map(Step::Connect),
            2 => (0..CLIENTS, 0..3_usize).prop_map(|(client, room)| Step::Join(client, room)),
            1 => (0..CLIENTS, 0..3_usize).prop_map(|(client, room)| Step::Leave(client, room)),
            5 => publish.prop_map(|(to, except, elsewhere)| Step::Publish { to, except, elsewhere }),
        ]
    }

    /// A client of the model: which rooms it is in since when, and what it was sent.
    #[derive(Debug, Clone, Default)]
    struct Client {
        start: u64,
        /// Each with the head when it was joined.
        rooms: BTreeMap<usize, u64>,
        has_left: bool,
        received: Vec<u64>,
    }

    #[derive(Default)]
    struct World {
        log: Vec<Entry>,
        clients: BTreeMap<usize, Client>,
    }

    impl World {
        fn head(&self) -> u64 {
            self.log.len() as u64
        }

        fn do_step(&mut self, step: Step) {
            let head = self.head();
            match step {
                Step::Connect(client) => {
                    let new = Client { start: head, ..Client::default() };
                    self.clients.entry(client).or_insert(new);
                }
                Step::Join(client, room) => {
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.rooms.entry(room).or_insert(head);
                    }
                }
                Step::Leave(client, room) => {
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.has_left |= client.rooms.remove(&room).is_some();
                    }
                }
                Step::Publish { to, except, elsewhere } => self.publish(&to, &except, elsewhere),
            }
        }

        fn publish(&mut self, to: &[Name], except: &[Name], elsewhere: bool) {
            let sequence = self.head() + 1;
            let names = |names: &[Name]| names.iter().map(|name| name.text()).collect();
            let record = Record {
                namespace: if elsewhere { "/elsewhere" } else { "/" }.into(),
                rooms: names(to),
                except: names(except),
                name: "event".into(),
                payload: Bytes::from_static(b"[]"),
                time_ms: 0,
                key: None,
            };
            self.log.push(Entry { position: at(sequence), record });
            for (id, client) in &mut self.clients {
                let is_in = |name: &Name| match name {
                    Name::Room(room) => client.rooms.contains_key(room),
                    Name::Own(own) => own == id,
                };
                let meant = to.is_empty() || to.iter().any(is_in);
                if meant && !except.iter().any(is_in) && !elsewhere {
                    client.received.push(sequence);
                }
            }
        }

        fn session(&self, id: usize) -> Session {
            let client = &self.clients[&id];
            let room = |(room, since): (&usize, &u64)| SessionRoom {
                name: Name::Room(*room).text(),
                since: *since,
            };
            Session {
                key: SessionKey([0; 32]),
                socket: Name::Own(id).text(),
                subject: None,
                namespace: "/".into(),
                rooms: client.rooms.iter().map(room).collect(),
                start: at(client.start),
                fence: 1,
                time_ms: 0,
                state: Bytes::new(),
            }
        }

        /// Whether an entry names, beside rooms that the client left since, something by which it
        /// got it.
        fn is_named_still(&self, id: usize, entry: &Entry) -> bool {
            let rooms = &entry.record.rooms;
            let sequence = entry.position.sequence;
            let by = |(room, since): (&usize, &u64)| {
                *since < sequence && rooms.contains(&Name::Room(*room).text())
            };
            rooms.is_empty()
                || rooms.contains(&Name::Own(id).text())
                || self.clients[&id].rooms.iter().any(by)
        }
    }

    fn at(sequence: u64) -> Position {
        Position { epoch: Epoch(1), sequence }
    }

    fn replayed(world: &World, session: &Session, after: u64) -> Vec<u64> {
        let missed = world.log.iter().filter(|entry| missed(session, after, entry));
        missed.map(|entry| entry.position.sequence).collect()
    }

    proptest! {
        /// Whatever was seen last: replaying after it is the rest of what would have been received
        /// live, less what came only through rooms that were left since; and more only where a
        /// room was excepted that was left since.
        #[test]
        fn what_is_replayed_is_what_would_have_been_received(
            steps in prop::collection::vec(step(), 0..60), seen in any::<prop::sample::Index>(),
        ) {
            let mut world = World::default();
            steps.into_iter().for_each(|step| world.do_step(step));
            for (id, client) in &world.clients {
                let after = seen.index(world.log.len() + 1) as u64;
                let entry = |sequence: &u64| &world.log[usize::try_from(*sequence).unwrap() - 1];
                let live = client.received.iter().copied().filter(|it| *it > after);
                let live: Vec<u64> =
                    live.filter(|it| world.is_named_still(*id, entry(it))).collect();
                let again = replayed(&world, &world.session(*id), after);
                let (again, more): (Vec<u64>, Vec<u64>) =
                    again.into_iter().partition(|it| client.received.contains(it));
                prop_assert_eq!(again, live, "client {} after {}", id, after);
                for sequence in more {
                    prop_assert!(client.has_left && !entry(&sequence).record.except.is_empty());
                }
            }
        }

        /// Of a client that has left no room nothing is taken away, and nothing is added.
        #[test]
        fn without_leaving_it_is_exactly_the_rest(
            steps in prop::collection::vec(step(), 0..60), seen in any::<prop::sample::Index>(),
        ) {
            let mut world = World::default();
            let stays = |step: &Step| !matches!(step, Step::Leave(..));
            steps.into_iter().filter(stays).for_each(|step| world.do_step(step));
            for (id, client) in &world.clients {
                let after = seen.index(world.log.len() + 1) as u64;
                let rest = client.received.iter().copied().filter(|it| *it > after);
                let rest: Vec<u64> = rest.collect();
                prop_assert_eq!(replayed(&world, &world.session(*id), after), rest);
            }
        }

        /// What is read holds all that was missed: each entry is in a span, from where it begins.
        #[test]
        fn the_spans_that_are_read_hold_all_that_was_missed(
            steps in prop::collection::vec(step(), 0..60), seen in any::<prop::sample::Index>(),
        ) {
            let mut world = World::default();
            steps.into_iter().for_each(|step| world.do_step(step));
            for id in world.clients.keys() {
                let session = world.session(*id);
                let after = seen.index(world.log.len() + 1) as u64;
                let spans = spans(&session, after);
                prop_assert!(spans.len() <= session.rooms.len() + 1);
                for entry in world.log.iter().filter(|entry| missed(&session, after, entry)) {
                    let held = spans.iter().any(|span| {
                        let rooms = &entry.record.rooms;
                        let named = rooms.iter().any(|room| span.rooms.contains(room));
                        entry.position.sequence > span.from
                            && (named || (span.everyone && rooms.is_empty()))
                    });
                    prop_assert!(held, "{:?}", entry.position);
                }
            }
        }
    }
}
