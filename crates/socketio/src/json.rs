//! One pass over JSON text: is it valid, how deep is it, where are its parts.
//!
//! Why not `serde_json` here: an argument that nobody reads must pass byte for byte, so it is only
//! checked. `serde_json` either decodes (and then refuses what a JavaScript peer accepts and
//! echoes: lone surrogates, `1e400`) or skips without a limit of depth and with an allocation per
//! nesting. This pass allocates nothing, keeps the nesting in the bits of one integer, and tells
//! where each argument stands. A property test holds it to `serde_json`'s verdict.

use std::ops::Range;

mod strings;

pub(crate) use strings::{RawStr, write_str};

/// The deepest nesting of arrays and objects in a payload, the payload's own array included.
///
/// The limit of `serde_json`: what passes here can be read by a handler.
pub const MAX_DEPTH: u32 = 128;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// It is not JSON.
    Malformed,
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// A piece of JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    ArrayStart,
    ArrayEnd,
    ObjectStart,
    ObjectEnd,
    Key(RawStr<'a>),
    String(RawStr<'a>),
    Number(&'a str),
    Bool(bool),
    Null,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

/// Reads the tokens of one JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    position: usize,
    token_start: usize,
    /// The open containers, the innermost in the lowest bit: 1 is an object, 0 an array.
    containers: u128,
    depth: u32,
    expect: Expect,
    /// The text is the inside of an array: its end closes it.
    bare_elements: bool,
}

impl<'a> Scanner<'a> {
    /// For a text that is one JSON value.
    pub(crate) const fn value(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            token_start: 0,
            containers: 0,
            depth: 0,
            expect: Expect::Value,
            bare_elements: false,
        }
    }

    /// For the elements of an array without its brackets: `1,"a",{}`, or nothing at all.
    pub(crate) const fn elements(text: &'a str) -> Self {
        let mut scanner = Self::value(text);
        scanner.depth = 1;
        scanner.expect = Expect::ValueOrEnd;
        scanner.bare_elements = true;
        scanner
    }

    /// Where the next token is looked for, in bytes.
    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    /// The next token; `None` at the end of a complete text.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        self.step()
    }

    // Inlined, so that passing over an element, the path of every event, builds no tokens: a
    // sixth of the instructions of decoding one.
    #[inline(always)]
    fn step(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        self.skip_whitespace();
        if self.expect == Expect::CommaOrEnd && self.peek() == Some(b',') {
            self.position += 1;
            self.expect = if self.in_object() { Expect::Key } else { Expect::Value };
            self.skip_whitespace();
        }
        self.token_start = self.position;
        let Some(byte) = self.peek() else { return self.end_of_text() };
        match (self.expect, byte) {
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if !self.in_object() => {
                self.close(Token::ArrayEnd).map(Some)
            }
            (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if self.in_object() => {
                self.close(Token::ObjectEnd).map(Some)
            }
            (Expect::Key | Expect::KeyOrEnd, b'"') => self.key().map(Some),
            (Expect::Value | Expect::ValueOrEnd, _) => self.value_token(byte).map(Some),
            _ => Err(JsonError::Malformed),
        }
    }

    /// Passes over the next element of the array the scanner is in; `None` at the array's end.
    pub(crate) fn next_element(&mut self) -> Result<Option<Range<usize>>, JsonError> {
        let outer = self.depth;
        match self.step()? {
            None | Some(Token::ArrayEnd) => return Ok(None),
            Some(_) => {}
        }
        let start = self.token_start;
        while self.depth > outer {
            self.step()?;
        }
        Ok(Some(start..self.position))
    }

    /// Passes over what follows a token that was just read: to the container's end, if it opened
    /// one.
    pub(crate) fn skip_rest_of(&mut self, token: Token<'a>) -> Result<(), JsonError> {
        if matches!(token, Token::ArrayStart | Token::ObjectStart) {
            let inner = self.depth;
            while self.depth >= inner {
                self.next()?;
            }
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(crate) fn finish(&mut self) -> Result<(), JsonError> {
        match self.next()? {
            None => Ok(()),
            Some(_) => Err(JsonError::Malformed),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.position += 1;
        }
    }

    const fn in_object(&self) -> bool {
        self.depth > 0 && self.containers & 1 == 1
    }

    fn end_of_text(&self) -> Result<Option<Token<'a>>, JsonError> {
        let complete = match self.expect {
            Expect::Nothing => true,
            Expect::ValueOrEnd | Expect::CommaOrEnd => self.bare_elements && self.depth == 1,
            Expect::Value | Expect::Key | Expect::KeyOrEnd => false,
        };
        if complete { Ok(None) } else { Err(JsonError::Malformed) }
    }

    const fn after_value(&mut self) {
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn open(&mut self, object: bool) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.depth += 1;
        self.containers = (self.containers << 1) | u128::from(object);
        self.position += 1;
        self.expect = if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        Ok(())
    }

    const fn close(&mut self, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        if self.bare_elements && self.depth == 1 {
            return Err(JsonError::Malformed);
        }
        self.depth -= 1;
        self.containers >>= 1;
        self.position += 1;
        self.after_value();
        Ok(token)
    }

    fn key(&mut self) -> Result<Token<'a>, JsonError> {
        let key = self.string()?;
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(JsonError::Malformed);
        }
        self.position += 1;
        self.expect = Expect::Value;
        Ok(Token::Key(key))
    }

    #[inline(always)]
    fn value_token(&mut self, first: u8) -> Result<Token<'a>, JsonError> {
        let token = match first {
            b'[' => return self.open(false).map(|()| Token::ArrayStart),
            b'{' => return self.open(true).map(|()| Token::ObjectStart),
            b'"' => Token::String(self.string()?),
            b't' => self.word("true", Token::Bool(true))?,
            b'f' => self.word("false", Token::Bool(false))?,
            b'n' => self.word("null", Token::Null)?,
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            _ => return Err(JsonError::Malformed),
        };
        self.after_value();
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, JsonError> {
        let rest = self.text.get(self.position..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(JsonError::Malformed);
        }
        self.position += word.len();
        Ok(token)
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.position;
        self.skip_if(|byte| byte == b'-');
        match self.peek() {
            Some(b'0') => self.position += 1,
            _ => self.digits()?,
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        self.text.get(start..self.position).ok_or(JsonError::Malformed)
    }

    fn skip_if(&mut self, accept: impl Fn(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(accept);
        self.position += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.position;
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        if self.position == start { Err(JsonError::Malformed) } else { Ok(()) }
    }

    #[inline(always)]
    fn string(&mut self) -> Result<RawStr<'a>, JsonError> {
        let start = self.position + 1;
        let rest = self.text.get(start..).ok_or(JsonError::Malformed)?;
        let raw = strings::scan(rest).ok_or(JsonError::Malformed)?;
        self.position = start + raw.raw().len() + 1;
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn verdict(text: &str) -> Result<(), JsonError> {
        let mut scanner = Scanner::value(text);
        while scanner.next()?.is_some() {}
        Ok(())
    }

    fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
        let mut scanner = Scanner::elements(text);
        let mut found = Vec::new();
        while let Some(range) = scanner.next_element()? {
            found.push(&text[range]);
        }
        Ok(found)
    }

    /// The grammar, with the corners where implementations differ.
    #[test]
    fn grammar() {
        let valid = [
            "0",
            "-0",
            "-0.0e-1",
            "1E+2",
            "1e400",
            "null",
            " true ",
            "\"\"",
            "\"\\ud800\"",
            "\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1 , 2]",
            "{\"a\":1,\"a\":[{}]}",
            "\"\u{2028}\u{7f}\"",
        ];
        for text in valid {
            assert_eq!(verdict(text), Ok(()), "{text}");
        }
        let invalid = [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e+",
            "NaN",
            "Infinity",
            "tru",
            "nul",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"\n\"",
            "\"\u{0}\"",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "{,}",
            "[}",
            "{]",
            "[1]]",
            "1 2",
            "{\"a\":1 \"b\":2}",
            "\u{feff}1",
            "'a'",
        ];
        for text in invalid {
            assert_eq!(verdict(text), Err(JsonError::Malformed), "{text}");
        }
    }

    /// 128 levels pass, 129 do not; the implied array of bare elements is one level.
    #[test]
    fn depth() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(verdict(&nested(128)), Ok(()));
        assert_eq!(verdict(&nested(129)), Err(JsonError::TooDeep));
        assert_eq!(verdict(&"[".repeat(1_000_000)), Err(JsonError::TooDeep));
        assert!(elements(&nested(127)).is_ok());
        assert_eq!(elements(&nested(128)), Err(JsonError::TooDeep));
        let mixed = format!("{}1{}", "{\"a\":[".repeat(64), "]}".repeat(64));
        assert_eq!(verdict(&mixed), Ok(()));
    }

    /// The elements of an array without its brackets, each as it stands.
    #[test]
    fn bare_elements() {
        assert_eq!(elements(""), Ok(vec![]));
        assert_eq!(elements(" "), Ok(vec![]));
        assert_eq!(
            elements("1, \"a,]\" ,{\"b\" : [2, 3]}"),
            Ok(vec!["1", "\"a,]\"", "{\"b\" : [2, 3]}"])
        );
        for text in ["1,", ",", "]", "1]", "[", "1 2", "}"] {
            assert_eq!(elements(text), Err(JsonError::Malformed), "{text}");
        }
    }

    proptest! {
        /// The verdict is `serde_json`'s, whatever the text.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9eE+\-. \\utrfalsn]{0,24}"#) {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(verdict(&text).is_ok(), theirs, "{}", text);
        }

        /// Any text: no panic, and an end.
        #[test]
        fn any_text(text in "\\PC{0,64}") {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(verdict(&text).is_ok(), theirs);
            let _ = elements(&text);
        }
    }
}
