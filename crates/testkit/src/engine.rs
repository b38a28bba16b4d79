//! An Engine.IO v4 connection for tests: every packet by hand.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::Options;
use crate::dial::within;
use crate::error::{Closed, Error};
use crate::http::{Exchange, Request};
use crate::ws::{Message, WebSocket};
use websocket::Opcode;

/// Stands between the packets of a payload.
const SEPARATOR: char = '\u{1e}';

/// An Engine.IO packet. Spec: Engine.IO protocol v4 § Protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnginePacket {
    /// `0`: the handshake's JSON.
    Open(String),
    /// `1`
    Close,
    /// `2`, with what follows (`probe`).
    Ping(String),
    /// `3`, with what follows (`probe`).
    Pong(String),
    /// `4`: a text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

impl EnginePacket {
    /// Reads a packet from its text, as it stands in a text frame or in a payload.
    ///
    /// # Errors
    /// It is no packet.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let broken = || Error::Protocol(format!("Engine.IO packet {text:?}"));
        let mut characters = text.chars();
        let kind = characters.next().ok_or_else(broken)?;
        let rest = characters.as_str();
        Ok(match kind {
            '0' => Self::Open(rest.to_owned()),
            '1' => Self::Close,
            '2' => Self::Ping(rest.to_owned()),
            '3' => Self::Pong(rest.to_owned()),
            '4' => Self::Text(rest.to_owned()),
            '5' => Self::Upgrade,
            '6' => Self::Noop,
            'b' => Self::Binary(BASE64_STANDARD.decode(rest).map_err(|_| broken())?.into()),
            _ => return Err(broken()),
        })
    }

    /// The packet as text, as it stands in a payload.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Open(json) => format!("0{json}"),
            Self::Close => "1".to_owned(),
            Self::Ping(rest) => format!("2{rest}"),
            Self::Pong(rest) => format!("3{rest}"),
            Self::Text(text) => format!("4{text}"),
            Self::Binary(bytes) => format!("b{}", BASE64_STANDARD.encode(bytes)),
            Self::Upgrade => "5".to_owned(),
            Self::Noop => "6".to_owned(),
        }
    }
}

/// What the server says in its `open` packet. Spec: Engine.IO protocol v4 § Handshake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// The session's id: a secret.
    pub sid: String,
    /// The transports to which the session may be upgraded.
    pub upgrades: Vec<String>,
    /// Milliseconds between pings.
    pub ping_interval: u64,
    /// Milliseconds to wait for a pong.
    pub ping_timeout: u64,
    /// Bytes in one payload or message.
    pub max_payload: u64,
}

/// One Engine.IO connection. Pings are shown, not answered; nothing is sent by itself.
///
/// Dropping it ends the TCP connections without a word, as a killed client does.
#[derive(Debug)]
pub struct EngineConnection {
    transport: Transport,
    handshake: Handshake,
    options: Options,
    url: String,
    inbox: VecDeque<EnginePacket>,
}

#[derive(Debug)]
enum Transport {
    WebSocket(Box<WebSocket>),
    /// The outstanding poll, if there is one.
    Polling(Option<Exchange>),
}

impl EngineConnection {
    /// Connects over WebSocket or by polling, as the options say, and reads the handshake. An
    /// upgrade is begun by [`EngineConnection::upgrade`] only.
    ///
    /// `url` is `http://host:port`; path and query come from the options.
    ///
    /// # Errors
    /// [`Error::Http`] when the server refuses, or see [`Error`].
    pub async fn connect(url: &str, options: &Options) -> Result<Self, Error> {
        let options = options.clone();
        within(options.deadline, "Engine.IO handshake", Self::open(url, options.clone())).await
    }

    async fn open(url: &str, options: Options) -> Result<Self, Error> {
        let handshake = Handshake {
            sid: String::new(),
            upgrades: Vec::new(),
            ping_interval: 0,
            ping_timeout: 0,
            max_payload: 0,
        };
        let url = format!("{}{}", url.trim_end_matches('/'), options.path);
        let transport = Transport::Polling(None);
        let inbox = VecDeque::new();
        let mut connection = Self { transport, handshake, options, url, inbox };
        if connection.options.transport == crate::Transport::WebSocket {
            let socket = connection.dial_websocket().await?;
            connection.transport = Transport::WebSocket(Box::new(socket));
        }
        match connection.next().await? {
            EnginePacket::Open(json) => {
                connection.handshake = serde_json::from_str(&json)
                    .map_err(|error| Error::Protocol(format!("handshake {json}: {error}")))?;
                Ok(connection)
            }
            other => Err(Error::Protocol(format!("{other:?} instead of a handshake"))),
        }
    }

