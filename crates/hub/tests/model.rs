#![cfg(test)]
//! Shows that the hub, whatever is done to it, answers as a plain model does: rooms as sets of
//! sockets, in which the room of a socket's own id is a room like any other.

use std::collections::{BTreeMap, BTreeSet};

use hub::{Hub, InsertError, JoinError, Joined, Left, Member, Room, SocketId, Target};
use proptest::prelude::*;

const SOCKETS: u8 = 6;
const MAX_ROOMS: u32 = 3;
/// Rooms 0 to 3 have plain names, 4 to 9 are the own rooms of the sockets.
const ROOMS: u8 = 4 + SOCKETS;

#[derive(Debug, Clone)]
enum Step {
    Insert(u8),
    Remove(u8),
    Join(u8, u8),
    Leave(u8, u8),
    LeaveAll(u8),
    Reach { rooms: Vec<u8>, except: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let rooms = || prop::collection::vec(0..ROOMS, 0..4);
    prop_oneof![
        2 => (0..SOCKETS).prop_map(Step::Insert),
        1 => (0..SOCKETS).prop_map(Step::Remove),
        8 => (0..SOCKETS, 0..ROOMS).prop_map(|(socket, room)| Step::Join(socket, room)),
        4 => (0..SOCKETS, 0..ROOMS).prop_map(|(socket, room)| Step::Leave(socket, room)),
        1 => (0..SOCKETS).prop_map(Step::LeaveAll),
        4 => (rooms(), rooms()).prop_map(|(rooms, except)| Step::Reach { rooms, except }),
    ]
}

fn id(socket: u8) -> SocketId {
    SocketId::new([socket; 12], u32::from(socket))
}

fn room(number: u8) -> Room {
    match number.checked_sub(4) {
        Some(socket) => id(socket).room(),
        None => Room::new(&format!("room {number}")).unwrap(),
    }
}

/// The hub and its model, side by side.
struct Pair {
    hub: Hub<u8>,
    members: BTreeMap<u8, Member>,
    rooms: BTreeMap<u8, BTreeSet<u8>>,
}

impl Pair {
    fn new() -> Self {
        Self { hub: Hub::new(MAX_ROOMS), members: BTreeMap::new(), rooms: BTreeMap::new() }
    }

    fn has(&self, number: u8, socket: u8) -> bool {
        self.rooms.get(&number).is_some_and(|room| room.contains(&socket))
    }

    /// The rooms of a socket without its own.
    fn others_of(&self, socket: u8) -> BTreeSet<u8> {
        let is_in = |&number: &u8| number != socket + 4 && self.has(number, socket);
        (0..ROOMS).filter(is_in).collect()
    }

    /// Returns whether the room is empty then.
    fn model_leave(&mut self, socket: u8, number: u8) -> bool {
        let room = self.rooms.entry(number).or_default();
        room.remove(&socket);
        let empty = room.is_empty();
        if empty {
            self.rooms.remove(&number);
        }
        empty
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Insert(socket) => self.insert(*socket),
            Step::Remove(socket) => {
                let Some(member) = self.members.remove(socket) else { return };
                let expected = self.expect_leaving_all(*socket);
                let removed = self.hub.remove(member).unwrap();
                assert_eq!((removed.id, removed.value), (id(*socket), *socket));
                assert_eq!(named(removed.rooms), expected);
                assert_eq!(self.hub.remove(member), None);
            }
            Step::Join(socket, number) => self.join(*socket, *number),
            Step::Leave(socket, number) => {
                let Some(&member) = self.members.get(socket) else { return };
                let was_in = self.has(*number, *socket);
                let expected = was_in.then(|| Left { deleted: self.model_leave(*socket, *number) });
                assert_eq!(self.hub.leave(member, &room(*number)), expected);
            }
            Step::LeaveAll(socket) => {
                let Some(&member) = self.members.get(socket) else { return };
                let expected = self.expect_leaving_all(*socket);
                assert_eq!(named(self.hub.leave_all(member)), expected);
            }
            Step::Reach { rooms, except } => self.reach(rooms, except),
        }
    }

    fn insert(&mut self, socket: u8) {
        let inserted = self.hub.insert(id(socket), socket);
        if self.members.contains_key(&socket) {
            assert_eq!(inserted, Err(InsertError::IdInUse(id(socket))));
            return;
        }
        self.members.insert(socket, inserted.unwrap());
        self.rooms.entry(socket + 4).or_default().insert(socket);
    }

    fn join(&mut self, socket: u8, number: u8) {
        let Some(&member) = self.members.get(&socket) else { return };
        let joined = self.hub.join(member, &room(number));
        let is_new = !self.has(number, socket);
        let full = self.others_of(socket).len() == MAX_ROOMS as usize;
        if is_new && full && number != socket + 4 {
            assert_eq!(joined, Err(JoinError::TooManyRooms { limit: MAX_ROOMS }));
            return;
        }
        let created = !self.rooms.contains_key(&number);
        self.rooms.entry(number).or_default().insert(socket);
        assert_eq!(joined, Ok(Joined { joined: is_new, created }));
    }

