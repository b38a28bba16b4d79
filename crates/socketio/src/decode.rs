//! Decoding: messages to packets.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::json::JsonError;
use crate::msgpack::MsgPackError;
use crate::namespace::Namespace;
use crate::packet::{Body, Packet};
use crate::placeholder::{self, PlaceholderError};
use crate::settings::{Parser, Settings, Version};
use crate::violation::Violation;

mod packed;
mod text;

/// Decodes the messages of one peer.
///
/// One pointer while idle; what is known of a packet is kept aside while its attachments are
/// awaited.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Option<Box<Pending>>,
    version: Version,
}

/// A packet whose attachments are not all there.
#[derive(Debug)]
struct Pending {
    packet: Packet,
    attachments: SmallVec<[Bytes; 4]>,
    /// How often the text names each attachment.
    references: SmallVec<[u32; 16]>,
    size_bytes: usize,
}

impl Decoder {
    /// A decoder for a peer of this version.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { pending: None, version }
    }

    /// Whether attachments of a packet are awaited.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes a text message; `None` when the packet has attachments to come.
    ///
    /// # Errors
    ///
    /// What the peer did wrong; the connection is to be closed.
    pub fn text(&mut self, settings: &Settings, text: &str) -> Result<Option<Packet>, Violation> {
        self.text_known(settings, text, |_| None)
    }

    /// As [`Decoder::text`]; `known` finds a namespace that exists already, to share its name.
    pub(crate) fn text_known(
        &mut self,
        settings: &Settings,
        text: &str,
        known: impl FnOnce(&str) -> Option<Namespace>,
    ) -> Result<Option<Packet>, Violation> {
        if settings.parser == Parser::MsgPack {
            return Err(Violation::UnexpectedText);
        }
        if self.pending.is_some() {
            return Err(Violation::TextWhileAttachmentsPending);
        }
        let limits = &settings.limits;
        if text.len() > limits.max_packet_bytes {
            return Err(Violation::PacketTooLarge { limit_bytes: limits.max_packet_bytes });
        }
        let (packet, attachments) = text::decode(limits, self.version, text, known)?;
        if attachments == 0 {
            return Ok(Some(packet));
        }
        let references = references(&packet.body, attachments)?;
        self.pending = Some(Box::new(Pending {
            packet,
            attachments: SmallVec::new(),
            references,
            size_bytes: text.len(),
        }));
        Ok(None)
    }

    /// Takes a binary message: an attachment, or with the `MessagePack` parser a packet.
    ///
    /// # Errors
    ///
    /// What the peer did wrong; the connection is to be closed.
    pub fn binary(
        &mut self,
        settings: &Settings,
        message: Bytes,
    ) -> Result<Option<Packet>, Violation> {
        self.binary_known(settings, message, |_| None)
    }

    /// As [`Decoder::binary`]; `known` finds a namespace that exists already, to share its name.
    pub(crate) fn binary_known(
        &mut self,
        settings: &Settings,
        message: Bytes,
        known: impl FnOnce(&str) -> Option<Namespace>,
    ) -> Result<Option<Packet>, Violation> {
        let limit_bytes = settings.limits.max_packet_bytes;
        if message.len() > limit_bytes {
            return Err(Violation::PacketTooLarge { limit_bytes });
        }
        if settings.parser == Parser::MsgPack {
            return packed::decode(&settings.limits, self.version, &message, known).map(Some);
        }
        let pending = self.pending.as_mut().ok_or(Violation::UnexpectedBinary)?;
        pending.take(message, limit_bytes)?;
        if pending.attachments.len() < pending.references.len() {
            return Ok(None);
        }
        Ok(self.pending.take().map(|pending| pending.complete()))
    }
}

impl Pending {
    fn take(&mut self, attachment: Bytes, limit_bytes: usize) -> Result<(), Violation> {
        // Who names one large attachment many times asks for many copies of it.
        let times = self.references.get(self.attachments.len()).copied().unwrap_or(1).max(1);
        let bytes = attachment.len().saturating_mul(times as usize);
        self.size_bytes = self.size_bytes.saturating_add(bytes);
        if self.size_bytes > limit_bytes {
            return Err(Violation::PacketTooLarge { limit_bytes });
        }
        self.attachments.push(attachment);
        Ok(())
    }

    fn complete(mut self) -> Packet {
        if let Body::Event { args, .. } | Body::Ack { args, .. } = &mut self.packet.body {
            args.attach(self.attachments.into_vec().into());
        }
        self.packet
    }
}

/// How often each of the announced attachments is named.
fn references(body: &Body, attachments: usize) -> Result<SmallVec<[u32; 16]>, Violation> {
    let mut references: SmallVec<[u32; 16]> = SmallVec::from_elem(0, attachments);
    if let Body::Event { args, .. } | Body::Ack { args, .. } = body {
        placeholder::check(&args.json(), attachments, |number| {
            if let Some(times) = references.get_mut(number) {
                *times = times.saturating_add(1);
            }
        })?;
    }
    Ok(references)
}

impl From<JsonError> for Violation {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed => Self::MalformedJson,
            JsonError::TooDeep => Self::TooDeep,
        }
    }
}

impl From<PlaceholderError> for Violation {
    fn from(error: PlaceholderError) -> Self {
        match error {
            PlaceholderError::Json(error) => error.into(),
            PlaceholderError::Illegal => Self::IllegalPlaceholder,
        }
    }
}

impl From<MsgPackError> for Violation {
    fn from(error: MsgPackError) -> Self {
        match error {
            MsgPackError::Malformed => Self::MalformedMsgPack,
            MsgPackError::TooDeep => Self::TooDeep,
            MsgPackError::TooManyAttachments => {
                Self::TooManyAttachments { limit: crate::args::MAX_ATTACHMENTS }
            }
            MsgPackError::AmbiguousPlaceholder => Self::IllegalPlaceholder,
        }
    }
}

#[cfg(test)]
mod tests;
