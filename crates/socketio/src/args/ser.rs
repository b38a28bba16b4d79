//! Serialising arguments: JSON by `serde_json`, with bytes taken out as attachments.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use serde::ser::{self, Serialize, SerializeMap, Serializer};

use super::{EncodeError, MAX_ATTACHMENTS};
use crate::placeholder;

/// The JSON text of a value, and the bytes that were taken out of it.
pub(super) fn collect<T: Serialize + ?Sized>(
    value: &T,
) -> Result<(String, Vec<Bytes>), EncodeError> {
    let found = Found::default();
    let text = serde_json::to_string(&Searched { value, found: &found })?;
    if found.too_many.get() {
        return Err(EncodeError::TooManyAttachments);
    }
    Ok((text, found.attachments.into_inner()))
}

#[derive(Default)]
struct Found {
    attachments: RefCell<Vec<Bytes>>,
    too_many: Cell<bool>,
}

/// A value whose bytes are taken out when it is serialised.
struct Searched<'a, T: ?Sized> {
    value: &'a T,
    found: &'a Found,
}

impl<T: Serialize + ?Sized> Serialize for Searched<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Searching { inner: serializer, found: self.found })
    }
}

/// A serializer, or a part of one, that passes everything on but bytes.
struct Searching<'a, S> {
    inner: S,
    found: &'a Found,
}

macro_rules! pass_on {
    ($($method:ident($kind:ty);)*) => {
        $(fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

impl<'a, S: Serializer> Serializer for Searching<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Searching<'a, S::SerializeSeq>;
    type SerializeTuple = Searching<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Searching<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Searching<'a, S::SerializeTupleVariant>;
    type SerializeMap = Searching<'a, S::SerializeMap>;
    type SerializeStruct = Searching<'a, S::SerializeStruct>;
    type SerializeStructVariant = Searching<'a, S::SerializeStructVariant>;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let number = self.found.attachments.borrow().len();
        if number == MAX_ATTACHMENTS {
            self.found.too_many.set(true);
        } else {
            self.found.attachments.borrow_mut().push(Bytes::copy_from_slice(bytes));
        }
        let mut map = self.inner.serialize_map(Some(2))?;
        map.serialize_entry(placeholder::MARK, &true)?;
        map.serialize_entry(placeholder::NUMBER, &number)?;
        map.end()
    }

    pass_on! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_unit_struct(&'static str);
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Searched { value, found: self.found })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Searched { value, found: self.found })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Searched { value, found: self.found };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(Searching { inner: self.inner.serialize_seq(len)?, found: self.found })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Searching { inner: self.inner.serialize_tuple(len)?, found: self.found })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Ok(Searching { inner: self.inner.serialize_tuple_struct(name, len)?, found: self.found })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let inner = self.inner.serialize_tuple_variant(name, index, variant, len)?;
        Ok(Searching { inner, found: self.found })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(Searching { inner: self.inner.serialize_map(len)?, found: self.found })
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Searching { inner: self.inner.serialize_struct(name, len)?, found: self.found })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let inner = self.inner.serialize_struct_variant(name, index, variant, len)?;
        Ok(Searching { inner, found: self.found })
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// One element of a container, without a name.
macro_rules! elements {
    ($($which:ident: $method:ident;)*) => {
        $(impl<S: ser::$which> ser::$which for Searching<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&Searched { value, found: self.found })
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

elements! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

/// One named field of a container.
macro_rules! fields {
    ($($which:ident)*) => {
        $(impl<S: ser::$which> ser::$which for Searching<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.inner.serialize_field(key, &Searched { value, found: self.found })
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for Searching<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    // A key stays as it is: bytes as a key are an error in JSON.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Searched { value, found: self.found })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
