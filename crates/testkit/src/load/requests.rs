//! HTTP requests over connections that stay open, beside a swarm on the same thread.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{LoadError, Target};

/// The longest answer, in bytes. More than any request of a scenario is answered with.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    target: Target,
}

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    unsent: Vec<u8>,
    seen: Vec<u8>,
    /// Of the request that is under way.
    tag: Option<usize>,
}

impl Answer {
    /// The body of a good answer.
    fn value(&self) -> Result<serde_json::Value, LoadError> {
        let Self { status, body, .. } = self;
        let refused = || {
            let text = String::from_utf8_lossy(body);
            LoadError::Refused { answer: format!("{status} {text}") }
        };
        let value = serde_json::from_slice(body).map_err(|_| refused())?;
        if *status < 300 { Ok(value) } else { Err(refused()) }
    }
}

fn connect(target: &Target, poll: &Poll, number: usize) -> Result<TcpStream, LoadError> {
    let stream = std::net::TcpStream::connect(target.address()).map_err(LoadError::Connect)?;
    stream.set_nodelay(true).map_err(LoadError::Connect)?;
    stream.set_nonblocking(true).map_err(LoadError::Connect)?;
    let mut stream = TcpStream::from_std(stream);
    let interest = Interest::READABLE | Interest::WRITABLE;
    let registered = poll.registry().register(&mut stream, Token(number), interest);
    registered.map_err(LoadError::Poll)?;
    Ok(stream)
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
            let stream = connect(target, &poll, number)?;
            lines.push(Line { stream, unsent: Vec::new(), seen: Vec::new(), tag: None });
        }
        let events = Events::with_capacity(EVENTS_AT_ONCE);
        let idle = (0..connections).collect();
        Ok(Self { poll, events, lines, idle, target: target.clone() })
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
        line.tag = Some(tag);
        line.unsent = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{identity}{content}Content-Length: {}\r\n\r\n\
             {body}",
            self.target.address(),
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
            if !event.is_readable() {
                continue;
            }
            let open = line.read()?;
            while let Some((status, body, size)) = split(&line.seen)? {
                line.seen.drain(..size);
                let Some(tag) = line.tag.take() else { continue };
                self.idle.push(number);
                answered(Answer { tag, status, body });
            }
            if !open && line.tag.is_some() {
                return Err(LoadError::NoAnswer { awaited: "an answer over HTTP" });
            }
            if !open {
                // Servers close what is idle for long.
                line.stream = connect(&self.target, &self.poll, number)?;
            }
        }
        Ok(())
    }

    /// Opens anew what was closed for being idle; nothing may be under way.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) fn refresh(&mut self) -> Result<(), LoadError> {
        self.pump(Duration::ZERO, |_| {})
    }

    /// Requests as many at a time as there are connections, and their answers in order; nothing else
    /// may be under way.
    ///
    /// # Errors
    /// When the server does not answer with good statuses in time.
    pub(super) fn ask_all(
        &mut self,
        request: (&str, &str),
        bodies: &[String],
    ) -> Result<Vec<serde_json::Value>, LoadError> {
        self.refresh()?;
        let mut values = vec![serde_json::Value::Null; bodies.len()];
        let (mut sent, mut back, mut last) = (0, 0, Instant::now());
        while back < bodies.len() {
            while let Some(body) = bodies.get(sent)
                && self.send(sent, request, "", body)?
            {
                sent += 1;
            }
            let mut refused = None;
            self.pump(Duration::from_millis(50), |answer| {
                (back, last) = (back + 1, Instant::now());
                match (answer.value(), values.get_mut(answer.tag)) {
                    (Ok(value), Some(place)) => *place = value,
                    (Err(error), _) => refused = Some(error),
                    (Ok(_), None) => {}
                }
            })?;
            if let Some(error) = refused {
                return Err(error);
            }
            if last.elapsed() > PATIENCE {
                return Err(LoadError::NoAnswer { awaited: "an answer over HTTP" });
            }
        }
        Ok(values)
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
        self.refresh()?;
        self.send(0, request, token, body)?;
        let (begin, mut answer) = (Instant::now(), None);
        while begin.elapsed() < PATIENCE {
            self.pump(Duration::from_millis(50), |it| answer = Some(it))?;
            if let Some(answer) = answer {
                return answer.value();
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

    /// Reads until nothing is left: whether the connection is open.
    fn read(&mut self) -> Result<bool, LoadError> {
        let mut chunk = [0; 8192];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => self.seen.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(LoadError::Connect(error)),
            }
            if self.seen.len() > MAX_ANSWER_BYTES {
                return Err(LoadError::NoAnswer { awaited: "an answer of a bounded size" });
            }
        }
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
        assert_eq!(split(two).unwrap(), Some((201, b"ab".to_vec(), 45)));
        assert_eq!(split(&two[..44]).unwrap(), None, "cut by one byte");
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
