//! Removing what the retention no longer keeps, in steps.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::apply::Apply;
use super::codec::decode_record;
use super::rooms::RoomCache;
use super::schema::{StoreError, signed, unsigned};

/// The most entries of one step: a few milliseconds, so that appends wait no longer for it.
const TRIM_STEP: u64 = 1024;

/// What a step did.
pub(super) struct Trimmed {
    pub(super) entries: u64,
    /// Whether nothing was left to do.
    pub(super) finished: bool,
}

impl Apply<'_> {
    /// Removes the oldest entries that the retention drops at `now_ms`, up to a step's worth.
    pub(super) fn trim(&mut self, now_ms: u64) -> Result<Trimmed, StoreError> {
        let (entries, rooms) = self.droppable(now_ms)?;
        for ((namespace, room), sequence) in &rooms {
            let name = (&**namespace, &**room);
            self.rooms.trimmed(self.connection, &mut self.state, name, *sequence)?;
        }
        if entries > 0 {
            let sql = "DELETE FROM entries WHERE sequence < ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params![signed(self.state.first)])?;
        }
        let max = self.settings.max_idle_rooms;
        RoomCache::forget_idle(self.connection, &mut self.state, max)?;
        let finished = entries < TRIM_STEP;
        if finished {
            self.expire_keys(now_ms)?;
        }
        Ok(Trimmed { entries, finished })
    }

    /// How many entries go, and up to where in each of their rooms. Moves the beginning.
    fn droppable(&mut self, now_ms: u64) -> Result<(u64, RoomEnds), StoreError> {
        let mut rooms = RoomEnds::new();
        let mut dropped = 0;
        let sql = "SELECT sequence, body FROM entries ORDER BY sequence LIMIT ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([signed(TRIM_STEP)])?;
        while let Some(row) = rows.next()? {
            let sequence = unsigned(row.get(0)?)?;
            let body = row.get_ref(1)?.as_blob().map_err(|_| StoreError::Entry(sequence))?;
            let record = decode_record(sequence, body).map_err(|_| StoreError::Entry(sequence))?;
            if sequence != self.state.first {
                return Err(StoreError::Entry(self.state.first));
            }
            let (entries, bytes) = (self.state.entries(), self.state.bytes);
            if !self.settings.retention.drops(record.time_ms, now_ms, entries, bytes) {
                break;
            }
            for room in record.index_rooms() {
                rooms.insert((Arc::clone(&record.namespace), room.into()), sequence);
            }
            self.state.first += 1;
            self.state.bytes = self.state.bytes.saturating_sub(record.cost_bytes());
            dropped += 1;
        }
        Ok((dropped, rooms))
    }
}

/// The last trimmed sequence of each touched room.
type RoomEnds = HashMap<(Arc<str>, Box<str>), u64>;
