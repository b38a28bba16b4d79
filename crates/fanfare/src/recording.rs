//! Which events are recorded: by the rooms they are for.

use std::fmt;
use std::str::FromStr;

/// The longest pattern, in bytes: a namespace and a room at their longest, and the `#` between.
pub const MAX_PATTERN_BYTES: usize = 512;

/// The most patterns of one list. Each may be looked at for each event.
pub const MAX_PATTERNS: usize = 256;

/// Which rooms are recorded in the event log, so that those who were away get what they missed.
///
/// A room is recorded if one of the `recorded` patterns matches it and none of the `ephemeral` ones
/// does. Default: every room, because what is forgotten by mistake cannot be brought back. What
/// nobody needs later, cursors or typing, is better ephemeral: it costs no disk and no retention.
///
/// ```
/// use fanfare::Recording;
///
/// let recording = Recording::new(&["*"], &["cursor:*", "/game#*"])?;
/// assert!(recording.records("/", "chat:7"));
/// assert!(!recording.records("/", "cursor:7"));
/// assert!(!recording.records("/game", "chat:7"));
/// # Ok::<(), fanfare::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    recorded: Box<[RoomPattern]>,
    ephemeral: Box<[RoomPattern]>,
}

impl Default for Recording {
    fn default() -> Self {
        let all = RoomPattern { namespace: None, room: Glob::any() };
        Self { recorded: [all].into(), ephemeral: Box::default() }
    }
}

impl Recording {
    /// Records what matches one of the first patterns and none of the second.
    ///
    /// # Errors
    ///
    /// A pattern that is none, or more than [`MAX_PATTERNS`] in a list.
    pub fn new<P: AsRef<str>>(recorded: &[P], ephemeral: &[P]) -> Result<Self, PatternError> {
        Ok(Self { recorded: parse_all(recorded)?, ephemeral: parse_all(ephemeral)? })
    }

    /// Records nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self { recorded: Box::default(), ephemeral: Box::default() }
    }

    /// Whether a room of a namespace is recorded. An event for everyone in the namespace has no
    /// room: it is asked for by the empty name, which `*` matches.
    #[must_use]
    pub fn records(&self, namespace: &str, room: &str) -> bool {
        let matches = |patterns: &[RoomPattern]| {
            patterns.iter().any(|pattern| pattern.matches(namespace, room))
        };
        matches(&self.recorded) && !matches(&self.ephemeral)
    }

    /// Whether an event for these rooms is recorded: if one of them is. No room at all means
    /// everyone in the namespace.
    pub fn records_any<'a>(
        &self,
        namespace: &str,
        rooms: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let mut rooms = rooms.into_iter().peekable();
        if rooms.peek().is_none() {
            return self.records(namespace, "");
        }
        rooms.any(|room| self.records(namespace, room))
    }
}

fn parse_all<P: AsRef<str>>(patterns: &[P]) -> Result<Box<[RoomPattern]>, PatternError> {
    if patterns.len() > MAX_PATTERNS {
        return Err(PatternError::TooMany(patterns.len()));
    }
    patterns.iter().map(|pattern| pattern.as_ref().parse()).collect()
}

/// A name of rooms with `*` for any characters, also none: `chat:*`, `doc:*:cursors`.
///
/// It is meant for every namespace, unless it begins with one and a `#`: `/game#cursor:*`. The
/// namespace may have a `*` too. Everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPattern {
    namespace: Option<Glob>,
    room: Glob,
}

/// Why a text is not a [`RoomPattern`]. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No room is named: nothing at all, or nothing after the `#`.
    #[error("names no room")]
    Empty,
    /// More than [`MAX_PATTERN_BYTES`].
    #[error("has {0} bytes, more than the limit of {MAX_PATTERN_BYTES}")]
    TooLong(usize),
    /// More than [`MAX_PATTERNS`] in a list.
    #[error("is one of {0} patterns, more than the limit of {MAX_PATTERNS}")]
    TooMany(usize),
}

impl RoomPattern {
    /// Whether a room of a namespace is meant. Takes time in proportion to the lengths.
    #[must_use]
    pub fn matches(&self, namespace: &str, room: &str) -> bool {
        self.namespace.as_ref().is_none_or(|glob| glob.matches(namespace))
            && self.room.matches(room)
    }
}

impl FromStr for RoomPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        let (namespace, room) = match text.split_once('#') {
            Some((namespace, room)) if namespace.starts_with('/') => (Some(namespace), room),
            _ => (None, text),
        };
        if room.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Self { namespace: namespace.map(Glob::new), room: Glob::new(room) })
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}#{}", self.room),
            None => self.room.fmt(f),
        }
    }
}

