//! Sessions.

use futures_util::FutureExt;
use sqlx::AssertSqlSafe;

use super::{Database, Tx, column, row};
use crate::domain::{Code, Millis, Session, SessionId};
use crate::error::Refused;
use crate::event::Event;

/// How many polls of a session that ends are closed with it at most: as many as there may be.
const MAX_CLOSED: usize = super::polls::MAX_POLLS as usize;

impl Tx {
    /// A session, and a lock on it: `Tx::shared` or `Tx::exclusive`.
    pub(crate) async fn session(
        &mut self,
        id: &SessionId,
        lock: &'static str,
    ) -> Result<Session, Refused> {
        let sql = format!("SELECT {} FROM sessions WHERE id = $1{lock}", row::SESSION);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(row::session(&row.ok_or(Refused::NoSession)?)?)
    }

    /// The session with this code that has not ended.
    pub(super) async fn session_by_code(&mut self, code: Code) -> Result<Session, Refused> {
        let lock = self.shared();
        let open = format!(
            "SELECT {} FROM sessions WHERE code = $1 AND state <> 'ended'{lock}",
            row::SESSION
        );
        let code = code.to_string();
        let found = sqlx::query(AssertSqlSafe(open))
            .bind(&code)
            .fetch_optional(&mut self.connection)
            .await?;
        if let Some(row) = found {
            return Ok(row::session(&row)?);
        }
        let ended = sqlx::query("SELECT id FROM sessions WHERE code = $1 LIMIT 1")
            .bind(&code)
            .fetch_optional(&mut self.connection)
            .await?;
        Err(if ended.is_some() { Refused::EndedCode } else { Refused::UnknownCode })
    }

    /// Inserts a session; false if its code belongs to another one.
    async fn insert_session(&mut self, it: &Session) -> Result<bool, Refused> {
        let done = sqlx::query(
            "INSERT INTO sessions (id, code, title, state, created_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(it.id.as_str())
        .bind(it.code.to_string())
        .bind(&it.title)
        .bind(it.state.as_str())
        .bind(column(it.created))
        .execute(&mut self.connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn update_session(&mut self, it: &Session) -> Result<(), Refused> {
        sqlx::query("UPDATE sessions SET state = $2, started_ms = $3, ended_ms = $4 WHERE id = $1")
            .bind(it.id.as_str())
            .bind(it.state.as_str())
            .bind(it.state.started().map(column))
            .bind(it.state.ended().map(column))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Removes a session and all that belongs to it.
    async fn remove_session(&mut self, id: &str) -> Result<(), Refused> {
        for sql in [
            "DELETE FROM choices WHERE poll_id IN (SELECT id FROM polls WHERE session_id = $1)",
            "DELETE FROM votes WHERE poll_id IN (SELECT id FROM polls WHERE session_id = $1)",
            "DELETE FROM polls WHERE session_id = $1",
            "DELETE FROM participants WHERE session_id = $1",
            "DELETE FROM sessions WHERE id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut self.connection).await?;
        }
        Ok(())
    }
}

impl Database {
    /// Opens a session with the first of these codes that no other open session has.
    pub(crate) async fn create_session(
        &self,
        mut session: Session,
        codes: Vec<Code>,
    ) -> Result<Session, Refused> {
        self.write(move |tx| {
            async move {
                for code in codes {
                    session.code = code;
                    if tx.insert_session(&session).await? {
                        tx.tell(&Event::session_created(&session)?).await?;
                        return Ok(session);
                    }
                }
                Err(Refused::NoFreeCode)
            }
            .boxed()
        })
        .await
    }

    /// A session.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Session, Refused> {
        self.read(move |tx| async move { tx.session(&id, "").await }.boxed()).await
    }

    /// Starts a session.
    pub(crate) async fn start_session(
        &self,
        id: SessionId,
        now: Millis,
    ) -> Result<Session, Refused> {
        self.write(move |tx| {
            async move {
                let mut session = tx.session(&id, tx.exclusive()).await?;
                session.start(now)?;
                tx.update_session(&session).await?;
                tx.tell(&Event::session_started(&session, now)?).await?;
                Ok(session)
            }
            .boxed()
        })
        .await
    }

    /// Ends a session, and with it the polls that are active.
    pub(crate) async fn end_session(&self, id: SessionId, now: Millis) -> Result<Session, Refused> {
        self.write(move |tx| {
            async move {
                let mut session = tx.session(&id, tx.exclusive()).await?;
                session.end(now)?;
                tx.update_session(&session).await?;
                for poll in tx.polls(&id).await?.into_iter().take(MAX_CLOSED) {
                    if poll.state.as_str() == "active" {
                        tx.close(&poll.id, now).await?;
                    }
                }
                tx.tell(&Event::session_ended(&session, now)?).await?;
                Ok(session)
            }
            .boxed()
        })
        .await
    }

    /// Removes one session that is older than this, if there is one: whether there was.
    pub(crate) async fn remove_older(&self, created_before: Millis) -> Result<bool, Refused> {
        self.write(move |tx| {
            async move {
                let old = sqlx::query(
                    "SELECT id FROM sessions WHERE created_ms < $1 ORDER BY created_ms LIMIT 1",
                )
                .bind(column(created_before))
                .fetch_optional(&mut tx.connection)
                .await?;
                let Some(old) = old else { return Ok(false) };
                tx.remove_session(row::session_id(&old, 0)?.as_str()).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }
}
