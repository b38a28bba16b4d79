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
             (id, session_id, display_name, joined_ms, last_seen_ms, presence) \
             VALUES ($1, $2, $3, $4, $5, 0)",
        )
        .bind(it.id.as_str())
        .bind(it.session.as_str())
        .bind(&it.display_name)
        .bind(column(it.joined))
        .bind(column(it.last_seen))
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

    /// What was known of a participant's presence, with a lock on it.
    async fn presence(&mut self, id: &ParticipantId) -> Result<i64, Refused> {
        let sql = format!("SELECT presence FROM participants WHERE id = $1{}", self.exclusive());
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(row.ok_or(Refused::NoParticipant)?.try_get(0)?)
    }

    async fn set_presence(&mut self, seen: &Seen, presence: i64) -> Result<(), Refused> {
        sqlx::query("UPDATE participants SET last_seen_ms = $2, presence = $3 WHERE id = $1")
            .bind(seen.participant.as_str())
            .bind(column(seen.at))
            .bind(presence)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Whether a session has not ended: nobody waits for anybody in one that has.
    async fn is_open(&mut self, session: &SessionId) -> Result<bool, Refused> {
        Ok(self.session(session, "").await?.check_open().is_ok())
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
                     COUNT(CASE WHEN presence = 1 AND last_seen_ms > $2 THEN 1 END) \
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

    /// Somebody connected; the others hear of it if they were told that it is away.
    pub(crate) async fn arrived(&self, seen: Seen) -> Result<(), Refused> {
        self.write(move |tx| {
            async move {
                let before = tx.presence(&seen.participant).await?;
                tx.set_presence(&seen, row::CONNECTED).await?;
                let participant = tx.participant(&seen.participant).await?;
                if before == row::AWAY && tx.is_open(&participant.session).await? {
                    let count = tx.count_participants(&participant.session).await?;
                    let event = Event::participant_joined(&participant, count, true, seen.at)?;
                    tx.tell(&event).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Somebody has been away for long enough for the others to hear of it.
    pub(crate) async fn went(&self, seen: Seen) -> Result<(), Refused> {
        self.write(move |tx| {
            async move {
                if tx.presence(&seen.participant).await? != row::CONNECTED {
                    return Ok(());
                }
                tx.set_presence(&seen, row::AWAY).await?;
                let participant = tx.participant(&seen.participant).await?;
                if tx.is_open(&participant.session).await? {
                    let event = Event::participant_disconnected(&participant, seen.at)?;
                    tx.tell(&event).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Writes down that some who are connected still are.
    pub(crate) async fn here(&self, signs: Vec<Seen>) -> Result<(), Refused> {
        self.write(move |tx| {
            async move {
                for seen in &signs {
                    tx.set_presence(seen, row::CONNECTED).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    /// Some who count as connected without a sign for too long, each with its last one: the node that
    /// they were connected to has ended.
    pub(crate) async fn silent(&self, now: Millis) -> Result<Vec<Seen>, Refused> {
        self.read(move |tx| {
            async move {
                let rows = sqlx::query(
                    "SELECT id, last_seen_ms FROM participants \
                     WHERE presence = 1 AND last_seen_ms <= $1 ORDER BY last_seen_ms LIMIT 500",
                )
                .bind(column(now.saturating_sub(STALE_MS)))
                .fetch_all(&mut tx.connection)
                .await?;
                let signs = rows.iter().map(|row| {
                    let participant = row::participant_id(row, 0)?;
                    Ok(Seen { participant, at: number(row.try_get(1)?) })
                });
                signs.collect()
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
