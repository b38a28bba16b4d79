//! Encoding: packets to messages.

use std::fmt::Write;

use bytes::Bytes;

use crate::args::{Args, Attachments};
use crate::json::write_str;
use crate::msgpack::{self, Packer};
use crate::name::EventName;
use crate::namespace::Namespace;
use crate::packet::AckId;
use crate::settings::{Parser, Version};

/// A packet as the messages to send, in this order and with nothing between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// A text message, and the binary messages that follow it: from [`Parser::Json`].
    Text {
        /// The packet.
        text: String,
        /// Its attachments, usually none.
        attachments: Attachments,
    },
    /// One binary message: from [`Parser::MsgPack`].
    Binary(Bytes),
}

/// An event to send.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The namespace that it is for.
    pub namespace: &'a Namespace,
    /// Its name.
    pub name: &'a EventName,
    /// Its arguments.
    pub args: &'a Args,
    /// The id to be answered with, when an acknowledgement is wanted.
    pub ack: Option<AckId>,
    /// A string to append to the arguments: the position from which a client that comes back is
    /// served.
    pub offset: Option<&'a str>,
}

/// Why a client may not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError<'a> {
    /// The message of the `Error` that the client gets.
    pub message: &'a str,
    /// The `data` of that error, a JSON text that the caller vouches for.
    pub data: Option<&'a str>,
}

/// Encodes an event.
#[must_use]
pub fn encode_event(parser: Parser, event: &Event<'_>) -> Encoded {
    match parser {
        Parser::Json => {
            let args = event.args.to_json();
            let (elements, attachments) = (args.json(), args.attachments());
            let head = Head { kind: 2, namespace: event.namespace, id: event.ack };
            let mut text = head.text(&attachments, event_bytes(event, elements.len()));
            text.push('[');
            write_str(&mut text, event.name);
            if !elements.is_empty() {
                text.push(',');
                text.push_str(&elements);
            }
            if let Some(offset) = event.offset {
                text.push(',');
                write_str(&mut text, offset);
            }
            text.push(']');
            Encoded::Text { text, attachments }
        }
        Parser::MsgPack => {
            let elements = event.args.msgpack();
            let mut packer = Packer::with_capacity(event_bytes(event, elements.len()) + 48);
            packer.map(if event.ack.is_some() { 4 } else { 3 });
            packer.text("type");
            packer.unsigned(2);
            packer.text("data");
            packer.array(count(event.args, 1 + usize::from(event.offset.is_some())));
            packer.text(event.name);
            packer.encoded(&elements);
            if let Some(offset) = event.offset {
                packer.text(offset);
            }
            if let Some(id) = event.ack {
                packer.text("id");
                packer.unsigned(id);
            }
            finish(packer, event.namespace)
        }
    }
}

/// Encodes an acknowledgement.
#[must_use]
pub fn encode_ack(parser: Parser, namespace: &Namespace, id: AckId, args: &Args) -> Encoded {
    match parser {
        Parser::Json => {
            let args = args.to_json();
            let (elements, attachments) = (args.json(), args.attachments());
            let head = Head { kind: 3, namespace, id: Some(id) };
            let mut text = head.text(&attachments, elements.len() + 2);
            text.push('[');
            text.push_str(&elements);
            text.push(']');
            Encoded::Text { text, attachments }
        }
        Parser::MsgPack => {
            let elements = args.msgpack();
            let mut packer = Packer::with_capacity(elements.len() + 48);
            packer.map(4);
            packer.text("id");
            packer.unsigned(id);
            packer.text("type");
            packer.unsigned(3);
            packer.text("data");
            packer.array(count(args, 0));
            packer.encoded(&elements);
            finish(packer, namespace)
        }
    }
}

/// Encodes a server's answer to CONNECT: the socket's id, and with connection state recovery its
/// private id. Version 2 clients get neither.
#[must_use]
pub fn encode_connect(
    parser: Parser,
    version: Version,
    namespace: &Namespace,
    sid: &str,
    pid: Option<&str>,
) -> Encoded {
    if version == Version::V2 {
        return encode_object(parser, 0, namespace, None);
    }
    let mut object = String::with_capacity(64);
    object.push_str("{\"sid\":");
    write_str(&mut object, sid);
    if let Some(pid) = pid {
        object.push_str(",\"pid\":");
        write_str(&mut object, pid);
    }
    object.push('}');
    encode_object(parser, 0, namespace, Some(&object))
}

