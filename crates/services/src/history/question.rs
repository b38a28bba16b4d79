//! What is asked of the history, from a query or from the argument of an event.

use std::time::Duration;

use fanfare::eventlog::Position;
use fanfare::{DEFAULT_HISTORY_EVENTS, HistoryQuery, MAX_HISTORY_EVENTS};
use serde_json::{Map, Value, json};

use crate::code::Code;
use crate::refusal::Refusal;

/// The longest that a request is held.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How long to wait for something to come, if at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wait(pub(super) Option<Duration>);

/// A question that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) query: HistoryQuery,
    pub(super) namespace: String,
    pub(super) wait: Wait,
}

/// The fields that are there, unread: only this struct knows which names there are.
#[derive(Debug, Default)]
struct Fields {
    after: Option<String>,
    before: Option<String>,
    limit: Option<String>,
    order: Option<String>,
    namespace: Option<String>,
    wait: Option<String>,
}

impl Question {
    /// Reads the query of a request.
    ///
    /// # Errors
    ///
    /// A refusal that names the field and what was expected.
    pub(super) fn of_query(query: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "after" => &mut fields.after,
                "before" => &mut fields.before,
                "limit" => &mut fields.limit,
                "order" => &mut fields.order,
                "namespace" => &mut fields.namespace,
                "wait" => &mut fields.wait,
                _ => return Err(unknown("parameter", &QUERY_FIELDS)),
            };
            if field.replace(value.into_owned()).is_some() {
                let message = "The query has a parameter twice.";
                return Err(Refusal::new(Code::InvalidRequest, message)
                    .with(json!({ "fields": QUERY_FIELDS })));
            }
        }
        fields.question()
    }

    /// Reads the fields beside the room in the argument of an event.
    ///
    /// # Errors
    ///
    /// A refusal that names the field and what was expected.
    pub(super) fn of_event(given: Map<String, Value>) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        for (name, value) in given {
            let (field, text) = match (&*name, value) {
                ("after", Value::String(text)) => (&mut fields.after, text),
                ("before", Value::String(text)) => (&mut fields.before, text),
                ("limit", Value::Number(number)) => (&mut fields.limit, number.to_string()),
                ("order", Value::String(text)) => (&mut fields.order, text),
                ("after", _) => return Err(invalid("after", POSITION_FORM)),
                ("before", _) => return Err(invalid("before", POSITION_FORM)),
                ("limit", _) => return Err(invalid("limit", &limit_form())),
                ("order", _) => return Err(invalid("order", ORDER_FORM)),
                _ => return Err(unknown("field", &EVENT_FIELDS)),
            };
            *field = Some(text);
        }
        fields.question()
    }
}

const QUERY_FIELDS: [&str; 6] = ["after", "before", "limit", "order", "namespace", "wait"];
const EVENT_FIELDS: [&str; 5] = ["roomId", "after", "before", "limit", "order"];

pub(crate) const POSITION_FORM: &str = "a position that this server gave out";
const ORDER_FORM: &str = "asc (oldest first) or desc (newest first)";
const WAIT_FORM: &str = "at most 60s or 60000ms, with `after` and without `before` and `desc`";

fn limit_form() -> String {
    format!("a whole number from 1 to {MAX_HISTORY_EVENTS}")
}

impl Fields {
    fn question(self) -> Result<Question, Refusal> {
        let after = self.after.map(|text| position("after", &text)).transpose()?;
        let before = self.before.map(|text| position("before", &text)).transpose()?;
        if let (Some(after), Some(before)) = (after, before)
            && after.epoch == before.epoch
            && before.sequence <= after.sequence
        {
            return Err(invalid("before", "a position behind `after`"));
        }
        // Who says where to begin wants to go on from there; who does not wants the latest.
        let newest_first = match self.order.as_deref() {
            None => after.is_none(),
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(invalid("order", ORDER_FORM)),
        };
        let limit = self.limit.as_deref().map_or(Ok(DEFAULT_HISTORY_EVENTS), limit)?;
        let wait = self.wait.as_deref().map(wait).transpose()?;
        if wait.is_some() && (after.is_none() || before.is_some() || newest_first) {
            return Err(invalid("wait", WAIT_FORM));
        }
        let namespace = self.namespace.unwrap_or_else(|| "/".to_owned());
        if !namespace.starts_with('/') {
            return Err(invalid("namespace", "a namespace such as `/` or `/chat`"));
        }
        let wait = Wait(wait.filter(|wait| !wait.is_zero()));
        let query = HistoryQuery { after, before, limit, newest_first };
        Ok(Question { query, namespace, wait })
    }
}

/// Reads a position.
///
/// # Errors
///
/// A refusal that names the field.
pub(crate) fn position(field: &'static str, text: &str) -> Result<Position, Refusal> {
    text.parse().map_err(|_| invalid(field, POSITION_FORM))
}

fn limit(text: &str) -> Result<usize, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| (1..=MAX_HISTORY_EVENTS).contains(number));
    number.filter(|_| digits).ok_or_else(|| invalid("limit", &limit_form()))
}

fn wait(text: &str) -> Result<Duration, Refusal> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
    let number = digits.parse().ok();
    let wait = match unit {
        "s" => number.map(Duration::from_secs),
        "ms" => number.map(Duration::from_millis),
        _ => None,
    };
    wait.filter(|wait| *wait <= MAX_WAIT).ok_or_else(|| invalid("wait", WAIT_FORM))
}

fn invalid(field: &'static str, expected: &str) -> Refusal {
    let message = format!("`{field}` is not what it should be; expected {expected}.");
    Refusal::new(Code::InvalidRequest, message)
        .with(json!({ "field": field, "expected": expected }))
}

