//! How live polling says no over HTTP: problem details, from a closed list of kinds.
//!
//! Spec: RFC 9457 § 3.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use services::{Code, json_response};
use utoipa::ToSchema;

use crate::domain::{DraftError, PollError, SessionError, VoteError};
use crate::error::Refused;
use crate::store::StoreError;

/// What `type` begins with.
const TYPE: &str = "urn:fanfare:problem:";

/// After how many seconds to try again what came at a bad moment.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Writes the enum, its names and its statuses from one list.
macro_rules! kinds {
    ($( $variant:ident = $slug:literal, $code:literal, $status:ident, $title:literal; )+) => {
        /// Why a request was refused, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Kind { $( $variant, )+ }

        impl Kind {
            /// All of them.
            #[cfg(test)]
            const ALL: &[Kind] = &[ $( Kind::$variant ),+ ];

            const fn slug(self) -> &'static str {
                match self { $( Kind::$variant => $slug ),+ }
            }

            const fn code(self) -> &'static str {
                match self { $( Kind::$variant => $code ),+ }
            }

            const fn status(self) -> StatusCode {
                match self { $( Kind::$variant => StatusCode::$status ),+ }
            }

            const fn title(self) -> &'static str {
                match self { $( Kind::$variant => $title ),+ }
            }
        }
    };
}

kinds! {
    AuthRequired = "auth-required", "AUTH_REQUIRED", UNAUTHORIZED, "A token is needed";
    PresentersOnly = "presenters-only", "PRESENTERS_ONLY", FORBIDDEN, "Only presenters may do this";
    ParticipantsOnly = "participants-only", "PARTICIPANTS_ONLY", FORBIDDEN, "Only participants may do this";
    ResultsHidden = "results-hidden", "RESULTS_HIDDEN", FORBIDDEN, "The results are shown when the poll is closed";
    SessionNotFound = "session-not-found", "SESSION_NOT_FOUND", NOT_FOUND, "There is no such session";
    PollNotFound = "poll-not-found", "POLL_NOT_FOUND", NOT_FOUND, "There is no such poll";
    ParticipantNotFound = "participant-not-found", "PARTICIPANT_NOT_FOUND", NOT_FOUND, "There is no such participant";
    UnknownCode = "unknown-code", "UNKNOWN_CODE", NOT_FOUND, "No session has this code";
    CodeEnded = "code-ended", "CODE_ENDED", GONE, "The session with this code has ended";
    InvalidCode = "invalid-code", "INVALID_CODE", BAD_REQUEST, "This is no join code";
    InvalidText = "invalid-text", "INVALID_TEXT", BAD_REQUEST, "A text cannot be shown";
    InvalidPoll = "invalid-poll", "INVALID_POLL", BAD_REQUEST, "A poll cannot be made of this";
    InvalidVote = "invalid-vote", "INVALID_VOTE", BAD_REQUEST, "This is no vote on this poll";
    InvalidRequest = "invalid-request", "INVALID_REQUEST", BAD_REQUEST, "The request is not of the expected form";
    SessionAlreadyStarted = "session-already-started", "SESSION_ALREADY_STARTED", CONFLICT, "The session has started already";
    SessionNotStarted = "session-not-started", "SESSION_NOT_STARTED", CONFLICT, "The session has not started yet";
    SessionEnded = "session-ended", "SESSION_ENDED", CONFLICT, "The session has ended";
    PollAlreadyActive = "poll-already-active", "POLL_ALREADY_ACTIVE", CONFLICT, "The poll is active already";
    PollNotActive = "poll-not-active", "POLL_NOT_ACTIVE", CONFLICT, "The poll is not active yet";
    PollClosed = "poll-closed", "POLL_CLOSED", CONFLICT, "The poll is closed";
    TimeOver = "time-over", "TIME_OVER", CONFLICT, "The time to vote is over";
    AlreadyVoted = "already-voted", "ALREADY_VOTED", CONFLICT, "There is a vote already";
    WrongPolls = "wrong-polls", "WRONG_POLLS", CONFLICT, "These are not the session's polls";
    TooMany = "too-many", "TOO_MANY", CONFLICT, "The session is full";
    RateLimitExceeded = "rate-limit-exceeded", "RATE_LIMIT_EXCEEDED", TOO_MANY_REQUESTS, "This was asked too often";
    MethodNotAllowed = "method-not-allowed", "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED, "The path has other methods";
    PayloadTooLarge = "payload-too-large", "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType = "unsupported-media-type", "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE, "The body is not JSON";
    RequestTimeout = "request-timeout", "REQUEST_TIMEOUT", REQUEST_TIMEOUT, "The body took too long";
    StorageFull = "storage-full", "STORAGE_FULL", INSUFFICIENT_STORAGE, "The disk is full";
    StorageUnavailable = "storage-unavailable", "STORAGE_UNAVAILABLE", SERVICE_UNAVAILABLE, "The database does not answer";
    Overloaded = "overloaded", "OVERLOADED", SERVICE_UNAVAILABLE, "The server has more to do than it can";
    Internal = "internal", "INTERNAL", INTERNAL_SERVER_ERROR, "The server made a mistake";
}

