//! How a stream is to be.

use super::shard_of;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use std::time::Instant;

/// The header in which a client that comes back tells where it was.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The same in the query, for clients that cannot set headers.
const LAST_EVENT_ID_QUERY: &str = "lastEventId";

/// How a stream is to be.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    pub(super) last_event_id: Option<String>,
    pub(super) past_denied: bool,
    pub(super) expires_at: Option<Instant>,
    pub(super) origin: Option<HeaderValue>,
    pub(super) shard: Option<u8>,
}

impl StreamOptions {
    /// A stream from now on, until its client leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a request says of the stream it asks for: where it is to go on (the header
    /// `Last-Event-ID`, else `lastEventId` in the query; an empty one is none), from which origin
    /// it is read, and which connection will carry it.
    #[must_use]
    pub fn of_request(head: &Parts) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let header = head.headers.get(LAST_EVENT_ID).map(text);
        let in_query = || {
            let query = head.uri.query().unwrap_or_default();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == LAST_EVENT_ID_QUERY).map(|(_, id)| id.into_owned())
        };
        StreamOptions {
            last_event_id: header.or_else(in_query).filter(|id| !id.is_empty()),
            past_denied: false,
            expires_at: None,
            origin: head.headers.get(header::ORIGIN).cloned(),
            shard: shard_of(&head.extensions),
        }
    }

    /// The client has seen everything up to the event with this id. A text that is no position is
    /// answered with a `reset`.
    #[must_use]
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = Some(id.into());
        self
    }

    /// Whether the client says where it was.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.last_event_id.is_some()
    }

    /// The client may not read what was sent before: if it says where it was, it is answered with a
    /// `reset`.
    #[must_use]
    pub fn deny_past(mut self) -> Self {
        self.past_denied = true;
        self
    }

    /// The stream ends then, such as when the token expires by which it was opened; the client
    /// comes back by itself, and is judged anew.
    #[must_use]
    pub fn expires_at(mut self, at: Instant) -> Self {
        self.expires_at = Some(at);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header wins over the query; what is empty is not there.
    #[test]
    fn where_to_go_on() {
        for (query, header, expected) in [
            ("", None, None),
            ("?lastEventId=q", None, Some("q")),
            ("?lastEventId=q", Some("h"), Some("h")),
            ("?lastEventId=q&lastEventId=r", None, Some("q")),
            ("?lastEventId=", None, None),
            ("?lastEventId=q", Some(""), None),
            ("?lasteventid=q", None, None),
            ("?lastEventId=a%2Eb%0A", None, Some("a.b\n")),
        ] {
            let mut request = http::Request::get(format!("/sse{query}"));
            if let Some(id) = header {
                request = request.header(LAST_EVENT_ID, id);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let options = StreamOptions::of_request(&head);
            assert_eq!(options.last_event_id.as_deref(), expected, "{query} {header:?}");
        }
    }
}
