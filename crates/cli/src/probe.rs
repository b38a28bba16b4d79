//! Requests of the commands that look at a server from outside: `fanfare health`, `fanfare doctor`.

use std::time::Duration;

use reqwest::header::{CONNECTION, HeaderMap, UPGRADE};
use reqwest::{Client, Method, StatusCode, Upgraded, redirect};

/// How long an answer may take: above what a server needs that is short of processors.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The key of a WebSocket handshake; nobody checks that it is random. Spec: RFC 6455 § 1.3.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those that the system believes.
    Authorities,
    /// Any: the server is on this machine, under another name than its certificate has.
    Anybody,
}

/// Asks servers.
#[derive(Debug)]
pub(crate) struct Probe(Client);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Its text, as far as it is one.
    pub(crate) body: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// Nobody listens, or it cannot be reached.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// It takes too long.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The answer is too large, or none that HTTP knows.
    #[error("an answer that cannot be used: {0}")]
    Unusable(String),
}

impl Probe {
    /// A probe. Redirects are answers.
    ///
    /// # Errors
    ///
    /// When the certificates that the system believes cannot be read.
    pub(crate) fn new(trust: Trust) -> Result<Self, reqwest::Error> {
        // The listener's provider; fails only if there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .http1_only()
            // Each request may meet another server behind a load balancer: so it is with clients.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .timeout(DEADLINE)
            .tls_danger_accept_invalid_certs(trust == Trust::Anybody)
            .user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")));
        Ok(Self(client.build()?))
    }

    /// Fetches what is there.
    ///
    /// # Errors
    ///
    /// [`ProbeError`].
    pub(crate) async fn get(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, ProbeError> {
        let mut request = self.0.request(Method::GET, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send().await.map_err(of)?).await
    }

    /// Sends a text.
    ///
    /// # Errors
    ///
    /// [`ProbeError`].
    pub(crate) async fn post(&self, url: &str, body: &'static str) -> Result<Answer, ProbeError> {
        let request = self.0.request(Method::POST, url).header("content-type", "text/plain");
        answer(request.body(body).send().await.map_err(of)?).await
    }

    /// Asks for a WebSocket: what was opened, or the answer that refuses.
    ///
    /// # Errors
    ///
    /// [`ProbeError`].
    pub(crate) async fn upgrade(&self, url: &str) -> Result<Result<Upgraded, Answer>, ProbeError> {
        let request = self
            .0
            .request(Method::GET, url)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", WEBSOCKET_KEY);
        let response = request.send().await.map_err(of)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response.upgrade().await.map(Ok).map_err(of);
        }
        answer(response).await.map(Err)
    }
}

async fn answer(mut response: reqwest::Response) -> Result<Answer, ProbeError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(of)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ProbeError::Unusable(format!("more than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn of(error: reqwest::Error) -> ProbeError {
    // The last cause says it: refused, unknown name, certificate.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() {
        ProbeError::Deadline
    } else if error.is_connect() {
        ProbeError::NoConnection(cause.to_string())
    } else {
        ProbeError::Unusable(cause.to_string())
    }
}
