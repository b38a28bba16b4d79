//! How one encoded packet looks on each kind of connection.

use crate::namespace::Event;
use crate::sse;
use bytes::{BufMut, Bytes, BytesMut};
use engineio::Revision;
use engineio::packet;
use engineio::payload::{Piece, SEPARATOR};
use socketio::{Encoded, Parser};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use websocket::Opcode;
use websocket::deflate::{Deflater, Settings as DeflateSettings};
use websocket::frame;

/// The bytes an event takes on one kind of connection. Receivers of the same form share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Engine.IO 4.
    Plain,
    /// The same, compressed with permessage-deflate.
    Deflated,
    /// Engine.IO 4 for a client that asked for `b64`.
    Base64,
    /// Engine.IO 3: binary frames carry a type byte.
    V3,
    /// Engine.IO 3 for a client that asked for `b64`.
    V3Base64,
    /// A stream of server-sent events, which have no packets.
    Sse,
}

/// What decides a session's form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) revision: Revision,
    /// The client cannot take binary (`b64=1`).
    pub(crate) base64: bool,
    /// permessage-deflate was agreed on.
    pub(crate) deflate: bool,
}

impl Wire {
    pub(crate) fn form(self) -> Form {
        match (self.revision, self.base64) {
            (Revision::V4, false) if self.deflate => Form::Deflated,
            (Revision::V4, false) => Form::Plain,
            (Revision::V4, true) => Form::Base64,
            (Revision::V3, false) => Form::V3,
            (Revision::V3, true) => Form::V3Base64,
        }
    }
}

thread_local! {
    /// Some 300 KB: one per shard, not per connection, and only where compression is on.
    static DEFLATER: RefCell<Option<Deflater>> = const { RefCell::new(None) };
}

impl Form {
    /// How many forms there are: the size of a cache with a place for each.
    pub(crate) const COUNT: usize = 6;

    fn index(self) -> usize {
        self as usize
    }

    fn revision(self) -> Revision {
        match self {
            Form::Plain | Form::Deflated | Form::Base64 | Form::Sse => Revision::V4,
            Form::V3 | Form::V3Base64 => Revision::V3,
        }
    }

    /// Appends the packet's frames.
    pub(crate) fn write(self, packet: &Encoded, compress: Option<usize>, out: &mut BytesMut) {
        match packet {
            Encoded::Text { text, attachments } => {
                self.write_text(text, compress, out);
                for attachment in attachments.as_slice() {
                    self.write_binary(attachment, compress, out);
                }
            }
            Encoded::Binary(message) => self.write_binary(message, compress, out),
        }
    }

    fn write_text(self, text: &str, compress: Option<usize>, out: &mut BytesMut) {
        if self == Form::Deflated
            && compress.is_some_and(|threshold| {
                text.len() >= threshold && deflate(Opcode::Text, packet::encode_text(text), out)
            })
        {
            return;
        }
        frame::write_header(out, Opcode::Text, text.len() + 1);
        out.put_u8(b'4');
        out.put_slice(text.as_bytes());
    }

    fn write_binary(self, data: &[u8], compress: Option<usize>, out: &mut BytesMut) {
        match self {
            Form::Deflated
                if compress.is_some_and(|threshold| {
                    data.len() >= threshold && deflate(Opcode::Binary, data, out)
                }) => {}
            Form::Plain | Form::Deflated | Form::Sse => frame::write(out, Opcode::Binary, data),
            Form::V3 => {
                frame::write(out, Opcode::Binary, &packet::encode_binary_frame(Revision::V3, data));
            }
            Form::Base64 => {
                let text = packet::encode_base64(Revision::V4, data);
                frame::write(out, Opcode::Text, text.as_bytes());
            }
            Form::V3Base64 => {
                let text = packet::encode_base64(Revision::V3, data);
                frame::write(out, Opcode::Text, text.as_bytes());
            }
        }
    }
}

/// Appends a compressed frame, if compression makes it smaller. Says whether it did.
fn deflate(opcode: Opcode, message: impl AsRef<[u8]>, out: &mut BytesMut) -> bool {
    DEFLATER.with_borrow_mut(|deflater| {
        // What is long enough was decided before; the deflater compresses whatever it is given.
        let settings = DeflateSettings { threshold_bytes: 0, ..DeflateSettings::default() };
        let deflater = deflater.get_or_insert_with(|| Deflater::new(&settings));
        let deflated = deflater.message(opcode, message.as_ref());
        if let Some(deflated) = &deflated {
            out.put_slice(&deflated.frame);
        }
        deflated.is_some()
    })
}

/// About how many bytes a packet takes, whatever its form.
pub(crate) fn size_of(packet: &Encoded) -> usize {
    match packet {
        Encoded::Text { text, attachments } => {
            let attached: usize = attachments.as_slice().iter().map(|it| it.len() + 4).sum();
            text.len() + 5 + attached
        }
        Encoded::Binary(message) => message.len() + 4,
    }
}

