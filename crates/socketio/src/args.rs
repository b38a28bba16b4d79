//! The arguments of an event or of an acknowledgement.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::json::{JsonError, Scanner, Token, write_str};
use crate::msgpack::{self, Packer};
use crate::placeholder::{self, PlaceholderError};
use crate::text::SharedStr;

mod de;
mod ser;

/// The most attachments that one list of our own arguments may have.
///
/// A sane bound, not the protocol's: current JavaScript clients refuse a packet with more than 10
/// unless told otherwise, older ones take any number.
pub const MAX_ATTACHMENTS: usize = 255;

/// The arguments of an event (without its name) or of an acknowledgement, as they stand on the
/// wire.
///
/// Nobody decodes what nobody reads: what arrived as JSON stays the text that arrived, byte for
/// byte, and goes out as such; binary arguments are placeholders in the text,
/// `{"_placeholder":true,"num":0}`, and a list of [`Attachments`]. What arrived as `MessagePack`
/// stays `MessagePack`, so that dates and `undefined` survive a relay; it is turned into JSON only
/// when somebody asks for JSON, as `JSON.stringify` would write it (a date as its ISO text, an
/// infinite number as `null`). The other way round happens when JSON arguments go out to
/// `MessagePack` clients.
///
/// Always true: the encoding is valid, at most [`crate::MAX_DEPTH`] levels deep with the array
/// of the arguments itself, and when there are attachments, each thing that looks like a
/// placeholder is one. Without attachments such an object is data and passes untouched.
///
/// Cloning counts references.
#[derive(Clone)]
pub struct Args(Repr);

#[derive(Clone)]
enum Repr {
    Json { elements: SharedStr, count: u32, attachments: Attachments },
    MsgPack { elements: Bytes, count: u32 },
}

/// A shared list of binary attachments, usually empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attachments(Option<Arc<[Bytes]>>);

/// Why our own arguments could not be encoded: a fault of the calling code.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A value refused to be serialised, or JSON cannot express it (a map whose keys are no
    /// strings).
    #[error("the arguments cannot be serialised: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The text is not JSON, or not an array.
    #[error("the arguments are not a JSON array")]
    NotAnArray,
    /// The bytes are not `MessagePack` that this crate reads.
    #[error("the arguments are not valid MessagePack")]
    MalformedMsgPack,
    /// The arguments are nested deeper than [`crate::MAX_DEPTH`].
    #[error("the arguments are nested too deeply (limit {})", crate::MAX_DEPTH)]
    TooDeep,
    /// There are more than [`MAX_ATTACHMENTS`] attachments.
    #[error("too many attachments (limit {MAX_ATTACHMENTS})")]
    TooManyAttachments,
    /// Beside real attachments there is data that looks like a placeholder: receivers could not
    /// tell them apart, and close the connection when its number is out of range.
    #[error("arguments with attachments contain an object that looks like a placeholder")]
    AmbiguousPlaceholder,
    /// The arguments are larger than 4 GiB.
    #[error("the arguments are larger than 4 GiB")]
    TooLarge,
}

/// Why arguments are not what the handler takes: usually the client's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// One argument has another type than expected, or is missing.
    #[error("argument {}: {source}", index + 1)]
    Argument {
        /// Which argument, from 0.
        index: usize,
        /// What was found and what was expected.
        source: serde_json::Error,
    },
    /// The arguments as a whole do not fit.
    #[error("arguments: {0}")]
    Whole(String),
}

impl Args {
    /// No arguments.
    #[must_use]
    pub fn none() -> Self {
        Self::json_parts(SharedStr::default(), 0, Attachments::default())
    }

    /// Serialises arguments: a tuple, a vector or another sequence is one argument per element;
    /// `()` and `None` are no arguments; anything else is one argument.
    ///
    /// Bytes at any depth (`bytes::Bytes`, `serde_bytes`: whatever calls `serialize_bytes`)
    /// become attachments, in the order in which they are met. A `Vec<u8>` without `serde_bytes`
    /// is an array of numbers. A `serde_json::value::RawValue` passes through.
    ///
    /// ```
    /// # use fanfare_socketio as socketio;
    /// let args = socketio::Args::of(&("hello", 1, [true]))?;
    /// assert_eq!(args.json(), r#""hello",1,[true]"#);
    /// # Ok::<(), socketio::EncodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a value cannot be JSON, is nested too deeply, has too many attachments, or has data
    /// that looks like a placeholder beside real attachments.
    pub fn of<T: Serialize + ?Sized>(args: &T) -> Result<Self, EncodeError> {
        let (text, attachments) = ser::collect(args)?;
        let expected = attachments.len();
        let (args, placeholders) = match text.as_bytes().first() {
            Some(b'[') => Self::checked(&text, attachments)?,
            _ if text == "null" => (Self::none(), 0),
            _ => Self::checked(&format!("[{text}]"), attachments)?,
        };
        if placeholders == expected { Ok(args) } else { Err(EncodeError::AmbiguousPlaceholder) }
    }

