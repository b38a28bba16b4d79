//! Rights in rooms, as a token or the application gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare::{PatternError, RoomPattern};
use serde::Deserialize;
use serde_json::Value;

/// What somebody wants to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Be in it: receive what is sent to it from now on.
    Join,
    /// Send something to those in it.
    Publish,
    /// Read what was sent to it.
    History,
    /// See who is in it.
    Presence,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 4] = [Right::Join, Right::Publish, Right::History, Right::Presence];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Join => "join",
            Right::Publish => "publish",
            Right::History => "history",
            Right::Presence => "presence",
        }
    }
}

/// How many patterns one token may have.
pub const MAX_GRANTS: usize = 256;

/// Rooms and what is allowed there. Cheap to clone.
///
/// As JSON a list of patterns, with all rights, or an object of patterns with their rights:
/// `{"chat:*": ["join", "history"], "docs.7": "*"}`. A pattern is a room's name in which `*` stands for
/// any characters, also none; it is meant for all namespaces unless one stands before a `#`.
/// Everything else stands for itself, and nothing in a name is resolved: `room:*` means
/// `room:../x` too, which is a name like any other.
#[derive(Debug, Clone, Default)]
pub struct Grants(Option<Arc<[Grant]>>);

type Grant = (RoomPattern, Vec<Right>);

/// Why a value is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantsError {
    /// Neither a list nor an object of the right form.
    #[error("it is neither a list of patterns nor an object of patterns with their rights")]
    Form,
    /// One of the patterns is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// More than [`MAX_GRANTS`].
    #[error("it has more than {MAX_GRANTS} patterns")]
    TooMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    List(Vec<String>),
    Object(BTreeMap<String, Rights>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rights {
    Some(Vec<Right>),
    All(Star),
}

#[derive(Deserialize)]
enum Star {
    #[serde(rename = "*")]
    Star,
}

impl Grants {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`GrantsError`].
    pub fn of(value: &Value) -> Result<Self, GrantsError> {
        let form = Form::deserialize(value).map_err(|_| GrantsError::Form)?;
        let all = || Right::ALL.to_vec();
        let list: Vec<(String, Vec<Right>)> = match form {
            Form::List(list) => list.into_iter().map(|pattern| (pattern, all())).collect(),
            Form::Object(object) => object
                .into_iter()
                .map(|(pattern, rights)| match rights {
                    Rights::Some(rights) => (pattern, rights),
                    Rights::All(Star::Star) => (pattern, all()),
                })
                .collect(),
        };
        if list.len() > MAX_GRANTS {
            return Err(GrantsError::TooMany);
        }
        let parsed = list.into_iter().map(|(pattern, rights)| Ok((pattern.parse()?, rights)));
        let parsed = parsed.collect::<Result<Arc<[_]>, PatternError>>()?;
        Ok(Grants((!parsed.is_empty()).then_some(parsed)))
    }

    /// Whether a right is given in a room.
    #[must_use]
    pub fn give(&self, right: Right, namespace: &str, room: &str) -> bool {
        self.0
            .iter()
            .flat_map(|grants| grants.iter())
            .any(|(pattern, rights)| rights.contains(&right) && pattern.matches(namespace, room))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn grants_are_exact() {
        let grants = json!({
            "chat:*": ["join", "history"],
            "docs.7": "*",
            "/game#*": ["presence"],
            "nothing": [],
        });
        let grants = Grants::of(&grants).unwrap();
        for (right, namespace, room, expected) in [
            (Right::Join, "/", "chat:7", true),
            (Right::Join, "/", "chat:", true),
            (Right::Join, "/", "chat:../admin", true), // a name, not a path
            (Right::Join, "/", "chat", false),
            (Right::Join, "/", "xchat:7", false),
            (Right::Join, "/", "Chat:7", false),
            (Right::Publish, "/", "chat:7", false),
            (Right::Publish, "/", "docs.7", true),
            (Right::Publish, "/", "docs.77", false),
            (Right::Publish, "/", "docs-7", false),
            (Right::Presence, "/game", "x", true),
            (Right::Presence, "/game/", "x", false),
            (Right::Presence, "/", "x", false),
            (Right::Join, "/game", "x", false),
            (Right::Join, "/", "nothing", false),
        ] {
            let given = grants.give(right, namespace, room);
            assert_eq!(given, expected, "{right:?} {namespace} {room}");
        }
        let list = Grants::of(&json!(["a"])).unwrap();
        assert!(Right::ALL.iter().all(|right| list.give(*right, "/", "a")));
        assert!(!Grants::default().give(Right::Join, "/", "a"));
    }

    #[test]
    fn what_is_no_grant_is_refused_whole() {
        let many: Vec<String> = (0..=MAX_GRANTS).map(|index| format!("r{index}")).collect();
        for (value, expected) in [
            (json!("*"), GrantsError::Form),
            (json!(true), GrantsError::Form),
            (json!([1]), GrantsError::Form),
            (json!({"a": "join"}), GrantsError::Form),
            (json!({"a": ["admin"]}), GrantsError::Form),
            (json!({"a": true}), GrantsError::Form),
            (json!([""]), GrantsError::Pattern(PatternError::Empty)),
            (json!(many), GrantsError::TooMany),
        ] {
            assert_eq!(Grants::of(&value).unwrap_err(), expected, "{value}");
        }
    }
}
