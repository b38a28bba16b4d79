//! The golden bytes in `vectors/*.json`, read and written by this crate.
#![cfg(test)]

use fanfare_engineio::jsonp::JsonpIndex;
use fanfare_engineio::packet::{self, PacketError};
use fanfare_engineio::payload::{self, Packets, Payload, PayloadError};
use fanfare_engineio::{
    Action, Handshake, Packet, Piece, Refusal, Request, Revision, Session, Settings, Sid, route,
};
use serde::Deserialize;
use std::time::Instant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PacketVectors {
    decode: Vec<DecodePacket>,
    encode: Vec<EncodePacket>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct DecodePacket {
    revision: u8,
    text: Option<String>,
    bytes: Option<String>,
    packet: Option<String>,
    data: Option<String>,
    hex: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct EncodePacket {
    revision: u8,
    message: Option<String>,
    text: Option<String>,
    hex: Option<String>,
    base64: Option<String>,
    frame: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadVectors {
    decode: Vec<DecodePayload>,
    encode: Vec<EncodePayload>,
    jsonp: Vec<Script>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct DecodePayload {
    revision: u8,
    body: Option<String>,
    hex: Option<String>,
    binary: Option<String>,
    packets: Vec<String>,
    error: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct EncodePayload {
    revision: u8,
    binary: bool,
    pieces: Vec<PieceText>,
    body: Option<String>,
    bytes: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum PieceText {
    Text(String),
    Bytes { hex: String },
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Script {
    callback: String,
    payload: String,
    script: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestVectors {
    refused: Vec<Refused>,
    opened: Vec<Opened>,
    upgrades_refused: Vec<UpgradeRefused>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Refused {
    method: String,
    query: String,
    origin: Option<String>,
    status: u16,
    code: u8,
    message: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Opened {
    query: String,
    #[serde(default)]
    upgrade: bool,
    #[serde(default)]
    allow_v3: bool,
    handshake: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct UpgradeRefused {
    query: String,
    response: String,
}

fn revision(number: u8) -> Revision {
    match number {
        3 => Revision::V3,
        4 => Revision::V4,
        _ => panic!("no such revision: {number}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn expected_packet(vector: &DecodePacket) -> Packet<'_> {
    let data = vector.data.as_deref().unwrap_or("");
    match vector.packet.as_deref().expect("a packet or an error") {
        "open" => Packet::Open,
        "close" => Packet::Close,
        "ping" => Packet::Ping(data),
        "pong" => Packet::Pong(data),
        "text" => Packet::Text(data),
        "binary" => Packet::Binary(bytes(vector.hex.as_deref().unwrap()).into()),
        "upgrade" => Packet::Upgrade,
        "noop" => Packet::Noop,
        other => panic!("no such packet: {other}"),
    }
}

/// Shows that each golden packet is read as it should be, and each wrong one refused by name.
#[test]
fn packets_are_read() {
    let vectors: PacketVectors =
        serde_json::from_str(include_str!("vectors/packets.json")).unwrap();
    for vector in &vectors.decode {
        let frame = vector.bytes.as_deref().map(bytes);
        let found = match (&vector.text, &frame) {
            (Some(text), None) => packet::decode_text(revision(vector.revision), text),
            (None, Some(frame)) => packet::decode_binary(revision(vector.revision), frame),
            _ => panic!("{vector:?}"),
        };
        match &vector.error {
            Some(name) => assert_eq!(found.map_err(PacketError::name), Err(name.as_str())),
            None => assert_eq!(found, Ok(expected_packet(vector)), "{vector:?}"),
        }
    }
}

/// Shows that messages become the golden packets.
#[test]
fn packets_are_written() {
    let vectors: PacketVectors =
        serde_json::from_str(include_str!("vectors/packets.json")).unwrap();
    for vector in &vectors.encode {
        let revision = revision(vector.revision);
        if let Some(message) = &vector.message {
            assert_eq!(packet::encode_text(message), *vector.text.as_ref().unwrap());
        }
        if let Some(hex) = &vector.hex {
            let message = bytes(hex);
            assert_eq!(packet::encode_base64(revision, &message), *vector.base64.as_ref().unwrap());
            assert_eq!(
                *packet::encode_binary_frame(revision, &message),
                *bytes(vector.frame.as_ref().unwrap())
            );
        }
    }
}

/// Shows that each golden body is read packet by packet, up to its first fault.
#[test]
fn payloads_are_read() {
    let vectors: PayloadVectors =
        serde_json::from_str(include_str!("vectors/payloads.json")).unwrap();
    let settings = Settings::default();
    for vector in &vectors.decode {
        let revision = revision(vector.revision);
        let body = match (&vector.body, &vector.hex, &vector.binary) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(hex), None) | (None, None, Some(hex)) => bytes(hex),
            _ => panic!("{vector:?}"),
        };
        let mut found = Vec::new();
        let mut error = None;
        let packets = if vector.binary.is_some() {
            Ok(Packets::binary(&body, &settings))
        } else {
            payload::text(&body).map(|text| Packets::text(revision, text, &settings))
        };
        match packets {
            Ok(packets) => {
                for packet in packets {
                    match packet {
                        Ok(packet) => found.push(packet),
                        Err(fault) => error = Some(fault),
                    }
                }
            }
            Err(fault) => error = Some(fault),
        }
        let expected: Vec<_> = vector
            .packets
            .iter()
            .map(|text| packet::decode_text(revision, text).unwrap())
            .collect();
        assert_eq!(found, expected, "{vector:?}");
        assert_eq!(error.map(PayloadError::name), vector.error.as_deref(), "{vector:?}");
    }
}

/// Shows that packets are joined to the golden bodies, and wrapped into the golden scripts.
#[test]
fn payloads_are_written() {
    let vectors: PayloadVectors =
        serde_json::from_str(include_str!("vectors/payloads.json")).unwrap();
    for vector in &vectors.encode {
        let binaries: Vec<_> = vector
            .pieces
            .iter()
            .map(|piece| match piece {
                PieceText::Text(_) => Vec::new(),
                PieceText::Bytes { hex } => bytes(hex),
            })
            .collect();
        let pieces: Vec<_> = vector
            .pieces
            .iter()
            .zip(&binaries)
            .map(|(piece, bytes)| match piece {
                PieceText::Text(text) => Piece::Text(text),
                PieceText::Bytes { .. } => Piece::Binary(bytes),
            })
            .collect();
        let expected = match (&vector.body, &vector.bytes) {
            (Some(text), None) => Payload::Text(text.clone()),
            (None, Some(hex)) => Payload::Binary(bytes(hex)),
            _ => panic!("{vector:?}"),
        };
        let found = payload::encode(revision(vector.revision), vector.binary, &pieces);
        assert_eq!(found, expected, "{vector:?}");
    }
    for vector in &vectors.jsonp {
        assert_eq!(JsonpIndex::new(&vector.callback).wrap(&vector.payload), vector.script);
    }
}

fn judge(request: &Request<'_>, settings: &Settings) -> Result<Handshake, Refusal> {
    match route(request, settings)? {
        Action::Open(opening) => opening.accept(settings),
        other => panic!("{other:?}"),
    }
}

/// Shows that each golden request is answered with its status and body.
#[test]
fn requests_are_refused() {
    let vectors: RequestVectors =
        serde_json::from_str(include_str!("vectors/requests.json")).unwrap();
    let settings = Settings::default();
    for vector in &vectors.refused {
        let request = Request {
            method: &vector.method,
            query: &vector.query,
            origin: vector.origin.as_deref().map(str::as_bytes),
            ..Request::default()
        };
        let refusal = judge(&request, &settings).expect_err(&vector.query);
        let body = format!("{{\"code\":{},\"message\":\"{}\"}}", vector.code, vector.message);
        assert_eq!((refusal.status(), &*refusal.body()), (vector.status, &*body), "{vector:?}");
    }
    for vector in &vectors.upgrades_refused {
        let request =
            Request { method: "GET", query: &vector.query, upgrade: true, ..Request::default() };
        let refusal = judge(&request, &settings).expect_err(&vector.query);
        let (status, message) = (refusal.upgrade_status(), refusal.message());
        let head = format!("HTTP/1.1 {status} ");
        assert!(vector.response.starts_with(&head), "{vector:?}");
        let body = format!("Content-Length: {}\r\n\r\n{message}", message.len());
        assert!(vector.response.ends_with(&body), "{vector:?}");
    }
}

/// Shows that each golden request opens a session with its handshake.
#[test]
#[allow(clippy::disallowed_methods, reason = "a session needs some instant to start from")]
fn requests_open_sessions() {
    let vectors: RequestVectors =
        serde_json::from_str(include_str!("vectors/requests.json")).unwrap();
    for vector in &vectors.opened {
        let settings = Settings { allow_v3: vector.allow_v3, ..Settings::default() };
        let request = Request {
            method: "GET",
            query: &vector.query,
            upgrade: vector.upgrade,
            ..Request::default()
        };
        let Handshake { revision, transport, accepts_binary, .. } =
            judge(&request, &settings).unwrap();
        let session = Session::new(Instant::now(), revision, transport, &settings);
        let open = session.open_packet(&Sid::new([0; 15], 0), &settings);
        let found = payload::encode(revision, accepts_binary, &[Piece::Text(&open)]);
        assert_eq!(found, Payload::Text(vector.handshake.clone()));
    }
}
