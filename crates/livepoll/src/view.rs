//! Sessions, participants and polls as they are sent, in answers and in events.

use serde::Serialize;
use serde_json::Value;
use services::time;
use utoipa::ToSchema;

use crate::domain::{Kind, Participant, Poll, PollOption, Session};

/// A session.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionView {
    /// Its id.
    pub(crate) id: String,
    /// What people type to join.
    #[schema(example = "K7P2XW")]
    pub(crate) code: String,
    /// What it is about.
    pub(crate) title: String,
    /// `created`, `started` or `ended`.
    pub(crate) state: &'static str,
    /// When it was opened, in UTC.
    #[schema(value_type = String)]
    created_at: Value,
    /// When it started.
    #[schema(value_type = Option<String>)]
    started_at: Option<Value>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    ended_at: Option<Value>,
}

impl SessionView {
    pub(crate) fn of(session: &Session) -> Self {
        SessionView {
            id: session.id.to_string(),
            code: session.code.to_string(),
            title: session.title.clone(),
            state: session.state.as_str(),
            created_at: time::json(session.created),
            started_at: session.state.started().map(time::json),
            ended_at: session.state.ended().map(time::json),
        }
    }
}

/// A participant.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParticipantView {
    /// Its id.
    pub(crate) id: String,
    /// The name to show, as text.
    pub(crate) display_name: String,
    /// When it joined, in UTC.
    #[schema(value_type = String)]
    joined_at: Value,
    /// When it was last heard of.
    #[schema(value_type = String)]
    last_seen_at: Value,
    /// Whether it is connected.
    pub(crate) connected: bool,
}

impl ParticipantView {
    pub(crate) fn of(participant: &Participant) -> Self {
        ParticipantView {
            id: participant.id.to_string(),
            display_name: participant.display_name.clone(),
            joined_at: time::json(participant.joined),
            last_seen_at: time::json(participant.last_seen),
            connected: participant.connected,
        }
    }
}

/// A poll.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PollView {
    /// Its id.
    pub(crate) id: String,
    /// The session.
    pub(crate) session_id: String,
    /// What is asked.
    pub(crate) question: String,
    /// `single_choice`, `multiple_choice`, `rating` or `word_cloud`.
    pub(crate) kind: &'static str,
    /// What can be chosen; empty unless it is a choice.
    pub(crate) options: Vec<PollOption>,
    /// The fewest options to choose, of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u32>,
    /// The most options to choose, of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
    /// The highest value of a rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<u32>,
    /// How many words a participant may give.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_words: Option<u32>,
    /// How long a word may be, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_word_length: Option<u32>,
    /// After how many seconds it closes by itself; null if it does not.
    time_limit_seconds: Option<u32>,
    /// Whether participants see results only when it is closed.
    hide_results: bool,
    /// Whether a vote can be changed while the poll is active.
    allow_change: bool,
    /// `draft`, `active` or `closed`.
    pub(crate) state: &'static str,
    /// When it was made, in UTC.
    #[schema(value_type = String)]
    created_at: Value,
    /// When it was opened.
    #[schema(value_type = Option<String>)]
    activated_at: Option<Value>,
    /// When it closes by itself.
    #[schema(value_type = Option<String>)]
    closes_at: Option<Value>,
    /// When it was closed.
    #[schema(value_type = Option<String>)]
    closed_at: Option<Value>,
}

impl PollView {
    pub(crate) fn of(poll: &Poll) -> Self {
        let mut view = PollView {
            id: poll.id.to_string(),
            session_id: poll.session.to_string(),
            question: poll.question.clone(),
            kind: poll.kind.as_str(),
            options: poll.options.clone(),
            min: None,
            max: None,
            scale: None,
            max_words: None,
            max_word_length: None,
            time_limit_seconds: poll.time_limit_seconds,
            hide_results: poll.hide_results,
            allow_change: poll.allow_change,
            state: poll.state.as_str(),
            created_at: time::json(poll.created),
            activated_at: poll.state.activated().map(time::json),
            closes_at: poll.state.until().map(time::json),
            closed_at: poll.state.closed().map(time::json),
        };
        match poll.kind {
            Kind::SingleChoice => {}
            Kind::MultipleChoice { min, max } => (view.min, view.max) = (Some(min), Some(max)),
            Kind::Rating { scale } => view.scale = Some(scale),
            Kind::WordCloud { max_words, max_word_length } => {
                (view.max_words, view.max_word_length) = (Some(max_words), Some(max_word_length));
            }
        }
        view
    }
}
