//! What the server asks of others: key sets, session checks, decisions, webhooks.
//!
//! Nothing that comes from a client names the address: it is the operator's, from the settings. Still
//! no redirect is followed and no name that leads to the link-local network, where clouds keep
//! their credentials. Each request has a deadline, each answer a size, and only so many run at once.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::background::Background;
use crate::spans;

/// How long a request may take in all: longer than a slow application, shorter than a client waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long the connection may take to come about.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// The largest answer that is read, in bytes. A key set of a large provider has 10 kB.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// How many requests run at the same time; further ones wait, within their deadline.
const MAX_RUNNING: usize = 64;

/// How many may wait for their turn.
const MAX_WAITING: usize = 4_096;

/// An address of the settings that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is no [`Endpoint`]. The operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL, or another scheme.
    #[error("is not an http:// or https:// URL")]
    Url,
    /// Logs and errors would show it.
    #[error("has a user or password in it")]
    Credentials,
    /// Where clouds keep their credentials.
    #[error("leads to the link-local network")]
    LinkLocal,
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(EndpointError::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse().is_ok_and(is_link_local) {
            return Err(EndpointError::LinkLocal);
        }
        Ok(Endpoint(url))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there is no answer. The environment's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// Too many wait.
    #[error("too many requests wait for their turn")]
    Busy,
    /// No answer in time.
    #[error("there was no answer in time")]
    Deadline,
    /// The host could not be reached, or broke off.
    #[error("the host could not be reached")]
    Unreachable,
    /// The answer was too large.
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status; a redirect is one like any other.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outgoing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    background: Background,
    running: Semaphore,
    waiting: Semaphore,
}

impl Outgoing {
    /// Sets it up; its connections live on this thread.
    ///
    /// # Errors
    ///
    /// When the roots of trust of this machine cannot be read.
    pub(crate) fn new(background: Background) -> Result<Self, reqwest::Error> {
        // The listener's provider; a program that has chosen another keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            .dns_resolver(Arc::new(Resolver))
            .user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let (running, waiting) = (Semaphore::new(MAX_RUNNING), Semaphore::new(MAX_WAITING));
        Ok(Outgoing(Arc::new(Inner { client, background, running, waiting })))
    }

    /// Fetches what is at an address.
    ///
    /// # Errors
    ///
    /// [`OutgoingError`].
    pub async fn fetch(&self, from: &Endpoint) -> Result<Answered, OutgoingError> {
        self.send(Method::GET, from, Vec::new(), Bytes::new()).await
    }

    /// Sends JSON to an address.
    ///
    /// # Errors
    ///
    /// [`OutgoingError`].
    pub async fn post(
        &self,
        to: &Endpoint,
        mut headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<Answered, OutgoingError> {
        headers.push(("content-type", "application/json".to_owned()));
        self.send(Method::POST, to, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        to: &Endpoint,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<Answered, OutgoingError> {
        let (this, url) = (self.clone(), to.0.clone());
        // On a thread of its own: connections that are kept must outlive whoever asked first.
        let asking = async move {
            let _place = this.0.waiting.try_acquire().map_err(|_| OutgoingError::Busy)?;
            let turn = tokio::time::timeout(DEADLINE, this.0.running.acquire()).await;
            let _turn = turn.map_err(|_| OutgoingError::Deadline)?;
            let mut request = this.0.client.request(method, url).body(body);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            read(request.send().await.map_err(of)?).await
        };
        let asked = self.0.background.spawn(asking.instrument(spans::outgoing()));
        asked.await.unwrap_or(Err(OutgoingError::Unreachable))
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answered, OutgoingError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(of)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(OutgoingError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered { status, body: body.into() })
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn of(error: reqwest::Error) -> OutgoingError {
    if error.is_timeout() { OutgoingError::Deadline } else { OutgoingError::Unreachable }
}

/// Looks names up as the system does, and leaves out where no application is.
#[derive(Debug)]
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> =
                found.filter(|address| !is_link_local(address.ip())).collect();
            if found.is_empty() {
                return Err("no address that may be asked".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// `169.254.0.0/16`, `fe80::/10`, and the addresses that lead there in disguise.
fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            let segments = address.segments();
            // fd00:ec2::254 is the one of a large cloud.
            segments[0] & 0xffc0 == 0xfe80 || segments[..2] == [0xfd00, 0x0ec2]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_applications_are_asked() {
        for (text, expected) in [
            ("https://app.example/check?a=b", Ok(())),
            ("http://127.0.0.1:8080/", Ok(())),
            ("http://10.0.0.7/", Ok(())),
            ("ftp://app.example/", Err(EndpointError::Url)),
            ("app.example", Err(EndpointError::Url)),
            ("file:///etc/passwd", Err(EndpointError::Url)),
            ("http://user@app.example/", Err(EndpointError::Credentials)),
            ("http://:secret@app.example/", Err(EndpointError::Credentials)),
            ("http://169.254.169.254/latest", Err(EndpointError::LinkLocal)),
            ("http://0xa9fea9fe/", Err(EndpointError::LinkLocal)),
            ("http://2852039166/", Err(EndpointError::LinkLocal)),
            ("http://[fe80::1]/", Err(EndpointError::LinkLocal)),
            ("http://[::ffff:169.254.169.254]/", Err(EndpointError::LinkLocal)),
            ("http://[fd00:ec2::254]/", Err(EndpointError::LinkLocal)),
        ] {
            assert_eq!(text.parse::<Endpoint>().map(|_| ()), expected, "{text}");
        }
    }
}