/// Encodes a client's CONNECT: `auth` is a JSON object that the caller vouches for.
#[must_use]
pub fn encode_connect_request(
    parser: Parser,
    namespace: &Namespace,
    auth: Option<&str>,
) -> Encoded {
    encode_object(parser, 0, namespace, auth)
}

/// Encodes a refusal of CONNECT. Version 2 clients get the data alone, or the message as a string
/// when there is no data or JavaScript takes it for false.
#[must_use]
pub fn encode_connect_error(
    parser: Parser,
    version: Version,
    namespace: &Namespace,
    error: &ConnectError<'_>,
) -> Encoded {
    let data = error.data.filter(|data| !matches!(*data, "null" | "false" | "0" | "\"\""));
    let payload = match (version, data) {
        (Version::V5, _) => error_object(error),
        (Version::V2, Some(data)) => data.to_owned(),
        (Version::V2, None) => {
            let mut text = String::new();
            write_str(&mut text, error.message);
            text
        }
    };
    encode_object(parser, 4, namespace, Some(&payload))
}

/// Encodes the refusal of a namespace that does not exist: the same object in both versions.
#[must_use]
pub fn encode_invalid_namespace(parser: Parser, namespace: &Namespace) -> Encoded {
    let error = ConnectError { message: "Invalid namespace", data: None };
    encode_object(parser, 4, namespace, Some(&error_object(&error)))
}

/// Encodes DISCONNECT.
#[must_use]
pub fn encode_disconnect(parser: Parser, namespace: &Namespace) -> Encoded {
    encode_object(parser, 1, namespace, None)
}

fn error_object(error: &ConnectError<'_>) -> String {
    let mut object = String::from("{\"message\":");
    write_str(&mut object, error.message);
    if let Some(data) = error.data {
        object.push_str(",\"data\":");
        object.push_str(data);
    }
    object.push('}');
    object
}

/// A packet whose payload is one JSON value or nothing.
fn encode_object(
    parser: Parser,
    kind: u8,
    namespace: &Namespace,
    payload: Option<&str>,
) -> Encoded {
    match parser {
        Parser::Json => {
            let attachments = Attachments::default();
            let head = Head { kind, namespace, id: None };
            let mut text = head.text(&attachments, payload.map_or(0, str::len));
            text.push_str(payload.unwrap_or_default());
            Encoded::Text { text, attachments }
        }
        Parser::MsgPack => {
            let mut packer = Packer::default();
            packer.map(if payload.is_some() { 3 } else { 2 });
            packer.text("type");
            packer.unsigned(u64::from(kind));
            if let Some(json) = payload {
                packer.text("data");
                packer.encoded(&msgpack::from_json(json, &[]));
            }
            finish(packer, namespace)
        }
    }
}

fn finish(mut packer: Packer, namespace: &Namespace) -> Encoded {
    packer.text("nsp");
    packer.text(namespace.as_str());
    Encoded::Binary(packer.into_bytes().into())
}

fn count(args: &Args, more: usize) -> u32 {
    u32::try_from(args.len() + more).unwrap_or(u32::MAX)
}

/// The payload's size when nothing needs escaping.
fn event_bytes(event: &Event<'_>, elements: usize) -> usize {
    event.name.len() + elements + event.offset.map_or(0, |offset| offset.len() + 3) + 5
}

/// What stands before the payload of a text packet.
struct Head<'a> {
    /// The type without attachments.
    kind: u8,
    namespace: &'a Namespace,
    id: Option<AckId>,
}

impl Head<'_> {
    /// A text that begins with the head and has room for the payload.
    fn text(&self, attachments: &Attachments, payload_bytes: usize) -> String {
        let mut text = String::with_capacity(payload_bytes + self.namespace.as_str().len() + 26);
        // Writing to a string does not fail.
        let _ = match attachments.len() {
            0 => write!(text, "{}", self.kind),
            count => write!(text, "{}{count}-", self.kind + 3),
        };
        if !self.namespace.is_root() {
            text.push_str(self.namespace.as_str());
            text.push(',');
        }
        if let Some(id) = self.id {
            let _ = write!(text, "{id}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
