//! Who is in a room, as users: somebody with three devices came once and leaves once, and a connection
//! that was lost for a moment is no leaving.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use fanfare::SocketId;

use crate::caller::Author;
use crate::whereabouts::Whereabouts;

/// A room of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RoomKey {
    pub(super) namespace: String,
    pub(super) room: String,
}

/// Users in rooms, on this node. Pure: time comes in.
#[derive(Debug, Default)]
pub(super) struct Members {
    rooms: HashMap<RoomKey, HashMap<String, Member>>,
    devices: Whereabouts<RoomKey>,
    /// Those whose last device lost its connection, by when they are taken to have left.
    leaving: BTreeSet<(Instant, RoomKey, String)>,
}

#[derive(Debug)]
struct Member {
    name: Option<String>,
    devices: Vec<SocketId>,
    leaves: Option<Instant>,
}

impl Members {
    /// A device came: whether its user did, and how many users there are now.
    pub(super) fn enter(&mut self, key: &RoomKey, who: &Author, device: SocketId) -> (bool, usize) {
        let users = self.rooms.entry(key.clone()).or_default();
        let fresh = !users.contains_key(&who.id);
        self.devices.enter(device, key);
        let member = users.entry(who.id.clone()).or_insert_with(|| Member {
            name: who.name.clone(),
            devices: Vec::new(),
            leaves: None,
        });
        // Again is no second time.
        if !member.devices.contains(&device) {
            member.devices.push(device);
        }
        let count = users.len();
        let leaves = users.get_mut(&who.id).and_then(|member| member.leaves.take());
        if let Some(at) = leaves {
            self.leaving.remove(&(at, key.clone(), who.id.clone()));
        }
        (fresh, count)
    }

    /// A device left on purpose: whether its user has left, and how many there are still.
    pub(super) fn leave(&mut self, key: &RoomKey, who: &str, device: SocketId) -> (bool, usize) {
        self.devices.leave(device, key);
        let Some(users) = self.rooms.get_mut(key) else { return (false, 0) };
        let Some(member) = users.get_mut(who) else { return (false, users.len()) };
        let was_here = member.devices.contains(&device);
        member.devices.retain(|other| *other != device);
        let gone = was_here && member.devices.is_empty();
        if gone {
            users.remove(who);
        }
        let count = users.len();
        if count == 0 {
            self.rooms.remove(key);
        }
        (gone, count)
    }

    /// A device lost its connection: its user leaves at a time, unless it is back before.
    pub(super) fn lose(&mut self, key: &RoomKey, who: &str, device: SocketId, at: Instant) {
        self.devices.leave(device, key);
        let Some(member) = self.rooms.get_mut(key).and_then(|users| users.get_mut(who)) else {
            return;
        };
        member.devices.retain(|other| *other != device);
        if member.devices.is_empty() && member.leaves.is_none() {
            member.leaves = Some(at);
            self.leaving.insert((at, key.clone(), who.to_owned()));
        }
    }

    /// A room is no more: whether somebody was in it.
    pub(super) fn dissolve(&mut self, key: &RoomKey) -> bool {
        let Some(users) = self.rooms.remove(key) else { return false };
        for (id, member) in users {
            if let Some(at) = member.leaves {
                self.leaving.remove(&(at, key.clone(), id));
            }
            for device in member.devices {
                self.devices.leave(device, key);
            }
        }
        true
    }

    /// The rooms that a device is in.
    pub(super) fn rooms_of(&self, device: SocketId) -> Vec<RoomKey> {
        self.devices.of(device)
    }

    /// The coming that brought a device to a room, if it is there.
    pub(super) fn coming(&self, key: &RoomKey, device: SocketId) -> Option<u64> {
        self.devices.coming(device, key)
    }

