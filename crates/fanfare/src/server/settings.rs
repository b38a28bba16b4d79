//! What can be set about a listener.

use super::tls::TlsSettings;
use crate::Drain;
use std::time::Duration;

/// The settings of a [`Server`](super::Server). Every field has a default that suits most.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// How many connections may be open, WebSocket ones included. Default: 100 000, a few hundred
    /// megabytes when all are idle. Further ones are answered 503 at once. Never more than the
    /// open files the system allows, less 256 for everything else.
    pub max_connections: usize,
    /// How many of them may come from one IPv4 address or one IPv6 network of 64 bits, which is
    /// what one customer gets. 0 switches the limit off. Default: 10 000: a company or a hall
    /// behind one address fits, and one machine cannot take all places. Behind a reverse proxy
    /// on another machine all clients have the proxy's address: name it in `trusted_proxies`.
    pub max_connections_per_address: usize,
    /// Whether loopback addresses count too. Default: no, a reverse proxy on this machine is one
    /// address for all clients.
    pub limit_loopback: bool,
    /// One's own reverse proxies: the client's address is the one they tell in `X-Forwarded-For`, for
    /// handlers and for the limits of sessions per address. Their own connections are not counted
    /// per address. Default: none; whoever is believed can be whoever it wants.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How many connections per second are accepted; a second's worth may come at once. 0
    /// switches the limit off. Default: 0, since everybody's coming back after a restart looks
    /// like an attack.
    pub max_connections_per_second: u32,
    /// How many sessions per second may be opened from one address, told apart as above; a request
    /// that names a session which does not exist counts as one. Beyond that they are answered 429.
    /// 0 switches the limit off. Default: 1 000: the crowd behind one address is back within
    /// seconds after a restart, and a machine that opens sessions to drop them fills no memory.
    /// Behind reverse proxies it is the client's address, if they are in `trusted_proxies`.
    pub max_sessions_per_address_per_second: u32,
    /// How many of them may come at once after a time of quiet. Default: 10 000, as many as one
    /// address may have connections.
    pub session_burst_per_address: u32,
    /// How long a request's head may take: from the connection's begin for the first one, from
    /// the first byte for those after it. Default: 10 s; a phone on a bad network needs one.
    pub header_deadline: Duration,
    /// How long a connection may stay open between two requests. Default: 75 s. Proxies keep
    /// connections for 60 s, and who closes first must be the proxy: else it sends a request
    /// into a closing connection now and then.
    pub idle_deadline: Duration,
    /// How long a client that is waited for may bring nothing on: one that sends a body, or one
    /// that reads an answer. "Something" is 4 KiB, or the end. Default: 30 s. A handler that is
    /// waited for, such as a long poll, has no deadline here.
    pub stall_deadline: Duration,
    /// The largest head of a request in bytes, answered 431 beyond. Default: 64 KiB, far above
    /// what cookies take. At least 8 KiB.
    pub max_header_bytes: usize,
    /// The most headers of a request, answered 431 beyond. Default: 100.
    pub max_headers: usize,
    /// Encryption. Default: none.
    pub tls: Option<TlsSettings>,
    /// How long a TLS handshake may take. Default: 10 s.
    pub handshake_deadline: Duration,
    /// How clients are told to leave at the end.
    pub drain: Drain,
    /// How long open connections may then take to finish. Default: 10 s.
    pub shutdown_grace: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            max_connections: 100_000,
            max_connections_per_address: 10_000,
            limit_loopback: false,
            trusted_proxies: Vec::new(),
            max_connections_per_second: 0,
            max_sessions_per_address_per_second: 1_000,
            session_burst_per_address: 10_000,
            header_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(75),
            stall_deadline: Duration::from_secs(30),
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            tls: None,
            handshake_deadline: Duration::from_secs(10),
            drain: Drain::default(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