    /// What the server said at the beginning.
    #[must_use]
    pub const fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Whether packets go over a WebSocket now.
    #[must_use]
    pub const fn is_websocket(&self) -> bool {
        matches!(self.transport, Transport::WebSocket(_))
    }

    /// The WebSocket, when packets go over one: for frames that are no packets.
    #[must_use]
    pub fn websocket(&mut self) -> Option<&mut WebSocket> {
        match &mut self.transport {
            Transport::WebSocket(socket) => Some(socket),
            Transport::Polling(_) => None,
        }
    }

    /// The URL of this session for a transport (`polling`, `websocket`): for requests by hand.
    #[must_use]
    pub fn session_url(&self, transport: &str) -> String {
        let mut url = format!("{}?EIO=4&transport={transport}", self.url);
        for (name, value) in &self.options.query {
            url.push('&');
            url.push_str(&form(name));
            url.push('=');
            url.push_str(&form(value));
        }
        if !self.handshake.sid.is_empty() {
            url.push_str("&sid=");
            url.push_str(&form(&self.handshake.sid));
        }
        url
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// The transport failed, or a polling request was refused.
    pub async fn send(&mut self, packet: EnginePacket) -> Result<(), Error> {
        self.send_all(&[packet]).await
    }

    /// Sends packets, by polling in one payload.
    ///
    /// # Errors
    /// The transport failed, or a polling request was refused.
    pub async fn send_all(&mut self, packets: &[EnginePacket]) -> Result<(), Error> {
        let Transport::WebSocket(socket) = &mut self.transport else {
            let texts: Vec<String> = packets.iter().map(EnginePacket::to_text).collect();
            return self.post(texts.join(&SEPARATOR.to_string())).await;
        };
        for packet in packets {
            match packet {
                EnginePacket::Binary(bytes) => socket.send(Opcode::Binary, bytes).await?,
                text => socket.send_text(&text.to_text()).await?,
            }
        }
        Ok(())
    }

    /// Sends text as it is: a text frame, or the body of a `POST`.
    ///
    /// # Errors
    /// The transport failed, or a polling request was refused.
    pub async fn send_raw(&mut self, text: &str) -> Result<(), Error> {
        match &mut self.transport {
            Transport::WebSocket(socket) => socket.send_text(text).await,
            Transport::Polling(_) => self.post(text.to_owned()).await,
        }
    }

    /// Waits for the next packet. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// The connection ended, or the server sent what is no packet.
    pub async fn next(&mut self) -> Result<EnginePacket, Error> {
        loop {
            if let Some(packet) = self.inbox.pop_front() {
                return Ok(packet);
            }
            match &mut self.transport {
                Transport::WebSocket(socket) => match socket.next().await? {
                    Message::Text(text) => return EnginePacket::parse(&text),
                    Message::Binary(bytes) => return Ok(EnginePacket::Binary(bytes)),
                    Message::Ping(payload) => socket.send(Opcode::Pong, &payload).await?,
                    Message::Pong(_) => {}
                    Message::Close { code, reason } => {
                        return Err(Error::Closed(Closed::WebSocket { code, reason }));
                    }
                },
                Transport::Polling(_) => {
                    self.begin_poll().await?;
                    self.end_poll().await?;
                }
            }
        }
    }

    /// As [`EngineConnection::next`], but not longer than `deadline`.
    ///
    /// # Errors
    /// As [`EngineConnection::next`], or the deadline passed.
    pub async fn next_within(&mut self, deadline: Duration) -> Result<EnginePacket, Error> {
        within(deadline, "Engine.IO packet", self.next()).await
    }

    /// The next packet's text, as it stands in a payload, within the options' deadline.
    ///
    /// # Errors
    /// As [`EngineConnection::next_within`].
    pub async fn next_raw(&mut self) -> Result<String, Error> {
        Ok(self.next_within(self.options.deadline).await?.to_text())
    }

    /// Upgrades from polling to WebSocket, with a poll outstanding as the real client has it.
    /// What that poll brings comes out of [`EngineConnection::next`] as usual.
    ///
    /// Spec: Engine.IO protocol v4 § Upgrade.
    ///
    /// # Errors
    /// The server refused, or did not answer in the order of the specification.
    pub async fn upgrade(&mut self) -> Result<(), Error> {
        within(self.options.deadline, "upgrade", async {
            self.begin_poll().await?;
            let mut socket = self.dial_websocket().await?;
            socket.send_text("2probe").await?;
            match socket.next().await? {
                Message::Text(text) if text == "3probe" => {}
                other => return Err(Error::Protocol(format!("{other:?} instead of 3probe"))),
            }
            self.end_poll().await?;
            socket.send_text("5").await?;
            self.transport = Transport::WebSocket(Box::new(socket));
            Ok(())
        })
        .await
    }

    /// Closes as the real client does: a close packet by polling, a close frame over WebSocket.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn close(mut self) -> Result<(), Error> {
        match &mut self.transport {
            Transport::WebSocket(socket) => socket.send(Opcode::Close, &[]).await,
            Transport::Polling(_) => self.send(EnginePacket::Close).await,
        }
    }

