//! What a peer can do wrong on an open connection.

use crate::CloseCode;

/// A rule the peer broke. The connection is over: send [`frame::close`](crate::frame::close) with
/// [`close_code`](Self::close_code) and [`name`](Self::name), then close the transport.
///
/// Each rule is its own variant, so that a test and a metric can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    // The frame's head.
    /// A client sent a frame without a mask. Spec: RFC 6455 § 5.1.
    #[error("a client's frame must be masked")]
    UnmaskedFrame,
    /// A server sent a frame with a mask. Spec: RFC 6455 § 5.1.
    #[error("a server's frame must not be masked")]
    MaskedFrame,
    /// A reserved bit was set that no negotiated extension gives a meaning. Spec: RFC 6455 § 5.2.
    #[error("a reserved bit is set that no agreed extension uses")]
    ReservedBits,
    /// Opcode 3–7 or 11–15. Spec: RFC 6455 § 5.2.
    #[error("the opcode is reserved")]
    ReservedOpcode,
    /// The length was written in more bytes than needed. Spec: RFC 6455 § 5.2.
    #[error("the payload length is not written in the fewest bytes")]
    NonMinimalLength,
    /// The most significant bit of a 64-bit length was set. Spec: RFC 6455 § 5.2.
    #[error("the payload length has its highest bit set")]
    LengthOverflow,

    // Control frames.
    /// A control frame of more than 125 bytes. Spec: RFC 6455 § 5.5.
    #[error("a control frame's payload is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without the FIN bit. Spec: RFC 6455 § 5.5.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// More control frames than [`Limits::max_control_frames`](crate::Limits::max_control_frames).
    #[error("too many control frames since the last message")]
    TooManyControlFrames,
    /// A close frame whose payload is one byte. Spec: RFC 6455 § 5.5.1.
    #[error("a close frame's payload is one byte, less than a code")]
    CloseTooShort,
    /// A close code that may not be sent. Spec: RFC 6455 § 7.4.
    #[error("the close code may not be sent")]
    InvalidCloseCode,
    /// A close reason that is not UTF-8. Spec: RFC 6455 § 5.5.1.
    #[error("the close reason is not UTF-8")]
    InvalidCloseReason,

    // Messages.
    /// A continuation frame with nothing to continue. Spec: RFC 6455 § 5.4.
    #[error("a continuation frame has no message to continue")]
    UnexpectedContinuation,
    /// A new message began before the fragmented one ended. Spec: RFC 6455 § 5.4.
    #[error("a new message began inside a fragmented one")]
    UnfinishedMessage,
    /// More frames in one message than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("the message has too many fragments")]
    TooManyFragments,
    /// More bytes than [`Limits::max_message_bytes`](crate::Limits::max_message_bytes), as claimed
    /// by the frame heads: found before the bytes arrive.
    #[error("the message is too big")]
    MessageTooBig,
    /// A text message that is not UTF-8, found at the first wrong byte. Spec: RFC 6455 § 8.1.
    #[error("the text is not UTF-8")]
    InvalidUtf8,

    // permessage-deflate.
    /// A compressed message that inflates to more than
    /// [`Limits::max_message_bytes`](crate::Limits::max_message_bytes).
    #[error("the inflated message is too big")]
    InflatedTooBig,
    /// A compressed message that is not DEFLATE. Spec: RFC 7692 § 7.2.2.
    #[error("the compressed message cannot be inflated")]
    CorruptDeflate,
}

impl Violation {
    /// The code for the close frame that answers it. Spec: RFC 6455 § 7.4.1.
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::MessageTooBig | Self::InflatedTooBig => CloseCode::TOO_BIG,
            Self::InvalidUtf8 | Self::InvalidCloseReason | Self::CorruptDeflate => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::TooManyControlFrames | Self::TooManyFragments => CloseCode::POLICY,
            Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::ReservedBits
            | Self::ReservedOpcode
            | Self::NonMinimalLength
            | Self::LengthOverflow
            | Self::ControlTooLong
            | Self::FragmentedControl
            | Self::CloseTooShort
            | Self::InvalidCloseCode
            | Self::UnexpectedContinuation
            | Self::UnfinishedMessage => CloseCode::PROTOCOL,
        }
    }

    /// A constant name in `snake_case`: a metric's label, and the close frame's reason. Never holds
    /// anything that the peer sent.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnmaskedFrame => "unmasked_frame",
            Self::MaskedFrame => "masked_frame",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode => "reserved_opcode",
            Self::NonMinimalLength => "non_minimal_length",
            Self::LengthOverflow => "length_overflow",
            Self::ControlTooLong => "control_too_long",
            Self::FragmentedControl => "fragmented_control",
            Self::TooManyControlFrames => "too_many_control_frames",
            Self::CloseTooShort => "close_too_short",
            Self::InvalidCloseCode => "invalid_close_code",
            Self::InvalidCloseReason => "invalid_close_reason",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::UnfinishedMessage => "unfinished_message",
            Self::TooManyFragments => "too_many_fragments",
            Self::MessageTooBig => "message_too_big",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InflatedTooBig => "inflated_too_big",
            Self::CorruptDeflate => "corrupt_deflate",
        }
    }
}
