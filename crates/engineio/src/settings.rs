//! What can be set about the protocol.

use crate::{Cookie, Cors, Transport};
use std::time::Duration;

/// Which transports are offered. Default: both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// HTTP long polling.
    pub polling: bool,
    /// WebSocket.
    pub websocket: bool,
}

impl Transports {
    /// Polling and WebSocket.
    pub const ALL: Self = Self { polling: true, websocket: true };

    /// Whether that transport is offered.
    pub const fn contains(self, transport: Transport) -> bool {
        match transport {
            Transport::Polling => self.polling,
            Transport::Websocket => self.websocket,
        }
    }
}

impl Default for Transports {
    fn default() -> Self {
        Self::ALL
    }
}

/// The settings of all sessions of a server. They must not change while sessions live.
///
/// The defaults are the reference server's, so that a client notices no difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long after a heartbeat the next one starts. Default 25 s: under the 30 to 60 s after
    /// which proxies and mobile networks drop a silent connection.
    pub ping_interval: Duration,
    /// How long the other side may take to answer a heartbeat. Default 20 s: a phone may need
    /// that to wake its radio; shorter cuts live clients.
    pub ping_timeout: Duration,
    /// How long a WebSocket may take to complete an upgrade before it is closed; the polling
    /// session goes on. Default 10 s.
    pub upgrade_timeout: Duration,
    /// The largest message from a client, in bytes: a `POST` body or a WebSocket message. Told to
    /// the client, which splits its payloads to fit. Default 1 000 000.
    pub max_payload_bytes: usize,
    /// The most packets one `POST` body may hold. Default 65 536: a body of one-byte packets must
    /// not buy half a million handler calls, and a real client's backlog stays far below.
    pub max_packets_per_payload: usize,
    /// The transports offered. Default: both.
    pub transports: Transports,
    /// Whether polling sessions are told that they may upgrade to WebSocket. Default true.
    pub allow_upgrades: bool,
    /// Whether revision 3 clients (Socket.IO v1 and v2) are served. Default false: they are old,
    /// and their heartbeat and framing differ.
    pub allow_v3: bool,
    /// Whether polling by script tags (`j=`) is served. Default true, as the reference server
    /// does; only clients of browsers without CORS need it.
    pub allow_jsonp: bool,
    /// The cookie set on the first polling response. Default none: the protocol does not need it,
    /// only some load balancers do.
    pub cookie: Option<Cookie>,
    /// Cross-origin rules. Default none: browsers then allow polling from the same origin only.
    pub cors: Option<Cors>,
    /// A message sent right after the open packet. Default none.
    pub initial_packet: Option<String>,
    /// How long a session that the server closes may take to fetch what it still is to be sent: a
    /// polling session waits so long for a `GET` that takes the close packet. Default 30 s, as in
    /// the reference server.
    pub close_timeout: Duration,
    /// Polling responses of at least this many bytes are compressed. Default none: a compressed
    /// response that mixes secrets with text of an attacker's choice can leak the secret.
    pub compression_threshold_bytes: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload_bytes: 1_000_000,
            max_packets_per_payload: 65_536,
            transports: Transports::ALL,
            allow_upgrades: true,
            allow_v3: false,
            allow_jsonp: true,
            cookie: None,
            cors: None,
            initial_packet: None,
            close_timeout: Duration::from_secs(30),
            compression_threshold_bytes: None,
        }
    }
}

impl Settings {
    /// Checks that a server can work with these settings; call it once at start.
    ///
    /// # Errors
    ///
    /// The first setting that cannot work, by name.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !self.transports.polling && !self.transports.websocket {
            return Err(SettingsError::NoTransport);
        }
        for (name, duration) in [
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
            ("upgrade_timeout", self.upgrade_timeout),
            ("close_timeout", self.close_timeout),
        ] {
            if duration.is_zero() || duration > LONGEST {
                return Err(SettingsError::BadDuration { name, duration });
            }
        }
        if self.max_payload_bytes == 0 {
            return Err(SettingsError::Zero { name: "max_payload_bytes" });
        }
        if self.max_packets_per_payload == 0 {
            return Err(SettingsError::Zero { name: "max_packets_per_payload" });
        }
        Ok(())
    }

    /// What a session on that transport may upgrade to.
    pub(crate) fn upgrades(&self, from: Transport) -> &'static [&'static str] {
        match from {
            Transport::Polling if self.allow_upgrades && self.transports.websocket => {
                &["websocket"]
            }
            Transport::Polling | Transport::Websocket => &[],
        }
    }
}

/// The longest duration a setting takes: JavaScript timers overflow beyond 2^31 ms (24.8 days), and
/// clients are told two of these values.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// A setting no server can work with: the caller's fault, reported at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Every transport is switched off.
    #[error("no transport is enabled: enable polling, websocket or both")]
    NoTransport,
    /// A duration is zero or longer than clients can count.
    #[error("{name} is {duration:?}: expected more than 0 and at most 24 days")]
    BadDuration {
        /// The setting.
        name: &'static str,
        /// Its value.
        duration: Duration,
    },
    /// A count is zero.
    #[error("{name} is 0: expected at least 1")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that the defaults work and that each impossible value is named.
    #[test]
    fn names_the_setting_that_cannot_work() {
        let good = Settings::default();
        assert_eq!(good.check(), Ok(()));
        let none = Transports { polling: false, websocket: false };
        let bad = Settings { transports: none, ..good.clone() };
        assert_eq!(bad.check(), Err(SettingsError::NoTransport));
        let bad = Settings { ping_interval: Duration::ZERO, ..good.clone() };
        assert!(bad.check().unwrap_err().to_string().starts_with("ping_interval is 0ns"));
        let bad = Settings { close_timeout: Duration::MAX, ..good.clone() };
        assert!(bad.check().unwrap_err().to_string().starts_with("close_timeout is"));
        let bad = Settings { max_packets_per_payload: 0, ..good };
        assert_eq!(bad.check(), Err(SettingsError::Zero { name: "max_packets_per_payload" }));
    }

    /// Shows what the handshake offers for each combination.
    #[test]
    fn offers_upgrades_only_where_they_work() {
        let all = Settings::default();
        assert_eq!(all.upgrades(Transport::Polling), ["websocket"]);
        assert!(all.upgrades(Transport::Websocket).is_empty());
        let off = Settings { allow_upgrades: false, ..all.clone() };
        assert!(off.upgrades(Transport::Polling).is_empty());
        let polling = Transports { polling: true, websocket: false };
        let off = Settings { transports: polling, ..all };
        assert!(off.upgrades(Transport::Polling).is_empty());
    }
}
