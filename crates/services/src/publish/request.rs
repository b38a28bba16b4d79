//! The body of `POST /v1/publish`, from bytes to something that can be published.

use std::borrow::Cow;

use fanfare::{Args, SocketId};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use crate::code::Code;
use crate::names::{self, ROOM_FORM, USER_PREFIX};
use crate::refusal::Refusal;

/// How many rooms or users one publish may name. More is a sign that a room is missing.
pub(crate) const MAX_TARGETS: usize = 1_000;

/// The longest name of an event, in bytes: it is in every packet.
pub(crate) const MAX_EVENT_BYTES: usize = 255;

/// One event and who gets it.
#[derive(Debug, PartialEq)]
pub(crate) struct Publish {
    /// The event's name.
    pub(crate) event: String,
    /// Its arguments, byte for byte as they came.
    pub(crate) args: Args,
    /// Who gets it.
    pub(crate) to: Recipients,
    /// Rooms whose sockets do not get it.
    pub(crate) except: Vec<String>,
    /// The namespace.
    pub(crate) namespace: String,
    /// Whether it may be dropped for those who cannot take it at once.
    pub(crate) volatile: bool,
}

/// Who gets an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Recipients {
    /// Everyone in the namespace: only when it was asked for by name.
    All,
    /// Everyone in at least one of these rooms; never empty.
    Rooms(Vec<String>),
}

/// The fields, unread. Only this struct knows which names there are; `null` is a value, not an
/// absence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    event: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    args: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    rooms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    users: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    sockets: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    all: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    except: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    namespace: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    volatile: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// How many events a batch may have.
pub(crate) const MAX_BATCH: usize = 1_000;

/// A batch, its events unread: one that is wrong refuses itself alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Reads the body of a batch.
///
/// # Errors
///
/// A refusal of the whole.
pub(crate) fn parse_batch(body: &[u8]) -> Result<Vec<Result<Publish, Refusal>>, Refusal> {
    let expected = format!("{{events: [1 to {MAX_BATCH} events]}}");
    let invalid = || {
        let message = format!("The body is no batch of events; expected {expected}.");
        Refusal::new(Code::InvalidRequest, message)
            .with(json!({ "field": "events", "expected": expected }))
    };
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid());
    }
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|_| invalid())?;
    if !(1..=MAX_BATCH).contains(&batch.events.len()) {
        return Err(invalid());
    }
    Ok(batch.events.into_iter().map(|event| parse(event.get().as_bytes())).collect())
}

/// Reads a body.
///
/// # Errors
///
/// A refusal that names the field and what was expected.
pub(crate) fn parse(body: &[u8]) -> Result<Publish, Refusal> {
    let fields = fields(body).map_err(|error| not_an_object(body, &error))?;
    let event = fields.event.ok_or_else(|| field("event", "is missing", EVENT_FORM))?;
    let to = recipients(&fields)?;
    Ok(Publish {
        event: event_name(event)?,
        args: fields.args.map_or_else(|| Ok(Args::default()), arguments)?,
        to,
        except: fields.except.map_or_else(|| Ok(Vec::new()), |raw| names("except", raw, 0))?,
        namespace: fields.namespace.map_or_else(|| Ok("/".to_owned()), namespace)?,
        volatile: fields
            .volatile
            .map_or(Ok(false), |raw| read("volatile", raw, "true or false"))?,
    })
}

fn fields(body: &[u8]) -> serde_json::Result<Fields<'_>> {
    // Serde would also read the fields from a list, by their order.
    if body.trim_ascii_start().first() == Some(&b'{') {
        serde_json::from_slice(body)
    } else {
        Err(serde::de::Error::custom("not an object"))
    }
}

const SOCKET_FORM: &str = "20 letters, digits, `-` and `_`";
const EVENT_FORM: &str = "a name of 1 to 255 bytes without control characters";
const ONE_TARGET: &str = "exactly one of `rooms`, `users`, `sockets` and `all: true`";

fn recipients(fields: &Fields<'_>) -> Result<Recipients, Refusal> {
    match (fields.rooms, fields.users, fields.sockets, fields.all) {
        (Some(raw), None, None, None) => Ok(Recipients::Rooms(names("rooms", raw, 1)?)),
        (None, Some(raw), None, None) => {
            let users = names("users", raw, 1)?;
            let rooms = users.into_iter().map(|user| format!("{USER_PREFIX}{user}")).collect();
            Ok(Recipients::Rooms(checked("users", rooms)?))
        }
        (None, None, Some(raw), None) => {
            let sockets = names("sockets", raw, 1)?;
            if sockets.iter().any(|id| SocketId::parse(id).is_err()) {
                return Err(field("sockets", "has an item that is no id of a socket", SOCKET_FORM));
            }
            Ok(Recipients::Rooms(sockets))
        }
        (None, None, None, Some(raw)) => match read::<bool>("all", raw, "true")? {
            true => Ok(Recipients::All),
            false => Err(field("all", "is false", "true, or another target instead")),
        },
        (None, None, None, None) => Err(field("rooms", "is missing", ONE_TARGET)),
        _ => Err(field("rooms", "is not the only target", ONE_TARGET)),
    }
}

