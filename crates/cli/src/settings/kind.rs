//! The kinds of value a setting takes: what is accepted, how it is said, and the check itself.

use std::fmt;
use std::net::SocketAddr;

use figment::value::Value;

use crate::settings::units::{DURATION_FORM, SIZE_FORM, Size, Span, UnitError};
use services::RoomReplay;

/// The longest text a setting may have, in bytes: far above any path or key in use.
const MAX_TEXT_BYTES: usize = 4_096;

/// The longest list a setting may have.
const MAX_ITEMS: usize = 256;

/// A value as it was found, before anybody knows what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// A text in the file.
    Text(String),
    /// A value of the environment or of a flag: text that may also be read as a number, a switch
    /// or a list.
    Word(String),
    /// A whole number in the file.
    Integer(i64),
    /// `true` or `false` in the file.
    Bool(bool),
    /// A list in the file.
    List(Vec<Raw>),
    /// Anything else in the file, as one would name it: "a table", "a date".
    Other(&'static str),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "`{}`", text.escape_debug()),
            Self::Word(text) => write!(f, "`{}`", text.escape_debug()),
            Self::Integer(number) => write!(f, "`{number}`"),
            Self::Bool(switch) => write!(f, "`{switch}`"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// What one item of a list must be.
#[derive(Debug)]
pub(crate) enum Item {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An origin a browser sends, or `*`.
    Origin,
    /// A namespace: `/`, `/chat`.
    Namespace,
    /// A pattern of rooms: `chat:*`, `/game#cursor:*`.
    Rooms,
    /// A network: `10.0.0.0/8`.
    Network,
    /// Any text.
    Text,
    /// A pattern of rooms and a number of events: `chat:*=20`.
    Replay,
}

/// The kind of a setting's value.
#[derive(Debug)]
pub(crate) enum Kind {
    /// An IP address and a port to listen on.
    Address,
    /// A path in the file system.
    Path,
    /// A secret that travels in an HTTP header; never shown.
    Secret,
    /// A secret that never leaves the process: any text, exactly as it is; never shown.
    SecretText,
    /// The path part of an URL: `/socket.io`.
    UrlPath,
    /// A namespace: `/chat`.
    Namespace,
    /// The address of an application: `https://app.example/check`.
    Url,
    /// The address of a Redis, which may hold a password; never shown.
    RedisUrl,
    /// The name of a cookie.
    CookieName,
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, both included.
    Count {
        /// The smallest accepted number.
        min: u64,
        /// The largest accepted number.
        max: u64,
    },
    /// A duration within bounds, both included.
    Duration {
        /// The shortest accepted duration.
        min: Span,
        /// The longest accepted duration.
        max: Span,
    },
    /// A number of bytes within bounds, both included.
    Size {
        /// The smallest accepted size.
        min: Size,
        /// The largest accepted size.
        max: Size,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of items, each at most once; in the environment separated by commas.
    List {
        /// What each item must be.
        of: Item,
        /// How many there must be at least.
        at_least: usize,
    },
}

impl Kind {
    /// Checks a value and brings it into the form the typed settings are read from.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, as the second half of a sentence that begins with it.
    pub(crate) fn check(&self, raw: &Raw) -> Result<Value, String> {
        match self {
            Self::Switch => check_switch(raw),
            Self::Count { min, max } => check_count(raw, *min, *max),
            Self::List { of, at_least } => check_list(raw, of, *at_least),
            _ => {
                let text = text_of(raw)?;
                self.check_text(text)?;
                Ok(Value::from(text))
            }
        }
    }

    /// The check of the kinds whose value is one text.
    fn check_text(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Address => text
                .parse::<SocketAddr>()
                .map(drop)
                .map_err(|_| "is not an IP address with a port".to_owned()),
            Self::Path => require(!text.contains('\0'), "contains a NUL character"),
            Self::Secret => require(
                text.bytes().all(|b| b.is_ascii_graphic()),
                "contains a space or a character outside ASCII",
            ),
            Self::SecretText => Ok(()),
            Self::UrlPath => check_url_path(text),
            Self::Namespace => require(is_namespace(text), "is not a namespace"),
            Self::Url => {
                text.parse::<services::Endpoint>().map(drop).map_err(|fault| fault.to_string())
            }
            Self::RedisUrl => {
                text.parse::<services::RedisUrl>().map(drop).map_err(|fault| fault.to_string())
            }
            Self::CookieName => require(
                text.bytes().all(is_token_byte),
                "contains a character that no cookie name may have",
            ),
            Self::Duration { min, max } => check_quantity(text, *min, *max),
            Self::Size { min, max } => check_quantity(text, *min, *max),
            Self::Choice(words) => require(words.contains(&text), "is not one of the choices"),
            Self::Switch | Self::Count { .. } | Self::List { .. } => Ok(()),
        }
    }

    /// The accepted values, for errors and documentation.
    pub(crate) fn accepted(&self) -> String {
        match self {
            Self::Address => {
                "an IP address and a port, such as 127.0.0.1:3000 or [::]:3000; port 0 takes a \
                 free one"
                    .to_owned()
            }
            Self::Path => "a path".to_owned(),
            Self::Secret => "visible ASCII characters without spaces; at least 32 random \
                             characters are good"
                .to_owned(),
            Self::SecretText => "any text; at least 32 random characters are good".to_owned(),
            Self::UrlPath => "a path that begins with `/`, such as /socket.io".to_owned(),
            Self::Namespace => "a namespace such as /chat".to_owned(),
            Self::Url => "an http:// or https:// URL".to_owned(),
            Self::RedisUrl => "redis://[[user]:password@]host[:port][/db], rediss://… for TLS, or \
                               unix:///path"
                .to_owned(),
            Self::CookieName => "a cookie name: letters, digits, `-`, `_`, `.`".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { min, max } => format!("{DURATION_FORM}; from {min} to {max}"),
            Self::Size { min, max } => format!("{SIZE_FORM}; from {min} to {max}"),
            Self::Choice(words) => words.join(", "),
            Self::List { of, .. } => of.accepted(),
        }
    }

    /// The name of the value in a flag's help: `--listen <ADDRESS>`.
    pub(crate) fn placeholder(&self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Path => "PATH",
            Self::Secret | Self::SecretText => "SECRET",
            Self::UrlPath => "URL_PATH",
            Self::Namespace => "NAMESPACE",
            Self::Url => "URL",
            Self::RedisUrl => "URL",
            Self::CookieName => "NAME",
            Self::Switch => "BOOL",
            Self::Count { .. } => "COUNT",
            Self::Duration { .. } => "DURATION",
            Self::Size { .. } => "SIZE",
            Self::Choice(_) => "CHOICE",
            Self::List { .. } => "LIST",
        }
    }
}

impl Item {
    fn accepted(&self) -> String {
        match self {
            Self::Choice(words) => format!("a list of: {}", words.join(", ")),
            Self::Origin => {
                "a list of origins such as https://example.com, or * for any".to_owned()
            }
            Self::Namespace => "a list of namespaces such as / or /chat".to_owned(),
            Self::Network => "a list of networks such as 10.0.0.0/8 or fd00::/8".to_owned(),
            Self::Text => "a list of texts".to_owned(),
            Self::Rooms => "a list of rooms such as chat, chat:* or /game#cursor:*".to_owned(),
            Self::Replay => format!(
                "a list of rooms with a number of events from 1 to {}, such as chat:*=20",
                fanfare::MAX_HISTORY_EVENTS
            ),
        }
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Choice(words) => require(words.contains(&text), "is not one of the choices"),
            Self::Origin => require(text == "*" || is_origin(text), "is not an origin"),
            Self::Namespace => require(is_namespace(text), "is not a namespace"),
            Self::Network => require(text.parse::<ipnet::IpNet>().is_ok(), "is not a network"),
            Self::Text => Ok(()),
            Self::Replay => text.parse::<RoomReplay>().map(drop).map_err(|fault| fault.to_string()),
            Self::Rooms => {
                text.parse::<fanfare::RoomPattern>().map(drop).map_err(|fault| fault.to_string())
            }
        }
    }
}

