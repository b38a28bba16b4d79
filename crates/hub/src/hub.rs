//! The sockets of one namespace on one shard, and the rooms they are in.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use slab::Slab;
use smallvec::SmallVec;

use crate::index::Index;
use crate::outcome::{InsertError, JoinError, Joined, Left, LeftRoom, Removed};
use crate::{Room, SocketId, Target};

/// The default limit of rooms one socket may be in.
///
/// Generous for applications (a room per conversation, document or job) and small enough that a
/// client that joins in a loop costs well under 100 KB.
pub const DEFAULT_MAX_ROOMS: u32 = 1_000;

/// Vectors smaller than this keep their capacity.
const SHRINK_ABOVE: usize = 64;

/// The key of a socket in its [`Hub`].
///
/// It is valid from [`Hub::insert`] to [`Hub::remove`] and is then given to another socket: keep it
/// beside the session, nowhere else. Whoever holds a socket for longer asks [`Hub::by_id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Member(u32);

/// The sockets of one namespace on one shard, and the rooms they are in.
///
/// `T` is what the shard knows a socket by. A copy of it stands in every seat of a room, so that
/// walking a room reads one contiguous piece of memory.
///
/// **Own rooms.** Every socket is in the room named like its id, without an entry being stored.
/// Other sockets may join a room of that name, and the owner may leave it and join it again, as
/// with Node: after leaving, events to the id no longer reach it. The own room is in neither
/// [`Hub::rooms_of`] nor the limit of rooms.
///
/// **Costs.** Joining and leaving are constant but for finding whether the member is in the room: a
/// scan of the shorter of both lists, at most the limit of rooms. A member without rooms takes
/// under 100 bytes when `T` has 8; a seat takes 24. Memory of records is reused, not returned.
pub struct Hub<T> {
    members: Slab<MemberRecord<T>>,
    member_by_id: Index,
    everyone: Vec<Attendance<T>>,
    rooms: Slab<RoomRecord<T>>,
    room_by_name: Index,
    hasher: RandomState,
    max_rooms: u32,
    /// The walk whose marks are valid. Marks of earlier walks are lower.
    walk: u32,
}

struct MemberRecord<T> {
    id: SocketId,
    value: T,
    /// The last walk that is done with this member: reached or excepted.
    mark: u32,
    /// Where this member stands in `everyone`.
    attendance: u32,
    /// The owner left the room of its own id.
    left_own_room: bool,
    memberships: SmallVec<[Membership; 2]>,
}

struct RoomRecord<T> {
    name: Room,
    /// Never empty: an empty room is removed. Rooms of one (a user's) need no allocation.
    seats: SmallVec<[Seat<T>; 1]>,
}

/// One member in the list of everyone.
#[derive(Clone, Copy)]
struct Attendance<T> {
    member: u32,
    value: T,
}

/// One member in a room; `membership` is the index in the member's list that points back here.
#[derive(Clone, Copy)]
struct Seat<T> {
    member: u32,
    membership: u32,
    value: T,
}

/// One room of a member; `seat` is the index in the room's list that points back here.
#[derive(Clone, Copy)]
struct Membership {
    room: u32,
    seat: u32,
}

impl<T: Copy> Hub<T> {
    /// An empty hub. `max_rooms` limits the rooms of each socket; [`DEFAULT_MAX_ROOMS`] suits most.
    #[must_use]
    pub fn new(max_rooms: u32) -> Self {
        Self {
            members: Slab::new(),
            member_by_id: Index::default(),
            everyone: Vec::new(),
            rooms: Slab::new(),
            room_by_name: Index::default(),
            // Names come from clients: a secret key keeps them from choosing collisions.
            hasher: RandomState::new(),
            max_rooms,
            walk: 0,
        }
    }

