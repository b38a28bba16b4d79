//! The settings: one list that is the typed struct, the TOML keys, the environment variables, the
//! flags, `fanfare config` and `docs/configuration.md` at once.
//!
//! Rising order: default, file, environment, flag.

mod alias;
mod auth;
mod console;
mod event_log;
mod file;
mod kind;
mod limits;
mod livepoll;
mod load;
mod observe;
mod problem;
mod redis_url;
mod replay;
mod secret;
mod services;
mod show;
mod table;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub(crate) use self::auth::{Access, Auth};
pub(crate) use self::console::{Console, ConsoleFor};
pub(crate) use self::event_log::{EventLog, LogCheck, LogDurability, LogKind, OnDamage};
pub(crate) use self::limits::Limits;
pub(crate) use self::livepoll::Livepoll;
pub(crate) use self::load::{Effective, Given, Inputs};
pub(crate) use self::observe::{Metrics, Traces};
pub(crate) use self::problem::Problems;
pub(crate) use self::replay::Replay;
pub(crate) use self::secret::Secret;
pub(crate) use self::services::{Chat, Jobs, Presence, Redis, Rooms, Sessions, Webhooks};
pub(crate) use self::show::{as_json, as_markdown, as_toml};
pub(crate) use self::table::Setting;
pub(crate) use self::units::{Size, Span};

use self::kind::{Item, Kind};

const fn seconds(count: u64) -> Span {
    Span(Duration::from_secs(count))
}

const fn millis(count: u64) -> Span {
    Span(Duration::from_millis(count))
}

const KB: u64 = 1_000;
const GB: u64 = 1_000_000_000;

const DAY: Span = seconds(86_400);
const HOUR: Span = seconds(3_600);

