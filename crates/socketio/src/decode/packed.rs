//! `{type, data, nsp, id?}` as `MessagePack`.
//!
//! Reference: `socket.io-msgpack-parser` 3.0. Unlike the reference, the name of an event is
//! checked as the JSON parser does, and `nil` counts as absent (which some clients in other
//! languages send for `data` and `id`).

use bytes::Bytes;

use super::text::split_query;
use crate::args::Args;
use crate::msgpack::{Facts, Item, MsgPackError, Reader, number_text, skip, to_json};
use crate::name::EventName;
use crate::namespace::Namespace;
use crate::packet::{Body, ConnectPayload, Packet};
use crate::settings::{Limits, Version};
use crate::text::SharedStr;
use crate::violation::Violation;

/// The fields of a packet; of a key that comes twice the last counts.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<Item<'a>>,
    namespace: Option<Item<'a>>,
    id: Option<Item<'a>>,
    data: Option<Value>,
}

/// A checked value: where it stands, in bytes from the message's start.
struct Value {
    start: usize,
    end: usize,
    facts: Facts,
}

/// The packet in `message`.
pub(super) fn decode(
    limits: &Limits,
    version: Version,
    message: &Bytes,
    known: impl FnOnce(&str) -> Option<Namespace>,
) -> Result<Packet, Violation> {
    let fields = fields(message)?;
    let Some(Item::Unsigned(kind @ 0..=4)) = fields.kind else {
        return Err(Violation::UnknownType);
    };
    let Some(Item::Text(name)) = fields.namespace else {
        return Err(Violation::MalformedMsgPack);
    };
    let (name, query) = split_query(name, version);
    if query.is_some_and(|query| query.len() > limits.max_connect_bytes) {
        return Err(Violation::ConnectPayloadTooLarge { limit_bytes: limits.max_connect_bytes });
    }
    let namespace = match known(name) {
        Some(namespace) => namespace,
        None => Namespace::new(name)?,
    };
    let id = match fields.id {
        None | Some(Item::Nil | Item::Undefined) => None,
        Some(Item::Unsigned(id)) => Some(id),
        Some(_) => return Err(Violation::InvalidAckId),
    };
    let payload = fields.data.map(|value| Payload::new(message, value)).transpose()?.flatten();
    let body = match kind {
        0 => Body::Connect {
            payload: payload.map(|payload| payload.connect(limits)).transpose()?,
            query: query.map(Box::from),
        },
        1 => match payload {
            None => Body::Disconnect,
            Some(_) => return Err(Violation::DisconnectPayload),
        },
        2 => {
            let (name, args) = payload.ok_or(Violation::InvalidEventPayload)?.event()?;
            Body::Event { name, args, ack: id }
        }
        3 => Body::Ack { id, args: payload.ok_or(Violation::InvalidAckPayload)?.ack()? },
        _ => Body::ConnectError { payload: payload.map(Payload::connect_error).transpose()? },
    };
    Ok(Packet { namespace, body })
}

fn fields(message: &Bytes) -> Result<Fields<'_>, Violation> {
    if message.is_empty() {
        return Err(Violation::EmptyPacket);
    }
    let mut reader = Reader::new(message);
    let Item::Map(count) = reader.item()? else { return Err(Violation::MalformedMsgPack) };
    let mut fields = Fields::default();
    for _ in 0..count {
        let Item::Text(key) = reader.item()? else { return Err(Violation::MalformedMsgPack) };
        match key {
            "type" => fields.kind = Some(scalar(&mut reader)?),
            "nsp" => fields.namespace = Some(scalar(&mut reader)?),
            "id" => fields.id = Some(scalar(&mut reader)?),
            "data" => fields.data = Some(value(message, &mut reader)?),
            // Clients add their options for sending.
            _ => skip(&mut reader, 0, &mut Facts::default())?,
        }
    }
    if reader.left() > 0 {
        return Err(Violation::MalformedMsgPack);
    }
    Ok(fields)
}

fn scalar<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, Violation> {
    match reader.item()? {
        Item::Array(_) | Item::Map(_) => Err(Violation::MalformedMsgPack),
        item => Ok(item),
    }
}

fn value(message: &Bytes, reader: &mut Reader<'_>) -> Result<Value, MsgPackError> {
    let start = message.len() - reader.left();
    let mut facts = Facts::default();
    skip(reader, 0, &mut facts)?;
    Ok(Value { start, end: message.len() - reader.left(), facts })
}

/// The data of a packet, with its first item read.
struct Payload {
    bytes: Bytes,
    /// Where the content of a container begins, behind its head.
    content: usize,
    head: Head,
    facts: Facts,
}

#[derive(PartialEq)]
enum Head {
    Array(u32),
    Map,
    Text,
    Other,
}

impl Payload {
    /// `None` when the value stands for an absent one.
    fn new(message: &Bytes, value: Value) -> Result<Option<Self>, MsgPackError> {
        let bytes = message.slice(value.start..value.end);
        let mut reader = Reader::new(&bytes);
        let head = match reader.item()? {
            Item::Nil | Item::Undefined => return Ok(None),
            Item::Array(count) => Head::Array(count),
            Item::Map(_) => Head::Map,
            Item::Text(_) => Head::Text,
            _ => Head::Other,
        };
        let content = bytes.len() - reader.left();
        Ok(Some(Self { content, head, facts: value.facts, bytes }))
    }

    fn event(&self) -> Result<(EventName, Args), Violation> {
        let Head::Array(count @ 1..) = self.head else {
            return Err(Violation::InvalidEventPayload);
        };
        self.facts.check()?;
        let elements = self.bytes.slice(self.content..);
        let mut reader = Reader::new(&elements);
        let name = match reader.item()? {
            Item::Text(name) => SharedStr::from(name),
            number @ (Item::Unsigned(_) | Item::Signed(_) | Item::Float(_)) => {
                SharedStr::from(number_text(number).as_str())
            }
            _ => return Err(Violation::InvalidEventPayload),
        };
        let name = EventName::from_shared(name).map_err(|_| Violation::ReservedEventName)?;
        let args = elements.slice(elements.len() - reader.left()..);
        Ok((name, Args::msgpack_parts(args, count - 1)))
    }

    fn ack(&self) -> Result<Args, Violation> {
        let Head::Array(count) = self.head else { return Err(Violation::InvalidAckPayload) };
        self.facts.check()?;
        Ok(Args::msgpack_parts(self.bytes.slice(self.content..), count))
    }

    fn connect(&self, limits: &Limits) -> Result<ConnectPayload, Violation> {
        if self.bytes.len() > limits.max_connect_bytes {
            return Err(Violation::ConnectPayloadTooLarge {
                limit_bytes: limits.max_connect_bytes,
            });
        }
        // Bytes in it have no form in JSON.
        if self.head != Head::Map || self.facts.binaries > 0 {
            return Err(Violation::InvalidConnectPayload);
        }
        Ok(ConnectPayload::new(self.json()))
    }

    fn connect_error(self) -> Result<SharedStr, Violation> {
        if !matches!(self.head, Head::Map | Head::Text) || self.facts.binaries > 0 {
            return Err(Violation::InvalidConnectErrorPayload);
        }
        Ok(self.json())
    }

    fn json(&self) -> SharedStr {
        SharedStr::from(to_json(&self.bytes).0.as_str())
    }
}
