//! `fanfare log export`: entries as lines of JSON.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use eventlog::{Entry, Position, Query, ReadError, Scope, SqliteView};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::of;

/// The entries of one page: little memory, and the server's file is not held for long.
const PAGE_ENTRIES: usize = 1_000;

/// Which entries are written.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Those that name one of these rooms; all when there is none.
    pub(crate) rooms: Vec<Arc<str>>,
    /// Those of this namespace; with rooms it is `/` unless said otherwise.
    pub(crate) namespace: Option<String>,
    /// Those after this position: its text, or the bare number of an entry.
    pub(crate) after: Option<String>,
    /// So many at most.
    pub(crate) limit: Option<u64>,
}

impl Selection {
    fn scope(&self) -> Scope<'_> {
        if self.rooms.is_empty() {
            return Scope::All;
        }
        let namespace = self.namespace.as_deref().unwrap_or("/");
        Scope::Rooms { namespace, rooms: &self.rooms, everyone: false }
    }

    /// Whether an entry of the scope is meant: only rooms have an index.
    fn wants(&self, entry: &Entry) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| **namespace == *entry.record.namespace)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    position: String,
    sequence: u64,
    time: Value,
    namespace: &'a str,
    rooms: Vec<&'a str>,
    except: Vec<&'a str>,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Box<RawValue>>,
    /// The binary data of the arguments, in base64: `args` has `{"_placeholder":true,"num":n}` in
    /// the place of the n-th.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<String>,
    /// Instead of both, when the payload is not one that a server wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// Writes the entries to the standard output, oldest first, up to the head at the beginning. A
/// reader that has seen enough (`| head`) is no error.
///
/// # Errors
///
/// When the log cannot be read, or the output cannot be written.
pub(super) fn run(path: &Path, selection: &Selection) -> anyhow::Result<ExitCode> {
    let view = SqliteView::open(path).map_err(of(path))?;
    let head = view.overview().map_err(|fault| super::unreadable(path, &fault))?;
    let head = Position { epoch: head.epoch, sequence: head.head };
    let after = selection.after.as_deref().map(|text| position(text, head)).transpose()?;
    let mut output = BufWriter::new(io::stdout().lock());
    let written = write(&view, selection, (after, head), &mut output);
    // What was read before a fault is right, and is given.
    let flushed = output.flush();
    match written {
        Err(Fault::Read(fault)) => Err(super::unreadable(path, &fault)),
        Err(Fault::Write(error)) => ended(error),
        Ok(()) => flushed.map_or_else(ended, |()| Ok(ExitCode::SUCCESS)),
    }
}

fn ended(error: io::Error) -> anyhow::Result<ExitCode> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(ExitCode::SUCCESS);
    }
    Err(error).context("the export cannot be written")
}

/// A position as clients have it, or the sequence alone.
fn position(text: &str, head: Position) -> anyhow::Result<Position> {
    let position = match text.parse() {
        Ok(sequence) => Position { sequence, ..head },
        Err(_) => text.parse::<Position>().with_context(|| {
            format!(
                "`{}` is neither a position nor a number\n  expected what `position` or `sequence` \
                 of a line says",
                text.escape_debug()
            )
        })?,
    };
    if position.epoch != head.epoch {
        bail!(
            "the position is of the epoch {}, the log is in the epoch {}\n  nothing can be said \
             about what came after it; leave --after out to have all there is",
            position.epoch,
            head.epoch
        );
    }
    if position.sequence > head.sequence {
        bail!("the position is after the end of the log, which is {}", head.sequence);
    }
    Ok(position)
}

enum Fault {
    Read(ReadError),
    Write(io::Error),
}

impl From<ReadError> for Fault {
    fn from(fault: ReadError) -> Self {
        Self::Read(fault)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

fn write(
    view: &SqliteView,
    selection: &Selection,
    (mut after, head): (Option<Position>, Position),
    output: &mut dyn Write,
) -> Result<(), Fault> {
    let mut left = selection.limit.unwrap_or(u64::MAX);
    let before = Some(Position { sequence: head.sequence.saturating_add(1), ..head });
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_ENTRIES);
        let query = Query { after, before, limit, ..Query::new(selection.scope()) };
        let page = view.read(&query)?;
        if after.is_some() && !page.complete {
            // Nobody is left to tell if this fails.
            let _ = writeln!(
                io::stderr(),
                "fanfare: entries are missing here: they were older than what is kept"
            );
        }
        for entry in page.entries.iter().filter(|entry| selection.wants(entry)) {
            line(entry, output)?;
            left -= 1;
        }
        let Some(last) = page.entries.last().filter(|_| page.more) else { break };
        after = Some(last.position);
    }
    Ok(())
}