table::settings! {
    /// Everything that can be set.
    struct Settings at "" {
        /// The address to listen on.
        listen: SocketAddr = Kind::Address, Some("127.0.0.1:3000"),
            "nobody outside the machine reaches a server that was just tried out";
        /// The directory the server keeps its files in; created if missing.
        data: PathBuf = Kind::Path, Some("./data"),
            "beside the work at hand, easy to find and to delete";
        /// The key that `POST /v1/publish` asks for (`Authorization: Bearer <key>`). On a loopback
        /// address one is generated at the first start and kept in the data directory; on any other
        /// it must be set. As a flag it is visible in the list of processes: prefer the environment.
        api_key: Option<Secret> = Kind::Secret, None,
            "a default key would be everybody's key";
        /// Further keys, separated by commas, each with a limit of its own: for several backends, or for
        /// the time in which a key is changed.
        api_keys: Option<Secret> = Kind::Secret, None,
            "one backend needs one";
        /// The path of the Socket.IO endpoint.
        path: String = Kind::UrlPath, Some("/socket.io"),
            "what clients use when told nothing else";
        /// The namespaces that clients may connect to.
        namespaces: Vec<String> = Kind::List { of: Item::Namespace, at_least: 1 }, Some("/"),
            "what clients connect to when told nothing else";
        /// How clients may connect: by HTTP long polling, by WebSocket.
        transports: Vec<Transport> =
            Kind::List { of: Item::Choice(&["polling", "websocket"]), at_least: 1 },
            Some("polling,websocket"),
            "polling passes where a proxy stops WebSocket";
        /// Whether a client that began with polling may go over to WebSocket.
        allow_upgrades: bool = Kind::Switch, Some("true"),
            "polling costs more for both sides";
        /// Whether Engine.IO 3 (socket.io-client 2) is spoken too.
        allow_v3: bool = Kind::Switch, Some("false"),
            "the old protocol is for old clients only; what is off cannot be attacked";
        /// Whether polling by script tags (JSONP) is spoken.
        allow_jsonp: bool = Kind::Switch, Some("true"),
            "what the Node server does; it gives nothing away that polling does not";
        /// The parser of Socket.IO packets. The clients must use the same.
        parser: Parser = Kind::Choice(&["json", "msgpack"]), Some("json"),
            "what clients use when told nothing else";
        /// After how much quiet the server asks a client whether it is there.
        ping_interval: Span = Kind::Duration { min: millis(10), max: DAY }, Some("25s"),
            "below the half minute or minute after which proxies cut quiet connections";
        /// How long a client may take to answer; then it is gone.
        ping_timeout: Span = Kind::Duration { min: millis(10), max: DAY }, Some("20s"),
            "a phone that changes networks gets its chance, a dead one is found within 45 s";
        /// How long going over to WebSocket may take; then polling goes on.
        upgrade_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("10s"),
            "a slow handshake over three continents takes two";
        /// How long a connection may stay without joining a namespace.
        connect_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("10s"),
            "a client joins with its first packet: what has not joined by then is no client";
        /// How long a session that the server closes may take to fetch what it still is to be sent, and
        /// the goodbye; then it is cut.
        close_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("30s"),
            "what the Node server does";
        /// The largest message a client may send, over every transport, and the largest body of
        /// `POST /v1/publish`.
        max_payload: Size = Kind::Size { min: Size(1), max: Size(GB) }, Some("1MB"),
            "what the Node server allows; the sum over all clients is what memory must hold";
        /// The name of a cookie with the session id, set on the first polling answer; none when
        /// unset.
        cookie: Option<String> = Kind::CookieName, None,
            "only sticky load balancers need it";
        /// Whether the client bundle is served at `<path>/socket.io.js`.
        serve_client: bool = Kind::Switch, Some("true"),
            "a page needs nothing but this server to begin";
        /// How many threads serve connections; one per core when unset.
        shards: Option<u64> = Kind::Count { min: 1, max: 64 }, None,
            "a connection stays on one core";
        /// How long open connections may take to end when the server is asked to stop, from when the last
        /// client was told to leave.
        shutdown_grace: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("10s"),
            "what is written is delivered, and a deploy does not wait longer than its patience";
        + /// How clients are told to leave.
        drain: Drain;
        + /// Pages of other origins.
        cors: Cors;
        + /// Compression of what is sent.
        compression: Compression;
        + /// What waits for one client.
        outbox: Outbox;
        + /// Bounds on what clients may take.
        limits: Limits;
        + /// The HTTP side.
        http: Http;
        + /// Encryption.
        tls: Tls;
        + /// What is written about the server's work.
        log: Log;
        + /// Figures for Prometheus.
        metrics: Metrics;
        + /// Traces.
        traces: Traces;
        + /// What the server remembers.
        event_log: EventLog;
        + /// Who gets their session back.
        recovery: Recovery;
        + /// Streams of server-sent events.
        sse: Sse;
        + /// Whose connections are.
        auth: Auth;
        + /// Who may what in rooms.
        access: Access;
        + /// Rooms.
        rooms: Rooms;
        + /// Chat.
        chat: Chat;
        + /// Session rooms.
        sessions: Sessions;
        + /// Jobs.
        jobs: Jobs;
        + /// Presence.
        presence: Presence;
        + /// Webhooks.
        webhooks: Webhooks;
        + /// A Redis.
        redis: Redis;
        + /// What rooms give to those who join.
        replay: Replay;
        + /// Live polling.
        livepoll: Livepoll;
        + /// The operator's page.
        console: Console;
    }
}

table::settings! {
    /// How a server that is asked to stop takes leave of its clients. Afterwards open connections have
    /// `shutdown_grace` to end.
    struct Drain at "drain." {
        /// How long it goes on as before, while `/health/ready` answers 503 `draining`. Behind a load
        /// balancer, longer than that takes to notice.
        notice: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("0s"),
            "a single server has nobody to tell";
        /// How many clients are told to leave per second, in batches at uneven intervals; 0 tells all
        /// at once.
        clients_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("1000"),
            "another server takes so many in without delay, and few are gone at once";
        /// Within which time all have been told; where that rate is too low for it, it is raised.
        within: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("10s"),
            "with the grace it stays below the half minute that supervisors wait";
    }
}

