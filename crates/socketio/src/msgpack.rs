//! `MessagePack` as `socket.io-msgpack-parser` writes and reads it (with `notepack.io`).
//!
//! Beside the plain types, `notepack.io` has three extensions of type 0: `undefined` (one byte), a
//! date in milliseconds (eight bytes) and an `ArrayBuffer` (any length, in the long form). Another
//! extension reads there as the pair of its type and its bytes, and so it does here.

use bytes::Bytes;

use crate::args::{Args, EncodeError, MAX_ATTACHMENTS};
use crate::json::MAX_DEPTH;
use crate::placeholder;

mod date;
mod from_json;
mod read;
mod to_json;
mod write;

pub(crate) use from_json::from_json;
pub(crate) use read::{Item, Reader};
pub(crate) use to_json::{number_text, to_json};
pub(crate) use write::Packer;

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MsgPackError {
    /// They are not what this crate reads as `MessagePack`.
    Malformed,
    /// They are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// They contain more than [`MAX_ATTACHMENTS`] binary values.
    TooManyAttachments,
    /// Beside binary values there is a map that would look like a placeholder in JSON.
    AmbiguousPlaceholder,
}

/// What was met in a value on the way.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Binary values.
    pub(crate) binaries: usize,
    /// A map that looks like a placeholder.
    placeholder: bool,
}

impl Facts {
    fn binary(&mut self) -> Result<(), MsgPackError> {
        self.binaries += 1;
        if self.binaries > MAX_ATTACHMENTS {
            return Err(MsgPackError::TooManyAttachments);
        }
        Ok(())
    }

    /// Checks that the value can be JSON with attachments.
    pub(crate) const fn check(&self) -> Result<(), MsgPackError> {
        if self.binaries > 0 && self.placeholder {
            return Err(MsgPackError::AmbiguousPlaceholder);
        }
        Ok(())
    }
}

/// Passes over one value at `depth` containers and checks it.
pub(crate) fn skip(
    reader: &mut Reader<'_>,
    depth: u32,
    facts: &mut Facts,
) -> Result<(), MsgPackError> {
    let item = reader.item()?;
    skip_rest_of(item, reader, depth, facts)
}

fn skip_rest_of(
    item: Item<'_>,
    reader: &mut Reader<'_>,
    depth: u32,
    facts: &mut Facts,
) -> Result<(), MsgPackError> {
    match item {
        Item::Binary(_) | Item::Extension(..) => facts.binary(),
        Item::Array(count) => {
            let depth = deeper(depth)?;
            (0..count).try_for_each(|_| skip(reader, depth, facts))
        }
        Item::Map(count) => {
            let depth = deeper(depth)?;
            for _ in 0..count {
                let key = reader.item()?;
                if !key.is_key() {
                    return Err(MsgPackError::Malformed);
                }
                let value = reader.item()?;
                if key == Item::Text(placeholder::MARK) && value == Item::Bool(true) {
                    facts.placeholder = true;
                }
                skip_rest_of(value, reader, depth, facts)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

const fn deeper(depth: u32) -> Result<u32, MsgPackError> {
    if depth == MAX_DEPTH { Err(MsgPackError::TooDeep) } else { Ok(depth + 1) }
}

/// The arguments in a `MessagePack` array.
pub(crate) fn args_of_array(array: &Bytes) -> Result<Args, EncodeError> {
    let mut reader = Reader::new(array);
    let Item::Array(count) = reader.item()? else { return Err(EncodeError::NotAnArray) };
    let start = array.len() - reader.left();
    let mut facts = Facts::default();
    for _ in 0..count {
        skip(&mut reader, 1, &mut facts)?;
    }
    facts.check()?;
    if reader.left() > 0 {
        return Err(EncodeError::MalformedMsgPack);
    }
    Ok(Args::msgpack_parts(array.slice(start..), count))
}

impl From<MsgPackError> for EncodeError {
    fn from(error: MsgPackError) -> Self {
        match error {
            MsgPackError::Malformed => Self::MalformedMsgPack,
            MsgPackError::TooDeep => Self::TooDeep,
            MsgPackError::TooManyAttachments => Self::TooManyAttachments,
            MsgPackError::AmbiguousPlaceholder => Self::AmbiguousPlaceholder,
        }
    }
}

#[cfg(test)]
mod tests;