    /// Takes a socket in. It is at once in the room of its own id.
    ///
    /// # Errors
    ///
    /// [`InsertError::IdInUse`] when the id is present, [`InsertError::Full`] when no key is left.
    pub fn insert(&mut self, id: SocketId, value: T) -> Result<Member, InsertError> {
        let hash = self.hash(id.as_str());
        if self.find_member(hash, &id).is_some() {
            return Err(InsertError::IdInUse(id));
        }
        let member = u32::try_from(self.members.vacant_key()).map_err(|_| InsertError::Full)?;
        let attendance = u32::try_from(self.everyone.len()).map_err(|_| InsertError::Full)?;
        self.members.insert(MemberRecord {
            id,
            value,
            mark: 0,
            attendance,
            left_own_room: false,
            memberships: SmallVec::new(),
        });
        self.everyone.push(Attendance { member, value });
        let Self { member_by_id, members, hasher, .. } = self;
        member_by_id.insert(hash, member, |key| hash_of_member(hasher, members, key));
        Ok(Member(member))
    }

    /// Takes a socket out of its rooms and of the hub. `None` when it is not in.
    pub fn remove(&mut self, member: Member) -> Option<Removed<T>> {
        let rooms = self.leave_memberships(member);
        let id = self.record(member)?.id;
        let hash = self.hash(id.as_str());
        let Self { member_by_id, members, hasher, .. } = self;
        member_by_id.remove(hash, member.0, |key| hash_of_member(hasher, members, key));
        let record = self.members.try_remove(member.0 as usize)?;
        let place = record.attendance as usize;
        if place < self.everyone.len() {
            self.everyone.swap_remove(place);
            if let Some(moved) = self.everyone.get(place)
                && let Some(moved) = self.members.get_mut(moved.member as usize)
            {
                moved.attendance = record.attendance;
            }
        }
        if self.everyone.capacity() > SHRINK_ABOVE
            && self.everyone.len() < self.everyone.capacity() / 4
        {
            self.everyone.shrink_to(self.everyone.len() * 2);
        }
        Some(Removed { id, value: record.value, rooms })
    }

    /// Puts a socket into a room. Joining a room twice changes nothing.
    ///
    /// # Errors
    ///
    /// [`JoinError::TooManyRooms`] at the limit, [`JoinError::UnknownMember`] after `remove`,
    /// [`JoinError::Full`] when no key is left. Nothing changed then.
    pub fn join(&mut self, member: Member, room: &Room) -> Result<Joined, JoinError> {
        let hash = self.hash(room.as_str());
        let found = self.find_room(hash, room.as_str());
        let record = self.members.get_mut(member.0 as usize).ok_or(JoinError::UnknownMember)?;
        if record.id.as_str() == room.as_str() {
            let joined = std::mem::take(&mut record.left_own_room);
            return Ok(Joined { joined, created: joined && found.is_none() });
        }
        if found.is_some_and(|room| self.seat_of(member, room).is_some()) {
            return Ok(Joined { joined: false, created: false });
        }
        let created = found.is_none() && self.own_room_of(room.as_str()).is_none();
        self.take_seat(member, room, hash, found)?;
        Ok(Joined { joined: true, created })
    }

    /// Takes a socket out of a room. `None` when it was not in the room.
    pub fn leave(&mut self, member: Member, room: &Room) -> Option<Left> {
        let found = self.find_room(self.hash(room.as_str()), room.as_str());
        let record = self.members.get_mut(member.0 as usize)?;
        if record.id.as_str() == room.as_str() {
            let was_in = !std::mem::replace(&mut record.left_own_room, true);
            return was_in.then_some(Left { deleted: found.is_none() });
        }
        let membership = self.seat_of(member, found?)?;
        self.give_seat_up(member, membership).map(|left| Left { deleted: left.deleted })
    }

    /// Takes a socket out of all rooms, its own too. It stays in the hub and among everyone.
    ///
    /// The own room is not in the result.
    pub fn leave_all(&mut self, member: Member) -> Vec<LeftRoom> {
        if let Some(record) = self.members.get_mut(member.0 as usize) {
            record.left_own_room = true;
        }
        self.leave_memberships(member)
    }

