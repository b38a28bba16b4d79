//! Domain values from rows.

use sqlx::any::AnyRow;
use sqlx::{Row, error::BoxDynError};

use super::number;
use crate::domain::{
    Code, Kind, Participant, ParticipantId, Poll, PollId, PollOption, PollState, Session,
    SessionId, SessionState,
};

/// What `participants.presence` says of somebody who is connected, and of somebody of whom the others
/// know that it is away.
pub(super) const CONNECTED: i64 = 1;
pub(super) const AWAY: i64 = 2;

/// The columns of a session, in the order in which [`session`] reads them.
pub(super) const SESSION: &str = "id, code, title, state, created_ms, started_ms, ended_ms";

/// The columns of a participant, in the order in which [`participant`] reads them.
pub(super) const PARTICIPANT: &str =
    "id, session_id, display_name, joined_ms, last_seen_ms, presence";

/// The columns of a poll, in the order in which [`poll`] reads them.
pub(super) const POLL: &str = "id, session_id, place, question, kind, first, second, options, \
     time_limit_s, hide_results, allow_change, state, created_ms, activated_ms, until_ms, closed_ms";

/// What a column holds that no version of this program has written.
pub(super) fn damaged(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(BoxDynError::from(format!("the database has {what} that is none")))
}

fn small(column: i64) -> u32 {
    u32::try_from(column).unwrap_or_default()
}

pub(super) fn session(row: &AnyRow) -> sqlx::Result<Session> {
    let started = row.try_get::<Option<i64>, _>(5)?.map(number);
    let ended = row.try_get::<Option<i64>, _>(6)?.map(number);
    let state = match (row.try_get::<String, _>(3)?.as_str(), started, ended) {
        ("created", _, _) => SessionState::Created,
        ("started", Some(at), _) => SessionState::Started { at },
        ("ended", Some(started), Some(at)) => SessionState::Ended { started, at },
        _ => return Err(damaged("a state of a session")),
    };
    Ok(Session {
        id: session_id(row, 0)?,
        code: Code::parse(&row.try_get::<String, _>(1)?).map_err(|_| damaged("a join code"))?,
        title: row.try_get(2)?,
        created: number(row.try_get(4)?),
        state,
    })
}

pub(super) fn session_id(row: &AnyRow, column: usize) -> sqlx::Result<SessionId> {
    let id = row.try_get::<String, _>(column)?;
    SessionId::parse(&id).ok_or_else(|| damaged("an id of a session"))
}

pub(super) fn participant_id(row: &AnyRow, column: usize) -> sqlx::Result<ParticipantId> {
    let id = row.try_get::<String, _>(column)?;
    ParticipantId::parse(&id).ok_or_else(|| damaged("an id of a participant"))
}

pub(super) fn poll_id(row: &AnyRow, column: usize) -> sqlx::Result<PollId> {
    let id = row.try_get::<String, _>(column)?;
    PollId::parse(&id).ok_or_else(|| damaged("an id of a poll"))
}

pub(super) fn participant(row: &AnyRow) -> sqlx::Result<Participant> {
    Ok(Participant {
        id: participant_id(row, 0)?,
        session: session_id(row, 1)?,
        display_name: row.try_get(2)?,
        joined: number(row.try_get(3)?),
        last_seen: number(row.try_get(4)?),
        connected: row.try_get::<i64, _>(5)? == CONNECTED,
    })
}

pub(super) fn poll(row: &AnyRow) -> sqlx::Result<Poll> {
    let numbers = (small(row.try_get(5)?), small(row.try_get(6)?));
    let kind = Kind::from_numbers(&row.try_get::<String, _>(4)?, numbers);
    let options = serde_json::from_str::<Vec<PollOption>>(&row.try_get::<String, _>(7)?);
    Ok(Poll {
        id: poll_id(row, 0)?,
        session: session_id(row, 1)?,
        place: small(row.try_get(2)?),
        question: row.try_get(3)?,
        kind: kind.ok_or_else(|| damaged("a kind of poll"))?,
        options: options.map_err(|_| damaged("a list of options"))?,
        time_limit_seconds: row.try_get::<Option<i64>, _>(8)?.map(small),
        hide_results: row.try_get::<i64, _>(9)? != 0,
        allow_change: row.try_get::<i64, _>(10)? != 0,
        created: number(row.try_get(12)?),
        state: poll_state(row)?,
    })
}

fn poll_state(row: &AnyRow) -> sqlx::Result<PollState> {
    let time = |column: usize| row.try_get::<Option<i64>, _>(column).map(|it| it.map(number));
    let state = match (row.try_get::<String, _>(11)?.as_str(), time(13)?, time(15)?) {
        ("draft", _, _) => PollState::Draft,
        ("active", Some(at), _) => PollState::Active { at, until: time(14)? },
        ("closed", Some(activated), Some(at)) => PollState::Closed { activated, at },
        _ => return Err(damaged("a state of a poll")),
    };
    Ok(state)
}
