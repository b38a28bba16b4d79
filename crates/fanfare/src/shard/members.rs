//! Who is in which room.

use super::journal::Joined;
use super::session::Standing;
use super::{Seat, Shard, SocketKey};
use crate::namespace::NamespaceCore;
use crate::socket::Description;
use hub::{Hub, JoinError, Member, Room, SocketId, Target};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

impl Shard {
    /// Puts a socket into rooms: all of them, or as many as the limit allows. `told` hears of it
    /// when it is as safe as the socket.
    pub(crate) fn join(self: &Rc<Self>, socket: SocketKey, rooms: &[Room], told: Option<Joined>) {
        match self.enter_rooms(socket, rooms) {
            Ok(()) => self.journal_rooms(socket, told),
            Err(error) => match told {
                // Nobody may be interested in the outcome.
                Some(told) => drop(told.send(Err(error))),
                None => tracing::debug!(%error, "a socket could not join"),
            },
        }
    }

    fn enter_rooms(&self, socket: SocketKey, rooms: &[Room]) -> Result<(), JoinError> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let slot = state.sockets.get_mut(socket).ok_or(JoinError::UnknownMember)?;
        let (id, max_rooms) = (slot.socket.core().id, self.io.settings().max_rooms);
        match &mut slot.standing {
            Standing::Connected(member) => {
                let member = *member;
                let hub = state.hubs.get_mut(&id).ok_or(JoinError::UnknownMember)?;
                let mut entered = 0;
                let outcome = rooms.iter().try_for_each(|room| {
                    hub.join(member, room)?;
                    entered += 1;
                    Ok(())
                });
                state.note_joined(socket, rooms.get(..entered).unwrap_or_default());
                outcome
            }
            Standing::Entering(waiting) => rooms.iter().try_for_each(|room| {
                if waiting.contains(room) {
                    return Ok(());
                }
                if waiting.len() >= max_rooms as usize {
                    return Err(JoinError::TooManyRooms { limit: max_rooms });
                }
                waiting.push(room.clone());
                Ok(())
            }),
        }
    }

    pub(crate) fn leave(self: &Rc<Self>, socket: SocketKey, rooms: &[Room]) {
        self.leave_rooms(socket, rooms);
        self.journal_rooms(socket, None);
    }

    fn leave_rooms(&self, socket: SocketKey, rooms: &[Room]) {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.seal();
        let Some(slot) = state.sockets.get_mut(socket) else { return };
        let id = slot.socket.core().id;
        match &mut slot.standing {
            Standing::Connected(member) => {
                let member = *member;
                let Some(hub) = state.hubs.get_mut(&id) else { return };
                for room in rooms {
                    hub.leave(member, room);
                }
                state.note_left(socket, rooms);
            }
            Standing::Entering(waiting) => waiting.retain(|room| !rooms.contains(room)),
        }
    }

    /// The rooms of one socket.
    pub(crate) fn rooms_of(&self, socket: SocketKey) -> Vec<Room> {
        let state = self.state.borrow();
        let Some(slot) = state.sockets.get(socket) else { return Vec::new() };
        match &slot.standing {
            Standing::Entering(waiting) => waiting.clone(),
            Standing::Connected(member) => {
                let hub = state.hubs.get(&slot.socket.core().id);
                hub.map_or_else(Vec::new, |hub| all_rooms(hub, *member, slot.socket.id()))
            }
        }
    }

    /// The transport that carries a socket's messages now.
    pub(crate) fn transport_of(&self, socket: SocketKey) -> Option<engineio::Transport> {
        let state = self.state.borrow();
        let session = state.sockets.get(socket)?.socket.session_key();
        state.sessions.get(session).map(|session| session.protocol.transport())
    }

    /// The sockets of a target on this shard.
    fn targets(&self, core: &NamespaceCore, target: &Target) -> Vec<SocketKey> {
        let mut state = self.state.borrow_mut();
        let mut sockets = Vec::new();
        if let Some(hub) = state.hubs.get_mut(&core.id) {
            hub.for_each_target(target, |_, seat| sockets.extend(seat.socket()));
        }
        sockets
    }

    pub(crate) fn join_targets(
        self: &Rc<Self>,
        core: &NamespaceCore,
        target: &Target,
        rooms: &[Room],
    ) {
        for socket in self.targets(core, target) {
            self.join(socket, rooms, None);
        }
    }

    pub(crate) fn leave_targets(
        self: &Rc<Self>,
        core: &NamespaceCore,
        target: &Target,
        rooms: &[Room],
    ) {
        for socket in self.targets(core, target) {
            self.leave(socket, rooms);
        }
    }

    pub(crate) fn disconnect_targets(
        self: &Rc<Self>,
        core: &NamespaceCore,
        target: &Target,
        close: bool,
    ) {
        for socket in self.targets(core, target) {
            self.disconnect(socket, close);
        }
    }

    /// Disconnects the sockets of a target whose clients have sent nothing for a time: how many.
    pub(crate) fn disconnect_inactive(
        self: &Rc<Self>,
        core: &NamespaceCore,
        target: &Target,
        time: Duration,
        close: bool,
    ) -> usize {
        let sockets = self.targets(core, target);
        let inactive: Vec<SocketKey> = {
            let state = self.state.borrow();
            let is_inactive = |key: &SocketKey| {
                let slot = state.sockets.get(*key);
                slot.is_some_and(|slot| slot.socket.inactive_for() >= time)
            };
            // A connection is ended when it is quiet in all its namespaces.
            let may_end = |key: &SocketKey| {
                let session = state.sockets.get(*key).map(|slot| slot.socket.session_key());
                let session = session.and_then(|session| state.sessions.get(session));
                !close || session.is_none_or(|session| session.sockets.iter().all(is_inactive))
            };
            sockets.into_iter().filter(is_inactive).filter(may_end).collect()
        };
        let count = inactive.len();
        for socket in inactive {
            self.disconnect(socket, close);
        }
        count
    }

    /// What is known of the sockets of a target.
    pub(crate) fn describe(&self, core: &NamespaceCore, target: &Target) -> Vec<Description> {
        let sockets = self.targets(core, target);
        sockets.into_iter().filter_map(|key| self.describe_one(key)).collect()
    }

    /// What is known of a socket.
    pub(crate) fn describe_one(&self, key: SocketKey) -> Option<Description> {
        let state = self.state.borrow();
        let socket = &state.sockets.get(key)?.socket;
        let mut auth: Value = socket.auth().unwrap_or_default();
        if let Some(auth) = auth.as_object_mut() {
            auth.remove("pid"); // the secret by which the client comes back
        }
        Some(Description {
            id: socket.id(),
            handshake: socket.handshake().to_json(&auth),
            rooms: self.rooms_of(key),
            data: socket.data(),
        })
    }
}

/// All rooms of a member, its own first unless it left that.
pub(super) fn all_rooms(hub: &Hub<Seat>, member: Member, id: SocketId) -> Vec<Room> {
    let own = hub.is_in_own_room(member).then(|| id.room());
    own.into_iter().chain(hub.rooms_of(member).cloned()).collect()
}