    /// Calls `reach` once for each socket that is meant, in no particular order, and returns how
    /// many there were. Nothing is allocated.
    ///
    /// Spec: Node's `Adapter#apply`.
    pub fn for_each_target(&mut self, target: &Target, mut reach: impl FnMut(Member, T)) -> usize {
        if let Some(room) = target.single_room() {
            return self
                .members(room.as_str())
                .fold(0, |count, (member, value)| count_of(count, || reach(member, value)));
        }
        if target.is_all() && target.except_names().is_empty() {
            return self
                .everyone()
                .fold(0, |count, (member, value)| count_of(count, || reach(member, value)));
        }
        self.start_walk();
        for room in target.except_names() {
            self.walk_room(room, &mut |_, _| ());
        }
        if !target.is_all() {
            return target.room_names().iter().map(|room| self.walk_room(room, &mut reach)).sum();
        }
        let mut count = 0;
        for attendance in &self.everyone {
            if self.members.get(attendance.member as usize).is_some_and(|it| it.mark != self.walk) {
                count += 1;
                reach(Member(attendance.member), attendance.value);
            }
        }
        count
    }

    /// The members of a room, the owner of the id of that name first.
    pub fn members(&self, room: &str) -> impl Iterator<Item = (Member, T)> + '_ {
        let owner = self.own_room_of(room).and_then(|owner| Some((owner, self.value(owner)?)));
        let seats = self
            .find_room(self.hash(room), room)
            .and_then(|key| self.rooms.get(key as usize))
            .map_or(&[][..], |record| record.seats.as_slice());
        owner.into_iter().chain(seats.iter().map(|seat| (Member(seat.member), seat.value)))
    }

    /// Every socket of the hub.
    pub fn everyone(&self) -> impl Iterator<Item = (Member, T)> + '_ {
        self.everyone.iter().map(|it| (Member(it.member), it.value))
    }

    /// The rooms a socket is in, without its own, in no particular order.
    pub fn rooms_of(&self, member: Member) -> impl Iterator<Item = &Room> + '_ {
        self.record(member)
            .into_iter()
            .flat_map(|record| &record.memberships)
            .filter_map(|membership| self.rooms.get(membership.room as usize))
            .map(|record| &record.name)
    }

    /// Every room with at least one joined member and the number of those members. Own rooms that
    /// nobody else joined are not among them.
    pub fn rooms(&self) -> impl Iterator<Item = (&Room, usize)> + '_ {
        self.rooms.iter().map(|(_, record)| (&record.name, record.seats.len()))
    }

    /// Whether a socket is in a room, its own included.
    #[must_use]
    pub fn is_in(&self, member: Member, room: &str) -> bool {
        if self.record(member).is_some_and(|record| record.id.as_str() == room) {
            return self.is_in_own_room(member);
        }
        self.find_room(self.hash(room), room)
            .is_some_and(|room| self.seat_of(member, room).is_some())
    }

    /// Whether events to the socket's id reach it: true until it leaves the room of that name.
    #[must_use]
    pub fn is_in_own_room(&self, member: Member) -> bool {
        self.record(member).is_some_and(|record| !record.left_own_room)
    }

    /// The socket with this id.
    #[must_use]
    pub fn by_id(&self, id: &SocketId) -> Option<(Member, T)> {
        let member = self.find_member(self.hash(id.as_str()), id)?;
        Some((member, self.value(member)?))
    }

    /// The id of a socket.
    #[must_use]
    pub fn id(&self, member: Member) -> Option<SocketId> {
        self.record(member).map(|record| record.id)
    }

    /// What a socket was inserted with.
    #[must_use]
    pub fn value(&self, member: Member) -> Option<T> {
        self.record(member).map(|record| record.value)
    }

    /// The number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.everyone.len()
    }

    /// Whether no socket is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.everyone.is_empty()
    }

    /// The number of rooms that [`Hub::rooms`] lists.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }
}

impl<T: Copy> Hub<T> {
    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    fn record(&self, member: Member) -> Option<&MemberRecord<T>> {
        self.members.get(member.0 as usize)
    }

