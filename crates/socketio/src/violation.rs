//! What a client can do wrong.

use thiserror::Error;

use crate::namespace::NamespaceError;

/// A breach of the protocol by the client: the connection is closed and the breach counted.
///
/// One variant per breach, so that a test and a metric can name it. Nothing of what the client
/// sent is inside: a violation may be logged as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A packet without even a type.
    #[error("empty packet")]
    EmptyPacket,
    /// The packet's type is none of those of the protocol.
    #[error("unknown packet type")]
    UnknownType,
    /// The number of attachments is missing, is no whole number or is less than one.
    #[error("illegal number of attachments")]
    IllegalAttachmentCount,
    /// More attachments than this server takes in one packet.
    #[error("too many attachments (limit {limit})")]
    TooManyAttachments {
        /// The limit, [`crate::Limits::max_attachments`].
        limit: usize,
    },
    /// A placeholder names an attachment that does not exist, or is not of the form
    /// `{"_placeholder":true,"num":0}`.
    #[error("illegal attachment placeholder")]
    IllegalPlaceholder,
    /// The id of the acknowledgement is not a whole number below 2^64.
    #[error("invalid acknowledgement id")]
    InvalidAckId,
    /// The namespace is not one.
    #[error("invalid namespace: {0}")]
    InvalidNamespace(#[from] NamespaceError),
    /// The payload is not JSON.
    #[error("malformed JSON")]
    MalformedJson,
    /// The packet is not the `MessagePack` form of a packet.
    #[error("malformed MessagePack")]
    MalformedMsgPack,
    /// The payload is nested deeper than [`crate::MAX_DEPTH`].
    #[error("payload nested too deeply (limit {})", crate::MAX_DEPTH)]
    TooDeep,
    /// The packet, with its attachments, is larger than this server takes.
    #[error("packet too large (limit {limit_bytes} bytes)")]
    PacketTooLarge {
        /// The limit in bytes, [`crate::Limits::max_packet_bytes`].
        limit_bytes: usize,
    },
    /// The payload of CONNECT is not an object.
    #[error("the payload of CONNECT is not an object")]
    InvalidConnectPayload,
    /// The payload of CONNECT is larger than this server takes before it knows the client.
    #[error("the payload of CONNECT is too large (limit {limit_bytes} bytes)")]
    ConnectPayloadTooLarge {
        /// The limit in bytes, [`crate::Limits::max_connect_bytes`].
        limit_bytes: usize,
    },
    /// DISCONNECT has no payload.
    #[error("DISCONNECT with a payload")]
    DisconnectPayload,
    /// The payload of an event is not an array that starts with a name.
    #[error("the payload of an event is not an array that starts with a name")]
    InvalidEventPayload,
    /// The event has a reserved name.
    #[error("reserved event name")]
    ReservedEventName,
    /// The payload of an acknowledgement is not an array.
    #[error("the payload of an acknowledgement is not an array")]
    InvalidAckPayload,
    /// The payload of `CONNECT_ERROR` is neither a string nor an object.
    #[error("the payload of CONNECT_ERROR is neither a string nor an object")]
    InvalidConnectErrorPayload,
    /// A text message while attachments of the packet before it are missing.
    #[error("text message while attachments are pending")]
    TextWhileAttachmentsPending,
    /// A binary message that no packet announced.
    #[error("binary message without a packet that announced it")]
    UnexpectedBinary,
    /// A text message to a server that speaks `MessagePack`.
    #[error("text message to a server with the MessagePack parser")]
    UnexpectedText,
    /// A packet for a namespace that the client has not joined.
    #[error("packet for a namespace that is not joined")]
    NotJoined,
    /// CONNECT for a namespace that is joined already, or about to be.
    #[error("CONNECT for a namespace that is joined already")]
    AlreadyJoined,
    /// `CONNECT_ERROR` is for servers to send.
    #[error("CONNECT_ERROR from a client")]
    ConnectErrorFromClient,
    /// The connection would be in more namespaces than this server takes.
    #[error("too many namespaces on one connection (limit {limit})")]
    TooManyNamespaces {
        /// The limit, [`crate::Limits::max_namespaces`].
        limit: usize,
    },
    /// Too many CONNECT packets were refused on this connection.
    #[error("too many refused CONNECT packets (limit {limit})")]
    TooManyRefusals {
        /// The limit, [`crate::Limits::max_refusals`].
        limit: u32,
    },
}

impl Violation {
    /// A short constant name for metrics and logs, in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EmptyPacket => "empty_packet",
            Self::UnknownType => "unknown_type",
            Self::IllegalAttachmentCount => "illegal_attachment_count",
            Self::TooManyAttachments { .. } => "too_many_attachments",
            Self::IllegalPlaceholder => "illegal_placeholder",
            Self::InvalidAckId => "invalid_ack_id",
            Self::InvalidNamespace(_) => "invalid_namespace",
            Self::MalformedJson => "malformed_json",
            Self::MalformedMsgPack => "malformed_msgpack",
            Self::TooDeep => "too_deep",
            Self::PacketTooLarge { .. } => "packet_too_large",
            Self::InvalidConnectPayload => "invalid_connect_payload",
            Self::ConnectPayloadTooLarge { .. } => "connect_payload_too_large",
            Self::DisconnectPayload => "disconnect_payload",
            Self::InvalidEventPayload => "invalid_event_payload",
            Self::ReservedEventName => "reserved_event_name",
            Self::InvalidAckPayload => "invalid_ack_payload",
            Self::InvalidConnectErrorPayload => "invalid_connect_error_payload",
            Self::TextWhileAttachmentsPending => "text_while_attachments_pending",
            Self::UnexpectedBinary => "unexpected_binary",
            Self::UnexpectedText => "unexpected_text",
            Self::NotJoined => "not_joined",
            Self::AlreadyJoined => "already_joined",
            Self::ConnectErrorFromClient => "connect_error_from_client",
            Self::TooManyNamespaces { .. } => "too_many_namespaces",
            Self::TooManyRefusals { .. } => "too_many_refusals",
        }
    }
}
