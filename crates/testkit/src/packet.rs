//! Socket.IO packets as a test client needs them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::Error;

/// The kind of a Socket.IO packet. Spec: Socket.IO protocol v5 § Packet types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// `0`
    Connect,
    /// `1`
    Disconnect,
    /// `2`
    Event,
    /// `3`
    Ack,
    /// `4`
    ConnectError,
    /// `5`
    BinaryEvent,
    /// `6`
    BinaryAck,
}

const KINDS: [PacketKind; 7] = [
    PacketKind::Connect,
    PacketKind::Disconnect,
    PacketKind::Event,
    PacketKind::Ack,
    PacketKind::ConnectError,
    PacketKind::BinaryEvent,
    PacketKind::BinaryAck,
];

/// A Socket.IO packet without its attachments, which follow in binary messages.
///
/// Spec: Socket.IO protocol v5 § Packet encoding.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// What it is.
    pub kind: PacketKind,
    /// The number of attachments that follow; 0 unless the kind is a binary one.
    pub attachments: usize,
    /// The namespace, with its slash.
    pub namespace: String,
    /// The id of an ack, asked for or given.
    pub ack: Option<u64>,
    /// The payload.
    pub data: Option<Value>,
}

impl Packet {
    /// A packet without attachments and ack.
    #[must_use]
    pub fn new(kind: PacketKind, namespace: &str, data: Option<Value>) -> Self {
        Self { kind, attachments: 0, namespace: namespace.to_owned(), ack: None, data }
    }

    /// Reads a packet from its text.
    ///
    /// # Errors
    /// It is no packet.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let broken = || Error::Protocol(format!("Socket.IO packet {text:?}"));
        let digit = text.chars().next().and_then(|first| first.to_digit(10)).ok_or_else(broken)?;
        let kind = *KINDS.get(digit as usize).ok_or_else(broken)?;
        let mut rest = text.get(1..).unwrap_or_default();

        let mut attachments = 0;
        if matches!(kind, PacketKind::BinaryEvent | PacketKind::BinaryAck) {
            let (count, after) = rest.split_once('-').ok_or_else(broken)?;
            attachments = count.parse().map_err(|_| broken())?;
            rest = after;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let (id, json) =
            rest.split_at(rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len()));
        let ack = if id.is_empty() { None } else { Some(id.parse().map_err(|_| broken())?) };
        let data = match json {
            "" => None,
            json => Some(serde_json::from_str(json).map_err(|_| broken())?),
        };
        Ok(Self { kind, attachments, namespace: namespace.to_owned(), ack, data })
    }

    /// The packet as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let digit = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or_default();
        let mut text = digit.to_string();
        if matches!(self.kind, PacketKind::BinaryEvent | PacketKind::BinaryAck) {
            let _ = write!(text, "{}-", self.attachments);
        }
        if self.namespace != "/" {
            let _ = write!(text, "{},", self.namespace);
        }
        if let Some(ack) = self.ack {
            let _ = write!(text, "{ack}");
        }
        if let Some(data) = &self.data {
            let _ = write!(text, "{data}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_have_the_text_of_the_specification() {
        let packet = |kind, attachments, namespace: &str, ack, data| Packet {
            attachments,
            ack,
            ..Packet::new(kind, namespace, data)
        };
        let cases = [
            ("0", packet(PacketKind::Connect, 0, "/", None, None)),
            (
                r#"0/a,{"sid":"x"}"#,
                packet(PacketKind::Connect, 0, "/a", None, Some(json!({"sid": "x"}))),
            ),
            ("1/a,", packet(PacketKind::Disconnect, 0, "/a", None, None)),
            (r#"2["e",1]"#, packet(PacketKind::Event, 0, "/", None, Some(json!(["e", 1])))),
            (r#"2/a,12["e"]"#, packet(PacketKind::Event, 0, "/a", Some(12), Some(json!(["e"])))),
            ("312[]", packet(PacketKind::Ack, 0, "/", Some(12), Some(json!([])))),
            (
                r#"4{"message":"no"}"#,
                packet(PacketKind::ConnectError, 0, "/", None, Some(json!({"message": "no"}))),
            ),
            (
                r#"51-["e",{"_placeholder":true,"num":0}]"#,
                packet(
                    PacketKind::BinaryEvent,
                    1,
                    "/",
                    None,
                    Some(json!(["e", {"_placeholder": true, "num": 0}])),
                ),
            ),
            ("62-/a,7[1]", packet(PacketKind::BinaryAck, 2, "/a", Some(7), Some(json!([1])))),
        ];
        for (text, want) in cases {
            assert_eq!(Packet::parse(text).unwrap(), want, "{text}");
            assert_eq!(want.to_text(), text);
        }
        assert_eq!(Packet::parse("1/a").unwrap().namespace, "/a");
        for text in ["", "7", "x", "5[1]", "5x-[1]", "2[", "2\u{e9}", "299999999999999999999[1]"] {
            assert!(Packet::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_packet_or_an_error(text: String, digit in 0..8) {
            let _ = Packet::parse(&text);
            let _ = Packet::parse(&format!("{digit}{text}"));
        }
    }
}