/// A list of names of rooms; of users with the same rules.
fn names(name: &'static str, raw: &RawValue, at_least: usize) -> Result<Vec<String>, Refusal> {
    let expected = format!("a list of {at_least} to {MAX_TARGETS} names");
    let list: Vec<String> = read(name, raw, &expected)?;
    if list.len() < at_least {
        return Err(field(name, "is empty, which would mean nobody or everybody", &expected));
    }
    if list.len() > MAX_TARGETS {
        return Err(field(name, "has too many items", &expected));
    }
    checked(name, list)
}

fn checked(name: &'static str, list: Vec<String>) -> Result<Vec<String>, Refusal> {
    let bad = list.iter().find_map(|room| names::check_name(room).err());
    match bad {
        Some(why) => Err(field(name, &format!("has an item that is no name: {why}"), ROOM_FORM)),
        None => Ok(list),
    }
}

fn event_name(raw: &RawValue) -> Result<String, Refusal> {
    let event: String = read("event", raw, EVENT_FORM)?;
    if event.is_empty() {
        return Err(field("event", "is empty", EVENT_FORM));
    }
    if event.len() > MAX_EVENT_BYTES {
        return Err(field("event", "is too long", EVENT_FORM));
    }
    if event.contains(char::is_control) {
        return Err(field("event", "has a control character", EVENT_FORM));
    }
    if socketio::is_reserved(&event) {
        let others = format!("any name but {}", socketio::RESERVED_NAMES.join(", "));
        return Err(field("event", "is reserved by the protocol", &others));
    }
    Ok(event)
}

fn arguments(raw: &RawValue) -> Result<Args, Refusal> {
    let expected = "a list of JSON values, nested 100 deep at most";
    if !raw.get().starts_with('[') {
        return Err(field("args", &format!("is {}", kind_of(raw)), expected));
    }
    Args::from_json(raw.get(), Vec::new())
        .map_err(|error| field("args", &format!("cannot be sent: {error}"), expected))
}

fn namespace(raw: &RawValue) -> Result<String, Refusal> {
    let expected = "a namespace such as `/` or `/chat`";
    let name: String = read("namespace", raw, expected)?;
    if name.starts_with('/') {
        Ok(name)
    } else {
        Err(field("namespace", "does not begin with `/`", expected))
    }
}

fn read<T: DeserializeOwned>(
    name: &'static str,
    raw: &RawValue,
    expected: &str,
) -> Result<T, Refusal> {
    serde_json::from_str(raw.get())
        .map_err(|_| field(name, &format!("is {}", kind_of(raw)), expected))
}

/// What a value is, without repeating it.
fn kind_of(raw: &RawValue) -> Cow<'static, str> {
    Cow::Borrowed(match raw.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "a list of something else",
        Some(b'{') => "an object",
        _ => "a number",
    })
}

fn field(name: &'static str, what: &str, expected: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("`{name}` {what}; expected {expected}"))
        .with(json!({ "field": name, "expected": expected }))
}

/// A body that is no JSON object with our fields.
fn not_an_object(body: &[u8], error: &serde_json::Error) -> Refusal {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        let place = format!("line {}, column {}", error.line(), error.column());
        return Refusal::new(Code::InvalidRequest, format!("The body is not JSON ({place})."))
            .with(json!({ "expected": "a JSON object" }));
    }
    // Of this error serde writes the names of fields; of an unknown one, that is the peer's text.
    let message = error.to_string();
    let what = if message.starts_with("unknown field") {
        "The body has an unknown field."
    } else if message.starts_with("duplicate field") {
        "The body has a field twice."
    } else {
        "The body is not a JSON object."
    };
    Refusal::new(Code::InvalidRequest, what).with(json!({
        "expected": "an object with `event`, `args`, one of `rooms`, `users` and `all`, and \
                     optionally `except`, `namespace`, `volatile`",
        "fields": ["event", "args", "rooms", "users", "all", "except", "namespace", "volatile"],
    }))
}

#[cfg(test)]
mod tests {
    //! Every body that is refused, with the field that is blamed; and those that pass.

    use proptest::prelude::*;

    use super::*;

