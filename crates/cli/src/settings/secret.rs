//! A value that must not be seen: not in logs, not in `fanfare config`, not in an error.

use std::fmt;

use serde::Deserialize;

/// A secret text. Its `Debug` and `Display` say only how long it is; the text itself is reached by
/// [`Secret::expose`], a word that is easy to search for.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(set, {} characters)", self.0.chars().count())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_length_only() {
        let secret = Secret::new("hunter2-hunter2".to_owned());
        assert_eq!(secret.to_string(), "(set, 15 characters)");
        assert_eq!(format!("{secret:?}"), "Secret(set, 15 characters)");
    }
}
