//! What the vectors do not show: version 2, the settings, hostile bytes.

use proptest::prelude::*;

use super::*;
use crate::settings::Limits;

fn with(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

fn text(version: Version, message: &str) -> Result<Option<Packet>, Violation> {
    Decoder::new(version).text(&Settings::default(), message)
}

/// The query of a version 2 client is no part of the namespace; to version 5 it is.
#[test]
fn version_2_has_a_query() {
    let cases = [
        (Version::V2, "0/admin?token=x&a=%2C,", "/admin", Some("token=x&a=%2C")),
        (Version::V2, "0/admin?", "/admin", Some("")),
        (Version::V2, "0/admin,", "/admin", None),
        (Version::V5, "0/admin?token=x,", "/admin?token=x", None),
    ];
    for (version, message, name, expected) in cases {
        let packet = text(version, message).unwrap().unwrap();
        assert_eq!(packet.namespace.as_str(), name, "{message}");
        let Body::Connect { query, .. } = packet.body else { panic!("{message}") };
        assert_eq!(query.as_deref(), expected, "{message}");
    }
    let packet = text(Version::V2, "2/admin?a=b,[\"e\"]").unwrap().unwrap();
    assert_eq!(packet.namespace.as_str(), "/admin");
    let long = format!("0/a?{},", "q".repeat(20_000));
    let result = text(Version::V2, &long);
    assert_eq!(result, Err(Violation::ConnectPayloadTooLarge { limit_bytes: 16_384 }));
}

/// A namespace ends at the comma, or takes the rest: then it is too long, or nobody is in it.
#[test]
fn namespaces_are_exact() {
    let name = |message| text(Version::V5, message).unwrap().unwrap().namespace.to_string();
    assert_eq!(name("0//"), "//");
    assert_eq!(name("0/%2e"), "/%2e");
    assert_eq!(name("0/\u{202e}"), "/\u{202e}");
    assert_eq!(name("2/[\"e\"]"), "/[\"e\"]");
    let long = format!("2/{}", "a".repeat(1_000_000 - 2));
    assert!(matches!(text(Version::V5, &long), Err(Violation::InvalidNamespace(_))));
}

/// Text and attachments count together, an attachment as often as it is named, and the boundary
/// itself passes.
#[test]
fn packets_have_one_limit() {
    let once = r#"51-["m",{"_placeholder":true,"num":0}]"#;
    let twice = r#"51-["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
    let check = |head: &str, attachment: usize, limit_bytes: usize| {
        let settings = with(Limits { max_packet_bytes: limit_bytes, ..Limits::default() });
        let mut decoder = Decoder::new(Version::V5);
        decoder.text(&settings, head)?;
        decoder.binary(&settings, vec![0; attachment].into()).map(|packet| packet.is_some())
    };
    let too_large = |limit_bytes| Err(Violation::PacketTooLarge { limit_bytes });
    assert_eq!(check(once, 100, once.len() + 100), Ok(true));
    assert_eq!(check(once, 101, once.len() + 100), too_large(once.len() + 100));
    assert_eq!(check(twice, 50, twice.len() + 100), Ok(true));
    assert_eq!(check(twice, 51, twice.len() + 100), too_large(twice.len() + 100));
    assert_eq!(check(once, 0, once.len() - 1), too_large(once.len() - 1));
    let unnamed = r#"52-["m"]"#;
    assert_eq!(check(unnamed, 60, 50), too_large(50));
}

/// The number of attachments is a setting.
#[test]
fn attachments_are_limited() {
    let settings = with(Limits { max_attachments: 3, ..Limits::default() });
    let try_count = |count: u32| {
        Decoder::new(Version::V5).text(&settings, &format!("5{count}-[\"m\"]")).map(|_| ())
    };
    assert_eq!(try_count(3), Ok(()));
    assert_eq!(try_count(4), Err(Violation::TooManyAttachments { limit: 3 }));
}

/// Each side of a mismatch of parsers ends cleanly.
#[test]
fn parsers_do_not_mix() {
    let msgpack = Settings { parser: Parser::MsgPack, ..Settings::default() };
    let mut decoder = Decoder::new(Version::V5);
    assert_eq!(decoder.text(&msgpack, "0"), Err(Violation::UnexpectedText));
    let packet = Bytes::from_static(b"\x82\xa4type\x00\xa3nsp\xa1/");
    assert!(decoder.binary(&msgpack, packet.clone()).unwrap().is_some());
    let result = decoder.binary(&Settings::default(), packet);
    assert_eq!(result, Err(Violation::UnexpectedBinary));
}

/// `MessagePack` from clients in other languages: `nil` for what is absent, keys in any order,
/// the last of several, unknown keys of any shape.
#[test]
fn msgpack_of_others() {
    let msgpack = Settings { parser: Parser::MsgPack, ..Settings::default() };
    let decode = |bytes: &'static [u8]| {
        let mut decoder = Decoder::new(Version::V5);
        decoder.binary(&msgpack, Bytes::from_static(bytes)).unwrap().unwrap()
    };
    let packet = decode(b"\x84\xa3nsp\xa1/\xa4data\xc0\xa2id\xc0\xa4type\x01");
    assert_eq!(packet.body, Body::Disconnect);
    let packet = decode(
        b"\x85\xa3nsp\xa2/x\xa1q\x81\xa1a\x91\xc4\x00\xa4type\x00\xa4type\x02\xa4data\x92\xa1e\x07",
    );
    assert_eq!(packet.namespace.as_str(), "/x");
    let Body::Event { name, args, ack: None } = packet.body else { panic!("{packet:?}") };
    assert_eq!((name.as_str(), args.json().as_ref(), args.len()), ("e", "7", 1));
    assert!(args.is_msgpack());
}

