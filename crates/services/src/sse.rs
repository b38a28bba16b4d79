//! `GET /v1/sse`: what is sent to rooms as a stream of server-sent events, for browsers without a
//! Socket.IO client, for `curl -N` and for backends.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, header};
use axum::response::{IntoResponse, Response};
use fanfare::{EventStream, StreamError, StreamOptions};
use serde_json::json;

use crate::access::{Place, Right};
use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::cors;
use crate::names::USER_PREFIX;
use crate::refusal::Refusal;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/v1/sse";

/// The parameters that the query may have.
const FIELDS: [&str; 5] = ["rooms", "user", "namespace", "lastEventId", "token"];

/// A stream of what is sent to rooms, as server-sent events; it goes on after `Last-Event-ID`.
#[utoipa::path(
    get, path = "/v1/sse", tag = "history",
    params(
        ("rooms" = Option<String>, Query, description = "The rooms, separated by commas"),
        ("user" = Option<String>, Query, description = "A user, for the room user:<id>"),
        ("namespace" = Option<String>, Query, description = "The namespace; / if not said"),
        ("lastEventId" = Option<String>, Query, description = "Where to go on, for who cannot send the header"),
        ("token" = Option<String>, Query, description = "A token, if auth.query_token is on"),
    ),
    responses((status = 200, content_type = "text/event-stream"), (status = 400), (status = 401), (status = 403), (status = 406), (status = 503)),
    security((), ("key" = []), ("token" = []))
)]
pub(crate) async fn answer(context: &Context, request: Request<Body>) -> Response {
    let (head, _) = request.into_parts();
    if let Some(answer) = cors::preflight(context.io(), &head) {
        return answer;
    }
    match open(context, &head).await {
        Ok((caller, stream)) => context.identity().guard(&caller, stream.into_response()),
        Err(refusal) => cors::allow(context.io(), &head.headers, refusal.into_response()),
    }
}

async fn open(context: &Context, head: &Parts) -> Result<(Caller, EventStream), Refusal> {
    if head.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let caller = context.caller(head).await?;
    check_accept(&head.headers)?;
    let wanted = Wanted::of_query(head.uri.query().unwrap_or_default())?;
    let mut options = context.identity().until(&caller, StreamOptions::of_request(head));
    for (field, room) in &wanted.rooms {
        let place = Place { namespace: &wanted.namespace, room };
        let checked = context.access().check(&caller, Right::Join, place).await;
        checked.map_err(|denied| denied.refusal(field))?;
        // Who says where it was could say any place: going on is reading history.
        if options.goes_on()
            && context.access().check(&caller, Right::History, place).await.is_err()
        {
            options = options.deny_past();
        }
    }
    let namespace = context.namespace(&wanted.namespace)?;
    let rooms: Vec<String> = wanted.rooms.into_iter().map(|(_, room)| room).collect();
    let stream = namespace.stream(rooms, options).map_err(not_opened)?;
    Ok((caller, stream))
}

/// Whoever asks for something else would not know what to do with a stream.
fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut ranges = headers.get_all(header::ACCEPT).iter().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').map(|range| range.split(';').next().unwrap_or_default().trim())
    });
    let takes = |range: &str| {
        ["text/event-stream", "text/*", "*/*"].iter().any(|it| it.eq_ignore_ascii_case(range))
    };
    if !headers.contains_key(header::ACCEPT) || ranges.any(takes) {
        return Ok(());
    }
    let message = "There is only a stream of events here, and the header Accept does not take it.";
    let refusal = Refusal::new(Code::NotAcceptable, message)
        .with(json!({ "expected": "Accept: text/event-stream" }));
    Err(refusal)
}

fn not_opened(error: StreamError) -> Refusal {
    let unavailable = |code, message| Refusal::new(code, message);
    match error {
        StreamError::TooManyRooms { limit } => {
            let message = format!("A stream has at most {limit} rooms.");
            Refusal::new(Code::TooManyRooms, message)
                .with(json!({ "field": "rooms", "limit": limit }))
        }
        StreamError::Full => unavailable(
            Code::Overloaded,
            "The server has as many sessions and streams as it may have.",
        ),
        StreamError::Closing => unavailable(Code::Stopping, "The server is stopping."),
        // The names were checked, and the namespaces are the server's own.
        error => {
            tracing::warn!(%error, "a stream could not be opened: a bug");
            unavailable(Code::Overloaded, "The stream cannot be opened at the moment.")
        }
    }
}

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// The rooms, and the parameter that names each.
    rooms: Vec<(&'static str, String)>,
    namespace: String,
}

impl Wanted {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// A refusal that names the parameter and what was expected.
    fn of_query(query: &str) -> Result<Self, Refusal> {
        let invalid =
            |message| Refusal::new(Code::InvalidRequest, message).with(json!({ "fields": FIELDS }));
        let mut values: [Option<String>; FIELDS.len()] = Default::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = FIELDS.iter().position(|field| *field == name);
            let Some(field) = field.and_then(|field| values.get_mut(field)) else {
                return Err(invalid("The query has a parameter that is none of this path."));
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(invalid("The query has a parameter twice."));
            }
        }
        let [rooms, user, namespace, _, _] = values;
        let named = rooms.iter().flat_map(|rooms| rooms.split(','));
        let mut rooms: Vec<_> = named.map(|room| ("rooms", room.to_owned())).collect();
        rooms.extend(user.map(|user| ("user", format!("{USER_PREFIX}{user}"))));
        if rooms.is_empty() {
            let message = "The query names no room; expected `rooms`, separated by commas.";
            return Err(
                Refusal::new(Code::InvalidRequest, message).with(json!({ "field": "rooms" }))
            );
        }
        Ok(Self { rooms, namespace: namespace.unwrap_or_else(|| "/".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        #[track_caller]
        fn check(query: &str, rooms: &[(&str, &str)], namespace: &str) {
            let wanted = Wanted::of_query(query).unwrap();
            let got: Vec<_> = wanted.rooms.iter().map(|(by, room)| (*by, &**room)).collect();
            assert_eq!((got.as_slice(), &*wanted.namespace), (rooms, namespace), "{query}");
        }
        let (a, b) = (("rooms", "a"), ("rooms", "b"));
        check("rooms=a", &[a], "/");
        check("rooms=a,b", &[a, b], "/");
        check("rooms=a%2Cb", &[a, b], "/"); // as URLSearchParams writes it
        check("rooms=a,,b", &[a, ("rooms", ""), b], "/"); // no name of a room
        check("rooms=", &[("rooms", "")], "/");
        check("rooms=a&namespace=/chat&lastEventId=x", &[a], "/chat");
        check("user=7", &[("user", "user:7")], "/");
        check("rooms=a&user=7", &[a, ("user", "user:7")], "/");
        for query in ["", "namespace=/", "rooms=a&rooms=b", "rooms=a&x=1", "Rooms=a", "rooms=a&&=1"]
        {
            let refusal = Wanted::of_query(query).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidRequest, "{query}");
        }
    }

    #[test]
    fn who_takes_a_stream() {
        for (accept, expected) in [
            (None, true),
            (Some("text/event-stream"), true),
            (Some("*/*"), true),
            (Some("text/html, Text/Event-Stream;q=0.9"), true),
            (Some("text/*"), true),
            (Some("application/json"), false),
            (Some("text/html,application/xhtml+xml"), false),
            (Some(""), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(check_accept(&headers).is_ok(), expected, "{accept:?}");
        }
    }
}