/// A problem as it is sent, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// Which kind, for programs that know problem details.
    #[serde(rename = "type")]
    #[schema(example = "urn:fanfare:problem:already-voted")]
    kind: String,
    /// The kind in words.
    #[schema(example = "There is a vote already")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 409)]
    status: u16,
    /// What happened and what was expected.
    detail: String,
    /// Which kind, for programs.
    #[schema(example = "ALREADY_VOTED")]
    code: &'static str,
    /// The field that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// After how many milliseconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// The code of a problem that was answered, for who counts it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(pub(super) &'static str);

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("{TYPE}{}", kind.slug()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            code: kind.code(),
            field: None,
            retry_after_ms: None,
        }
    }

    fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// The path has other methods; which ones says the header `Allow`.
    pub(super) fn method() -> Self {
        let detail = "The method is not one of this path; the header `Allow` has those that are.";
        Problem::new(Kind::MethodNotAllowed, detail)
    }

    /// What is said of a refusal.
    pub(crate) fn of(why: &Refused) -> Self {
        let problem = Problem::new(kind(why), detail(why));
        match why {
            Refused::Code(_) => problem.field("code"),
            Refused::Text { field, .. } => problem.field(field),
            Refused::Draft(error) => match error.field() {
                Some(field) => problem.field(field),
                None => problem,
            },
            Refused::Vote(VoteError::Ballot(error)) => problem.field(error.field()),
            Refused::WrongPolls => problem.field("pollIds"),
            Refused::Form(refusal) => match refusal.details.get("field").and_then(Value::as_str) {
                Some(field) => problem.field(field),
                None => problem,
            },
            Refused::TooFast { retry_after_ms } => {
                Problem { retry_after_ms: Some(*retry_after_ms), ..problem }
            }
            _ => problem,
        }
    }
}

/// Why a vote was refused, as the voter is told by an event.
pub(crate) fn reason(why: &Refused) -> Value {
    let problem = Problem::of(why);
    json!({ "code": problem.code, "detail": problem.detail })
}

fn kind(why: &Refused) -> Kind {
    match why {
        Refused::Unauthorized => Kind::AuthRequired,
        Refused::PresentersOnly => Kind::PresentersOnly,
        Refused::ParticipantsOnly => Kind::ParticipantsOnly,
        Refused::ResultsHidden => Kind::ResultsHidden,
        Refused::NoSession => Kind::SessionNotFound,
        Refused::NoPoll => Kind::PollNotFound,
        Refused::NoParticipant => Kind::ParticipantNotFound,
        Refused::Code(_) => Kind::InvalidCode,
        Refused::UnknownCode => Kind::UnknownCode,
        Refused::EndedCode => Kind::CodeEnded,
        Refused::Text { .. } => Kind::InvalidText,
        Refused::Draft(DraftError::Session(error))
        | Refused::Session(error)
        | Refused::Poll(PollError::Session(error)) => of_session(*error),
        Refused::Draft(_) => Kind::InvalidPoll,
        Refused::Poll(PollError::AlreadyActive) => Kind::PollAlreadyActive,
        Refused::Poll(PollError::NotActive) | Refused::Vote(VoteError::NotActive) => {
            Kind::PollNotActive
        }
        Refused::Poll(PollError::Closed) | Refused::Vote(VoteError::Closed) => Kind::PollClosed,
        Refused::Vote(VoteError::TimeOver) => Kind::TimeOver,
        Refused::Vote(VoteError::AlreadyVoted) => Kind::AlreadyVoted,
        Refused::Vote(VoteError::Ballot(_)) => Kind::InvalidVote,
        Refused::WrongPolls => Kind::WrongPolls,
        Refused::TooMany { .. } => Kind::TooMany,
        Refused::TooFast { .. } => Kind::RateLimitExceeded,
        Refused::Form(refusal) => match refusal.code {
            Code::PayloadTooLarge => Kind::PayloadTooLarge,
            Code::UnsupportedMediaType => Kind::UnsupportedMediaType,
            Code::RequestTimeout => Kind::RequestTimeout,
            _ => Kind::InvalidRequest,
        },
        Refused::Store(StoreError::Full) => Kind::StorageFull,
        Refused::Store(StoreError::Busy) | Refused::NoFreeCode => Kind::Overloaded,
        Refused::Store(StoreError::Unavailable(_) | StoreError::Closed) => Kind::StorageUnavailable,
        Refused::Store(StoreError::Bug) | Refused::Bug => Kind::Internal,
    }
}

