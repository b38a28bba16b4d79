//! Opening a log, and asking it without callbacks.

use std::sync::Arc;

use bytes::Bytes;
use eventlog::{
    AppendError, Appended, Durability, EventLog, Page, Query, Record, Scope, Session, SessionError,
    SessionKey, SessionRoom, Settings, append_wait, wait,
};

/// A form of the log.
pub(crate) trait Form {
    fn open(&self, settings: Settings) -> Box<dyn EventLog>;
}

pub(crate) fn record(rooms: &[&str], payload: &str) -> Record {
    Record {
        namespace: "/".into(),
        rooms: names(rooms).into(),
        except: Arc::default(),
        name: "said".into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        time_ms: 1000,
        key: None,
    }
}

pub(crate) fn keyed(key: &str, time_ms: u64) -> Record {
    Record { key: Some(key.into()), time_ms, ..record(&["a"], key) }
}

pub(crate) fn names(rooms: &[&str]) -> Vec<Arc<str>> {
    rooms.iter().map(|room| Arc::from(*room)).collect()
}

pub(crate) fn append(
    log: &dyn EventLog,
    records: Vec<Record>,
) -> Result<Vec<Appended>, AppendError> {
    append_wait(log, records, Durability::Memory)
}

/// Appends one record, answers its sequence.
pub(crate) fn say(log: &dyn EventLog, rooms: &[&str], payload: &str) -> u64 {
    append(log, vec![record(rooms, payload)]).unwrap()[0].position.sequence
}

pub(crate) fn trim(log: &dyn EventLog, now_ms: u64) -> u64 {
    wait(|done| log.trim(now_ms, done)).unwrap().unwrap()
}

pub(crate) fn put(log: &dyn EventLog, session: Session) -> Result<(), SessionError> {
    wait(|done| log.put_session(session, done)).unwrap()
}

pub(crate) fn remove(
    log: &dyn EventLog,
    key: SessionKey,
    fence: u64,
) -> Result<bool, SessionError> {
    wait(|done| log.remove_session(key, fence, done)).unwrap()
}

pub(crate) fn sequences(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.position.sequence).collect()
}

/// What is read of rooms in `/`, without the entries for everyone.
pub(crate) fn in_rooms(
    log: &dyn EventLog,
    rooms: &[&str],
    change: impl Fn(&mut Query<'_>),
) -> Page {
    let rooms = names(rooms);
    let mut query = Query::new(Scope::Rooms { namespace: "/", rooms: &rooms, everyone: false });
    change(&mut query);
    log.read(&query).unwrap()
}

pub(crate) fn session(log: &dyn EventLog, key: u8, fence: u64) -> Session {
    Session {
        key: SessionKey([key; 32]),
        socket: "a-socket-of-20-chars".into(),
        subject: Some("ada".into()),
        namespace: "/".into(),
        rooms: vec![SessionRoom { name: "a".into(), since: 3 }],
        start: log.head(),
        fence,
        time_ms: 5,
        state: Bytes::from_static(b"{\"seat\":7}"),
    }
}
