//! Messages and receipts as they are kept.

use rusqlite::{OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::caller::Author;
use crate::sign::unique_id;
use crate::time::{json, now_ms};

pub(super) const STEPS: &[&str] = &[
    "CREATE TABLE messages ( \
         seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, \
         room TEXT NOT NULL, user TEXT NOT NULL, name TEXT, kind TEXT NOT NULL, content TEXT NOT NULL, \
         metadata TEXT NOT NULL, client TEXT, time_ms INTEGER NOT NULL, edited_ms INTEGER, \
         deleted_ms INTEGER); \
     CREATE INDEX messages_of_room ON messages (namespace, room, seq); \
     CREATE UNIQUE INDEX messages_of_client ON messages (namespace, room, user, client) \
         WHERE client IS NOT NULL; \
     CREATE TABLE receipts ( \
         namespace TEXT NOT NULL, user TEXT NOT NULL, room TEXT NOT NULL, seq INTEGER NOT NULL, \
         time_ms INTEGER NOT NULL, PRIMARY KEY (namespace, user, room)) WITHOUT ROWID; \
     CREATE INDEX receipts_of_room ON receipts (namespace, room)",
    // Nobody is the same guest again: these would stay for ever.
    "CREATE INDEX receipts_of_guests ON receipts (time_ms) WHERE user >= 'guest:' AND user < 'guest;'",
];

/// How many receipts of guests are kept; of more the oldest go.
const MAX_GUESTS_RECEIPTS: u32 = 10_000;

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Text.
    #[default]
    Text,
    /// An image; `content` or `metadata` says where it is.
    Image,
    /// A file; likewise.
    File,
    /// A word of the application. Only backends send it.
    System,
}

impl MessageKind {
    const fn as_str(self) -> &'static str {
        match self {
            MessageKind::Text => "text",
            MessageKind::Image => "image",
            MessageKind::File => "file",
            MessageKind::System => "system",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "image" => MessageKind::Image,
            "file" => MessageKind::File,
            "system" => MessageKind::System,
            _ => MessageKind::Text,
        }
    }
}

/// A message as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The room it was sent to.
    pub room_id: String,
    /// Who sent it.
    #[schema(value_type = Object)]
    pub user: Author,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// The text; empty once it was deleted.
    pub content: String,
    /// What the application keeps with it.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The id its client gave it, by which a second try is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it was sent.
    #[schema(value_type = String)]
    pub timestamp: Value,
    /// When it was last edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub edited_at: Option<Value>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub deleted_at: Option<Value>,
    /// Its place in the order of all messages.
    #[serde(skip)]
    pub(super) seq: i64,
    /// Its namespace.
    #[serde(skip)]
    pub(super) namespace: String,
}

/// A message that is to be kept.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) namespace: String,
    pub(super) room: String,
    pub(super) user: Author,
    pub(super) kind: MessageKind,
    pub(super) content: String,
    pub(super) metadata: Map<String, Value>,
    pub(super) client: Option<String>,
}

const COLUMNS: &str = "seq, id, namespace, room, user, name, kind, content, metadata, client, \
                       time_ms, edited_ms, deleted_ms";

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let (kind, metadata): (String, String) = (row.get(6)?, row.get(8)?);
    let time = |ms: i64| json(u64::try_from(ms).unwrap_or(0));
    Ok(Message {
        seq: row.get(0)?,
        id: row.get(1)?,
        namespace: row.get(2)?,
        room_id: row.get(3)?,
        user: Author { id: row.get(4)?, name: row.get(5)? },
        kind: MessageKind::of(&kind),
        content: row.get(7)?,
        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
        client_id: row.get(9)?,
        timestamp: time(row.get(10)?),
        edited_at: row.get::<_, Option<i64>>(11)?.map(time),
        deleted_at: row.get::<_, Option<i64>>(12)?.map(time),
    })
}

fn now() -> i64 {
    i64::try_from(now_ms()).unwrap_or(i64::MAX)
}