    fn expect_leaving_all(&mut self, socket: u8) -> BTreeMap<String, bool> {
        self.model_leave(socket, socket + 4);
        let others = self.others_of(socket);
        others.into_iter().map(|it| (room(it).to_string(), self.model_leave(socket, it))).collect()
    }

    fn reach(&mut self, rooms: &[u8], except: &[u8]) {
        let members = |numbers: &[u8]| -> BTreeSet<u8> {
            numbers.iter().filter_map(|it| self.rooms.get(it)).flatten().copied().collect()
        };
        let meant = match rooms {
            [] => self.members.keys().copied().collect(),
            rooms => members(rooms),
        };
        let expected: Vec<u8> = meant.difference(&members(except)).copied().collect();

        let target = rooms.iter().copied().map(room).fold(Target::all(), Target::or_room);
        let target = except.iter().copied().map(room).fold(target, Target::except);
        let mut reached = Vec::new();
        let count = self.hub.for_each_target(&target, |member, socket| {
            assert_eq!(self.members.get(&socket), Some(&member));
            reached.push(socket);
        });
        assert_eq!(count, reached.len());
        reached.sort_unstable();
        assert_eq!(reached, expected, "{target:?}");
    }

    /// Everything that can be asked is as in the model.
    fn check(&self) {
        assert_eq!(self.hub.len(), self.members.len());
        assert_eq!(self.hub.is_empty(), self.members.is_empty());
        for (&socket, &member) in &self.members {
            assert_eq!(self.hub.by_id(&id(socket)), Some((member, socket)));
            assert_eq!(self.hub.id(member), Some(id(socket)));
            let rooms: BTreeSet<String> =
                self.hub.rooms_of(member).map(ToString::to_string).collect();
            let expected = self.others_of(socket).into_iter().map(|it| room(it).to_string());
            assert_eq!(rooms, expected.collect());
            assert_eq!(self.hub.is_in_own_room(member), self.has(socket + 4, socket));
            for number in 0..ROOMS {
                let is_in = self.hub.is_in(member, room(number).as_str());
                assert_eq!(is_in, self.has(number, socket));
            }
        }
        for number in 0..ROOMS {
            let mut members: Vec<u8> =
                self.hub.members(room(number).as_str()).map(|(_, socket)| socket).collect();
            members.sort_unstable();
            let expected = self.rooms.get(&number).into_iter().flatten().copied();
            assert_eq!(members, expected.collect::<Vec<u8>>());
        }
        let stored = |(&number, members): (&u8, &BTreeSet<u8>)| {
            let joined = members.iter().filter(|&&socket| socket + 4 != number).count();
            (joined > 0).then(|| (room(number).to_string(), joined))
        };
        let expected: BTreeMap<String, usize> = self.rooms.iter().filter_map(stored).collect();
        assert_eq!(self.hub.room_count(), expected.len());
        let rooms = self.hub.rooms().map(|(room, count)| (room.to_string(), count));
        assert_eq!(rooms.collect::<BTreeMap<_, _>>(), expected);
    }
}

fn named(rooms: Vec<hub::LeftRoom>) -> BTreeMap<String, bool> {
    rooms.into_iter().map(|left| (left.room.to_string(), left.deleted)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_hub_is_the_model(steps in prop::collection::vec(step(), 0..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(&step);
            pair.check();
        }
    }
}

/// Large enough for every list to grow and shrink, in an order that moves records around.
#[test]
fn a_full_hub_empties_without_a_trace() {
    let mut hub = Hub::new(8);
    let rooms: Vec<Room> = (0..40).map(|it| Room::new(&format!("r{it}")).unwrap()).collect();
    let members: Vec<Member> = (0..4_000_u32)
        .map(|socket| {
            let member = hub.insert(SocketId::new([0; 12], socket), socket).unwrap();
            for step in 0..8 {
                hub.join(member, &rooms[(socket as usize * 7 + step * 5) % rooms.len()]).unwrap();
            }
            member
        })
        .collect();
    assert_eq!(hub.for_each_target(&Target::all(), |_, _| ()), 4_000);
    assert_eq!(rooms.iter().map(|it| hub.members(it.as_str()).count()).sum::<usize>(), 32_000);

    let mut deleted = 0;
    for place in 0..members.len() {
        let removed = hub.remove(members[(place * 1_777) % members.len()]).unwrap();
        assert_eq!(removed.rooms.len(), 8);
        deleted += removed.rooms.iter().filter(|left| left.deleted).count();
    }
    assert_eq!((hub.len(), hub.room_count(), deleted), (0, 0, rooms.len()));
}
