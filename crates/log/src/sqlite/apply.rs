//! What each request does to the tables, inside one transaction.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::codec::{decode_session, encode_record, encode_session};
use super::rooms::RoomCache;
use super::schema::{State, StoreError, key_sum, signed, unsigned};
use crate::settings::millis;
use crate::{
    Appended, Entry, Epoch, Position, Record, Session, SessionError, SessionKey, Settings,
};

/// The transaction in the making: where the log will stand, and what will be new to read.
pub(super) struct Apply<'t> {
    pub(super) connection: &'t Connection,
    pub(super) settings: &'t Settings,
    pub(super) state: State,
    pub(super) rooms: &'t mut RoomCache,
    entries: Vec<Arc<Entry>>,
    /// Which room has which new entry, to be written in order at the end: neighbours are on the
    /// same page.
    index: Vec<(i64, i64)>,
    buffer: Vec<u8>,
}

impl<'t> Apply<'t> {
    pub(super) fn new(
        connection: &'t Connection,
        settings: &'t Settings,
        state: State,
        rooms: &'t mut RoomCache,
    ) -> Self {
        let (entries, index, buffer) = (Vec::new(), Vec::new(), Vec::new());
        Self { connection, settings, state, rooms, entries, index, buffer }
    }

    /// Writes what was kept for the end, and the state. Answers where the log stands now, and what
    /// is new in it, once the transaction is committed.
    pub(super) fn finish(mut self) -> Result<(State, Vec<Arc<Entry>>), StoreError> {
        self.index.sort_unstable();
        let sql = "INSERT INTO room_entries (room, sequence) VALUES (?1, ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        for (room, sequence) in self.index {
            statement.execute([room, sequence])?;
        }
        self.state.commits += 1;
        self.state.store(self.connection)?;
        Ok((self.state, self.entries))
    }

    /// Appends a batch in its order.
    pub(super) fn append(&mut self, records: Vec<Record>) -> Result<Vec<Appended>, StoreError> {
        records.into_iter().map(|record| self.append_one(record)).collect()
    }

    fn append_one(&mut self, record: Record) -> Result<Appended, StoreError> {
        let epoch = self.state.epoch;
        if let Some(key) = &record.key
            && let Some(sequence) = self.known_key(&record, key)?
        {
            return Ok(Appended { position: Position { epoch, sequence }, known: true });
        }
        self.insert(record).map(|position| Appended { position, known: false })
    }

    /// Appends a record whatever its key.
    pub(super) fn insert(&mut self, record: Record) -> Result<Position, StoreError> {
        let epoch = self.state.epoch;
        let sequence = self.state.head + 1;
        encode_record(&record, sequence, &mut self.buffer);
        self.connection
            .prepare_cached("INSERT INTO entries (sequence, body) VALUES (?1, ?2)")?
            .execute(params![signed(sequence), self.buffer])?;
        for room in record.index_rooms() {
            let id = self.rooms.live(self.connection, &mut self.state, &record.namespace, room)?;
            self.index.push((id, signed(sequence)));
        }
        if let Some(key) = &record.key {
            self.remember_key(&record, key, sequence)?;
        }
        self.state.head = sequence;
        self.state.bytes += record.cost_bytes();
        let position = Position { epoch, sequence };
        self.entries.push(Arc::new(Entry { position, record }));
        Ok(position)
    }

    /// The sequence of an idempotency key that is still remembered.
    fn known_key(&self, record: &Record, key: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT sequence, time_ms, sum FROM keys WHERE namespace = ?1 AND key = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row(params![record.namespace, key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let Some((sequence, time_ms, sum)) = row.optional()? else { return Ok(None) };
        let (sequence, time_ms) = (unsigned(sequence)?, unsigned(time_ms)?);
        if sum != key_sum(&record.namespace, key, sequence, time_ms) {
            return Err(StoreError::Damaged("an idempotency key"));
        }
        let age_ms = record.time_ms.saturating_sub(time_ms);
        Ok((age_ms <= millis(self.settings.key_age)).then_some(sequence))
    }

    fn remember_key(&mut self, record: &Record, key: &str, at: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM keys WHERE namespace = ?1 AND key = ?2";
        let replaced =
            self.connection.prepare_cached(sql)?.execute(params![record.namespace, key])?;
        let sum = key_sum(&record.namespace, key, at, record.time_ms);
        let sql = "INSERT INTO keys (namespace, key, sequence, time_ms, sum) \
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.connection.prepare_cached(sql)?.execute(params![
            record.namespace,
            key,
            signed(at),
            signed(record.time_ms),
            sum
        ])?;
        self.state.keys = (self.state.keys + 1).saturating_sub(replaced as u64);
        while self.state.keys > self.settings.max_keys {
            let sql = "DELETE FROM keys WHERE sequence = (SELECT min(sequence) FROM keys)";
            if self.connection.prepare_cached(sql)?.execute([])? == 0 {
                return Err(StoreError::Damaged("the number of keys"));
            }
            self.state.keys -= 1;
        }
        Ok(())
    }

    /// Forgets the oldest keys that are older than the settings say.
    pub(super) fn expire_keys(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let sql = "SELECT sequence, time_ms FROM keys ORDER BY sequence LIMIT 1";
        loop {
            let mut statement = self.connection.prepare_cached(sql)?;
            let oldest = statement
                .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .optional()?;
            let Some((sequence, time_ms)) = oldest else { return Ok(()) };
            if now_ms.saturating_sub(unsigned(time_ms)?) <= millis(self.settings.key_age) {
                return Ok(());
            }
            self.connection
                .prepare_cached("DELETE FROM keys WHERE sequence = ?1")?
                .execute([sequence])?;
            self.state.keys = self.state.keys.saturating_sub(1);
        }
    }

    pub(super) fn put_session(
        &mut self,
        session: &Session,
    ) -> Result<Result<(), SessionError>, StoreError> {
        match session_of(self.connection, session.key)? {
            Some(known) if known.fence > session.fence => {
                return Ok(Err(SessionError::Fenced(known.fence)));
            }
            Some(_) => {}
            None if self.state.sessions >= self.settings.max_sessions => {
                return Ok(Err(SessionError::Full(self.settings.max_sessions)));
            }
            None => self.state.sessions += 1,
        }
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO sessions (key, body) VALUES (?1, ?2)")?
            .execute(params![session.key.0, encode_session(session)])?;
        Ok(Ok(()))
    }

    pub(super) fn remove_session(
        &mut self,
        key: SessionKey,
        fence: u64,
    ) -> Result<Result<bool, SessionError>, StoreError> {
        match session_of(self.connection, key)? {
            None => return Ok(Ok(false)),
            Some(known) if known.fence > fence => {
                return Ok(Err(SessionError::Fenced(known.fence)));
            }
            Some(_) => {}
        }
        self.connection
            .prepare_cached("DELETE FROM sessions WHERE key = ?1")?
            .execute(params![key.0])?;
        self.state.sessions = self.state.sessions.saturating_sub(1);
        Ok(Ok(true))
    }

    /// Forgets everything and begins another life.
    pub(super) fn reset(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.connection.execute_batch(
            "DELETE FROM entries; DELETE FROM rooms; DELETE FROM room_entries;
             DELETE FROM keys; DELETE FROM sessions; DELETE FROM probe;",
        )?;
        self.rooms.clear();
        self.state = State { commits: self.state.commits, ..State::new(epoch) };
        Ok(())
    }

    /// Begins another life with the same entries; no session of the old one can be recovered.
    /// Answers how many sessions that were.
    pub(super) fn renew(&mut self, epoch: Epoch) -> Result<u64, StoreError> {
        self.connection.execute_batch("DELETE FROM sessions")?;
        let dropped = self.state.sessions;
        self.state = State { epoch, sessions: 0, ..self.state };
        Ok(dropped)
    }
}

/// The journalled session of a key.
pub(super) fn session_of(
    connection: &Connection,
    key: SessionKey,
) -> Result<Option<Session>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM sessions WHERE key = ?1")?;
    let body: Option<Vec<u8>> = statement.query_row(params![key.0], |row| row.get(0)).optional()?;
    let Some(body) = body else { return Ok(None) };
    decode_session(key, &body).map(Some).map_err(|_| StoreError::Damaged("a session"))
}