table::settings! {
    /// Which pages of other origins may use the server from a browser.
    struct Cors at "cors." {
        /// The origins whose pages may connect by polling; `*` for any. None when empty.
        origins: Vec<String> = Kind::List { of: Item::Origin, at_least: 0 }, Some(""),
            "a page of another origin is a stranger until it is named";
        /// Which pages of origins that are not named are refused a connection: with `cookies` those that
        /// send some, with `always` all, with `never` none.
        check_origin: String = Kind::Choice(&["cookies", "always", "never"]), Some("cookies"),
            "a stranger's page cannot act as its visitor, and tokens are not sent by themselves";
        /// Whether such pages may send cookies.
        credentials: bool = Kind::Switch, Some("false"),
            "with cookies a stranger's page acts as its visitor";
    }
}

table::settings! {
    /// From which size on what is sent is compressed, if the client accepts it.
    struct Compression at "compression." {
        /// The size from which on polling answers are compressed; never when not set.
        polling: Option<Size> = Kind::Size { min: Size(1), max: Size(GB) }, None,
            "compressing secrets beside text that a stranger chose can give them away (BREACH)";
        /// The size from which on WebSocket messages are compressed; never when not set.
        websocket: Option<Size> = Kind::Size { min: Size(1), max: Size(GB) }, None,
            "it costs far more processor time than it saves";
    }
}

table::settings! {
    /// How much may wait for one slow client before it is disconnected.
    struct Outbox at "outbox." {
        /// How many events may wait.
        events: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("16384"),
            "seconds of a busy room; a client further behind is better off coming back";
        /// How many bytes may wait.
        bytes: Size = Kind::Size { min: Size(KB), max: Size(GB) }, Some("4MiB"),
            "times the number of clients, this is the memory that slow clients can take";
    }
}

table::settings! {
    /// Which clients that lost their connection get their session back, with all they missed. None
    /// do if `event_log.kind` is off.
    struct Recovery at "recovery." {
        /// Whether clients get their sessions back. Events then carry their position as their last
        /// argument.
        enabled: bool = Kind::Switch, Some("true"),
            "it is what this server is for";
        /// How long after the loss of its connection a client may come back.
        window: Span = Kind::Duration { min: seconds(1), max: seconds(30 * 86_400) }, Some("24h"),
            "as long as events are kept";
        /// How many missed events are sent again; who missed more is told that it was not
        /// recovered.
        events: u64 = Kind::Count { min: 1, max: 10_000 }, Some("10000"),
            "about what may wait for a client that is connected";
        /// How many bytes of them.
        bytes: Size = Kind::Size { min: Size(KB), max: Size(GB) }, Some("16MiB"),
            "a client that was cut because it was slow has missed more than may wait for one";
        /// How many sessions wait for their clients; the oldest are given up.
        waiting: u64 = Kind::Count { min: 1, max: 100_000_000 }, Some("500000"),
            "half of event_log.max_sessions: the others are connected";
    }
}

table::settings! {
    /// What streams of server-sent events (`GET /v1/sse`) are told beside events.
    struct Sse at "sse." {
        /// After how much quiet a stream is sent a comment.
        heartbeat: Span = Kind::Duration { min: millis(10), max: DAY }, Some("15s"),
            "below the half minute after which proxies cut quiet connections";
        /// How long a client that lost its stream waits at least before it comes back. Each stream
        /// is told a time between this and `sse.retry_max`.
        retry_min: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("2s"),
            "a restart is over by then";
        /// How long it waits at most.
        retry_max: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("5s"),
            "after a restart not all come at the same moment";
    }
}

