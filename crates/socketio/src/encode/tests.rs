//! What a server sends, byte for byte; what clients send is in the vectors.

use super::*;

fn text(encoded: Encoded) -> String {
    match encoded {
        Encoded::Text { text, .. } => text,
        Encoded::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

fn packed(encoded: Encoded) -> Bytes {
    match encoded {
        Encoded::Binary(bytes) => bytes,
        Encoded::Text { text, .. } => panic!("text: {text}"),
    }
}

fn admin() -> Namespace {
    Namespace::new("/admin").unwrap()
}

/// The answers to CONNECT, as observed on the reference server for both generations.
#[test]
fn control_packets() {
    let (root, admin, json) = (Namespace::root(), admin(), Parser::Json);
    let error = |data| ConnectError { message: "not \"ok\"", data };
    let refuse = |version, data| encode_connect_error(json, version, &admin, &error(data));
    let cases = [
        (encode_connect(json, Version::V5, &root, "s", None), r#"0{"sid":"s"}"#),
        (
            encode_connect(json, Version::V5, &admin, "s", Some("p")),
            r#"0/admin,{"sid":"s","pid":"p"}"#,
        ),
        (encode_connect(json, Version::V2, &root, "s", Some("p")), "0"),
        (encode_connect(json, Version::V2, &admin, "s", None), "0/admin,"),
        (refuse(Version::V5, None), r#"4/admin,{"message":"not \"ok\""}"#),
        (
            refuse(Version::V5, Some(r#"{"content":"later"}"#)),
            r#"4/admin,{"message":"not \"ok\"","data":{"content":"later"}}"#,
        ),
        (refuse(Version::V2, None), r#"4/admin,"not \"ok\"""#),
        (refuse(Version::V2, Some("null")), r#"4/admin,"not \"ok\"""#),
        (refuse(Version::V2, Some(r#"{"content":"later"}"#)), r#"4/admin,{"content":"later"}"#),
        (encode_invalid_namespace(json, &admin), r#"4/admin,{"message":"Invalid namespace"}"#),
        (encode_disconnect(json, &root), "1"),
        (encode_disconnect(json, &admin), "1/admin,"),
    ];
    for (encoded, expected) in cases {
        assert_eq!(text(encoded), expected);
    }
    assert_eq!(
        packed(encode_connect(Parser::MsgPack, Version::V5, &root, "s", None)),
        &b"\x83\xa4type\x00\xa4data\x81\xa3sid\xa1s\xa3nsp\xa1/"[..]
    );
    assert_eq!(
        packed(encode_connect(Parser::MsgPack, Version::V2, &root, "s", None)),
        &b"\x82\xa4type\x00\xa3nsp\xa1/"[..]
    );
}

/// The offset is the last argument, whatever stands before it, and in both encodings.
#[test]
fn offset_is_appended() {
    let name = EventName::new("e").unwrap();
    let offset = "1795187735553-0";
    let cases = [
        ("[]", r#"2/admin,["e","1795187735553-0"]"#),
        (r#"[1,{"a":null}]"#, r#"2/admin,["e",1,{"a":null},"1795187735553-0"]"#),
    ];
    for (array, expected) in cases {
        let args = Args::from_json(array, Vec::new()).unwrap();
        let event = Event {
            namespace: &admin(),
            name: &name,
            args: &args,
            ack: None,
            offset: Some(offset),
        };
        assert_eq!(text(encode_event(Parser::Json, &event)), expected);
        let with_last = args.with_last_string(offset);
        let same = Event { args: &with_last, offset: None, ..event };
        for parser in [Parser::Json, Parser::MsgPack] {
            assert_eq!(encode_event(parser, &event), encode_event(parser, &same));
        }
    }
}

/// Attachments go along, numbered as in the text, and the room for the text is asked for once.
#[test]
fn attachments_follow() {
    let args = Args::of(&(Bytes::from_static(b"\x01"), Bytes::from_static(b"\x02"))).unwrap();
    let encoded = encode_ack(Parser::Json, &Namespace::root(), 789, &args);
    let Encoded::Text { text, attachments } = encoded else { panic!("text") };
    assert_eq!(text, r#"62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    assert_eq!(attachments, args.attachments());
    let name = EventName::new("name").unwrap();
    let args = Args::of(&("x".repeat(1000),)).unwrap();
    let event = Event {
        namespace: &admin(),
        name: &name,
        args: &args,
        ack: Some(u64::MAX),
        offset: Some("position"),
    };
    let Encoded::Text { text, .. } = encode_event(Parser::Json, &event) else { panic!("text") };
    assert!(text.capacity() < text.len() + 32, "{} for {}", text.capacity(), text.len());
}