/// Keeps a message: itself, and whether it is new. One that its client has sent before is the first.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    new: &New,
) -> rusqlite::Result<(Message, bool)> {
    if let Some(client) = &new.client {
        let sql = format!(
            "SELECT {COLUMNS} FROM messages \
             WHERE namespace = ?1 AND room = ?2 AND user = ?3 AND client = ?4"
        );
        let known = transaction
            .prepare_cached(&sql)?
            .query_row((&new.namespace, &new.room, &new.user.id, client), message)
            .optional()?;
        if let Some(known) = known {
            return Ok((known, false));
        }
    }
    let id = unique_id();
    transaction
        .prepare_cached(
            "INSERT INTO messages (id, namespace, room, user, name, kind, content, metadata, client, \
             time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            &id,
            &new.namespace,
            &new.room,
            &new.user.id,
            &new.user.name,
            new.kind.as_str(),
            &new.content,
            Value::Object(new.metadata.clone()).to_string(),
            &new.client,
            now(),
        ))?;
    find(transaction, &id)?
        .map(|message| (message, true))
        .ok_or(rusqlite::Error::QueryReturnedNoRows)
}

pub(super) fn find(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<Message>> {
    let sql = format!("SELECT {COLUMNS} FROM messages WHERE id = ?1");
    transaction.prepare_cached(&sql)?.query_row([id], message).optional()
}

pub(super) fn edit(
    transaction: &Transaction<'_>,
    id: &str,
    content: &str,
) -> rusqlite::Result<Option<Message>> {
    transaction.execute(
        "UPDATE messages SET content = ?2, edited_ms = ?3 WHERE id = ?1 AND deleted_ms IS NULL",
        (id, content, now()),
    )?;
    find(transaction, id)
}

/// What it said is gone; that there was something stays.
pub(super) fn delete(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<Message>> {
    transaction.execute(
        "UPDATE messages SET content = '', metadata = '{}', deleted_ms = coalesce(deleted_ms, ?2) \
         WHERE id = ?1",
        (id, now()),
    )?;
    find(transaction, id)
}

/// Which messages of a room.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) namespace: String,
    pub(super) room: String,
    /// Only older ones than this message.
    pub(super) before: Option<String>,
    /// Only newer ones, oldest first.
    pub(super) after: Option<String>,
    pub(super) offset: u32,
    pub(super) limit: u32,
}

/// A page of messages; `None` if the message it is asked from is not there.
pub(super) fn page(
    transaction: &Transaction<'_>,
    page: &Page,
) -> rusqlite::Result<Option<Vec<Message>>> {
    let seq = |id: &String| {
        let sql = "SELECT seq FROM messages WHERE id = ?1 AND namespace = ?2 AND room = ?3";
        let found = transaction.prepare_cached(sql)?;
        let mut found = found;
        found.query_row((id, &page.namespace, &page.room), |row| row.get::<_, i64>(0)).optional()
    };
    let (from, to, order) = match (&page.before, &page.after) {
        (Some(before), _) => match seq(before)? {
            Some(seq) => (0, seq, "DESC"),
            None => return Ok(None),
        },
        (None, Some(after)) => match seq(after)? {
            Some(seq) => (seq, i64::MAX, "ASC"),
            None => return Ok(None),
        },
        (None, None) => (0, i64::MAX, "DESC"),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM messages WHERE namespace = ?1 AND room = ?2 AND seq > ?3 AND seq < ?4 \
         ORDER BY seq {order} LIMIT ?5 OFFSET ?6"
    );
    let mut rows = transaction.prepare_cached(&sql)?;
    let at = (&page.namespace, &page.room, from, to, page.limit, page.offset);
    rows.query_map(at, message)?.collect::<rusqlite::Result<Vec<_>>>().map(Some)
}

/// Drops what is beyond the number a room keeps, at most so many at a time.
pub(super) fn trim(
    transaction: &Transaction<'_>,
    namespace: &str,
    room: &str,
    keep: u32,
) -> rusqlite::Result<()> {
    const AT_A_TIME: u32 = 100;
    transaction
        .prepare_cached(
            "DELETE FROM messages WHERE seq IN ( \
                 SELECT seq FROM messages WHERE namespace = ?1 AND room = ?2 \
                 ORDER BY seq DESC LIMIT ?4 OFFSET ?3)",
        )?
        .execute((namespace, room, keep, AT_A_TIME))
        .map(drop)
}

/// Says that a user has read up to a message: whether that is news.
pub(super) fn read_up_to(
    transaction: &Transaction<'_>,
    user: &str,
    message: &Message,
) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached(
            "INSERT INTO receipts VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE \
             SET seq = excluded.seq, time_ms = excluded.time_ms WHERE excluded.seq > receipts.seq",
        )?
        .execute((&message.namespace, user, &message.room_id, message.seq, now()))?;
    // Now and then, by the clock, so that most receipts cost one insertion.
    if changed > 0 && user.starts_with("guest:") && now() % 16 == 0 {
        trim_guests(transaction, MAX_GUESTS_RECEIPTS)?;
    }
    Ok(changed > 0)
}