    /// Takes arguments that are a JSON array already, `["hello",1]`, with their attachments.
    ///
    /// # Errors
    ///
    /// When the text is not a JSON array or is nested too deeply, or a placeholder beside
    /// attachments names none of them.
    pub fn from_json(array: &str, attachments: Vec<Bytes>) -> Result<Self, EncodeError> {
        Self::checked(array, attachments).map(|(args, _)| args)
    }

    /// The arguments and how many placeholders they have beside attachments.
    fn checked(array: &str, attachments: Vec<Bytes>) -> Result<(Self, usize), EncodeError> {
        if array.len() > u32::MAX as usize {
            return Err(EncodeError::TooLarge);
        }
        let inner = array
            .trim_ascii()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or(EncodeError::NotAnArray)?
            .trim_ascii();
        let mut count = 0;
        let mut scanner = Scanner::elements(inner);
        while scanner.next_element()?.is_some() {
            count += 1;
        }
        if attachments.len() > MAX_ATTACHMENTS {
            return Err(EncodeError::TooManyAttachments);
        }
        let mut placeholders = 0;
        if !attachments.is_empty() {
            placeholder::check(inner, attachments.len(), |_| placeholders += 1)?;
        }
        let args = Self::json_parts(SharedStr::from(inner), count, attachments.into());
        Ok((args, placeholders))
    }

    /// Takes arguments that are a `MessagePack` array.
    ///
    /// # Errors
    ///
    /// When the bytes are not one `MessagePack` array that this crate reads (see
    /// [`crate::Violation::MalformedMsgPack`]), or are nested too deeply.
    pub fn from_msgpack(array: &Bytes) -> Result<Self, EncodeError> {
        msgpack::args_of_array(array)
    }

    pub(crate) const fn json_parts(
        elements: SharedStr,
        count: u32,
        attachments: Attachments,
    ) -> Self {
        Self(Repr::Json { elements, count, attachments })
    }

    pub(crate) const fn msgpack_parts(elements: Bytes, count: u32) -> Self {
        Self(Repr::MsgPack { elements, count })
    }

    /// Adds the attachments that the placeholders were checked against.
    pub(crate) fn attach(&mut self, list: Attachments) {
        if let Repr::Json { attachments, .. } = &mut self.0 {
            *attachments = list;
        }
    }

