//! The name of a namespace.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest namespace name, in bytes.
///
/// Names are chosen by applications and are short; a name is kept per connection and appears in
/// every packet, so a client must not be able to make it long.
pub const MAX_NAMESPACE_BYTES: usize = 256;

/// A namespace: `/`, `/admin`, …
///
/// It starts with `/`, has no comma (which ends it on the wire), has at most
/// [`MAX_NAMESPACE_BYTES`] bytes and is compared byte by byte: no case folding, no percent
/// decoding. Cloning is cheap, and the main namespace `/` owns no memory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Namespace(Option<Arc<str>>);

/// Why a text is no namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// It does not start with `/`.
    #[error("a namespace starts with '/'")]
    NoSlash,
    /// It is longer than [`MAX_NAMESPACE_BYTES`].
    #[error("a namespace has at most {MAX_NAMESPACE_BYTES} bytes")]
    TooLong,
    /// It contains a comma, which ends the namespace on the wire.
    #[error("a namespace contains no comma")]
    Comma,
}

impl Namespace {
    /// The main namespace, `/`.
    #[must_use]
    pub const fn root() -> Self {
        Self(None)
    }

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When the name does not start with `/`, is too long or contains a comma.
    pub fn new(name: &str) -> Result<Self, NamespaceError> {
        if !name.starts_with('/') {
            return Err(NamespaceError::NoSlash);
        }
        if name.len() > MAX_NAMESPACE_BYTES {
            return Err(NamespaceError::TooLong);
        }
        if name.contains(',') {
            return Err(NamespaceError::Comma);
        }
        Ok(if name == "/" { Self::root() } else { Self(Some(Arc::from(name))) })
    }

    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }

    /// Whether this is the main namespace, `/`, which packets leave out.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::str::FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is a namespace and what is not.
    #[test]
    fn names() {
        let longest = format!("/{}", "a".repeat(MAX_NAMESPACE_BYTES - 1));
        let too_long = format!("{longest}a");
        let cases: [(&str, Result<(), NamespaceError>); 9] = [
            ("/", Ok(())),
            ("/admin", Ok(())),
            ("//", Ok(())),
            ("/%2e", Ok(())),
            (&longest, Ok(())),
            (&too_long, Err(NamespaceError::TooLong)),
            ("", Err(NamespaceError::NoSlash)),
            ("admin", Err(NamespaceError::NoSlash)),
            ("/a,b", Err(NamespaceError::Comma)),
        ];
        for (name, expected) in cases {
            assert_eq!(Namespace::new(name).map(|_| ()), expected, "{name:?}");
        }
        assert!(Namespace::new("/").unwrap().is_root());
        assert_eq!(Namespace::root().to_string(), "/");
        assert_ne!(Namespace::new("/Admin"), Namespace::new("/admin"));
    }
}
