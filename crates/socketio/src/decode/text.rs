//! `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`
//!
//! Spec: Socket.IO protocol 5, § Packet encoding. Where the specification is silent, what
//! `socket.io-parser` 4.2 accepts is accepted.

use std::ops::Range;

use crate::args::{Args, Attachments};
use crate::json::{Scanner, Token};
use crate::name::EventName;
use crate::namespace::Namespace;
use crate::packet::{AckId, Body, ConnectPayload, Packet};
use crate::settings::{Limits, Version};
use crate::text::SharedStr;
use crate::violation::Violation;

/// The packet in `text`, and how many attachments it announces.
pub(super) fn decode(
    limits: &Limits,
    version: Version,
    text: &str,
    known: impl FnOnce(&str) -> Option<Namespace>,
) -> Result<(Packet, usize), Violation> {
    let mut rest = text;
    let kind = take_byte(&mut rest).ok_or(Violation::EmptyPacket)?;
    let attachments = match kind {
        b'5' | b'6' => take_attachments(&mut rest, limits.max_attachments)?,
        b'0'..=b'4' => 0,
        _ => return Err(Violation::UnknownType),
    };
    let name = take_namespace(&mut rest);
    let (name, query) = split_query(name, version);
    if query.is_some_and(|query| query.len() > limits.max_connect_bytes) {
        return Err(Violation::ConnectPayloadTooLarge { limit_bytes: limits.max_connect_bytes });
    }
    let namespace = match known(name) {
        Some(namespace) => namespace,
        None => Namespace::new(name)?,
    };
    let id = take_id(&mut rest)?;
    let payload = Some(rest).filter(|rest| !rest.is_empty());
    let body = match kind {
        b'0' => Body::Connect {
            payload: payload.map(|text| connect_payload(limits, text)).transpose()?,
            query: query.map(Box::from),
        },
        b'1' => match payload {
            None => Body::Disconnect,
            Some(_) => return Err(Violation::DisconnectPayload),
        },
        b'2' | b'5' => match payload {
            None => Body::NoEvent,
            Some(text) => event(text, id)?,
        },
        b'3' | b'6' => {
            Body::Ack { id, args: payload.map(ack_args).transpose()?.unwrap_or_default() }
        }
        _ => Body::ConnectError { payload: payload.map(connect_error).transpose()? },
    };
    Ok((Packet { namespace, body }, attachments))
}

fn take_byte(rest: &mut &str) -> Option<u8> {
    let byte = *rest.as_bytes().first()?;
    // Not a boundary: no type of packet, as any other unknown first character.
    *rest = rest.get(1..).unwrap_or_default();
    Some(byte)
}

/// The number before `-`. The reference takes whatever JavaScript reads as a number, `1e1` too;
/// so do decimal numbers here.
fn take_attachments(rest: &mut &str, limit: usize) -> Result<usize, Violation> {
    let (digits, after) = rest.split_once('-').ok_or(Violation::IllegalAttachmentCount)?;
    let count: f64 = digits.trim_ascii().parse().map_err(|_| Violation::IllegalAttachmentCount)?;
    // What is not finite leaves no remainder that equals 0 either.
    if count < 1.0 || count % 1.0 != 0.0 {
        return Err(Violation::IllegalAttachmentCount);
    }
    *rest = after;
    (1..=limit)
        .find(|whole| u32::try_from(*whole).is_ok_and(|whole| f64::from(whole) == count))
        .ok_or(Violation::TooManyAttachments { limit })
}

/// The namespace with its query; it ends at the first comma, or with the packet.
fn take_namespace<'a>(rest: &mut &'a str) -> &'a str {
    if !rest.starts_with('/') {
        return "/";
    }
    let (namespace, after) = rest.split_once(',').unwrap_or((rest, ""));
    *rest = after;
    namespace
}

/// Version 2 clients write a query behind the namespace; in version 5 a `?` is part of the name.
pub(super) fn split_query(name: &str, version: Version) -> (&str, Option<&str>) {
    match version {
        Version::V5 => (name, None),
        Version::V2 => match name.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (name, None),
        },
    }
}

