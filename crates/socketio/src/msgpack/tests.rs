//! The two encodings against each other, and hostile bytes.

use proptest::prelude::*;

use super::*;

fn json_of(bytes: &'static [u8]) -> (String, usize) {
    let bytes = Bytes::from_static(bytes);
    let mut reader = Reader::new(&bytes);
    let mut facts = Facts::default();
    while reader.left() > 0 {
        skip(&mut reader, 1, &mut facts).unwrap();
    }
    let (text, attachments) = to_json(&bytes);
    assert_eq!(attachments.len(), facts.binaries);
    (text, attachments.len())
}

/// Everything `notepack.io` writes, as `JSON.stringify` would write the same value.
#[test]
fn to_json_as_javascript() {
    let cases: [(&[u8], &str); 20] = [
        (b"", ""),
        (b"\xc0\xc2\xc3", "null,false,true"),
        (b"\x07\xe0\xcc\xff\xd0\x80", "7,-32,255,-128"),
        (b"\xcd\x01\x00\xd1\xff\x00", "256,-256"),
        (b"\xce\xff\xff\xff\xff\xd2\x80\x00\x00\x00", "4294967295,-2147483648"),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        (b"\xca\x3f\x00\x00\x00\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "0.5,1.5"),
        (b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00\xcb\x80\x00\x00\x00\x00\x00\x00\x00", "null,0"),
        (b"\xcb\x44\xb5\x2d\x02\xc7\xe1\x4a\xf6", "1e+23"),
        (b"\xa3a\"b\xd9\x01c", "\"a\\\"b\",\"c\""),
        (b"\xd4\x00\x00", "null"),
        (b"\xd7\x00\x00\x00\x00\xe8\xd4\xa5\x10\x01", "\"2001-09-09T01:46:40.001Z\""),
        (b"\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null"),
        (b"\x92\x01\x90", "[1,[]]"),
        (b"\x83\xa1a\x01\xa1u\xd4\x00\x00\x05\x80", "{\"a\":1,\"5\":{}}"),
        (b"\x82\xa1u\xd4\x00\x00\xc3\xc0", "{\"true\":null}"),
        (b"\xc4\x02\x01\x02", "{\"_placeholder\":true,\"num\":0}"),
        (b"\xc7\x02\x00\x01\x02", "{\"_placeholder\":true,\"num\":0}"),
        (b"\xd5\x05\x01\x02", "[5,{\"_placeholder\":true,\"num\":0}]"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(json_of(bytes).0, expected, "{bytes:x?}");
    }
}

/// Whole numbers become integers however they were written; strings are decoded; containers tell
/// their length.
#[test]
fn from_json_as_javascript() {
    let cases: [(&str, &[u8]); 12] = [
        ("", b""),
        ("1,-1,256,-129", b"\x01\xff\xcd\x01\x00\xd1\xff\x7f"),
        ("1.0,-0,-0.0,1e2", b"\x01\x00\x00\x64"),
        ("1.5", b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"),
        ("1e400", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
        ("18446744073709551615", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("18446744073709551616", b"\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"),
        ("\"\\u00e9\\ud800\"", b"\xa5\xc3\xa9\xef\xbf\xbd"),
        ("null,true,false", b"\xc0\xc3\xc2"),
        ("[[],{},[1,[2]]]", b"\x93\x90\x80\x92\x01\x91\x02"),
        ("{\"a\":[1],\"b\":{\"c\":\"d\"}}", b"\x82\xa1a\x91\x01\xa1b\x81\xa1c\xa1d"),
        ("{\"_placeholder\":true,\"num\":0}", b"\x82\xac_placeholder\xc3\xa3num\x00"),
    ];
    for (text, expected) in cases {
        assert_eq!(from_json(text, &[]), expected, "{text}");
    }
    let attachments = [Bytes::from_static(b"x"), Bytes::from_static(b"yz")];
    let text =
        r#"[{"num":1,"_placeholder":true},{"_placeholder":true}],{"_placeholder":true,"num":0}"#;
    assert_eq!(from_json(text, &attachments), b"\x92\xc4\x02yz\x81\xac_placeholder\xc3\xc4\x01x");
}

/// What is refused.
#[test]
fn refusals() {
    let deep = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    let cases: [(Vec<u8>, MsgPackError); 10] = [
        (vec![], MsgPackError::Malformed),
        (vec![0xc1], MsgPackError::Malformed),
        (vec![0xcd, 1], MsgPackError::Malformed),
        (vec![0xa2, b'a'], MsgPackError::Malformed),
        (vec![0xa1, 0xff], MsgPackError::Malformed),
        (vec![0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0], MsgPackError::Malformed),
        (vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0], MsgPackError::Malformed),
        (vec![0x81, 0x90, 0xc0], MsgPackError::Malformed),
        (deep(128), MsgPackError::TooDeep),
        ([vec![0xdc, 1, 0], [0xc4, 0].repeat(256)].concat(), MsgPackError::TooManyAttachments),
    ];
    for (bytes, expected) in cases {
        let result = skip(&mut Reader::new(&bytes), 1, &mut Facts::default());
        assert_eq!(result, Err(expected), "{bytes:x?}");
    }
    assert_eq!(skip(&mut Reader::new(&deep(127)), 1, &mut Facts::default()), Ok(()));
    let mixed = Bytes::from_static(b"\x92\x81\xac_placeholder\xc3\xc4\x00");
    assert!(matches!(Args::from_msgpack(&mixed), Err(EncodeError::AmbiguousPlaceholder)));
    assert!(Args::from_msgpack(&mixed.slice(..0)).is_err());
    assert!(Args::from_msgpack(&Bytes::from_static(b"\x90\xc0")).is_err());
    assert!(Args::from_msgpack(&Bytes::from_static(b"\x80")).is_err());
}

proptest! {
    /// Any bytes: no panic, and what passes becomes JSON that passes, and becomes `MessagePack`
    /// again.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(args) = Args::from_msgpack(&Bytes::from(bytes)) {
            let json = args.to_json();
            let text = format!("[{}]", json.json());
            let read = Args::from_json(&text, json.attachments().to_vec()).unwrap();
            prop_assert_eq!(&read, &json);
            prop_assert_eq!(read.len(), args.len());
            let _ = read.msgpack();
        }
    }

    /// Bytes that look like `MessagePack` more often.
    #[test]
    fn likely_bytes(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                &b"\x91"[..], b"\x81", b"\xa1a", b"\xc4\x01x", b"\xd4\x00\x00",
                b"\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x01", b"\xac_placeholder\xc3", b"\x01",
                b"\xc0", b"\x92",
            ]),
            0..24,
        ),
    ) {
        let bytes = [&b"\x92"[..], &pieces.concat()].concat();
        if let Ok(args) = Args::from_msgpack(&Bytes::from(bytes)) {
            let json = args.to_json();
            let text = format!("[{}]", json.json());
            prop_assert!(Args::from_json(&text, json.attachments().to_vec()).is_ok());
        }
    }
}
