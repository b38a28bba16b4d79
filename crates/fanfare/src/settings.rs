//! What can be set.

use socketio::Parser;
use std::time::Duration;

/// The settings of a server. Every field has a default that suits most.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Engine.IO settings: heartbeats, payload limit, transports, CORS, cookie, compression.
    pub engine: engineio::Settings,
    /// Where clients connect. Default: `/socket.io`, what clients use unless told otherwise.
    pub path: String,
    /// How long a connection may stay without joining a namespace. Default: 10 s; a client joins
    /// with its first packet, so that what has not joined by then is no client.
    pub connect_timeout: Duration,
    /// How packets are encoded; the clients must use the same. Default: JSON.
    pub parser: Parser,
    /// Messages of at least this many bytes are compressed for clients on WebSocket that offer
    /// permessage-deflate. Default: `None`, never: it costs far more CPU than it saves.
    pub message_compression: Option<usize>,
    /// Limits on packets: attachments, namespaces, the size of `auth`. The size of a packet is
    /// that of [`engine.max_payload_bytes`](engineio::Settings::max_payload_bytes).
    pub packet_limits: socketio::Limits,
    /// What may wait for one slow client.
    pub outbox: OutboxLimits,
    /// How many rooms one socket may be in. Default: 1 000.
    pub max_rooms: u32,
    /// How many listeners of one connection may be unfinished before no more is read from it; what
    /// one read brought is still handled. At least 1. Default: 1 024.
    pub max_running_handlers: u32,
    /// How long a client may take to send the body of a POST. Default: 20 s.
    pub body_deadline: Duration,
    /// How many sessions may be open. Default: 1 000 000. Further ones are answered 503.
    pub max_sessions: usize,
    /// Threads that own connections. Default: one per core.
    pub shards: usize,
}

impl Settings {
    /// What a Socket.IO connection needs of them.
    pub(crate) fn socketio(&self) -> socketio::Settings {
        let limits = socketio::Limits {
            max_packet_bytes: self.engine.max_payload_bytes,
            ..self.packet_limits.clone()
        };
        socketio::Settings { parser: self.parser, limits }
    }
}

/// What may wait for one client that reads slower than it is written to.
///
/// It is counted when the network did not take everything at once: what goes out at once does not
/// wait. A client that polls has everything wait for it that is sent between two polls.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    /// Events. Default: 16 384.
    pub max_events: usize,
    /// Bytes. Default: 4 MiB. One event that is larger may still wait alone.
    pub max_bytes: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        OutboxLimits { max_events: 16_384, max_bytes: 4 << 20 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: engineio::Settings::default(),
            path: "/socket.io".to_owned(),
            connect_timeout: Duration::from_secs(10),
            parser: Parser::Json,
            message_compression: None,
            packet_limits: socketio::Limits::default(),
            outbox: OutboxLimits::default(),
            max_rooms: hub::DEFAULT_MAX_ROOMS,
            max_running_handlers: 1024,
            body_deadline: Duration::from_secs(20),
            max_sessions: 1_000_000,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
