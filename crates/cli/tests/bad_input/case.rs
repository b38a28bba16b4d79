//! A case: what is done to the server, what must come back, which counters must move.

use std::time::Duration;

use crate::tls::{Version, Visit};
use crate::wire::{WEBSOCKET, poll, post, upgrade};

/// The settings of the server that a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Profile {
    /// The defaults.
    Standard,
    /// Engine.IO 3 is spoken too.
    V3,
    /// The MessagePack parser.
    MsgPack,
    /// permessage-deflate and compressed polling answers.
    Compressing,
    /// Pages of two named origins may connect, with cookies; sessions set one.
    Cors,
    /// Every deadline is a second or two.
    Impatient,
    /// Few connections, sessions, rooms and namespaces, a short outbox.
    Narrow,
    /// Few events are remembered, and fewer sent again.
    Forgetful,
    /// Few connections per address, this machine's included.
    PerAddress,
    /// Few sessions per address in a time, this machine's included; they must join soon.
    Newcomers,
    /// Clients are read slowly.
    Paced,
    /// Encrypted, with little time for handshakes.
    Tls,
    /// Tokens are looked at, and guests let in beside them.
    Tokens,
    /// Few events per connection, per room and per API key; clients are disconnected soon.
    Thrifty,
    /// Named hosts alone, and pages of named origins alone.
    Guarded,
    /// Not the binary, but `examples/listeners.rs`.
    Listeners,
}

/// The secret that tokens are signed with.
pub(crate) const TOKEN_SECRET: &str = "tokens-of-these-tests-are-signed-with-this";

impl Profile {
    /// What differs from the defaults, as environment variables.
    pub(crate) fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Standard => &[],
            Self::V3 => &[("FANFARE_ALLOW_V3", "true")],
            Self::MsgPack => &[("FANFARE_PARSER", "msgpack")],
            Self::Compressing => &[
                ("FANFARE_COMPRESSION_WEBSOCKET", "1024B"),
                ("FANFARE_COMPRESSION_POLLING", "64B"),
            ],
            Self::Cors => &[
                ("FANFARE_CORS_ORIGINS", "https://one.example,https://two.example"),
                ("FANFARE_CORS_CREDENTIALS", "true"),
                ("FANFARE_COOKIE", "io"),
            ],
            Self::Impatient => &[
                ("FANFARE_PING_INTERVAL", "1s"),
                ("FANFARE_PING_TIMEOUT", "2s"),
                ("FANFARE_UPGRADE_TIMEOUT", "1s"),
                ("FANFARE_CONNECT_TIMEOUT", "1500ms"),
                ("FANFARE_HTTP_HEADER_TIMEOUT", "1s"),
                ("FANFARE_HTTP_BODY_TIMEOUT", "1s"),
                ("FANFARE_HTTP_STALL_TIMEOUT", "2s"),
                ("FANFARE_CLOSE_TIMEOUT", "1s"),
                ("FANFARE_SSE_HEARTBEAT", "1s"),
            ],
            Self::Narrow => &[
                ("FANFARE_LIMITS_CONNECTIONS", "40"),
                ("FANFARE_LIMITS_SESSIONS", "20"),
                ("FANFARE_LIMITS_ATTACHMENTS", "2"),
                ("FANFARE_LIMITS_NAMESPACES_PER_CONNECTION", "3"),
                ("FANFARE_LIMITS_ROOMS_PER_SOCKET", "3"),
                ("FANFARE_NAMESPACES", "/,/a,/b,/c,/d"),
                ("FANFARE_OUTBOX_BYTES", "64KB"),
                ("FANFARE_MAX_PAYLOAD", "20KB"),
            ],
            Self::Forgetful => {
                &[("FANFARE_EVENT_LOG_MAX_EVENTS", "100"), ("FANFARE_RECOVERY_EVENTS", "20")]
            }
            Self::PerAddress => &[
                ("FANFARE_LIMITS_CONNECTIONS_PER_IP", "10"),
                ("FANFARE_LIMITS_COUNT_LOOPBACK", "true"),
            ],
            Self::Newcomers => &[
                ("FANFARE_LIMITS_SESSIONS_PER_IP_PER_SECOND", "5"),
                ("FANFARE_LIMITS_SESSIONS_PER_IP_BURST", "60"),
                ("FANFARE_LIMITS_COUNT_LOOPBACK", "true"),
                ("FANFARE_CONNECT_TIMEOUT", "1500ms"),
            ],
            Self::Tls => &[("FANFARE_TLS_HANDSHAKE_TIMEOUT", "1s")],
            Self::Listeners => &[],
            Self::Tokens | Self::Thrifty | Self::Guarded => self.of_services(),
            Self::Paced => &[
                ("FANFARE_LIMITS_READ_RATE", "2MB"),
                ("FANFARE_LIMITS_READ_BURST", "1MB"),
                ("FANFARE_COMPRESSION_WEBSOCKET", "1024B"),
            ],
        }
    }

    /// The same for what is tried on the services.
    fn of_services(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tokens => &[
                ("FANFARE_AUTH_JWT_SECRET", TOKEN_SECRET),
                ("FANFARE_AUTH_JWT_PUBLIC_KEY", PUBLIC_KEY),
                ("FANFARE_AUTH_ISSUERS", "https://id.example"),
                ("FANFARE_AUTH_AUDIENCES", "fanfare"),
                ("FANFARE_AUTH_GUESTS", "true"),
                ("FANFARE_ACCESS_PRIVATE", "private:*"),
            ],
            Self::Thrifty => &[
                ("FANFARE_LIMITS_EVENTS_PER_SECOND", "1"),
                ("FANFARE_LIMITS_EVENTS_BURST", "40"),
                ("FANFARE_LIMITS_REFUSALS", "20"),
                ("FANFARE_CLOSE_TIMEOUT", "1s"),
                ("FANFARE_LIMITS_ROOM_EVENTS_PER_SECOND", "1"),
                ("FANFARE_LIMITS_ROOM_EVENTS_BURST", "20"),
            ],
            Self::Guarded => &[
                ("FANFARE_HTTP_HOSTS", "localhost,app.example"),
                ("FANFARE_CORS_CHECK_ORIGIN", "always"),
                ("FANFARE_CORS_ORIGINS", "https://app.example"),
            ],
            _ => &[],
        }
    }
}

