//! Reading arguments: one after the other, so that a mistake has a number.

use bytes::Bytes;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::ArgsError;
use crate::json::Scanner;

mod attached;

use attached::Attached;

/// Reads `elements`, the inside of a valid JSON array.
pub(super) fn parse<'de, T: Deserialize<'de>>(
    elements: &'de str,
    attachments: &'de [Bytes],
) -> Result<T, ArgsError> {
    T::deserialize(List { text: elements, scanner: Scanner::elements(elements), attachments })
}

/// The arguments that are left.
struct List<'de> {
    text: &'de str,
    scanner: Scanner<'de>,
    attachments: &'de [Bytes],
}

impl<'de> List<'de> {
    /// The next argument's text; `None` after the last.
    fn next_text(&mut self) -> Option<&'de str> {
        let range = self.scanner.next_element().ok()??;
        self.text.get(range)
    }
}

/// Reads one argument with `$call`, whatever stands behind it.
macro_rules! read {
    ($list:expr, $text:expr, $index:expr, |$deserializer:ident| $call:expr) => {
        match $text {
            None => {
                let $deserializer = Missing;
                $call
            }
            Some(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                if $list.attachments.is_empty() {
                    let $deserializer = &mut json;
                    $call
                } else {
                    let $deserializer =
                        Attached { inner: &mut json, attachments: $list.attachments };
                    $call
                }
            }
        }
        .map_err(|source| ArgsError::Argument { index: $index, source })
    };
}

/// Requests for one value: the first argument is meant.
macro_rules! first_argument {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(
            mut self,
            $($name: $kind,)*
            visitor: V,
        ) -> Result<V::Value, ArgsError> {
            let text = self.next_text();
            read!(self, text, 0, |deserializer| deserializer.$method($($name,)* visitor))
        })*
    };
}

impl<'de> Deserializer<'de> for List<'de> {
    type Error = ArgsError;

    first_argument! {
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_map();
        deserialize_identifier();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(Sequence { list: self, index: 0, expected: 0 })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        expected: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(Sequence { list: self, index: 0, expected })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        expected: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.deserialize_tuple(expected, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ArgsError> {
        let text = self.next_text();
        read!(self, text, 0, |deserializer| deserializer.deserialize_option(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }
}

/// The arguments as a sequence: a tuple reads missing ones as [`Missing`].
struct Sequence<'de> {
    list: List<'de>,
    index: usize,
    expected: usize,
}

impl<'de> SeqAccess<'de> for Sequence<'de> {
    type Error = ArgsError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ArgsError> {
        let text = self.list.next_text();
        let index = self.index;
        if text.is_none() && index >= self.expected {
            return Ok(None);
        }
        self.index += 1;
        read!(self.list, text, index, |deserializer| seed.deserialize(deserializer)).map(Some)
    }
}

/// An argument that was not given: `undefined` in JavaScript.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::invalid_type(Unexpected::Other("no argument"), &visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl de::Error for ArgsError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Whole(message.to_string())
    }
}
