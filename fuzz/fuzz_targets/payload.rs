//! What Engine.IO reads: payloads, packets, forms, requests; and the WebSocket handshake.
//!
//! Input: one byte that selects what the rest is (see `Kind`), then the rest. A request is lines:
//! method, query, `Origin`, `Content-Type`; a handshake is lines of header fields.
//!
//! Shows that for any bytes: nothing panics; there are no more packets than allowed and no more
//! bytes in them than arrived; what was read is written to what reads the same; and nothing that a
//! client sent gets into an answer where it could end a header or a script.
#![no_main]

use engineio::jsonp::{self, JsonpIndex};
use engineio::packet::{decode_binary, decode_text, encode_base64, encode_binary_frame};
use engineio::payload::{self, Packets, Payload, PayloadError};
use engineio::{Action, Cors, Packet, Piece, Request, Revision, Settings, Transport, route};
use libfuzzer_sys::fuzz_target;
use websocket::{deflate, handshake};

enum Kind {
    TextV4,
    TextV3,
    BinaryV3,
    Form,
    Script,
    Packet,
    Request,
    Handshake,
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, input)) = data.split_first() else { return };
    let kind = match kind % 8 {
        0 => Kind::TextV4,
        1 => Kind::TextV3,
        2 => Kind::BinaryV3,
        3 => Kind::Form,
        4 => Kind::Script,
        5 => Kind::Packet,
        6 => Kind::Request,
        _ => Kind::Handshake,
    };
    let settings = Settings { max_packets_per_payload: 32, ..Settings::default() };
    match kind {
        Kind::TextV4 => text_payload(Revision::V4, input, &settings),
        Kind::TextV3 => text_payload(Revision::V3, input, &settings),
        Kind::BinaryV3 => {
            let packets = read(Packets::binary(input, &settings), input.len(), &settings);
            rewritten(Revision::V3, &packets, input.len(), &settings);
        }
        Kind::Form => form(input, &settings),
        Kind::Script => script(input),
        Kind::Packet => packet(input),
        Kind::Request => request(input, &settings),
        Kind::Handshake => upgrade(input),
    }
});

fn text_payload(revision: Revision, input: &[u8], settings: &Settings) {
    let Ok(body) = payload::text(input) else {
        assert!(std::str::from_utf8(input).is_err());
        return;
    };
    let packets = read(Packets::text(revision, body, settings), input.len(), settings);
    let whole = Packets::text(revision, body, settings).all(|packet| packet.is_ok());
    let rewritten = rewritten(revision, &packets, input.len(), settings);
    let messages = packets.iter().all(|it| matches!(it, Packet::Text(_) | Packet::Binary(_)));
    if revision == Revision::V4 && whole && messages {
        assert_eq!(rewritten, input, "there is one way to write messages");
    }
}

/// The packets before the first error.
fn read<'a>(packets: Packets<'a>, input_bytes: usize, settings: &Settings) -> Vec<Packet<'a>> {
    let mut good = Vec::new();
    let mut failed = false;
    for packet in packets {
        assert!(!failed, "nothing is read after an error");
        match packet {
            Ok(packet) => good.push(packet),
            Err(error) => {
                assert!(!error.name().is_empty());
                assert!(!matches!(error, PayloadError::InvalidUtf8) || good.len() < input_bytes);
                failed = true;
            }
        }
    }
    assert!(good.len() <= settings.max_packets_per_payload);
    assert!(good.iter().map(carried_bytes).sum::<usize>() <= input_bytes);
    good
}