    fn find_member(&self, hash: u64, id: &SocketId) -> Option<Member> {
        let is_it = |key| self.members.get(key as usize).is_some_and(|it| it.id == *id);
        self.member_by_id.find(hash, is_it).map(Member)
    }

    fn find_room(&self, hash: u64, name: &str) -> Option<u32> {
        let is_it = |key| self.rooms.get(key as usize).is_some_and(|it| it.name == *name);
        self.room_by_name.find(hash, is_it)
    }

    /// The socket whose own room has this name, if it is in it.
    fn own_room_of(&self, name: &str) -> Option<Member> {
        let (member, _) = self.by_id(&SocketId::parse(name).ok()?)?;
        self.is_in_own_room(member).then_some(member)
    }

    /// The index of the membership that binds a member to a room.
    fn seat_of(&self, member: Member, room: u32) -> Option<usize> {
        let memberships = &self.record(member)?.memberships;
        let seats = &self.rooms.get(room as usize)?.seats;
        if seats.len() < memberships.len() {
            let seat = seats.iter().find(|seat| seat.member == member.0)?;
            return Some(seat.membership as usize);
        }
        memberships.iter().position(|membership| membership.room == room)
    }

    /// Binds a member to a room it is not in, and creates the room if there is none.
    fn take_seat(
        &mut self,
        member: Member,
        name: &Room,
        hash: u64,
        found: Option<u32>,
    ) -> Result<(), JoinError> {
        let Self { members, rooms, room_by_name, hasher, max_rooms, .. } = self;
        let record = members.get_mut(member.0 as usize).ok_or(JoinError::UnknownMember)?;
        let membership = u32::try_from(record.memberships.len()).map_err(|_| JoinError::Full)?;
        if membership >= *max_rooms {
            return Err(JoinError::TooManyRooms { limit: *max_rooms });
        }
        let taken = Seat { member: member.0, membership, value: record.value };
        let (room, seat) = match found {
            Some(room) => {
                let seats = &mut rooms.get_mut(room as usize).ok_or(JoinError::Full)?.seats;
                let seat = u32::try_from(seats.len()).map_err(|_| JoinError::Full)?;
                seats.push(taken);
                (room, seat)
            }
            None => {
                let room = u32::try_from(rooms.vacant_key()).map_err(|_| JoinError::Full)?;
                let seats = SmallVec::from_buf([taken]);
                rooms.insert(RoomRecord { name: name.clone(), seats });
                room_by_name.insert(hash, room, |key| hash_of_room(hasher, rooms, key));
                (room, 0)
            }
        };
        record.memberships.push(Membership { room, seat });
        Ok(())
    }

    /// Ends one membership of a member and removes the room if it was the last.
    fn give_seat_up(&mut self, member: Member, index: usize) -> Option<LeftRoom> {
        let record = self.members.get_mut(member.0 as usize)?;
        let Membership { room, seat } = *record.memberships.get(index)?;
        record.memberships.swap_remove(index);
        // The membership that moved into the gap is told to its seat, ...
        if let Some(moved) = record.memberships.get(index).copied() {
            let seats = self.rooms.get_mut(moved.room as usize).map(|it| &mut it.seats);
            if let Some(seat) = seats.and_then(|seats| seats.get_mut(moved.seat as usize)) {
                seat.membership = u32::try_from(index).unwrap_or(u32::MAX);
            }
        }
        // ... and the seat that moved into the gap to its membership.
        let seats = &mut self.rooms.get_mut(room as usize)?.seats;
        if (seat as usize) < seats.len() {
            seats.swap_remove(seat as usize);
        }
        if let Some(moved) = seats.get(seat as usize) {
            let owner = self.members.get_mut(moved.member as usize);
            let memberships = owner.map(|owner| &mut owner.memberships);
            if let Some(membership) =
                memberships.and_then(|it| it.get_mut(moved.membership as usize))
            {
                membership.seat = seat;
            }
        }
        if seats.len() < seats.capacity() / 4 && seats.capacity() > SHRINK_ABOVE {
            seats.shrink_to_fit();
        }
        if !seats.is_empty() {
            let room = self.rooms.get(room as usize)?.name.clone();
            return Some(LeftRoom { room, deleted: false });
        }
        self.remove_room(room)
    }

