//! Why a socket is gone.

use engineio::CloseReason;
use hub::Room;

/// A socket's end: why, and which rooms it was in.
#[derive(Debug, Clone)]
pub struct Disconnect {
    /// Why the socket is gone.
    pub reason: DisconnectReason,
    /// The rooms it was in until now, its own among them.
    pub rooms: Vec<Room>,
}

/// Why a socket is gone. The text is what Node's server reports, where it has the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The connection failed, or the client broke the transport's rules.
    TransportError,
    /// The client closed the connection, or the network did.
    TransportClose,
    /// The client did not answer a heartbeat in time.
    PingTimeout,
    /// The client sent what is no Engine.IO packet.
    ParseError,
    /// The client broke the Socket.IO protocol, or did not connect to a namespace in time.
    ForcedClose,
    /// The server closed the whole connection.
    ForcedServerClose,
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The server made the socket leave the namespace.
    ServerNamespaceDisconnect,
    /// The server is going down.
    ServerShuttingDown,
    /// The client reads slower than it is written to: its outbox reached its limit.
    SlowClient,
    /// A handler of this socket panicked.
    HandlerPanic,
    /// The client came back on another connection before this one was known to be dead.
    TakenOver,
    /// Something in the log was not shown in its turn: the client comes back and gets it.
    LogGap,
}

impl DisconnectReason {
    /// The reason as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowClient => "slow client",
            Self::HandlerPanic => "handler panic",
            Self::TakenOver => "taken over",
            Self::LogGap => "log gap",
        }
    }

    /// Whether a client that comes back gets the socket again: not when it, or the server, ended
    /// that socket alone and on purpose, nor when it does not speak the protocol.
    #[must_use]
    pub const fn is_recoverable(self) -> bool {
        !matches!(
            self,
            Self::ClientNamespaceDisconnect
                | Self::ServerNamespaceDisconnect
                | Self::HandlerPanic
                | Self::ParseError
        )
    }

    /// Whether what still waits for the client is dropped with the connection.
    pub(crate) const fn is_abrupt(self) -> bool {
        matches!(self, Self::SlowClient | Self::TakenOver)
    }
}

impl std::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportError => Self::TransportError,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::ForcedClose => Self::ForcedClose,
        }
    }
}
