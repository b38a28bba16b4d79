//! The settings: one list that is the typed struct, the TOML keys, the environment variables, the
//! flags, `fanfare config` and `docs/configuration.md` at once.
//!
//! Rising order: default, file, environment, flag.

mod file;
mod kind;
mod load;
mod problem;
mod secret;
mod show;
mod table;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub(crate) use self::load::{Given, Inputs};
pub(crate) use self::problem::Problems;
pub(crate) use self::secret::Secret;
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
        /// The largest message a client may send, over every transport, and the largest body of
        /// `POST /v1/publish`.
        max_payload: Size = Kind::Size { min: Size(1), max: Size(GB) }, Some("1MB"),
            "what the Node server allows; the sum over all clients is what memory must hold";
        /// The name of a cookie with the session id, set on the first polling answer; none when
        /// unset.
        cookie: Option<String> = Kind::CookieName, None,
            "only sticky load balancers need it";
        /// Whether polling answers are compressed when the client accepts it.
        http_compression: bool = Kind::Switch, Some("false"),
            "compressing secrets beside text that a stranger chose can give them away (BREACH)";
        /// From which size on polling answers are compressed.
        http_compression_threshold: Size = Kind::Size { min: Size(1), max: Size(GB) }, Some("1024B"),
            "below, headers and the processor cost more than is saved";
        /// Whether WebSocket messages are compressed when the client offers it.
        per_message_deflate: bool = Kind::Switch, Some("false"),
            "compression state costs memory on every connection";
        /// Whether the client bundle is served at `<path>/socket.io.js`.
        serve_client: bool = Kind::Switch, Some("true"),
            "a page needs nothing but this server to begin";
        /// How many threads serve connections; one per core when unset.
        shards: Option<u64> = Kind::Count { min: 1, max: 1_024 }, None,
            "a connection stays on one core";
        /// How long open connections may take to end when the server is asked to stop.
        shutdown_grace: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("10s"),
            "what is written is delivered, and a deploy does not wait longer than its patience";
        + /// Pages of other origins.
        cors: Cors;
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
    }
}

table::settings! {
    /// Which pages of other origins may use the server from a browser.
    struct Cors at "cors." {
        /// The origins whose pages may connect by polling; `*` for any. None when empty.
        origins: Vec<String> = Kind::List { of: Item::Origin, at_least: 0 }, Some(""),
            "a page of another origin is a stranger until it is named";
        /// Whether such pages may send cookies.
        credentials: bool = Kind::Switch, Some("false"),
            "with cookies a stranger's page acts as its visitor";
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
    /// Bounds on what clients may take.
    struct Limits at "limits." {
        /// How many connections may be open in all.
        connections: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("100000"),
            "a few hundred megabytes when all are idle";
        /// How many connections one IP address may have open. Loopback addresses do not count.
        connections_per_ip: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("10000"),
            "a company behind one address fits, one machine cannot take all places";
        /// How many rooms one socket may be in, its own not counted.
        rooms_per_socket: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("1000"),
            "far above what an application shows at once";
        /// How many namespaces one connection may be connected to.
        namespaces_per_connection: u64 = Kind::Count { min: 1, max: 10_000 }, Some("64"),
            "each one costs memory";
    }
}

table::settings! {
    /// Deadlines against peers that take their time on purpose.
    struct Http at "http." {
        /// How long a request's head may take to arrive.
        header_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("10s"),
            "a phone on a bad network needs one";
        /// How long a request's body may take to arrive.
        body_timeout: Span = Kind::Duration { min: millis(10), max: HOUR }, Some("20s"),
            "a megabyte over a bad network";
    }
}

table::settings! {
    /// Encryption by the server itself. Both files or none.
    struct Tls at "tls." {
        /// The PEM file with the certificate and its chain.
        cert: Option<PathBuf> = Kind::Path, None,
            "a certificate cannot be guessed";
        /// The PEM file with the private key.
        key: Option<PathBuf> = Kind::Path, None,
            "a key cannot be guessed";
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
        Cors::TABLE,
        Outbox::TABLE,
        Limits::TABLE,
        Http::TABLE,
        Tls::TABLE,
        Log::TABLE,
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
