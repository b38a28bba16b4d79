//! Sending from the application's own code: to users, a room, a socket, or everybody.

use fanfare::{Broadcast, IntoArgs, Published, SocketId};

use crate::code::Code;
use crate::context::Context;
use crate::names;
use crate::publish::not_emitted;
use crate::refusal::Refusal;

/// How an event is sent, beside to whom.
#[derive(Debug, Clone, Default)]
pub struct SendOptions {
    /// The namespace; `/` if not said.
    pub namespace: Option<String>,
    /// Rooms, users' rooms (`user:<id>`) and ids of sockets that do not get it.
    pub except: Vec<String>,
    /// Makes a retry safe, also over a restart: of several with the same key the first is sent.
    pub idempotency_key: Option<String>,
    /// Whether it may be dropped for who cannot take it at once; then it is not kept either.
    pub volatile: bool,
}

/// Names of events may have dots and colons: `task.created` and `task:created` are two.
///
/// # Errors
///
/// Of all: [`Code::UnknownNamespace`], [`Code::InvalidRequest`] for names that are none, and those of the log.
impl Context {
    /// Sends an event to all devices of users.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn emit_to_users<U: AsRef<str>>(
        &self,
        users: &[U],
        event: &str,
        args: impl IntoArgs,
        options: SendOptions,
    ) -> Result<Published, Refusal> {
        let rooms: Vec<String> =
            users.iter().map(|user| names::room_of_user(user.as_ref())).collect();
        self.send(Some(rooms), event, args, options).await
    }

    /// Sends an event to everybody in a room.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn emit_to_room(
        &self,
        room: &str,
        event: &str,
        args: impl IntoArgs,
        options: SendOptions,
    ) -> Result<Published, Refusal> {
        self.send(Some(vec![room.to_owned()]), event, args, options).await
    }

    /// Sends an event to one socket.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn emit_to_socket(
        &self,
        socket: SocketId,
        event: &str,
        args: impl IntoArgs,
        options: SendOptions,
    ) -> Result<Published, Refusal> {
        self.send(Some(vec![socket.to_string()]), event, args, options).await
    }

    /// Sends an event to everybody in the namespace.
    ///
    /// # Errors
    ///
    /// See above.
    pub async fn broadcast_to_all(
        &self,
        event: &str,
        args: impl IntoArgs,
        options: SendOptions,
    ) -> Result<Published, Refusal> {
        self.send(None, event, args, options).await
    }

    async fn send(
        &self,
        rooms: Option<Vec<String>>,
        event: &str,
        args: impl IntoArgs,
        options: SendOptions,
    ) -> Result<Published, Refusal> {
        let named = rooms.iter().flatten().chain(&options.except);
        if named.into_iter().any(|room| names::check_name(room).is_err()) {
            return Err(Refusal::field(Code::InvalidRequest, "rooms", names::ROOM_FORM));
        }
        let namespace = self.namespace(options.namespace.as_deref().unwrap_or("/"))?;
        let mut broadcast: Broadcast = namespace.broadcast();
        if let Some(rooms) = rooms {
            broadcast = broadcast.to(rooms);
        }
        if !options.except.is_empty() {
            broadcast = broadcast.except(options.except);
        }
        if options.volatile {
            broadcast = broadcast.volatile();
        }
        if let Some(key) = options.idempotency_key {
            broadcast = broadcast.idempotency_key(key);
        }
        broadcast.publish(event, args).await.map_err(not_emitted)
    }
}
