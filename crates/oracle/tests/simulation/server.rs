//! A server that keeps the promise, except for the fault that is planted in it.

use std::collections::{BTreeMap, BTreeSet};

use eventlog::{Epoch, Position};

use crate::world::Random;

/// How far back a session is recovered, in entries.
const HORIZON: u64 = 40;

/// What is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One delivery in a thousand is not made.
    Drop,
    /// A delivery is made twice.
    Duplicate,
    /// An event overtakes the one before it.
    Swap,
    /// An event is sent to somebody who is not in the room.
    Leak,
    /// A session is recovered although what it missed is partly gone.
    RecoveredAfterTrimming,
    /// An event is acknowledged first and appended later.
    AckBeforeAppend,
    /// The event at the point of hand-over is neither replayed nor sent live.
    HandOverOffByOne,
    /// A crash loses the end of the log, and its positions are given out again.
    OffsetReused,
    /// Who has left still gets the room's events.
    DeliveryAfterLeave,
    /// A session is resumed with another one's socket and rooms.
    WrongPid,
}

/// Who is on the other end of a connection: the client's number, and which connection it is.
pub(crate) type Link = (usize, u64);

/// What the server sends to a client.
#[derive(Debug, Clone)]
pub(crate) enum ToClient {
    Event { id: String, position: Position },
    Connected { sid: String, pid: usize, recovered: bool },
    Done { call: u64 },
    Closed,
}

/// What a client sends to the server.
#[derive(Debug, Clone)]
pub(crate) enum ToServer {
    Connect { pid: Option<usize>, offset: Option<Position> },
    Join { call: u64, room: String },
    Leave { call: u64, room: String },
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) except: Vec<String>,
}

/// What is journalled of a socket.
#[derive(Debug, Clone)]
struct Session {
    sid: String,
    rooms: BTreeSet<String>,
    /// Where the log was at the connect.
    start: u64,
    live: Option<Link>,
    /// An event that is to be overtaken.
    held: Option<ToClient>,
}

pub(crate) struct Server {
    pub(crate) fault: Option<Fault>,
    /// How often the fault struck.
    pub(crate) struck: u64,
    /// The log: sequence 1 is the first.
    pub(crate) log: Vec<Entry>,
    /// Acknowledged, and not appended yet: a crash loses it.
    pub(crate) late: Vec<Entry>,
    sessions: Vec<Session>,
    keys: BTreeMap<String, Position>,
    outbox: Vec<(Link, ToClient)>,
}

