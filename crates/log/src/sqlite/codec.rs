//! Records and sessions as bytes, each with a checksum.
//!
//! A body is a CRC-32 over its place (sequence or key) and the rest, then a version, then fields:
//! numbers little-endian, texts and bytes after their length. The place is part of the sum, so a
//! body that was put elsewhere is found out.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::{MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_RECORD_ROOMS};
use crate::session::{MAX_SESSION_ROOMS, MAX_SESSION_STATE_BYTES};
use crate::{Epoch, Position, Record, Session, SessionKey, SessionRoom};

const VERSION: u8 = 1;

/// What is stored is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// The checksum over parts.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Puts a body's checksum before it.
fn seal(place: &[u8], body: &mut [u8]) {
    if let Some((sum, rest)) = body.split_first_chunk_mut::<4>() {
        *sum = checksum(&[place, rest]).to_le_bytes();
    }
}

/// A reader over a sealed body, once its checksum is right.
fn unseal<'a>(place: &[u8], body: &'a [u8]) -> Result<Fields<'a>, Damaged> {
    let (sum, rest) = body.split_first_chunk::<4>().ok_or(Damaged)?;
    if u32::from_le_bytes(*sum) != checksum(&[place, rest]) {
        return Err(Damaged);
    }
    let mut fields = Fields(rest);
    if fields.byte()? == VERSION { Ok(fields) } else { Err(Damaged) }
}

fn text(body: &mut Vec<u8>, text: &str) {
    blob(body, text.as_bytes());
}

fn blob(body: &mut Vec<u8>, bytes: &[u8]) {
    count(body, bytes.len());
    body.extend_from_slice(bytes);
}

/// A length. The limits of records and sessions are far below 32 bits.
fn count(body: &mut Vec<u8>, count: usize) {
    body.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn option(body: &mut Vec<u8>, value: Option<&str>) {
    body.push(u8::from(value.is_some()));
    if let Some(value) = value {
        text(body, value);
    }
}

/// The body of a record at its sequence, into `body`, which is cleared.
pub(super) fn encode_record(record: &Record, sequence: u64, body: &mut Vec<u8>) {
    body.clear();
    body.extend_from_slice(&[0, 0, 0, 0, VERSION]);
    body.extend_from_slice(&record.time_ms.to_le_bytes());
    text(body, &record.namespace);
    for rooms in [&record.rooms, &record.except] {
        count(body, rooms.len());
        rooms.iter().for_each(|room| text(body, room));
    }
    text(body, &record.name);
    option(body, record.key.as_deref());
    blob(body, &record.payload);
    seal(&sequence.to_le_bytes(), body);
}

/// The record of a body at its sequence.
pub(super) fn decode_record(sequence: u64, body: &[u8]) -> Result<Record, Damaged> {
    let mut fields = unseal(&sequence.to_le_bytes(), body)?;
    let time_ms = fields.number()?;
    let namespace = fields.text()?;
    let mut rooms = || -> Result<Arc<[Arc<str>]>, Damaged> {
        let count = fields.count(MAX_RECORD_ROOMS)?;
        (0..count).map(|_| fields.text()).collect()
    };
    let (rooms, except) = (rooms()?, rooms()?);
    let name = fields.text()?;
    let key = fields.option()?;
    let payload = Bytes::copy_from_slice(fields.blob(MAX_PAYLOAD_BYTES)?);
    fields.end()?;
    Ok(Record { namespace, rooms, except, name, payload, time_ms, key })
}

/// The body of a session under its key.
pub(super) fn encode_session(session: &Session) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, VERSION];
    let numbers = [session.fence, session.time_ms, session.start.epoch.0, session.start.sequence];
    for number in numbers {
        body.extend_from_slice(&number.to_le_bytes());
    }
    text(&mut body, &session.socket);
    option(&mut body, session.subject.as_deref());
    text(&mut body, &session.namespace);
    count(&mut body, session.rooms.len());
    for room in &session.rooms {
        text(&mut body, &room.name);
        body.extend_from_slice(&room.since.to_le_bytes());
    }
    blob(&mut body, &session.state);
    seal(&session.key.0, &mut body);
    body
}

