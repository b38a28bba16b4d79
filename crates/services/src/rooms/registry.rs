//! Rooms with a name and data of their own, kept across restarts.
//!
//! A room need not be here to be joined, unless `RoomsSettings::must_exist` says so.

use rusqlite::{OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::code::Code;
use crate::names;
use crate::refusal::Refusal;
use crate::time::{json, now_ms};

pub(super) const STEPS: &[&str] = &["CREATE TABLE rooms ( \
     namespace TEXT NOT NULL, id TEXT NOT NULL, name TEXT, metadata TEXT NOT NULL, \
     creator TEXT, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, \
     PRIMARY KEY (namespace, id)) WITHOUT ROWID"];

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 200;

/// The largest metadata, in bytes of JSON.
const MAX_METADATA_BYTES: usize = 16 << 10;

/// How many rooms are kept.
const MAX_ROOMS: i64 = 1_000_000;

/// The most rooms of a page.
pub(super) const MAX_PAGE: u16 = 1_000;

/// A room as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomRecord {
    /// Its id: the name of the room that sockets join.
    pub room_id: String,
    /// Its namespace.
    pub namespace: String,
    /// A name for people.
    pub name: Option<String>,
    /// What the application keeps with it.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// Who made it: a user's id.
    pub creator: Option<String>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Value,
    /// When it was changed.
    #[schema(value_type = String)]
    pub changed_at: Value,
}

/// What a new room is to be.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewRoom {
    /// Its id.
    pub room_id: String,
    /// Its namespace; `/` if not said.
    pub namespace: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// What the application keeps with it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// What is to be changed of a room; what is not there stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomChange {
    /// Another name.
    pub name: Option<String>,
    /// Other metadata, as a whole.
    #[schema(value_type = Object)]
    pub metadata: Option<Map<String, Value>>,
}

/// Checks what a caller gives.
///
/// # Errors
///
/// `code`, about the field.
pub(super) fn check(
    code: Code,
    id: Option<&str>,
    name: Option<&str>,
    metadata: Option<&Map<String, Value>>,
) -> Result<(), Refusal> {
    if id.is_some_and(|id| names::check_joinable(id).is_err()) {
        return Err(Refusal::field(code, "roomId", names::ROOM_FORM));
    }
    let named = |name: &str| {
        (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    };
    if name.is_some_and(|name| !named(name)) {
        let expected = format!("1 to {MAX_NAME_CHARS} characters, no control characters");
        return Err(Refusal::field(code, "name", &expected));
    }
    let size = metadata.and_then(|metadata| serde_json::to_string(metadata).ok());
    if size.is_some_and(|text| text.len() > MAX_METADATA_BYTES) {
        let expected = format!("an object of at most {MAX_METADATA_BYTES} bytes of JSON");
        return Err(Refusal::field(code, "metadata", &expected));
    }
    Ok(())
}

/// What became of a room that was to be made.
#[derive(Debug)]
pub(super) enum Made {
    New(RoomRecord),
    Exists,
    TooMany,
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    namespace: &str,
    room: &NewRoom,
    creator: Option<&str>,
) -> rusqlite::Result<Made> {
    if find(transaction, namespace, &room.room_id)?.is_some() {
        return Ok(Made::Exists);
    }
    let count: i64 = transaction.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?;
    if count >= MAX_ROOMS {
        return Ok(Made::TooMany);
    }
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let metadata = Value::Object(room.metadata.clone()).to_string();
    transaction.execute(
        "INSERT INTO rooms VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        (namespace, &room.room_id, &room.name, metadata, creator, now),
    )?;
    let made = find(transaction, namespace, &room.room_id)?;
    made.map(Made::New).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(super) fn change(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
    change: &RoomChange,
) -> rusqlite::Result<Option<RoomRecord>> {
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let metadata = change.metadata.clone().map(|it| Value::Object(it).to_string());
    transaction.execute(
        "UPDATE rooms SET name = coalesce(?3, name), metadata = coalesce(?4, metadata), \
         changed_ms = ?5 WHERE namespace = ?1 AND id = ?2",
        (namespace, id, &change.name, metadata, now),
    )?;
    find(transaction, namespace, id)
}

pub(super) fn remove(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
) -> rusqlite::Result<bool> {
    let removed =
        transaction.execute("DELETE FROM rooms WHERE namespace = ?1 AND id = ?2", (namespace, id));
    removed.map(|count| count > 0)
}

const COLUMNS: &str = "id, namespace, name, metadata, creator, created_ms, changed_ms";

pub(super) fn find(
    transaction: &Transaction<'_>,
    namespace: &str,
    id: &str,
) -> rusqlite::Result<Option<RoomRecord>> {
    transaction
        .prepare_cached(&format!("SELECT {COLUMNS} FROM rooms WHERE namespace = ?1 AND id = ?2"))?
        .query_row((namespace, id), record)
        .optional()
}

/// The rooms of a namespace whose ids come after one, in the order of their ids.
pub(super) fn page(
    transaction: &Transaction<'_>,
    namespace: &str,
    after: &str,
    limit: u16,
) -> rusqlite::Result<Vec<RoomRecord>> {
    let mut rows = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM rooms WHERE namespace = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ))?;
    let rows = rows.query_map((namespace, after, limit), record)?;
    rows.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<RoomRecord> {
    let metadata: String = row.get(3)?;
    let time = |index| row.get(index).map(|ms: i64| json(u64::try_from(ms).unwrap_or(0)));
    Ok(RoomRecord {
        room_id: row.get(0)?,
        namespace: row.get(1)?,
        name: row.get(2)?,
        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
        creator: row.get(4)?,
        created_at: time(5)?,
        changed_at: time(6)?,
    })
}