    /// How many arguments there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.0 {
            Repr::Json { count, .. } | Repr::MsgPack { count, .. } => *count as usize,
        }
    }

    /// Whether there are no arguments.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arguments as JSON without the brackets of their array: `"hello",1`.
    ///
    /// Free when they are JSON. `MessagePack` is converted at each call: with attachments, or for
    /// more than one look, take [`Args::to_json`] first.
    #[must_use]
    pub fn json(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Json { elements, .. } => Cow::Borrowed(elements),
            Repr::MsgPack { elements, .. } => Cow::Owned(msgpack::to_json(elements).0),
        }
    }

    /// The same with something else in the place of each placeholder: what `write` appends, which
    /// must be JSON. For peers that take JSON alone.
    #[must_use]
    pub fn json_with(&self, mut write: impl FnMut(&Bytes, &mut String)) -> Cow<'_, str> {
        let (elements, attachments) = match &self.0 {
            Repr::Json { elements, attachments, .. } => {
                (Cow::Borrowed(elements.as_str()), attachments.clone())
            }
            Repr::MsgPack { elements, .. } => {
                let (text, attachments) = msgpack::to_json(elements);
                (Cow::Owned(text), attachments.into())
            }
        };
        if attachments.is_empty() {
            return elements;
        }
        let (mut text, mut copied) = (String::new(), 0);
        let mut scanner = Scanner::elements(&elements);
        while let Ok(Some(token)) = scanner.next() {
            let start = scanner.position();
            if token == Token::ObjectStart
                && let Some(number) = placeholder::enter(&mut scanner)
                && let Some(attachment) = attachments.get(number)
            {
                // Behind the brace that was read.
                text.push_str(elements.get(copied..start.saturating_sub(1)).unwrap_or_default());
                write(attachment, &mut text);
                copied = scanner.position();
            }
        }
        text.push_str(elements.get(copied..).unwrap_or_default());
        Cow::Owned(text)
    }

    /// The binary attachments, by the numbers in the placeholders.
    #[must_use]
    pub fn attachments(&self) -> Attachments {
        match &self.0 {
            Repr::Json { attachments, .. } => attachments.clone(),
            Repr::MsgPack { elements, .. } => msgpack::to_json(elements).1.into(),
        }
    }

    /// The same arguments, held as JSON: free when they are.
    #[must_use]
    pub fn to_json(&self) -> Self {
        match &self.0 {
            Repr::Json { .. } => self.clone(),
            Repr::MsgPack { elements, count } => {
                let (text, attachments) = msgpack::to_json(elements);
                Self::json_parts(SharedStr::from(text.as_str()), *count, attachments.into())
            }
        }
    }

    /// The arguments as `MessagePack` values, one after the other, without the array's header.
    ///
    /// Free when they are `MessagePack`.
    #[must_use]
    pub fn msgpack(&self) -> Bytes {
        match &self.0 {
            Repr::MsgPack { elements, .. } => elements.clone(),
            Repr::Json { elements, attachments, .. } => {
                Bytes::from(msgpack::from_json(elements, attachments))
            }
        }
    }

    /// Whether the arguments are held as `MessagePack`.
    #[must_use]
    pub const fn is_msgpack(&self) -> bool {
        matches!(self.0, Repr::MsgPack { .. })
    }

    /// The bytes held, attachments included: what a queue counts.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            Repr::Json { elements, attachments, .. } => {
                elements.len() + attachments.iter().map(Bytes::len).sum::<usize>()
            }
            Repr::MsgPack { elements, .. } => elements.len(),
        }
    }

    /// The arguments as a handler takes them.
    ///
    /// A tuple takes one argument per element, `Vec<T>` all of them, `()` none; any other type
    /// takes the first argument. As in JavaScript, arguments beyond what is taken are ignored, and
    /// a missing one reads as `None` where an `Option` is taken. Where bytes are taken
    /// (`bytes::Bytes`, `serde_bytes`), a placeholder gives its attachment; under types that serde
    /// reads in two steps (untagged and internally tagged enums, `flatten`) it stays an object.
    ///
    /// ```
    /// # use fanfare_socketio as socketio;
    /// let args = socketio::Args::of(&("hello", 1))?;
    /// let (text, number, rest): (String, u32, Option<bool>) = args.parse()?;
    /// let error = args.parse::<(String, String)>().unwrap_err();
    /// assert!(error.to_string().starts_with("argument 2: invalid type: integer `1`, expected a string"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Which argument did not fit, what it was and what was expected.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        match &self.0 {
            Repr::Json { elements, attachments, .. } => de::parse(elements, attachments),
            Repr::MsgPack { elements, .. } => {
                let (text, attachments) = msgpack::to_json(elements);
                de::parse(&text, &attachments)
            }
        }
    }

    /// The same arguments with one string more.
    #[must_use]
    pub fn with_last_string(&self, last: &str) -> Self {
        match &self.0 {
            Repr::Json { elements, count, attachments } => {
                let mut text = String::with_capacity(elements.len() + last.len() + 3);
                text.push_str(elements);
                if !text.is_empty() {
                    text.push(',');
                }
                write_str(&mut text, last);
                let elements = SharedStr::from(text.as_str());
                Self::json_parts(elements, count.saturating_add(1), attachments.clone())
            }
            Repr::MsgPack { elements, count } => {
                let mut packer = Packer::with_capacity(elements.len() + last.len() + 5);
                packer.encoded(elements);
                packer.text(last);
                Self::msgpack_parts(packer.into_bytes().into(), count.saturating_add(1))
            }
        }
    }
}

impl Default for Args {
    fn default() -> Self {
        Self::none()
    }
}

impl PartialEq for Args {
    /// The same encoding, byte for byte.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Repr::Json { elements, attachments, .. },
                Repr::Json { elements: theirs, attachments: their_attachments, .. },
            ) => elements == theirs && attachments == their_attachments,
            (Repr::MsgPack { elements, .. }, Repr::MsgPack { elements: theirs, .. }) => {
                elements == theirs
            }
            _ => false,
        }
    }
}

impl Eq for Args {}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Args[{}]", self.json())?;
        match self.attachments().len() {
            0 => Ok(()),
            count => write!(f, " + {count} attachments"),
        }
    }
}

impl Attachments {
    /// The attachments as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Bytes] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Deref for Attachments {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        self.as_slice()
    }
}

impl From<Vec<Bytes>> for Attachments {
    fn from(attachments: Vec<Bytes>) -> Self {
        if attachments.is_empty() { Self(None) } else { Self(Some(attachments.into())) }
    }
}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl From<JsonError> for EncodeError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed => Self::NotAnArray,
            JsonError::TooDeep => Self::TooDeep,
        }
    }
}

impl From<PlaceholderError> for EncodeError {
    fn from(error: PlaceholderError) -> Self {
        match error {
            PlaceholderError::Json(error) => error.into(),
            PlaceholderError::Illegal => Self::AmbiguousPlaceholder,
        }
    }
}

#[cfg(test)]
mod tests;
