//! Events that are not published yet.

use futures_util::FutureExt;
use sqlx::Row;

use super::{Database, Tx, column, number, row};
use crate::domain::{Millis, ParticipantId, Poll, PollId, Results};
use crate::error::Refused;
use crate::event::{Audience, Event};

/// How many are published at once at most.
const BATCH: usize = 256;

/// An event, and its place among those that wait.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) seq: i64,
    pub(crate) event: Event,
}

/// What was true at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) pending: Vec<Pending>,
    /// Whether these are all that wait.
    pub(crate) complete: bool,
    pub(crate) results: Vec<(Results, Poll)>,
}

impl Tx {
    async fn pending(&mut self) -> Result<Vec<Pending>, Refused> {
        let rows = sqlx::query(
            "SELECT seq, event_id, session_id, voter_id, audience, event_type, at_ms, payload \
             FROM outbox ORDER BY seq LIMIT $1",
        )
        .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(pending).collect()
    }

    /// Leaves an event behind for the relay, if the transaction is committed.
    pub(crate) async fn tell(&mut self, event: &Event) -> Result<(), Refused> {
        sqlx::query(
            "INSERT INTO outbox (event_id, session_id, voter_id, audience, event_type, at_ms, payload) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&event.id)
        .bind(event.session.as_str())
        .bind(event.audience.voter().map(ParticipantId::as_str))
        .bind(event.audience.as_str())
        .bind(&event.kind)
        .bind(column(event.at))
        .bind(event.payload.to_string())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}

impl Database {
    /// The oldest events that are not published yet, and results of the same moment: no event that is
    /// published before those results tells of something that is not in them, if these are all.
    pub(crate) async fn moment(&self, polls: Vec<PollId>) -> Result<Moment, Refused> {
        self.read(|tx| {
            async move {
                let pending = tx.pending().await?;
                let mut results = Vec::with_capacity(polls.len());
                for id in polls {
                    match tx.poll(&id, "").await {
                        Ok(poll) => results.push((tx.results(&poll).await?, poll)),
                        // Removed meanwhile.
                        Err(Refused::NoPoll) => {}
                        Err(error) => return Err(error),
                    }
                }
                let complete = pending.len() < BATCH;
                Ok(Moment { pending, complete, results })
            }
            .boxed()
        })
        .await
    }

    /// Forgets events that are published.
    pub(crate) async fn published(&self, seqs: Vec<i64>) -> Result<(), Refused> {
        self.write(|tx| {
            async move {
                for seq in seqs {
                    sqlx::query("DELETE FROM outbox WHERE seq = $1")
                        .bind(seq)
                        .execute(&mut tx.connection)
                        .await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Takes or keeps a task that one node at a time does; whether it is this one's now.
    pub(crate) async fn lease(
        &self,
        name: &'static str,
        holder: String,
        (now, until): (Millis, Millis),
    ) -> Result<bool, Refused> {
        self.write(move |tx| {
            async move {
                let taken = sqlx::query(
                    "INSERT INTO leases (name, holder, until_ms) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO UPDATE SET holder = $2, until_ms = $3 \
                     WHERE leases.holder = $2 OR leases.until_ms < $4",
                )
                .bind(name)
                .bind(holder)
                .bind(column(until))
                .bind(column(now))
                .execute(&mut tx.connection)
                .await?;
                Ok(taken.rows_affected() > 0)
            }
            .boxed()
        })
        .await
    }

    /// A secret of all nodes: this one, unless there is one already.
    pub(crate) async fn secret(
        &self,
        name: &'static str,
        fresh: String,
    ) -> Result<String, Refused> {
        self.write(move |tx| {
            async move {
                sqlx::query(
                    "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(name)
                .bind(fresh)
                .execute(&mut tx.connection)
                .await?;
                let row = sqlx::query("SELECT value FROM secrets WHERE name = $1")
                    .bind(name)
                    .fetch_one(&mut tx.connection)
                    .await?;
                Ok(row.try_get(0)?)
            }
            .boxed()
        })
        .await
    }
}

fn pending(row: &sqlx::any::AnyRow) -> Result<Pending, Refused> {
    let voter = row.try_get::<Option<String>, _>(3)?;
    let voter = voter.as_deref().and_then(ParticipantId::parse);
    let audience = Audience::from_parts(&row.try_get::<String, _>(4)?, voter);
    let payload = serde_json::from_str(&row.try_get::<String, _>(7)?);
    Ok(Pending {
        seq: row.try_get(0)?,
        event: Event {
            id: row.try_get(1)?,
            session: row::session_id(row, 2)?,
            at: number(row.try_get(6)?),
            kind: row.try_get(5)?,
            payload: payload.map_err(|_| row::damaged("a payload"))?,
            audience: audience.ok_or_else(|| row::damaged("an audience"))?,
        },
    })
}
