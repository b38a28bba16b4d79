//! A trace retold: publishes, the lives of clients, and the final log.

use std::collections::{BTreeMap, HashMap};

use eventlog::{Epoch, Position};

use crate::trace::{Line, What};

/// A point of the story: the place of a line among all lines, in the order of time. One clock
/// stamped them all, so moments of different actors compare.
pub(crate) type Moment = usize;

/// Later than everything.
pub(crate) const NEVER: Moment = usize::MAX;

/// An event, as its place in [`Story::publishes`].
pub(crate) type EventRef = usize;

/// Everything a trace tells.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// The time of each moment, in nanoseconds.
    pub(crate) times: Vec<u64>,
    /// Every event that anybody named, in the order in which they were first named.
    pub(crate) publishes: Vec<Publish>,
    /// Every client, by name.
    pub(crate) lives: BTreeMap<String, Life>,
    /// The final log of each room whose history was read.
    pub(crate) log: BTreeMap<String, Vec<Entry>>,
    /// From when on nothing was broken.
    pub(crate) healed: Option<Moment>,
    /// Where two lines say different things of one position.
    pub(crate) conflicts: Vec<Conflict>,
    events: HashMap<String, EventRef>,
    positions: HashMap<Position, EventRef>,
}

/// One event, from its publisher's side.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) id: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) except: Vec<String>,
    pub(crate) has_key: bool,
    /// When it was first asked for; [`NEVER`] when nobody asked for it.
    pub(crate) invoked: Moment,
    /// When it was first answered 2xx: it stood in the log by then. [`NEVER`] without that.
    pub(crate) acked: Moment,
    /// Where it stands, whoever said so first; in each life of the log that somebody spoke of.
    pub(crate) positions: Vec<Position>,
    /// How often it was answered 2xx or refused for certain, less how often it was asked for: below
    /// zero when an attempt may have succeeded unseen.
    settled: i32,
}

impl Publish {
    pub(crate) fn is_acked(&self) -> bool {
        self.acked != NEVER
    }

    /// Where it stands in one life of the log.
    pub(crate) fn position_in(&self, epoch: Epoch) -> Option<Position> {
        self.positions.iter().find(|position| position.epoch == epoch).copied()
    }

    /// Whether it is certain that it was not recorded.
    pub(crate) fn is_refused(&self) -> bool {
        !self.is_acked() && self.settled >= 0
    }
}

/// One client.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) connections: Vec<Connection>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) stays: HashMap<String, Vec<Stay>>,
    /// When the client was told that something may be missing: each begins the next window.
    pub(crate) told: Vec<Moment>,
    pub(crate) is_connected: bool,
    /// What was answered twice, or without a question.
    pub(crate) stray_acks: Vec<(Moment, u64)>,
    pub(crate) breaches: Vec<(Moment, String)>,
    calls: HashMap<u64, Call>,
    /// How many receipts there were at the last disconnect.
    heard: usize,
}

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) at: Moment,
    pub(crate) id: String,
    pub(crate) recovered: bool,
    /// How many receipts the client had when it lost the connection before this one.
    pub(crate) heard: usize,
}

/// What a client received.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) event: EventRef,
    pub(crate) at: Moment,
    /// In which window.
    pub(crate) window: usize,
}

/// A client's membership of a room, within one window.
#[derive(Debug)]
pub(crate) struct Stay {
    pub(crate) window: usize,
    /// It may be a member from here...
    pub(crate) asked: Moment,
    /// ...is one for certain from here...
    pub(crate) certain_from: Moment,
    /// ...to here...
    pub(crate) certain_until: Moment,
    /// ...and may be one until here.
    pub(crate) possible_until: Moment,
    /// How many receipts the client had when it asked to leave, if it did.
    pub(crate) heard_at_leave: Option<usize>,
}

/// An entry of a room's history.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) event: EventRef,
    pub(crate) position: Option<Position>,
    pub(crate) at: Moment,
}

/// Somebody said of an event that it stands at a position, which cannot be.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub(crate) who: String,
    pub(crate) at: Moment,
    pub(crate) event: EventRef,
    pub(crate) position: Position,
    pub(crate) with: With,
}

