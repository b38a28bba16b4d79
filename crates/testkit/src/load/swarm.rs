//! Many connections on one thread, read with as little work as possible.
//!
//! One epoll instance, edge-triggered; one buffer for all reads; a connection owns memory only while
//! a frame is cut in two or a write did not fit. A read that did not fill the buffer has drained the
//! socket (epoll(7)), so a delivery costs one `read` and nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::frame::{self, append_text};
use super::{LoadError, Target};

/// The shared read buffer. A burst of a few hundred small events fits one `read`.
const BUFFER_BYTES: usize = 256 * 1024;

/// Readiness reports taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1024;

/// What may wait for a server that does not read, per connection. More means that it hangs.
const MAX_UNSENT_BYTES: usize = 4 * 1024 * 1024;

/// How long the generator looks away under full load. Waiting in epoll instead would have the
/// server wake this thread up for nearly every delivery, and a wake-up of another core costs the
/// sender more than the delivery itself: it would be measured as the server's.
const NAP: Duration = Duration::from_micros(100);

/// Takes the packets that arrive.
pub trait Sink {
    /// Called once before the packets of one `read`.
    fn readable(&mut self) {}

    /// One Engine.IO packet (text frame) of connection `link`. Whole frames put into `reply` are
    /// sent back on the same connection after the last packet of this `read`.
    fn packet(&mut self, link: usize, packet: &[u8], reply: &mut Vec<u8>);
}

/// A sink for connections that only have to stay alive.
#[derive(Debug, Default)]
pub struct Ignore;

impl Sink for Ignore {
    fn packet(&mut self, _link: usize, _packet: &[u8], _reply: &mut Vec<u8>) {}
}

/// One connection.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    /// The beginning of a frame whose end has not arrived.
    cut: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    open: bool,
}

/// Many connections on one thread.
#[derive(Debug)]
pub struct Swarm {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    shared: Shared,
    closed: usize,
}

/// Memory that all connections take turns with.
#[derive(Debug)]
struct Shared {
    buffer: Vec<u8>,
    reply: Vec<u8>,
}

impl Swarm {
    /// No connection yet.
    ///
    /// # Errors
    /// When the kernel gives no epoll instance.
    pub fn new() -> Result<Self, LoadError> {
        Ok(Self {
            poll: Poll::new().map_err(LoadError::Poll)?,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            links: Vec::new(),
            shared: Shared { buffer: vec![0; BUFFER_BYTES], reply: Vec::new() },
            closed: 0,
        })
    }

    /// Opens one connection in `room` (in none when it is empty) and returns its number.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or does not answer in time.
    pub fn connect(&mut self, target: &Target, room: &str) -> Result<usize, LoadError> {
        let (stream, rest) = target.open(room)?;
        self.hold(stream, rest)
    }

    /// The same with a query of its own.
    ///
    /// # Errors
    /// As [`Swarm::connect`].
    pub(super) fn connect_with(
        &mut self,
        target: &Target,
        query: &str,
    ) -> Result<usize, LoadError> {
        let opened = target.open_as(query, "")?;
        self.hold(opened.stream, opened.rest)
    }

    /// The same in no room, with a CONNECT of its own: see [`Target::open_as`].
    ///
    /// # Errors
    /// As [`Swarm::connect`].
    pub(super) fn connect_as(
        &mut self,
        target: &Target,
        connect: &str,
    ) -> Result<usize, LoadError> {
        let opened = target.open_as("", connect)?;
        self.hold(opened.stream, opened.rest)
    }

