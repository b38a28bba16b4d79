//! Taking the bare connection back after an upgrade.

pub(crate) use super::admission::Permit;

use super::watch::Watched;
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection without HTTP.
#[derive(Debug)]
pub(crate) enum Reclaimed {
    /// Registered with the runtime that served HTTP on it.
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// From another server than ours.
    Other(Upgraded),
}

/// Takes the connection out of hyper.
///
/// Returns it with what was read from it and not used, and with its permit if it is one of ours:
/// the permit must be kept for as long as the connection is open.
pub(crate) fn reclaim(upgraded: Upgraded) -> (Reclaimed, Bytes, Option<Permit>) {
    let upgraded = match upgraded.downcast::<TokioIo<Watched<TcpStream>>>() {
        Ok(parts) => {
            let (stream, permit) = parts.io.into_inner().into_parts();
            return (Reclaimed::Tcp(stream), parts.read_buf, Some(permit));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<Watched<TlsStream<TcpStream>>>>() {
        Ok(parts) => {
            let (stream, permit) = parts.io.into_inner().into_parts();
            return (Reclaimed::Tls(Box::new(stream)), parts.read_buf, Some(permit));
        }
        Err(upgraded) => upgraded,
    };
    // What axum's own server makes of a plain connection.
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (Reclaimed::Tcp(parts.io.into_inner()), parts.read_buf, None),
        Err(upgraded) => (Reclaimed::Other(upgraded), Bytes::new(), None),
    }
}