/// What contradicts a position.
#[derive(Debug)]
pub(crate) enum With {
    /// Another event stands there.
    Tenant(EventRef),
    /// The event stands there.
    Place(Position),
}

#[derive(Debug)]
struct Call {
    room: String,
    is_join: bool,
    is_done: bool,
}

impl Story {
    /// Retells a trace. The lines may come in any order that keeps each actor's own.
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut order: Vec<&Line> = lines.iter().collect();
        order.sort_by_key(|line| line.at); // stable: an actor's lines of one time stay in order
        let mut story =
            Self { times: order.iter().map(|line| line.at).collect(), ..Self::default() };
        for (moment, line) in order.into_iter().enumerate() {
            story.tell(moment, line);
        }
        story
    }

    /// An event that somebody named. What nobody asked for has no rooms and was never invoked.
    fn event(&mut self, id: &str) -> EventRef {
        if let Some(&event) = self.events.get(id) {
            return event;
        }
        let event = self.publishes.len();
        self.events.insert(id.to_owned(), event);
        self.publishes.push(Publish {
            id: id.to_owned(),
            rooms: Vec::new(),
            except: Vec::new(),
            has_key: false,
            invoked: NEVER,
            acked: NEVER,
            positions: Vec::new(),
            settled: 0,
        });
        event
    }

    fn tell(&mut self, at: Moment, line: &Line) {
        match &line.what {
            What::Invoke { id, rooms, except, key } => {
                let event = self.event(id);
                let Some(publish) = self.publishes.get_mut(event) else { return };
                publish.invoked = publish.invoked.min(at);
                rooms.clone_into(&mut publish.rooms);
                except.clone_into(&mut publish.except);
                publish.has_key = key.is_some();
                publish.settled -= 1;
            }
            What::Ok { id, position } => {
                let event = self.event(id);
                self.claim(at, &line.who, event, position.as_deref());
                let Some(publish) = self.publishes.get_mut(event) else { return };
                publish.acked = publish.acked.min(at);
            }
            What::Failed { id } => {
                let event = self.event(id);
                let Some(publish) = self.publishes.get_mut(event) else { return };
                publish.settled += 1;
            }
            What::Entry { room, id, position } => {
                let event = self.event(id);
                self.claim(at, &line.who, event, Some(position));
                let entry = Entry { event, at, position: position.parse().ok() };
                self.log.entry(room.clone()).or_default().push(entry);
            }
            What::Read { room } => {
                self.log.entry(room.clone()).or_default();
            }
            What::Healed => self.healed = Some(at),
            What::Unknown { .. } | What::Fault { .. } => {}
            What::Receive { id, position } => {
                let event = self.event(id);
                self.claim(at, &line.who, event, position.as_deref());
                self.lives.entry(line.who.clone()).or_default().receive(at, event);
            }
            what => self.lives.entry(line.who.clone()).or_default().live(at, what),
        }
    }

    /// Somebody says where an event stands.
    fn claim(&mut self, at: Moment, who: &str, event: EventRef, position: Option<&str>) {
        let Some(position) = position.and_then(|text| text.parse::<Position>().ok()) else {
            return;
        };
        let there = *self.positions.entry(position).or_insert(event);
        let Some(publish) = self.publishes.get_mut(event) else { return };
        let known = publish.position_in(position.epoch).unwrap_or_else(|| {
            publish.positions.push(position);
            position
        });
        let with = match there {
            tenant if tenant != event => With::Tenant(tenant),
            _ if known != position => With::Place(known),
            _ => return,
        };
        self.conflicts.push(Conflict { who: who.to_owned(), at, event, position, with });
    }

    pub(crate) fn publish(&self, event: EventRef) -> Option<&Publish> {
        self.publishes.get(event)
    }

    /// Whether `first` certainly stands before `second` in the log: by their positions, or because
    /// one was answered before the other was asked for.
    pub(crate) fn precedes(&self, first: EventRef, second: EventRef) -> bool {
        match (self.places(first, second), self.publish(first), self.publish(second)) {
            (Some((first, second)), ..) => first < second,
            (None, Some(first), Some(second)) => {
                first.acked < second.invoked && second.invoked != NEVER
            }
            _ => false,
        }
    }

    /// Whether the log has `first` behind `second`.
    pub(crate) fn stands_after(&self, first: EventRef, second: EventRef) -> bool {
        self.places(first, second).is_some_and(|(first, second)| first > second)
    }

    /// The sequences of two events, in a life of the log that has both.
    fn places(&self, first: EventRef, second: EventRef) -> Option<(u64, u64)> {
        let (first, second) = (self.publish(first)?, self.publish(second)?);
        first.positions.iter().find_map(|position| {
            Some((position.sequence, second.position_in(position.epoch)?.sequence))
        })
    }

    /// The time between two moments, in nanoseconds; zero when the first is not the earlier.
    pub(crate) fn between(&self, first: Moment, second: Moment) -> u64 {
        match (self.times.get(first), self.times.get(second)) {
            (Some(first), Some(second)) => second.saturating_sub(*first),
            _ => 0,
        }
    }
}