/// Drops the receipts of guests beyond so many, the oldest first, at most so many at a time.
fn trim_guests(transaction: &Transaction<'_>, keep: u32) -> rusqlite::Result<()> {
    const AT_A_TIME: u32 = 1_000;
    transaction
        .prepare_cached(
            "DELETE FROM receipts WHERE (namespace, user, room) IN ( \
                 SELECT namespace, user, room FROM receipts \
                 WHERE user >= 'guest:' AND user < 'guest;' \
                 ORDER BY time_ms DESC LIMIT ?2 OFFSET ?1)",
        )?
        .execute((keep, AT_A_TIME))
        .map(drop)
}

/// How many messages of others a user has not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// The room.
    pub room_id: String,
    /// How many; at most 1 000 are counted.
    pub unread: u32,
    /// The last message the user has read.
    pub last_read: Option<String>,
}

/// What is unread in the rooms in which a user has read something, or wrote.
pub(super) fn unread(
    transaction: &Transaction<'_>,
    namespace: &str,
    user: &str,
) -> rusqlite::Result<Vec<Unread>> {
    const MAX_ROOMS: u32 = 1_000;
    let mut rows = transaction.prepare_cached(
        "SELECT room, seq FROM receipts WHERE namespace = ?1 AND user = ?2 ORDER BY room LIMIT ?3",
    )?;
    let rooms: Vec<(String, i64)> = rows
        .query_map((namespace, user, MAX_ROOMS), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut count = transaction.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE namespace = ?1 AND room = ?2 \
         AND seq > ?3 AND user <> ?4 AND deleted_ms IS NULL LIMIT 1000)",
    )?;
    let mut last = transaction.prepare_cached("SELECT id FROM messages WHERE seq = ?1")?;
    rooms
        .into_iter()
        .map(|(room_id, seq)| {
            let unread = count.query_row((namespace, &room_id, seq, user), |row| row.get(0))?;
            let last_read = last.query_row([seq], |row| row.get(0)).optional()?;
            Ok(Unread { room_id, unread, last_read })
        })
        .collect()
}

/// Who has read how far in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The user's id.
    pub user_id: String,
    /// The last message read.
    pub message_id: Option<String>,
}

/// The receipts of a room.
pub(super) fn receipts(
    transaction: &Transaction<'_>,
    namespace: &str,
    room: &str,
) -> rusqlite::Result<Vec<Receipt>> {
    const MAX_USERS: u32 = 1_000;
    let mut rows = transaction.prepare_cached(
        "SELECT user, (SELECT id FROM messages WHERE messages.seq = receipts.seq) FROM receipts \
         WHERE namespace = ?1 AND room = ?2 ORDER BY time_ms DESC LIMIT ?3",
    )?;
    let rows = rows.query_map((namespace, room, MAX_USERS), |row| {
        Ok(Receipt { user_id: row.get(0)?, message_id: row.get(1)? })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn of_the_receipts_of_guests_the_latest_are_kept_and_those_of_users_all() {
        let store = Store::open(None).unwrap();
        store.migrate("chat", STEPS).unwrap();
        let (left, plan) = store
            .write(|it| {
                for index in 0..30 {
                    let user = if index % 3 == 0 { "u" } else { "guest:" };
                    it.execute(
                        "INSERT INTO receipts VALUES ('/', ?1 || ?2, 'r', 1, ?2)",
                        (user, index),
                    )?;
                }
                trim_guests(it, 5)?;
                let mut rows = it.prepare("SELECT user FROM receipts ORDER BY time_ms")?;
                let left: Vec<String> =
                    rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                let plan: String = it.query_row(
                    "EXPLAIN QUERY PLAN SELECT namespace FROM receipts \
                     WHERE user >= 'guest:' AND user < 'guest;' ORDER BY time_ms DESC",
                    [],
                    |row| row.get(3),
                )?;
                Ok((left, plan))
            })
            .await
            .unwrap();
        let guests: Vec<&String> = left.iter().filter(|it| it.starts_with("guest:")).collect();
        assert_eq!(guests, ["guest:23", "guest:25", "guest:26", "guest:28", "guest:29"]);
        assert_eq!(left.len() - guests.len(), 10, "of users");
        assert!(plan.contains("receipts_of_guests"), "{plan}");
    }
}
