//! Which sockets an event is meant for.

use smallvec::SmallVec;

use crate::Room;

/// Which sockets an event is meant for: everyone or the members of some rooms, less the members of
/// others.
///
/// A socket that is in several of the rooms is meant once; one that is in an excepted room is not
/// meant at all. Neighbouring events with equal targets can be joined into one write, so equality
/// is cheap; it looks at the order of the rooms too, which can only miss a join, never make a wrong
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    // Empty: everyone.
    rooms: SmallVec<[Room; 1]>,
    except: SmallVec<[Room; 1]>,
}

impl Target {
    /// Every socket of the namespace.
    #[must_use]
    pub fn all() -> Self {
        Self { rooms: SmallVec::new(), except: SmallVec::new() }
    }

    /// The members of one room.
    #[must_use]
    pub fn room(room: Room) -> Self {
        Self { rooms: SmallVec::from_buf([room]), except: SmallVec::new() }
    }

    /// The members of any of the rooms; `None` when there is no room in the list.
    ///
    /// An empty list is not everyone: a caller who means everyone says [`Target::all`].
    #[must_use]
    pub fn rooms(rooms: impl IntoIterator<Item = Room>) -> Option<Self> {
        let target = rooms.into_iter().fold(Self::all(), Self::or_room);
        (!target.is_all()).then_some(target)
    }

    /// Adds the members of one more room. On [`Target::all`] this narrows to that room, as
    /// `io.to(room)` does.
    #[must_use]
    pub fn or_room(mut self, room: Room) -> Self {
        add(&mut self.rooms, room);
        self
    }

    /// Takes the members of a room out, be they in the targeted rooms or not.
    #[must_use]
    pub fn except(mut self, room: Room) -> Self {
        add(&mut self.except, room);
        self
    }

    /// Whether no room is named: everyone is meant, less the excepted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Whether exactly one room and no exception is named: the cheapest target.
    #[must_use]
    pub fn is_single_room(&self) -> bool {
        self.single_room().is_some()
    }

    /// The room, when exactly one and no exception is named.
    #[must_use]
    pub fn single_room(&self) -> Option<&Room> {
        match self.rooms.as_slice() {
            [room] if self.except.is_empty() => Some(room),
            _ => None,
        }
    }

    /// The rooms named, without duplicates. Empty when everyone is meant.
    #[must_use]
    pub fn room_names(&self) -> &[Room] {
        &self.rooms
    }

    /// The rooms taken out, without duplicates.
    #[must_use]
    pub fn except_names(&self) -> &[Room] {
        &self.except
    }
}

/// A list is a handful of rooms; whoever takes lists from outside bounds them.
fn add(rooms: &mut SmallVec<[Room; 1]>, room: Room) {
    if !rooms.contains(&room) {
        rooms.push(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> Room {
        Room::new(name).unwrap()
    }

    #[test]
    fn an_empty_list_of_rooms_is_never_everyone() {
        assert_eq!(Target::rooms([]), None);
        assert_eq!(Target::rooms([room("a")]), Some(Target::room(room("a"))));
    }

    #[test]
    fn duplicates_do_not_make_another_target() {
        let twice = Target::rooms([room("a"), room("b"), room("a")]).unwrap();
        assert_eq!(twice, Target::room(room("a")).or_room(room("b")));
        let except = Target::all().except(room("x")).except(room("x"));
        assert_eq!(except.except_names(), [room("x")]);
    }

    #[test]
    fn a_single_room_is_one_room_without_exceptions() {
        let cases = [
            (Target::all(), false, true),
            (Target::room(room("a")), true, false),
            (Target::room(room("a")).or_room(room("b")), false, false),
            (Target::room(room("a")).except(room("b")), false, false),
            (Target::all().except(room("b")), false, true),
        ];
        for (target, single, all) in cases {
            assert_eq!((target.is_single_room(), target.is_all()), (single, all), "{target:?}");
        }
    }
}
