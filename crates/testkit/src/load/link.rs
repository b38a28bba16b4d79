//! Opening one connection: WebSocket handshake, Engine.IO open, Socket.IO CONNECT to `/`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;
use serde::Deserialize;

use super::LoadError;
use super::frame::{self, append_text};

/// How long a server may take for each step of the handshake. Generous: a busy machine is not a
/// fault of the server, a dead server is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest handshake that is read before giving up, in bytes.
const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;

/// The server under test.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    /// Port on the loopback address.
    pub port: u16,
    /// Process whose CPU time and memory are counted.
    pub pid: u32,
}

impl Target {
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Opens a connection that is a member of `room` (of none when it is empty). Blocks until the
    /// server confirmed the namespace. Returns the stream and what was read beyond that.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or does not answer in time.
    pub(super) fn open(&self, room: &str) -> Result<(TcpStream, Vec<u8>), LoadError> {
        let query = if room.is_empty() { String::new() } else { format!("room={room}") };
        self.open_as(&query, "").map(|opened| (opened.stream, opened.rest))
    }

    /// The same with a query of its own and what follows the type of the CONNECT packet: a namespace other than `/` and a
    /// comma, `auth` as a JSON object, both, or nothing.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub(super) fn open_as(&self, query: &str, connect: &str) -> Result<Opened, LoadError> {
        let mut stream = TcpStream::connect(self.address()).map_err(LoadError::Connect)?;
        stream.set_nodelay(true).map_err(LoadError::Connect)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(LoadError::Connect)?;
        stream.write_all(self.request(query).as_bytes()).map_err(LoadError::Connect)?;
        let mut seen = Vec::with_capacity(512);
        let head = loop {
            match memmem::find(&seen, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => read_more(&mut stream, &mut seen, "the 101 answer")?,
            }
        };
        if !seen.starts_with(b"HTTP/1.1 101") {
            return Err(LoadError::Refused { answer: first_line(&seen) });
        }
        seen.drain(..head);
        expect_packet(&mut stream, &mut seen, b"0{")?;
        let mut packet = Vec::new();
        append_text(&mut packet, format!("40{connect}").as_bytes());
        stream.write_all(&packet).map_err(LoadError::Connect)?;
        let answer = expect_packet(&mut stream, &mut seen, b"40")?;
        Ok(Opened { stream, rest: seen, answer })
    }

    fn request(&self, query: &str) -> String {
        let more = if query.is_empty() { "" } else { "&" };
        format!(
            "GET /socket.io/?EIO=4&transport=websocket{more}{query} HTTP/1.1\r\n\
             Host: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.address()
        )
    }
}

/// A connection in its namespace.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: TcpStream,
    /// What was read beyond the answer.
    pub(super) rest: Vec<u8>,
    /// The answer to CONNECT.
    pub(super) answer: Vec<u8>,
}

/// Reads frames until one begins with `start`, and returns it; what follows stays in `seen`.
fn expect_packet(
    stream: &mut TcpStream,
    seen: &mut Vec<u8>,
    start: &'static [u8],
) -> Result<Vec<u8>, LoadError> {
    loop {
        let Some(found) = frame::split(seen) else {
            read_more(stream, seen, "a packet of the handshake")?;
            continue;
        };
        let (size, opcode) = (found.size, found.opcode);
        let wanted = opcode == frame::TEXT && found.payload.starts_with(start);
        let refused = opcode == frame::CLOSE || found.payload.starts_with(b"44");
        if refused {
            return Err(LoadError::Refused {
                answer: String::from_utf8_lossy(found.payload).into(),
            });
        }
        let packet = wanted.then(|| found.payload.to_vec());
        seen.drain(..size);
        if let Some(packet) = packet {
            return Ok(packet);
        }
    }
}

pub(super) fn read_more(
    stream: &mut TcpStream,
    seen: &mut Vec<u8>,
    awaited: &'static str,
) -> Result<(), LoadError> {
    if seen.len() > MAX_HANDSHAKE_BYTES {
        return Err(LoadError::NoAnswer { awaited });
    }
    let mut chunk = [0; 2048];
    match stream.read(&mut chunk) {
        Ok(0) => Err(LoadError::NoAnswer { awaited }),
        Ok(count) => {
            seen.extend_from_slice(chunk.get(..count).unwrap_or_default());
            Ok(())
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(LoadError::NoAnswer { awaited })
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(LoadError::Connect(error)),
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into()
}