/// The text of a value that must be one.
fn text_of(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(text) | Raw::Word(text) => {
            require(!text.is_empty(), "is empty")?;
            require(text.len() <= MAX_TEXT_BYTES, "is too long")?;
            Ok(text)
        }
        Raw::Integer(_) => Err(UnitError::NoUnit.to_string()),
        Raw::Bool(_) | Raw::List(_) | Raw::Other(_) => Err("is not a text".to_owned()),
    }
}

fn check_switch(raw: &Raw) -> Result<Value, String> {
    match raw {
        Raw::Bool(switch) => Ok(Value::from(*switch)),
        Raw::Word(word) if word == "true" => Ok(Value::from(true)),
        Raw::Word(word) if word == "false" => Ok(Value::from(false)),
        _ => Err("is neither true nor false".to_owned()),
    }
}

fn check_count(raw: &Raw, min: u64, max: u64) -> Result<Value, String> {
    let number = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Word(word) if word.bytes().all(|b| b.is_ascii_digit()) => word.parse().ok(),
        _ => return Err("is not a whole number".to_owned()),
    };
    match number {
        Some(number) if number < min => Err(format!("is less than {min}")),
        Some(number) if number <= max => Ok(Value::from(number)),
        Some(_) => Err(format!("is more than {max}")),
        None => Err("is out of bounds".to_owned()),
    }
}

