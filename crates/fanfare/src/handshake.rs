//! How a client introduced itself: the HTTP request that opened its session.

use http::HeaderMap;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The request that opened a session, kept in two allocations however many headers it had.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The client's address, where the server knows it.
    pub address: Option<IpAddr>,
    /// When the session was opened.
    pub issued: SystemTime,
    /// The same by the clock that nobody sets.
    pub(crate) opened: Instant,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Path and query.
    url: Box<str>,
    /// `name: value` lines.
    headers: Box<str>,
}

impl Handshake {
    pub(crate) fn new(uri: &http::Uri, headers: &HeaderMap, now: SystemTime) -> Self {
        let mut lines = String::new();
        for (name, value) in headers {
            lines.push_str(name.as_str());
            lines.push_str(": ");
            lines.push_str(&String::from_utf8_lossy(value.as_bytes()));
            lines.push('\n');
        }
        Handshake {
            address: None,
            issued: now,
            opened: Instant::now(),
            secure: false,
            url: uri.path_and_query().map_or_else(|| uri.path(), |it| it.as_str()).into(),
            headers: lines.into_boxed_str(),
        }
    }

    /// Path and query of the request.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of a header, by its lower-case name; the first one if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(header, _)| *header == name).map(|(_, value)| value)
    }

    /// All headers, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.lines().filter_map(|line| line.split_once(": "))
    }

    /// A parameter of the query, decoded; the last one if there are several.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries().filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }

    /// All parameters of the query, decoded.
    pub fn queries(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    /// Whether the request came from a page of another origin, or from no page at all.
    #[must_use]
    pub fn is_cross_domain(&self) -> bool {
        self.header("origin").is_some()
    }

    /// The handshake as Node's servers send it to each other.
    ///
    /// `auth` is what the client gave when it connected to the namespace.
    #[must_use]
    pub fn to_json(&self, auth: &Value) -> Value {
        let since_epoch = self.issued.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let headers: Map<String, Value> =
            self.headers().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let query: Map<String, Value> =
            self.queries().map(|(name, value)| (name, value.into())).collect();
        serde_json::json!({
            "headers": headers,
            "time": http_date(self.issued),
            "address": self.address.map_or_else(String::new, |address| address.to_string()),
            "xdomain": self.is_cross_domain(),
            "secure": self.secure,
            "issued": u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            "url": self.url(),
            "query": query,
            "auth": auth,
        })
    }
}

fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
