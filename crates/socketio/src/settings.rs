//! What a server decides about the protocol.

/// How packets are written: a server has one parser, and its clients must have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parser {
    /// Text packets with JSON, and binary attachments in messages of their own: what every client
    /// speaks unless told otherwise.
    #[default]
    Json,
    /// One binary message per packet, as `socket.io-msgpack-parser` 3 writes it.
    MsgPack,
}

/// Which generation of clients is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// Protocol 5: clients since socket.io 3, over Engine.IO 4.
    #[default]
    V5,
    /// Clients of socket.io 2, over Engine.IO 3: joined to `/` without asking, no socket id in the
    /// answer to CONNECT, a query in the namespace instead of a payload.
    V2,
}

/// Bounds on what one client may ask of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most attachments in one packet. Default 10, as the reference implementation since its
    /// parser 4.2.6: an attachment costs a message and an entry before anything can be checked.
    pub max_attachments: usize,
    /// The most bytes of one packet, its text and its attachments together, an attachment counted
    /// as often as the text names it. Default 1 000 000, the largest single message by default.
    pub max_packet_bytes: usize,
    /// The most bytes of a CONNECT payload (or of the query of a version 2 client). Default
    /// 16 KiB: room for a few tokens, and all that somebody unknown may have parsed.
    pub max_connect_bytes: usize,
    /// The most namespaces one connection may be in or ask for at the same time. Default 64:
    /// applications use a handful.
    pub max_namespaces: usize,
    /// The most CONNECT packets in a row that may be refused; an accepted one starts the count
    /// again. Default 1000: far beyond a client that retries with a new token, and an end to one
    /// that tries names.
    pub max_refusals: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_packet_bytes: 1_000_000,
            max_connect_bytes: 16 * 1024,
            max_namespaces: 64,
            max_refusals: 1000,
        }
    }
}

/// The settings that all connections of a server share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How packets are written. Default JSON.
    pub parser: Parser,
    /// Bounds on what a client may ask.
    pub limits: Limits,
}