/// An event for many receivers: encoded at most once per form, by whoever needs it first.
#[derive(Debug)]
pub(crate) struct SharedPacket {
    parser: Parser,
    namespace: socketio::Namespace,
    event: Event,
    ack: Option<u64>,
    /// Messages of at least this many bytes are compressed for those who agreed on it.
    compress: Option<usize>,
    /// The position a client that sees this event has reached: the last argument for clients of
    /// Engine.IO 4.
    offset: Option<Arc<str>>,
    /// The same for streams, which are told in any case.
    reached: Option<Arc<str>>,
    current: OnceLock<Encoded>,
    /// For clients of Engine.IO 3, where it differs.
    legacy: OnceLock<Encoded>,
    forms: [OnceLock<Bytes>; Form::COUNT],
    /// As part of an Engine.IO 4 payload.
    piece: OnceLock<String>,
}

/// What an event has beside its name, arguments and offset: types, brackets, quotes, header.
const PACKET_BYTES: usize = 10;

impl SharedPacket {
    pub(crate) fn new(
        parser: Parser,
        namespace: socketio::Namespace,
        event: Event,
        ack: Option<u64>,
        compress: Option<usize>,
    ) -> Self {
        SharedPacket {
            parser,
            namespace,
            event,
            ack,
            compress,
            offset: None,
            reached: None,
            current: OnceLock::new(),
            legacy: OnceLock::new(),
            forms: Default::default(),
            piece: OnceLock::new(),
        }
    }

    /// What is sent.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// Gives the event its offset. To be called before anything is encoded.
    pub(crate) fn set_offset(&mut self, offset: Arc<str>) {
        self.offset = Some(offset);
    }

    /// Gives the event the position that a stream has reached with it. To be called before
    /// anything is encoded.
    pub(crate) fn set_reached(&mut self, reached: Arc<str>) {
        self.reached = Some(reached);
    }

    /// The packet for clients of one revision.
    fn packet(&self, revision: Revision) -> &Encoded {
        let encode = |offset| {
            let Event { name, args } = &self.event;
            let (namespace, ack) = (&self.namespace, self.ack);
            let event = socketio::Event { namespace, name, args, ack, offset };
            socketio::encode_event(self.parser, &event)
        };
        match (&self.offset, revision) {
            (Some(_), Revision::V3) => self.legacy.get_or_init(|| encode(None)),
            (offset, _) => self.current.get_or_init(|| encode(offset.as_deref())),
        }
    }

    /// The packet's frames.
    pub(crate) fn frames(&self, form: Form) -> Bytes {
        let encode = || {
            if form == Form::Sse {
                let Event { name, args } = &self.event;
                return sse::encode_event(self.reached.as_deref(), name.as_str(), args);
            }
            let packet = self.packet(form.revision());
            let mut out = BytesMut::with_capacity(size_of(packet) + 16);
            form.write(packet, self.compress, &mut out);
            out.freeze()
        };
        match self.forms.get(form.index()) {
            Some(cell) => cell.get_or_init(encode).clone(),
            None => encode(),
        }
    }

    /// About how many bytes it takes, whatever its form.
    pub(crate) fn size(&self) -> usize {
        let offset = self.offset.as_ref().map_or(0, |offset| offset.len() + 3);
        self.event.name.as_str().len() + self.event.args.byte_len() + offset + PACKET_BYTES
    }

    /// Adds the packet to a polling payload.
    pub(crate) fn collect<'a>(&'a self, revision: Revision, pieces: &mut Vec<OwnedPiece<'a>>) {
        let packet = self.packet(revision);
        match revision {
            Revision::V4 => {
                let piece = self.piece.get_or_init(|| {
                    let mut own = Vec::new();
                    collect(packet, &mut own);
                    let joined: Vec<String> = own.iter().map(OwnedPiece::to_v4).collect();
                    joined.join(SEPARATOR.encode_utf8(&mut [0; 4]))
                });
                pieces.push(OwnedPiece::Encoded(piece));
            }
            Revision::V3 => collect(packet, pieces),
        }
    }
}

/// A part of a polling payload.
#[derive(Debug)]
pub(crate) enum OwnedPiece<'a> {
    /// A message of text, without its type.
    Text(String),
    Binary(&'a [u8]),
    /// One or more Engine.IO packets as they stand in a payload.
    Encoded(&'a str),
}

impl OwnedPiece<'_> {
    pub(crate) fn as_piece(&self) -> Piece<'_> {
        match self {
            OwnedPiece::Text(text) => Piece::Text(text),
            OwnedPiece::Binary(data) => Piece::Binary(data),
            OwnedPiece::Encoded(text) => Piece::Text(text),
        }
    }

    fn to_v4(&self) -> String {
        match self {
            OwnedPiece::Text(text) => text.clone(),
            OwnedPiece::Binary(data) => packet::encode_base64(Revision::V4, data),
            OwnedPiece::Encoded(text) => (*text).to_owned(),
        }
    }
}

/// Adds a packet's messages to a polling payload.
pub(crate) fn collect<'a>(packet: &'a Encoded, pieces: &mut Vec<OwnedPiece<'a>>) {
    match packet {
        Encoded::Text { text, attachments } => {
            pieces.push(OwnedPiece::Text(packet::encode_text(text)));
            let attached = attachments.as_slice().iter();
            pieces.extend(attached.map(|data| OwnedPiece::Binary(data)));
        }
        Encoded::Binary(message) => pieces.push(OwnedPiece::Binary(message)),
    }
}