/// The digits before the payload. To JavaScript a blank is a digit too, and nothing but blanks is
/// the number 0: the reference reads `2 ["e"]` as an event with the id 0.
fn take_id(rest: &mut &str) -> Result<Option<AckId>, Violation> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_whitespace() || byte == 0x0b;
    let length = rest.bytes().take_while(|byte| is_digit(*byte)).count();
    let Some((digits, after)) = rest.split_at_checked(length).filter(|_| length > 0) else {
        return Ok(None);
    };
    *rest = after;
    let digits = digits.trim_matches(|character: char| !character.is_ascii_digit());
    if digits.is_empty() {
        return Ok(Some(0));
    }
    digits.parse().map(Some).map_err(|_| Violation::InvalidAckId)
}

/// One pass: checks the JSON, and finds the name and the arguments; then one copy of both.
fn event(payload: &str, ack: Option<AckId>) -> Result<Body, Violation> {
    let mut scanner = Scanner::value(payload);
    if scanner.next()? != Some(Token::ArrayStart) {
        return Err(Violation::InvalidEventPayload);
    }
    let Some(name @ (Token::String(_) | Token::Number(_))) = scanner.next()? else {
        return Err(Violation::InvalidEventPayload);
    };
    let name_end = scanner.position();
    let (args, count) = rest_of_array(&mut scanner)?;
    let (name, elements) = match name {
        Token::String(name) if name.is_plain() => {
            let start = name_end - 1 - name.raw().len();
            share(payload, start..name_end - 1, args)
        }
        Token::String(name) => {
            let elements = payload.get(args).unwrap_or_default();
            (SharedStr::from(&*name.decode()), SharedStr::from(elements))
        }
        Token::Number(digits) => share(payload, name_end - digits.len()..name_end, args),
        _ => return Err(Violation::InvalidEventPayload),
    };
    let name = EventName::from_shared(name).map_err(|_| Violation::ReservedEventName)?;
    let args = Args::json_parts(elements, count, Attachments::default());
    Ok(Body::Event { name, args, ack })
}

/// The name and the arguments behind it, in one allocation.
fn share(payload: &str, name: Range<usize>, args: Range<usize>) -> (SharedStr, SharedStr) {
    let end = args.end.max(name.end);
    let both = SharedStr::from(payload.get(name.start..end).unwrap_or_default());
    let elements = match args.start.checked_sub(name.start) {
        Some(start) => both.slice(start..args.end - name.start),
        None => SharedStr::default(),
    };
    (both.slice(0..name.len()), elements)
}

/// Where the remaining elements stand, from the first to the last, and how many there are. Nothing
/// may follow the array.
fn rest_of_array(scanner: &mut Scanner<'_>) -> Result<(Range<usize>, u32), Violation> {
    let mut all: Option<Range<usize>> = None;
    let mut count = 0;
    while let Some(element) = scanner.next_element()? {
        count += 1;
        let start = all.map_or(element.start, |all| all.start);
        all = Some(start..element.end);
    }
    scanner.finish()?;
    Ok((all.unwrap_or_default(), count))
}

fn ack_args(payload: &str) -> Result<Args, Violation> {
    let mut scanner = Scanner::value(payload);
    if scanner.next()? != Some(Token::ArrayStart) {
        return Err(Violation::InvalidAckPayload);
    }
    let (args, count) = rest_of_array(&mut scanner)?;
    let elements = SharedStr::from(payload.get(args).unwrap_or_default());
    Ok(Args::json_parts(elements, count, Attachments::default()))
}

fn connect_payload(limits: &Limits, text: &str) -> Result<ConnectPayload, Violation> {
    if text.len() > limits.max_connect_bytes {
        return Err(Violation::ConnectPayloadTooLarge { limit_bytes: limits.max_connect_bytes });
    }
    match checked_value(text)? {
        Token::ObjectStart => Ok(ConnectPayload::new(SharedStr::from(text))),
        _ => Err(Violation::InvalidConnectPayload),
    }
}

fn connect_error(text: &str) -> Result<SharedStr, Violation> {
    match checked_value(text)? {
        Token::ObjectStart | Token::String(_) => Ok(SharedStr::from(text)),
        _ => Err(Violation::InvalidConnectErrorPayload),
    }
}

/// The first token of a text that is one valid value.
fn checked_value(text: &str) -> Result<Token<'_>, Violation> {
    let mut scanner = Scanner::value(text);
    let first = scanner.next()?.ok_or(Violation::MalformedJson)?;
    while scanner.next()?.is_some() {}
    Ok(first)
}
