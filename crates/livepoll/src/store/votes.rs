//! Votes, and what they come to.

use futures_util::FutureExt;
use sqlx::Row;

use super::{Database, Tx, column, number};
use crate::domain::{
    Ballot, Kind, MAX_SHOWN_WORDS, Millis, ParticipantId, Poll, PollId, Results, SessionId,
};
use crate::error::Refused;
use crate::event::Event;

/// Somebody votes.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) poll: PollId,
    pub(crate) session: SessionId,
    pub(crate) voter: ParticipantId,
    pub(crate) ballot: Ballot,
    pub(crate) now: Millis,
}

impl Tx {
    /// What all votes of a poll come to, counted.
    pub(super) async fn results(&mut self, poll: &Poll) -> Result<Results, Refused> {
        let votes = self.count("SELECT COUNT(*) FROM votes WHERE poll_id = $1", poll).await?;
        // No more than can be shown of any kind.
        let rows = sqlx::query(
            "SELECT item, COUNT(*) FROM choices WHERE poll_id = $1 \
             GROUP BY item ORDER BY COUNT(*) DESC, item LIMIT $2",
        )
        .bind(poll.id.as_str())
        .bind(i64::try_from(MAX_SHOWN_WORDS).unwrap_or(i64::MAX))
        .fetch_all(&mut self.connection)
        .await?;
        let counts = rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?))));
        let counts = counts.collect::<sqlx::Result<Vec<(String, u64)>>>()?;
        let mut distinct = counts.len() as u64;
        if matches!(poll.kind, Kind::WordCloud { .. }) && counts.len() >= MAX_SHOWN_WORDS {
            let sql = "SELECT COUNT(DISTINCT item) FROM choices WHERE poll_id = $1";
            distinct = self.count(sql, poll).await?;
        }
        Ok(Results::of(poll, votes, &counts, distinct))
    }

    async fn count(&mut self, sql: &'static str, poll: &Poll) -> Result<u64, Refused> {
        let row = sqlx::query(sql).bind(poll.id.as_str()).fetch_one(&mut self.connection).await?;
        Ok(number(row.try_get(0)?))
    }

    /// Writes down that somebody voted: whether it is the first time.
    async fn insert_vote(&mut self, cast: &Cast) -> Result<bool, Refused> {
        let done = sqlx::query(
            "INSERT INTO votes (poll_id, participant_id, voted_ms) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(cast.poll.as_str())
        .bind(cast.voter.as_str())
        .bind(column(cast.now))
        .execute(&mut self.connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes an earlier vote back. The row is written to first: of two changes at the same time, the
    /// second waits for the first.
    async fn take_back(&mut self, cast: &Cast) -> Result<(), Refused> {
        sqlx::query("UPDATE votes SET voted_ms = $3 WHERE poll_id = $1 AND participant_id = $2")
            .bind(cast.poll.as_str())
            .bind(cast.voter.as_str())
            .bind(column(cast.now))
            .execute(&mut self.connection)
            .await?;
        sqlx::query("DELETE FROM choices WHERE poll_id = $1 AND participant_id = $2")
            .bind(cast.poll.as_str())
            .bind(cast.voter.as_str())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn vote(&mut self, cast: &Cast) -> Result<bool, Refused> {
        let poll = self.poll(&cast.poll, self.shared()).await?;
        if poll.session != cast.session {
            return Err(Refused::NoPoll);
        }
        let choice = poll.take(&cast.ballot, cast.now)?;
        let first = self.insert_vote(cast).await?;
        if !first {
            poll.check_second()?;
            self.take_back(cast).await?;
        }
        for item in choice.items() {
            sqlx::query("INSERT INTO choices (poll_id, item, participant_id) VALUES ($1, $2, $3)")
                .bind(cast.poll.as_str())
                .bind(item)
                .bind(cast.voter.as_str())
                .execute(&mut self.connection)
                .await?;
        }
        self.tell(&Event::vote_accepted(&poll, &cast.voter, !first, cast.now)?).await?;
        Ok(!first)
    }
}

impl Database {
    /// Takes a vote: whether it changed an earlier one.
    pub(crate) async fn vote(&self, cast: Cast) -> Result<bool, Refused> {
        self.write(move |tx| async move { tx.vote(&cast).await }.boxed()).await
    }

    /// A poll and its results, of one moment.
    pub(crate) async fn results(&self, poll: PollId) -> Result<(Poll, Results), Refused> {
        self.read(move |tx| {
            async move {
                let poll = tx.poll(&poll, "").await?;
                let results = tx.results(&poll).await?;
                Ok((poll, results))
            }
            .boxed()
        })
        .await
    }

    /// What a participant has chosen in a poll; nothing if it has not voted.
    pub(crate) async fn own_vote(
        &self,
        poll: PollId,
        voter: ParticipantId,
    ) -> Result<Vec<String>, Refused> {
        self.read(move |tx| {
            async move {
                let rows = sqlx::query(
                    "SELECT item FROM choices WHERE poll_id = $1 AND participant_id = $2 \
                     ORDER BY item",
                )
                .bind(poll.as_str())
                .bind(voter.as_str())
                .fetch_all(&mut tx.connection)
                .await?;
                Ok(rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
            }
            .boxed()
        })
        .await
    }
}
