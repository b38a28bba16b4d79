//! HTTP requests over connections that stay open, beside a swarm on the same thread.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{LoadError, Target};

/// The longest answer, in bytes. More than any request of a scenario is answered with.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Readiness reports taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 256;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// What was given with the request.
    pub(super) tag: usize,
    /// The status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Some connections; each has one request under way at most.
#[derive(Debug)]
pub(super) struct Requests {
    poll: Poll,
    events: Events,
    lines: Vec<Line>,
    idle: Vec<usize>,
    host: String,
}

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    unsent: Vec<u8>,
    seen: Vec<u8>,
    tag: usize,
}

impl Requests {
    /// Opens so many connections.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) fn new(target: &Target, connections: usize) -> Result<Self, LoadError> {
        let poll = Poll::new().map_err(LoadError::Poll)?;
        let mut lines = Vec::with_capacity(connections);
        for number in 0..connections {
            let stream =
                std::net::TcpStream::connect(target.address()).map_err(LoadError::Connect)?;
            stream.set_nodelay(true).map_err(LoadError::Connect)?;
            stream.set_nonblocking(true).map_err(LoadError::Connect)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = poll.registry().register(&mut stream, Token(number), interest);
            registered.map_err(LoadError::Poll)?;
            lines.push(Line { stream, unsent: Vec::new(), seen: Vec::new(), tag: 0 });
        }
        let events = Events::with_capacity(EVENTS_AT_ONCE);
        let idle = (0..connections).collect();
        Ok(Self { poll, events, lines, idle, host: target.address().to_string() })
    }

    /// Sends a request on a connection that has none; false if there is no such.
    ///
    /// # Errors
    /// When the server closed the connection.
    pub(super) fn send(
        &mut self,
        tag: usize,
        (method, path): (&str, &str),
        token: &str,
        body: &str,
    ) -> Result<bool, LoadError> {
        let Some(line) = self.idle.pop().and_then(|number| self.lines.get_mut(number)) else {
            return Ok(false);
        };
        let identity = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let content = match body {
            "" => String::new(),
            _ => "Content-Type: application/json\r\n".to_owned(),
        };
        line.tag = tag;
        line.unsent = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{identity}{content}Content-Length: {}\r\n\r\n\
             {body}",
            self.host,
            body.len()
        )
        .into_bytes();
        line.write()?;
        Ok(true)
    }

    /// Waits for at most `timeout`, and hands over what was answered.
    ///
    /// # Errors
    /// When the server closes a connection, or answers with something else than HTTP.
    pub(super) fn pump(
        &mut self,
        timeout: Duration,
        mut answered: impl FnMut(Answer),
    ) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(LoadError::Poll(error));
            }
            _ => {}
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(line) = self.lines.get_mut(number) else { continue };
            if event.is_writable() {
                line.write()?;
            }
            if event.is_readable() && line.read()? {
                while let Some((status, body, size)) = split(&line.seen)? {
                    line.seen.drain(..size);
                    self.idle.push(number);
                    answered(Answer { tag: line.tag, status, body });
                }
            }
        }
        Ok(())
    }

    /// One request, and its answer; nothing else may be under way.
    ///
    /// # Errors
    /// When the server does not answer with a good status in time.
    pub(super) fn ask(
        &mut self,
        request: (&str, &str),
        token: &str,
        body: &str,
    ) -> Result<serde_json::Value, LoadError> {
        /// How often is waited.
        const TURNS: usize = 200;
        self.send(0, request, token, body)?;
        let mut answer = None;
        for _ in 0..TURNS {
            self.pump(Duration::from_millis(50), |it| answer = Some(it))?;
            if let Some(Answer { status, body, .. }) = answer {
                let text = || String::from_utf8_lossy(&body).into_owned();
                let refused = || LoadError::Refused { answer: format!("{status} {}", text()) };
                let value = serde_json::from_slice(&body).map_err(|_| refused())?;
                return if status < 300 { Ok(value) } else { Err(refused()) };
            }
        }
        Err(LoadError::NoAnswer { awaited: "an answer over HTTP" })
    }
}

impl Line {
    fn write(&mut self) -> Result<(), LoadError> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LoadError::Connect(error)),
            }
        }
        Ok(())
    }

    /// Reads until nothing is left: whether there was something.
    fn read(&mut self) -> Result<bool, LoadError> {
        let mut chunk = [0; 8192];
        let before = self.seen.len();
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(LoadError::NoAnswer { awaited: "an answer over HTTP" }),
                Ok(count) => self.seen.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LoadError::Connect(error)),
            }
            if self.seen.len() > MAX_ANSWER_BYTES {
                return Err(LoadError::NoAnswer { awaited: "an answer of a bounded size" });
            }
        }
        Ok(self.seen.len() > before)
    }
}

/// The first whole answer: its status, its body, and how many bytes it took.
fn split(bytes: &[u8]) -> Result<Option<(u16, Vec<u8>, usize)>, LoadError> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let refused = || LoadError::Refused { answer: head.clone() };
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(refused)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let begin = end + 4;
    let size = length.and_then(|length| begin.checked_add(length)).ok_or_else(refused)?;
    let body = bytes.get(begin..size).map(<[u8]>::to_vec);
    Ok(body.map(|body| (status, body, size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_split() {
        let two = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 204";
        assert_eq!(split(two).unwrap(), Some((201, b"ab".to_vec(), 43)));
        assert_eq!(split(&two[..42]).unwrap(), None, "cut by one byte");
        assert!(split(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "without a length");
        assert!(split(b"nonsense\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((_, _, size))) = split(&bytes) {
                prop_assert!(size <= bytes.len());
            }
        }
    }
}
