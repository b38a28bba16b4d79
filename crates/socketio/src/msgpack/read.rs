//! Reading one `MessagePack` item at a time.

use rmp::Marker;

use super::MsgPackError;

/// A scalar, or the head of a container whose content follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Item<'a> {
    Nil,
    /// `undefined`, an extension of `notepack.io`.
    Undefined,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Binary(&'a [u8]),
    /// Milliseconds since 1970, an extension of `notepack.io`.
    Date(i64),
    /// An unknown extension: its type and its bytes.
    Extension(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

impl Item<'_> {
    /// Whether JavaScript makes a sensible property name of it.
    pub(crate) const fn is_key(&self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Unsigned(_)
                | Self::Signed(_)
                | Self::Float(_)
                | Self::Bool(_)
                | Self::Nil
        )
    }
}

/// The bytes that are left.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Reads a scalar or the head of a container. The announced length of a container is checked
    /// against the bytes that are left, so that nobody loops or allocates for what cannot come.
    pub(crate) fn item(&mut self) -> Result<Item<'a>, MsgPackError> {
        let [byte] = self.array()?;
        match Marker::from_u8(byte) {
            Marker::Null => Ok(Item::Nil),
            Marker::True => Ok(Item::Bool(true)),
            Marker::False => Ok(Item::Bool(false)),
            Marker::FixPos(value) => Ok(Item::Unsigned(u64::from(value))),
            Marker::FixNeg(value) => Ok(Item::Signed(i64::from(value))),
            Marker::U8 => Ok(Item::Unsigned(u64::from(u8::from_be_bytes(self.array()?)))),
            Marker::U16 => Ok(Item::Unsigned(u64::from(u16::from_be_bytes(self.array()?)))),
            Marker::U32 => Ok(Item::Unsigned(u64::from(u32::from_be_bytes(self.array()?)))),
            Marker::U64 => Ok(Item::Unsigned(u64::from_be_bytes(self.array()?))),
            Marker::I8 => Ok(Item::Signed(i64::from(i8::from_be_bytes(self.array()?)))),
            Marker::I16 => Ok(Item::Signed(i64::from(i16::from_be_bytes(self.array()?)))),
            Marker::I32 => Ok(Item::Signed(i64::from(i32::from_be_bytes(self.array()?)))),
            Marker::I64 => Ok(Item::Signed(i64::from_be_bytes(self.array()?))),
            Marker::F32 => Ok(Item::Float(f64::from(f32::from_be_bytes(self.array()?)))),
            Marker::F64 => Ok(Item::Float(f64::from_be_bytes(self.array()?))),
            Marker::FixStr(length) => self.text(u32::from(length)),
            Marker::Str8 => self.length8().and_then(|length| self.text(length)),
            Marker::Str16 => self.length16().and_then(|length| self.text(length)),
            Marker::Str32 => self.length32().and_then(|length| self.text(length)),
            Marker::Bin8 => self.length8().and_then(|length| self.binary(length)),
            Marker::Bin16 => self.length16().and_then(|length| self.binary(length)),
            Marker::Bin32 => self.length32().and_then(|length| self.binary(length)),
            Marker::FixArray(count) => self.container(u32::from(count), false),
            Marker::Array16 => self.length16().and_then(|count| self.container(count, false)),
            Marker::Array32 => self.length32().and_then(|count| self.container(count, false)),
            Marker::FixMap(count) => self.container(u32::from(count), true),
            Marker::Map16 => self.length16().and_then(|count| self.container(count, true)),
            Marker::Map32 => self.length32().and_then(|count| self.container(count, true)),
            Marker::FixExt1 => self.extension(1, false),
            Marker::FixExt2 => self.extension(2, false),
            Marker::FixExt4 => self.extension(4, false),
            Marker::FixExt8 => self.extension(8, false),
            Marker::FixExt16 => self.extension(16, false),
            Marker::Ext8 => self.length8().and_then(|length| self.extension(length, true)),
            Marker::Ext16 => self.length16().and_then(|length| self.extension(length, true)),
            Marker::Ext32 => self.length32().and_then(|length| self.extension(length, true)),
            Marker::Reserved => Err(MsgPackError::Malformed),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgPackError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(MsgPackError::Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], MsgPackError> {
        let (head, rest) =
            self.rest.split_at_checked(length as usize).ok_or(MsgPackError::Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn length8(&mut self) -> Result<u32, MsgPackError> {
        Ok(u32::from(u8::from_be_bytes(self.array()?)))
    }

    fn length16(&mut self) -> Result<u32, MsgPackError> {
        Ok(u32::from(u16::from_be_bytes(self.array()?)))
    }

    fn length32(&mut self) -> Result<u32, MsgPackError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn text(&mut self, length: u32) -> Result<Item<'a>, MsgPackError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Item::Text).map_err(|_| MsgPackError::Malformed)
    }

    fn binary(&mut self, length: u32) -> Result<Item<'a>, MsgPackError> {
        self.take(length).map(Item::Binary)
    }

    fn container(&self, count: u32, is_map: bool) -> Result<Item<'a>, MsgPackError> {
        let least = (count as usize).saturating_mul(if is_map { 2 } else { 1 });
        if least > self.rest.len() {
            return Err(MsgPackError::Malformed);
        }
        Ok(if is_map { Item::Map(count) } else { Item::Array(count) })
    }

    fn extension(&mut self, length: u32, long_form: bool) -> Result<Item<'a>, MsgPackError> {
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(length)?;
        Ok(match (kind, long_form, bytes) {
            (0, true, _) => Item::Binary(bytes),
            (0, false, [_]) => Item::Undefined,
            (0, false, &[a, b, c, d, e, f, g, h]) => {
                Item::Date(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => Item::Extension(kind, bytes),
        })
    }
}