impl Server {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self {
            fault,
            struck: 0,
            log: Vec::new(),
            late: Vec::new(),
            sessions: Vec::new(),
            keys: BTreeMap::new(),
            outbox: Vec::new(),
        }
    }

    /// What is to be sent, in order.
    pub(crate) fn take_outbox(&mut self) -> Vec<(Link, ToClient)> {
        std::mem::take(&mut self.outbox)
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn strikes(&mut self, fault: Fault, random: &mut Random, one_in: u64) -> bool {
        let strikes = self.has(fault) && random.below(one_in) == 0;
        self.struck += u64::from(strikes);
        strikes
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn position(sequence: u64) -> Position {
        Position { epoch: Epoch(7), sequence }
    }

    /// Answers the position at which the entry stands, or is promised to stand.
    pub(crate) fn publish(&mut self, entry: Entry, random: &mut Random) -> Position {
        if let Some(position) = self.keys.get(&entry.id) {
            return *position;
        }
        if self.has(Fault::AckBeforeAppend) {
            self.late.push(entry);
            return Self::position(self.head() + self.late.len() as u64);
        }
        self.append(&entry, random)
    }

    /// Appends, then shows.
    pub(crate) fn append(&mut self, entry: &Entry, random: &mut Random) -> Position {
        self.log.push(entry.clone());
        let position = Self::position(self.head());
        self.keys.insert(entry.id.clone(), position);
        for index in 0..self.sessions.len() {
            let Some(link) = self.sessions[index].live else { continue };
            let is_meant = is_meant(&self.sessions[index], entry);
            if !is_meant && !self.strikes(Fault::Leak, random, 300) {
                continue;
            }
            if self.strikes(Fault::Drop, random, 1000) {
                continue;
            }
            let event = ToClient::Event { id: entry.id.clone(), position };
            let held = self.sessions[index].held.take();
            if held.is_none() && self.strikes(Fault::Swap, random, 200) {
                self.sessions[index].held = Some(event);
                continue;
            }
            self.outbox.push((link, event.clone()));
            if self.strikes(Fault::Duplicate, random, 500) {
                self.outbox.push((link, event));
            }
            self.outbox.extend(held.map(|held| (link, held)));
        }
        position
    }

    pub(crate) fn receive(&mut self, link: Link, message: ToServer, random: &mut Random) {
        match message {
            ToServer::Connect { pid, offset } => self.connect(link, pid, offset, random),
            ToServer::Join { call, room } => {
                let Some(session) = self.session_of(link) else { return };
                session.rooms.insert(room);
                self.outbox.push((link, ToClient::Done { call }));
            }
            ToServer::Leave { call, room } => {
                let stays = self.strikes(Fault::DeliveryAfterLeave, random, 2);
                let Some(session) = self.session_of(link) else { return };
                if !stays {
                    session.rooms.remove(&room);
                }
                self.outbox.push((link, ToClient::Done { call }));
            }
        }
    }

    fn session_of(&mut self, link: Link) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.live == Some(link))
    }

    fn connect(
        &mut self,
        link: Link,
        pid: Option<usize>,
        offset: Option<Position>,
        random: &mut Random,
    ) {
        if let Some(pid) = pid
            && let Some(missed) = self.missed(pid, offset)
        {
            let mut from = pid;
            if self.sessions.len() > 1 && self.strikes(Fault::WrongPid, random, 3) {
                from = (pid + 1) % self.sessions.len();
                let stranger = self.sessions[from].clone();
                self.sessions[pid].sid = stranger.sid;
                self.sessions[pid].rooms = stranger.rooms;
            }
            if let Some(old) = self.sessions[pid].live.replace(link) {
                self.outbox.push((old, ToClient::Closed)); // the fence: one holder at a time
            }
            self.sessions[pid].held = None;
            for sequence in missed {
                let entry = &self.log[usize::try_from(sequence).unwrap() - 1];
                if is_meant(&self.sessions[from], entry) {
                    let position = Self::position(sequence);
                    let event = ToClient::Event { id: entry.id.clone(), position };
                    self.outbox.push((link, event));
                }
            }
            let sid = self.sessions[pid].sid.clone();
            self.outbox.push((link, ToClient::Connected { sid, pid, recovered: true }));
            return;
        }
        let (pid, start) = (self.sessions.len(), self.head());
        let sid = format!("sid{pid}");
        self.outbox.push((link, ToClient::Connected { sid: sid.clone(), pid, recovered: false }));
        let (rooms, live) = (BTreeSet::new(), Some(link));
        self.sessions.push(Session { sid, rooms, start, live, held: None });
    }

    /// What a session missed, if it can be told for certain.
    fn missed(&mut self, pid: usize, offset: Option<Position>) -> Option<std::ops::Range<u64>> {
        let after = offset.map_or(self.sessions[pid].start, |offset| offset.sequence);
        let trimmed = self.head().saturating_sub(HORIZON);
        let mut first = after + 1;
        if first <= trimmed {
            let lost = self.log[usize::try_from(after).unwrap()..usize::try_from(trimmed).unwrap()]
                .iter()
                .any(|entry| is_meant(&self.sessions[pid], entry));
            if lost && !self.has(Fault::RecoveredAfterTrimming) {
                return None;
            }
            self.struck += u64::from(lost);
            first = trimmed + 1;
        }
        let mut end = self.head() + 1;
        if self.has(Fault::HandOverOffByOne) && end > first {
            end -= 1;
            let last = &self.log[usize::try_from(end).unwrap() - 1];
            self.struck += u64::from(is_meant(&self.sessions[pid], last));
        }
        Some(first..end)
    }

    /// A connection is gone.
    pub(crate) fn gone(&mut self, link: Link) {
        if let Some(session) = self.session_of(link) {
            session.live = None;
            session.held = None;
        }
    }

    /// `kill -9`: the log and the journal are there afterwards, the connections are not.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        for session in &mut self.sessions {
            session.live = None;
            session.held = None;
        }
        self.struck += self.late.len() as u64;
        self.late.clear();
        if self.has(Fault::OffsetReused) {
            let lost = random.below(4).min(self.head());
            self.struck += lost;
            self.log.truncate(self.log.len() - usize::try_from(lost).unwrap());
        }
    }
}

fn is_meant(session: &Session, entry: &Entry) -> bool {
    let is_in = |rooms: &[String]| rooms.iter().any(|room| session.rooms.contains(room));
    is_in(&entry.rooms) && !is_in(&entry.except)
}
