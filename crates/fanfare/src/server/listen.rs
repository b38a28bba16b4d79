//! Opening a port.

use super::Server;
use super::accept::Acceptor;
use super::admission::Admission;
use super::connection::Serving;
use super::tls::TlsError;
use crate::Drain;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How many connections may wait to be accepted. The system may allow fewer: `somaxconn` on Linux,
/// 4096 by default.
const BACKLOG: i32 = 4096;

/// An open port, not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    serving: Arc<Serving>,
    admission: Arc<Admission>,
    drain: Drain,
    grace: Duration,
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process, or this one, listens there.
    #[error("{0} is in use: stop the program that listens there, or choose another port")]
    InUse(SocketAddr),
    /// Ports below 1024 belong to the administrator.
    #[error("{0} is not allowed to this user: choose a port from 1024 on, or grant the permission")]
    NotAllowed(SocketAddr),
    /// The address is not one of this machine's.
    #[error("{0} is not an address of this machine; 0.0.0.0 or [::] stand for all of them")]
    NotHere(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> BindError {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::NotAllowed(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotHere(address),
            _ => BindError::Other { address, source },
        }
    }
}

pub(super) fn bind(
    server: &Server,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    admission: Arc<Admission>,
) -> Result<Bound, BindError> {
    let listener = open(address).map_err(|error| BindError::new(address, error))?;
    let local = listener.local_addr().map_err(|error| BindError::new(address, error))?;
    let Server { io, router, settings, .. } = server;
    Ok(Bound {
        listener,
        address: local,
        drain: settings.drain,
        grace: settings.shutdown_grace,
        serving: Serving::new(io.clone(), router.clone(), settings.clone(), tls),
        admission,
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // [::] is understood as "everywhere".
        socket.set_only_v6(false)?;
    }
    // A restart need not wait for connections of the process before it. On Windows the option
    // means something else: two processes on one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Bound {
    /// The address, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until `shutdown` is done or [`Io::close`](crate::Io::close) is called.
    ///
    /// Then clients leave as [`drain`](super::ServerSettings::drain) says: sockets are told "server
    /// shutting down", for which clients that poll come once more; new sessions are answered 503.
    /// When the last session has ended the port is closed and requests that were begun are answered.
    /// What is not done [`shutdown_grace`](super::ServerSettings::shutdown_grace) after the last was
    /// told is cut.
    ///
    /// # Errors
    ///
    /// When the port cannot be watched by the current runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Bound { listener, serving, admission, drain, grace, .. } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let io = serving.io().clone();
        let closing = io.http_connections().closing().clone();
        let acceptor = Acceptor::new(serving, admission);
        let accepting = async {
            tokio::select! {
                () = acceptor.run(listener) => {}
                () = closing.cancelled() => {}
            }
        };
        tokio::join!(accepting, async {
            tokio::select! {
                () = shutdown => {}
                () = closing.cancelled() => {}
            }
            io.drain(drain, grace).await;
        });
        Ok(())
    }
}
