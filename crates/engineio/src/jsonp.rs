//! Polling by script tags, for browsers without CORS.
//!
//! A response is JavaScript that calls `___eio[N]` with the payload; a request is a form whose
//! field `d` holds it. `N` is the client's number for the callback: only its digits are ever
//! repeated, so that nothing of the query gets into a script.
//!
//! The reference server keeps the number of the handshake for the whole session; here each
//! response answers the number of its own request. Clients use one number, so they see the same.

use crate::payload::PayloadError;
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The most digits of a callback number that are kept: more than any counter reaches.
const MAX_DIGITS: usize = 16;

/// The number of the script callback that takes a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonpIndex {
    digits: [u8; MAX_DIGITS],
    len: u8,
}

impl JsonpIndex {
    /// The first 16 digits of the query's `j`; everything else in it is dropped.
    pub fn new(parameter: &str) -> Self {
        let mut index = Self { digits: [b'0'; MAX_DIGITS], len: 0 };
        let digits = parameter.bytes().filter(u8::is_ascii_digit);
        for (slot, digit) in index.digits.iter_mut().zip(digits) {
            *slot = digit;
            index.len += 1;
        }
        index
    }

    fn as_str(&self) -> &str {
        let digits = self.digits.get(..usize::from(self.len)).unwrap_or_default();
        // Only ASCII digits are ever stored.
        std::str::from_utf8(digits).unwrap_or_default()
    }

    /// The script for a payload of text, sent as [`crate::payload::TEXT_CONTENT_TYPE`].
    ///
    /// The payload becomes a JSON string whose line separators are escaped too, because a script
    /// is not JSON.
    pub fn wrap(&self, payload: &str) -> String {
        let mut script = String::with_capacity(payload.len() + payload.len() / 8 + 32);
        script.push_str("___eio[");
        script.push_str(self.as_str());
        script.push_str("](\"");
        for character in payload.chars() {
            match character {
                '"' => script.push_str("\\\""),
                '\\' => script.push_str("\\\\"),
                '\n' => script.push_str("\\n"),
                '\r' => script.push_str("\\r"),
                '\t' => script.push_str("\\t"),
                '\u{8}' => script.push_str("\\b"),
                '\u{c}' => script.push_str("\\f"),
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(script, "\\u{:04x}", u32::from(character));
                }
                _ => script.push(character),
            }
        }
        script.push_str("\");");
        script
    }
}

/// The payload in the body of a form.
///
/// `None` when there is no field `d`, or more than one: the reference server then answers `ok` and
/// does nothing.
///
/// # Errors
///
/// [`PayloadError::InvalidUtf8`] when the field is not UTF-8 once decoded.
pub fn decode_body(body: &[u8]) -> Result<Option<String>, PayloadError> {
    let mut fields = body.split(|&byte| byte == b'&').filter_map(|field| {
        if field == b"d" {
            return Some(&[][..]);
        }
        field.strip_prefix(b"d=")
    });
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Ok(None);
    };
    let spaced: Vec<u8> =
        field.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let decoded: Cow<'_, [u8]> = percent_decode(&spaced).into();
    Ok(Some(restore_newlines(crate::payload::text(&decoded)?)))
}

/// Undoes the client's escaping of newlines, which forms would change: `\n` is a newline, `\\n` is
/// a backslash and an `n`.
fn restore_newlines(text: &str) -> String {
    let mut restored = String::with_capacity(text.len());
    let mut backslashes = 0_usize;
    for character in text.chars() {
        if character == '\\' {
            backslashes += 1;
            continue;
        }
        if character == 'n' && backslashes == 1 {
            restored.push('\n');
        } else {
            let kept = if character == 'n' { backslashes.saturating_sub(1) } else { backslashes };
            restored.extend(std::iter::repeat_n('\\', kept));
            restored.push(character);
        }
        backslashes = 0;
    }
    restored.extend(std::iter::repeat_n('\\', backslashes));
    restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shows that only digits of the number are repeated, and every escape of the payload.
    #[test]
    fn wraps_without_reflecting() {
        for (parameter, head) in [
            ("0", "___eio[0]("),
            ("0x1<2", "___eio[012]("),
            ("<script>", "___eio[]("),
            ("99999999999999999999", "___eio[9999999999999999]("),
        ] {
            let script = JsonpIndex::new(parameter).wrap("6");
            assert_eq!(script, format!("{head}\"6\");"), "{parameter}");
        }
        assert_eq!(
            JsonpIndex::new("5").wrap("4a\"\\\n\r\t\u{8}\u{c}\u{2028}\u{2029}\u{1}\u{1e}\u{7f}<é"),
            "___eio[5](\"4a\\\"\\\\\\n\\r\\t\\b\\f\\u2028\\u2029\\u0001\\u001e\u{7f}<é\");"
        );
    }

    /// Shows what a form means, as observed on the reference server.
    #[test]
    fn reads_forms() {
        for (body, expected) in [
            ("d=4a%5Cnb%5C%5Cnc%5Cd", Ok(Some("4a\nb\\nc\\d"))),
            ("d=4a+b%zz%C3%A9", Ok(Some("4a b%zzé"))),
            ("x=1&d=4a", Ok(Some("4a"))),
            ("d=", Ok(Some(""))),
            ("d", Ok(Some(""))),
            ("x=1", Ok(None)),
            ("", Ok(None)),
            ("d=4a&d=4b", Ok(None)),
            ("d=%ff", Err(PayloadError::InvalidUtf8)),
            ("d=\\\\\\n\\\\\\", Ok(Some("\\\\n\\\\\\"))),
        ] {
            let found = decode_body(body.as_bytes());
            assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{body}");
        }
    }

    proptest! {
        #[test]
        fn a_script_is_json_of_the_payload(payload in any::<String>()) {
            let script = JsonpIndex::new("1").wrap(&payload);
            let json = script.strip_prefix("___eio[1](").unwrap().strip_suffix(");").unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(json).unwrap(), payload);
            let breaks = script.contains(['\u{2028}', '\u{2029}', '\n']);
            prop_assert!(!breaks);
        }

        #[test]
        fn any_form_is_answered(body: Vec<u8>) {
            if let Ok(Some(text)) = decode_body(&body) {
                prop_assert!(text.len() <= body.len());
            }
        }
    }
}