/// What stands before, between and after the stars; one part only when there is no star.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob(Box<[Box<str>]>);

impl Glob {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(Box::from).collect())
    }

    fn any() -> Self {
        Self::new("*")
    }

    /// Each part is looked for behind the one before: the first place is as good as any later one,
    /// so nothing is tried twice.
    fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some((last, between)) = rest.split_last() else { return text == &**first };
        let Some(mut text) = text.strip_prefix(&**first) else { return false };
        for part in between {
            let Some((_, behind)) = text.split_once(&**part) else { return false };
            text = behind;
        }
        text.ends_with(&**last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}

#[cfg(test)]
mod tests {
    //! What matches, against a slow matcher too; and what is no pattern.

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, room, matches) in [
            ("chat", "chat", true),
            ("chat", "chats", false),
            ("chat:*", "chat:7", true),
            ("chat:*", "chat:", true),
            ("chat:*", "a chat:7", false),
            ("*:cursors", "doc:7:cursors", true),
            ("doc:*:cursors", "doc:7:cursors", true),
            ("doc:*:cursors", "doc:cursors", false),
            ("a*a", "a", false),
            ("a*b*a", "abba", true),
            ("*", "", true),
            ("**", "x", true),
            ("a*", "\u{e4}", false),
            ("chat:?", "chat:7", false),
            ("a#b", "a#b", true),
        ] {
            assert_eq!(
                pattern.parse::<RoomPattern>().unwrap().matches("/", room),
                matches,
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_pattern_may_name_a_namespace() {
        for (pattern, namespace, room, matches) in [
            ("/game#cursor:*", "/game", "cursor:1", true),
            ("/game#cursor:*", "/", "cursor:1", false),
            ("/game*#*", "/game/7", "", true),
            ("/#a", "/", "a", true),
            ("/#a", "/game", "a", false),
            ("/#/a#b", "/", "/a#b", true),
            ("/a", "/", "/a", true),
        ] {
            let pattern: RoomPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(namespace, room), matches, "{pattern} {namespace} {room}");
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let (longest, too_long) =
            ("x".repeat(MAX_PATTERN_BYTES), "x".repeat(MAX_PATTERN_BYTES + 1));
        for (pattern, expected) in [
            ("", Some(PatternError::Empty)),
            ("/game#", Some(PatternError::Empty)),
            (&longest, None),
            (&too_long, Some(PatternError::TooLong(MAX_PATTERN_BYTES + 1))),
        ] {
            assert_eq!(pattern.parse::<RoomPattern>().err(), expected, "{pattern}");
        }
        let many = vec!["a"; MAX_PATTERNS + 1];
        assert_eq!(Recording::new(&many, &[]), Err(PatternError::TooMany(MAX_PATTERNS + 1)));
    }

    #[test]
    fn what_is_ephemeral_is_not_recorded_whatever_else_matches() {
        let recording = Recording::new(&["chat:*", "doc:*"], &["doc:*:cursors"]).unwrap();
        for (room, recorded) in
            [("chat:1", true), ("doc:1", true), ("doc:1:cursors", false), ("x", false), ("", false)]
        {
            assert_eq!(recording.records("/", room), recorded, "{room}");
        }
        assert!(
            Recording::default().records("/any", "") && !Recording::nothing().records("/", "a")
        );
    }

    #[test]
    fn an_event_is_recorded_if_one_of_its_rooms_is() {
        let recording = Recording::new(&["chat:*"], &[]).unwrap();
        assert!(recording.records_any("/", ["x", "chat:1"]));
        assert!(!recording.records_any("/", ["x", "y"]));
        assert!(!recording.records_any("/", []), "everyone is no room of these");
        assert!(Recording::default().records_any("/", []));
    }

    /// The definition, tried out at every place.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skipped| slow(rest, &text[skipped..])),
            Some((first, rest)) => text.first() == Some(first) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_match_is_what_the_definition_says(pattern in "[ab*]{1,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let parsed: RoomPattern = pattern.parse().unwrap();
            prop_assert_eq!(parsed.matches("/", &text), slow(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn any_text_is_a_pattern_that_is_shown_as_it_was_written_or_has_a_fault(
            text in "[/#*]?.{0,20}", namespace in ".{0,5}", room in ".{0,10}",
        ) {
            if let Ok(pattern) = text.parse::<RoomPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let _ = pattern.matches(&namespace, &room);
            }
        }
    }
}