table::settings! {
    /// Deadlines and sizes against peers that take their time, or ours, on purpose.
    struct Http at "http." {
        /// How long a request's head may take to arrive.
        header_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("10s"),
            "a phone on a bad network needs one";
        /// How long a request's body may take to arrive.
        body_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("20s"),
            "a megabyte over a bad network";
        /// How long a client may bring nothing on with a body it sends or an answer it reads.
        stall_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("30s"),
            "above the longest gap of a phone that changes networks";
        /// How long a connection may stay open between two requests.
        idle_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("75s"),
            "proxies keep connections for 60 s and must be the ones who close first";
        /// The largest head of a request.
        max_header: Size = Kind::Size { min: Size(8_192), max: Size(16_777_216) }, Some("64KiB"),
            "far above what cookies take";
        /// The most headers of a request.
        max_headers: u64 = Kind::Count { min: 16, max: 10_000 }, Some("100"),
            "several times what browsers and proxies send";
        /// The names in the header `Host` that are served, addresses besides; any when empty. With
        /// `localhost`, no page that has its own name lead to this machine is answered.
        hosts: Vec<String> = Kind::List { of: Item::Text, at_least: 0 }, Some(""),
            "a proxy in front has the names, and does not always say them";
    }
}

table::settings! {
    /// Encryption by the server itself. Both files or none.
    struct Tls at "tls." {
        /// The PEM file with the certificate and its chain.
        cert: Option<PathBuf> = Kind::Path, None,
            "a certificate cannot be guessed";
        /// The PEM file with the private key, not encrypted.
        key: Option<PathBuf> = Kind::Path, None,
            "a key cannot be guessed";
        /// How long a handshake may take.
        handshake_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("10s"),
            "three round trips over a bad network";
    }
}

table::settings! {
    /// What is written about the server's work, to the standard error output.
    struct Log at "log." {
        /// From which level on.
        level: LogLevel = Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Some("info"),
            "a line per start, stop and refusal; nothing per message";
        /// In which form; `auto` is pretty on a terminal and JSON otherwise.
        format: LogFormat = Kind::Choice(&["auto", "pretty", "json"]), Some("auto"),
            "people watch terminals, machines read files";
    }
}

/// A way to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// HTTP long polling.
    Polling,
    /// WebSocket.
    Websocket,
}

/// A parser of Socket.IO packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Parser {
    /// Text with binary attachments: what `socket.io-parser` does.
    Json,
    /// One binary message: what `socket.io-msgpack-parser` does.
    Msgpack,
}

/// The least important level that is still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What went wrong and needs a person.
    Error,
    /// What may need one.
    Warn,
    /// What happens seldom and is good to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// For machines: one object per line.
    Json,
}

/// All settings, in the order in which they are documented.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    let parts = [
        Settings::TABLE,
        Drain::TABLE,
        Cors::TABLE,
        Compression::TABLE,
        Outbox::TABLE,
        Limits::TABLE,
        Http::TABLE,
        Tls::TABLE,
        Log::TABLE,
        Metrics::TABLE,
        Traces::TABLE,
        EventLog::TABLE,
        Recovery::TABLE,
        Sse::TABLE,
        Auth::TABLE,
        Access::TABLE,
        Rooms::TABLE,
        Chat::TABLE,
        Sessions::TABLE,
        Jobs::TABLE,
        Presence::TABLE,
        Webhooks::TABLE,
        Redis::TABLE,
        Replay::TABLE,
        Livepoll::TABLE,
        Console::TABLE,
    ];
    parts.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    //! The table is consistent in itself.

    use std::collections::HashSet;

    use super::*;
    use crate::settings::kind::Raw;

    #[test]
    fn names_are_unique_and_every_default_passes_its_own_check() {
        let (mut envs, mut flags) = (HashSet::new(), HashSet::new());
        for setting in all() {
            assert!(envs.insert(setting.env_name()), "{}", setting.env_name());
            assert!(flags.insert(setting.flag_name()), "{}", setting.flag_name());
            assert!(!setting.summary().is_empty() && !setting.reason.is_empty(), "{}", setting.key);
            if let Some(default) = setting.default {
                let checked = setting.kind.check(&Raw::Word(default.to_owned()));
                assert!(checked.is_ok(), "{}: {checked:?}", setting.key);
            }
        }
    }
}
