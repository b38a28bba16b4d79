//! Beginning in the past: what a socket that joins a room is given of what was sent before.

use crate::emit::IntoRooms;
use crate::history::{Gap, RecordedEvent};
use crate::shard::Op;
use crate::socket::Socket;
use eventlog::Position;
use hub::{JoinError, RoomNameError};
use std::future::Future;
use tokio::sync::oneshot;

/// What of the past a socket that joins a room is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// The last so many events of the room, or all that are kept if there are fewer. Those that
    /// excepted the socket are not among them.
    Last(usize),
    /// The last event: for rooms in which each event takes the place of the one before.
    LastValue,
    /// All that came after a position, or nothing if that cannot be told whole.
    After(Position),
}

/// What a socket that joined was given of the past.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Replayed {
    /// The events, oldest first.
    pub events: Vec<RecordedEvent>,
    /// Where the past ends: the socket is sent what comes after it. `None` if the server records
    /// nothing.
    pub head: Option<Position>,
    /// Why the events that were asked for are not there. The rooms were joined all the same.
    pub gap: Option<Gap>,
}

impl Socket {
    /// Begins after a position, which the client has seen everything up to: when the socket
    /// connects, everything that was sent since to its rooms, to everyone, and to nobody it is
    /// excepted from, is sent to it behind the answer to its CONNECT, each with its offset.
    ///
    /// If that cannot be told whole, because of another epoch, because something is no longer kept
    /// or because there is too much ([`RecoverySettings`](crate::RecoverySettings)), nothing of it
    /// is sent. The socket connects all the same, and its first event is `replay:reset` with
    /// `{reason, head}`: a word of [`Gap::as_str`], and the end of the log.
    ///
    /// To be called in a middleware; later it does nothing. A client that was here before begins
    /// where it was: at its own offset, if that is later, and if it comes back to its socket
    /// ([`recovered`](Self::recovered)) whatever is asked for here.
    pub fn begin_from(&self, position: Position) {
        let key = self.key();
        self.push(Op::run(move |shard| shard.begin_from(key, position)));
    }

    /// Joins rooms, and asks for a part of their past: it is sent behind the answer to the client's
    /// CONNECT, like that of [`begin_from`](Self::begin_from), which wins over this.
    ///
    /// To be called in a middleware. Once the socket is connected nothing of the past can be sent:
    /// it would move the client's offset back. Then this is [`join`](Self::join), and
    /// [`join_with_history`](Self::join_with_history) is what gives the past.
    ///
    /// # Errors
    ///
    /// When a name is not valid at once, and from the future: too many rooms.
    pub fn join_with<R: IntoRooms>(
        &self,
        rooms: R,
        replay: Replay,
    ) -> Result<impl Future<Output = Result<(), JoinError>> + Send + use<R>, RoomNameError> {
        let rooms = rooms.into_rooms()?;
        let (sender, receiver) = oneshot::channel();
        let key = self.key();
        self.push(Op::run(move |shard| {
            shard.ask_replay(key, &rooms, replay);
            shard.join(key, &rooms, Some(sender));
        }));
        // The shard is gone only when the whole server is.
        Ok(async move { receiver.await.unwrap_or(Err(JoinError::UnknownMember)) })
    }

    /// Joins rooms and gives a part of their past, cut exactly there: what is in it is not sent to
    /// the socket, what came after it is. What is sent may reach the client before an ack with the
    /// past does; positions tell the order.
    ///
    /// The rooms are joined when the future is done, whether it is awaited or not. At most
    /// [`MAX_HISTORY_EVENTS`](crate::MAX_HISTORY_EVENTS) and
    /// [`MAX_HISTORY_BYTES`](crate::MAX_HISTORY_BYTES) are given. Of a room the socket is in
    /// already, the past has what it was sent before.
    ///
    /// # Errors
    ///
    /// When a name is not valid at once, and from the future: too many rooms, or the socket is not
    /// connected.
    pub fn join_with_history<R: IntoRooms>(
        &self,
        rooms: R,
        replay: Replay,
    ) -> Result<impl Future<Output = Result<Replayed, JoinError>> + Send + use<R>, RoomNameError>
    {
        let rooms = rooms.into_rooms()?;
        let (sender, receiver) = oneshot::channel();
        let socket = self.clone();
        self.push(Op::run(move |shard| shard.join_late(socket, rooms, replay, sender)));
        // The shard is gone only when the whole server is.
        Ok(async move { receiver.await.unwrap_or(Err(JoinError::UnknownMember)) })
    }
}
