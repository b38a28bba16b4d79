//! One TCP connection to the server: bytes out, answers and frames in.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::server::LOOK_AGAIN;
use crate::wire::{Answer, Frame, Framing, find, take_answer, take_frame};

/// How long an answer may take. A second would do; a busy machine is no failure.
pub(crate) const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// How long the server may leave a connection open that is over: its own deadlines, and then some.
const END_BOUND: Duration = Duration::from_secs(15);

/// The largest answer that is read. More is a failure.
const MAX_INPUT_BYTES: usize = 16 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: Option<TcpStream>,
    input: BytesMut,
    ended: bool,
    /// What was sent last asks for a head only.
    of_head: bool,
}

impl Peer {
    /// Connects; with `narrow`, by a receive buffer as small as the system allows.
    pub(crate) async fn connect(host: &str, narrow: bool) -> Result<Self, String> {
        let address: SocketAddr = host.parse().map_err(|_| "a bad address")?;
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        if narrow {
            socket.set_recv_buffer_size(1).map_err(|error| error.to_string())?;
        }
        let stream = timeout(ANSWER_BOUND, socket.connect(address))
            .await
            .map_err(|_| "the server does not accept".to_owned())?
            .map_err(|error| format!("cannot connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream: Some(stream), input: BytesMut::new(), ended: false, of_head: false })
    }

    /// Sends; that the server closed meanwhile, or does not take it, is found by what follows.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.of_head = bytes.starts_with(b"HEAD ");
        if let Some(stream) = &mut self.stream {
            let _ = timeout(ANSWER_BOUND, stream.write_all(bytes)).await;
        }
    }

    /// Sends byte by byte until all is sent or the server has closed.
    pub(crate) async fn drip(&mut self, bytes: &[u8], pause: Duration) {
        let Some(stream) = &mut self.stream else { return };
        for byte in bytes {
            tokio::select! {
                read = stream.read_buf(&mut self.input) => if !matches!(read, Ok(1..)) {
                    self.ended = true;
                    return;
                },
                () = rest(pause) => {}
            }
            if stream.write_all(&[*byte]).await.is_err() {
                self.ended = true;
                return;
            }
        }
    }

    /// Sends byte by byte until all is sent or that fails, and reads nothing.
    pub(crate) async fn drip_blindly(&mut self, bytes: &[u8], pause: Duration) {
        let Some(stream) = &mut self.stream else { return };
        for byte in bytes {
            rest(pause).await;
            if !matches!(timeout(ANSWER_BOUND, stream.write_all(&[*byte])).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Ends our half.
    pub(crate) async fn finish_writing(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.shutdown().await;
        }
    }

    /// Waits until the server has read what was sent: nothing else tells that a request which is
    /// not answered yet has begun.
    pub(crate) async fn taken(&mut self) -> Result<(), String> {
        let Some(stream) = &self.stream else { return Err("it was reset".to_owned()) };
        let ours = stream.local_addr().map_err(|error| error.to_string())?.port();
        let theirs = stream.peer_addr().map_err(|error| error.to_string())?.port();
        let taken = timeout(ANSWER_BOUND, async {
            while unread_bytes(theirs, ours) != Some(0) {
                rest(LOOK_AGAIN).await;
            }
        });
        taken.await.map_err(|_| "the server does not read".to_owned())
    }

    /// Resets the connection.
    pub(crate) fn abort(&mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = stream.set_zero_linger();
        }
    }

    /// The next HTTP answer.
    pub(crate) async fn answer(&mut self) -> Result<Answer, String> {
        let answer = timeout(ANSWER_BOUND, async {
            loop {
                let framing = Framing { of_head: self.of_head, ended: self.ended };
                if let Some(answer) = take_answer(&mut self.input, framing)? {
                    return Ok(answer);
                }
                self.read().await.map_err(|error| format!("no answer: {error}"))?;
            }
        });
        answer.await.map_err(|_| "no answer".to_owned())?
    }

    /// Reads until what came holds these bytes, and forgets it up to there.
    pub(crate) async fn reads(&mut self, bytes: &[u8]) -> Result<(), String> {
        let found = timeout(ANSWER_BOUND, async {
            loop {
                if let Some(at) = find(&self.input, bytes) {
                    self.input.advance(at + bytes.len());
                    return Ok(());
                }
                if self.input.len() > MAX_INPUT_BYTES {
                    return Err("endless output".to_owned());
                }
                self.read().await?;
            }
        });
        let found = found.await.unwrap_or_else(|_| Err("nothing more".to_owned()));
        found.map_err(|why| format!("{why} after {:?}", self.input.escape_ascii().to_string()))
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Result<Frame, String> {
        let frame = timeout(ANSWER_BOUND, async {
            loop {
                if let Some(frame) = take_frame(&mut self.input)? {
                    return Ok(frame);
                }
                self.read().await.map_err(|error| format!("no frame: {error}"))?;
            }
        });
        frame.await.map_err(|_| "no frame".to_owned())?
    }

    /// Waits until the server ends the connection, and gives what it said before.
    pub(crate) async fn end(&mut self) -> Result<Vec<u8>, String> {
        let end = timeout(END_BOUND, async {
            while !self.ended {
                if self.input.len() > MAX_INPUT_BYTES {
                    return Err("endless output".to_owned());
                }
                let _ = self.read().await;
            }
            Ok(())
        });
        end.await.map_err(|_| "the server leaves the connection open".to_owned())??;
        self.stream = None;
        Ok(self.input.split().to_vec())
    }

    async fn read(&mut self) -> Result<(), String> {
        if self.ended {
            return Err("the server has closed".to_owned());
        }
        let Some(stream) = &mut self.stream else { return Err("it was reset".to_owned()) };
        match stream.read_buf(&mut self.input).await {
            Ok(1..) => Ok(()),
            // A reset is an end too.
            Ok(0) | Err(_) => {
                self.ended = true;
                Ok(())
            }
        }
    }
}

/// A pause; none at all is shorter than the shortest that a timer knows.
async fn rest(pause: Duration) {
    if pause.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(pause).await }
}

/// How many bytes wait to be read at the local port `at` of a connection from the port `from`, as
/// the kernel counts them; elsewhere than on Linux nothing is known and nothing waited for.
fn unread_bytes(at: u16, from: u16) -> Option<u64> {
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else { return Some(0) };
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = |field: usize| {
            let (_, port) = fields.get(field)?.split_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        if port(1) != Some(at) || port(2) != Some(from) {
            return None;
        }
        let (_, unread) = fields.get(4)?.split_once(':')?;
        u64::from_str_radix(unread, 16).ok()
    })
}