/// The session of a body under its key.
pub(super) fn decode_session(key: SessionKey, body: &[u8]) -> Result<Session, Damaged> {
    let mut fields = unseal(&key.0, body)?;
    let (fence, time_ms) = (fields.number()?, fields.number()?);
    let start = Position { epoch: Epoch(fields.number()?), sequence: fields.number()? };
    let (socket, subject, namespace) = (fields.text()?, fields.option()?, fields.text()?);
    let count = fields.count(MAX_SESSION_ROOMS)?;
    let room =
        |fields: &mut Fields<'_>| Ok(SessionRoom { name: fields.text()?, since: fields.number()? });
    let rooms = (0..count).map(|_| room(&mut fields)).collect::<Result<_, Damaged>>()?;
    let state = Bytes::copy_from_slice(fields.blob(MAX_SESSION_STATE_BYTES)?);
    fields.end()?;
    Ok(Session { key, socket, subject, namespace, rooms, start, fence, time_ms, state })
}

/// What is left of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        self.take(1)?.first().copied().ok_or(Damaged)
    }

    fn number(&mut self) -> Result<u64, Damaged> {
        let bytes = self.take(8)?.try_into().map_err(|_| Damaged)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn count(&mut self, max: usize) -> Result<usize, Damaged> {
        let bytes = self.take(4)?.try_into().map_err(|_| Damaged)?;
        let count = usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| Damaged)?;
        if count <= max { Ok(count) } else { Err(Damaged) }
    }

    fn blob(&mut self, max: usize) -> Result<&'a [u8], Damaged> {
        let count = self.count(max)?;
        self.take(count)
    }

    fn text(&mut self) -> Result<Arc<str>, Damaged> {
        let bytes = self.blob(MAX_NAME_BYTES)?;
        std::str::from_utf8(bytes).map(Arc::from).map_err(|_| Damaged)
    }

    fn option(&mut self) -> Result<Option<Arc<str>>, Damaged> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(Damaged),
        }
    }

    fn end(&self) -> Result<(), Damaged> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Record> {
        let rooms = || prop::collection::vec("[a-z]{1,4}", 0..4);
        let key = prop::option::of("[a-z]{1,3}");
        let payload = prop::collection::vec(any::<u8>(), 0..64);
        (".{0,8}", rooms(), rooms(), ".{0,8}", payload, 0..u64::MAX / 2, key).prop_map(
            |(namespace, rooms, except, name, payload, time_ms, key)| Record {
                namespace: namespace.into(),
                rooms: rooms.into_iter().map(Arc::from).collect(),
                except: except.into_iter().map(Arc::from).collect(),
                name: name.into(),
                payload: payload.into(),
                time_ms,
                key: key.map(Arc::from),
            },
        )
    }

    fn session(key: [u8; 32], rooms: &[String], subject: Option<String>, number: u64) -> Session {
        let room = |name: &String| SessionRoom { name: name.as_str().into(), since: number };
        Session {
            key: SessionKey(key),
            socket: "socket".into(),
            subject: subject.map(Arc::from),
            namespace: "/".into(),
            rooms: rooms.iter().map(room).collect(),
            start: Position { epoch: Epoch(number), sequence: 3 },
            fence: number / 2,
            time_ms: 5,
            state: Bytes::from_static(b"{}"),
        }
    }

    proptest! {
        #[test]
        fn a_record_comes_back_and_any_changed_bit_is_found(
            record in records(), sequence in 1..1_000_u64, bit in any::<prop::sample::Index>(),
        ) {
            let mut body = Vec::new();
            encode_record(&record, sequence, &mut body);
            prop_assert_eq!(decode_record(sequence, &body), Ok(record));
            prop_assert_eq!(decode_record(sequence + 1, &body), Err(Damaged));
            let bit = bit.index(body.len() * 8);
            body[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode_record(sequence, &body), Err(Damaged));
        }

        #[test]
        fn a_session_comes_back_and_any_cut_is_found(
            key in any::<[u8; 32]>(), rooms in prop::collection::vec(".{0,4}", 0..4),
            subject in prop::option::of(".{0,4}"), number in any::<u64>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let session = session(key, &rooms, subject, number);
            let body = encode_session(&session);
            prop_assert_eq!(decode_session(session.key, &body), Ok(session.clone()));
            let cut = cut.index(body.len());
            prop_assert_eq!(decode_session(session.key, &body[..cut]), Err(Damaged));
        }

        /// Even with a right checksum, any bytes are read without a panic or a large allocation.
        #[test]
        fn any_bytes_with_a_right_checksum_are_read_safely(
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut body = vec![0, 0, 0, 0, VERSION];
            body.extend_from_slice(&rest);
            seal(&1_u64.to_le_bytes(), &mut body);
            let _ = decode_record(1, &body);
            seal(&[0; 32], &mut body);
            let _ = decode_session(SessionKey([0; 32]), &body);
        }
    }
}
