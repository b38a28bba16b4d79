//! The wire vectors, which the reference implementation wrote (`vectors/generate.cjs`): every
//! packet decodes to what the reference makes of it and encodes to the reference's bytes, and
//! every bad message is refused for the reason that is written beside it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use fanfare_socketio::{
    Body, Decoder, Encoded, Event, Packet, Parser, Settings, Version, Violation, encode_ack,
    encode_connect_error, encode_connect_request, encode_disconnect, encode_event,
};
use serde::Deserialize;

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Message {
    Text(String),
    Binary { hex: String },
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    canonical: bool,
    messages: Vec<Message>,
    packet: Expected,
}

#[derive(Deserialize, Debug, PartialEq, Default)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: String,
    nsp: String,
    id: Option<u64>,
    name: Option<String>,
    args: Option<String>,
    #[serde(default)]
    attachments: Vec<String>,
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    messages: Vec<Message>,
    violation: String,
}

fn bytes_of(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings(parser: Parser) -> Settings {
    Settings { parser, ..Settings::default() }
}

/// Feeds all messages; the packet comes with the last.
fn decode(parser: Parser, messages: &[Message]) -> Result<Option<Packet>, Violation> {
    let settings = settings(parser);
    let mut decoder = Decoder::new(Version::V5);
    let mut packet = None;
    for message in messages {
        packet = match message {
            Message::Text(text) => decoder.text(&settings, text)?,
            Message::Binary { hex } => decoder.binary(&settings, bytes_of(hex))?,
        };
    }
    Ok(packet)
}

fn describe(packet: &Packet) -> Expected {
    let mut out = Expected { nsp: packet.namespace.to_string(), ..Expected::default() };
    match &packet.body {
        Body::Connect { payload, .. } => {
            out.kind = "connect".into();
            out.payload = payload.as_ref().map(|payload| payload.json().to_owned());
        }
        Body::Disconnect => out.kind = "disconnect".into(),
        Body::NoEvent => out.kind = "no_event".into(),
        Body::ConnectError { payload } => {
            out.kind = "connect_error".into();
            out.payload = payload.as_ref().map(ToString::to_string);
        }
        Body::Event { name, args, ack } => {
            out.kind = "event".into();
            out.name = Some(name.to_string());
            out.id = *ack;
            out.args = Some(args.json().into_owned());
            out.attachments = args.attachments().iter().map(|bytes| hex_of(bytes)).collect();
        }
        Body::Ack { id, args } => {
            out.kind = "ack".into();
            out.id = *id;
            out.args = Some(args.json().into_owned());
            out.attachments = args.attachments().iter().map(|bytes| hex_of(bytes)).collect();
        }
    }
    out
}

fn encode(parser: Parser, packet: &Packet) -> Encoded {
    let namespace = &packet.namespace;
    match &packet.body {
        Body::Connect { payload, .. } => {
            let json = payload.as_ref().map(|payload| payload.json());
            encode_connect_request(parser, namespace, json)
        }
        Body::Disconnect => encode_disconnect(parser, namespace),
        Body::Event { name, args, ack } => {
            encode_event(parser, &Event { namespace, name, args, ack: *ack, offset: None })
        }
        Body::Ack { id, args } => encode_ack(parser, namespace, id.unwrap(), args),
        Body::ConnectError { payload } => {
            #[derive(Deserialize)]
            struct Error {
                message: String,
                data: Option<Box<serde_json::value::RawValue>>,
            }
            let error: Error = serde_json::from_str(payload.as_ref().unwrap()).unwrap();
            let error = fanfare_socketio::ConnectError {
                message: &error.message,
                data: error.data.as_ref().map(|data| data.get()),
            };
            encode_connect_error(parser, Version::V5, namespace, &error)
        }
        Body::NoEvent => panic!("nobody writes it"),
    }
}

fn check_accepted(parser: Parser, vectors: &str) {
    let vectors: Vec<Accepted> = serde_json::from_str(vectors).unwrap();
    for Accepted { name, canonical, messages, packet: expected } in vectors {
        let packet = decode(parser, &messages).unwrap_or_else(|error| panic!("{name}: {error}"));
        let packet = packet.unwrap_or_else(|| panic!("{name}: incomplete"));
        assert_eq!(describe(&packet), expected, "{name}");
        if !canonical {
            continue;
        }
        match (encode(parser, &packet), &messages[..]) {
            (Encoded::Text { text, attachments }, [Message::Text(expected), rest @ ..]) => {
                assert_eq!(&text, expected, "{name}");
                let expected = rest.iter().map(|message| match message {
                    Message::Binary { hex } => hex.clone(),
                    Message::Text(text) => panic!("{name}: text {text}"),
                });
                assert!(expected.eq(attachments.iter().map(|bytes| hex_of(bytes))), "{name}");
            }
            (Encoded::Binary(bytes), [Message::Binary { hex }]) => {
                assert_eq!(&hex_of(&bytes), hex, "{name}");
            }
            (encoded, _) => panic!("{name}: {encoded:?}"),
        }
    }
}

fn check_refused(parser: Parser, vectors: &str) {
    let vectors: Vec<Refused> = serde_json::from_str(vectors).unwrap();
    for Refused { name, messages, violation } in vectors {
        let result = decode(parser, &messages);
        assert_eq!(result.map_err(|error| error.name()), Err(&*violation), "{name}");
    }
}

#[test]
fn json_packets() {
    check_accepted(Parser::Json, include_str!("vectors/packets.json"));
}

#[test]
fn msgpack_packets() {
    check_accepted(Parser::MsgPack, include_str!("vectors/msgpack.json"));
}

#[test]
fn json_refused() {
    check_refused(Parser::Json, include_str!("vectors/refused.json"));
}

#[test]
fn msgpack_refused() {
    check_refused(Parser::MsgPack, include_str!("vectors/msgpack_refused.json"));
}

/// Each encoding, turned into the other and back, says the same: a client of either parser would
/// get the same arguments.
#[test]
fn both_encodings_say_the_same() {
    let vectors: Vec<Accepted> =
        serde_json::from_str(include_str!("vectors/packets.json")).unwrap();
    for Accepted { name, messages, canonical, .. } in vectors {
        let packet = decode(Parser::Json, &messages).unwrap().unwrap();
        // Numbers are rewritten, so only JavaScript's own spelling survives.
        if !canonical || !matches!(packet.body, Body::Event { .. }) {
            continue;
        }
        let Encoded::Binary(bytes) = encode(Parser::MsgPack, &packet) else { panic!("{name}") };
        let settings = settings(Parser::MsgPack);
        let packed = Decoder::new(Version::V5).binary(&settings, bytes).unwrap().unwrap();
        assert_eq!(encode(Parser::Json, &packed), encode(Parser::Json, &packet), "{name}");
    }
}