fn unknown(what: &str, known: &[&str]) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("There is an unknown {what}."))
        .with(json!({ "expected": format!("only these: {}", known.join(", ")), "fields": known }))
}

#[cfg(test)]
mod tests {
    //! What is read, and which field is blamed for what is not.

    use fanfare::eventlog::Epoch;
    use proptest::prelude::*;

    use super::*;

    /// A position of epoch 0.
    fn at(sequence: u64) -> Position {
        Position { epoch: Epoch(0), sequence }
    }

    #[test]
    fn good_questions_are_read() {
        let (a, b) = (at(1), at(2));
        let last = HistoryQuery::default();
        let since = HistoryQuery::after(a);
        for (query, expected) in [
            (String::new(), last),
            ("order=desc".to_owned(), last),
            ("limit=1000".to_owned(), HistoryQuery { limit: 1_000, ..last }),
            ("order=asc".to_owned(), HistoryQuery { newest_first: false, ..last }),
            (format!("before={b}"), HistoryQuery { before: Some(b), ..last }),
            (format!("after={a}"), since),
            (format!("after={a}&order=desc"), HistoryQuery { newest_first: true, ..since }),
            (
                format!("limit=1&before={b}&order=asc&after={a}"),
                HistoryQuery { before: Some(b), limit: 1, ..since },
            ),
            (format!("%61fter={a}"), since),
        ] {
            let question = Question::of_query(&query).unwrap();
            assert_eq!(question.query, expected, "{query}");
            assert_eq!((&*question.namespace, question.wait), ("/", Wait(None)));
        }
        let waiting = Question::of_query(&format!("wait=20s&after={a}&namespace=/chat")).unwrap();
        assert_eq!(waiting.wait, Wait(Some(Duration::from_secs(20))));
        assert_eq!(waiting.namespace, "/chat");
    }

    #[test]
    fn bad_questions_are_refused_and_the_field_is_named() {
        let a = at(1);
        let both = |before: Position| format!("after={a}&before={before}");
        let with_after = |rest: &str| format!("after={a}&{rest}");
        let long = format!("after={}", "A".repeat(10_000));
        for (query, field) in [
            ("limit=0", Some("limit")),
            ("limit=-1", Some("limit")),
            ("limit=1001", Some("limit")),
            ("limit=1e9", Some("limit")),
            ("limit=NaN", Some("limit")),
            ("limit=+5", Some("limit")),
            ("limit=%2B5", Some("limit")),
            ("limit=5.0", Some("limit")),
            ("limit=", Some("limit")),
            ("limit=99999999999999999999", Some("limit")),
            ("order=ASC", Some("order")),
            ("order=", Some("order")),
            ("after=", Some("after")),
            ("after=0", Some("after")),
            ("after=1795187735553-0", Some("after")),
            ("after=AAAAAAAAAAA.AB", Some("after")),
            ("after=AAAAAAAAAAA.B%00", Some("after")),
            ("before=' OR 1=1 --", Some("before")),
            (&long, Some("after")),
            (&both(at(1)), Some("before")),
            (&both(at(0)), Some("before")),
            ("namespace=chat", Some("namespace")),
            ("namespace=", Some("namespace")),
            ("wait=20s", Some("wait")),
            (&with_after("wait=20"), Some("wait")),
            (&with_after("wait=61s"), Some("wait")),
            (&with_after("wait=-1s"), Some("wait")),
            (&with_after("wait=1d"), Some("wait")),
            (&with_after("wait=1s&order=desc"), Some("wait")),
            (&with_after(&format!("wait=1s&before={}", at(9))), Some("wait")),
            ("since=5", None),
            ("Limit=5", None),
            ("limit[]=5", None),
            ("limit=5&limit=5", None),
            ("api_key=x", None),
            ("x", None),
        ] {
            let refusal = Question::of_query(query).unwrap_err();
            let short = &query[..query.len().min(80)];
            assert_eq!(refusal.code, Code::InvalidRequest, "{short}");
            assert_eq!(refusal.details.get("field").and_then(|f| f.as_str()), field, "{short}");
        }
    }

    #[test]
    fn an_event_has_its_fields_typed() {
        let a = at(1).to_string();
        let read = |fields: Value| {
            let Value::Object(fields) = fields else { panic!("{fields}") };
            Question::of_event(fields)
        };
        let good = read(json!({ "after": a, "limit": 5, "order": "asc" })).unwrap();
        assert_eq!(good.query, HistoryQuery { limit: 5, ..HistoryQuery::after(at(1)) });
        for (fields, field) in [
            (json!({ "after": 5 }), Some("after")),
            (json!({ "after": null }), Some("after")),
            (json!({ "after": "x" }), Some("after")),
            (json!({ "before": [a] }), Some("before")),
            (json!({ "limit": "5" }), Some("limit")),
            (json!({ "limit": 0 }), Some("limit")),
            (json!({ "limit": -1 }), Some("limit")),
            (json!({ "limit": 1e9 }), Some("limit")),
            (json!({ "limit": 5.5 }), Some("limit")),
            (json!({ "order": true }), Some("order")),
            (json!({ "wait": "20s" }), None),
            (json!({ "__proto__": 1 }), None),
        ] {
            let refusal = read(fields.clone()).unwrap_err();
            assert_eq!(refusal.details.get("field").and_then(|f| f.as_str()), field, "{fields}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_panic_and_within_the_limits(
            query in "((after|before|limit|order|wait|x)=[0-9A-Za-z.%+-]{0,15}&?){0,4}|.{0,30}",
        ) {
            if let Ok(question) = Question::of_query(&query) {
                prop_assert!((1..=MAX_HISTORY_EVENTS).contains(&question.query.limit));
                prop_assert!(question.wait.0.is_none_or(|wait| wait <= MAX_WAIT));
            }
        }
    }
}