    /// Those who have left by now, and how many are still in each room.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(RoomKey, Author, usize)> {
        let mut gone = Vec::new();
        while self.leaving.first().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, key, id)) = self.leaving.pop_first() else { break };
            let Some(users) = self.rooms.get_mut(&key) else { continue };
            let Some(member) = users.remove(&id) else { continue };
            let count = users.len();
            if count == 0 {
                self.rooms.remove(&key);
            }
            gone.push((key, Author { id, name: member.name }, count));
        }
        gone
    }

    /// When somebody leaves next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, _, _)| *at)
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.leaving.is_empty() && self.devices.is_empty()
    }

    /// How many users there are in a room.
    #[cfg(test)]
    fn count(&self, key: &RoomKey) -> usize {
        self.rooms.get(key).map_or(0, HashMap::len)
    }

    /// How long somebody may be away without having left.
    pub(super) const GRACE: Duration = Duration::from_secs(10);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(room: &str) -> RoomKey {
        RoomKey { namespace: "/".to_owned(), room: room.to_owned() }
    }

    fn device(number: u32) -> SocketId {
        SocketId::parse(&format!("{number:020}")).unwrap()
    }

    fn author(id: &str) -> Author {
        Author { id: id.to_owned(), name: None }
    }

    #[test]
    fn a_user_comes_once_and_leaves_once() {
        let (mut members, room, now) = (Members::default(), key("a"), Instant::now());
        let (phone, laptop, other) = (device(1), device(2), device(3));
        assert_eq!(members.enter(&room, &author("ada"), phone), (true, 1));
        assert_eq!(members.enter(&room, &author("ada"), phone), (false, 1));
        assert_eq!(members.enter(&room, &author("ada"), laptop), (false, 1));
        assert_eq!(members.enter(&room, &author("bob"), other), (true, 2));
        assert_eq!(members.leave(&room, "ada", phone), (false, 2));
        assert_eq!(members.leave(&room, "ada", phone), (false, 2));
        // The other device loses its connection, and is back.
        members.lose(&room, "ada", laptop, now + Members::GRACE);
        assert_eq!(members.expire(now), []);
        assert_eq!(members.enter(&room, &author("ada"), laptop), (false, 2));
        assert_eq!(members.expire(now + Members::GRACE), []);
        // And is not back.
        members.lose(&room, "ada", laptop, now);
        assert_eq!(members.expire(now), [(room.clone(), author("ada"), 1)]);
        assert_eq!(members.leave(&room, "bob", other), (true, 0));
        assert_eq!(members.leave(&room, "bob", other), (false, 0));
        assert!(members.is_empty());
    }

    #[test]
    fn a_room_that_is_no_more_has_nobody() {
        let (mut members, now) = (Members::default(), Instant::now());
        let (room, other) = (key("a"), key("b"));
        assert!(!members.dissolve(&room));
        for (id, number) in [("ada", 1), ("ada", 2), ("bob", 3)] {
            members.enter(&room, &author(id), device(number));
        }
        members.enter(&other, &author("ada"), device(1));
        members.lose(&room, "bob", device(3), now);
        assert!(members.dissolve(&room));
        assert_eq!(members.rooms_of(device(1)), std::slice::from_ref(&other));
        assert_eq!(members.expire(now), []);
        assert_eq!(members.enter(&room, &author("ada"), device(2)), (true, 1));
        members.leave(&room, "ada", device(2));
        members.leave(&other, "ada", device(1));
        assert!(members.is_empty());
    }

    proptest! {
        /// Whatever happens, each coming is followed by one leaving, and nothing is left behind.
        #[test]
        fn comings_and_leavings_alternate(steps in prop::collection::vec((0..4u8, 0..3u8), 0..200)) {
            let (mut members, room, start) = (Members::default(), key("r"), Instant::now());
            let (mut now, mut here, mut devices) = (start, [false; 3], [0_u32; 3]);
            // The devices of a user are numbered from its own hundred on.
            let of = |user: usize, number: u32| device(u32::try_from(user).unwrap() * 1_000 + number);
            for (step, user) in steps {
                let (id, index) = (user.to_string(), usize::from(user));
                match step {
                    0 => {
                        devices[index] += 1;
                        let (fresh, _) = members.enter(&room, &author(&id), of(index, devices[index]));
                        prop_assert_eq!(fresh, !here[index]);
                        here[index] = true;
                    }
                    1 if devices[index] > 0 => {
                        let (gone, _) = members.leave(&room, &id, of(index, devices[index]));
                        devices[index] -= 1;
                        prop_assert_eq!(gone, devices[index] == 0);
                        here[index] = !gone;
                    }
                    2 if devices[index] > 0 => {
                        members.lose(&room, &id, of(index, devices[index]), now + Members::GRACE);
                        devices[index] -= 1;
                    }
                    _ => {
                        now += Duration::from_secs(4);
                        for (_, who, _) in members.expire(now) {
                            let index: usize = who.id.parse().unwrap();
                            prop_assert!(here[index] && devices[index] == 0);
                            here[index] = false;
                        }
                    }
                }
                prop_assert_eq!(members.count(&room), here.iter().filter(|here| **here).count());
            }
        }
    }
}
