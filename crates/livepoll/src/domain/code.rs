//! The code people type to join: six characters that cannot be mistaken for each other.

use std::fmt;

/// No `0 O`, no `1 I L`: what is read from a wall is typed right.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// How many characters.
const LENGTH: usize = 6;

/// How many codes there are: 31⁶.
const CODES: u64 = 887_503_681;

/// How hard a code is to guess, in bits, rounded down. Of itself that is little: with a thousand open
/// sessions one of 887 000 guesses hits. Hence guesses are limited, per address.
pub const ENTROPY_BITS: u32 = 29;

/// A join code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code([u8; LENGTH]);

/// Why a text is no join code. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not six characters.
    #[error("a join code has {LENGTH} characters")]
    Length,
    /// A character that no code has.
    #[error("a join code has digits from 2 to 9 and letters without I, L and O")]
    Character,
}

impl Code {
    /// A code from a random number; all codes are equally likely, up to one in 20 000 million.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        let mut rest = random % CODES;
        let mut code = [b'2'; LENGTH];
        for letter in &mut code {
            let place = usize::try_from(rest % ALPHABET.len() as u64).unwrap_or_default();
            *letter = ALPHABET.get(place).copied().unwrap_or(b'2');
            rest /= ALPHABET.len() as u64;
        }
        Code(code)
    }

    /// Reads what somebody typed: in either case, with spaces or a hyphen anywhere.
    ///
    /// # Errors
    ///
    /// [`CodeError`].
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        // Longer than anybody types a code with spaces.
        if text.len() > 4 * LENGTH {
            return Err(CodeError::Length);
        }
        let typed = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
        let typed: Vec<u8> = typed.map(|byte| byte.to_ascii_uppercase()).collect();
        let code = <[u8; LENGTH]>::try_from(typed).map_err(|_| CodeError::Length)?;
        let known = code.iter().all(|byte| ALPHABET.contains(byte));
        if known { Ok(Code(code)) } else { Err(CodeError::Character) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_as_many_codes_as_is_said() {
        assert_eq!((ALPHABET.len() as u64).pow(6), CODES);
        assert_eq!(CODES.ilog2(), ENTROPY_BITS);
    }

    #[test]
    fn what_is_typed_is_read() {
        for (typed, expected) in [
            ("ABC234", Ok("ABC234")),
            ("abc234", Ok("ABC234")),
            (" abc-234 ", Ok("ABC234")),
            ("a b c 2 3 4", Ok("ABC234")),
            ("ABC23", Err(CodeError::Length)),
            ("ABC2345", Err(CodeError::Length)),
            ("", Err(CodeError::Length)),
            ("ABCDE0", Err(CodeError::Character)),
            ("ABCDEI", Err(CodeError::Character)),
            ("ABCDÉ", Err(CodeError::Character)), // É is two bytes
            ("ABC                      234", Err(CodeError::Length)),
        ] {
            let code = Code::parse(typed).map(|code| code.to_string());
            assert_eq!(code, expected.map(str::to_owned), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_read(random: u64) {
            let code = Code::from_random(random);
            prop_assert_eq!(Code::parse(&code.to_string()), Ok(code));
        }

        #[test]
        fn different_numbers_are_different_codes(a in 0..CODES, b in 0..CODES) {
            prop_assert_eq!(a == b, Code::from_random(a) == Code::from_random(b));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Code::parse(&text);
        }
    }
}