fn check_quantity<T>(text: &str, min: T, max: T) -> Result<(), String>
where
    T: std::str::FromStr<Err = UnitError> + PartialOrd + Copy + fmt::Display,
{
    let quantity: T = text.parse().map_err(|error: UnitError| error.to_string())?;
    if quantity < min {
        return Err(format!("is less than {min}"));
    }
    if quantity > max {
        return Err(format!("is more than {max}"));
    }
    Ok(())
}

fn check_list(raw: &Raw, of: &Item, at_least: usize) -> Result<Value, String> {
    let items: Vec<&str> = match raw {
        Raw::List(items) => items.iter().map(text_of).collect::<Result<_, _>>()?,
        Raw::Word(word) => word.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        _ => return Err("is not a list".to_owned()),
    };
    require(items.len() <= MAX_ITEMS, "has too many items")?;
    if items.len() < at_least {
        return Err(format!(
            "has fewer than {at_least} item{}",
            if at_least == 1 { "" } else { "s" }
        ));
    }
    for (index, item) in items.iter().enumerate() {
        of.check(item)
            .map_err(|why| format!("has an item `{}` that {why}", item.escape_debug()))?;
        if items.iter().take(index).any(|earlier| earlier == item) {
            return Err(format!("names `{item}` twice"));
        }
    }
    Ok(Value::from(items))
}

fn check_url_path(text: &str) -> Result<(), String> {
    require(text.starts_with('/'), "does not begin with `/`")?;
    require(!text.trim_matches('/').is_empty(), "has no name after the `/`")?;
    require(!text.contains("//"), "has an empty part")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    require(text.bytes().all(allowed), "has a character other than letters, digits and /-._~")
}

/// A scheme, `://` and a host with an optional port, as browsers send it in `Origin`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let host_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    scheme_ok && !host.is_empty() && host.bytes().all(host_byte)
}

/// A namespace as a client writes it: a slash and visible characters without comma and query.
fn is_namespace(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !b",?#\"\\".contains(&b);
    text.starts_with('/') && text.len() <= 256 && text.bytes().all(allowed)
}

/// A character of an HTTP token. Spec: RFC 9110 § 5.6.2.
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[cfg(test)]
mod tests {
    //! Each kind: what passes, and what is said about what does not.

    use std::time::Duration;

    use super::*;

