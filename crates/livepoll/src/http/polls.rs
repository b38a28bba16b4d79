//! Polls and votes.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use services::{Code as RefusalCode, Refusal, json_response};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Json, PollPath, Problem, SessionPath};
use crate::Livepoll;
use crate::domain::{Ballot, Draft, Poll, PollId, Results};
use crate::error::Refused;
use crate::token::{Role, Seat};
use crate::view::PollView;

pub(super) fn routes() -> OpenApiRouter<Livepoll> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(arrange))
        .routes(routes!(get))
        .routes(routes!(activate))
        .routes(routes!(close))
        .routes(routes!(vote))
        .routes(routes!(results))
}

/// What is to be asked. Fields that mean nothing for the kind are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewPoll {
    /// The question: 1 to 300 characters on one line.
    question: String,
    /// `single_choice`, `multiple_choice`, `rating` or `word_cloud`.
    kind: String,
    /// The labels of a choice: 2 to 20, each of 1 to 100 characters, no two the same.
    options: Option<Vec<String>>,
    /// The fewest options to choose, of several. Default: 1.
    min: Option<u32>,
    /// The most options to choose, of several. Default: all.
    max: Option<u32>,
    /// The highest value of a rating, from 2 to 10. Default: 5.
    scale: Option<u32>,
    /// How many words a participant may give, from 1 to 10. Default: 3.
    max_words: Option<u32>,
    /// How long a word may be, from 1 to 50 characters. Default: 30.
    max_word_length: Option<u32>,
    /// After how many seconds it closes by itself, up to a day. Default: not.
    time_limit_seconds: Option<u32>,
    /// Whether participants see results only when it is closed. Default: no.
    #[serde(default)]
    hide_results: bool,
    /// Whether a vote can be changed while the poll is active. Default: no.
    #[serde(default)]
    allow_change: bool,
}

impl From<NewPoll> for Draft {
    fn from(it: NewPoll) -> Self {
        Draft {
            question: it.question,
            kind: it.kind,
            options: it.options,
            min: it.min,
            max: it.max,
            scale: it.scale,
            max_words: it.max_words,
            max_word_length: it.max_word_length,
            time_limit_seconds: it.time_limit_seconds,
            hide_results: it.hide_results,
            allow_change: it.allow_change,
        }
    }
}

/// Polls in the presenters' order.
#[derive(Debug, Serialize, ToSchema)]
struct Polls {
    /// The polls.
    polls: Vec<PollView>,
}

impl Polls {
    fn of(polls: &[Poll]) -> Self {
        Polls { polls: polls.iter().map(PollView::of).collect() }
    }
}

/// Adds a poll behind the others.
#[utoipa::path(
    post,
    path = "/sessions/{id}/polls",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    request_body = NewPoll,
    security(("livepoll" = [])),
    responses(
        (status = 201, description = "A draft; its options have ids.", body = PollView),
        (status = 400, description = "INVALID_POLL, INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "SESSION_ENDED, TOO_MANY", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(session): SessionPath,
    Json(body): Json<NewPoll>,
) -> Result<Response, Refused> {
    seat.check_presents(&session)?;
    let poll = livepoll.create_poll(&session, body.into()).await?;
    let mut response = json_response(StatusCode::CREATED, &PollView::of(&poll));
    if let Ok(location) = HeaderValue::from_str(&format!("/polls/{}", poll.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Lists the polls in the presenters' order.
#[utoipa::path(
    get,
    path = "/sessions/{id}/polls",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "All polls of the session.", body = Polls),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(session): SessionPath,
) -> Result<Response, Refused> {
    seat.check_sees(&session)?;
    let polls = livepoll.polls(&session).await?;
    Ok(json_response(StatusCode::OK, &Polls::of(&polls)))
}

/// An order of polls.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Order {
    /// All polls of the session, each once.
    poll_ids: Vec<String>,
}

/// Brings the polls into an order.
#[utoipa::path(
    put,
    path = "/sessions/{id}/polls/order",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    request_body = Order,
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "All polls, in this order.", body = Polls),
        (status = 400, description = "INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "WRONG_POLLS, SESSION_ENDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn arrange(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(session): SessionPath,
    Json(body): Json<Order>,
) -> Result<Response, Refused> {
    seat.check_presents(&session)?;
    let order: Option<Vec<_>> = body.poll_ids.iter().map(|id| PollId::parse(id)).collect();
    let polls = livepoll.arrange(&session, order.ok_or(Refused::WrongPolls)?).await?;
    Ok(json_response(StatusCode::OK, &Polls::of(&polls)))
}

/// A poll, and what the one who asks has voted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnePoll {
    #[serde(flatten)]
    poll: PollView,
    /// What the participant has chosen: ids of options, a number as text, or words; null if it has not
    /// voted, or is a presenter.
    my_vote: Option<Vec<String>>,
}