    fn rooms(names: &[&str]) -> Recipients {
        Recipients::Rooms(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn good_bodies_are_read() {
        for (body, to) in [
            (r#"{"event":"e","rooms":["a","b"]}"#, rooms(&["a", "b"])),
            (r#"{"event":"e","users":["7"]}"#, rooms(&["user:7"])),
            (r#"{"event":"e","all":true}"#, Recipients::All),
            (r#"{"event":"e","rooms":["PWuJ1IT4M4LrwHUgAAAA"]}"#, rooms(&["PWuJ1IT4M4LrwHUgAAAA"])),
        ] {
            let publish = parse(body.as_bytes()).unwrap();
            assert_eq!(publish.to, to, "{body}");
            assert_eq!((publish.namespace.as_str(), publish.volatile), ("/", false));
        }
        let full = br#"{"event":"e","args":[ 1.0, {"a":1,"a":2}],"all":true,"except":["x"],
            "namespace":"/chat","volatile":true}"#;
        let publish = parse(full).unwrap();
        assert_eq!(publish.args.json(), r#"1.0, {"a":1,"a":2}"#, "byte for byte");
        assert_eq!(publish.except, ["x"]);
        assert_eq!((publish.namespace.as_str(), publish.volatile), ("/chat", true));
    }

    #[test]
    fn bad_bodies_are_refused_and_the_field_is_named() {
        let long_event = format!(r#"{{"event":"{}","all":true}}"#, "e".repeat(257));
        let many = format!(r#"{{"event":"e","rooms":[{}]}}"#, vec!["\"r\""; 1_001].join(","));
        let long_user = format!(r#"{{"event":"e","users":["{}"]}}"#, "u".repeat(255));
        let deep = format!(r#"{{"event":"e","all":true,"args":[{}]}}"#, "[".repeat(50_000));
        let closed = deep.replace("]}", &format!("{}]}}", "]".repeat(50_000)));
        for (body, name) in [
            ("", None),
            ("[]", None),
            (r#"["e",[],["a"]]"#, None),
            ("null", None),
            ("{", None),
            ("{\"event\":\"\u{0}\"}", None),
            (r#"{"event":"e","room":["a"]}"#, None),
            (r#"{"event":"e","all":true,"all":true}"#, None),
            (r#"{"event":"e","all":true} {}"#, None),
            (deep.as_str(), None),
            (r#"{"all":true}"#, Some("event")),
            (r#"{"event":null,"all":true}"#, Some("event")),
            (r#"{"event":5,"all":true}"#, Some("event")),
            (r#"{"event":"","all":true}"#, Some("event")),
            (r#"{"event":"a\r\nb","all":true}"#, Some("event")),
            (r#"{"event":"connect","all":true}"#, Some("event")),
            (r#"{"event":"newListener","all":true}"#, Some("event")),
            (&long_event, Some("event")),
            (r#"{"event":"e"}"#, Some("rooms")),
            (r#"{"event":"e","rooms":[]}"#, Some("rooms")),
            (r#"{"event":"e","rooms":null}"#, Some("rooms")),
            (r#"{"event":"e","rooms":"a"}"#, Some("rooms")),
            (r#"{"event":"e","rooms":{}}"#, Some("rooms")),
            (r#"{"event":"e","rooms":[null]}"#, Some("rooms")),
            (r#"{"event":"e","rooms":[1]}"#, Some("rooms")),
            (r#"{"event":"e","rooms":[""]}"#, Some("rooms")),
            (r#"{"event":"e","rooms":["a","b c"]}"#, Some("rooms")),
            (r#"{"event":"e","rooms":["a"],"all":true}"#, Some("rooms")),
            (r#"{"event":"e","rooms":["a"],"users":["a"]}"#, Some("rooms")),
            (&many, Some("rooms")),
            (r#"{"event":"e","users":[]}"#, Some("users")),
            (r#"{"event":"e","users":[7]}"#, Some("users")),
            (&long_user, Some("users")),
            (r#"{"event":"e","all":false}"#, Some("all")),
            (r#"{"event":"e","all":null}"#, Some("all")),
            (r#"{"event":"e","all":"true"}"#, Some("all")),
            (r#"{"event":"e","all":1}"#, Some("all")),
            (&closed, Some("args")),
            (r#"{"event":"e","all":true,"args":{}}"#, Some("args")),
            (r#"{"event":"e","all":true,"args":null}"#, Some("args")),
            (r#"{"event":"e","all":true,"except":"a"}"#, Some("except")),
            (r#"{"event":"e","all":true,"except":[""]}"#, Some("except")),
            (r#"{"event":"e","all":true,"namespace":"chat"}"#, Some("namespace")),
            (r#"{"event":"e","all":true,"namespace":null}"#, Some("namespace")),
            (r#"{"event":"e","all":true,"volatile":"no"}"#, Some("volatile")),
        ] {
            let refusal = parse(body.as_bytes()).unwrap_err();
            let short = &body[..body.len().min(80)];
            assert_eq!(refusal.code, Code::InvalidRequest, "{short}");
            assert_eq!(refusal.details.get("field").and_then(|f| f.as_str()), name, "{short}");
            assert!(refusal.details["expected"].is_string(), "{short}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(body in any::<Vec<u8>>()) {
            let _ = parse(&body);
        }

        #[test]
        fn an_empty_target_never_means_everyone(value in "(null|\\[\\]|\"\"|\\{\\}|0|false)") {
            for name in ["rooms", "users", "all"] {
                let body = format!(r#"{{"event":"e","{name}":{value}}}"#);
                prop_assert!(parse(body.as_bytes()).is_err(), "{}", body);
            }
        }
    }
}