    fn remove_room(&mut self, room: u32) -> Option<LeftRoom> {
        let hash = self.hash(self.rooms.get(room as usize)?.name.as_str());
        let Self { room_by_name, rooms, hasher, .. } = &mut *self;
        room_by_name.remove(hash, room, |key| hash_of_room(hasher, rooms, key));
        let room = self.rooms.try_remove(room as usize)?.name;
        let deleted = self.own_room_of(room.as_str()).is_none();
        Some(LeftRoom { room, deleted })
    }

    /// From the last membership to the first, so that nothing has to move up.
    fn leave_memberships(&mut self, member: Member) -> Vec<LeftRoom> {
        let count = self.record(member).map_or(0, |record| record.memberships.len());
        (0..count).rev().filter_map(|index| self.give_seat_up(member, index)).collect()
    }

    /// Makes all marks invalid.
    fn start_walk(&mut self) {
        self.walk = self.walk.wrapping_add(1);
        if self.walk == 0 {
            for (_, record) in &mut self.members {
                record.mark = 0;
            }
            self.walk = 1;
        }
    }

    /// Calls `reach` for the members of a room that this walk is not done with, and marks them.
    fn walk_room(&mut self, room: &Room, reach: &mut impl FnMut(Member, T)) -> usize {
        let owner = self.own_room_of(room.as_str());
        let found = self.find_room(self.hash(room.as_str()), room.as_str());
        let seats = found
            .and_then(|key| self.rooms.get(key as usize))
            .map_or(&[][..], |record| record.seats.as_slice());
        let mut count = 0;
        for member in owner.into_iter().chain(seats.iter().map(|seat| Member(seat.member))) {
            if let Some(record) = self.members.get_mut(member.0 as usize)
                && record.mark != self.walk
            {
                record.mark = self.walk;
                count += 1;
                reach(member, record.value);
            }
        }
        count
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("sockets", &self.everyone.len())
            .field("rooms", &self.rooms.len())
            .field("max_rooms", &self.max_rooms)
            .finish_non_exhaustive()
    }
}

fn count_of(count: usize, reach: impl FnOnce()) -> usize {
    reach();
    count + 1
}

fn hash_of_member<T>(hasher: &RandomState, members: &Slab<MemberRecord<T>>, key: u32) -> u64 {
    members.get(key as usize).map_or(0, |record| hasher.hash_one(record.id.as_str()))
}

fn hash_of_room<T>(hasher: &RandomState, rooms: &Slab<RoomRecord<T>>, key: u32) -> u64 {
    rooms.get(key as usize).map_or(0, |record| hasher.hash_one(record.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle socket costs its record, its line among everyone and its entry in the index.
    #[test]
    fn a_member_without_rooms_takes_under_100_bytes() {
        type Key = (u32, u32);
        let record = size_of::<Option<MemberRecord<Key>>>();
        let index = (size_of::<u32>() + 1) * 16 / 7; // just after the table has doubled
        assert!(record + size_of::<Attendance<Key>>() + index < 100);
        assert_eq!(size_of::<Seat<Key>>() + size_of::<Membership>(), 24);
    }

    /// Marks of the first walks must not pass for marks of the walk after the counter's end.
    #[test]
    fn marks_survive_the_end_of_the_walk_counter() {
        let mut hub = Hub::new(1);
        let room = Room::new("a").unwrap();
        let member = hub.insert(SocketId::new([0; 12], 0), ()).unwrap();
        hub.join(member, &room).unwrap();
        let target = Target::rooms([room, Room::new("b").unwrap()]).unwrap();
        for walk in [0, u32::MAX - 1, u32::MAX] {
            hub.walk = walk;
            assert_eq!(hub.for_each_target(&target, |_, ()| ()), 1, "after walk {walk}");
        }
    }
}
