//! Names of things: a prefix that says of what, and random letters.

use std::fmt;

/// Crockford's base 32 in lower case: no letters that look alike.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many characters stand behind the prefix: 80 bits, which nobody guesses and nobody meets twice.
const LETTERS: usize = 16;

/// Writes an id type: `ses_` and random letters, checked when it comes from outside.
macro_rules! ids {
    ($( $(#[doc = $doc:literal])+ $name:ident = $prefix:literal; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(Box<str>);

            impl $name {
                /// An id from random bytes.
                #[must_use]
                pub fn from_random(random: [u8; 10]) -> Self {
                    $name(written($prefix, random).into())
                }

                /// Reads an id; nothing if it has not the form of one.
                #[must_use]
                pub fn parse(text: &str) -> Option<Self> {
                    is_one($prefix, text).then(|| $name(text.into()))
                }

                /// The id as it is sent.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.serialize_str(&self.0)
                }
            }
        )+
    };
}

ids! {
    /// A session's id.
    SessionId = "ses_";
    /// A participant's id.
    ParticipantId = "par_";
    /// A poll's id.
    PollId = "pol_";
}

/// An option's id, unique in its poll: `opt_1` is the first one.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct OptionId(Box<str>);

impl OptionId {
    /// The id of the option at this place, from 0.
    #[must_use]
    pub fn at(place: usize) -> Self {
        OptionId(format!("opt_{}", place + 1).into())
    }

    /// What came from outside; whether it is one of a poll's is found out there.
    #[must_use]
    pub fn given(text: &str) -> Self {
        OptionId(text.into())
    }

    /// The id as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn written(prefix: &str, random: [u8; 10]) -> String {
    let mut bits = random.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut letters = Vec::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        let letter = ALPHABET.get((bits & 31) as usize).copied().unwrap_or(b'0');
        letters.push(char::from(letter));
        bits >>= 5;
    }
    prefix.chars().chain(letters).collect()
}

fn is_one(prefix: &str, text: &str) -> bool {
    let letters = text.strip_prefix(prefix).unwrap_or_default();
    letters.len() == LETTERS && letters.bytes().all(|byte| ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(random: [u8; 10]) {
            let id = PollId::from_random(random);
            prop_assert_eq!(PollId::parse(id.as_str()), Some(id.clone()));
            prop_assert_eq!(SessionId::parse(id.as_str()), None);
        }

        #[test]
        fn different_bytes_are_different_ids(a: [u8; 10], b: [u8; 10]) {
            prop_assert_eq!(a == b, SessionId::from_random(a) == SessionId::from_random(b));
        }

        #[test]
        fn any_text_is_an_id_only_if_it_is_written_like_one(text in "(ses_)?[a-z0-9]{0,20}") {
            if let Some(id) = SessionId::parse(&text) {
                prop_assert_eq!(id.as_str().len(), 4 + LETTERS);
            }
        }
    }

    #[test]
    fn what_is_no_id() {
        for text in
            ["", "ses_", "ses_0123456789abcde", "ses_0123456789abcdeu", "ses_0123456789ABCDEF"]
        {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }
}
