//! Participants.

use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Row};

use super::{Database, Tx, column, number, row};
use crate::domain::{Code, Millis, Participant, ParticipantId, Session, SessionId};
use crate::error::Refused;
use crate::event::Event;

/// The most participants of a session.
pub(crate) const MAX_PARTICIPANTS: u32 = 10_000;

/// After how long without a sign somebody counts as gone, whatever was said last: its node may have
/// ended without a word. More than two of the signs that are given for those who are connected.
pub(crate) const STALE_MS: Millis = 75_000;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) participant: ParticipantId,
    pub(crate) at: Millis,
    pub(crate) connected: bool,
}

/// Some participants of a session, and how many there are.
#[derive(Debug, Clone)]
pub(crate) struct ParticipantPage {
    pub(crate) participants: Vec<Participant>,
    pub(crate) total: u64,
    pub(crate) connected: u64,
}

impl Tx {
    async fn count_participants(&mut self, session: &SessionId) -> Result<u32, Refused> {
        let row = sqlx::query("SELECT COUNT(*) FROM participants WHERE session_id = $1")
            .bind(session.as_str())
            .fetch_one(&mut self.connection)
            .await?;
        Ok(u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX))
    }

    async fn insert_participant(&mut self, it: &Participant) -> Result<(), Refused> {
        sqlx::query(
            "INSERT INTO participants \
             (id, session_id, display_name, joined_ms, last_seen_ms, connected) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(it.id.as_str())
        .bind(it.session.as_str())
        .bind(&it.display_name)
        .bind(column(it.joined))
        .bind(column(it.last_seen))
        .bind(i64::from(it.connected))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn participant(&mut self, id: &ParticipantId) -> Result<Participant, Refused> {
        let sql = format!("SELECT {} FROM participants WHERE id = $1", row::PARTICIPANT);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(row::participant(&row.ok_or(Refused::NoParticipant)?)?)
    }

    async fn seen(&mut self, seen: &Seen) -> Result<(), Refused> {
        sqlx::query("UPDATE participants SET last_seen_ms = $2, connected = $3 WHERE id = $1")
            .bind(seen.participant.as_str())
            .bind(column(seen.at))
            .bind(i64::from(seen.connected))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

impl Database {
    /// Lets somebody into the open session with this code.
    pub(crate) async fn join(
        &self,
        code: Code,
        id: ParticipantId,
        display_name: String,
        now: Millis,
    ) -> Result<(Session, Participant), Refused> {
        self.write(move |tx| {
            async move {
                let session = tx.session_by_code(code).await?;
                session.check_open()?;
                let participant = Participant::join(id, session.id.clone(), &display_name, now)
                    .map_err(|fault| Refused::Text { field: "displayName", fault })?;
                let others = tx.count_participants(&session.id).await?;
                if others >= MAX_PARTICIPANTS {
                    return Err(Refused::TooMany { what: "participants", max: MAX_PARTICIPANTS });
                }
                tx.insert_participant(&participant).await?;
                let joined = Event::participant_joined(&participant, others + 1, false, now)?;
                tx.tell(&joined).await?;
                Ok((session, participant))
            }
            .boxed()
        })
        .await
    }

    /// Participants in the order in which they joined, behind one of them.
    pub(crate) async fn participants(
        &self,
        session: SessionId,
        after: Option<ParticipantId>,
        (limit, now): (u32, Millis),
    ) -> Result<ParticipantPage, Refused> {
        self.read(move |tx| {
            async move {
                tx.session(&session, "").await?;
                let since = column(now.saturating_sub(STALE_MS));
                let after = after.as_ref().map_or("", ParticipantId::as_str);
                let sql = format!(
                    "SELECT {} FROM participants WHERE session_id = $1 AND ($2 = '' OR \
                     (joined_ms, id) > (SELECT joined_ms, id FROM participants WHERE id = $2)) \
                     ORDER BY joined_ms, id LIMIT $3",
                    row::PARTICIPANT
                );
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .bind(session.as_str())
                    .bind(after)
                    .bind(i64::from(limit))
                    .fetch_all(&mut tx.connection)
                    .await?;
                let counts = sqlx::query(
                    "SELECT COUNT(*), \
                     COUNT(CASE WHEN connected = 1 AND last_seen_ms > $2 THEN 1 END) \
                     FROM participants WHERE session_id = $1",
                )
                .bind(session.as_str())
                .bind(since)
                .fetch_one(&mut tx.connection)
                .await?;
                let mut participants =
                    rows.iter().map(row::participant).collect::<sqlx::Result<Vec<_>>>()?;
                for participant in &mut participants {
                    participant.connected &= column(participant.last_seen) > since;
                }
                let total = number(counts.try_get(0)?);
                Ok(ParticipantPage { participants, total, connected: number(counts.try_get(1)?) })
            }
            .boxed()
        })
        .await
    }

    /// Writes down signs of life.
    pub(crate) async fn seen(&self, signs: Vec<Seen>) -> Result<(), Refused> {
        self.write(move |tx| {
            async move {
                for seen in &signs {
                    tx.seen(seen).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Writes down that a participant went away or came back, and tells the others. Not told of a
    /// session that is over: nobody waits for anybody there.
    pub(crate) async fn moved(&self, seen: Seen) -> Result<(), Refused> {
        self.write(move |tx| {
            async move {
                tx.seen(&seen).await?;
                let participant = tx.participant(&seen.participant).await?;
                if tx.session(&participant.session, "").await?.check_open().is_err() {
                    return Ok(());
                }
                let event = if seen.connected {
                    let count = tx.count_participants(&participant.session).await?;
                    Event::participant_joined(&participant, count, true, seen.at)?
                } else {
                    Event::participant_disconnected(&participant, seen.at)?
                };
                tx.tell(&event).await
            }
            .boxed()
        })
        .await
    }

    /// A participant.
    #[cfg(test)]
    pub(crate) async fn participant(&self, id: ParticipantId) -> Result<Participant, Refused> {
        self.read(move |tx| async move { tx.participant(&id).await }.boxed()).await
    }
}
