//! Socket.IO packets: both parsers, both versions.
//!
//! Input: one byte of flags (bit 0: version 2; bit 1: MessagePack), then messages, separated by
//! 0x1e. One that begins with `b` is a binary message of the bytes behind it (with MessagePack: a
//! whole packet, separators included, is the rest of the input); any other is a text message.
//!
//! Shows that for any messages: nothing panics; a packet holds no more than arrived; what decodes
//! encodes, and decodes to the same packet; what is taken for JSON is JSON to `serde_json` and the
//! other way round; and arguments may be read as values, whatever they hold.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use socketio::{
    Args, Body, ConnectError, Decoder, Encoded, Event, EventName, Limits, MAX_DEPTH, Packet,
    Parser, Settings, Version, Violation, encode_ack, encode_connect_error, encode_connect_request,
    encode_disconnect, encode_event, is_reserved,
};

/// What stands between messages in the input.
const SEPARATOR: u8 = 0x1e;

fuzz_target!(|data: &[u8]| {
    let Some((flags, input)) = data.split_first() else { return };
    let version = if flags & 1 == 0 { Version::V5 } else { Version::V2 };
    let parser = if flags & 2 == 0 { Parser::Json } else { Parser::MsgPack };
    let limits = Limits { max_packet_bytes: 4_096, max_connect_bytes: 512, ..Limits::default() };
    let settings = Settings { parser, limits };

    let mut decoder = Decoder::new(version);
    let messages: Vec<&[u8]> = match parser {
        Parser::Json => input.split(|byte| *byte == SEPARATOR).collect(),
        Parser::MsgPack => vec![input],
    };
    for message in messages {
        let decoded = match (parser, message, std::str::from_utf8(message)) {
            (Parser::MsgPack, ..) => decoder.binary(&settings, Bytes::copy_from_slice(message)),
            (_, [b'b', bytes @ ..], _) => decoder.binary(&settings, Bytes::copy_from_slice(bytes)),
            (.., Ok(text)) => {
                let pending = decoder.is_pending();
                let decoded = decoder.text(&settings, text);
                if !pending {
                    same_verdict_as_serde(text, &settings, &decoded);
                }
                decoded
            }
            // The transport refuses such a message before it gets here.
            _ => return,
        };
        match decoded {
            Ok(Some(packet)) => {
                assert!(!decoder.is_pending());
                check(&packet, input.len(), &settings, version);
            }
            Ok(None) => assert!(decoder.is_pending()),
            Err(violation) => {
                assert!(violation.name().bytes().all(|it| it.is_ascii_lowercase() || it == b'_'));
                return;
            }
        }
    }
});

/// A packet is no larger than its input, and survives its own encoding.
fn check(packet: &Packet, input_bytes: usize, settings: &Settings, version: Version) {
    if let Body::Event { args, .. } | Body::Ack { args, .. } = &packet.body {
        assert!(args.byte_len() <= input_bytes);
        assert!(args.len() <= input_bytes);
        readable(args);
    }
    for parser in [settings.parser, Parser::Json, Parser::MsgPack] {
        let Some(encoded) = encode(packet, parser, version) else { return };
        let back = decode(encoded, parser, settings, version);
        if parser == settings.parser {
            assert_eq!(&back, packet, "what decodes encodes to the same");
        } else {
            // The other parser writes the same packet in other bytes.
            assert_eq!(back.namespace, packet.namespace);
        }
    }
}

/// Values come out without a panic; arguments of JSON may be beyond what Rust's types hold.
fn readable(args: &Args) {
    let _ = args.parse::<Vec<Value>>();
    let _ = args.parse::<(String, Option<u64>)>();
    let _ = args.parse::<(bytes_of::AnyBytes,)>();
    if args.is_msgpack() {
        let json = args.to_json();
        let array = format!("[{}]", json.json());
        assert!(serde_json::from_str::<IgnoredAny>(&array).is_ok(), "MessagePack becomes JSON");
        assert_eq!(json.len(), args.len());
        assert_eq!(json.attachments().len(), args.attachments().len());
    }
}

/// `None` for what no encoder writes.
fn encode(packet: &Packet, parser: Parser, version: Version) -> Option<Encoded> {
    let Packet { namespace, body } = packet;
    Some(match body {
        Body::Event { name, args, ack } => {
            let event = Event { namespace, name, args, ack: *ack, offset: None };
            encode_event(parser, &event)
        }
        Body::Ack { id: Some(id), args } => encode_ack(parser, namespace, *id, args),
        Body::Disconnect => encode_disconnect(parser, namespace),
        Body::Connect { payload, query: None } => {
            encode_connect_request(parser, namespace, payload.as_ref().map(|it| it.json()))
        }
        Body::ConnectError { payload: Some(_) } => {
            let error = ConnectError { message: "refused", data: None };
            // Another payload: only that it encodes is of interest.
            let _ = encode_connect_error(parser, version, namespace, &error);
            return None;
        }
        Body::Connect { .. } | Body::ConnectError { .. } | Body::Ack { .. } | Body::NoEvent => {
            return None;
        }
    })
}

fn decode(encoded: Encoded, parser: Parser, settings: &Settings, version: Version) -> Packet {
    // The other parser's form may be longer, and JSON's attachments are counted one by one.
    let limits = Limits {
        max_packet_bytes: usize::MAX,
        max_connect_bytes: usize::MAX,
        max_attachments: socketio::MAX_ATTACHMENTS,
        ..settings.limits.clone()
    };
    let settings = Settings { parser, limits };
    let mut decoder = Decoder::new(version);
    let decoded = match encoded {
        Encoded::Binary(bytes) => decoder.binary(&settings, bytes),
        Encoded::Text { text, attachments } => {
            let mut decoded = decoder.text(&settings, &text);
            for attachment in attachments.iter() {
                assert_eq!(decoded, Ok(None), "attachments are awaited");
                decoded = decoder.binary(&settings, attachment.clone());
            }
            decoded
        }
    };
    match decoded {
        Ok(Some(packet)) => packet,
        other => panic!("our own packet came back as {other:?}"),
    }
}

/// An event on `/` is taken exactly if `serde_json` says that it is an array that begins with a
/// name; only the nesting is bounded here and not there.
fn same_verdict_as_serde(
    text: &str,
    settings: &Settings,
    decoded: &Result<Option<Packet>, Violation>,
) {
    let Some(payload) = text.strip_prefix('2').filter(|it| it.starts_with('[')) else { return };
    if text.len() > settings.limits.max_packet_bytes || *decoded == Err(Violation::TooDeep) {
        return;
    }
    let valid = serde_json::from_str::<IgnoredAny>(payload).is_ok();
    match decoded {
        Ok(Some(Packet { body: Body::Event { name, .. }, .. })) => {
            assert!(valid, "JSON to us and not to serde_json");
            assert!(!is_reserved(name) && EventName::new(name).is_ok());
        }
        Err(Violation::MalformedJson) => {
            assert!(!valid, "JSON to serde_json and not to us");
        }
        Err(Violation::InvalidEventPayload | Violation::ReservedEventName) => {}
        other => panic!("{other:?}"),
    }
    const { assert!(MAX_DEPTH <= 128, "what passes here can be read by serde_json") };
}

/// A type that takes bytes wherever they come from.
mod bytes_of {
    use serde::de::{Deserialize, Deserializer, IgnoredAny};

    pub(crate) struct AnyBytes;

    impl<'de> Deserialize<'de> for AnyBytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_bytes(IgnoredAny)?;
            Ok(Self)
        }
    }
}
