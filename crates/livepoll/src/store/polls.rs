//! Polls.

use futures_util::FutureExt;
use sqlx::AssertSqlSafe;

use super::{Database, Tx, column, row};
use crate::domain::{Draft, Millis, Poll, PollId, SessionId};
use crate::error::Refused;
use crate::event::Event;

/// The most polls of a session.
pub(crate) const MAX_POLLS: u32 = 100;

impl Tx {
    /// A poll, and a lock on it: `Tx::shared` or `Tx::exclusive`.
    pub(super) async fn poll(&mut self, id: &PollId, lock: &'static str) -> Result<Poll, Refused> {
        let sql = format!("SELECT {} FROM polls WHERE id = $1{lock}", row::POLL);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(row::poll(&row.ok_or(Refused::NoPoll)?)?)
    }

    /// The polls of a session, in the presenters' order.
    pub(super) async fn polls(&mut self, session: &SessionId) -> Result<Vec<Poll>, Refused> {
        let sql =
            format!("SELECT {} FROM polls WHERE session_id = $1 ORDER BY place, id", row::POLL);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(session.as_str())
            .fetch_all(&mut self.connection)
            .await?;
        Ok(rows.iter().map(row::poll).collect::<sqlx::Result<_>>()?)
    }

    async fn insert_poll(&mut self, it: &Poll) -> Result<(), Refused> {
        let (first, second) = it.kind.numbers();
        let options = serde_json::to_string(&it.options).map_err(|_| Refused::Bug)?;
        sqlx::query(
            "INSERT INTO polls (id, session_id, place, question, kind, first, second, options, \
             time_limit_s, hide_results, allow_change, state, created_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(it.id.as_str())
        .bind(it.session.as_str())
        .bind(i64::from(it.place))
        .bind(&it.question)
        .bind(it.kind.as_str())
        .bind(i64::from(first))
        .bind(i64::from(second))
        .bind(options)
        .bind(it.time_limit_seconds.map(i64::from))
        .bind(i64::from(it.hide_results))
        .bind(i64::from(it.allow_change))
        .bind(it.state.as_str())
        .bind(column(it.created))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn update_poll(&mut self, it: &Poll) -> Result<(), Refused> {
        sqlx::query(
            "UPDATE polls SET state = $2, activated_ms = $3, until_ms = $4, closed_ms = $5 \
             WHERE id = $1",
        )
        .bind(it.id.as_str())
        .bind(it.state.as_str())
        .bind(it.state.activated().map(column))
        .bind(it.state.until().map(column))
        .bind(it.state.closed().map(column))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Closes a poll. Its results are final: whoever votes at the same time waits for this, or this
    /// for it.
    pub(super) async fn close(&mut self, id: &PollId, now: Millis) -> Result<Poll, Refused> {
        let mut poll = self.poll(id, self.exclusive()).await?;
        poll.close(now)?;
        self.update_poll(&poll).await?;
        let results = self.results(&poll).await?;
        self.tell(&Event::poll_closed(&poll, &results, now)?).await?;
        Ok(poll)
    }
}

impl Database {
    /// Adds a poll behind the others of a session.
    pub(crate) async fn create_poll(
        &self,
        session: SessionId,
        id: PollId,
        draft: Draft,
        now: Millis,
    ) -> Result<Poll, Refused> {
        self.write(move |tx| {
            async move {
                // Two at once would get the same place, and pass the limit.
                let session = tx.session(&session, tx.exclusive()).await?;
                let others = tx.polls(&session.id).await?;
                if others.len() >= MAX_POLLS as usize {
                    return Err(Refused::TooMany { what: "polls", max: MAX_POLLS });
                }
                let place = others.iter().map(|poll| poll.place + 1).max().unwrap_or_default();
                let poll = Poll::create(id, &session, place, &draft, now)?;
                tx.insert_poll(&poll).await?;
                tx.tell(&Event::poll_created(&poll)?).await?;
                Ok(poll)
            }
            .boxed()
        })
        .await
    }

    /// A poll.
    pub(crate) async fn poll(&self, id: PollId) -> Result<Poll, Refused> {
        self.read(move |tx| async move { tx.poll(&id, "").await }.boxed()).await
    }

    /// The polls of a session, in the presenters' order.
    pub(crate) async fn polls(&self, session: SessionId) -> Result<Vec<Poll>, Refused> {
        self.read(move |tx| {
            async move {
                tx.session(&session, "").await?;
                tx.polls(&session).await
            }
            .boxed()
        })
        .await
    }

    /// Opens a poll.
    pub(crate) async fn activate(&self, id: PollId, now: Millis) -> Result<Poll, Refused> {
        self.write(move |tx| {
            async move {
                let session = tx.poll(&id, "").await?.session;
                // The session first, as where it ends: two that lock in one order never wait for
                // each other.
                let session = tx.session(&session, tx.shared()).await?;
                let mut poll = tx.poll(&id, tx.exclusive()).await?;
                poll.activate(&session, now)?;
                tx.update_poll(&poll).await?;
                tx.tell(&Event::poll_activated(&poll, now)?).await?;
                Ok(poll)
            }
            .boxed()
        })
        .await
    }

    /// Closes a poll.
    pub(crate) async fn close(&self, id: PollId, now: Millis) -> Result<Poll, Refused> {
        self.write(move |tx| async move { tx.close(&id, now).await }.boxed()).await
    }

    /// Brings the polls of a session into an order: all of them, each once.
    pub(crate) async fn arrange(
        &self,
        session: SessionId,
        order: Vec<PollId>,
        now: Millis,
    ) -> Result<Vec<Poll>, Refused> {
        self.write(move |tx| {
            async move {
                tx.session(&session, tx.exclusive()).await?.check_open()?;
                let mut polls = tx.polls(&session).await?;
                let place = |id: &PollId| order.iter().position(|other| other == id);
                let each = polls.iter().all(|poll| place(&poll.id).is_some());
                if !each || polls.len() != order.len() {
                    return Err(Refused::WrongPolls);
                }
                polls.sort_by_key(|poll| place(&poll.id));
                for (poll, place) in polls.iter_mut().zip(0..) {
                    poll.place = place;
                    sqlx::query("UPDATE polls SET place = $2 WHERE id = $1")
                        .bind(poll.id.as_str())
                        .bind(i64::from(place))
                        .execute(&mut tx.connection)
                        .await?;
                }
                tx.tell(&Event::polls_arranged(&session, &order, now)?).await?;
                Ok(polls)
            }
            .boxed()
        })
        .await
    }

    /// The active polls whose time is over first, each with when that is.
    pub(crate) async fn next_ends(&self) -> Result<Vec<(PollId, Millis)>, Refused> {
        use sqlx::Row;

        self.read(|tx| {
            async move {
                let rows = sqlx::query(
                    "SELECT id, until_ms FROM polls \
                     WHERE state = 'active' AND until_ms IS NOT NULL ORDER BY until_ms LIMIT 64",
                )
                .fetch_all(&mut tx.connection)
                .await?;
                let ends = rows.iter().map(|row| {
                    Ok((row::poll_id(row, 0)?, super::number(row.try_get::<i64, _>(1)?)))
                });
                ends.collect()
            }
            .boxed()
        })
        .await
    }

    /// All active polls, and those closed since: their last results may not have been told.
    pub(crate) async fn lively(&self, since: Millis) -> Result<Vec<PollId>, Refused> {
        self.read(move |tx| {
            async move {
                let rows = sqlx::query(
                    "SELECT id FROM polls WHERE state = 'active' OR closed_ms > $1 LIMIT 10000",
                )
                .bind(column(since))
                .fetch_all(&mut tx.connection)
                .await?;
                rows.iter().map(|row| Ok(row::poll_id(row, 0)?)).collect()
            }
            .boxed()
        })
        .await
    }
}
