//! A WebSocket connection for tests: every frame by hand.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use websocket::{Incoming, Limits, Opcode, Reader, Role, frame};

use crate::dial::{Dial, within};
use crate::error::{Closed, Error};
use crate::http::{Request, Response};

/// The handshake example of RFC 6455 § 1.3: key and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a test accepts from its server: everything it can hold.
const LIMITS: Limits = Limits {
    max_message_bytes: crate::http::MAX_RESPONSE_BYTES,
    max_fragments: u32::MAX,
    max_control_frames: u32::MAX,
};

/// A message or control frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping. It is not answered by itself.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame. It is not answered by itself.
    Close {
        /// The code; `None` for an empty frame.
        code: Option<u16>,
        /// The reason's text.
        reason: String,
    },
}

/// One WebSocket connection without compression. Nothing is answered or sent by itself.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    input: BytesMut,
    reader: Reader,
    masks: u32,
    response: Response,
}

impl WebSocket {
    /// Connects to `url` with additional headers.
    ///
    /// # Errors
    /// [`Error::Http`] when the server answers anything but a right 101.
    pub async fn connect(
        url: &str,
        headers: &[(String, String)],
        dial: Dial,
    ) -> Result<Self, Error> {
        let request = Request::new("GET", url)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", KEY)
            .headers(headers)
            .dial(dial);
        let mut exchange = request.start().await?;
        let response = exchange.response().await?;
        if response.status != 101 {
            return Err(Error::Http { status: response.status, body: response.text() });
        }
        if response.header("Sec-WebSocket-Accept") != Some(ACCEPT) {
            return Err(Error::Protocol("wrong Sec-WebSocket-Accept".to_owned()));
        }
        let (stream, input) = exchange.into_parts();
        let reader = Reader::new(Role::Client, None);
        Ok(Self { stream, input, reader, masks: 0, response })
    }

    /// The server's 101.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send(Opcode::Text, text.as_bytes()).await
    }

    /// Sends one masked frame, whole.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        // Predictable keys are fine here: no proxy is to be protected from a test.
        self.masks = self.masks.wrapping_add(0x9e37_79b9);
        let frame = frame::masked(opcode, payload, self.masks.to_be_bytes());
        self.send_bytes(&frame).await
    }

    /// Writes bytes to the transport as they are.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).await.map_err(|it| ended(&it))
    }

    /// Waits for the next message or control frame. May be dropped and called again: nothing is
    /// lost.
    ///
    /// # Errors
    /// The transport ended or the server sent no valid frame.
    pub async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.input).await.map_err(|it| ended(&it))? == 0 {
                return Err(Error::Closed(Closed::Eof));
            }
        }
    }

    /// As [`WebSocket::next`], but not longer than `deadline`.
    ///
    /// # Errors
    /// As [`WebSocket::next`], or the deadline passed.
    pub async fn next_within(&mut self, deadline: Duration) -> Result<Message, Error> {
        within(deadline, "WebSocket message", self.next()).await
    }

    /// Ends the connection with a reset, as a crash of the machine's network does.
    ///
    /// # Errors
    /// The system refused.
    pub fn abort(self) -> Result<(), Error> {
        Ok(self.stream.set_zero_linger()?)
    }

    fn take(&mut self) -> Result<Option<Message>, Error> {
        let before = self.input.len();
        let mut rest = &mut self.input[..];
        let message = match self.reader.read(&LIMITS, &mut rest) {
            Ok(incoming) => incoming.map(owned),
            Err(violation) => return Err(Error::Protocol(format!("WebSocket: {violation}"))),
        };
        let consumed = before - rest.len();
        self.input.advance(consumed);
        Ok(message)
    }
}

fn owned(incoming: Incoming<'_>) -> Message {
    match incoming {
        Incoming::Text(text) => Message::Text(text.into_owned()),
        Incoming::Binary(bytes) => Message::Binary(bytes.into_owned().into()),
        Incoming::Ping(bytes) => Message::Ping(bytes.into_owned().into()),
        Incoming::Pong(bytes) => Message::Pong(bytes.into_owned().into()),
        Incoming::Close(None) => Message::Close { code: None, reason: String::new() },
        Incoming::Close(Some(close)) => {
            Message::Close { code: Some(close.code.value()), reason: close.reason.into_owned() }
        }
    }
}

/// A failure of an established transport is its end.
fn ended(error: &std::io::Error) -> Error {
    Error::Closed(Closed::Transport(error.kind()))
}
