//! A listener: HTTP/1.1 and TLS for those who do not bring a server of their own.
//!
//! [`Server::bind`] opens the port, [`Bound::serve`] accepts. Each connection is handed to one of
//! the [`Io`]'s threads and stays there, so that a WebSocket is read and written by the thread
//! that also answered its handshake. Limits and deadlines apply from the first byte; see
//! [`ServerSettings`].
//!
//! Only HTTP/1.1 (and 1.0) is spoken: WebSocket clients ask for it, and what is not there cannot
//! be attacked. Put a proxy in front for HTTP/2 or HTTP/3.

mod accept;
mod admission;
mod clock;
mod connection;
mod connections;
mod forwarded;
mod head;
mod listen;
mod newcomers;
mod reclaim;
mod refusal;
mod settings;
mod strict;
mod tls;
mod watch;

pub use listen::{BindError, Bound};
pub use settings::ServerSettings;
pub use tls::{TlsError, TlsSettings};

pub(crate) use connections::HttpConnections;
pub(crate) use newcomers::Newcomer;
pub(crate) use reclaim::{Place, Reclaimed, reclaim};

use crate::Io;
use admission::Admission;
use std::net::SocketAddr;
use std::sync::Arc;

/// Serves a router, and with it an [`Io`], on ports of its own.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let io = fanfare::Io::with(|_| ())?;
/// let server = fanfare::Server::new(io.clone(), io.router());
/// let bound = server.bind(([127, 0, 0, 1], 3000).into())?;
/// println!("listening on {}", bound.local_addr());
/// bound.serve(std::future::pending()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    io: Io,
    router: axum::Router,
    settings: ServerSettings,
    /// Shared by all ports of this server.
    admission: std::sync::OnceLock<Arc<Admission>>,
}

/// In the extensions of a request: its connection lives on this shard's runtime, so that the
/// socket of an upgraded connection needs no registration there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnShard(pub(crate) u8);

/// In the extensions of a request: it came encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secure;

impl Server {
    /// A server that answers with `router`, which holds the routes of `io` and any others.
    #[must_use]
    pub fn new(io: Io, router: axum::Router) -> Server {
        let settings = ServerSettings::default();
        Server { io, router, settings, admission: std::sync::OnceLock::new() }
    }

    /// Other settings than the default ones.
    #[must_use]
    pub fn settings(mut self, settings: ServerSettings) -> Server {
        self.settings = settings;
        self
    }

    /// Opens a port. Clients can connect from now on; they are answered by [`Bound::serve`].
    ///
    /// Port 0 takes a free one, which [`Bound::local_addr`] tells. May be called several times:
    /// the limits then hold for all ports together. The process's soft limit of open files is
    /// raised to the hard one, since every connection is an open file.
    ///
    /// # Errors
    ///
    /// [`BindError`]: the port is taken or not allowed, or the certificate is not usable.
    pub fn bind(&self, address: SocketAddr) -> Result<Bound, BindError> {
        let tls = self.settings.tls.as_ref().map(tls::load).transpose()?;
        let admission = self.admission.get_or_init(|| Admission::new(&self.settings));
        listen::bind(self, address, tls, admission.clone())
    }
}
