//! Why a session ended.

use std::fmt;

/// The five reasons the protocol knows; what an application is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The transport broke or the client broke the transport's rules.
    TransportError,
    /// The client closed the transport.
    TransportClose,
    /// The server closed the session.
    ForcedClose,
    /// No heartbeat came in time.
    PingTimeout,
    /// The client sent bytes that are no packet.
    ParseError,
}

impl CloseReason {
    /// The reason's text as the reference server spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exact cause behind a [`CloseReason`]: one per fault, for logs, metrics and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// A second `GET` while one was pending.
    OverlappingPoll,
    /// A second `POST` while one was being read.
    OverlappingPost,
    /// A binary `POST` from a revision 4 client, which has no binary payloads.
    BinaryPost,
    /// The client dropped a pending `GET`.
    PollAborted,
    /// The client dropped a `POST` before its end.
    PostAborted,
    /// A ping from the side that must not send any.
    PingFromClient,
    /// A pong from the side that must not send any.
    PongFromClient,
    /// The transport failed below this protocol (a reset, a broken WebSocket frame).
    TransportFailed,
    /// The client sent a close packet (polling only).
    ClosePacket,
    /// The client ended the transport in good order.
    TransportEnded,
    /// The server asked for it.
    ByServer,
    /// The server asked for it and the client did not poll again in time.
    ByServerUnheard,
    /// No pong within [`crate::Settings::ping_timeout`], or no ping from a revision 3 client.
    HeartbeatMissed,
    /// Bytes that are no packet.
    Unparsable,
}

impl CloseCause {
    /// The reason an application is told.
    pub const fn reason(self) -> CloseReason {
        match self {
            Self::OverlappingPoll
            | Self::OverlappingPost
            | Self::BinaryPost
            | Self::PollAborted
            | Self::PostAborted
            | Self::PingFromClient
            | Self::PongFromClient
            | Self::TransportFailed => CloseReason::TransportError,
            Self::ClosePacket | Self::TransportEnded => CloseReason::TransportClose,
            Self::ByServer | Self::ByServerUnheard => CloseReason::ForcedClose,
            Self::HeartbeatMissed => CloseReason::PingTimeout,
            Self::Unparsable => CloseReason::ParseError,
        }
    }

    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OverlappingPoll => "overlapping_poll",
            Self::OverlappingPost => "overlapping_post",
            Self::BinaryPost => "binary_post",
            Self::PollAborted => "poll_aborted",
            Self::PostAborted => "post_aborted",
            Self::PingFromClient => "ping_from_client",
            Self::PongFromClient => "pong_from_client",
            Self::TransportFailed => "transport_failed",
            Self::ClosePacket => "close_packet",
            Self::TransportEnded => "transport_ended",
            Self::ByServer => "by_server",
            Self::ByServerUnheard => "by_server_unheard",
            Self::HeartbeatMissed => "heartbeat_missed",
            Self::Unparsable => "unparsable",
        }
    }
}