impl Life {
    fn live(&mut self, at: Moment, what: &What) {
        match what {
            What::Connect { id, recovered } => self.connect(at, id, *recovered),
            What::Reset => self.reset(at),
            What::Disconnect { .. } => {
                self.is_connected = false;
                self.heard = self.receipts.len();
            }
            What::Join { call, room } => {
                self.call(*call, room, true);
                self.join(at, room);
            }
            What::Leave { call, room } => {
                self.call(*call, room, false);
                let heard = self.receipts.len();
                if let Some(stay) = self.stay(room) {
                    stay.certain_until = stay.certain_until.min(at);
                    stay.heard_at_leave.get_or_insert(heard);
                }
            }
            What::Done { call } => self.done(at, *call),
            What::Breach { detail } => self.breaches.push((at, detail.clone())),
            _ => {}
        }
    }

    fn receive(&mut self, at: Moment, event: EventRef) {
        let window = self.told.len();
        self.receipts.push(Receipt { event, at, window });
    }

    fn connect(&mut self, at: Moment, id: &str, recovered: bool) {
        if self.is_connected {
            self.heard = self.receipts.len(); // it noticed no disconnect
        }
        if !recovered && !self.connections.is_empty() {
            self.begin_window(at);
            // What came before the answer to CONNECT came with it.
            let window = self.told.len();
            let early = self.receipts.iter_mut().skip(self.heard);
            early.for_each(|receipt| receipt.window = window);
        }
        let heard = self.heard;
        self.connections.push(Connection { at, id: id.to_owned(), recovered, heard });
        self.is_connected = true;
        self.heard = self.receipts.len();
    }

    /// The connection that looked resumed was not.
    fn reset(&mut self, at: Moment) {
        self.begin_window(at);
        if let Some(connection) = self.connections.last_mut() {
            connection.recovered = false;
        }
    }

    fn begin_window(&mut self, at: Moment) {
        self.told.push(at);
        for stay in self.stays.values_mut().flatten() {
            stay.certain_until = stay.certain_until.min(at);
            stay.possible_until = stay.possible_until.min(at);
        }
    }

    fn call(&mut self, call: u64, room: &str, is_join: bool) {
        self.calls.insert(call, Call { room: room.to_owned(), is_join, is_done: false });
    }

    /// The stay in a room that may be going on.
    fn stay(&mut self, room: &str) -> Option<&mut Stay> {
        let stay = self.stays.get_mut(room)?.last_mut()?;
        (stay.possible_until == NEVER).then_some(stay)
    }

    fn join(&mut self, at: Moment, room: &str) {
        // A question that is repeated goes on with the stay it began.
        if self.stay(room).is_some_and(|stay| stay.certain_until == NEVER) {
            return;
        }
        let stay = Stay {
            window: self.told.len(),
            asked: at,
            certain_from: NEVER,
            certain_until: NEVER,
            possible_until: NEVER,
            heard_at_leave: None,
        };
        self.stays.entry(room.to_owned()).or_default().push(stay);
    }

    fn done(&mut self, at: Moment, number: u64) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_done) else {
            self.stray_acks.push((at, number));
            return;
        };
        call.is_done = true;
        let (room, is_join) = (call.room.clone(), call.is_join);
        if let Some(stay) = self.stay(&room) {
            if is_join {
                stay.certain_from = stay.certain_from.min(at);
            } else if stay.certain_until != NEVER {
                stay.possible_until = at;
            }
        }
    }
}
