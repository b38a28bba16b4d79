//! The rows of rooms: their ids for the index, and up to where each was trimmed.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::schema::{State, StoreError, room_sum, signed, unsigned};

/// The most room ids that are held in memory; beyond, the cache starts anew.
const MAX_CACHED_ROOMS: usize = 65_536;

/// The ids of rooms with entries, by namespace and name.
#[derive(Default)]
pub(super) struct RoomCache {
    ids: HashMap<Arc<str>, HashMap<Box<str>, i64>>,
    count: usize,
}

/// A room's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomRow {
    pub(super) id: i64,
    pub(super) trimmed: u64,
    pub(super) idle: bool,
}

impl RoomRow {
    pub(super) fn find(
        connection: &Connection,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT id, trimmed, idle, sum FROM rooms WHERE namespace = ?1 AND name = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row(params![namespace, name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        });
        let Some(columns) = found.optional()? else { return Ok(None) };
        Self::checked(namespace, name, columns).map(Some)
    }

    /// A row from its columns `id`, `trimmed`, `idle` and `sum`, if the sum is right.
    pub(super) fn checked(
        namespace: &str,
        name: &str,
        (id, trimmed, idle, sum): (i64, i64, Option<i64>, i64),
    ) -> Result<Self, StoreError> {
        let trimmed = unsigned(trimmed)?;
        let is_idle = idle.is_some();
        let right = sum == room_sum(namespace, name, id, trimmed, is_idle)
            && idle.is_none_or(|idle| unsigned(idle).is_ok_and(|idle| idle == trimmed));
        if !right {
            return Err(StoreError::Damaged("the row of a room"));
        }
        Ok(Self { id, trimmed, idle: is_idle })
    }

    fn update(
        self,
        connection: &Connection,
        namespace: &str,
        name: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE rooms SET trimmed = ?2, idle = ?3, sum = ?4 WHERE id = ?1";
        let trimmed = signed(self.trimmed);
        let sum = room_sum(namespace, name, self.id, self.trimmed, self.idle);
        connection.prepare_cached(sql)?.execute(params![
            self.id,
            trimmed,
            self.idle.then_some(trimmed),
            sum
        ])?;
        Ok(())
    }
}

impl RoomCache {
    /// Forgets everything: after a transaction that was undone.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.count = 0;
    }

    /// The id of a room that is about to have an entry; makes its row if it has none.
    pub(super) fn live(
        &mut self,
        connection: &Connection,
        state: &mut State,
        namespace: &Arc<str>,
        name: &str,
    ) -> Result<i64, StoreError> {
        if let Some(id) = self.ids.get(namespace).and_then(|ids| ids.get(name)) {
            return Ok(*id);
        }
        let id = match RoomRow::find(connection, namespace, name)? {
            Some(row) => {
                if row.idle {
                    RoomRow { idle: false, ..row }.update(connection, namespace, name)?;
                    state.idle_rooms = state.idle_rooms.saturating_sub(1);
                }
                row.id
            }
            None => insert(connection, namespace, name, state.floor)?,
        };
        if self.count >= MAX_CACHED_ROOMS {
            self.clear();
        }
        self.ids.entry(Arc::clone(namespace)).or_default().insert(name.into(), id);
        self.count += 1;
        Ok(id)
    }

    /// Notes that the entries of a room up to a sequence were trimmed.
    pub(super) fn trimmed(
        &mut self,
        connection: &Connection,
        state: &mut State,
        (namespace, name): (&str, &str),
        sequence: u64,
    ) -> Result<(), StoreError> {
        let row = RoomRow::find(connection, namespace, name)?
            .ok_or(StoreError::Damaged("the index of rooms"))?;
        let sql = "DELETE FROM room_entries WHERE room = ?1 AND sequence <= ?2";
        connection.prepare_cached(sql)?.execute(params![row.id, signed(sequence)])?;
        let sql = "SELECT EXISTS (SELECT 1 FROM room_entries WHERE room = ?1)";
        let has_entries: bool =
            connection.prepare_cached(sql)?.query_row([row.id], |row| row.get(0))?;
        let row = RoomRow { trimmed: sequence, idle: !has_entries, ..row };
        row.update(connection, namespace, name)?;
        if row.idle {
            state.idle_rooms += 1;
            self.forget(namespace, name);
        }
        Ok(())
    }

    /// Forgets the oldest rooms without entries, down to `max`: they share the floor from then on.
    pub(super) fn forget_idle(
        connection: &Connection,
        state: &mut State,
        max: u64,
    ) -> Result<(), StoreError> {
        let excess = state.idle_rooms.saturating_sub(max);
        if excess == 0 {
            return Ok(());
        }
        let sql = "SELECT id, trimmed, idle, sum, namespace, name FROM rooms \
                   WHERE idle IS NOT NULL ORDER BY idle LIMIT ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([signed(excess)])?;
        let mut oldest = Vec::new();
        while let Some(row) = rows.next()? {
            oldest.push(Self::from_columns(row)?);
        }
        drop(rows);
        for room in oldest {
            state.floor = state.floor.max(room.trimmed);
            state.idle_rooms = state.idle_rooms.saturating_sub(1);
            connection.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([room.id])?;
        }
        Ok(())
    }

    /// The row of columns `id`, `trimmed`, `idle`, `sum`, `namespace`, `name`.
    pub(super) fn from_columns(row: &Row<'_>) -> Result<RoomRow, StoreError> {
        let (namespace, name): (String, String) = (row.get(4)?, row.get(5)?);
        let columns = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        RoomRow::checked(&namespace, &name, columns)
    }

    fn forget(&mut self, namespace: &str, name: &str) {
        let ids = self.ids.get_mut(namespace);
        if ids.and_then(|ids| ids.remove(name)).is_some() {
            self.count = self.count.saturating_sub(1);
        }
    }
}

fn insert(
    connection: &Connection,
    namespace: &str,
    name: &str,
    trimmed: u64,
) -> Result<i64, StoreError> {
    // The sum covers the id, so the id is chosen first.
    let sql = "SELECT coalesce(max(id), 0) + 1 FROM rooms";
    let id: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let sum = room_sum(namespace, name, id, trimmed, false);
    let sql = "INSERT INTO rooms (id, namespace, name, trimmed, idle, sum) \
               VALUES (?1, ?2, ?3, ?4, NULL, ?5)";
    connection.prepare_cached(sql)?.execute(params![id, namespace, name, signed(trimmed), sum])?;
    Ok(id)
}
