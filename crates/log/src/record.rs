//! What is appended, and what is read back.

use std::sync::Arc;

use bytes::Bytes;

use crate::Position;

/// The longest name of a namespace, a room or an event, and the longest idempotency key, in bytes: as
/// long as a namespace of Socket.IO may be.
pub const MAX_NAME_BYTES: usize = 256;

/// The most rooms one record may name, in `rooms` and in `except` each.
///
/// Each room costs an index entry; an audience larger than this has a room of its own.
pub const MAX_RECORD_ROOMS: usize = 1024;

/// The largest payload of a record, in bytes: 16 MiB, above any sensible message limit.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// What is appended: one event and whom it was meant for. Name and payload are opaque to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The namespace. Rooms of the same name in two namespaces are two rooms.
    pub namespace: Arc<str>,
    /// The rooms it is meant for. None at all means everyone in the namespace.
    pub rooms: Arc<[Arc<str>]>,
    /// The rooms whose members are left out. They do not index the entry.
    pub except: Arc<[Arc<str>]>,
    /// The name of the event.
    pub name: Arc<str>,
    /// The encoded arguments.
    pub payload: Bytes,
    /// When it was published, in milliseconds since the Unix epoch, by the caller's clock.
    /// Retention by age and the age of idempotency keys are counted from it.
    pub time_ms: u64,
    /// Makes a retry safe: a second record with the same key in the same namespace is not
    /// appended, and its answer is the position of the first.
    pub key: Option<Arc<str>>,
}

/// A record that has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What was appended.
    pub record: Record,
}

/// Why a record cannot be appended. The caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A namespace, room or event name, or a key, of more than [`MAX_NAME_BYTES`].
    #[error("a name or key has {0} bytes, the limit is {MAX_NAME_BYTES}")]
    NameTooLong(usize),
    /// A room or a key without a character.
    #[error("a room name or a key is empty")]
    EmptyName,
    /// More than [`MAX_RECORD_ROOMS`].
    #[error("a record names {0} rooms, the limit is {MAX_RECORD_ROOMS}")]
    TooManyRooms(usize),
    /// More than [`MAX_PAYLOAD_BYTES`].
    #[error("a payload has {0} bytes, the limit is {MAX_PAYLOAD_BYTES}")]
    PayloadTooLarge(usize),
    /// Later than the year 292 million: a clock that is wrong.
    #[error("the time of a record does not fit 63 bits")]
    Time,
}

impl Record {
    /// Whether it is within the limits of the log.
    ///
    /// # Errors
    ///
    /// The first limit that it exceeds.
    pub fn check(&self) -> Result<(), RecordError> {
        for name in [&self.namespace, &self.name] {
            if name.len() > MAX_NAME_BYTES {
                return Err(RecordError::NameTooLong(name.len()));
            }
        }
        for rooms in [&self.rooms, &self.except] {
            if rooms.len() > MAX_RECORD_ROOMS {
                return Err(RecordError::TooManyRooms(rooms.len()));
            }
        }
        for name in self.rooms.iter().chain(self.except.iter()).chain(&self.key) {
            match name.len() {
                0 => return Err(RecordError::EmptyName),
                1..=MAX_NAME_BYTES => {}
                long => return Err(RecordError::NameTooLong(long)),
            }
        }
        if self.payload.len() > MAX_PAYLOAD_BYTES {
            return Err(RecordError::PayloadTooLarge(self.payload.len()));
        }
        if i64::try_from(self.time_ms).is_err() {
            return Err(RecordError::Time);
        }
        Ok(())
    }

    /// What it costs in retention, in bytes: names, key and payload, without the store's overhead.
    /// The same in each form of the log, so that both keep the same entries.
    #[must_use]
    pub fn cost_bytes(&self) -> u64 {
        let rooms = self.rooms.iter().chain(self.except.iter()).map(|room| room.len());
        let names = self.namespace.len() + self.name.len() + rooms.sum::<usize>();
        (names + self.key.as_ref().map_or(0, |key| key.len()) + self.payload.len()) as u64
    }

    /// The names it is indexed under: its rooms, each once, or [`EVERYONE`] when it names none.
    pub(crate) fn index_rooms(&self) -> impl Iterator<Item = &str> {
        let everyone = self.rooms.is_empty().then_some(EVERYONE);
        let rooms = self.rooms.iter().enumerate();
        let first = rooms.filter(|(at, room)| !self.rooms.iter().take(*at).any(|r| r == *room));
        everyone.into_iter().chain(first.map(|(_, room)| &**room))
    }
}

/// Under this name an entry without a room is indexed. No room has an empty name.
pub(crate) const EVERYONE: &str = "";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record for tests: namespace `/`, the given rooms, the payload's text.
    pub(crate) fn record(rooms: &[&str], payload: &str) -> Record {
        Record {
            namespace: "/".into(),
            rooms: rooms.iter().map(|room| Arc::from(*room)).collect(),
            except: Arc::default(),
            name: "said".into(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            time_ms: 1,
            key: None,
        }
    }

    #[test]
    fn each_limit_of_a_record_has_its_error() {
        let long = "x".repeat(257);
        let many: Vec<&str> = vec!["r"; MAX_RECORD_ROOMS + 1];
        let with_key = |key: &str| Record { key: Some(key.into()), ..record(&[], "") };
        let cases = [
            (record(&[], ""), Ok(())),
            (record(&[&long[1..]], "x"), Ok(())),
            (record(&[&long], ""), Err(RecordError::NameTooLong(257))),
            (record(&[""], ""), Err(RecordError::EmptyName)),
            (record(&many, ""), Err(RecordError::TooManyRooms(1025))),
            (with_key(""), Err(RecordError::EmptyName)),
            (with_key(&long), Err(RecordError::NameTooLong(257))),
            (
                Record { name: long.as_str().into(), ..record(&[], "") },
                Err(RecordError::NameTooLong(257)),
            ),
            (Record { time_ms: u64::MAX, ..record(&[], "") }, Err(RecordError::Time)),
        ];
        for (record, want) in cases {
            assert_eq!(record.check(), want);
        }
    }

    #[test]
    fn a_room_named_twice_is_indexed_once() {
        let names = |record: &Record| record.index_rooms().map(String::from).collect::<Vec<_>>();
        assert_eq!(names(&record(&["a", "b", "a"], "")), ["a", "b"]);
        assert_eq!(names(&record(&[], "")), [EVERYONE]);
    }
}