    fn hold(&mut self, stream: std::net::TcpStream, rest: Vec<u8>) -> Result<usize, LoadError> {
        stream.set_nonblocking(true).map_err(LoadError::Connect)?;
        let mut stream = TcpStream::from_std(stream);
        let number = self.links.len();
        self.poll
            .registry()
            .register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)
            .map_err(LoadError::Poll)?;
        self.links.push(Link { stream, cut: rest, unsent: Vec::new(), open: true });
        Ok(number)
    }

    /// Opens `count` connections and keeps the earlier ones alive meanwhile.
    ///
    /// # Errors
    /// As [`Swarm::connect`].
    pub fn connect_many(
        &mut self,
        target: &Target,
        room: &str,
        count: usize,
    ) -> Result<(), LoadError> {
        /// Heartbeats are answered every so many new connections.
        const BETWEEN_PUMPS: usize = 250;
        for number in 0..count {
            self.connect(target, room)?;
            if number % BETWEEN_PUMPS == 0 {
                self.pump(&mut Ignore, Duration::ZERO)?;
            }
        }
        Ok(())
    }

    /// How many connections the server has closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Sends whole, masked frames on one connection; what does not fit now goes out when it can.
    ///
    /// # Errors
    /// When the server does not read any more.
    pub fn send(&mut self, link: usize, frames: &[u8]) -> Result<(), LoadError> {
        match self.links.get_mut(link) {
            Some(link) => {
                let was_open = link.open;
                link.send(frames)?;
                self.closed += usize::from(was_open && !link.open);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Looks away for a moment, then reads what has gathered: how to follow a server under full load
    /// without charging it for the generator's wake-ups.
    ///
    /// # Errors
    /// As [`Swarm::pump`].
    pub fn nap_and_pump<S: Sink>(&mut self, sink: &mut S) -> Result<(), LoadError> {
        std::thread::sleep(NAP);
        self.pump(sink, Duration::ZERO)
    }

    /// Waits at most `timeout` for the sockets, then reads what is ready. Heartbeats are answered
    /// here; everything else goes to `sink`.
    ///
    /// # Errors
    /// When waiting fails, or a server does not read any more.
    pub fn pump<S: Sink>(&mut self, sink: &mut S, timeout: Duration) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(LoadError::Poll)?,
        }
        let Self { events, links, shared, closed, .. } = self;
        for event in &*events {
            let Token(number) = event.token();
            let Some(link) = links.get_mut(number).filter(|link| link.open) else { continue };
            if event.is_writable() && !link.unsent.is_empty() {
                link.send(&[])?;
            }
            if event.is_readable() {
                link.read(number, event.is_read_closed(), shared, sink);
                if !shared.reply.is_empty() {
                    link.send(&shared.reply)?;
                    shared.reply.clear();
                }
            }
            *closed += usize::from(!link.open);
        }
        Ok(())
    }
}

impl Link {
    /// Reads until nothing is left. A read that did not fill the buffer was the last one, unless
    /// the end of the stream was announced with the data: it is told only once.
    fn read<S: Sink>(&mut self, number: usize, ended: bool, shared: &mut Shared, sink: &mut S) {
        while self.open {
            match self.read_once(number, shared, sink) {
                Ok(filled) if filled || ended => {}
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }

    /// One `read`, and all whole frames in it. Whether it filled the buffer.
    fn read_once<S: Sink>(
        &mut self,
        number: usize,
        shared: &mut Shared,
        sink: &mut S,
    ) -> io::Result<bool> {
        let Shared { buffer, reply } = shared;
        let kept = self.cut.len();
        let Some((front, space)) = buffer.split_at_mut_checked(kept) else {
            // A frame larger than the whole buffer: nothing here sends such.
            return Err(ErrorKind::InvalidData.into());
        };
        let count = self.stream.read(space)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let filled = count == space.len();
        front.copy_from_slice(&self.cut);
        self.cut.clear();
        sink.readable();
        let bytes = buffer.get(..kept + count).unwrap_or_default();
        let used = self.scan(number, bytes, sink, reply);
        self.cut.extend_from_slice(bytes.get(used..).unwrap_or_default());
        Ok(filled)
    }

    /// Hands over every whole frame in `bytes`; returns how many bytes they took.
    fn scan<S: Sink>(
        &mut self,
        number: usize,
        bytes: &[u8],
        sink: &mut S,
        reply: &mut Vec<u8>,
    ) -> usize {
        let mut rest = bytes;
        while let Some(found) = frame::split(rest) {
            match found.opcode {
                frame::TEXT if found.payload == b"2" => append_text(reply, b"3"),
                frame::TEXT => sink.packet(number, found.payload, reply),
                frame::CLOSE => self.open = false,
                _ => {}
            }
            rest = rest.get(found.size..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    fn send(&mut self, frames: &[u8]) -> Result<(), LoadError> {
        let mut rest = frames;
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(frames);
            rest = &self.unsent;
        }
        let mut sent = 0;
        while let Some(left) = rest.get(sent..).filter(|left| !left.is_empty() && self.open) {
            match self.stream.write(left) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
        }
        if self.unsent.is_empty() {
            self.unsent.extend_from_slice(frames.get(sent..).unwrap_or_default());
        } else {
            self.unsent.drain(..sent);
            if self.unsent.is_empty() {
                self.unsent = Vec::new();
            }
        }
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return Err(LoadError::ServerDoesNotRead);
        }
        Ok(())
    }
}