/// Writes the messages among `packets` again, and reads them back.
fn rewritten(
    revision: Revision,
    packets: &[Packet<'_>],
    input_bytes: usize,
    settings: &Settings,
) -> Vec<u8> {
    let texts: Vec<String> = packets
        .iter()
        .filter_map(|packet| match packet {
            Packet::Text(text) => Some(engineio::packet::encode_text(text)),
            _ => None,
        })
        .collect();
    let mut next_text = texts.iter();
    let messages: Vec<&Packet<'_>> =
        packets.iter().filter(|it| matches!(it, Packet::Text(_) | Packet::Binary(_))).collect();
    let pieces: Vec<Piece<'_>> = messages
        .iter()
        .filter_map(|packet| match packet {
            Packet::Binary(bytes) => Some(Piece::Binary(bytes)),
            _ => next_text.next().map(|text| Piece::Text(text)),
        })
        .collect();
    if pieces.is_empty() {
        return Vec::new();
    }
    for accepts_binary in [false, true] {
        let payload = payload::encode(revision, accepts_binary, &pieces);
        let back: Vec<_> = match &payload {
            Payload::Text(text) => Packets::text(revision, text, settings).collect(),
            Payload::Binary(bytes) => Packets::binary(bytes, settings).collect(),
        };
        assert_eq!(back.len(), messages.len());
        for (back, message) in back.iter().zip(&messages) {
            assert_eq!(back.as_ref(), Ok(*message));
        }
        // A type, a length or a separator per packet, a third for base64.
        assert!(payload.into_bytes().len() <= 2 * input_bytes + 24 * pieces.len());
    }
    payload::encode_text(revision, &pieces).into_bytes()
}

fn carried_bytes(packet: &Packet<'_>) -> usize {
    match packet {
        Packet::Text(text) | Packet::Ping(text) | Packet::Pong(text) => text.len(),
        Packet::Binary(bytes) => bytes.len(),
        Packet::Open | Packet::Close | Packet::Upgrade | Packet::Noop => 0,
    }
}

fn form(input: &[u8], settings: &Settings) {
    if let Ok(Some(text)) = jsonp::decode_body(input) {
        assert!(text.len() <= input.len());
        read(Packets::text(Revision::V4, &text, settings), text.len(), settings);
    }
}

/// First line: the parameter `j`; the rest: a payload.
fn script(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (parameter, payload) = input.split_once('\n').unwrap_or((&input, ""));
    let script = JsonpIndex::new(parameter).wrap(payload);
    let rest = script.strip_prefix("___eio[").expect("it calls the client's function");
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let argument = rest[digits..].strip_prefix("](").and_then(|rest| rest.strip_suffix(");"));
    let argument = argument.expect("nothing of the parameter but digits is repeated");
    assert!(!argument.contains(['\n', '\r', '\u{2028}', '\u{2029}', '\0']));
    assert_eq!(serde_json::from_str::<String>(argument).expect("a JSON string"), payload);
    assert!(script.len() <= 6 * payload.len() + 40);
}

fn packet(input: &[u8]) {
    for revision in [Revision::V3, Revision::V4] {
        if let Ok(Packet::Binary(bytes)) = decode_binary(revision, input) {
            assert_eq!(encode_binary_frame(revision, &bytes), input);
        }
        let Ok(text) = std::str::from_utf8(input) else { continue };
        if let Ok(packet) = decode_text(revision, text) {
            assert!(carried_bytes(&packet) < text.len());
            if let Packet::Binary(bytes) = packet {
                assert_eq!(encode_base64(revision, &bytes), text, "base64 has one form");
            }
        }
    }
}

fn request(input: &[u8], settings: &Settings) {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (Ok(method), Ok(query)) = (std::str::from_utf8(line()), std::str::from_utf8(line())) else {
        return;
    };
    let (origin, content_type) = (line(), line());
    for (upgrade, allow_v3, cors) in [(false, false, None), (true, true, Some(Cors::default()))] {
        let settings = Settings { allow_v3, cors, allow_jsonp: !upgrade, ..settings.clone() };
        let origin = (!origin.is_empty()).then_some(origin);
        let content_type = Some(content_type);
        match route(&Request { method, query, upgrade, origin, content_type }, &settings) {
            Ok(Action::Open(opening)) => {
                assert_eq!(method, "GET");
                assert_eq!(opening.transport() == Transport::Websocket, upgrade);
                if let Ok(handshake) = opening.accept(&settings) {
                    assert!(allow_v3 || handshake.revision == Revision::V4);
                }
            }
            Ok(Action::Poll(address)) => {
                assert!(method == "GET" && !upgrade && query.contains("sid"));
                assert_eq!(address.sid.as_str().parse(), Ok(address.sid));
            }
            Ok(Action::Post(..)) => assert!(method == "POST" && !upgrade),
            Ok(Action::Upgrade(_)) => assert!(method == "GET" && upgrade),
            Ok(Action::Unsupported(_)) => assert!(method != "GET" || upgrade),
            Ok(Action::Preflight) => preflight(&settings, origin),
            Err(refusal) => {
                let body = refusal.body();
                assert!(
                    body.is_empty() || serde_json::from_str::<serde_json::Value>(&body).is_ok()
                );
                assert!((400..500).contains(&refusal.upgrade_status()));
                assert!(!refusal.message().is_empty());
            }
        }
    }
}

fn preflight(settings: &Settings, origin: Option<&[u8]>) {
    let (Some(cors), Some(origin)) = (&settings.cors, origin) else { return };
    // What gets here was a header's value, so it holds no control characters.
    let Ok(origin) = std::str::from_utf8(origin) else { return };
    if origin.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        for (_, value) in cors.preflight_headers(Some(origin), Some(origin)) {
            assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
    }
}

fn upgrade(input: &[u8]) {
    let fields: Vec<(&str, &[u8])> = input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii()))
        })
        .collect();
    let line = handshake::RequestLine { method: "GET", version: (1, 1) };
    let deflate = deflate::Settings::default();
    match handshake::accept(line, fields.iter().copied(), Some(&deflate)) {
        Ok(accepted) => {
            for (_, value) in accepted.fields() {
                assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value:?}");
                assert!(value.len() <= 512);
            }
        }
        Err(refusal) => assert!([400, 405, 426].contains(&refusal.status())),
    }
}
