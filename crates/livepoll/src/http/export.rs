//! Results as a table for spreadsheets.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use services::time;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Problem, SessionPath};
use crate::Livepoll;
use crate::domain::{Outcome, Poll, Results};
use crate::error::Refused;
use crate::token::Seat;

/// The first line.
const COLUMNS: [&str; 9] =
    ["poll", "question", "kind", "state", "activated_at", "closed_at", "voters", "answer", "votes"];

pub(super) fn routes() -> OpenApiRouter<Livepoll> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Gives the results of all polls as CSV, a line per answer. Who voted what is not in it: votes are
/// secret.
#[utoipa::path(
    get,
    path = "/sessions/{id}/results.csv",
    tag = "live polling",
    params(("id" = String, Path, description = "The session.")),
    security(("livepoll" = [])),
    responses(
        (status = 200, description = "The table: UTF-8, RFC 4180.", body = String, content_type = "text/csv"),
        (status = 401, description = "AUTH_REQUIRED", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "PRESENTERS_ONLY", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "SESSION_NOT_FOUND", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn export(
    State(livepoll): State<Livepoll>,
    seat: Seat,
    SessionPath(id): SessionPath,
) -> Result<Response, Refused> {
    seat.check_presents(&id)?;
    let mut all = Vec::new();
    for poll in livepoll.polls(&id).await? {
        all.push(livepoll.results(&poll.id).await?);
    }
    let table = table(&all).map_err(|error| {
        tracing::error!(%error, "a table could not be written: a bug");
        Refused::Bug
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.csv\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, table).into_response())
}

fn table(all: &[(Poll, Results)]) -> Result<Vec<u8>, csv::Error> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (place, (poll, results)) in all.iter().enumerate() {
        let when = |at: Option<u64>| at.map(time::json).unwrap_or_default();
        let when = |at| when(at).as_str().unwrap_or_default().to_owned();
        let fixed = [
            (place + 1).to_string(),
            cell(&poll.question),
            poll.kind.as_str().to_owned(),
            poll.state.as_str().to_owned(),
            when(poll.state.activated()),
            when(poll.state.closed()),
            results.votes.to_string(),
        ];
        for (answer, votes) in answers(&results.outcome) {
            let own = [cell(&answer), votes.to_string()];
            writer.write_record(fixed.iter().chain(&own))?;
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn answers(outcome: &Outcome) -> Vec<(String, u64)> {
    match outcome {
        Outcome::SingleChoice { options } | Outcome::MultipleChoice { options } => {
            options.iter().map(|it| (it.label.clone(), it.votes)).collect()
        }
        Outcome::Rating { values, .. } => {
            values.iter().map(|it| (it.value.to_string(), it.votes)).collect()
        }
        Outcome::WordCloud { words, .. } => {
            words.iter().map(|it| (it.text.clone(), it.votes)).collect()
        }
    }
}

/// A text that a spreadsheet does not take for a formula: it would run what a stranger wrote.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Kind, PollId, PollState, SessionId, WordCount};

    #[test]
    fn a_table_has_a_line_per_answer_and_no_formulas() {
        let poll = Poll {
            id: PollId::from_random([1; 10]),
            session: SessionId::from_random([2; 10]),
            place: 0,
            question: "One, \"two\"?".to_owned(),
            kind: Kind::WordCloud { max_words: 1, max_word_length: 30 },
            options: Vec::new(),
            time_limit_seconds: None,
            hide_results: false,
            allow_change: false,
            created: 0,
            state: PollState::Closed { activated: 0, at: 1_000 },
        };
        let word = |text: &str| WordCount { text: text.to_owned(), votes: 2 };
        let words = vec![word("=cmd|' /c calc'!a0"), word("ok")];
        let outcome = Outcome::WordCloud { words, distinct_words: 2 };
        let results = Results { poll_id: poll.id.clone(), state: "closed", votes: 4, outcome };
        let table = String::from_utf8(table(&[(poll, results)]).unwrap()).unwrap();
        let line = |rest: &str| {
            format!(
                "1,\"One, \"\"two\"\"?\",word_cloud,closed,1970-01-01T00:00:00.000Z,\
                 1970-01-01T00:00:01.000Z,4,{rest},2\r\n"
            )
        };
        let head = "poll,question,kind,state,activated_at,closed_at,voters,answer,votes\r\n";
        assert_eq!(table, [head, &line("'=cmd|' /c calc'!a0"), &line("ok")].concat());
    }
}