/// Says how a poll stands.
#[utoipa::path(
    get,
    path = "/polls/{pollId}",
    tag = "live polling",
    params(("pollId" = String, Path, description = "The poll.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "The poll.", body = OnePoll),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "POLL_NOT_FOUND, also if it is another session's", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn get(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    PollPath(id): PollPath,
) -> Result<Response, Refused> {
    let poll = seen(&livepoll, &seat, &id).await?;
    let my_vote = match &seat.role {
        Role::Presenter => None,
        Role::Participant(voter) => {
            Some(livepoll.own_vote(&id, voter).await?).filter(|vote| !vote.is_empty())
        }
    };
    Ok(json_response(StatusCode::OK, &OnePoll { poll: PollView::of(&poll), my_vote }))
}

/// A poll that this caller may know of.
async fn seen(livepoll: &Livepoll, seat: &Seat, id: &PollId) -> Result<Poll, Refused> {
    let poll = livepoll.poll(id).await?;
    seat.check_sees(&poll.session).map_err(|_| Refused::NoPoll)?;
    Ok(poll)
}

/// Lets those who present a poll pass.
async fn check_presents(livepoll: &Livepoll, seat: &Seat, id: &PollId) -> Result<(), Refused> {
    let poll = seen(livepoll, seat, id).await?;
    seat.check_presents(&poll.session)
}

/// Opens a poll for votes.
#[utoipa::path(
    post,
    path = "/polls/{pollId}/activate",
    tag = "live polling",
    params(("pollId" = String, Path, description = "The poll.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "It is active.", body = PollView),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "POLL_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "POLL_ALREADY_ACTIVE, POLL_CLOSED, SESSION_NOT_STARTED, SESSION_ENDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn activate(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    PollPath(id): PollPath,
) -> Result<Response, Refused> {
    check_presents(&livepoll, &seat, &id).await?;
    let poll = livepoll.activate(&id).await?;
    Ok(json_response(StatusCode::OK, &PollView::of(&poll)))
}

/// Closes a poll for good.
#[utoipa::path(
    post,
    path = "/polls/{pollId}/close",
    tag = "live polling",
    params(("pollId" = String, Path, description = "The poll.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "It is closed; its results are final.", body = PollView),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "POLL_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "POLL_NOT_ACTIVE, POLL_CLOSED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn close(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    PollPath(id): PollPath,
) -> Result<Response, Refused> {
    check_presents(&livepoll, &seat, &id).await?;
    let poll = livepoll.close(&id).await?;
    Ok(json_response(StatusCode::OK, &PollView::of(&poll)))
}

/// A vote: one of the three, by the kind of the poll.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewVote {
    /// Options that are chosen.
    option_ids: Option<Vec<String>>,
    /// A rating.
    value: Option<i64>,
    /// Words.
    words: Option<Vec<String>>,
}

impl NewVote {
    fn ballot(self) -> Result<Ballot, Refused> {
        match (self.option_ids, self.value, self.words) {
            (Some(ids), None, None) => Ok(Ballot::Options(ids)),
            (None, Some(value), None) => Ok(Ballot::Value(value)),
            (None, None, Some(words)) => Ok(Ballot::Words(words)),
            _ => {
                let message = "Expected exactly one of `optionIds`, `value` and `words`.";
                let refusal = Refusal::new(RefusalCode::InvalidRequest, message);
                Err(Refused::Form(Box::new(refusal)))
            }
        }
    }
}

/// A vote that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Voted {
    /// The poll.
    poll_id: String,
    /// Who voted.
    participant_id: String,
    /// Whether it changed an earlier vote.
    changed: bool,
}

/// Votes.
#[utoipa::path(
    post,
    path = "/polls/{pollId}/votes",
    tag = "live polling",
    params(("pollId" = String, Path, description = "The poll.")),
    request_body = NewVote,
    security(("livepoll" = [])),
    responses(
        (status = 201, description = "It counts.", body = Voted),
        (status = 400, description = "INVALID_VOTE, INVALID_REQUEST", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PARTICIPANTS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "POLL_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "ALREADY_VOTED, POLL_NOT_ACTIVE, POLL_CLOSED, TIME_OVER", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "RATE_LIMIT_EXCEEDED", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn vote(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    PollPath(id): PollPath,
    Json(body): Json<NewVote>,
) -> Result<Response, Refused> {
    let voter = seat.participant()?;
    livepoll.limits().vote(voter)?;
    let changed = livepoll.vote(&seat, &id, body.ballot()?).await?;
    let (poll_id, participant_id) = (id.to_string(), voter.to_string());
    Ok(json_response(StatusCode::CREATED, &Voted { poll_id, participant_id, changed }))
}

/// Says what the votes come to.
#[utoipa::path(
    get,
    path = "/polls/{pollId}/results",
    tag = "live polling",
    params(("pollId" = String, Path, description = "The poll.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "The results.", body = Results),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "RESULTS_HIDDEN", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "POLL_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn results(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    PollPath(id): PollPath,
) -> Result<Response, Refused> {
    let (poll, results) = livepoll.results(&id).await?;
    seat.check_sees(&poll.session).map_err(|_| Refused::NoPoll)?;
    if seat.role != Role::Presenter && !poll.shows_results() {
        return Err(Refused::ResultsHidden);
    }
    Ok(json_response(StatusCode::OK, &results))
}
