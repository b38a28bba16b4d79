//! What the operations of a hub answer.

use crate::{Room, SocketId};

/// Why a socket was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The caller's fault: a socket with this id is present. Whoever resumes an id removes its
    /// earlier holder first.
    #[error("a socket with the id {0} is already in the hub")]
    IdInUse(SocketId),
    /// As many sockets as keys exist.
    #[error("the hub is full: it holds {} sockets", u32::MAX)]
    Full,
}

/// Why a socket did not join a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The client's fault, or its handler's: the socket is in as many rooms as it may be.
    #[error("a socket may be in {limit} rooms at most")]
    TooManyRooms {
        /// The limit given to [`Hub::new`](crate::Hub::new).
        limit: u32,
    },
    /// The caller's fault: the member was removed.
    #[error("the socket has left the hub")]
    UnknownMember,
    /// As many rooms, or seats in this room, as keys exist.
    #[error("the hub is full: it holds {} rooms or seats", u32::MAX)]
    Full,
}

/// What a join changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The socket was not in the room before.
    pub joined: bool,
    /// The room had no member before.
    pub created: bool,
}

/// What a leave changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The room has no member any more.
    pub deleted: bool,
}

/// A room that a socket left with all its others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftRoom {
    /// The room.
    pub room: Room,
    /// The room has no member any more.
    pub deleted: bool,
}

/// A socket that left the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed<T> {
    /// Its public id.
    pub id: SocketId,
    /// What it was inserted with.
    pub value: T,
    /// The rooms it was in, without its own.
    pub rooms: Vec<LeftRoom>,
}
