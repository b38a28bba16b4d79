//! Events as text of an event stream: one block of lines for each.
//!
//! Spec: WHATWG HTML, § 9.2.5 Parsing an event stream.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use socketio::Args;
use std::time::Duration;

/// A comment: it keeps proxies from taking a quiet stream for a dead one.
pub(crate) const HEARTBEAT: &[u8] = b":\n\n";

/// What stands for a control character in an event's name.
const REPLACEMENT: char = '\u{fffd}';

/// What a block has beside its values.
const BLOCK_BYTES: usize = 32;

/// An event: its name, and its arguments as a JSON array. With `id`, the position that who has
/// read it has reached.
pub(crate) fn encode_event(id: Option<&str>, name: &str, args: &Args) -> Bytes {
    let json = args.json_with(|attachment, text| {
        text.push_str(r#"{"base64":""#);
        STANDARD.encode_string(attachment, text);
        text.push_str(r#""}"#);
    });
    let size = BLOCK_BYTES + id.map_or(0, str::len) + name.len() + json.len();
    let mut out = BytesMut::with_capacity(size);
    write_id(id, &mut out);
    write_name(name, &mut out);
    out.put_slice(b"data: [");
    write_data(json.as_bytes(), &mut out);
    out.put_slice(b"]\n\n");
    out.freeze()
}

/// An event of the server's own, whose data is a JSON object: no application's event has one.
pub(crate) fn encode_notice(id: Option<&str>, name: &str, data: &serde_json::Value) -> Bytes {
    let mut out = BytesMut::new();
    write_id(id, &mut out);
    write_name(name, &mut out);
    out.put_slice(b"data: ");
    write_data(data.to_string().as_bytes(), &mut out);
    out.put_slice(b"\n\n");
    out.freeze()
}

/// After how long a client that lost the stream comes back.
pub(crate) fn encode_retry(after: Duration) -> String {
    format!("retry: {}\n\n", after.as_millis())
}

/// Positions are the server's own, and the text of one has letters, digits, `-`, `_` and `.` only.
fn write_id(id: Option<&str>, out: &mut BytesMut) {
    if let Some(id) = id {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_u8(b'\n');
    }
}

/// Of the space behind the colon one belongs to the line: what a name begins with is kept.
fn write_name(name: &str, out: &mut BytesMut) {
    if name.is_empty() {
        return; // it would be `message` in any case
    }
    out.put_slice(b"event: ");
    if name.contains(char::is_control) {
        // A line break would end the line, and what follows be read as another one.
        let clean: String =
            name.chars().map(|c| if c.is_control() { REPLACEMENT } else { c }).collect();
        out.put_slice(clean.as_bytes());
    } else {
        out.put_slice(name.as_bytes());
    }
    out.put_u8(b'\n');
}

/// In JSON a line break stands between two tokens only: a space is as good.
fn write_data(json: &[u8], out: &mut BytesMut) {
    for (index, line) in json.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
        if index > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(line);
    }
}

#[cfg(test)]
mod tests {
    //! Whatever is sent, a client reads exactly that.

    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What a client makes of a stream.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        /// Type, data and last event id.
        events: Vec<(String, String, String)>,
        id: String,
        retry: Option<u64>,
    }

    /// The algorithm of the specification, word by word.
    fn read(stream: &[u8]) -> Read {
        let text = String::from_utf8_lossy(stream);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let (mut read, mut id) = (Read::default(), String::new());
        let (mut name, mut data) = (String::new(), String::new());
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else { break };
            if line.is_empty() {
                read.id.clone_from(&id);
                if !data.is_empty() {
                    let kind = if name.is_empty() { "message".into() } else { name.clone() };
                    let data = data.strip_suffix('\n').unwrap_or(&data).to_owned();
                    read.events.push((kind, data, id.clone()));
                }
                name.clear();
                data.clear();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_owned(),
                "data" => data.push_str(&format!("{value}\n")),
                "id" if !value.contains('\0') => id = value.to_owned(),
                "retry" => read.retry = value.parse().ok(),
                _ => {}
            }
        }
        read
    }

    fn one(name: &str, args: &Args) -> (String, Value) {
        let read = read(&encode_event(Some("AAAAAAAAAAA.1"), name, args));
        let [(name, data, id)] = read.events.try_into().expect("one event");
        assert_eq!((id.as_str(), read.id.as_str()), ("AAAAAAAAAAA.1", "AAAAAAAAAAA.1"));
        (name, serde_json::from_str(&data).unwrap())
    }

    #[test]
    fn an_event_is_one_block() {
        let args = Args::of(&("hello", 1)).unwrap();
        let bytes = encode_event(Some("p.1"), "chat", &args);
        assert_eq!(&bytes[..], b"id: p.1\nevent: chat\ndata: [\"hello\",1]\n\n");
        let bytes = encode_event(None, "chat", &Args::none());
        assert_eq!(&bytes[..], b"event: chat\ndata: []\n\n");
    }

    /// What is special in a stream is not in an event.
    #[test]
    fn special_texts() {
        #[track_caller]
        fn check(name: &str, array: &str, expected: &str) {
            let args = Args::from_json(array, Vec::new()).unwrap();
            let (got, data) = one(name, &args);
            assert_eq!(got, expected);
            assert_eq!(data, serde_json::from_str::<Value>(array).unwrap());
        }
        check(" leading", r#"[" leading",": colon","\ufeffBOM"]"#, " leading");
        check(":colon", "[\"\u{feff}BOM\",\"\u{2028}\u{2029}\u{85}\"]", ":colon");
        check("\u{feff}BOM", "[]", "\u{feff}BOM");
        check("a\nevent: b\n\ndata: c", "[1]", "a\u{fffd}event: b\u{fffd}\u{fffd}data: c");
        check("a\rb\0c\u{7f}\u{85}", "[1]", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}");
        check("\n", "[1]", "\u{fffd}");
        check("", "[1]", "message");
        check("pretty", "[\n  1,\r\n  {\r \"a\": \"b\\n\"}\n]", "pretty");
        check("data: x", r#"["data: x\n\nid: y\r\n"]"#, "data: x");
    }

    /// Binary data stands where its placeholder stood.
    #[test]
    fn attachments_in_place() {
        let (a, b) = (Bytes::from_static(b"\x00\xff\n"), Bytes::new());
        let args = Args::of(&(1, [&a], json!({ "x": 2.5 }), &b)).unwrap();
        let expected = json!([1, [{ "base64": "AP8K" }], { "x": 2.5 }, { "base64": "" }]);
        assert_eq!(one("binary", &args), ("binary".to_owned(), expected));
        let packed =
            Args::from_msgpack(&Bytes::from_static(b"\x92\xc4\x03\x00\xff\n\x01")).unwrap();
        assert_eq!(one("binary", &packed).1, json!([{ "base64": "AP8K" }, 1]));
        // Without attachments a placeholder is an object like any other.
        let text = r#"[{"_placeholder":true,"num":0}]"#;
        let args = Args::from_json(text, Vec::new()).unwrap();
        assert_eq!(one("plain", &args).1, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn notices_and_comments() {
        let notice = encode_notice(Some("p.2"), "reset", &json!({ "reason": "trimmed" }));
        let mut stream = encode_retry(Duration::from_millis(2_345)).into_bytes();
        stream.extend_from_slice(HEARTBEAT);
        stream.extend_from_slice(&notice);
        let expected = ("reset".into(), r#"{"reason":"trimmed"}"#.into(), "p.2".into());
        let expected = Read { events: vec![expected], id: "p.2".into(), retry: Some(2_345) };
        assert_eq!(read(&stream), expected);
    }

    fn clean(name: &str) -> String {
        let clean = name.chars().map(|c| if c.is_control() { REPLACEMENT } else { c });
        let clean: String = clean.collect();
        if clean.is_empty() { "message".to_owned() } else { clean }
    }

    proptest! {
        /// Whatever the names and arguments, as many events are read as were written, each with its
        /// name and its arguments.
        #[test]
        fn what_is_written_is_read(
            events in prop::collection::vec(
                (".{0,8}|[ :\\r\\n\\x00\u{feff}a-c]{0,6}", "[ -:\\r\\n\\x00\u{feff}a-c]{0,8}|\\PC{0,8}",
                 prop::collection::vec(any::<u8>(), 0..6), any::<f64>()), 1..5),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (index, (name, text, binary, number)) in events.iter().enumerate() {
                let number = if number.is_finite() { *number } else { 0.0 };
                let args = Args::of(&(text, Bytes::from(binary.clone()), number)).unwrap();
                let id = format!("p.{index}");
                stream.extend_from_slice(&encode_event(Some(&id), name, &args));
                let data = json!([text, { "base64": STANDARD.encode(binary) }, number]);
                expected.push((clean(name), data, id));
            }
            let read = read(&stream).events.into_iter();
            let got: Vec<_> = read
                .map(|(name, data, id)| (name, serde_json::from_str(&data).unwrap(), id))
                .collect();
            prop_assert_eq!(got, expected);
        }
    }
}