const fn of_session(error: SessionError) -> Kind {
    match error {
        SessionError::AlreadyStarted => Kind::SessionAlreadyStarted,
        SessionError::NotStarted => Kind::SessionNotStarted,
        SessionError::Ended => Kind::SessionEnded,
    }
}

/// A sentence. What the database says is for the log, not for strangers.
fn detail(why: &Refused) -> String {
    match why {
        Refused::Unauthorized => {
            "There is no token, or none that holds; expected `Authorization: Bearer <token>` with \
             the token of a presenter or a participant."
                .to_owned()
        }
        Refused::Form(refusal) => refusal.message.clone(),
        Refused::Store(StoreError::Full) => {
            "It was not done: the disk of the database is full.".to_owned()
        }
        Refused::Store(StoreError::Busy) | Refused::NoFreeCode => {
            "The server has more to do than it can; try again after a moment.".to_owned()
        }
        Refused::Store(StoreError::Bug) | Refused::Bug => "The server made a mistake.".to_owned(),
        Refused::Store(_) => {
            "The database cannot be read or written at the moment; try again later.".to_owned()
        }
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).chain(['.']).collect()
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        tracing::debug!(status = self.status, code = self.code, "live polling refused a request");
        let wait = self.retry_after_ms.map_or(RETRY_AFTER_SECONDS, |ms| ms.div_ceil(1_000).max(1));
        let mut response = json_response(status, &self);
        response.extensions_mut().insert(Told(self.code));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, wait.into());
            }
            _ => {}
        }
        response
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        if let Refused::Store(error) = &self {
            tracing::warn!(%error, "the database of live polling does not work");
        }
        Problem::of(&self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::{BallotError, TextError};

    #[test]
    fn each_kind_is_explained_once() {
        let page = include_str!("../../../../docs/livepoll.md");
        let mut codes = HashSet::new();
        for kind in Kind::ALL {
            let row = format!("\n| `{}` | {} | ", kind.code(), kind.status().as_u16());
            assert_eq!(page.matches(&row).count(), 1, "{row}");
            assert_eq!(kind.slug().replace('-', "_").to_uppercase(), kind.code());
            codes.insert(kind.code());
        }
        let (_, table) = page.split_once("\n| code | status |").unwrap();
        let rows = table.split("\n\n").next().unwrap().lines().skip(2);
        for row in rows {
            let code = row.split('`').nth(1).unwrap();
            assert!(codes.contains(code), "{code} is no code");
        }
    }

    #[test]
    fn a_problem_names_the_field_and_says_a_sentence() {
        let too_long = Refused::Text { field: "title", fault: TextError::TooLong { max: 120 } };
        let scale = Refused::Vote(VoteError::Ballot(BallotError::OutOfScale { scale: 5 }));
        let full = Refused::Store(StoreError::Unavailable("secret.host: refused".to_owned()));
        for (why, status, code, field, detail) in [
            (
                too_long,
                400,
                "INVALID_TEXT",
                Some("title"),
                "`title`: it has more than 120 characters.",
            ),
            (
                scale,
                400,
                "INVALID_VOTE",
                Some("value"),
                "The rating is a whole number from 1 to 5.",
            ),
            (
                Refused::Vote(VoteError::TimeOver),
                409,
                "TIME_OVER",
                None,
                "The time to vote is over.",
            ),
            (
                full,
                503,
                "STORAGE_UNAVAILABLE",
                None,
                "The database cannot be read or written at the moment; try again later.",
            ),
        ] {
            let problem = Problem::of(&why);
            assert_eq!((problem.status, problem.code), (status, code));
            assert_eq!((problem.field.as_deref(), problem.detail.as_str()), (field, detail));
        }
    }
}