/// A key that tokens may be signed with beside the secret.
const PUBLIC_KEY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../services/src/identity/testdata/p256_public.pem");

/// A way to open a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Long polling; the present connection is not used.
    Polling,
    /// A WebSocket, which becomes the present connection.
    WebSocket,
    /// Engine.IO 3 by long polling.
    PollingV3,
    /// Engine.IO 3 on a WebSocket.
    WebSocketV3,
}

/// How the server treats each of many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is closed, with or without an answer.
    Ended,
    /// The client goes, without waiting for anything.
    Left,
    /// It is answered with one of these.
    Answered(&'static [u16]),
}

/// One thing that is done, or that must happen.
///
/// In bytes and texts, `{host}`, `{sid}` (of the session opened last), `{ack}` (of the question heard
/// last), `{pid}` and `{offset}` (of the answer and the event heard last), `{key}` (of the HTTP API) and `{secret}` (which must never be in a log) are replaced.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A new TCP connection; it becomes the present one.
    Connect,
    /// A new TCP connection whose receive buffer is as small as the system allows.
    ConnectNarrow,
    /// A new TCP connection that nothing encrypts although the server does.
    ConnectRaw,
    /// An earlier connection becomes the present one; they count from 0.
    Use(usize),
    /// Sends these bytes. That the server closes meanwhile is no failure.
    Send(Vec<u8>),
    /// Sends bytes one by one with a pause before each, until all are sent or the server closed.
    Drip(Vec<u8>, Duration),
    /// The same without looking at what the server says: what it sends stays unread.
    DripBlindly(Vec<u8>, Duration),
    /// Ends our half of the connection.
    FinishWriting,
    /// The server has read what was sent on the present connection.
    Taken,
    /// Resets the connection.
    Abort,
    /// Waits this long: only where silence is the attack.
    Silence(Duration),

    /// An HTTP answer with one of these statuses comes.
    Status(&'static [u16]),
    /// Answers with these statuses come on the first two connections, in any order.
    Statuses([u16; 2]),
    /// The head of the last answer holds this, whatever the case of its letters.
    HeadHas(String),
    /// The head of the last answer does not hold this, whatever the case of its letters.
    HeadLacks(String),
    /// The body of the last answer is this.
    Body(String),
    /// The body of the last answer holds this.
    BodyHas(String),
    /// The body of the last answer does not hold this.
    BodyLacks(String),
    /// Bytes come until they hold this: of an answer that does not end.
    Reads(String),
    /// The server ends the connection, and has said nothing that was not expected.
    Ended,
    /// The server ends the connection, whatever it said before.
    Cut,

    /// Opens a session; `{sid}` is its id from now on.
    Open(Door),
    /// Joins `/` on the session opened last.
    Join,
    /// Sends a masked frame with this first byte.
    Frame(u8, Vec<u8>),
    /// The next frame is a text with exactly these words; heartbeats are passed over.
    Hears(String),
    /// The next frame is a text that begins so; heartbeats are passed over.
    HearsBegin(String),
    /// The next frame is a text that holds this; heartbeats are passed over.
    HearsHas(String),
    /// The next frame is an event that asks for an answer; its id is `{ack}` from now on.
    Asked,
    /// Frames come until one is a text with exactly these words.
    HearsUntil(String),
    /// The next frame is a heartbeat.
    Heartbeat,
    /// The next frame is binary and holds these bytes.
    HearsBytes(Vec<u8>),
    /// The next frame is a pong with this payload.
    Pong(Vec<u8>),
    /// A close frame with this code (`None`: an empty one) comes, whatever was said before; then
    /// the connection ends.
    Closes(Option<u16>),

    /// A session has ended for this cause since the case began.
    Caused(&'static str),
    /// The session works: it joins `/` if it has not, and an event is answered.
    Alive,
    /// The session is unknown.
    Gone,
    /// So many connections at once send these bytes, and each has this fate.
    Crowd(usize, Vec<u8>, Fate),
    /// The same past all encryption.
    CrowdRaw(usize, Vec<u8>, Fate),
    /// A client that speaks TLS does this.
    Visit(Version, Visit),
    /// So many sessions are opened by polling, and never polled.
    Strays(usize),
    /// Sessions are opened by polling until one is refused; there are fewer places than this.
    Fill(usize),
    /// So many sessions are opened by polling and left, more than one address may open: some are
    /// answered 429.
    Newcomers(usize),
    /// So many polls name a session that does not exist, more than one address may: some are
    /// answered 429.
    Guesses(usize),
    /// The server has held back reading from a client since the case began.
    Held,
    /// So many events, numbered from 0, each with a text of so many bytes, are published to a room.
    Publish(&'static str, usize, usize),
}

/// A row of a table, or a neighbour of one.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The row's id.
    pub(crate) row: &'static str,
    /// What is special about this input.
    pub(crate) what: String,
    pub(crate) profile: Profile,
    pub(crate) steps: Vec<Step>,
    /// The counters under `rejected` that move, and by how much. No other may.
    pub(crate) rejected: Vec<(&'static str, u64)>,
    /// The counters under `rejected` that may move besides: two connections raced.
    pub(crate) perhaps: Vec<&'static str>,
    /// Counters under `causes` that move by this much before the harness tidies up.
    pub(crate) causes: Vec<(&'static str, u64)>,
    /// What must not be in the log.
    pub(crate) secrets: Vec<String>,
}

/// Begins a case for a server with the default settings.
pub(crate) fn case(row: &'static str, what: impl Into<String>) -> Case {
    Case {
        row,
        what: what.into(),
        profile: Profile::Standard,
        steps: Vec::new(),
        rejected: Vec::new(),
        perhaps: Vec::new(),
        causes: Vec::new(),
        secrets: Vec::new(),
    }
}

impl Case {
    /// For a server with other settings.
    pub(crate) fn on(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Adds a step.
    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// This must not be in the log.
    pub(crate) fn plants(mut self, secret: impl AsRef<str>) -> Self {
        // What is shorter could be there by chance.
        if secret.as_ref().len() > 16 {
            self.secrets.push(secret.as_ref().to_owned());
        }
        self
    }

    /// This counter moves once.
    pub(crate) fn rejected(self, reason: &'static str) -> Self {
        self.rejected_times(reason, 1)
    }

    /// This counter moves so often.
    pub(crate) fn rejected_times(mut self, reason: &'static str, times: usize) -> Self {
        self.rejected.push((reason, times as u64));
        self
    }

    /// This counter may move or not: it depends on which of two connections was faster.
    pub(crate) fn perhaps_rejected(mut self, reason: &'static str) -> Self {
        self.perhaps.push(reason);
        self
    }

    /// So many sessions end for this cause.
    pub(crate) fn cause(mut self, cause: &'static str, times: usize) -> Self {
        self.causes.push((cause, times as u64));
        self
    }

    /// A new connection that sends these bytes.
    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Connect).more(bytes)
    }

    /// The present connection sends these bytes.
    pub(crate) fn more(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// A new connection sends this, and the server has read it: what others send comes later.
    pub(crate) fn first(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(bytes).step(Step::Taken)
    }

    /// An answer with one of these statuses comes.
    pub(crate) fn status(self, statuses: &'static [u16]) -> Self {
        self.step(Step::Status(statuses))
    }

    /// The answer's body is this.
    pub(crate) fn body(self, text: &str) -> Self {
        self.step(Step::Body(text.to_owned()))
    }

    /// The answer's body holds this.
    pub(crate) fn body_has(self, text: &str) -> Self {
        self.step(Step::BodyHas(text.to_owned()))
    }

    /// The answer's head holds this.
    pub(crate) fn head_has(self, text: &str) -> Self {
        self.step(Step::HeadHas(text.to_owned()))
    }

    /// The answer's head does not hold this.
    pub(crate) fn head_lacks(self, text: &str) -> Self {
        self.step(Step::HeadLacks(text.to_owned()))
    }

    /// What comes holds this at last.
    pub(crate) fn reads(self, text: &str) -> Self {
        self.step(Step::Reads(text.to_owned()))
    }

    /// The server ends the connection without another word.
    pub(crate) fn ended(self) -> Self {
        self.step(Step::Ended)
    }

    /// Opens a session.
    pub(crate) fn open(self, door: Door) -> Self {
        self.step(Step::Open(door))
    }

    /// Opens a session and joins `/`.
    pub(crate) fn joined(self, door: Door) -> Self {
        self.open(door).step(Step::Join)
    }

    /// Sends a frame in one piece: text.
    pub(crate) fn text(self, text: impl AsRef<[u8]>) -> Self {
        self.step(Step::Frame(0x81, text.as_ref().to_vec()))
    }

    /// Sends a frame in one piece: bytes.
    pub(crate) fn binary(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Frame(0x82, bytes.as_ref().to_vec()))
    }

    /// Sends a frame with this first byte.
    pub(crate) fn frame(self, first: u8, payload: impl AsRef<[u8]>) -> Self {
        self.step(Step::Frame(first, payload.as_ref().to_vec()))
    }

    /// A text frame with these words comes.
    pub(crate) fn hears(self, text: &str) -> Self {
        self.step(Step::Hears(text.to_owned()))
    }

    /// A text frame that begins so comes.
    pub(crate) fn hears_begin(self, text: &str) -> Self {
        self.step(Step::HearsBegin(text.to_owned()))
    }

    /// A text frame that holds this comes.
    pub(crate) fn hears_has(self, text: &str) -> Self {
        self.step(Step::HearsHas(text.to_owned()))
    }

    /// A close frame with this code comes, and the end.
    pub(crate) fn closes(self, code: u16) -> Self {
        self.step(Step::Closes(Some(code)))
    }

    /// An empty close frame comes, and the end: how a broken protocol is answered.
    pub(crate) fn closes_empty(self) -> Self {
        self.step(Step::Closes(None))
    }

    /// Opens a session on a WebSocket whose receive buffer is as small as the system allows, and
    /// joins `/`.
    pub(crate) fn joined_narrow(self) -> Self {
        let opened = self.step(Step::ConnectNarrow).more(upgrade(WEBSOCKET)).status(&[101]);
        opened.hears_begin("0{").text("40").hears_begin("40{")
    }

    /// Opens a session by polling, which joins a room.
    pub(crate) fn polling_in(self, room: &str) -> Self {
        let join = format!(r#"420["room:join",{{"roomId":"{room}"}}]"#);
        let asked = self.joined(Door::Polling).send(post(join)).status(&[200]);
        asked.send(poll()).status(&[200]).body_has("430[{\"ok\":true")
    }

    /// A WebSocket wants to take the session over, on a new connection.
    pub(crate) fn probing(self) -> Self {
        self.send(upgrade(&format!("{WEBSOCKET}&sid={{sid}}"))).status(&[101])
    }

    /// The same, and it has said so.
    pub(crate) fn probed(self) -> Self {
        self.probing().text("2probe").hears("3probe")
    }

    /// An event with this id is answered.
    pub(crate) fn asks(self, id: u32) -> Self {
        let event = format!(r#"42{id}["room:join",{{"roomId":"r"}}]"#);
        self.text(event).hears_begin(&format!(r#"43{id}[{{"ok":true"#))
    }

    /// The session joins a room.
    pub(crate) fn room(self, room: &str) -> Self {
        let join = format!(r#"420["room:join",{{"roomId":"{room}"}}]"#);
        self.text(join).hears_begin(r#"430[{"ok":true"#)
    }

    /// The session works.
    pub(crate) fn alive(self) -> Self {
        self.step(Step::Alive)
    }

    /// The session is unknown.
    pub(crate) fn gone(self) -> Self {
        self.step(Step::Gone)
    }
}

/// What is sent to a client that does not read, in bytes: Linux takes up to 4 MiB of it, and how
/// much it takes depends on how the writes happen to fall.
pub(crate) const MORE_THAN_THE_SYSTEM_KEEPS: usize = 6 << 20;

/// A number of peers or messages, multiplied by `BAD_INPUT_SCALE`.
pub(crate) fn scaled(count: usize) -> usize {
    let scale = std::env::var("BAD_INPUT_SCALE").ok().and_then(|scale| scale.parse().ok());
    count * scale.unwrap_or(1usize).max(1)
}
