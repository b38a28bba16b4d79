//! What is wrong with the settings, said so that a person can put it right at once.

use std::fmt;
use std::path::PathBuf;

use crate::settings::load::Source;

/// How many suggestions are made for an unknown name.
const MAX_SUGGESTIONS: usize = 3;

/// The names the same things have in the Node server, for those who come from there.
const NODE_NAMES: [(&str, &str); 7] = [
    ("maxHttpBufferSize", "max_payload"),
    ("allowEIO3", "allow_v3"),
    ("httpCompression", "compression.polling"),
    ("perMessageDeflate", "compression.websocket"),
    ("port", "listen"),
    ("host", "listen"),
    ("origin", "cors.origins"),
];

/// One thing that is wrong with one setting.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Problem {
    /// A value that the setting does not take.
    #[error("{key}: {value} {why}\n    given in  {given_in}\n    accepted  {accepted}")]
    BadValue {
        /// The key of the setting.
        key: &'static str,
        /// The value as it was found; for a secret only that there is one.
        value: String,
        /// What is wrong with it.
        why: String,
        /// Where it was found.
        given_in: Source,
        /// What would be accepted.
        accepted: String,
    },
    /// A name that is no setting.
    #[error(
        "{name}: there is no such setting\n    given in  {given_in}\n    {}", hint(.nearest, .known)
    )]
    UnknownName {
        /// The name as it was found.
        name: String,
        /// Where it was found.
        given_in: Source,
        /// The settings with similar names.
        nearest: Vec<String>,
        /// All names that could stand in this place.
        known: Vec<String>,
    },
    /// Two settings that contradict each other, or one that misses its companion.
    #[error("{keys}: {why}\n    do this   {remedy}")]
    Conflict {
        /// The keys.
        keys: &'static str,
        /// Why they do not go together.
        why: &'static str,
        /// What to change.
        remedy: &'static str,
    },
    /// A file that cannot be read.
    #[error("{}: the settings file cannot be read: {why}\n    given in  {given_in}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        why: String,
        /// Where the name of the file was found.
        given_in: Source,
    },
    /// A file that is not TOML.
    #[error("{given_in}: this is not TOML: {why}")]
    NotToml {
        /// The file and the line.
        given_in: Source,
        /// What the parser says.
        why: String,
    },
    /// The table and the typed settings disagree: a fault of the program, not of the person.
    #[error("the settings could not be read: {0} (this is a bug of fanfare)")]
    Inconsistent(String),
}

impl Problem {
    /// The order in which problems are told: that of the layers, in the file that of the lines.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            Self::BadValue { given_in, .. }
            | Self::UnknownName { given_in, .. }
            | Self::Unreadable { given_in, .. }
            | Self::NotToml { given_in, .. } => given_in.rank(),
            Self::Conflict { .. } | Self::Inconsistent(_) => (u8::MAX, 0),
        }
    }
}

/// Everything that is wrong, at once: nobody likes to learn it one start at a time.
#[derive(Debug)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "a setting is not right")?,
            count => writeln!(f, "{count} settings are not right")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}\n")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The names most like a given one, best first; none when nothing is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = plain(name);
    let far = if wanted.len() <= 4 { 1 } else { (wanted.len() / 3).max(2) };
    let mut near: Vec<(usize, &str)> = known
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= far)
        .collect();
    near.sort_unstable();
    // Beside a name that was nearly hit, a far one is noise.
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance <= 2 * best + 1);
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, candidate)| candidate).collect()
}

/// The setting that a name of the Node server means.
pub(crate) fn from_node(name: &str) -> Option<&'static str> {
    let found = NODE_NAMES.iter().find(|(node, _)| plain(node) == plain(name));
    found.map(|(_, ours)| *ours)
}

/// A name without what people get wrong first: case and separators.
fn plain(name: &str) -> String {
    let longest = 128; // the distance costs length times length
    name.chars().filter(|c| !"._- ".contains(*c)).take(longest).collect::<String>().to_lowercase()
}

fn hint(nearest: &[String], known: &[String]) -> String {
    if nearest.is_empty() {
        format!("accepted  {}", known.join(", "))
    } else {
        format!("perhaps   {}", nearest.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_found_and_foreign_ones_are_not() {
        let known = ["ping_interval", "ping_timeout", "listen", "limits.connections"];
        for (name, expected) in [
            ("pingInterval", vec!["ping_interval"]),
            ("ping-intervall", vec!["ping_interval"]),
            ("lisen", vec!["listen"]),
            ("connections", vec![]),
            ("zzz", vec![]),
        ] {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
        assert_eq!(from_node("maxHttpBufferSize"), Some("max_payload"));
        assert_eq!(from_node("listen"), None);
    }
}
