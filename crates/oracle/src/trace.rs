//! What was recorded: who saw what, and when.
//!
//! A trace is JSON lines, written by several processes with one clock ([`crate::now`]). Each actor
//! (a publisher, a client, the run itself) writes its own lines in its own order.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// The most lines of a trace: an hour of 1 000 receipts a second.
pub const MAX_LINES: usize = 4_000_000;

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 4_096;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// Whose line it is. A name belongs to a publisher, to a client or to the run.
    pub who: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
///
/// Ids of events are the publishers' own, carried in the first argument. Positions are as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A publisher is about to send a request. A retry repeats the line.
    Invoke {
        /// The event.
        id: String,
        /// The rooms it is for.
        rooms: Vec<String>,
        /// The rooms whose members do not get it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
        /// The idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// The request was answered 2xx.
    Ok {
        /// The event.
        id: String,
        /// Where it stands in the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<String>,
    },
    /// The request was refused for certain: the event must never be seen.
    Failed {
        /// The event.
        id: String,
    },
    /// Nobody knows whether the event was recorded: no answer, or one that does not say.
    Unknown {
        /// The event.
        id: String,
    },
    /// A client is connected. What it received since its last `Disconnect` belongs to this.
    Connect {
        /// The socket's public id.
        id: String,
        /// Whether the client was told that nothing is missing.
        recovered: bool,
    },
    /// A connected client was told that something may be missing: an SSE stream's `reset`.
    Reset,
    /// A client noticed that it is not connected any more.
    Disconnect {
        /// What it was told.
        reason: String,
    },
    /// A client received an event.
    Receive {
        /// The event.
        id: String,
        /// The offset, or the SSE stream's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<String>,
    },
    /// A client asks to join a room.
    Join {
        /// A number that this client uses once.
        call: u64,
        /// The room.
        room: String,
    },
    /// A client asks to leave a room.
    Leave {
        /// A number that this client uses once.
        call: u64,
        /// The room.
        room: String,
    },
    /// A `Join` or `Leave` was acknowledged: it has happened.
    Done {
        /// The number of the question.
        call: u64,
    },
    /// The server did to this client what no specification allows.
    Breach {
        /// What.
        detail: String,
    },
    /// The run breaks something, or lets it be whole again.
    Fault {
        /// What.
        name: String,
    },
    /// From here on nothing is broken any more: everybody must come back.
    Healed,
    /// An entry of a room in the final log, in the log's order.
    Entry {
        /// The room whose history was read.
        room: String,
        /// The event.
        id: String,
        /// Where it stands.
        position: String,
    },
    /// A room's history was read to its end. A trace without this line is judged without a log.
    Read {
        /// The room.
        room: String,
    },
}

/// Why something is not a trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It could not be read.
    #[error("the trace cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It has more than [`MAX_LINES`] lines.
    #[error("the trace has more than {MAX_LINES} lines")]
    TooLong,
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("line {0} has more than {MAX_LINE_BYTES} bytes")]
    LongLine(usize),
    /// A line is no line of a trace.
    #[error("line {line}: {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Reads one line of a trace, without its end.
///
/// # Errors
/// When it is not one. `number` says which in the error.
pub fn parse_line(text: &[u8], number: usize) -> Result<Line, TraceError> {
    if text.len() > MAX_LINE_BYTES {
        return Err(TraceError::LongLine(number));
    }
    serde_json::from_slice(text).map_err(|error| TraceError::Line { line: number, error })
}

/// Reads a trace.
///
/// # Errors
/// When it cannot be read, is too large or is none.
pub fn read(mut input: impl BufRead) -> Result<Vec<Line>, TraceError> {
    let mut lines = Vec::new();
    let mut text = Vec::new();
    loop {
        text.clear();
        // One byte more than fits, to tell a line that is too long from one that just fits.
        let limit = MAX_LINE_BYTES as u64 + 2;
        if io::Read::take(&mut input, limit).read_until(b'\n', &mut text)? == 0 {
            return Ok(lines);
        }
        if lines.len() == MAX_LINES {
            return Err(TraceError::TooLong);
        }
        lines.push(parse_line(text.strip_suffix(b"\n").unwrap_or(&text), lines.len() + 1)?);
    }
}

/// Writes a trace.
///
/// # Errors
/// When it cannot be written.
pub fn write(mut output: impl Write, lines: &[Line]) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut output, line)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: What) -> Line {
        Line { at: 5, who: "c1".into(), what }
    }

    #[test]
    fn lines_are_written_as_other_programs_write_them_and_read_back() {
        let cases = [
            (
                What::Invoke {
                    id: "p1-1".into(),
                    rooms: vec!["a".into()],
                    except: Vec::new(),
                    key: None,
                },
                r#"{"at":5,"who":"c1","what":"invoke","id":"p1-1","rooms":["a"]}"#,
            ),
            (
                What::Ok { id: "p1-1".into(), position: Some("AAAAAAAAAAA.B".into()) },
                r#"{"at":5,"who":"c1","what":"ok","id":"p1-1","position":"AAAAAAAAAAA.B"}"#,
            ),
            (
                What::Connect { id: "s".into(), recovered: true },
                r#"{"at":5,"who":"c1","what":"connect","id":"s","recovered":true}"#,
            ),
            (What::Healed, r#"{"at":5,"who":"c1","what":"healed"}"#),
        ];
        for (what, text) in cases {
            let line = line(what);
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            assert_eq!(parse_line(text.as_bytes(), 1).unwrap(), line);
        }
        let all: Vec<Line> = (0..3).map(|call| line(What::Done { call })).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, &all).unwrap();
        assert_eq!(read(bytes.as_slice()).unwrap(), all);
    }

    #[test]
    fn what_is_no_trace_is_refused_by_line() {
        let good = r#"{"at":5,"who":"c1","what":"healed"}"#;
        let long = format!("{good}{}", " ".repeat(MAX_LINE_BYTES)) + "x";
        for (text, expected) in [
            (format!("{good}\n{{\"at\":5}}\n"), "line 2: missing field"),
            (format!("{good}\nno\n"), "line 2: expected"),
            (format!("{good}\n{long}\n"), "line 2 has more than"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
