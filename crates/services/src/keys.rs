//! Keys of the HTTP API, as what the server keeps of them: hashes.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use fanfare::rate::SharedBucket;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::code::Code;
use crate::refusal::Refusal;

/// A key as its hash: all have the same length, so that a comparison takes the same time.
#[derive(Clone)]
pub struct KeyDigest([u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest")
    }
}

impl KeyDigest {
    /// What is kept of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        KeyDigest(Sha256::digest(key).into())
    }

    /// Whether this is the key, in a time that does not depend on how much of it is right.
    fn matches(&self, candidate: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(candidate).into();
        self.0.ct_eq(&digest).into()
    }
}

/// All keys that hold, each with what its backend has asked for lately.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(KeyDigest, SharedBucket)>);

impl Keys {
    pub(crate) fn new(keys: impl IntoIterator<Item = KeyDigest>) -> Self {
        Keys(keys.into_iter().map(|key| (key, SharedBucket::default())).collect())
    }

    /// Lets a request pass that has one of the keys as `Authorization: Bearer <key>`, and nowhere else:
    /// the bucket of that key. The refusal is the same whatever was wrong, and takes the same time.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<&SharedBucket, Refusal> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let key = match (given.next(), given.next()) {
            (Some(only), None) => bearer(only),
            _ => None,
        };
        // Compared with all of them, also when there is none.
        let candidate = key.unwrap_or_default();
        let mut found = None;
        for (digest, bucket) in &self.0 {
            if digest.matches(candidate) && key.is_some() {
                found = Some(bucket);
            }
        }
        let message =
            "The API key is missing or wrong; expected `Authorization: Bearer <API key>`.";
        found.ok_or_else(|| Refusal::new(Code::AuthRequired, message))
    }
}

/// The key of `Bearer <key>`; the scheme in any case.
///
/// Spec: RFC 6750 § 2.1, RFC 9110 § 11.1.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_key_matches() {
        let digest = KeyDigest::of("correct-horse-battery");
        assert!(digest.matches(b"correct-horse-battery"));
        for wrong in ["", "correct-horse-batter", "correct-horse-battery ", "Correct-horse-battery"]
        {
            assert!(!digest.matches(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn the_key_is_read_from_a_bearer_header_only() {
        for (header, expected) in [
            ("Bearer abc", Some(&b"abc"[..])),
            ("bearer  abc ", Some(b"abc")),
            ("BEARER abc", Some(b"abc")),
            ("Bearer ", Some(b"")),
            ("Bearer", None),
            ("Basic abcdef", None),
            ("abc", None),
            ("Bearerabc", None),
        ] {
            assert_eq!(bearer(&HeaderValue::from_static(header)), expected, "{header:?}");
        }
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let keys = Keys::new(["first-key", "second-key"].map(KeyDigest::of));
        let asked = |key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
            keys.check(&headers)
                .ok()
                .map(|bucket| keys.0.iter().position(|(_, own)| std::ptr::eq(own, bucket)).unwrap())
        };
        assert_eq!((asked("first-key"), asked("second-key")), (Some(0), Some(1)));
        assert_eq!((asked("third-key"), asked("")), (None, None));
    }
}