/// A pending packet is one pointer in the decoder, and nothing stays when it is complete.
#[test]
fn is_small() {
    assert!(size_of::<Decoder>() <= 16);
    let mut decoder = Decoder::default();
    let settings = Settings::default();
    assert_eq!(decoder.text(&settings, "51-[\"m\"]"), Ok(None));
    assert!(decoder.is_pending());
    assert!(decoder.binary(&settings, Bytes::new()).unwrap().is_some());
    assert!(!decoder.is_pending());
}

/// Texts that look like packets.
fn likely_text() -> impl Strategy<Value = String> {
    let head = prop_oneof!["[0-9]", "[56][0-9e.]{1,3}-"];
    let namespace = prop_oneof![Just(""), Just("/,"), Just("/a?b=c,"), Just("/a")];
    let id = "[0-9 ]{0,21}";
    let payload = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}\",:0-9a-z\\\\ _]{0,24}",
        r#"\["[a-z]{0,3}"(,\{"_placeholder":true,"num":[0-9]\}){0,3}\]"#,
        r#"\["(connect|e)"(,(1|"x"|\{\}|\[null\])){0,3}\]"#,
    ];
    (head, namespace, id, payload)
        .prop_map(|(head, namespace, id, payload)| format!("{head}{namespace}{id}{payload}"))
}

proptest! {
    /// Any sequence of messages, to either parser and version: no panic; and whatever an event
    /// carries can be looked at.
    #[test]
    fn any_messages(
        messages in prop::collection::vec(
            prop_oneof![
                likely_text().prop_map(Ok),
                ".{0,32}".prop_map(Ok),
                prop::collection::vec(any::<u8>(), 0..32).prop_map(Err),
                prop::collection::vec(any::<u8>(), 0..16)
                    .prop_map(|tail| Err([b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec(), tail].concat())),
            ],
            0..6,
        ),
        parser in prop::sample::select(vec![Parser::Json, Parser::MsgPack]),
        version in prop::sample::select(vec![Version::V5, Version::V2]),
    ) {
        let settings = Settings { parser, ..Settings::default() };
        let mut decoder = Decoder::new(version);
        for message in messages {
            let result = match message {
                Ok(text) => decoder.text(&settings, &text),
                Err(bytes) => decoder.binary(&settings, bytes.into()),
            };
            if let Ok(Some(Packet { body: Body::Event { args, .. }, .. })) = result {
                let json = args.to_json();
                let array = format!("[{}]", json.json());
                let again = crate::Args::from_json(&array, json.attachments().to_vec()).unwrap();
                prop_assert_eq!(again.len(), args.len());
                let _ = args.msgpack();
                let _ = args.parse::<Vec<serde_json::Value>>();
            }
        }
    }
}
