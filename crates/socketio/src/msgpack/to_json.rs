//! `MessagePack` as JSON, the way `JSON.stringify` writes the same values.

use std::fmt::Write;

use bytes::Bytes;

use super::date::iso_text;
use super::read::{Item, Reader};
use crate::json;

/// The JSON of values that stand one after the other, with commas, and the bytes taken out as
/// attachments.
///
/// Only for values that [`super::skip`] has passed: what is malformed reads as `null`.
pub(crate) fn to_json(values: &Bytes) -> (String, Vec<Bytes>) {
    let mut writer = JsonWriter {
        text: String::with_capacity(values.len() + values.len() / 2),
        attachments: Vec::new(),
        values,
    };
    let mut reader = Reader::new(values);
    while reader.left() > 0 {
        if !writer.text.is_empty() {
            writer.text.push(',');
        }
        writer.value(&mut reader);
    }
    (writer.text, writer.attachments)
}

struct JsonWriter<'a> {
    text: String,
    attachments: Vec<Bytes>,
    values: &'a Bytes,
}

impl JsonWriter<'_> {
    fn value(&mut self, reader: &mut Reader<'_>) {
        let item = reader.item().unwrap_or(Item::Nil);
        self.item(item, reader);
    }

    fn item(&mut self, item: Item<'_>, reader: &mut Reader<'_>) {
        match item {
            Item::Nil | Item::Undefined => self.text.push_str("null"),
            Item::Bool(value) => self.text.push_str(if value { "true" } else { "false" }),
            Item::Text(text) => json::write_str(&mut self.text, text),
            Item::Unsigned(_) | Item::Signed(_) | Item::Float(_) => {
                self.text.push_str(&number_text(item));
            }
            Item::Date(ms) => match iso_text(ms) {
                Some(text) => json::write_str(&mut self.text, &text),
                None => self.text.push_str("null"),
            },
            Item::Binary(bytes) => self.binary(bytes),
            Item::Extension(kind, bytes) => {
                self.text.push('[');
                self.print(kind);
                self.text.push(',');
                self.binary(bytes);
                self.text.push(']');
            }
            Item::Array(count) => self.array(count, reader),
            Item::Map(count) => self.map(count, reader),
        }
    }

    fn array(&mut self, count: u32, reader: &mut Reader<'_>) {
        self.text.push('[');
        for index in 0..count {
            if index > 0 {
                self.text.push(',');
            }
            self.value(reader);
        }
        self.text.push(']');
    }

    fn map(&mut self, count: u32, reader: &mut Reader<'_>) {
        self.text.push('{');
        let mut is_first = true;
        for _ in 0..count {
            let key = reader.item().unwrap_or(Item::Nil);
            let value = reader.item().unwrap_or(Item::Nil);
            // As in JavaScript, a property that is undefined is left out.
            if value == Item::Undefined {
                continue;
            }
            if !is_first {
                self.text.push(',');
            }
            is_first = false;
            match key {
                Item::Text(text) => json::write_str(&mut self.text, text),
                Item::Bool(value) => self.print(format_args!("\"{value}\"")),
                Item::Unsigned(_) | Item::Signed(_) | Item::Float(_) => {
                    self.print(format_args!("\"{}\"", number_text(key)));
                }
                _ => self.text.push_str("\"null\""),
            }
            self.text.push(':');
            self.item(value, reader);
        }
        self.text.push('}');
    }

    fn binary(&mut self, bytes: &[u8]) {
        let number = self.attachments.len();
        self.print(format_args!("{{\"_placeholder\":true,\"num\":{number}}}"));
        self.attachments.push(self.values.slice_ref(bytes));
    }

    fn print(&mut self, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
    }
}

/// A number as `JSON.stringify` writes it: `null` for what JSON has no number for.
pub(crate) fn number_text(item: Item<'_>) -> String {
    match item {
        Item::Unsigned(value) => value.to_string(),
        Item::Signed(value) => value.to_string(),
        // "-0" is printed as "0", as JavaScript does.
        Item::Float(0.0) => "0".to_owned(),
        Item::Float(value) if !value.is_finite() => "null".to_owned(),
        Item::Float(value) if (1e-6..1e21).contains(&value.abs()) => value.to_string(),
        Item::Float(value) if value.abs() < 1.0 => format!("{value:e}"),
        Item::Float(value) => format!("{value:e}").replace('e', "e+"),
        _ => "null".to_owned(),
    }
}
