//! Placeholders: where an attachment stands in the JSON of a packet.
//!
//! Spec: Socket.IO protocol 5, § Packet encoding, `BINARY_EVENT`.

use smallvec::SmallVec;

use crate::json::{JsonError, RawStr, Scanner, Token};

/// The key that makes an object a placeholder, when its value is `true`.
pub(crate) const MARK: &str = "_placeholder";

/// The key that tells which attachment is meant.
pub(crate) const NUMBER: &str = "num";

/// Why placeholders were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceholderError {
    /// The text itself is at fault.
    Json(JsonError),
    /// One has not the exact form, or names no attachment.
    Illegal,
}

impl From<JsonError> for PlaceholderError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// What is known of the container that is being read.
#[derive(Default)]
struct Container {
    is_object: bool,
    keys: u32,
    last_key: Key,
    marked: bool,
    number: Option<usize>,
}

#[derive(Default, Clone, Copy)]
enum Key {
    Mark,
    Number,
    #[default]
    Other,
}

impl Container {
    fn key(&mut self, key: &RawStr<'_>) {
        self.keys += 1;
        self.last_key = match &*key.decode() {
            MARK => Key::Mark,
            NUMBER => Key::Number,
            _ => Key::Other,
        };
    }

    fn value(&mut self, token: Token<'_>) {
        match self.last_key {
            Key::Mark => self.marked = token == Token::Bool(true),
            Key::Number => self.number = index(token),
            Key::Other => {}
        }
    }
}

fn index(token: Token<'_>) -> Option<usize> {
    match token {
        Token::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// Checks that each placeholder in the elements of an array names one of `attachments` and has
/// exactly the form `{"_placeholder":true,"num":0}`, keys in any order; tells `found` each number.
///
/// The reference decoder also takes objects with more keys and loses those; no encoder writes
/// them, and taking only the exact form lets every later reader stop at the second key.
pub(crate) fn check(
    elements: &str,
    attachments: usize,
    mut found: impl FnMut(usize),
) -> Result<(), PlaceholderError> {
    let mut open: SmallVec<[Container; 8]> = SmallVec::new();
    let mut scanner = Scanner::elements(elements);
    while let Some(token) = scanner.next()? {
        match token {
            Token::Key(key) => {
                if let Some(container) = open.last_mut() {
                    container.key(&key);
                }
                continue;
            }
            Token::ArrayEnd => drop(open.pop()),
            Token::ObjectEnd => {
                if let Some(container) = open.pop()
                    && container.is_object
                    && container.marked
                {
                    match container.number {
                        Some(number) if container.keys == 2 && number < attachments => {
                            found(number);
                        }
                        _ => return Err(PlaceholderError::Illegal),
                    }
                }
            }
            _ => {
                if let Some(container) = open.last_mut() {
                    container.value(token);
                }
            }
        }
        if matches!(token, Token::ArrayStart | Token::ObjectStart) {
            open.push(Container { is_object: token == Token::ObjectStart, ..Container::default() });
        }
    }
    Ok(())
}

/// The attachment's number when the object that `scanner` has just entered is a placeholder; the
/// scanner then stands behind it. Else the scanner is left where it was.
///
/// Only for a text that [`check`] has passed.
pub(crate) fn enter<'a>(scanner: &mut Scanner<'a>) -> Option<usize> {
    let mut ahead = scanner.clone();
    let mut container = Container::default();
    loop {
        match ahead.next().ok()?? {
            Token::Key(key) => container.key(&key),
            Token::ObjectEnd => break,
            Token::ArrayStart | Token::ObjectStart => return None,
            scalar => container.value(scalar),
        }
        if container.keys > 2 {
            return None;
        }
    }
    let number = container.number.filter(|_| container.marked)?;
    *scanner = ahead;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which objects are placeholders, and which are refused.
    #[test]
    fn forms() {
        let cases = [
            ("", Ok(0)),
            (r#"{"_placeholder":true,"num":0}"#, Ok(1)),
            (r#"{"num":1,"_placeholder":true}"#, Ok(1)),
            (r#"[{"a":[1,{"_placeholder":true,"num":1}]}],{"_placeholder":true,"num":1}"#, Ok(2)),
            (r#"{"\u005fplaceholder":true,"num":0}"#, Ok(1)),
            (r#"{"_placeholder":false,"num":7}"#, Ok(0)),
            (r#"{"_placeholder":1,"num":7}"#, Ok(0)),
            (r#"{"_placeholder":[true],"num":7}"#, Ok(0)),
            (r#"{"x":{"_placeholder":true},"num":0}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":2}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":-1}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":0.5}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":"0"}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":[0]}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true}"#, Err(PlaceholderError::Illegal)),
            (r#"{"_placeholder":true,"num":0,"x":1}"#, Err(PlaceholderError::Illegal)),
            (
                r#"{"_placeholder":false,"_placeholder":true,"num":0}"#,
                Err(PlaceholderError::Illegal),
            ),
        ];
        for (elements, expected) in cases {
            let mut count = 0;
            let result = check(elements, 2, |_| count += 1).map(|()| count);
            assert_eq!(result, expected, "{elements}");
        }
    }
}
