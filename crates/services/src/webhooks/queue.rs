//! What is to be told, as it is kept until it was.

use rusqlite::Transaction;
use serde_json::Value;

pub(super) const STEPS: &[&str] =
    &["CREATE TABLE webhooks (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL); \
     CREATE TABLE webhook_rooms (namespace TEXT NOT NULL, room TEXT NOT NULL, \
         PRIMARY KEY (namespace, room)) WITHOUT ROWID; \
     CREATE TABLE webhook_drops (count INTEGER NOT NULL); \
     INSERT INTO webhook_drops VALUES (0)"];

/// Some of what waits.
pub(super) struct Waiting {
    /// The oldest, each with its generation.
    pub(super) events: Vec<Value>,
    /// Where they end.
    pub(super) last: Option<i64>,
    /// How many were dropped and not yet told of.
    pub(super) dropped: i64,
}

pub(super) fn push(transaction: &Transaction<'_>, told: &Value) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached("INSERT INTO webhooks (body) VALUES (?1)")?;
    insert.execute([told.to_string()]).map(drop)
}

/// Drops the oldest of too many, and counts them. Sequences have few holes: their distance is the count.
pub(super) fn trim(transaction: &Transaction<'_>, max: u64) -> rusqlite::Result<()> {
    let newest: Option<i64> =
        transaction.query_row("SELECT max(seq) FROM webhooks", [], |row| row.get(0))?;
    let kept_from = newest.unwrap_or(0).saturating_sub(i64::try_from(max).unwrap_or(i64::MAX));
    let dropped =
        transaction.prepare_cached("DELETE FROM webhooks WHERE seq <= ?1")?.execute([kept_from])?;
    if dropped > 0 {
        let dropped = i64::try_from(dropped).unwrap_or(i64::MAX);
        transaction.execute("UPDATE webhook_drops SET count = count + ?1", [dropped])?;
    }
    Ok(())
}

pub(super) fn read(transaction: &Transaction<'_>, limit: u32) -> rusqlite::Result<Waiting> {
    let mut rows =
        transaction.prepare_cached("SELECT seq, body FROM webhooks ORDER BY seq LIMIT ?1")?;
    let rows = rows.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let last = rows.last().map(|(seq, _)| *seq);
    let events = rows.into_iter().map(|(seq, body)| {
        let mut told: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(told) = told.as_object_mut() {
            told.insert("generation".to_owned(), seq.into());
        }
        told
    });
    let events = events.collect();
    let dropped = transaction.query_row("SELECT count FROM webhook_drops", [], |row| row.get(0))?;
    Ok(Waiting { events, last, dropped })
}

/// They were taken.
pub(super) fn take(transaction: &Transaction<'_>, last: i64, dropped: i64) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM webhooks WHERE seq <= ?1", [last])?;
    transaction.execute("UPDATE webhook_drops SET count = max(count - ?1, 0)", [dropped])?;
    Ok(())
}

pub(super) fn set_occupied(
    transaction: &Transaction<'_>,
    namespace: &str,
    room: &str,
    is_occupied: bool,
) -> rusqlite::Result<()> {
    let sql = if is_occupied {
        "REPLACE INTO webhook_rooms VALUES (?1, ?2)"
    } else {
        "DELETE FROM webhook_rooms WHERE namespace = ?1 AND room = ?2"
    };
    transaction.prepare_cached(sql)?.execute((namespace, room)).map(drop)
}

/// The rooms that somebody was in when the last run ended.
pub(super) fn occupied(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<(String, String)>> {
    let mut rows = transaction.prepare("SELECT namespace, room FROM webhook_rooms")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn the_oldest_of_too_many_are_dropped_and_told_of() {
        let store = Store::open(None).unwrap();
        store.migrate("webhooks", STEPS).unwrap();
        let all = store.write(|it| {
            for number in 0..10 {
                push(it, &json!({ "number": number }))?;
                trim(it, 4)?;
            }
            let some = read(it, 3)?;
            take(it, some.last.unwrap(), some.dropped)?;
            Ok((some, read(it, 3)?))
        });
        let (some, rest) = all.await.unwrap();
        let numbers = |it: &Waiting| -> Vec<u64> {
            it.events.iter().map(|event| event["number"].as_u64().unwrap()).collect()
        };
        assert_eq!((numbers(&some), some.dropped), (vec![6, 7, 8], 6));
        assert_eq!((numbers(&rest), rest.dropped), (vec![9], 0));
        assert_eq!(some.events[0]["generation"], 7);
    }
}
