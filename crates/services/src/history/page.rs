//! A page of the history, as it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare::{History, RecordedEvent};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::time::json;

/// What is answered: over HTTP and in acks the same.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    ok: bool,
    room: &'a str,
    events: Vec<Event>,
    next: Option<String>,
    head: String,
}

/// An event as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    position: String,
    event: String,
    args: Option<Box<RawValue>>,
    time: Value,
}

impl<'a> Page<'a> {
    pub(super) fn of(room: &'a str, page: &History) -> Self {
        let last = page.events.last().filter(|_| page.more);
        Page {
            ok: true,
            room,
            events: page.events.iter().map(Event::of).collect(),
            next: last.map(|event| event.position.to_string()),
            head: page.head.to_string(),
        }
    }
}

impl Event {
    /// Arguments are what was published, byte for byte; binary ones, which JSON has not, are
    /// `{"base64":"…"}`.
    pub(crate) fn of(event: &RecordedEvent) -> Self {
        let args = event.args.json_with(|attachment, text| {
            text.push_str("{\"base64\":\"");
            STANDARD.encode_string(attachment, text);
            text.push_str("\"}");
        });
        Event {
            position: event.position.to_string(),
            event: event.name.as_str().to_owned(),
            args: RawValue::from_string(format!("[{args}]")).ok(),
            time: json(event.time_ms),
        }
    }
}
