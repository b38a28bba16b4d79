//! Streams of server-sent events, as a browser's `EventSource` reads them, but for coming back:
//! that is the test's decision.
//!
//! Spec: WHATWG HTML, § 9.2 Server-sent events; RFC 9112 § 7.1 for the chunks.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::dial::{DEFAULT_DEADLINE, within};
use crate::error::{Closed, Error};
use crate::http::{MAX_RESPONSE_BYTES, Request, Response};

/// An event as a listener gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// Its type; `message` if the server named none.
    pub name: String,
    /// Its data, lines joined with line feeds.
    pub data: String,
    /// The last event id as of this event.
    pub id: String,
}

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    stream: TcpStream,
    input: BytesMut,
    /// Bytes of the chunk that is being read.
    chunk_left: usize,
    chunked: bool,
    ended: bool,
    response: Response,
    lines: Lines,
    /// The id of the last event that was taken.
    taken_id: String,
}

/// What the lines so far make.
#[derive(Debug, Default)]
struct Lines {
    /// The line that is being read.
    line: Vec<u8>,
    begun: bool,
    after_cr: bool,
    name: String,
    data: String,
    id: String,
    /// The id as of the last block.
    last_id: String,
    retry: Option<u64>,
    comments: u64,
    events: VecDeque<StreamEvent>,
}

impl EventStream {
    /// Asks for a stream, from `last_event_id` on if given, and waits for the head of the answer.
    ///
    /// # Errors
    /// The network refused, or the answer is no stream: [`Error::Http`] for another status.
    pub async fn open(url: &str, last_event_id: Option<&str>) -> Result<Self, Error> {
        let mut request = Request::new("GET", url).header("Accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        Self::of(&request).await
    }

    /// The same by a request of one's own.
    ///
    /// # Errors
    /// See [`EventStream::open`].
    pub async fn of(request: &Request) -> Result<Self, Error> {
        within(DEFAULT_DEADLINE, "head of the stream", Self::start(request)).await
    }

    async fn start(request: &Request) -> Result<Self, Error> {
        let mut exchange = request.start().await?;
        let response = exchange.head().await?;
        if response.status != 200 {
            let (status, body) = (response.status, exchange.response().await?.text());
            return Err(Error::Http { status, body });
        }
        let (stream, mut input) = exchange.into_parts();
        let head = memchr::memmem::find(&input, b"\r\n\r\n").map_or(input.len(), |at| at + 4);
        input.advance(head);
        let chunked = response.header("Transfer-Encoding").is_some_and(|it| it == "chunked");
        let mut started = EventStream {
            stream,
            input,
            chunk_left: 0,
            chunked,
            ended: false,
            response,
            lines: Lines::default(),
            taken_id: String::new(),
        };
        started.parse()?; // what came with the head
        Ok(started)
    }

    /// The head of the answer; its body is empty.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// What a client that comes back says in `Last-Event-ID`: as of the last event that the test
    /// has taken.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        if self.lines.events.is_empty() { &self.lines.last_id } else { &self.taken_id }
    }

    /// The last time the server gave for coming back.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.lines.retry.map(Duration::from_millis)
    }

    /// The comments so far.
    #[must_use]
    pub const fn comments(&self) -> u64 {
        self.lines.comments
    }

    /// The next event, at most [`DEFAULT_DEADLINE`] from now. May be dropped: nothing is lost.
    ///
    /// # Errors
    /// None came, or the stream ended: [`Error::Closed`] with [`Closed::Eof`] for an answer that
    /// is complete.
    pub async fn next(&mut self) -> Result<StreamEvent, Error> {
        within(DEFAULT_DEADLINE, "event of a stream", async {
            loop {
                if let Some(event) = self.lines.events.pop_front() {
                    event.id.clone_into(&mut self.taken_id);
                    return Ok(event);
                }
                self.read().await?;
            }
        })
        .await
    }

    /// Waits for the next comment, at most [`DEFAULT_DEADLINE`]. Events are kept.
    ///
    /// # Errors
    /// See [`EventStream::next`].
    pub async fn next_comment(&mut self) -> Result<(), Error> {
        let before = self.lines.comments;
        within(DEFAULT_DEADLINE, "comment of a stream", async {
            while self.lines.comments == before {
                self.read().await?;
            }
            Ok(())
        })
        .await
    }

    /// Reads what there is.
    async fn read(&mut self) -> Result<(), Error> {
        if self.ended {
            return Err(Error::Closed(Closed::Eof));
        }
        if self.stream.read_buf(&mut self.input).await? == 0 {
            self.ended = true;
            let whole = !self.chunked;
            let kind = std::io::ErrorKind::UnexpectedEof;
            return Err(Error::Closed(if whole { Closed::Eof } else { Closed::Transport(kind) }));
        }
        self.parse()
    }

    fn parse(&mut self) -> Result<(), Error> {
        if !self.chunked {
            let read = self.input.split();
            self.lines.feed(&read);
            return Ok(());
        }
        loop {
            if self.chunk_left == 0 {
                let Some(line) = memchr::memmem::find(&self.input, b"\r\n") else { return Ok(()) };
                let size = str::from_utf8(self.input.get(..line).unwrap_or_default()).ok();
                let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
                let Some(size) = size.filter(|size| *size <= MAX_RESPONSE_BYTES) else {
                    return Err(Error::Protocol("bad chunk size in a stream".to_owned()));
                };
                self.input.advance(line + 2);
                if size == 0 {
                    self.ended = true;
                    return Ok(());
                }
                self.chunk_left = size + 2; // and its end
            }
            let data = self.chunk_left.saturating_sub(2).min(self.input.len());
            let read = self.input.split_to(data);
            self.lines.feed(&read);
            self.chunk_left -= data;
            if self.chunk_left > 2 || self.input.len() < 2 {
                return Ok(());
            }
            self.input.advance(2);
            self.chunk_left = 0;
        }
    }
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.end_line(),
                byte => self.line.push(byte),
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            return self.end_block();
        }
        if line.starts_with(':') {
            self.comments += 1;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
    }

    fn end_block(&mut self) {
        self.last_id.clone_from(&self.id);
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let Some(data) = data.strip_suffix('\n') else { return };
        let name = if name.is_empty() { "message".to_owned() } else { name };
        self.events.push_back(StreamEvent { name, data: data.to_owned(), id: self.id.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification, whole and byte by byte.
    #[test]
    fn streams_are_read_as_specified() {
        #[track_caller]
        fn check(stream: &str, expected: &[(&str, &str, &str)]) {
            for size in [1, stream.len().max(1)] {
                let mut lines = Lines::default();
                stream.as_bytes().chunks(size).for_each(|chunk| lines.feed(chunk));
                let got: Vec<_> =
                    lines.events.iter().map(|it| (&*it.name, &*it.data, &*it.id)).collect();
                assert_eq!(got, expected, "{stream:?}");
            }
        }
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[("message", "YHOO\n+2\n10", "")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[
                ("message", "first event", "1"),
                ("message", "second event", ""),
                ("message", " third event", ""),
            ],
        );
        check("data\n\ndata\ndata\n\ndata:", &[("message", "", ""), ("message", "\n", "")]);
        check("\u{feff}event: a\r\ndata: b\r\rid: x\r\n\r\n", &[("a", "b", "")]);
        check(
            "id: a\0\ndata: 1\n\nid: 2\n\ndata: 3\n\n",
            &[("message", "1", ""), ("message", "3", "2")],
        );
    }
}