    fn word(text: &str) -> Raw {
        Raw::Word(text.to_owned())
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[test]
    fn values_are_checked_by_kind() {
        let span = |seconds| Span(Duration::from_secs(seconds));
        let duration = Kind::Duration { min: span(1), max: span(3_600) };
        let size = Kind::Size { min: Size(1_000), max: Size(1 << 30) };
        let count = Kind::Count { min: 1, max: 10 };
        let list = Kind::List { of: Item::Choice(&["polling", "websocket"]), at_least: 1 };
        let origins = Kind::List { of: Item::Origin, at_least: 0 };
        let namespaces = Kind::List { of: Item::Namespace, at_least: 1 };
        let rows: Vec<(&Kind, Raw, Result<(), &str>)> = vec![
            (&duration, text("25s"), Ok(())),
            (&duration, word("25s"), Ok(())),
            (&duration, Raw::Integer(25), Err("has no unit")),
            (&duration, word("25"), Err("has no unit")),
            (&duration, word("25sec"), Err("has the unknown unit `sec`")),
            (&duration, word("20ms"), Err("is less than 1s")),
            (&duration, word("2h"), Err("is more than 1h")),
            (&duration, Raw::Bool(true), Err("is not a text")),
            (&size, text("1MB"), Ok(())),
            (&size, Raw::Integer(1_000_000), Err("has no unit")),
            (&size, text("1mb"), Err("has the unknown unit `mb`")),
            (&count, Raw::Integer(10), Ok(())),
            (&count, word("10"), Ok(())),
            (&count, text("10"), Err("is not a whole number")),
            (&count, word("ten"), Err("is not a whole number")),
            (&count, Raw::Integer(-1), Err("is out of bounds")),
            (&count, Raw::Integer(0), Err("is less than 1")),
            (&count, Raw::Integer(11), Err("is more than 10")),
            (&Kind::Switch, Raw::Bool(true), Ok(())),
            (&Kind::Switch, word("false"), Ok(())),
            (&Kind::Switch, text("false"), Err("is neither true nor false")),
            (&Kind::Switch, word("yes"), Err("is neither true nor false")),
            (&list, word("polling, websocket"), Ok(())),
            (&list, Raw::List(vec![text("websocket")]), Ok(())),
            (&list, text("websocket"), Err("is not a list")),
            (&list, word(""), Err("has fewer than 1 item")),
            (&list, word("polling,polling"), Err("names `polling` twice")),
            (
                &list,
                word("flashsocket"),
                Err("has an item `flashsocket` that is not one of the choices"),
            ),
            (&origins, word("https://example.com,http://localhost:5173,*"), Ok(())),
            (&origins, word("example.com"), Err("has an item `example.com` that is not an origin")),
            (&origins, word("https://a/b"), Err("has an item `https://a/b` that is not an origin")),
            (&namespaces, word("/,/chat"), Ok(())),
            (&namespaces, word("chat"), Err("has an item `chat` that is not a namespace")),
            (&Kind::Address, word("127.0.0.1:0"), Ok(())),
            (&Kind::Address, word("[::]:3000"), Ok(())),
            (&Kind::Address, word("3000"), Err("is not an IP address with a port")),
            (&Kind::Address, word("localhost:3000"), Err("is not an IP address with a port")),
            (&Kind::UrlPath, word("/socket.io"), Ok(())),
            (&Kind::UrlPath, word("socket.io"), Err("does not begin with `/`")),
            (&Kind::UrlPath, word("/"), Err("has no name after the `/`")),
            (&Kind::UrlPath, word("/a//b"), Err("has an empty part")),
            (&Kind::Namespace, word("/chat"), Ok(())),
            (&Kind::Namespace, word("/a,b"), Err("is not a namespace")),
            (&Kind::CookieName, word("io"), Ok(())),
            (
                &Kind::CookieName,
                word("i o"),
                Err("contains a character that no cookie name may have"),
            ),
            (&Kind::Secret, word("s3cret!"), Ok(())),
            (&Kind::Secret, word("a b"), Err("contains a space or a character outside ASCII")),
            (&Kind::Path, text(""), Err("is empty")),
            (&Kind::Choice(&["json", "msgpack"]), text("xml"), Err("is not one of the choices")),
        ];
        for (kind, raw, expected) in rows {
            let result = kind.check(&raw).map(drop);
            assert_eq!(result, expected.map_err(str::to_owned), "{kind:?} of {raw:?}");
        }
    }

    #[test]
    fn secrets_that_never_travel_are_any_text() {
        assert!(Kind::SecretText.check(&word(" gr\u{fc}n is a b ")).is_ok());
        assert_eq!(Kind::SecretText.check(&word("")).unwrap_err(), "is empty");
    }

    #[test]
    fn patterns_of_rooms_are_those_of_the_library() {
        let rooms = Kind::List { of: Item::Rooms, at_least: 0 };
        assert!(rooms.check(&word("*,chat:*,/game#cursor:*")).is_ok());
        let refused = rooms.check(&word("/game#")).map(drop);
        assert_eq!(refused, Err("has an item `/game#` that names no room".to_owned()));
    }
}
