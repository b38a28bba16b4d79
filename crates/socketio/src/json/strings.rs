//! JSON strings: finding their end, decoding and writing them.

use std::borrow::Cow;

/// A JSON string as it stands, without its quotes, known to be well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawStr<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The text between the quotes, escapes undecoded.
    pub(crate) const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether the text between the quotes is the string itself.
    pub(crate) const fn is_plain(&self) -> bool {
        !self.escaped
    }

    /// The string. Half of a surrogate pair, which JavaScript allows and UTF-8 does not, becomes
    /// U+FFFD.
    pub(crate) fn decode(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// Reads a string from after its opening quote; `None` when it is malformed.
pub(super) fn scan(rest: &str) -> Option<RawStr<'_>> {
    let bytes = rest.as_bytes();
    let mut position = 0;
    let mut escaped = false;
    loop {
        position += plain_length(bytes.get(position..)?);
        match bytes.get(position)? {
            b'"' => return Some(RawStr { raw: rest.get(..position)?, escaped }),
            b'\\' => {
                escaped = true;
                position += escape_length(bytes.get(position + 1..)?)?;
            }
            _ => return None,
        }
    }
}

/// How many bytes stand before the first special one, looked at eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let rest = tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len());
    bytes.len() - tail.len() + rest
}

/// The top bit of each special byte in a word, right up to the lowest one (a borrow may mark
/// more above it).
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & (ONES << 7)
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// The length of an escape with its backslash, given what follows the backslash.
fn escape_length(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => after.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('u') => {
                let (character, length) = unicode_escape(escape);
                text.push(character);
                rest = escape.get(length..).unwrap_or_default();
                continue;
            }
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some(other) => text.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text
}

/// The character of an escape that starts with `u`, and how many bytes it takes: a pair of
/// surrogates is one character.
fn unicode_escape(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(1) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if let Some(character) = char::from_u32(u32::from(first)) {
        return (character, 5);
    }
    if escape.get(5..7) == Some("\\u")
        && let Some(second) = unit(7)
        && let Some(Ok(character)) = char::decode_utf16([first, second]).next()
    {
        return (character, 11);
    }
    (char::REPLACEMENT_CHARACTER, 5)
}

/// Appends `text` as a JSON string with its quotes, escaped as `JSON.stringify` does.
pub(crate) fn write_str(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_length(rest.as_bytes()));
        out.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            None => break,
        }
        rest = characters.as_str();
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(json: &str) -> String {
        scan(&json[1..]).unwrap().decode().into_owned()
    }

    /// Escapes decode; a lone surrogate, on either side, becomes U+FFFD and eats nothing else.
    #[test]
    fn escapes() {
        let cases = [
            (r#""plain""#, "plain"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u20AC""#, "é€"),
            (r#""\ud83d\ude00!""#, "😀!"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\ud800a""#, "\u{fffd}a"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
        ];
        for (json, expected) in cases {
            assert_eq!(decoded(json), expected, "{json}");
        }
    }

    /// Every special byte is seen at every place in a word, beside any other byte.
    #[test]
    fn special_bytes_are_found() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    for around in [b'a', b'!', 0x7f, 0x80, 0xff] {
                        let mut bytes = vec![around; length];
                        bytes[at] = byte;
                        let expected = if is_special(byte) { at } else { length };
                        assert_eq!(plain_length(&bytes), expected, "{bytes:x?}");
                    }
                }
            }
        }
    }

    proptest! {
        /// What is written reads back, here and in `serde_json`, with the same bytes.
        #[test]
        fn round_trip(text in any::<String>()) {
            let mut json = String::new();
            write_str(&mut json, &text);
            prop_assert_eq!(&decoded(&json), &text);
            prop_assert_eq!(json, serde_json::to_string(&text).unwrap());
        }
    }
}
