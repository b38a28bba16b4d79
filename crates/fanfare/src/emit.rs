//! What can be emitted, and where to.

use hub::{Room, RoomNameError, SocketId};
use serde::Serialize;
use smallvec::SmallVec;
use socketio::{Args, EncodeError, ReservedName};

/// The arguments of an event or an ack.
///
/// Implemented for [`Args`] (what came is sent on, byte for byte), for tuples of up to eight
/// values (one per argument), and, because one argument is so common, for `&str`, `String` and
/// `serde_json::Value`.
pub trait IntoArgs {
    /// Encodes the arguments.
    ///
    /// # Errors
    ///
    /// When a value cannot be JSON, such as a map whose keys are no strings.
    fn into_args(self) -> Result<Args, EncodeError>;
}

impl IntoArgs for Args {
    fn into_args(self) -> Result<Args, EncodeError> {
        Ok(self)
    }
}

impl IntoArgs for &Args {
    fn into_args(self) -> Result<Args, EncodeError> {
        Ok(self.clone())
    }
}

impl IntoArgs for () {
    fn into_args(self) -> Result<Args, EncodeError> {
        Ok(Args::none())
    }
}

macro_rules! into_args_for_value {
    ($($type:ty),+) => {$(
        impl IntoArgs for $type {
            fn into_args(self) -> Result<Args, EncodeError> {
                Args::of(&(self,))
            }
        }
    )+};
}

into_args_for_value!(&str, String, serde_json::Value, &serde_json::Value);

macro_rules! into_args_for_tuple {
    ($($name:ident),+) => {
        impl<$($name: Serialize),+> IntoArgs for ($($name,)+) {
            fn into_args(self) -> Result<Args, EncodeError> {
                Args::of(&self)
            }
        }
    };
}

into_args_for_tuple!(A);
into_args_for_tuple!(A, B);
into_args_for_tuple!(A, B, C);
into_args_for_tuple!(A, B, C, D);
into_args_for_tuple!(A, B, C, D, E);
into_args_for_tuple!(A, B, C, D, E, F);
into_args_for_tuple!(A, B, C, D, E, F, G);
into_args_for_tuple!(A, B, C, D, E, F, G, H);

/// One or several rooms: a name, a socket's id (its own room), or a list of them.
pub trait IntoRooms {
    /// The rooms.
    ///
    /// # Errors
    ///
    /// When a name is empty, longer than 255 bytes, or has control characters.
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError>;
}

impl IntoRooms for &str {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        Ok(SmallVec::from_buf([Room::new(self)?]))
    }
}

impl IntoRooms for &String {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        self.as_str().into_rooms()
    }
}

impl IntoRooms for String {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        self.as_str().into_rooms()
    }
}

impl IntoRooms for Room {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        Ok(SmallVec::from_buf([self]))
    }
}

impl IntoRooms for &Room {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        Ok(SmallVec::from_buf([self.clone()]))
    }
}

impl IntoRooms for SocketId {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        Ok(SmallVec::from_buf([self.room()]))
    }
}

impl<R: IntoRooms> IntoRooms for Vec<R> {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        all_of(self)
    }
}

impl<R: IntoRooms + Clone> IntoRooms for &[R] {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        all_of(self.iter().cloned())
    }
}

impl<R: IntoRooms, const N: usize> IntoRooms for [R; N] {
    fn into_rooms(self) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
        all_of(self)
    }
}

fn all_of<R: IntoRooms>(
    rooms: impl IntoIterator<Item = R>,
) -> Result<SmallVec<[Room; 1]>, RoomNameError> {
    let mut all = SmallVec::new();
    for room in rooms {
        all.extend(room.into_rooms()?);
    }
    Ok(all)
}

/// Why something was not emitted. Nothing was sent to anyone then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The event's name is reserved by the protocol.
    #[error(transparent)]
    Event(#[from] ReservedName),
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Args(#[from] EncodeError),
    /// A room's name is not valid.
    #[error(transparent)]
    Room(#[from] RoomNameError),
    /// `to` or `except` was given an empty list: that would mean everyone, or nobody.
    #[error("the list of rooms is empty; leave `to` out to reach every socket")]
    NoRooms,
    /// The socket is not connected: not yet (in a middleware), or not any more.
    #[error("the socket is not connected")]
    NotConnected,
    /// The event is not recorded, so that neither a position nor an idempotency key can be given.
    #[error("the event is not recorded, so it has no position and no idempotency key")]
    NotRecorded,
    /// The log did not take the event, or, if it says so, may have taken it.
    #[error("the event was not sent: {0}")]
    Log(#[from] eventlog::AppendError),
    /// More is published than the shards can deliver. Try again later.
    #[error("the server has more to deliver than it can; try again later")]
    Overloaded,
}

/// How an event is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Dropped for receivers that cannot take it at once.
    pub(crate) volatile: bool,
    /// May be compressed, where compression is on.
    pub(crate) compress: bool,
    /// Only for sockets of this node.
    pub(crate) local: bool,
}

impl Flags {
    /// From how many bytes on a message is compressed, for those who agreed on it.
    pub(crate) fn threshold(self, io: &crate::Io) -> Option<usize> {
        io.settings().message_compression.filter(|_| self.compress)
    }
}

impl Default for Flags {
    fn default() -> Self {
        Flags { volatile: false, compress: true, local: false }
    }
}