fn line(entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
    let record = &entry.record;
    let known = fanfare::recorded_args(&record.payload);
    let known = known.and_then(|(json, attachments)| Some((list(&json)?, attachments)));
    let payload_base64 = known.is_none().then(|| BASE64_STANDARD.encode(&record.payload));
    let (args, attachments) =
        known.map(|(args, attached)| (Some(args), attached)).unwrap_or_default();
    let attachments = attachments.iter().map(|bytes| BASE64_STANDARD.encode(bytes)).collect();
    let line = Line {
        position: entry.position.to_string(),
        sequence: entry.position.sequence,
        time: services::time::json(record.time_ms),
        namespace: &record.namespace,
        rooms: record.rooms.iter().map(|room| &**room).collect(),
        except: record.except.iter().map(|room| &**room).collect(),
        event: &record.name,
        args,
        attachments,
        payload_base64,
        key: record.key.as_deref(),
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

/// A list in JSON as it was sent, on one line.
fn list(text: &str) -> Option<Box<RawValue>> {
    // Between values they mean nothing, and within texts they stand escaped.
    let text = text.replace(['\n', '\r'], " ");
    let value: Box<RawValue> = serde_json::from_str(&text).ok()?;
    value.get().starts_with('[').then_some(value)
}

#[cfg(test)]
mod tests {
    use eventlog::Epoch;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_is_shown_as_it_was_sent_if_a_server_wrote_it() {
        let number = "[1,{\"a\":12345678901234567890.10}]";
        let with_attachment =
            b"\x01\0\0\0\x01\0\0\0\x02\xff\x00[{\"_placeholder\":true,\"num\":0}]";
        for (payload, shown) in [
            (number.as_bytes(), format!("\"args\":{number}}}")),
            (b"[\n  1,\r\n\"\\n\"]", "\"args\":[   1,  \"\\n\"]}".to_owned()),
            (
                with_attachment,
                "\"args\":[{\"_placeholder\":true,\"num\":0}],\"attachments\":[\"/wA=\"]}"
                    .to_owned(),
            ),
            (b"{\"a\":1}", "\"payload_base64\":\"eyJhIjoxfQ==\"}".to_owned()),
            (b"[1", "\"payload_base64\":\"WzE=\"}".to_owned()),
            (b"\xff\x00", "\"payload_base64\":\"/wA=\"}".to_owned()),
            (b"", "\"payload_base64\":\"\"}".to_owned()),
        ] {
            let text = written(payload.to_vec());
            assert!(
                text.ends_with(&format!("\"event\":\"said\",{shown}\n")),
                "{payload:?}: {text}"
            );
        }
    }

    /// The line of an entry with this payload.
    fn written(payload: Vec<u8>) -> String {
        let record = eventlog::Record {
            namespace: "/".into(),
            rooms: Arc::default(),
            except: Arc::default(),
            name: "said".into(),
            payload: payload.into(),
            time_ms: 1,
            key: None,
        };
        let entry = Entry { position: Position { epoch: Epoch(1), sequence: 1 }, record };
        let mut output = Vec::new();
        line(&entry, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_position_is_given_by_its_text_or_its_number() {
        let head = Position { epoch: Epoch(7), sequence: 42 };
        let at = |sequence| Position { sequence, ..head };
        assert_eq!(position("41", head).unwrap(), at(41));
        assert_eq!(position(&at(41).to_string(), head).unwrap(), at(41));
        for (text, said) in [
            ("43", "after the end"),
            ("AAAAAAAAAAI.B", "of the epoch AAAAAAAAAAI"),
            ("x", "neither a position nor a number"),
        ] {
            let error = position(text, head).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_one_line_of_json(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = written(payload);
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
