//! What arguments keep, what they give, and what they say when they do not fit.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

fn args(array: &str) -> Args {
    Args::from_json(array, Vec::new()).unwrap()
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct File {
    name: String,
    body: Bytes,
    parts: Vec<Bytes>,
    kind: Kind,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
enum Kind {
    Plain,
    Signed(Bytes),
    Named { icon: Option<Bytes> },
}

fn file() -> File {
    File {
        name: "a.txt".into(),
        body: Bytes::from_static(b"\x01\x02"),
        parts: vec![Bytes::from_static(b""), Bytes::from_static(b"\xff")],
        kind: Kind::Named { icon: Some(Bytes::from_static(b"icon")) },
    }
}

/// One argument per element of a sequence; anything else is one argument.
#[test]
fn of_counts_arguments() {
    fn check<T: Serialize>(value: T, text: &str, count: usize) {
        let args = Args::of(&value).unwrap();
        assert_eq!((args.json().as_ref(), args.len()), (text, count));
    }
    check(("a", 1, [1.5]), r#""a",1,[1.5]"#, 3);
    check(vec![Value::Null], "null", 1);
    check((), "", 0);
    check(None::<u8>, "", 0);
    check::<[u8; 0]>([], "", 0);
    check("a", r#""a""#, 1);
    check(json!({"a": null}), r#"{"a":null}"#, 1);
    check(((),), "null", 1);
    check((f64::NAN, "é\u{1}"), r#"null,"é\u0001""#, 2);
}

/// Bytes at any depth become attachments, in the order met, and come back.
#[test]
fn bytes_become_attachments() {
    let args = Args::of(&(file(), Bytes::from_static(b"last"))).unwrap();
    let place = |number| format!(r#"{{"_placeholder":true,"num":{number}}}"#);
    assert_eq!(
        args.json(),
        format!(
            r#"{{"name":"a.txt","body":{},"parts":[{},{}],"kind":{{"Named":{{"icon":{}}}}}}},{}"#,
            place(0),
            place(1),
            place(2),
            place(3),
            place(4)
        )
    );
    assert_eq!(args.attachments().len(), 5);
    let (read, last): (File, Bytes) = args.parse().unwrap();
    assert_eq!((read, &last[..]), (file(), &b"last"[..]));
    let read: (File,) = args.parse().unwrap();
    assert_eq!(read.0, file());
    // A map, an option, a newtype variant and a tuple on the way down.
    let value = BTreeMap::from([("k", (Some(Kind::Signed(Bytes::from_static(b"s"))), 1))]);
    let args = Args::of(&(value,)).unwrap();
    let (read,): (BTreeMap<String, (Option<Kind>, u8)>,) = args.parse().unwrap();
    assert_eq!(read["k"].0, Some(Kind::Signed(Bytes::from_static(b"s"))));
    // Other types of bytes than attachments still read what JSON has.
    let args = Args::of(&(Bytes::from_static(b"x"), [1, 2], "str", Kind::Plain)).unwrap();
    let read: (Bytes, Bytes, Bytes, Kind) = args.parse().unwrap();
    assert_eq!((&read.1[..], &read.2[..], read.3), (&[1, 2][..], &b"str"[..], Kind::Plain));
}

/// Values that mean nothing to serde stay placeholders: nothing is lost to a catch-all.
#[test]
fn a_value_keeps_the_placeholder() {
    let args = Args::of(&(Bytes::from_static(b"x"),)).unwrap();
    let (value,): (Value,) = args.parse().unwrap();
    assert_eq!(value, json!({"_placeholder": true, "num": 0}));
}

/// Raw JSON passes through serialisation as it stands.
#[test]
fn raw_values_pass() {
    let raw = RawValue::from_string(r#"{ "a" : 1.0e0 }"#.into()).unwrap();
    let args = Args::of(&(1, &raw, Bytes::from_static(b"x"))).unwrap();
    assert_eq!(args.json(), r#"1,{ "a" : 1.0e0 },{"_placeholder":true,"num":0}"#);
    let list = RawValue::from_string("[1, 2]".into()).unwrap();
    assert_eq!(Args::of(&list).unwrap().json(), "1, 2");
    let (read,): (Box<RawValue>,) = Args::of(&(raw,)).unwrap().parse().unwrap();
    assert_eq!(read.get(), r#"{ "a" : 1.0e0 }"#);
}

/// What looks like a placeholder is data without attachments, and refused beside them: receivers
/// would take it for one.
#[test]
fn literal_placeholders() {
    let literal = json!({"_placeholder": true, "num": 0});
    assert!(Args::of(&(&literal,)).is_ok());
    let mixed = Args::of(&(&literal, Bytes::from_static(b"x")));
    assert!(matches!(mixed, Err(EncodeError::AmbiguousPlaceholder)));
    let far = json!({"_placeholder": true, "num": 9});
    let mixed = Args::of(&(&far, Bytes::from_static(b"x")));
    assert!(matches!(mixed, Err(EncodeError::AmbiguousPlaceholder)));
}

/// Arguments that were JSON before: an array only, and placeholders must fit.
#[test]
fn from_json() {
    assert_eq!(args(" [ 1 , {\"a\" : 2} ] ").json(), "1 , {\"a\" : 2}");
    assert_eq!(args("[]").len(), 0);
    for text in ["", "1", "{}", "[1", "1]", "[1]]", "[1],[2]", "[1] 2", "][", "[,]"] {
        let result = Args::from_json(text, Vec::new());
        assert!(matches!(result, Err(EncodeError::NotAnArray)), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    assert!(matches!(Args::from_json(&deep, Vec::new()), Err(EncodeError::TooDeep)));
    let one = vec![Bytes::from_static(b"x")];
    assert!(Args::from_json(r#"[{"_placeholder":true,"num":0}]"#, one.clone()).is_ok());
    assert!(Args::from_json(r#"[{"_placeholder":true,"num":1}]"#, one.clone()).is_err());
    assert!(Args::from_json("[1]", one).is_ok(), "nobody has to name an attachment");
}

/// Limits: depth and number of attachments.
#[test]
fn limits() {
    let mut value = json!(1);
    for _ in 0..127 {
        value = json!([value]);
    }
    assert!(Args::of(&(&value,)).is_ok());
    assert!(matches!(Args::of(&((&value,),)), Err(EncodeError::TooDeep)));
    let many = |count| Args::of(&vec![Bytes::new(); count]);
    assert_eq!(many(MAX_ATTACHMENTS).unwrap().attachments().len(), MAX_ATTACHMENTS);
    assert!(matches!(many(MAX_ATTACHMENTS + 1), Err(EncodeError::TooManyAttachments)));
    assert!(matches!(Args::of(&(BTreeMap::from([((1, 2), 3)]),)), Err(EncodeError::Serialize(_))));
}

/// As in JavaScript: what is too much is ignored, what is missing is `None`.
#[test]
fn parse_takes_what_it_needs() {
    let three = args(r#"["a",2,{"x":true}]"#);
    assert_eq!(three.parse::<(String, u8)>().unwrap(), ("a".into(), 2));
    assert_eq!(three.parse::<String>().unwrap(), "a");
    assert_eq!(three.parse::<Vec<Value>>().unwrap().len(), 3);
    three.parse::<()>().unwrap();
    assert_eq!(args("[1]").parse::<(u8, Option<u8>)>().unwrap(), (1, None));
    assert_eq!(args("[]").parse::<Option<u8>>().unwrap(), None);
    assert_eq!(args("[null]").parse::<Option<u8>>().unwrap(), None);
    assert_eq!(args("[7]").parse::<Option<u8>>().unwrap(), Some(7));
    assert_eq!(args("[[1,2]]").parse::<(Vec<u8>,)>().unwrap().0, [1, 2]);
    assert_eq!(args(r#"[{"k":1}]"#).parse::<BTreeMap<String, u8>>().unwrap()["k"], 1);
}

/// A mismatch says which argument, what it was and what was expected.
#[test]
fn parse_errors_name_the_argument() {
    fn check<T: DeserializeOwned + fmt::Debug>(array: &str, expected: &str) {
        let error = args(array).parse::<T>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    check::<(String, u32)>(r#"["a","b"]"#, r#"argument 2: invalid type: string "b", expected u32"#);
    check::<(String, u32)>(r#"["a"]"#, "argument 2: invalid type: no argument, expected u32");
    check::<String>("[]", "argument 1: invalid type: no argument, expected a string");
    check::<File>("[{}]", "argument 1: missing field `name`");
    check::<Vec<u8>>("[1,256]", "argument 2: invalid value: integer `256`, expected u8");
    check::<(Bytes,)>(r#"[{"_placeholder":true,"num":0}]"#, "argument 1: invalid type: map");
}

/// A lone surrogate passes as text; only a handler that wants a Rust string sees an error.
#[test]
fn lone_surrogates_pass() {
    let odd = args(r#"["\ud800",1]"#);
    assert_eq!(odd.json(), r#""\ud800",1"#);
    assert!(odd.parse::<(String, u8)>().is_err());
    assert!(odd.parse::<(Value,)>().is_err());
}

/// One string more, in both encodings and from nothing.
#[test]
fn with_last_string() {
    assert_eq!(Args::none().with_last_string("o\"").json(), r#""o\"""#);
    let more = args("[1]").with_last_string("x");
    assert_eq!((more.json().as_ref(), more.len()), (r#"1,"x""#, 2));
    let packed = Args::msgpack_parts(args("[1]").msgpack(), 1).with_last_string("x");
    assert_eq!((packed.json().as_ref(), packed.len()), (r#"1,"x""#, 2));
}

/// Small enough to be in every event that waits.
#[test]
fn is_small() {
    assert!(size_of::<Args>() <= 48, "{}", size_of::<Args>());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What goes in comes out, with bytes beside it, in both encodings.
    #[test]
    fn round_trip(
        values in prop::collection::vec(any_json(), 0..4),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let chunks: Vec<Bytes> = chunks.into_iter().map(Bytes::from).collect();
        let args = Args::of(&(&values, &chunks)).unwrap();
        let read: (Vec<Value>, Vec<Bytes>) = args.parse().unwrap();
        prop_assert_eq!(&read, &(values, chunks.clone()));

        let packed = Args::msgpack_parts(args.msgpack(), 2);
        prop_assert_eq!(packed.attachments(), args.attachments());
        let read: (Value, Vec<Bytes>) = packed.parse().unwrap();
        prop_assert_eq!(&read.1, &chunks);
        // Again from MessagePack: the same bytes, so nothing was lost on the way.
        prop_assert_eq!(packed.to_json().msgpack(), packed.msgpack());
    }
}

/// For peers that take JSON alone something else stands where an attachment was; data that only
/// looks like one stays.
#[test]
fn json_with_something_else_for_attachments() {
    let length = |args: &Args| {
        args.json_with(|attachment, text| text.push_str(&format!("<{}>", attachment.len())))
            .into_owned()
    };
    let attachments = || vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
    for (array, attachments, expected) in [
        ("[]", Vec::new(), ""),
        (r#"[{"_placeholder":true,"num":0}]"#, Vec::new(), r#"{"_placeholder":true,"num":0}"#),
        (r#"[{"_placeholder":true,"num":0}]"#, attachments(), "<2>"),
        (
            r#"[ {"num":1,"_placeholder":true} ,{"a":[{ "_placeholder" : true,"num":0 }]},{"num":0}]"#,
            attachments(),
            r#"<1> ,{"a":[<2>]},{"num":0}"#,
        ),
    ] {
        let args = Args::from_json(array, attachments).unwrap();
        assert_eq!(length(&args), expected, "{array}");
        let packed = Args::msgpack_parts(args.msgpack(), 2);
        assert_eq!(length(&packed).matches('<').count(), expected.matches('<').count(), "{array}");
    }
}