    /// Ends the connection with a reset; by polling, by dropping the outstanding poll.
    ///
    /// # Errors
    /// The system refused.
    pub fn abort(self) -> Result<(), Error> {
        match self.transport {
            Transport::WebSocket(socket) => socket.abort(),
            Transport::Polling(_) => Ok(()),
        }
    }

    async fn dial_websocket(&self) -> Result<WebSocket, Error> {
        let url = self.session_url("websocket");
        WebSocket::connect(&url, &self.options.headers, self.options.dial).await
    }

    async fn post(&self, body: String) -> Result<(), Error> {
        let response = Request::new("POST", &self.session_url("polling"))
            .header("Content-Type", "text/plain;charset=UTF-8")
            .headers(&self.options.headers)
            .dial(self.options.dial)
            .body(body)
            .send_within(self.options.deadline)
            .await?;
        if response.status != 200 {
            return Err(Error::Http { status: response.status, body: response.text() });
        }
        Ok(())
    }

    async fn begin_poll(&mut self) -> Result<(), Error> {
        if matches!(self.transport, Transport::Polling(None)) {
            let request = Request::new("GET", &self.session_url("polling"))
                .headers(&self.options.headers)
                .dial(self.options.dial);
            self.transport = Transport::Polling(Some(request.start().await?));
        }
        Ok(())
    }

    async fn end_poll(&mut self) -> Result<(), Error> {
        let Transport::Polling(Some(poll)) = &mut self.transport else { return Ok(()) };
        let response = poll.response().await?;
        self.transport = Transport::Polling(None);
        let body = response.text();
        let status = response.status;
        if status != 200 && self.handshake.sid.is_empty() {
            return Err(Error::Http { status, body });
        }
        if status != 200 {
            return Err(Error::Closed(Closed::Poll { status, body }));
        }
        for packet in body.split(SEPARATOR) {
            self.inbox.push_back(EnginePacket::parse(packet)?);
        }
        Ok(())
    }
}

/// Percent-encodes a part of a query.
fn form(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_have_the_text_of_the_specification() {
        let cases = [
            ("0{}", EnginePacket::Open("{}".into())),
            ("1", EnginePacket::Close),
            ("2probe", EnginePacket::Ping("probe".into())),
            ("3", EnginePacket::Pong(String::new())),
            ("4\u{e9}", EnginePacket::Text("\u{e9}".into())),
            ("5", EnginePacket::Upgrade),
            ("6", EnginePacket::Noop),
            ("bAQID", EnginePacket::Binary(Bytes::from_static(&[1, 2, 3]))),
        ];
        for (text, packet) in cases {
            assert_eq!(EnginePacket::parse(text).unwrap(), packet);
            assert_eq!(packet.to_text(), text);
        }
        for text in ["", "7", "b!", "\u{e9}"] {
            assert!(EnginePacket::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn queries_are_percent_encoded() {
        assert_eq!(form("a b&\u{e9}"), "a%20b%26%C3%A9");
    }

    proptest! {
        #[test]
        fn binary_packets_read_back(bytes: Vec<u8>) {
            let packet = EnginePacket::Binary(bytes.into());
            prop_assert_eq!(EnginePacket::parse(&packet.to_text()).unwrap(), packet);
        }
    }
}
