//! What can be set.

use crate::rate::Rate;
use crate::recorder::Log;
use crate::recording::Recording;
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
    /// How fast one client is read.
    pub read_rate: ReadRate,
    /// How many rooms one socket may be in. Default: 1 000.
    pub max_rooms: u32,
    /// How many listeners of one connection may be unfinished before no more is read from it; what
    /// one read brought is still handled. At least 1. Default: 1 024.
    pub max_running_handlers: u32,
    /// How long a client may take to send the body of a POST. Default: 20 s.
    pub body_deadline: Duration,
    /// How many sessions and streams may be open. Default: 1 000 000. Further ones are answered 503.
    pub max_sessions: usize,
    /// Where events are recorded. Default: `None`, nothing is: no history, and no client gets its
    /// session back.
    pub log: Option<Log>,
    /// Which rooms are recorded. Default: all.
    pub recording: Recording,
    /// Connection state recovery; without a log there is none.
    pub recovery: RecoverySettings,
    /// Streams of server-sent events.
    pub streams: StreamSettings,
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

/// Who gets a session back, and how much is sent again.
#[derive(Debug, Clone, Copy)]
pub struct RecoverySettings {
    /// Whether clients get their sessions back. Default: yes. Single namespaces can be left out:
    /// [`Namespace::without_recovery`](crate::Namespace::without_recovery).
    pub enabled: bool,
    /// For how long after its connection was lost a client gets its session back. Default: 24
    /// hours, as long as the log keeps events: a phone that slept over night misses nothing.
    pub window: Duration,
    /// The most events that are sent again. Who missed more is told that it was not recovered, and
    /// reads the history. Default: 10 000, about what an outbox takes.
    pub max_events: usize,
    /// The most bytes of them. Default: 16 MiB, so that a client that was cut because its outbox was
    /// full gets what it missed. They may wait for it beyond [`OutboxLimits`].
    pub max_bytes: usize,
    /// The most sessions that wait for their clients; of more, the oldest are given up. Default:
    /// 500 000, half of what a log's journal takes.
    pub max_waiting: usize,
}

/// What streams of server-sent events are told beside events.
#[derive(Debug, Clone, Copy)]
pub struct StreamSettings {
    /// After how much quiet a stream is sent a comment. Default: 15 s; proxies and phone networks
    /// take a connection for dead after half a minute or a minute without a byte.
    pub heartbeat: Duration,
    /// A client that lost its stream comes back after this at the earliest. Default: 2 s.
    pub retry_min: Duration,
    /// And after this at the latest. Each stream is told a time in between, so that after a
    /// restart not all come at once. Default: 5 s.
    pub retry_max: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        StreamSettings {
            heartbeat: Duration::from_secs(15),
            retry_min: Duration::from_secs(2),
            retry_max: Duration::from_secs(5),
        }
    }
}

impl Default for RecoverySettings {
    fn default() -> Self {
        RecoverySettings {
            enabled: true,
            window: Duration::from_secs(24 * 3600),
            max_events: 10_000,
            max_bytes: 16 << 20,
            max_waiting: 500_000,
        }
    }
}

impl Default for OutboxLimits {
    fn default() -> Self {
        OutboxLimits { max_events: 16_384, max_bytes: 4 << 20 }
    }
}

/// How fast one client is read: what it sends beyond that waits in the network, which slows it down.
/// Nothing is lost, and no heartbeat is missed because of it.
///
/// Counted are the bytes on each WebSocket, and those that a polling session posts. Where they
/// may come compressed, messages count at least as what they unpack to.
#[derive(Debug, Clone, Copy)]
pub struct ReadRate {
    /// Bytes in the long run; 0 switches the limit off. Default: 4 MiB, about what an uplink of
    /// 35 Mbit/s brings: people's clients never feel it, and a flood leaves most of a core to
    /// others. Set more for clients that are machines of your own, such as a backend that publishes
    /// through a socket.
    pub bytes_per_second: u64,
    /// Bytes that may come at once after a time of quiet. Default: 8 MiB, so that several messages
    /// of the largest size pass in one go.
    pub burst_bytes: u64,
}

impl ReadRate {
    pub(crate) fn rate(self) -> Option<Rate> {
        Rate::new(self.bytes_per_second, self.burst_bytes)
    }
}

impl Default for ReadRate {
    fn default() -> Self {
        ReadRate { bytes_per_second: 4 << 20, burst_bytes: 8 << 20 }
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
            read_rate: ReadRate::default(),
            max_rooms: hub::DEFAULT_MAX_ROOMS,
            max_running_handlers: 1024,
            body_deadline: Duration::from_secs(20),
            max_sessions: 1_000_000,
            log: None,
            recording: Recording::default(),
            recovery: RecoverySettings::default(),
            streams: StreamSettings::default(),
            shards: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
