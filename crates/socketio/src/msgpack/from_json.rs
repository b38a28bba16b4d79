//! JSON as `MessagePack`, with the attachments in their places.

use bytes::Bytes;
use smallvec::SmallVec;

use super::write::Packer;
use crate::json::{RawStr, Scanner, Token};
use crate::placeholder;

/// 2^64: no whole number from here on has 64 bits.
const INTEGERS_END: f64 = 18_446_744_073_709_551_616.0;

/// The `MessagePack` of the elements of a JSON array, one after the other.
///
/// Only for elements that were checked: what is malformed ends the output.
pub(crate) fn from_json(elements: &str, attachments: &[Bytes]) -> Vec<u8> {
    let bytes = attachments.iter().map(Bytes::len).sum::<usize>() + elements.len();
    let mut packer = Packer::with_capacity(bytes);
    // MessagePack tells a container's length before its content, JSON does not: a first pass
    // counts, in the order in which the containers open.
    let mut counts = count(elements, attachments).into_iter();
    let mut pieces = Pieces::new(elements, attachments);
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Token(token) => write_token(&mut packer, token, &mut counts),
            Piece::Attachment(bytes) => packer.binary(bytes),
        }
    }
    packer.into_bytes()
}

fn write_token(packer: &mut Packer, token: Token<'_>, counts: &mut impl Iterator<Item = u32>) {
    match token {
        Token::ArrayStart => packer.array(counts.next().unwrap_or_default()),
        Token::ObjectStart => packer.map(counts.next().unwrap_or_default()),
        Token::ArrayEnd | Token::ObjectEnd => {}
        Token::Key(text) | Token::String(text) => write_text(packer, &text),
        Token::Number(digits) => write_number(packer, digits),
        Token::Bool(value) => packer.bool(value),
        Token::Null => packer.nil(),
    }
}

fn write_text(packer: &mut Packer, text: &RawStr<'_>) {
    packer.text(&text.decode());
}

/// A number as JavaScript would send it: as an integer when it is whole and has at most 64 bits,
/// however it was written. Whole numbers beyond JavaScript's exact range stay exact.
fn write_number(packer: &mut Packer, digits: &str) {
    if write_whole(packer, digits) {
        return;
    }
    let value = digits.parse::<f64>().unwrap_or(f64::NAN);
    let may_be_whole = value.fract() == 0.0 && value.abs() < INTEGERS_END;
    if !may_be_whole || !write_whole(packer, &format!("{value:.0}")) {
        packer.float(value);
    }
}

fn write_whole(packer: &mut Packer, digits: &str) -> bool {
    if let Ok(value) = digits.parse::<u64>() {
        packer.unsigned(value);
    } else if let Ok(value) = digits.parse::<i64>() {
        packer.signed(value);
    } else {
        return false;
    }
    true
}

/// How many elements or entries each container has, in the order in which they open.
fn count(elements: &str, attachments: &[Bytes]) -> Vec<u32> {
    let mut counts: Vec<u32> = Vec::new();
    // The open containers: where each is counted, and whether it is an object.
    let mut open: SmallVec<[(usize, bool); 16]> = SmallVec::new();
    let mut pieces = Pieces::new(elements, attachments);
    while let Some(piece) = pieces.next() {
        let token = match piece {
            Piece::Token(token) => Some(token),
            Piece::Attachment(_) => None,
        };
        if matches!(token, Some(Token::ArrayEnd | Token::ObjectEnd)) {
            open.pop();
            continue;
        }
        let is_key = matches!(token, Some(Token::Key(_)));
        if let Some((at, is_object)) = open.last()
            && *is_object == is_key
            && let Some(count) = counts.get_mut(*at)
        {
            *count += 1;
        }
        if matches!(token, Some(Token::ArrayStart | Token::ObjectStart)) {
            open.push((counts.len(), token == Some(Token::ObjectStart)));
            counts.push(0);
        }
    }
    counts
}

enum Piece<'a> {
    Token(Token<'a>),
    Attachment(&'a Bytes),
}

/// The tokens of a text, with attachments instead of their placeholders.
struct Pieces<'a> {
    scanner: Scanner<'a>,
    attachments: &'a [Bytes],
}

impl<'a> Pieces<'a> {
    const fn new(elements: &'a str, attachments: &'a [Bytes]) -> Self {
        Self { scanner: Scanner::elements(elements), attachments }
    }

    fn next(&mut self) -> Option<Piece<'a>> {
        let token = self.scanner.next().ok()??;
        if token == Token::ObjectStart
            && !self.attachments.is_empty()
            && let Some(number) = placeholder::enter(&mut self.scanner)
            && let Some(bytes) = self.attachments.get(number)
        {
            return Some(Piece::Attachment(bytes));
        }
        Some(Piece::Token(token))
    }
}
